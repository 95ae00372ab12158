# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.formats.forward import Forward, of_chunks
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds


@pytest.mark.parametrize("chunks", [[], [b"abcdef"], [b"a", b"", b"bcd", b"ef"], [b"", b""]])
@pytest.mark.parametrize("length", [1, 2, 3, 100])
def test_pieces_are_read_in_their_order(chunks: t.List[bytes], length: int) -> None:
    read = of_chunks(chunks)
    parts = list(iter(lambda: read(length), b""))
    assert b"".join(parts) == b"".join(chunks)
    assert all(len(part) <= length for part in parts)
    assert read(length) == b""


def test_a_whole_piece_is_handed_on_as_it_is() -> None:
    piece = bytes(1000)
    assert of_chunks([piece])(1000) is piece


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_it_reads_exactly(piece: int) -> None:
    forward = Forward(vhds.reading(b"0123456789", piece))
    assert forward.exactly(4, "it") == b"0123"
    forward.skip_to(6, "it")
    assert (forward.position, forward.read(2)) == (6, b"67")
    with pytest.raises(UnsafeImage, match="after 10 bytes, in the end"):
        forward.exactly(3, "the end")


def test_it_does_not_go_back() -> None:
    forward = Forward(vhds.reading(b"0123456789"))
    forward.skip_to(6, "it")
    forward.skip_to(3, "it")
    assert forward.position == 6
    with pytest.raises(UnsafeImage, match="in the middle"):
        forward.skip_to(11, "the middle")


@pytest.mark.parametrize("piece", [1, 3, 100])
@pytest.mark.parametrize("data, length, before, expected", [
    (b"0123456789", 3, b"", b"789"), (b"01", 3, b"", b"01"), (b"01", 3, b"abc", b"c01"), (b"", 3, b"abc", b"abc"), (b"012", 3, b"abc", b"012"),
])
def test_the_last_bytes(piece: int, data: bytes, length: int, before: bytes, expected: bytes) -> None:
    assert Forward(vhds.reading(data, piece)).last(length, before) == expected


def test_everything_once_more() -> None:
    forward = Forward(vhds.reading(b"0123456789", 4))
    forward.read(5)
    forward.read(1)
    assert b"".join(forward.again()) == b"0123456789"


def test_what_is_understood_is_not_kept() -> None:
    forward = Forward(vhds.reading(b"0123456789"))
    forward.keep_no_more()
    forward.read(5)
    with pytest.raises(ValueError, match="not kept"):
        next(forward.again())
