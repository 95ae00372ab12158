# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host import block_file, files
from ansible_collections.bootable.volumes.plugins.module_utils.host.block_file import BlockFile
from ansible_collections.bootable.volumes.tests.unit.fakes.devices import loops
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import pattern

SIZE = 4 * MIB
OLD = b"\xa5" * SIZE


@pytest.fixture
def path(folder: pathlib.Path) -> str:
    (folder / "device").write_bytes(OLD)
    return str(folder / "device")


def zeroed(path: str, offset: int, length: int, **how: t.Any) -> bytes:
    """What the device holds after a range was zeroed."""
    with BlockFile.claim(path, write=True, **how) as file:
        file.zero(offset, length)
        file.flush()
    with open(path, "rb") as content:
        return content.read()


RANGES = [(0, SIZE), (0, 512), (1000, 10), (1000, MIB), (511, 514), (SIZE - 1, 1), (MIB, 0)]


@pytest.mark.parametrize("offset, length", RANGES)
@pytest.mark.parametrize("able", [("punch",), ("zero out",), (), ("thin",)], ids=str)
def test_a_range_is_zeroed_and_nothing_else(path: str, offset: int, length: int, able: t.Tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the device is able to do; a plain file can do no more than punch holes."""
    if "punch" not in able:
        monkeypatch.setattr(files, "punch_hole", lambda *dummy: False)
    if "zero out" in able:
        monkeypatch.setattr(BlockFile, "_order", lambda self, request, start, count: os.pwrite(self.fd, bytes(count), start) == count)
    assert zeroed(path, offset, length, thin="thin" in able) == OLD[:offset] + bytes(length) + OLD[offset + length:]


@pytest.mark.parametrize("offset, length", RANGES)
@pytest.mark.parametrize("sector", [512, 4096])
def test_so_it_is_on_a_real_device(tmp_path: pathlib.Path, offset: int, length: int, sector: int) -> None:
    with loops(tmp_path, sector=sector) as real:
        path = real.add("disk", OLD)
        assert zeroed(path, offset, length) == OLD[:offset] + bytes(length) + OLD[offset + length:]
        if length == SIZE:
            assert os.stat(tmp_path / "disk.disk").st_blocks == 0, "what can be given back is given back"


WRITES = [(0, SIZE), (0, 512), (1000, 10), (1000, MIB + 3), (511, 514), (SIZE - 1, 1), (SIZE - 5000, 5000), (512, 3 * MIB)]


def written(path: str, offset: int, data: bytes) -> bytes:
    """What the device holds after a write, and what the writer reads meanwhile."""
    with BlockFile.claim(path, write=True) as file:
        file.write(offset, data)
        assert file.read(offset, len(data)) == data
        file.write(offset, data)
        file.flush()
    with open(path, "rb") as content:
        return content.read()


@pytest.mark.parametrize("offset, length", WRITES)
@pytest.mark.parametrize("able", ["direct", "refused", "refused late"])
def test_bytes_go_where_they_belong(path: str, offset: int, length: int, able: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the page cache, where the file system of the plain file has that, and through it."""
    if able == "refused":
        monkeypatch.setattr(os, "O_DIRECT", 1 << 40)
    if able == "refused late":
        real = os.pwrite

        def pwrite(fd: int, data: memoryview, place: int) -> int:
            if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
                raise OSError(errno.EINVAL, "")
            return real(fd, data, place)

        monkeypatch.setattr(os, "pwrite", pwrite)
    data = pattern(SIZE)[:length]
    assert written(path, offset, data) == OLD[:offset] + data + OLD[offset + length:]


@pytest.mark.parametrize("offset, length", WRITES)
@pytest.mark.parametrize("sector", [512, 4096])
def test_so_they_do_on_a_real_device(tmp_path: pathlib.Path, offset: int, length: int, sector: int) -> None:
    with loops(tmp_path, sector=sector) as real:
        path, data = real.add("disk", OLD), pattern(SIZE)[:length]
        assert written(path, offset, data) == OLD[:offset] + data + OLD[offset + length:]


def test_a_thin_device_is_asked_to_give_back_and_then_looked_at(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: t.List[int] = []

    def discard(self: BlockFile, request: int, offset: int, length: int) -> bool:
        orders.append(request)
        os.pwrite(self.fd, bytes(MIB), MIB)  # a pool gives back whole chunks, if any
        return True

    monkeypatch.setattr(BlockFile, "_order", discard)
    assert zeroed(path, 0, SIZE, thin=True) == bytes(SIZE)
    assert orders == [0x1277]


def test_a_way_that_failed_is_not_tried_again(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: t.List[str] = []
    monkeypatch.setattr(files, "punch_hole", lambda *dummy: tried.append("punch"))
    with BlockFile.claim(path, write=True) as file:
        file.zero(0, MIB)
        file.zero(MIB, MIB)
    assert tried == ["punch"]


def test_its_size_is_its_own(path: str) -> None:
    with BlockFile.claim(path, write=True) as file:
        assert file.size == SIZE
        file.resize(SIZE)
        with pytest.raises(NoRoom):
            file.resize(SIZE + 1)


@pytest.mark.parametrize("number, kind, words", [
    (errno.ENOSPC, NoRoom, "/device took no more.*thin pool, is full"), (errno.EIO, BackendError, "writing to /.*/device failed.*nothing was published"),
])
def test_what_a_device_says_when_it_cannot(path: str, monkeypatch: pytest.MonkeyPatch, number: int, kind: t.Type[Exception], words: str) -> None:
    def fail(*dummy: t.Any) -> t.NoReturn:
        raise OSError(number, os.strerror(number))

    with BlockFile.claim(path, write=True) as file, monkeypatch.context() as patch:
        for name in ("pwrite", "fsync"):
            patch.setattr(os, name, fail)
        patch.setattr(block_file.fcntl, "ioctl", fail)
        patch.setattr(files, "punch_hole", lambda *dummy: False)
        for attempt in (lambda: file.write(5, b"x"), file.flush, lambda: file.zero(0, KIB)):
            with pytest.raises(kind, match=words):
                attempt()


def test_a_disk_that_was_taken_out_is_not_called_full(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux lets its size be 0 then, and says that there is no room."""
    def fail(*dummy: t.Any) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with BlockFile.claim(path, write=True) as file, monkeypatch.context() as patch:
        os.truncate(path, 0)
        patch.setattr(os, "pwrite", fail)
        with pytest.raises(BackendError, match="writing to /.*/device failed at 5: it is not there any more") as caught:
            file.write(5, b"x")
    assert not isinstance(caught.value, NoRoom)


def test_one_at_a_time(tmp_path: pathlib.Path, path: str) -> None:
    with loops(tmp_path) as real:
        disk = real.add("disk", OLD)
        with BlockFile.claim(disk, write=False), pytest.raises(InUse, match="the kernel does not give it away"):
            BlockFile.claim(disk, write=True)
    with pytest.raises(BackendError, match="cannot be opened"):
        BlockFile.claim(path + "none", write=True)
