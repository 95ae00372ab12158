# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A block device, open: nobody else may mount, map or claim it meanwhile."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, NoRoom, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host import files
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile

# linux/fs.h: _IO(0x12, n)
_BLKSSZGET = 0x1268
_BLKDISCARD = 0x1277
_BLKZEROOUT = 0x127F

# One order to the kernel at a time: large enough to cost nothing, small enough that a process that was killed ends soon
# where the kernel has to write the zeroes itself.
_AT_ONCE = 256 * MIB

T = t.TypeVar("T", bound="BlockFile")

_UNABLE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS)


class BlockFile(RawFile):
    """An open block device.

    Whole sectors are written past the page cache, where they would only push out what the host needs: to a loop device that takes
    a third of the time, and everywhere a tenth of the processor's.

    :param thin: It is a thin logical volume: what was discarded reads as zeroes from then on, although the kernel does not say so.
    :param path: What errors call it.
    """

    def __init__(self, fd: int, size: int, *, thin: bool = False, path: str = "the device") -> None:
        super().__init__(fd)
        self._called = path
        self._size = size
        self._thin = thin
        self._sector = _sector(fd)
        self._direct: t.Optional[bool] = False  # None: it cannot be had
        self._buffer: t.Optional[mmap.mmap] = None
        self._ways: t.List[t.Callable[[int, int], bool]] = [self._discard_and_look] if thin else [self._punch, self._zero_out]

    @classmethod
    def claim(cls: t.Type[T], path: str, *, write: bool, thin: bool = False) -> T:
        """Open it for this process alone: O_EXCL on a device keeps mounts, device mapper, md and swap away, and is refused while they are there.

        :raises InUse: somebody was first.
        """
        try:
            fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_EXCL | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise InUse("%s is in use: the kernel does not give it away; unmount it, or stop what holds it" % path,
                            holders={path: ["the kernel"]}) from error
            raise BackendError("%s cannot be opened: %s" % (path, error.strerror)) from error
        try:
            return cls(fd, os.lseek(fd, 0, os.SEEK_END), thin=thin, path=path)
        except BaseException:
            os.close(fd)
            raise

    @property
    def size(self) -> int:
        return self._size

    def resize(self, size: int) -> None:
        if size != self._size:
            raise NoRoom("the device has %d bytes, and cannot have %d" % (self._size, size), needed=size, available=self._size)

    def read(self, offset: int, length: int) -> bytes:
        self._go_direct(False)
        return super().read(offset, length)

    def write(self, offset: int, data: t.Union[bytes, memoryview]) -> None:
        rest = memoryview(data)
        while rest:
            ragged = min(len(rest), -offset % self._sector) or (len(rest) if len(rest) < self._sector else 0)
            try:
                count = self._write_cached(offset, rest[:ragged]) if ragged else self._write_sectors(offset, rest)
            except OSError as error:
                raise self._trouble(error, offset) from error
            rest, offset = rest[count:], offset + count

    def _write_cached(self, offset: int, data: memoryview) -> int:
        self._go_direct(False)
        return os.pwrite(self.fd, data, offset)

    def _write_sectors(self, offset: int, data: memoryview) -> int:
        """As many whole sectors as fit into the buffer, which lies in memory as devices want it."""
        if not self._go_direct(True):
            return self._write_cached(offset, data)
        self._buffer = self._buffer or mmap.mmap(-1, MIB)
        length = min(len(data) // self._sector * self._sector, MIB)
        self._buffer[:length] = data[:length]
        try:
            with memoryview(self._buffer) as whole, whole[:length] as part:
                return os.pwrite(self.fd, part, offset)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._go_direct(False)
            self._direct = None
            return 0

    def _go_direct(self, direct: bool) -> bool:
        """Whether the device is now written to past the page cache, as was asked for if that can be had."""
        if self._direct is not None and self._direct != direct:
            flags = fcntl.fcntl(self.fd, fcntl.F_GETFL) & ~os.O_DIRECT
            try:
                fcntl.fcntl(self.fd, fcntl.F_SETFL, flags | (os.O_DIRECT if direct else 0))
                self._direct = direct
            except OSError:
                self._direct = None
        return bool(self._direct)

    def flush(self) -> None:
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise self._trouble(error, None) from error

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeroes by the cheapest way that the device guarantees."""
        end = offset + length
        first, last = min(end, -(-offset // self._sector) * self._sector), end // self._sector * self._sector
        if first >= last:
            self._write_zeroes(offset, end)
            return
        self._write_zeroes(offset, first)
        for start in range(first, last, _AT_ONCE):
            self._zero_sectors(start, min(_AT_ONCE, last - start))
        self._write_zeroes(last, end)

    def _zero_sectors(self, offset: int, length: int) -> None:
        while self._ways:
            if self._ways[0](offset, length):
                return
            del self._ways[0]  # it will not learn it
        self._write_zeroes(offset, offset + length)

    def _punch(self, offset: int, length: int) -> bool:
        """On a block device the kernel does this only where the device itself guarantees zeroes, freeing the space if it can: fallocate(2)."""
        return files.punch_hole(self.fd, offset, length)

    def _zero_out(self, offset: int, length: int) -> bool:
        """The device's own zeroing without freeing space, else the kernel writes."""
        return self._order(_BLKZEROOUT, offset, length)

    def _discard_and_look(self, offset: int, length: int) -> bool:
        """A thin volume gives back whole chunks, if its pool passes that on; what still holds something is written to."""
        self._order(_BLKDISCARD, offset, length)
        for start in range(offset, offset + length, MIB):
            step = min(MIB, offset + length - start)
            data = self.read(start, step)
            if data.count(0) != len(data):
                self._write_zeroes(start, start + step)
        return True

    def _order(self, request: int, offset: int, length: int) -> bool:
        try:
            fcntl.ioctl(self.fd, request, struct.pack("QQ", offset, length))
        except OSError as error:
            if error.errno in _UNABLE:
                return False
            raise self._trouble(error, offset) from error
        return True

    def _trouble(self, error: OSError, offset: t.Optional[int]) -> VolumesError:
        where = "" if offset is None else " at %d" % offset
        why = error.strerror
        if error.errno == errno.ENOSPC:  # so does the kernel answer, too, when there is nothing left to write to
            if os.lseek(self.fd, 0, os.SEEK_END):
                return NoRoom("%s took no more%s: what provides it, such as a thin pool, is full; make room there, and run the task again" % (
                    self._called, where))
            why = "it is not there any more"
        return BackendError("writing to %s failed%s: %s; nothing was published: see to the device, and run the task again" % (self._called, where, why))

    def _write_zeroes(self, offset: int, end: int) -> None:
        for start in range(offset, end, MIB):
            self.write(start, bytes(min(MIB, end - start)))


def _sector(fd: int) -> int:
    """Bytes of a logical block: what orders to the device come in. A plain file, as tests have it, has none."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, _BLKSSZGET, struct.pack("i", 0)))[0])
    except OSError:
        return 512
