# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import struct
import tempfile
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.stream import HEADER, Feed, StreamHandle, fetch
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import pattern

SIZE = 8 * MIB


class Disk:
    """What the command does, with bytes in memory.

    :ivar streams: What was imported, each as a whole.
    """

    def __init__(self) -> None:
        self.streams: t.List[bytes] = []
        self.data = bytearray(SIZE)

    def importing(self, fd: int) -> None:
        with open(os.dup(fd), "rb") as file:
            stream = file.read()
        if not stream.endswith(b"e"):
            raise BackendError("import-diff failed: no end")
        self.streams.append(stream)
        at = len(HEADER)
        while stream[at:at + 1] != b"e":
            kind, offset, length = struct.unpack_from("<cQQ", stream, at)
            at += 17
            self.data[offset:offset + length] = stream[at:at + length] if kind == b"w" else bytes(length)
            at += length if kind == b"w" else 0

    def exporting(self, fd: int) -> None:
        os.write(fd, HEADER + struct.pack("<cI", b"t", 2) + b"s1" + struct.pack("<cQ", b"s", SIZE))
        for offset in range(0, SIZE, MIB):
            piece = bytes(self.data[offset:offset + MIB])
            record = struct.pack("<cQQ", b"w", offset, MIB) + piece if piece.strip(b"\0") else struct.pack("<cQQ", b"z", offset, MIB)
            with open(os.dup(fd), "wb") as file:
                file.write(record)
        os.write(fd, b"e")

    def open(self, write: bool = True) -> StreamHandle:
        return StreamHandle(SIZE, importing=self.importing if write else None, exporting=self.exporting)


def test_what_goes_forward_is_one_stream() -> None:
    disk = Disk()
    with disk.open() as handle:
        for offset in (0, 2 * MIB, 5 * MIB):
            handle.write(offset, pattern(MIB, offset + 1 & 0xFFFF))
        handle.zero(6 * MIB, MIB)
    assert len(disk.streams) == 1
    assert disk.data[2 * MIB:3 * MIB] == pattern(MIB, 2 * MIB + 1 & 0xFFFF)


def test_what_goes_back_is_another_one_for_the_command_promises_no_order() -> None:
    disk = Disk()
    with disk.open() as handle:
        handle.write(10, b"first")
        handle.zero(12, 2)
        assert handle.read(8, 10) == b"\0\0fi\0\0t\0\0\0"
        handle.write(15, b"x")
    assert len(disk.streams) == 3
    assert bytes(disk.data[10:17]) == b"fi\0\0tx\0"


def test_only_what_is_open_for_it_is_written() -> None:
    disk = Disk()
    with disk.open(write=False) as handle:
        with pytest.raises(InvalidInput, match="not open for writing"):
            handle.write(0, b"x")
        assert handle.read(SIZE - 1, 10) == b"\0"
    handle.close()
    with pytest.raises(InvalidInput, match="not open any more"):
        handle.read(0, 1)
    assert disk.streams == []


def test_what_fails_is_not_ended_as_if_it_were_whole() -> None:
    disk = Disk()
    with pytest.raises(KeyError), disk.open() as handle:
        handle.write(0, b"half")
        raise KeyError
    assert disk.streams == [] and not any(disk.data)


def test_a_command_that_ends_early_says_why() -> None:
    def dies(fd: int) -> None:
        os.read(fd, 100)
        raise BackendError("rbd: no space left")

    feed = Feed(dies)
    with pytest.raises(BackendError, match="no space left"):
        for offset in range(0, 64 * MIB, MIB):
            feed.write(offset, pattern(MIB))
        feed.finish()


@pytest.mark.parametrize("stream, words", [
    (b"rbd image v1\n", "no stream of changes"),
    (HEADER + b"x", "unknown"),
    (HEADER, "no end"),
    (HEADER + b"w" + bytes(10), "middle of a record"),
    (HEADER + struct.pack("<cQQ", b"w", 0, 100) + b"short", "middle of a record"),
])
def test_streams_that_are_none(stream: bytes, words: str) -> None:
    with RawFile.nameless(tempfile.gettempdir()) as file, pytest.raises(BackendError, match=words):
        fetch(lambda fd: os.write(fd, stream), file)


def test_the_commands_own_words_come_first() -> None:
    def fails(fd: int) -> None:
        raise BackendError("rbd: error opening image")

    with RawFile.nameless(tempfile.gettempdir()) as file, pytest.raises(BackendError, match="error opening image"):
        fetch(fails, file)
