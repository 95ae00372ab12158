# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses a file: a running QEMU, a loop device, any other process."""

from __future__ import annotations

import fcntl
import glob
import os
import stat
import struct
import typing as t

# linux/fcntl.h: asks for locks of open file descriptions, which is what QEMU takes on its images (docs/system: file.locking).
_F_OFD_GETLK = 36

# struct flock with 64-bit offsets: l_type, l_whence, l_start, l_len, l_pid.
_FLOCK = "hhqqi4x"


def users_of(path: str) -> t.List[str]:
    """What uses the file, or the block device, to read: ``process 812 (qemu-system-x86)``, ``/dev/loop3``; empty if nothing is seen.

    What other hosts do on shared storage is seen by their locks only.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return []
    users = _processes(status) + _loop_devices(path, status)
    if not users and _is_locked(path):
        users.append("a lock, as a running QEMU has it, perhaps on another host")
    return users


def _is_locked(path: str) -> bool:
    """Whether anybody holds a byte-range lock; asked for, not taken, so that a QEMU that starts now is not disturbed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(fd, _F_OFD_GETLK, question)
        return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)
    except OSError:
        return False  # a file system without locks: nobody can hold one
    finally:
        os.close(fd)


def _loop_devices(path: str, status: os.stat_result) -> t.List[str]:
    found = []
    for backing in glob.glob("/sys/block/loop*/loop/backing_file"):
        try:
            with open(backing, encoding="utf-8", errors="surrogateescape") as text:
                file = text.read().rstrip("\n")
            if file == os.path.realpath(path) or os.path.samestat(os.stat(file), status):
                found.append("/dev/" + backing.split("/")[3])
        except OSError:
            continue  # detached meanwhile, or its file is gone
    return found


def _processes(status: os.stat_result) -> t.List[str]:
    found = []
    mine = str(os.getpid())
    for process in (name for name in os.listdir("/proc") if name.isdigit() and name != mine):
        folder = "/proc/%s" % process
        try:
            if any(_is_same("%s/fd/%s" % (folder, fd), status) for fd in os.listdir(folder + "/fd")):
                with open(folder + "/comm", encoding="utf-8", errors="replace") as name:
                    found.append("process %s (%s)" % (process, name.read().strip()))
        except OSError:
            continue  # ended meanwhile, or not ours to look into
    return found


def _is_same(link: str, status: os.stat_result) -> bool:
    try:
        found = os.stat(link)
    except OSError:
        return False
    if stat.S_ISBLK(status.st_mode):  # a device may have several nodes
        return stat.S_ISBLK(found.st_mode) and found.st_rdev == status.st_rdev
    return os.path.samestat(found, status)
