# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files: written so that a power cut finds the old or the new one, and copied with their holes."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB

# linux/fs.h: _IOW(0x94, 9, int)
FICLONE = 0x40049409

# linux/falloc.h
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2

# How much is copied between two looks at the deadline.
PIECE = 16 * MIB

# The finest hole that is worth keeping: qcow2's cluster, and a common size of file system extents.
BLOCK = 64 * KIB
ZEROES = bytes(BLOCK)

Progress = t.Callable[[int], None]
_NO_REFLINK = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)


def sync_directory(path: str) -> None:
    """Make the names in a directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: str) -> None:
    """Make the content of a file survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomically(path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Put ``data`` into a file that others see whole or not at all.

    The new content waits under ``<path>.new``; what a killed process leaves there is overwritten or removed by the next.
    """
    waiting = path + ".new"
    fd = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        write_all(fd, 0, data)
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(waiting, path)
    sync_directory(os.path.dirname(path))


def write_all(fd: int, offset: int, data: t.Union[bytes, memoryview]) -> None:
    """``pwrite`` to the end of ``data``.

    :raises NoRoom: the file system, or a quota on it, is full.
    """
    rest = memoryview(data)
    while rest:
        try:
            count = os.pwrite(fd, rest, offset)
        except OSError as error:
            raise no_room(error, offset + len(rest), fd) from error
        rest, offset = rest[count:], offset + count


def no_room(error: OSError, needed: int, fd: t.Optional[int] = None) -> Exception:
    """What to raise for an error of writing: NoRoom where the file system is full, else the error itself in our words.

    :param fd: The open file.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoRoom("the file system became full while it was written to, %d bytes into a file; make room there and run the task again" % needed)
    if error.errno == errno.EFBIG:
        return NoRoom("the file system cannot hold a file of %d bytes" % needed)
    where = "" if fd is None else " to %s" % _name_of(fd)
    return BackendError("writing%s failed: %s; see to its file system, and run the task again" % (where, error.strerror))


def _name_of(fd: int) -> str:
    """What an open file is called; proc(5)."""
    try:
        return os.readlink("/proc/self/fd/%d" % fd)
    except OSError:
        return "a file"


def keep_permissions(old: str, new: str) -> None:
    """Give one file the owner and mode of another: a QEMU that may use the one shall be able to use the other."""
    status = os.lstat(old)
    with contextlib.suppress(PermissionError):
        os.chown(new, status.st_uid, status.st_gid)
    os.chmod(new, stat.S_IMODE(status.st_mode))


def remove_if_there(path: str) -> bool:
    """Remove a file; False if it was gone already."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def takes_direct_io(path: str) -> bool:
    """Whether an existing file can be written past the page cache."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def is_regular(path: str) -> bool:
    """Whether a path is a file itself: no link, no directory, no device."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def punch(fd: int, offset: int, length: int) -> None:
    """Make a range of an open file read as zeroes; as a hole where the file system has holes, else by writing."""
    if length <= 0:
        return
    if not punch_hole(fd, offset, length):
        end = offset + length
        while offset < end:
            step = min(BLOCK, end - offset)
            write_all(fd, offset, ZEROES[:step])
            offset += step


def punch_hole(fd: int, offset: int, length: int) -> bool:
    """Free a range of an open file or block device, so that it reads as zeroes; False where that cannot be had."""
    return _fallocate(fd, _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE, offset, length)


def _fallocate(fd: int, mode: int, offset: int, length: int) -> bool:
    """fallocate(2), which Python's os does not offer with a mode; False where the file system does not have it."""
    try:
        call = ctypes.CDLL(None, use_errno=True).fallocate
    except (AttributeError, OSError):
        return False
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return bool(call(fd, mode, offset, length) == 0)


def reserve_blocks(fd: int, size: int) -> None:
    """Give a file all its blocks without writing to them; what was in it stays.

    :raises NoRoom: there are not enough.
    """
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        raise no_room(error, size, fd) from error


def reflink(source: int, target: int) -> bool:
    """Let an empty open file share all blocks of another; False where the file systems cannot."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in _NO_REFLINK:
            return False
        raise no_room(error, os.fstat(source).st_size, target) from error
    return True


def extents(fd: int, start: int, end: int) -> t.Iterator[t.Tuple[int, int]]:
    """(offset, length) of every stretch of data; what lies between reads as zeroes.

    A file system without SEEK_DATA answers that everything is data.
    """
    while start < end:
        try:
            data = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        if data >= end:
            return
        hole = min(os.lseek(fd, data, os.SEEK_HOLE), end)
        yield data, hole - data
        start = hole


def copy_sparse(source: int, target: int, *, progress: t.Optional[Progress] = None) -> None:
    """Copy an open file into an empty one, holes and all; inside the kernel where it can.

    :param progress: Told how many bytes were copied, again and again; may raise to stop.
    :raises NoRoom: the target's file system became full.
    """
    size = os.fstat(source).st_size
    try:
        os.ftruncate(target, size)
    except OSError as error:
        raise no_room(error, size, target) from error
    for start, length in extents(source, 0, size):
        offset, end = start, start + length
        while offset < end:
            count = _copy_piece(source, target, offset, min(PIECE, end - offset))
            if not count:
                raise BackendError("the file became shorter while it was copied; see that nothing else writes to it, and run the task again")
            offset += count
            if progress:
                progress(count)


def copy_densely(source: int, target: int, *, progress: t.Optional[Progress] = None) -> None:
    """Copy an open file into an empty one and write every byte, zeroes included."""
    offset = 0
    while True:
        data = os.pread(source, MIB, offset)
        if not data:
            return
        write_all(target, offset, data)
        offset += len(data)
        if progress:
            progress(len(data))


def _copy_piece(source: int, target: int, offset: int, length: int) -> int:
    try:
        return os.copy_file_range(source, target, length, offset, offset)
    except AttributeError:
        pass  # a C library that lacks it
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EIO):
            raise no_room(error, offset + length, target) from error
    data = os.pread(source, min(length, MIB), offset)
    write_all(target, offset, data)
    return len(data)


def same_content(left: int, right: int, *, progress: t.Optional[Progress] = None) -> bool:
    """Whether two open files read the same; holes and written zeroes are the same."""
    size = os.fstat(left).st_size
    if os.fstat(right).st_size != size:
        return False
    offset = 0
    for start, length in _either(left, right, size):
        offset, end = start, start + length
        while offset < end:
            step = min(MIB, end - offset)
            if os.pread(left, step, offset) != os.pread(right, step, offset):
                return False
            offset += step
            if progress:
                progress(step)
    return True


def _either(left: int, right: int, size: int) -> t.Iterator[t.Tuple[int, int]]:
    """Every stretch that is data in one file or the other, without overlaps."""
    reached = 0
    for start, length in sorted(list(extents(left, 0, size)) + list(extents(right, 0, size))):
        begin, end = max(start, reached), start + length
        if begin < end:
            yield begin, end - begin
            reached = end
