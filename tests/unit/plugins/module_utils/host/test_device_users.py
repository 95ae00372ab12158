# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import stat
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.host import device_users, usage
from ansible_collections.bootable.volumes.plugins.module_utils.host.device_users import users_of_device
from ansible_collections.bootable.volumes.plugins.module_utils.host.mounts import Mount, Mounts


@pytest.fixture
def disk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A disk with two partitions in a sysfs of its own; nothing uses it."""
    for path, number, partition in (("sda", "8:0", ""), ("sda/sda1", "8:1", "1"), ("sda/sda2", "8:2", "2")):
        (tmp_path / path / "holders").mkdir(parents=True)
        (tmp_path / path / "dev").write_text(number + "\n")
        if partition:
            (tmp_path / path / "partition").write_text(partition + "\n")
    (tmp_path / "swaps").write_text("Filename\tType\tSize\tUsed\tPriority\n")
    monkeypatch.setattr(device_users, "SWAPS", str(tmp_path / "swaps"))
    monkeypatch.setattr(device_users.mounts.Mounts, "now", classmethod(lambda cls: Mounts([])))
    monkeypatch.setattr(usage, "users_of", lambda path: [])
    return tmp_path / "sda"


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes in /dev that this machine has not."""
    real = os.stat

    class Node:
        st_mode = stat.S_IFBLK

        def __init__(self, minor: int) -> None:
            self.st_rdev = os.makedev(8, minor)

    found = {"/dev/sda": 0, "/dev/sda1": 1, "/dev/sda2": 2}
    monkeypatch.setattr(os, "stat", lambda path, **how: Node(found[path]) if path in found else real(path, **how))


def users(disk: pathlib.Path) -> t.List[str]:
    return users_of_device("/dev/sda", str(disk))


def test_an_idle_disk(disk: pathlib.Path) -> None:
    assert users(disk) == []


def test_what_is_mounted_by_number_or_by_node(disk: pathlib.Path, nodes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_users.mounts.Mounts, "now", classmethod(lambda cls: Mounts([
        Mount("/", "ext4", "/dev/root", False, "254:0"), Mount("/srv", "xfs", "/dev/sda1", False, "8:1"),
        Mount("/data", "btrfs", "/dev/sda2", False, "0:41"), Mount("/proc", "proc", "proc", False, "0:5"), Mount("/x", "ext4", "/dev/none", False, "9:9"),
    ])))
    assert users(disk) == ["its partition sda1 is mounted on /srv", "its partition sda2 is mounted on /data"]


def test_swap_space(disk: pathlib.Path, nodes: None, tmp_path: pathlib.Path) -> None:
    (tmp_path / "swaps").write_text("Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1 0 -2\n/swapfile file 1 0 -3\n")
    assert users(disk) == ["its partition sda2 is swap space"]


def test_what_is_built_on_it(disk: pathlib.Path) -> None:
    (disk / "holders" / "dm-3" / "dm").mkdir(parents=True)
    (disk / "holders" / "dm-3" / "dm" / "name").write_text("vg-root\n")
    (disk / "sda1" / "holders" / "md0").mkdir()
    assert users(disk) == ["held by dm-3 (vg-root)", "its partition sda1 is held by md0"]


def test_who_only_looks_does_not_count(disk: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "users_of", lambda path: ["process 7 ((udev-worker))", "process 8 (qemu-system-x86)", "process 9 (blkid)", "/dev/loop1"])
    assert users(disk) == ["process 8 (qemu-system-x86)", "/dev/loop1"]


def test_a_disk_that_is_pulled_meanwhile(tmp_path: pathlib.Path, disk: pathlib.Path) -> None:
    assert users_of_device("/dev/sdz", str(tmp_path / "sdz")) == []
