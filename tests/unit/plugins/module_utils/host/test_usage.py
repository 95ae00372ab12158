# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import pathlib
import shutil
import struct
import subprocess

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.host import usage


def test_nobody_uses_an_idle_file_or_none(folder: pathlib.Path) -> None:
    (folder / "x").write_bytes(b"x")
    assert usage.users_of(str(folder / "x")) == []
    assert usage.users_of(str(folder / "none")) == []


def test_what_this_process_has_open_does_not_count(folder: pathlib.Path) -> None:
    with open(folder / "x", "wb"):
        assert usage.users_of(str(folder / "x")) == []


def test_a_process_that_has_it_open_is_named(folder: pathlib.Path) -> None:
    (folder / "x").write_bytes(b"x")
    with open(folder / "x", "rb") as file, subprocess.Popen(["sleep", "60"], stdin=file) as process:
        try:
            assert usage.users_of(str(folder / "x")) == ["process %d (sleep)" % process.pid]
        finally:
            process.kill()


@pytest.mark.parametrize("kind", [fcntl.F_RDLCK, fcntl.F_WRLCK])
def test_a_lock_of_an_open_file_description_is_seen(folder: pathlib.Path, kind: int) -> None:
    (folder / "x").write_bytes(b"x")
    with open(folder / "x", "r+b") as file:
        fcntl.fcntl(file, 37, struct.pack("hhqqi4x", kind, os.SEEK_SET, 201, 1, 0))
        users = usage.users_of(str(folder / "x"))
    assert len(users) == 1 and "lock" in users[0]
    assert usage.users_of(str(folder / "x")) == []


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="no QEMU here")
def test_a_running_qemu_is_seen(folder: pathlib.Path) -> None:
    disk = folder / "disk"
    disk.write_bytes(bytes(1 << 20))
    command = ["qemu-system-x86_64", "-S", "-display", "none", "-nodefaults", "-machine", "pc,accel=tcg", "-m", "32", "-serial", "none", "-monitor", "none",
               "-qmp", "stdio", "-drive", "if=virtio,format=raw,file=%s" % disk]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as qemu:
        try:
            assert qemu.stdout and b"QMP" in qemu.stdout.readline()  # its disks are open when it greets
            assert usage.users_of(str(disk)) == ["process %d (qemu-system-x86)" % qemu.pid]
            assert usage._is_locked(str(disk))
        finally:
            qemu.kill()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_loop_device_is_seen(tmp_path: pathlib.Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    made = subprocess.run(["losetup", "--find", "--show", str(disk)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip("no loop devices here")
    try:
        assert usage.users_of(str(disk)) == [made.stdout.strip()]
    finally:
        subprocess.run(["losetup", "-d", made.stdout.strip()], check=True)
