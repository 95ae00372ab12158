# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct
import typing as t
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats import vhd
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_file import VhdFile
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_writer import Parent
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds

SIZE = 40 * KIB + 512
SMALL = 4 * KIB
WRITES = {512: b"a" * 1024, 8 * KIB: b"b" * SMALL, 36 * KIB: b"c" * 512, 40 * KIB: b"d" * 512}
PARENT = Parent(uuid.uuid4(), "1.vhd", 7)


def small(**more: t.Any) -> bytes:
    """A VHD of small blocks, not in their order."""
    return vhds.vhd(SIZE, WRITES, **{"block_size": SMALL, "order": [9, 2, 0, 10], **more})


def behind(data: bytes) -> bytes:
    """The same VHD with header and table behind its blocks."""
    entries = struct.unpack_from(">I", data, 512 + 28)[0]
    moved = bytearray(data[:-512] + data[512:1536] + data[1536:1536 + -(-entries * 4 // 512) * 512] + data[-512:])
    for at in (0, len(moved) - 512):
        struct.pack_into(">Q", moved, at + 16, len(data) - 512)
        struct.pack_into(">I", moved, at + 64, vhd.checksum(bytes(moved[at:at + 512]), 64))
    at = len(data) - 512
    struct.pack_into(">Q", moved, at + 16, len(data) - 512 + 1024)
    struct.pack_into(">I", moved, at + 36, vhd.checksum(bytes(moved[at:at + 1024]), 36))
    moved[512:1536] = bytes(1024)
    return bytes(moved)


@pytest.mark.parametrize("data, kind", [(small(), vhd.DYNAMIC), (small(parent=PARENT, garbage=b"x"), vhd.DIFFERENCING), (behind(small()), vhd.DYNAMIC)])
def test_it_reads_what_was_written(data: bytes, kind: int) -> None:
    file = vhds.opened(data)
    assert (file.size, file.block_size, file.footer.kind) == (SIZE, SMALL, kind)
    assert file.parent == (PARENT.identity if kind == vhd.DIFFERENCING else None)
    assert file.read(0, SIZE) == vhds.disk(SIZE, WRITES)
    assert list(file.order) == [9, 2, 0, 10]
    assert [(block.number, block.bitmap) for block in file.blocks()] == [(9, 0b10000000), (2, 0b11111111), (0, 0b01100000), (10, 0b10000000)]
    assert list(file.allocated()) == [(512, 1024), (8 * KIB, SMALL), (36 * KIB, 512), (40 * KIB, 512)]


@given(st.integers(0, SIZE + 1000), st.integers(0, SIZE))
def test_any_part_of_it(offset: int, length: int) -> None:
    assert vhds.opened(small()).read(offset, length) == vhds.disk(SIZE, WRITES)[offset:offset + length]


@given(st.integers(0, 90), st.integers(0, 90))
def test_the_mask_of_any_part_of_it(first: int, count: int) -> None:
    held = {sector for offset, length in vhds.opened(small()).allocated() for sector in range(offset // 512, (offset + length) // 512)}
    expected = "".join("01"[sector in held] for sector in range(first, first + count))
    assert vhds.opened(small()).mask(first, count) == int(expected or "0", 2)


def test_more_bitmaps_than_are_remembered() -> None:
    writes = {offset: b"x" * 512 for offset in range(0, 100 * SMALL, SMALL)}
    file = vhds.opened(vhds.vhd(100 * SMALL, writes, block_size=SMALL))
    for dummy in range(2):
        assert file.read(0, 100 * SMALL) == vhds.disk(100 * SMALL, writes)


def test_a_fixed_disk() -> None:
    content = vhds.disk(5 * MIB + 512, {0: b"a" * 512, 5 * MIB: b"b" * 512})
    file = vhds.opened(vhds.fixed(content))
    assert (file.size, file.header, file.parent, file.batmap(), list(file.locators())) == (len(content), None, None, None, [])
    assert file.read(1, 5 * MIB + 1000) == content[1:]
    assert list(file.order) == [0, 2]
    assert b"".join(block.clean() for block in file.blocks()) == (content[:2 * MIB] + content[4 * MIB:]).ljust(4 * MIB, b"\0")
    assert list(file.allocated()) == [(0, 2 * MIB), (4 * MIB, MIB + 512)]


@pytest.mark.parametrize("data, word", [
    (b"", "no VHD"), (b"x" * 511, "no VHD"), (bytes(5000), "no VHD"),
    (vhds.fixed(bytes(4096))[512:], "truncated"), (vhds.fixed(b""), "cannot be"), (vhds.fixed(bytes(4096)) + bytes(512), "no VHD"),
    (vhd.Footer(512, 2, PARENT.identity).pack() * 2, "begins like a dynamic one"),
    (bytes(512) + small()[512:], "missing at its beginning"), (small()[:-512], "truncated"), (small()[:-1000] + small()[-512:], "not that of its beginning"),
    (small()[:600], "truncated"),
])
def test_what_is_none(data: bytes, word: str) -> None:
    with pytest.raises(UnsafeImage, match=word):
        vhds.opened(data)


@pytest.mark.parametrize("cut", [512, 1024, 5000, 15000])
def test_data_that_is_missing(cut: int) -> None:
    data = small()
    needed = SMALL - 512  # of the last block, which the disk has only one sector of
    with pytest.raises(UnsafeImage, match="truncated|no VHD"):
        vhds.opened(data[:-512 - needed - cut] + data[-512:])


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_block_may_not_stand_where_the_description_does(place: int) -> None:
    data = bytearray(vhds.vhd(SIZE, {0: b"x" * 512}, block_size=SMALL))
    struct.pack_into(">I", data, 1536, place)
    with pytest.raises(UnsafeImage, match="description"):
        vhds.opened(bytes(data))


def test_two_blocks_may_not_share_bytes() -> None:
    """A disk of any size could be made of a few bytes so."""
    data = bytearray(small())
    struct.pack_into(">I", data, 1536, struct.unpack_from(">I", data, 1536 + 8)[0] + 1)
    with pytest.raises(UnsafeImage, match="another one"):
        vhds.opened(bytes(data))


def test_a_locator_that_is_none() -> None:
    data = bytearray(small(parent=PARENT))
    for length, word in ((1 << 30, "has 1073741824 bytes"), (1 << 18, "missing")):
        struct.pack_into(">I", data, 512 + 576 + 8, length)
        struct.pack_into(">I", data, 512 + 36, vhd.checksum(bytes(data[512:1536]), 36))
        with pytest.raises(UnsafeImage, match=word):
            list(vhds.opened(bytes(data)).locators())


def test_a_file_that_shrinks_meanwhile() -> None:
    data = bytearray(small())
    file = VhdFile(lambda offset, length: bytes(data[offset:offset + length]), len(data))
    del data[3000:]
    with pytest.raises(UnsafeImage, match="truncated"):
        file.read(0, SIZE)
    with pytest.raises(UnsafeImage, match="truncated"):
        list(file.blocks())


@settings(max_examples=50)
@given(st.integers(0, 10000), st.sampled_from([4096, 8192, 65536]), st.integers(1, 300))
def test_random_disks(seed: int, block_size: int, sectors: int) -> None:
    writes = vhds.scattered(seed, sectors * 512, 6, 10)
    file = vhds.opened(vhds.vhd(sectors * 512, writes, block_size=block_size, garbage=b"g"))
    assert file.read(0, file.size) == vhds.disk(file.size, writes)
