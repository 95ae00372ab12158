# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.host.files import BLOCK
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.writer import Target, Writer, runs


class Memory:
    """A sink that remembers what was done to it."""

    def __init__(self, size: int, fill: bytes = b"\xff") -> None:
        self.data = bytearray(fill * size)
        self.calls: t.List[t.Tuple[str, int, int]] = []

    def write(self, offset: int, data: bytes) -> None:
        self.calls.append(("write", offset, len(data)))
        self.data[offset:offset + len(data)] = data

    def zero(self, offset: int, length: int) -> None:
        self.calls.append(("zero", offset, length))
        self.data[offset:offset + length] = bytes(length)


@pytest.mark.parametrize("chunk, expected", [
    (b"", []),
    (b"\0", [(0, 1, False)]),
    (b"x", [(0, 1, True)]),
    (bytes(BLOCK) + b"x" * BLOCK + bytes(BLOCK), [(0, BLOCK, False), (BLOCK, BLOCK, True), (2 * BLOCK, BLOCK, False)]),
    (b"x" + bytes(2 * BLOCK), [(0, BLOCK, True), (BLOCK, BLOCK + 1, False)]),
    (bytes(BLOCK - 1) + b"x", [(0, BLOCK, True)]),
])
def test_stretches_of_data_and_zeroes(chunk: bytes, expected: t.List[t.Tuple[int, int, bool]]) -> None:
    assert list(runs(chunk)) == expected


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3 * BLOCK)), max_size=5))
def test_stretches_cover_everything_once(parts: t.List[t.Tuple[bool, int]]) -> None:
    chunk = b"".join((b"x" if data else b"\0") * length for data, length in parts)
    found = list(runs(chunk))
    assert b"".join(chunk[offset:offset + length] for offset, length, dummy in found) == chunk
    assert [offset for offset, dummy, dummy2 in found] == [sum(each[1] for each in found[:index]) for index in range(len(found))]
    assert all(not any(chunk[offset:offset + length]) for offset, length, data in found if not data)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("fresh", [True, False])
def test_every_target_gets_everything(count: int, fresh: bool) -> None:
    size = 8 * BLOCK
    sinks = [Memory(size, b"\0" if fresh else b"\xff") for dummy in range(count)]
    with Writer([Target("v", size, sink) for sink in sinks], fresh=fresh) as writer:
        writer.put(0, b"a" * BLOCK + bytes(BLOCK))
        writer.skip(2 * BLOCK, BLOCK)
        writer.put(3 * BLOCK, b"b" * BLOCK)
        writer.finish(4 * BLOCK)
    for sink in sinks:
        assert bytes(sink.data) == b"a" * BLOCK + bytes(2 * BLOCK) + b"b" * BLOCK + bytes(4 * BLOCK)
        assert (("zero", 4 * BLOCK, 4 * BLOCK) in sink.calls) is not fresh
        if fresh:
            assert {call[0] for call in sink.calls} == {"write"}


def test_a_target_that_is_too_small_is_told_before_it_is_written_to() -> None:
    sink = Memory(BLOCK)
    with Writer([Target("v", BLOCK, sink)], fresh=True) as writer, pytest.raises(InvalidInput, match="v has 64 KiB"):
        writer.put(0, bytes(BLOCK + 1))
    assert sink.calls == []


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_one_target_comes_out(count: int) -> None:
    class Full(Memory):
        def write(self, offset: int, data: bytes) -> None:
            raise NoRoom("full")

    with pytest.raises(NoRoom), Writer([Target("v", None, Full(0)) for dummy in range(count)], fresh=True) as writer:
        for offset in range(0, 100 * BLOCK, BLOCK):
            writer.put(offset, b"x" * BLOCK)
        writer.finish(100 * BLOCK)
