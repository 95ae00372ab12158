# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct
import typing as t
import uuid

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats import vhd
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import Block, NotForward, VhdStream
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_writer import Parent
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds

SIZE = 40 * KIB + 512
SMALL = 4 * KIB
PARENT = Parent(uuid.uuid4(), "1.vhd", 7)
WRITES = {512: b"a" * 1024, 8 * KIB: b"b" * SMALL, 36 * KIB: b"c" * 512, 40 * KIB: b"d" * 512}
ORDER = [9, 2, 0, 10]


def small(**more: t.Any) -> bytes:
    """A VHD of small blocks, not in their order."""
    return vhds.vhd(SIZE, WRITES, **{"block_size": SMALL, "order": ORDER, **more})


def content(blocks: t.Iterable[Block]) -> bytes:
    """What blocks make of a disk."""
    disk = bytearray(SIZE + SMALL)
    for block in blocks:
        disk[block.number * SMALL:(block.number + 1) * SMALL] = block.clean()
    return bytes(disk[:SIZE])


def again(data: bytes, at: int, value: bytes) -> bytes:
    """The VHD with other bytes in a structure at its beginning, its checksums made anew, and the footer at its end the same."""
    changed = bytearray(data)
    changed[at:at + len(value)] = value
    for begin, length, check in ((0, 512, 64), (512, 1024, 36)):
        changed[begin + check:begin + check + 4] = struct.pack(">I", vhd.checksum(bytes(changed[begin:begin + length]), check))
    changed[-512:] = changed[:512]
    return bytes(changed)


@pytest.mark.parametrize("piece", [1000, 1 << 30])
@pytest.mark.parametrize("more", [{}, {"batmap": True}, {"parent": PARENT}, {"parent": PARENT, "batmap": True, "hidden": True}])
def test_blocks_come_as_they_stand(piece: int, more: t.Dict[str, t.Any]) -> None:
    stream = VhdStream(vhds.reading(small(garbage=b"x", **more), piece))
    assert (stream.size, stream.block_size, stream.hidden) == (SIZE, SMALL, "hidden" in more)
    assert stream.parent == (PARENT.identity if "parent" in more else None)
    assert list(stream.order) == ORDER
    blocks = list(stream.blocks())
    assert [(block.number, block.bitmap) for block in blocks] == [(9, 0b10000000), (2, 0b11111111), (0, 0b01100000), (10, 0b10000000)]
    assert content(blocks) == vhds.disk(SIZE, WRITES)


def test_a_disk_of_nothing() -> None:
    stream = VhdStream(vhds.reading(vhds.vhd(SIZE, {})))
    assert not list(stream.order) and not list(stream.blocks())


def test_sectors_beyond_the_end_of_the_disk_mean_nothing() -> None:
    data = bytearray(small())
    place = struct.unpack_from(">I", data, 1536 + 4 * 10)[0] * 512
    data[place] = 0xFF
    assert [block.bitmap for block in VhdStream(vhds.reading(bytes(data))).blocks()][-1] == 0b10000000


@pytest.mark.parametrize("left_out", [SMALL - 512, 1024, 512, 0])
def test_the_last_block_may_end_with_the_disk(left_out: int) -> None:
    data = small()
    data = data[:-512 - left_out] + data[-512:]
    assert content(VhdStream(vhds.reading(data)).blocks()) == vhds.disk(SIZE, WRITES)


@pytest.mark.parametrize("between", [512, 20 * MIB // 8])
def test_what_lies_between_blocks_and_footer_is_read_over(between: int) -> None:
    data = small()
    assert content(VhdStream(vhds.reading(data[:-512] + bytes(between) + data[-512:])).blocks()) == vhds.disk(SIZE, WRITES)


@pytest.mark.parametrize("cut", [1, 511, 512, 513, 5000])
def test_an_end_that_is_missing(cut: int) -> None:
    with pytest.raises(UnsafeImage, match="truncated"):
        list(VhdStream(vhds.reading(small()[:-cut])).blocks())


def test_an_end_of_another_disk() -> None:
    with pytest.raises(UnsafeImage, match="not that of its beginning"):
        list(VhdStream(vhds.reading(small()[:-512] + small()[-512:])).blocks())


def test_something_behind_the_end() -> None:
    with pytest.raises(UnsafeImage, match="follows it"):
        list(VhdStream(vhds.reading(small() + bytes(512))).blocks())


@pytest.mark.parametrize("data", [b"", b"x", bytes(4096), vhds.fixed(bytes(4096))])
def test_without_a_footer_at_its_beginning_it_may_be_a_fixed_one(data: bytes) -> None:
    with pytest.raises(NotForward):
        VhdStream(vhds.reading(data))


@pytest.mark.parametrize("at, value, word", [
    (60, struct.pack(">I", 2), "begins like a dynamic one"),
    (60, struct.pack(">I", 4), "without a parent"),
    (512 + 40, b"0123456789abcdef", "names a parent"),
    (48, struct.pack(">Q", 100 * KIB), "cover"),
    (1536, struct.pack(">I", 20), "block"),
])
def test_what_cannot_be(at: int, value: bytes, word: str) -> None:
    with pytest.raises(UnsafeImage, match=word) as caught:
        VhdStream(vhds.reading(again(small(), at, value)))
    assert not isinstance(caught.value, NotForward)


@pytest.mark.parametrize("at, value", [
    (16, struct.pack(">Q", 0)), (16, struct.pack(">Q", 1 << 63)), (512 + 16, struct.pack(">Q", 512)), (512 + 16, struct.pack(">Q", 1 << 40)),
])
def test_what_would_have_to_be_read_backward(at: int, value: bytes) -> None:
    with pytest.raises(NotForward):
        VhdStream(vhds.reading(again(small(), at, value)))


def test_a_table_behind_the_blocks_would_have_to_be_read_backward() -> None:
    with pytest.raises(NotForward):
        VhdStream(vhds.reading(again(vhds.vhd(SIZE, {0: b"x" * 512}), 1536, struct.pack(">I", 2))))


@pytest.mark.parametrize("at", [0, 600, 1100, 1550])
def test_a_head_that_is_cut_off(at: int) -> None:
    with pytest.raises(UnsafeImage):
        VhdStream(vhds.reading(small()[:at]))


def test_a_clean_block_has_zeroes_where_nothing_was_written() -> None:
    data = b"".join(bytes([index + 1]) * 512 for index in range(8))
    assert Block(0, 0b11111111, data).clean() is data
    assert Block(0, 0b00100001, data).clean() == bytes(1024) + b"\3" * 512 + bytes(4 * 512) + b"\10" * 512
