# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Block devices to fill: made of files, as exclusive as real ones; and loop devices, which are real."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InUse, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.block_file import BlockFile
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
from ansible_collections.bootable.volumes.plugins.module_utils.host.devices import ENDS, Device, Devices
from ansible_collections.bootable.volumes.plugins.module_utils.host.unzeroed_file import UnzeroedFile
from ansible_collections.bootable.volumes.tests.unit.fakes.host import HostRunner


def used_disk(size: int) -> bytes:
    """The content of a device that was used and then freed: zeroes at both ends, and rubbish in between."""
    return bytes(ENDS) + b"\xa5" * (size - 2 * ENDS) + bytes(ENDS)


class FakeDevices(Devices):
    """Files that pose as block devices.

    :ivar users: Paths to what uses them.
    :ivar claimed: Paths of those that are open; nobody else can open them.
    :ivar wholes: Paths of partitions to the disk's.
    """

    def __init__(self, folder: pathlib.Path, runner: t.Optional[CommandRunner] = None) -> None:
        super().__init__(runner or HostRunner())
        self.folder = folder
        self.users: t.Dict[str, t.List[str]] = {}
        self.claimed: t.Set[str] = set()
        self.wholes: t.Dict[str, str] = {}
        self.identities: t.Dict[str, str] = {}
        self.ways: t.Optional[t.List[str]] = None

    def add(self, name: str, content: bytes) -> str:
        """Plug in a device; its path."""
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def enlarge(self, path: str, more: bytes) -> None:
        """Make a device larger while nobody looks."""
        with open(path, "ab") as file:
            file.write(more)

    def at(self, path: str) -> Device:
        real = os.path.realpath(path)
        if not os.path.exists(real):
            raise NotFound("there is no device %s" % path)
        return Device(real, real, os.stat(real).st_size, self.identities.get(real, "serial-of-" + os.path.basename(real)), self.wholes.get(real, real))

    def users_of(self, device: Device) -> t.List[str]:
        return list(self.users.get(device.path, []))

    def claim(self, device: Device, *, write: bool, thin: bool = False, chunk: int = 0) -> BlockFile:
        if device.path in self.claimed or self.users.get(device.path):
            raise InUse("%s is in use" % device.path)
        file: Claimed = (_Unzeroed if chunk else Claimed).claim(device.path, write=write, thin=thin)
        if isinstance(file, _Unzeroed):
            file.chunk = chunk
        file.release = lambda: self.claimed.discard(device.path)
        self.claimed.add(device.path)
        return file


class Claimed(BlockFile):
    """An open device.

    :ivar release: Called when it is closed.
    :ivar taking: Called before bytes are written, with their offset and number.
    """

    taking: t.Callable[[int, int], None] = staticmethod(lambda offset, length: None)
    release: t.Callable[[], None]

    def _write_cached(self, offset: int, data: memoryview) -> int:
        self.taking(offset, len(data))
        return super()._write_cached(offset, data)

    def _write_sectors(self, offset: int, data: memoryview) -> int:
        self.taking(offset, len(data))
        return super()._write_sectors(offset, data)

    def close(self) -> None:
        super().close()
        self.release()


class _Unzeroed(UnzeroedFile, Claimed):
    """One whose pool does not zero what it hands out."""


class Loops(Devices):
    """Loop devices on files, and the host's other devices. Root only.

    :param sector: Bytes of their logical blocks.
    """

    def __init__(self, folder: pathlib.Path, sector: int = 512) -> None:
        super().__init__(HostRunner())
        self.folder = folder
        self.sector = sector
        self.attached: t.Dict[str, pathlib.Path] = {}

    def add(self, name: str, content: bytes) -> str:
        """Attach one; its path."""
        file = self.folder / (name + ".disk")
        file.write_bytes(content)
        made = subprocess.run(["losetup", "--find", "--show", "--sector-size", str(self.sector), str(file)], capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip("no loop device is free here: %s" % made.stderr.strip())
        self.attached[made.stdout.strip()] = file
        return made.stdout.strip()

    def enlarge(self, path: str, more: bytes) -> None:
        """Append to the disk behind it."""
        with open(self.attached[path], "ab") as file:
            file.write(more)
        subprocess.run(["losetup", "--set-capacity", path], check=True)

    def detach(self) -> None:
        """All of them."""
        for path in self.attached:
            subprocess.run(["losetup", "--detach", path], check=False)


@contextlib.contextmanager
def loops(folder: pathlib.Path, sector: int = 512) -> t.Iterator[Loops]:
    """For as long as the ``with`` lasts."""
    if os.getuid() != 0:
        pytest.skip("needs root")
    found = Loops(folder, sector)
    try:
        yield found
    finally:
        found.detach()


SIZE = 5 * MIB
