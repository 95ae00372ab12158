# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests: what boots, in QEMU and without; and that what a guest writes comes back into its disk."""

from __future__ import annotations

import pathlib
import queue
import struct
import typing as t

import pytest
from lab.xapi import guests
from lab.xapi.disks import BLOCK, Disks
from lab.xapi.guests import InstantGuests, QemuGuests
from lab.xapi.ports import Guest, GuestDisk, GuestEvent

BOOTS = bytes(510) + b"\x55\xaa"


def boot_sector() -> bytes:
    """A guest in one sector: says that it is up; the first time copies itself to the second sector and reboots, then halts."""
    code = b"\x31\xc0\x8e\xd8\x8e\xc0"  # ds = es = 0
    code += b"\xbeMM" + b"\xba\xf8\x03" + b"\xac\x84\xc0\x74\x03\xee\xeb\xf8"  # the text, byte by byte, to the serial port
    code += b"\xb8\x01\x02\xbb\x00\x80\xb9\x02\x00\xba\x80\x00\xcd\x13"  # read sector 2 to 0x8000
    code += b"\x80\x3e\x00\x80\x00\x75\x12"  # anything there? then halt
    code += b"\xb8\x01\x03\xbb\x00\x7c\xb9\x02\x00\xba\x80\x00\xcd\x13" + b"\xb0\xfe\xe6\x64"  # write it, and reset
    code += b"\xf4\xeb\xfd"
    code = code.replace(b"MM", struct.pack("<H", 0x7C00 + len(code)))
    return (code + b"BOOTABLE-GUEST-UP serial=-\r\n\0").ljust(510, b"\0") + b"\x55\xaa"


@pytest.fixture
def disks(tmp_path: pathlib.Path) -> t.Iterator[Disks]:
    found = Disks(tmp_path / "disks")
    yield found
    found.close()


@pytest.fixture
def machines(disks: Disks, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[QemuGuests]:
    monkeypatch.setattr(guests, "PATIENCE_OF_FIRMWARE", 100)
    found = QemuGuests(disks, tmp_path / "guests")
    yield found
    found.close()


def disk(vdi: str, device: int = 0, *, bootable: bool = False, cd: bool = False) -> GuestDisk:
    return GuestDisk(vdi, device, bootable, cd, cd)


def guest(*found: GuestDisk, hvm: bool = True, order: str = "cd", firmware: str = "bios") -> Guest:
    return Guest("a guest, or two", found, 256 << 20, 1, hvm, firmware, order, ("02:00:00:00:00:01",))


A, B, CD = disk("a", 0), disk("b", 1, bootable=True), disk("cd", 3, cd=True)


@pytest.mark.parametrize("found, tried", [
    (guest(B, A, CD), ["a", "cd"]),
    (guest(B, A, CD, order="dc"), ["cd", "a"]),
    (guest(A, CD, order="n"), []),
    (guest(A, B, order="DC"), ["a"]),
    (guest(A, B, CD, hvm=False, order=""), ["b"]),
    (guest(A, CD, hvm=False), []),
])
def test_what_the_firmware_tries(found: Guest, tried: t.List[str]) -> None:
    assert [disk.vdi for disk in guests.order(found)] == tried


# --- without QEMU ---


@pytest.mark.parametrize("data, hvm, event", [(BOOTS, True, GuestEvent.BOOTED), (b"", True, GuestEvent.ENDED), (BOOTS, False, GuestEvent.ENDED)])
def test_instant_guests_boot_from_a_boot_sector(disks: Disks, data: bytes, hvm: bool, event: GuestEvent) -> None:
    heard: queue.Queue[GuestEvent] = queue.Queue()
    disks.create("a", BLOCK)
    disks.write("a", 0, data)
    found = InstantGuests(disks)
    found.start("vm", guest(A, hvm=hvm), heard.put)
    assert heard.get(timeout=10) is event
    assert found.running("vm") is (event is GuestEvent.BOOTED)
    found.stop("vm")
    assert not found.running("vm")
    found.close()


def test_a_mute_guest_runs_and_says_nothing(disks: Disks) -> None:
    heard: queue.Queue[GuestEvent] = queue.Queue()
    disks.create("a", BLOCK)
    disks.write("a", 0, BOOTS)
    found = InstantGuests(disks)
    found.mute = True
    found.start("vm", guest(A), heard.put)
    found.close()
    assert found.running("vm") and heard.empty()


def test_a_disk_that_is_not_there(disks: Disks, machines: QemuGuests) -> None:
    for found in (InstantGuests(disks), machines):
        with pytest.raises(OSError, match="no disk"):
            found.start("vm", guest(A), lambda event: None)
        assert not found.running("vm")


# --- with QEMU ---


def test_a_guest_boots_writes_and_reboots(disks: Disks, machines: QemuGuests) -> None:
    heard: queue.Queue[GuestEvent] = queue.Queue()
    disks.create("a", 2 * BLOCK)
    disks.write("a", 0, boot_sector())
    disks.layer("a", "before", "base")
    machines.start("vm", guest(A), heard.put)
    assert [heard.get(timeout=60) for dummy in range(3)] == [GuestEvent.BOOTED, GuestEvent.REBOOTED, GuestEvent.BOOTED]
    assert machines.running("vm")
    assert "BOOTABLE-GUEST-UP serial=-" in machines.console("vm")
    disks.layer("a", "after", "second base")  # while it runs
    assert disks.read("after", 512, 512) == boot_sector()
    assert disks.read("before", 512, 512) == bytes(512)
    assert disks.blocks("after", "before") == [0]
    machines.stop("vm")
    assert not machines.running("vm")
    assert disks.read("a", 0, 1024) == 2 * boot_sector()
    assert disks.allocated("a") == 0
    assert heard.empty()


@pytest.mark.parametrize("hvm, order", [(True, "d"), (False, "cd")])
def test_a_machine_with_nothing_to_boot_ends(disks: Disks, machines: QemuGuests, hvm: bool, order: str) -> None:
    heard: queue.Queue[GuestEvent] = queue.Queue()
    disks.create("a", BLOCK)
    disks.write("a", 0, boot_sector())
    machines.start("vm", guest(A, hvm=hvm, order=order), heard.put)
    assert heard.get(timeout=60) is GuestEvent.ENDED
    assert not machines.running("vm")
    assert "BOOTABLE" not in machines.console("vm")


def test_uefi_boots_nothing_without_its_firmware(disks: Disks, machines: QemuGuests, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: queue.Queue[GuestEvent] = queue.Queue()
    monkeypatch.setattr(guests, "FIRMWARE", ())
    disks.create("a", BLOCK)
    disks.write("a", 0, boot_sector())
    machines.start("vm", guest(A, firmware="uefi"), heard.put)
    assert heard.get(timeout=60) is GuestEvent.ENDED
