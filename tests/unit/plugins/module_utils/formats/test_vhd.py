# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct
import typing as t
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, MIB, TIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats import vhd

IDENTITY = uuid.UUID("ef990705-82ff-4fa2-b11d-5c8b0b7b62c1")

# What blktap wrote at the head of a differencing disk of 36 MiB.
BLKTAP = bytes.fromhex(
    "636f6e656374697800000002000100000000000000000200329384bd746170000001000300000000000000000240000000000000024000000363051100000004"
    "fffff0e6ef99070582ff4fa2b11d5c8b0b7b62c1").ljust(512, b"\0")


def changed(data: bytes, at: int, value: bytes, checksum: t.Optional[int] = None) -> bytes:
    """With other bytes at a place, and a checksum that holds all the same."""
    data = data[:at] + value + data[at + len(value):]
    return data if checksum is None else data[:checksum] + struct.pack(">I", vhd.checksum(data, checksum)) + data[checksum + 4:]


def test_a_footer_of_blktap_is_read_and_written_the_same() -> None:
    footer = vhd.Footer.parse(BLKTAP)
    assert (footer.size, footer.kind, footer.identity, footer.data_offset, footer.timestamp) == (36 * MIB, vhd.DIFFERENCING, IDENTITY, 512, 848528573)
    assert (footer.creator, footer.creator_version, footer.geometry, footer.hidden) == (b"tap\0", 0x10003, (867, 5, 17), False)
    assert footer.pack() == BLKTAP
    assert vhd.stated_size(BLKTAP) == 36 * MIB


@pytest.mark.parametrize("at, value, word", [
    (0, b"c0nectix", "no VHD"),
    (12, b"\0\2", "version"),
    (60, b"\0\0\0\5", "type 5"),
    (60, b"\0\0\0\0", "type 0"),
])
def test_a_footer_that_says_what_cannot_be(at: int, value: bytes, word: str) -> None:
    with pytest.raises(UnsafeImage, match=word):
        vhd.Footer.parse(changed(BLKTAP, at, value, 64))


@given(st.integers(0, 511), st.integers(1, 255))
def test_any_other_byte_in_a_footer_is_noticed(at: int, other: int) -> None:
    with pytest.raises(UnsafeImage):
        vhd.Footer.parse(changed(BLKTAP, at, bytes([BLKTAP[at] ^ other])))


def test_half_a_footer_is_none() -> None:
    with pytest.raises(UnsafeImage, match="truncated"):
        vhd.Footer.parse(BLKTAP[:511])
    with pytest.raises(UnsafeImage, match="missing"):
        vhd.stated_size(BLKTAP[:511])


def test_the_hidden_flag_is_blktaps() -> None:
    footer = vhd.Footer(MIB, vhd.DYNAMIC, IDENTITY, hidden=True)
    assert footer.pack()[85] == 1
    assert vhd.Footer.parse(footer.pack()).hidden


# By the rule in the specification. qemu-img takes one cylinder more, for it makes the disk as large as they are.
@pytest.mark.parametrize("size, expected", [
    (36 * MIB, (867, 5, 17)), (64 * MIB, (963, 8, 17)), (1 * GIB, (2080, 16, 63)), (8 * GIB, (16644, 16, 63)), (100 * GIB, (51400, 16, 255)),
    (2040 * GIB, (65535, 16, 255)), (512, (0, 4, 17)), (504 * MIB, (1024, 16, 63)),
])
def test_geometry(size: int, expected: vhd.Geometry) -> None:
    assert vhd.geometry(size) == expected
    cylinders, heads, track = expected
    assert cylinders * heads * track * 512 <= size


def header(**other: t.Any) -> vhd.DynamicHeader:
    """That of a differencing disk of 36 MiB."""
    locators = (vhd.ParentLocator(b"MacX", 512, 15, 3072), vhd.ParentLocator(b"W2ku", 512, 16, 3584), vhd.ParentLocator(b"W2ru", 1, 16, 4096))
    values: t.Dict[str, t.Any] = dict(
        table_offset=1536, entries=18, parent=IDENTITY, parent_timestamp=5, parent_name="l1.vhd", locators=locators)
    return vhd.DynamicHeader(**{**values, **other})


def test_a_header_is_read_as_it_was_written() -> None:
    assert vhd.DynamicHeader.parse(header().pack()) == header()
    assert len(header().pack()) == 1024


def test_a_name_that_is_too_long_is_cut_off_between_its_letters() -> None:
    assert vhd.DynamicHeader.parse(header(parent_name="ä" * 300).pack()).parent_name == "ä" * 255


def test_there_is_room_for_eight_locators() -> None:
    assert len(vhd.DynamicHeader.parse(header(locators=(vhd.ParentLocator(b"W2ku", 1, 2, 3),) * 8).pack()).locators) == 8
    with pytest.raises(ValueError, match="room"):
        header(locators=(vhd.ParentLocator(b"W2ku", 1, 2, 3),) * 9).pack()


