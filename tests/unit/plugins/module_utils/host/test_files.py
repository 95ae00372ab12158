# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host import files
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import pattern


@pytest.fixture
def pair(folder: pathlib.Path) -> t.Iterator[t.Tuple[int, int]]:
    """A sparse file with 64 KiB at 1 MiB and at its end, and an empty one."""
    source = os.open(folder / "source", os.O_RDWR | os.O_CREAT)
    target = os.open(folder / "target", os.O_RDWR | os.O_CREAT)
    os.ftruncate(source, 4 * MIB)
    os.pwrite(source, pattern(64 * KIB), MIB)
    os.pwrite(source, pattern(64 * KIB), 4 * MIB - 64 * KIB)
    yield source, target
    os.close(source)
    os.close(target)


def content(fd: int) -> bytes:
    """The whole file."""
    return os.pread(fd, os.fstat(fd).st_size, 0)


def test_a_file_is_replaced_as_a_whole(folder: pathlib.Path) -> None:
    path = folder / "x.json"
    files.write_atomically(str(path), b"one")
    before = path.stat().st_ino
    files.write_atomically(str(path), b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert path.stat().st_ino != before
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(folder) == ["x.json"]


def test_extents_tell_the_data(pair: t.Tuple[int, int]) -> None:
    assert list(files.extents(pair[0], 0, 4 * MIB)) == [(MIB, 64 * KIB), (4 * MIB - 64 * KIB, 64 * KIB)]
    assert list(files.extents(pair[0], 2 * MIB, 3 * MIB)) == []
    assert list(files.extents(pair[1], 0, 0)) == []


def test_a_copy_keeps_holes(pair: t.Tuple[int, int]) -> None:
    source, target = pair
    told: t.List[int] = []
    files.copy_sparse(source, target, progress=told.append)
    assert content(target) == content(source)
    assert os.fstat(target).st_blocks == os.fstat(source).st_blocks
    assert sum(told) == 128 * KIB


def test_a_copy_without_the_kernels_help(pair: t.Tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*dummy: t.Any) -> t.NoReturn:
        raise OSError(errno.EXDEV, "cross-device")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    files.copy_sparse(*pair)
    assert content(pair[1]) == content(pair[0])


def test_a_dense_copy_writes_all(pair: t.Tuple[int, int]) -> None:
    files.copy_densely(*pair)
    assert content(pair[1]) == content(pair[0])
    assert os.fstat(pair[1]).st_blocks * 512 >= 4 * MIB


def test_a_copy_can_be_stopped(pair: t.Tuple[int, int]) -> None:
    def stop(dummy: int) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        files.copy_sparse(*pair, progress=stop)


def test_holes_and_zeroes_are_the_same_content(pair: t.Tuple[int, int]) -> None:
    files.copy_densely(*pair)
    assert files.same_content(*pair)
    os.pwrite(pair[1], b"x", 2 * MIB)
    assert not files.same_content(*pair)
    assert not files.same_content(pair[1], pair[0])
    os.ftruncate(pair[1], MIB)
    assert not files.same_content(*pair)


def test_a_range_becomes_zero(pair: t.Tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    source = pair[0]
    blocks = os.fstat(source).st_blocks
    files.punch(source, MIB, 64 * KIB)
    assert os.pread(source, 64 * KIB, MIB) == bytes(64 * KIB)
    assert os.fstat(source).st_blocks < blocks
    monkeypatch.setattr(files, "_fallocate", lambda *dummy: False)
    files.punch(source, 4 * MIB - 64 * KIB, 64 * KIB)
    files.punch(source, 0, 0)
    assert content(source) == bytes(4 * MIB)


def test_blocks_are_reserved_around_what_is_there(pair: t.Tuple[int, int]) -> None:
    before = content(pair[0])
    files.reserve_blocks(pair[0], 4 * MIB)
    assert content(pair[0]) == before
    assert os.fstat(pair[0]).st_blocks * 512 >= 4 * MIB


@pytest.mark.parametrize("number, kind, word", [
    (errno.ENOSPC, NoRoom, "full"), (errno.EDQUOT, NoRoom, "full"), (errno.EFBIG, NoRoom, "cannot hold"),
    (errno.EIO, BackendError, "writing to %s failed: Input/output"),
])
def test_errors_of_writing_say_what_to_do(folder: pathlib.Path, number: int, kind: t.Type[Exception], word: str) -> None:
    with open(folder / "x", "wb") as file:
        error = files.no_room(OSError(number, os.strerror(number)), 5, file.fileno())
    assert error.__class__ is kind and word.replace("%s", str(folder / "x")) in str(error)


def test_removing_what_is_gone(folder: pathlib.Path) -> None:
    (folder / "x").touch()
    assert files.remove_if_there(str(folder / "x")) is True
    assert files.remove_if_there(str(folder / "x")) is False


def test_a_link_is_no_regular_file(folder: pathlib.Path) -> None:
    (folder / "x").touch()
    (folder / "link").symlink_to("x")
    assert files.is_regular(str(folder / "x"))
    assert not files.is_regular(str(folder / "link"))
    assert not files.is_regular(str(folder))
    assert not files.is_regular(str(folder / "none"))
