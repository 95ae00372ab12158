# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The block devices of the host, as drivers see them; tests give others."""

from __future__ import annotations

import os
import re
import stat
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, Foreign, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.block_file import BlockFile
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
from ansible_collections.bootable.volumes.plugins.module_utils.host.device_identity import identity_of, read
from ansible_collections.bootable.volumes.plugins.module_utils.host.device_users import users_of_device
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.host.unzeroed_file import UnzeroedFile

# Where Linux tells of devices by their numbers. https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-dev
SYSFS = "/sys/dev/block"

# What every partition table, file system, RAID and volume manager writes something into, at one end or the other.
ENDS = MIB

# blkid(8), RETURN CODES, with --probe
_BLKID_FOUND, _BLKID_SEVERAL = 0, 8


@dataclass(frozen=True)
class Device:
    """A block device at one moment.

    :param path: Its node, all links followed.
    :param number: ``major:minor``.
    :param size: Bytes.
    :param identity: What tells it from all others, whatever it is called today.
    :param whole: The number of the disk that it is a partition of; else its own.
    """

    path: str
    number: str
    size: int
    identity: str
    whole: str


@dataclass(frozen=True)
class Content:
    """What is on a device.

    :param what: To read: ``an ext4 file system (root)``.
    :param member: Whether it is a part of something larger: RAID, LVM.
    """

    what: str
    member: bool = False


class Devices:
    """Looks at block devices and opens them.

    :param runner: For blkid, which names what lies on a device.
    """

    def __init__(self, runner: CommandRunner) -> None:
        self._runner = runner

    def at(self, path: str) -> Device:
        """The device that a path leads to.

        :raises NotFound: nothing is there.
        :raises Foreign: something else is.
        :raises InvalidInput: it is one that could not be recognized again, or has no medium.
        """
        real = os.path.realpath(path)
        try:
            status = os.stat(real)
        except OSError as error:
            raise NotFound("there is no device %s (%s); connect it, or name another" % (path, error.strerror)) from error
        if not stat.S_ISBLK(status.st_mode):
            raise Foreign("%s is no block device; for volumes in files there is the driver file" % path, path=real)
        number = "%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
        sysfs = os.path.join(SYSFS, number)
        size = int(read(sysfs, "size") or 0) * 512  # sysfs counts in 512 bytes, whatever the device does
        if not size:
            raise InvalidInput("%s has no medium: it holds 0 bytes" % path)
        identity = identity_of(sysfs, number)
        if identity is None:
            raise InvalidInput("%s has neither a serial number nor a WWN nor anything else by which it could be recognized after a reboot; give it one" % path)
        folder = os.path.realpath(sysfs)
        whole = read(os.path.dirname(folder), "dev") if os.path.exists(os.path.join(folder, "partition")) else number
        return Device(real, number, size, identity, whole)

    def users_of(self, device: Device) -> t.List[str]:
        """What uses it or a part of it, to read; this process does not count."""
        return users_of_device(device.path, os.path.join(SYSFS, device.number))

    def content_of(self, device: Device) -> t.Optional[Content]:
        """What is on it; None if both its ends are zeroes, where everything that is known leaves a trace. Writes nothing."""
        try:
            with RawFile(os.open(device.path, os.O_RDONLY | os.O_CLOEXEC)) as file:
                if not any(file.read(offset, ENDS).strip(b"\0") for offset in (0, max(0, device.size - ENDS))):
                    return None
        except OSError as error:
            raise BackendError("%s cannot be read: %s" % (device.path, error.strerror)) from error
        probed = self._runner.run(["blkid", "--probe", "--output", "export", device.path])
        if probed.rc == _BLKID_SEVERAL:
            return Content("signatures of several kinds of content")
        return _named(dict(re.findall(r"^(\w+)=(.*)$", probed.stdout, re.MULTILINE)) if probed.rc == _BLKID_FOUND else {})

    def claim(self, device: Device, *, write: bool, thin: bool = False, chunk: int = 0) -> BlockFile:
        """Open it for this process alone.

        :param thin: It is a thin logical volume.
        :param chunk: Bytes of its pool's chunks, if the pool does not zero them.
        :raises InUse: something holds it.
        """
        if not chunk:
            return BlockFile.claim(device.path, write=write, thin=thin)
        file = UnzeroedFile.claim(device.path, write=write, thin=thin)
        file.chunk = chunk
        return file


def _named(found: t.Mapping[str, str]) -> Content:
    kind, usage, table = found.get("TYPE"), found.get("USAGE"), found.get("PTTYPE")
    label = " (%s)" % found["LABEL"] if found.get("LABEL") else ""
    if kind and usage == "raid":
        return Content("a signature of %s" % kind, member=True)
    if kind:
        return Content("%s%s%s" % (kind, {"filesystem": " file system"}.get(usage or "", ""), label))
    if table:
        return Content("a %s partition table" % table)
    return Content("data of an unknown kind")
