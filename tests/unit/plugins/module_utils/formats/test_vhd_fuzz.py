# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever somebody does to a VHD: it is read, or refused as unsafe. No crash, no hang, no memory beyond what arrives."""

from __future__ import annotations

import itertools
import struct
import tracemalloc
import typing as t
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats import vhd
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_file import VhdFile
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_layers import Layers
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import Layer, VhdStream
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds

SIZE = 40 * KIB + 512
WRITES: vhds.Writes = {512: b"a" * 1024, 8 * KIB: b"b" * 4096, 36 * KIB: b"c" * 512, 40 * KIB: b"d" * 512}
GOOD = {
    "dynamic": vhds.vhd(SIZE, WRITES, block_size=4096, order=[9, 2, 0, 10]),
    "differencing": vhds.vhd(SIZE, WRITES, block_size=4096, parent=vhds.Parent(uuid.uuid4(), "1.vhd"), batmap=True),
    "fixed": vhds.fixed(vhds.disk(SIZE, WRITES)),
}

# What is done to it may not make the reader go through more than this: a disk of nothing of any size is a good one.
LARGEST = MIB


def mended(data: bytes) -> bytes:
    """The checksums made anew, so that what was changed is looked at."""
    changed = bytearray(data)
    for begin, length, at in ((0, 512, 64), (512, 1024, 36), (len(data) - 512, 512, 64)):
        if 0 <= begin and changed[begin:begin + 1] == b"c" and len(data) >= begin + length:
            struct.pack_into(">I", changed, begin + at, vhd.checksum(bytes(changed[begin:begin + length]), at))
    return bytes(changed)


def consume(layer: Layer) -> int:
    """Read a layer to its end; the bytes it took."""
    made = Layers(1).begin(0, layer)
    if layer.size > LARGEST:
        return 0
    return sum(len(chunk) for chunk in made.chunks())


def survive(data: bytes) -> t.List[str]:
    """What becomes of it when it is read forward, and at random. Anything but a refusal is an error of ours."""
    outcomes = []

    def at_random() -> Layer:
        return VhdFile(lambda offset, length: data[offset:offset + length], len(data))

    for way in (lambda: VhdStream(vhds.reading(data)), at_random):
        try:
            layer = way()
            consume(layer)
            if isinstance(layer, VhdFile) and layer.size <= LARGEST:
                layer.read(0, layer.size)
                list(layer.allocated())
                list(layer.locators())
                layer.batmap()
            outcomes.append("read")
        except UnsafeImage as error:
            outcomes.append(error.message)
    return outcomes


@pytest.mark.parametrize("kind", GOOD)
def test_the_good_ones_are_read(kind: str) -> None:
    forward, at_random = survive(GOOD[kind])
    assert {"dynamic": (forward, at_random) == ("read", "read"), "fixed": "fixed" in forward and at_random == "read"}.get(kind, "changes" in forward)


@settings(max_examples=400)
@given(st.sampled_from(sorted(GOOD)), st.lists(st.tuples(st.integers(0, 4095), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
       st.booleans(), st.one_of(st.just(0), st.integers(0, 25000)))
def test_damage_of_any_kind(kind: str, changes: t.List[t.Tuple[int, bytes]], mend: bool, cut: int) -> None:
    data = GOOD[kind]
    for at, value in changes:
        at = at if at < 2048 else len(data) - 4096 + at  # the beginning, and the end
        data = data[:at] + value + data[at + len(value):]
    data = data[:len(data) - cut]
    survive(mended(data) if mend else data)


# (offset, bytes) of each number in a dynamic disk's structures.
NUMBERS = {
    "features": (8, 4), "version": (12, 4), "header's place": (16, 8), "original size": (40, 8), "size": (48, 8), "geometry": (56, 4), "type": (60, 4),
    "header's next": (520, 8), "table's place": (528, 8), "header's version": (536, 4), "entries": (540, 4), "block size": (544, 4),
    "first block": (1536, 4), "third block": (1544, 4), "last block": (1576, 4),
}
VALUES = [0, 1, 2, 7, 511, 512, 513, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 2, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 512, (1 << 64) - 1]


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_at_its_limits(name: str) -> None:
    at, length = NUMBERS[name]
    for value, everywhere in itertools.product(VALUES, (False, True)):
        data = bytearray(GOOD["dynamic"])
        for place in (at, len(data) - 512 + at) if everywhere and at < 512 else (at,):
            data[place:place + length] = (value & ((1 << 8 * length) - 1)).to_bytes(length, "big")
        survive(mended(bytes(data)))


@pytest.mark.parametrize("data", [
    vhds.vhd(2040 << 30, {})[:5000],  # a table of 4 MiB is announced
    vhds.vhd(SIZE, WRITES, block_size=32 * MIB)[:3000],  # a block of 32 MiB
    mended(GOOD["dynamic"][:16] + struct.pack(">Q", 15 * MIB) + GOOD["dynamic"][24:600]),  # a header far away
])
def test_what_is_announced_takes_no_memory_before_it_arrives(data: bytes) -> None:
    asked: t.List[int] = []
    read = vhds.reading(data)

    def counted(length: int) -> bytes:
        part = read(length)
        asked.append(len(part))
        return part

    tracemalloc.start()
    try:
        with pytest.raises(UnsafeImage):
            list(VhdStream(counted).blocks())
        with pytest.raises(UnsafeImage):
            vhds.opened(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(asked) <= len(data)
    assert peak < 256 * KIB


def test_a_large_chain_takes_little_memory() -> None:
    """One block at a time; of the others a bit for each sector."""
    block = bytes([7]) * (2 * MIB)
    layout = vhds.Layout(1 << 30, range(100))

    def arriving() -> t.Iterator[bytes]:
        yield layout.head()
        for dummy in layout.order:
            yield from layout.block(vhd.ones(4096), block)
        yield layout.tail()

    pieces = arriving()
    left = bytearray()

    def read(length: int) -> bytes:
        if not left:
            left.extend(next(pieces, b""))
        part = bytes(left[:min(length, 100000)])
        del left[:len(part)]
        return part

    tracemalloc.start()
    try:
        layer = Layers(1).begin(0, VhdStream(read))
        assert sum(len(chunk) for chunk in layer.chunks()) == layer.length
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB
