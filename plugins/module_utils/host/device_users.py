# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who holds a block device: the kernel's own users of it, and processes."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.host import mounts, usage
from ansible_collections.bootable.volumes.plugins.module_utils.host.device_identity import read

# https://www.kernel.org/doc/html/latest/filesystems/proc.html, section 1.7
SWAPS = "/proc/swaps"

# They look at every device that comes or changes, for a moment, and never write.
_BYSTANDERS = ("(udev-worker)", "systemd-udevd", "udevd", "udevadm", "blkid", "lsblk", "multipathd", "smartd")


def users_of_device(path: str, sysfs: str) -> t.List[str]:
    """What uses the device or a part of it, to read: ``mounted on /srv``, ``dm-3 (vg-root)``, ``process 812 (qemu-system-x86)``.

    :param path: Its node.
    :param sysfs: Its folder in sysfs.
    """
    folder = os.path.realpath(sysfs)
    users = []
    for name, part in [("", folder)] + _partitions(folder):
        prefix = "its partition %s is " % name if name else ""
        number = read(part, "dev")
        users += ["%smounted on %s" % (prefix, point) for point in _mounted(number)]
        users += ["%sswap space" % prefix for dummy in range(_swaps(number))]
        users += ["%sheld by %s" % (prefix, holder) for holder in _holders(part)]
    return users + [user for user in usage.users_of(path) if not any("(%s)" % name.strip("()") in user for name in _BYSTANDERS)]


def _partitions(folder: str) -> t.List[t.Tuple[str, str]]:
    try:
        return [(name, os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if os.path.exists(os.path.join(folder, name, "partition"))]
    except OSError:
        return []


def _mounted(number: str) -> t.List[str]:
    """By number, and by the node that was named: a btrfs file system has a number of its own."""
    return [mount.point for mount in mounts.Mounts.now() if number in (mount.number, _number_of(mount.source))]


def _number_of(path: str) -> str:
    try:
        status = os.stat(path) if path.startswith("/") else None
    except OSError:
        return ""
    return "%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev)) if status and stat.S_ISBLK(status.st_mode) else ""


def _swaps(number: str) -> int:
    try:
        with open(SWAPS, encoding="utf-8", errors="surrogateescape") as lines:
            return sum(_number_of(line.split()[0]) == number for line in lines if line.startswith("/"))
    except OSError:
        return 0


def _holders(folder: str) -> t.List[str]:
    """Device mapper (LVM, multipath, LUKS), md and bcache tell sysfs what they build on."""
    try:
        names = sorted(os.listdir(os.path.join(folder, "holders")))
    except OSError:
        return []
    found = []
    for name in names:
        mapped = read(os.path.join(folder, "holders", name), "dm/name")
        found.append("%s (%s)" % (name, mapped) if mapped else name)
    return found
