# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, TimedOut, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import QemuImg
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.export import Export, Outlet, exported
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.reader import CHUNK
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import SIZE, qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import Ear, HostRunner, NoCommands, make_job

CONVERTED = ("qcow2", "vhd", "vhdx", "vmdk", "vdi")


class Memory:
    """A disk in memory that counts how often it is opened."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.opened = 0

    def __call__(self) -> t.Any:
        self.opened += 1
        return self

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset:offset + length]


def outlet(data: bytes = raw_disk(), **how: t.Any) -> Outlet:
    """A volume in memory."""
    return Outlet(**dict({"name": "golden", "size": len(data), "open": Memory(data)}, **how))


def converted(file: pathlib.Path, format: str, target_format: str) -> pathlib.Path:
    """The same disk in another file and format."""
    target, qemu = file.with_suffix("." + target_format), QemuImg(HostRunner())
    qemu.create(str(target), target_format, SIZE)
    qemu.convert_into(str(file), format, str(target), target_format, deadline=make_job().deadline, what="a test")
    return target


def test_raw_is_read_as_it_is_in_pieces() -> None:
    data, ear = os.urandom(1024) * (2 * CHUNK // 1024) + b"end", Ear()
    with exported(outlet(data, runner=NoCommands()), "raw", make_job(listener=ear)) as export:
        assert export.size == len(data)
        for dummy in range(2):
            pieces = list(export.chunks())
            assert b"".join(pieces) == data and [len(piece) for piece in pieces] == [CHUNK, CHUNK, 3]
    assert ear.phases() == ["upload"] and ear.events[-1].done == ear.events[-1].total == len(data)


def test_a_volume_that_is_shorter_than_it_says() -> None:
    export = Export("golden", Memory(b"12345"), 10, make_job())
    with pytest.raises(BackendError, match="golden ended after 5 of 10 bytes"):
        list(export.chunks())


def test_out_of_time() -> None:
    job = make_job(5)
    with exported(outlet(bytes(2 * CHUNK)), "raw", job) as export:
        chunks = export.chunks()
        next(chunks)
        job.deadline.clock.sleep(10)
        with pytest.raises(TimedOut, match="golden to be sent") as caught:
            next(chunks)
    assert caught.value.details == {"sent": CHUNK, "size": 2 * CHUNK}


@pytest.mark.parametrize("format", CONVERTED)
@pytest.mark.parametrize("as_file", [None, "raw", "qcow2", "vdi"])
def test_another_format_is_made_first(folder: pathlib.Path, as_file: t.Optional[str], format: str) -> None:
    runner, file = HostRunner(), folder / "volume"
    if as_file:
        file.write_bytes(raw_disk())
        if as_file != "raw":
            file = converted(file, "raw", as_file)
    source = outlet(runner=runner, file=(str(file), as_file) if as_file else None)
    there = sorted(os.listdir(folder))
    with exported(source, format, make_job()) as export:
        data = b"".join(export.chunks())
        assert len(data) == export.size
    assert sorted(os.listdir(folder)) == there and bool(t.cast(Memory, source.open).opened) is (as_file is None)
    (folder / "image").write_bytes(data)
    assert QemuImg(runner).info(str(folder / "image"), format).virtual_size == SIZE
    assert converted(folder / "image", format, "raw").read_bytes() == raw_disk()


def test_zeroes_take_no_room_on_the_way() -> None:
    data = bytes(4 * CHUNK) + b"x" * CHUNK
    with exported(outlet(data, runner=HostRunner()), "qcow2", make_job()) as export:
        assert export.size < 2 * CHUNK


def test_a_file_that_has_the_format_already_is_sent_as_it_is(folder: pathlib.Path) -> None:
    file, runner = folder / "volume", HostRunner()
    file.write_bytes(qcow2(raw_disk()))
    with exported(outlet(runner=runner, file=(str(file), "qcow2")), "qcow2", make_job()) as export:
        assert b"".join(export.chunks()) == file.read_bytes()
    assert not [command for command in runner.commands if "convert" in command or "create" in command]


@pytest.mark.parametrize("format", ["qcow2", "vhd"])
def test_but_not_one_that_refers_to_others(folder: pathlib.Path, format: str) -> None:
    file = folder / "volume"
    file.write_bytes(qcow2(backing=b"/etc/passwd"))
    with pytest.raises(UnsafeImage):
        with exported(outlet(runner=HostRunner(), file=(str(file), "qcow2")), format, make_job()):
            raise AssertionError("it was opened")


@pytest.mark.parametrize("runner, format, words", [
    (None, "qcow2", "qcow2 cannot be made of golden here; use raw$"),
    (NoCommands(), "ploop", "ploop cannot be made of golden here; use raw or one of .*qcow2"),
])
def test_formats_that_cannot_be_had(runner: t.Any, format: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        with exported(outlet(runner=runner), format, make_job()):
            raise AssertionError("it was opened")


def test_a_raw_file_is_opened_like_any_volume(folder: pathlib.Path) -> None:
    (folder / "volume").write_bytes(raw_disk())
    with exported(outlet(open=lambda: RawFile.open(str(folder / "volume"), write=False)), "raw", make_job()) as export:
        assert b"".join(export.chunks()) == raw_disk()
