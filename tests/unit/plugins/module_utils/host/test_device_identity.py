# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.host import device_identity
from ansible_collections.bootable.volumes.plugins.module_utils.host.device_identity import identity_of


@pytest.fixture(autouse=True)
def udev(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """What udev knows: nothing, unless a test says otherwise."""
    monkeypatch.setattr(device_identity, "UDEV", str(tmp_path / "udev"))
    (tmp_path / "udev").mkdir()
    return tmp_path / "udev"


def plug(folder: pathlib.Path, attributes: t.Mapping[str, str]) -> str:
    """A device's folder in sysfs."""
    for name, value in attributes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(value + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


@pytest.mark.parametrize("attributes, identity", [
    ({"wwid": "eui.0025385b71b0a1c2", "device/serial": "S4"}, "eui.0025385b71b0a1c2"),
    ({"device/wwid": "t10.ATA     QEMU HARDDISK      QM00001"}, "t10.ATA QEMU HARDDISK QM00001"),
    ({"serial": "2f7d-volume", "device/vendor": "0x1af4"}, "2f7d-volume"),
    ({"dm/uuid": "mpath-3600", "dm/name": "mpatha", "wwid": "x"}, "dm-mpath-3600"),
    ({"dm/uuid": "", "dm/name": "plain"}, "dm-plain"),
    ({"md/uuid": "a:b"}, "a:b"),
    ({"size": "8"}, None),
], ids=lambda value: str(value)[:30])
def test_what_a_device_says_of_itself(tmp_path: pathlib.Path, attributes: t.Dict[str, str], identity: t.Optional[str]) -> None:
    assert identity_of(plug(tmp_path / "sda", attributes), "8:0") == identity


def test_a_partition_is_a_part_of_its_disk(tmp_path: pathlib.Path) -> None:
    plug(tmp_path / "sda", {"dev": "8:0", "wwid": "naa.5"})
    part = plug(tmp_path / "sda" / "sda2", {"dev": "8:2", "partition": "2", "start": "2048"})
    assert identity_of(part, "8:2") == "naa.5/part2@2048"
    plug(tmp_path / "sdb", {"dev": "8:16"})
    assert identity_of(plug(tmp_path / "sdb" / "sdb1", {"partition": "1", "start": "8"}), "8:17") is None


def test_a_loop_device_is_its_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "disk"
    file.touch()
    loop = plug(tmp_path / "loop0", {"loop/backing_file": str(file), "loop/offset": "0"})
    assert identity_of(loop, "7:0") == "loop-%d@0-%s" % (file.stat().st_ino, file)
    file.unlink()
    assert identity_of(loop, "7:0") is None


def test_udev_knows_more(tmp_path: pathlib.Path, udev: pathlib.Path) -> None:
    disk = plug(tmp_path / "sda", {})
    (udev / "b8:0").write_text("S:disk/by-path/pci-1\nS:disk/by-id/scsi-1QEMU\nS:disk/by-id/wwn-0x5\nE:ID_SERIAL=1\n")
    assert identity_of(disk, "8:0") == "wwn-0x5"
    (udev / "b8:0").write_text("S:disk/by-path/pci-1\n")
    assert identity_of(disk, "8:0") is None


def test_a_disk_without_a_number_is_where_it_is_plugged_in(tmp_path: pathlib.Path) -> None:
    slot = tmp_path / "devices" / "pci0000:00" / "0000:00:05.0" / "virtio2"
    slot.mkdir(parents=True)
    disk = plug(tmp_path / "vda", {"size": "8"})
    os.symlink(slot, os.path.join(disk, "device"))
    assert identity_of(disk, "254:0") == "at-pci0000:00-0000:00:05.0-virtio2"