@pytest.mark.parametrize("space, expected", [(1, 512), (2, 1024), (511, 511 * 512), (512, 512), (1024, 1024)])
def test_space_counts_sectors_or_bytes(space: int, expected: int) -> None:
    assert vhd.ParentLocator(b"W2ku", space).reserved == expected


@pytest.mark.parametrize("code, data, name", [
    (b"MacX", b"file://./l1.vhd", "file://./l1.vhd"), (b"W2ku", ".\\ä.vhd".encode("utf-16-le"), ".\\ä.vhd"),
    (b"W2ru", ".\\x".encode("utf-16-le") + bytes(4), ".\\x"), (b"Wi2r", b".\\x.vhd", ".\\x.vhd"), (b"MacX", b"\xff", "\ufffd"),
])
def test_a_locator_names_the_parent(code: bytes, data: bytes, name: str) -> None:
    assert vhd.ParentLocator(code, 512, len(data)).decode(data + b"more") == name


@pytest.mark.parametrize("at, value, word", [
    (0, b"x", "missing"), (24, b"\0\2", "version"), (32, struct.pack(">I", 3 * MIB), "impossible size"), (32, struct.pack(">I", 512), "impossible size"),
    (32, struct.pack(">I", 64 * MIB), "impossible size"),
])
def test_a_header_that_says_what_cannot_be(at: int, value: bytes, word: str) -> None:
    with pytest.raises(UnsafeImage, match=word):
        vhd.DynamicHeader.parse(changed(header().pack(), at, value, 36))


@given(st.integers(0, 1023), st.integers(1, 255))
def test_any_other_byte_in_a_header_is_noticed(at: int, other: int) -> None:
    data = header().pack()
    with pytest.raises(UnsafeImage):
        vhd.DynamicHeader.parse(changed(data, at, bytes([data[at] ^ other])))


@pytest.mark.parametrize("size, other, word", [
    (0, {}, "no number of sectors"), (36 * MIB + 1, {}, "no number of sectors"), (36 * MIB + 512, {}, "cover"), (3 * TIB, {"entries": 1 << 31}, "at most"),
    (TIB, {"entries": 1 << 31, "block_size": 4096}, "blocks"),
])
def test_a_disk_that_cannot_be(size: int, other: t.Dict[str, t.Any], word: str) -> None:
    with pytest.raises(UnsafeImage, match=word):
        header(**other).blocks(size)


def test_the_last_block_may_be_a_part() -> None:
    assert header().blocks(34 * MIB + 512) == 18
    assert header().blocks(34 * MIB) == 17


def test_a_batmap_is_read_as_it_was_written() -> None:
    batmap = vhd.Batmap(2560, 1, b"\x80".ljust(512, b"\0"))
    data = batmap.pack()
    assert data[:29] == bytes.fromhex("74646261746d61700000000000000a000000000100010002ffffff7f00")
    assert vhd.Batmap.place(data) == (2560, 1)
    assert vhd.Batmap.parse(data[:512], data[512:]) == batmap


@pytest.mark.parametrize("damaged", [(b"", b""), (b"tdbatmap", b""), (bytes(512), bytes(512))])
def test_a_batmap_that_is_not_whole_is_none(damaged: t.Tuple[bytes, bytes]) -> None:
    assert vhd.Batmap.parse(*damaged) is None
    data = vhd.Batmap(2560, 1, bytes(512)).pack()
    assert vhd.Batmap.parse(data[:512], b"\1" + data[513:]) is None
    assert vhd.Batmap.parse(data[:512], data[512:] + bytes(512)) is None
    assert vhd.Batmap.place(b"tdbatmap") == (0, 0)


@pytest.mark.parametrize("block_size, expected", [(4096, 512), (2 * MIB, 512), (4 * MIB, 1024), (32 * MIB, 8192)])
def test_a_bitmap_takes_whole_sectors(block_size: int, expected: int) -> None:
    assert vhd.bitmap_length(block_size) == expected


@pytest.mark.parametrize("size, start, expected", [
    (8192, 0, 0b11111111), (8192, 4096, 0b11111111), (4608, 4096, 0b10000000), (7680, 4096, 0b11111110), (4096, 4096, 0), (512, 4096, 0),
])
def test_sectors_beyond_the_end_are_none(size: int, start: int, expected: int) -> None:
    assert vhd.within(size, start, 4096) == expected


@given(st.lists(st.booleans(), max_size=70))
def test_runs_are_the_sectors_that_are_set(bits: t.List[bool]) -> None:
    mask = int("".join("01"[bit] for bit in bits) or "0", 2)
    found = list(vhd.runs(mask, len(bits)))
    assert [first + index for first, length in found for index in range(length)] == [index for index, bit in enumerate(bits) if bit]
    assert all(end < begin for (first, length), (begin, dummy) in zip(found, found[1:]) for end in [first + length])


@pytest.mark.parametrize("data, expected", [(b"", True), (bytes(5000), True), (bytes(4999) + b"\1", False)])
def test_blank(data: bytes, expected: bool) -> None:
    assert vhd.blank(data) is expected
