# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, Foreign, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host import devices
from ansible_collections.bootable.volumes.plugins.module_utils.host.devices import Content, Device, Devices
from ansible_collections.bootable.volumes.tests.unit.fakes.devices import loops, used_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import Answers, HostRunner, NoCommands

SIZE = 8 * MIB


def device(path: pathlib.Path, content: bytes) -> Device:
    """A file that poses as one."""
    path.write_bytes(content)
    return Device(str(path), "8:0", len(content), "serial", "8:0")


# --- what is there ---


def test_what_is_no_device(folder: pathlib.Path) -> None:
    (folder / "file").touch()
    with pytest.raises(NotFound, match="there is no device .*/none .*connect it"):
        Devices(NoCommands()).at(str(folder / "none"))
    for path in (folder / "file", folder, pathlib.Path("/dev/null")):
        with pytest.raises(Foreign, match="no block device"):
            Devices(NoCommands()).at(str(path))


def test_a_loop_device_by_node_and_by_link(tmp_path: pathlib.Path) -> None:
    with loops(tmp_path) as real:
        path = real.add("disk", bytes(SIZE))
        (tmp_path / "link").symlink_to(path)
        found = Devices(NoCommands()).at(str(tmp_path / "link"))
        status = os.stat(path)
        assert (found.path, found.size, found.number) == (path, SIZE, "%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev)))
        assert found.identity.endswith(str(tmp_path / "disk.disk")) and found.whole == found.number
        assert Devices(NoCommands()).users_of(found) == []
    with pytest.raises((InvalidInput, NotFound)):
        Devices(NoCommands()).at(path)


def test_one_that_nobody_could_recognize(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with loops(tmp_path) as real:
        path = real.add("disk", bytes(SIZE))
        monkeypatch.setattr(devices, "identity_of", lambda *dummy: None)
        with pytest.raises(InvalidInput, match="neither a serial number nor"):
            Devices(NoCommands()).at(path)


# --- what is on it ---


@pytest.mark.parametrize("content", [b"", bytes(512), bytes(SIZE), used_disk(SIZE)], ids=len)
def test_zeroes_at_both_ends_are_nothing(folder: pathlib.Path, content: bytes) -> None:
    assert Devices(NoCommands()).content_of(device(folder / "disk", content)) is None


@pytest.mark.parametrize("place", [0, 511, MIB - 1, SIZE - MIB, SIZE - 1])
def test_anything_else_is_something(folder: pathlib.Path, place: int) -> None:
    content = bytearray(SIZE)
    content[place] = 1
    assert Devices(HostRunner()).content_of(device(folder / "disk", bytes(content))) == Content("data of an unknown kind")


@pytest.mark.parametrize("content, command, words", [
    (bytes(SIZE), "mkfs.ext4 -q -L root", "ext4 file system (root)"),
    (bytes(SIZE), "mkswap -q", "swap"),
    (raw_disk(SIZE), "true", "a dos partition table"),
])
def test_what_blkid_knows_has_a_name(folder: pathlib.Path, content: bytes, command: str, words: str) -> None:
    disk = device(folder / "disk", content)
    subprocess.run(command.split() + [disk.path], check=True, capture_output=True)
    assert Devices(HostRunner()).content_of(disk) == Content(words)


@pytest.mark.parametrize("answer, content", [
    (Answers(0, "DEVNAME=/dev/sdb\nUUID=1\nTYPE=LVM2_member\nUSAGE=raid\n"), Content("a signature of LVM2_member", member=True)),
    (Answers(0, "TYPE=crypto_LUKS\nUSAGE=crypto\n"), Content("crypto_LUKS")),
    (Answers(8), Content("signatures of several kinds of content")),
    (Answers(2), Content("data of an unknown kind")),
    (Answers(127, "", "no blkid"), Content("data of an unknown kind")),
])
def test_what_blkid_may_say(folder: pathlib.Path, answer: Answers, content: Content) -> None:
    disk = device(folder / "disk", b"x" * SIZE)
    assert Devices(answer).content_of(disk) == content
    assert answer.commands == [["blkid", "--probe", "--output", "export", disk.path]]


def test_one_that_cannot_be_read(folder: pathlib.Path) -> None:
    with pytest.raises(BackendError, match="cannot be read"):
        Devices(NoCommands()).content_of(Device(str(folder / "none"), "8:0", SIZE, "serial", "8:0"))
