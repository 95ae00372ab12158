# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.storage.sheepdog.dog import Dog
from ansible_collections.bootable.volumes.plugins.module_utils.storage.sheepdog.handle import PIECE, SheepHandle

SIZE = 3 * PIECE


class Disk(Dog):
    """One VDI in memory.

    :ivar calls: (what, offset, length) of each command.
    """

    def __init__(self) -> None:
        self.data = bytearray(SIZE)
        self.calls: t.List[t.Tuple[str, int, int]] = []
        self.short = 0

    def read(self, name: str, offset: int, length: int, fd: int) -> None:
        self.calls.append(("read", offset, length))
        with open(os.dup(fd), "wb") as file:
            file.write(self.data[offset:offset + length - self.short])

    def write(self, name: str, offset: int, length: int, fd: int) -> None:
        self.calls.append(("write", offset, length))
        with open(os.dup(fd), "rb") as file:
            self.data[offset:offset + length] = file.read(length)


def test_what_follows_each_other_goes_together() -> None:
    disk = Disk()
    with SheepHandle(disk, "v", SIZE, write=True) as handle:
        for number in range(40):
            handle.write(number * MIB, bytes([number + 1]) * MIB)
        handle.write(80 * MIB, b"x")
        handle.zero(0, 3)
    assert list(disk.calls) == [("write", 0, PIECE), ("write", PIECE, 8 * MIB), ("write", 80 * MIB, 1), ("write", 0, 3)]
    assert disk.data[:4] == b"\0\0\0\x01" and disk.data[39 * MIB] == 40 and disk.data[80 * MIB] == ord("x")


def test_what_is_read_comes_in_large_pieces_and_is_what_was_written() -> None:
    disk = Disk()
    with SheepHandle(disk, "v", SIZE, write=True) as handle:
        handle.write(PIECE - 2, b"abcd")
        assert handle.read(PIECE - 3, 6) == b"\0abcd\0"
        assert handle.read(0, 1) == b"\0"
        handle.write(0, b"z")
        assert handle.read(0, 2) == b"z\0"
        assert handle.read(SIZE - 1, 10) == b"\0"
        assert handle.read(SIZE, 1) == b""
    assert len([call for call in disk.calls if call[0] == "read"]) == 4


def test_a_read_that_comes_short_is_no_zeroes() -> None:
    disk = Disk()
    disk.short = 1
    with pytest.raises(BackendError, match="instead of"):
        SheepHandle(disk, "v", SIZE, write=False).read(0, 10)


def test_only_what_is_open_for_it_is_written() -> None:
    disk = Disk()
    with SheepHandle(disk, "v", SIZE, write=False) as handle, pytest.raises(InvalidInput, match="not open for writing"):
        handle.write(0, b"x")
    with pytest.raises(InvalidInput, match="not open any more"):
        handle.flush()
    with pytest.raises(KeyError), SheepHandle(disk, "v", SIZE, write=True) as handle:
        handle.write(0, b"half")
        raise KeyError
    assert disk.calls == []
