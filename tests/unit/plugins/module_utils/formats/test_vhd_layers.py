# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import typing as t
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_archive import Archive
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_layers import MOST_LAYERS, Coverage, Layers
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import VhdStream
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds

SIZE = 40 * KIB + 512
LAYERS: t.Sequence[vhds.Writes] = (
    {0: b"a" * 20480, 28 * KIB: b"a" * 8192, 40 * KIB: b"a" * 512},
    {4096: b"b" * 1024, 12 * KIB: bytes(4096), 28 * KIB: b"b" * 4096},
    {4608: b"c" * 512, 30 * KIB: b"c" * 2048, 12 * KIB: b"c" * 4096},
)
DISK = vhds.disk(SIZE, *LAYERS)


def sent(layers: Layers, position: int, file: bytes) -> bytes:
    """What is sent of a layer, which is as much as it said."""
    layer = layers.begin(position, VhdStream(vhds.reading(file)))
    body = b"".join(layer.chunks())
    assert len(body) == layer.length
    assert list(VhdStream(vhds.reading(body)).order) == list(layer.order)
    return body


def arrived(files: t.Sequence[bytes], order: t.Sequence[int], size: int, was: bytes = b"\0") -> t.Tuple[bytes, Layers]:
    """The disk that XAPI makes of layers that arrive in an order; and they."""
    layers = Layers()
    disk = bytearray(was * size)
    for position in order:
        vhds.imported(disk, sent(layers, position, files[position]))
    layers.finish()
    return bytes(disk), layers


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_newest_sector_wins_in_whatever_order(order: t.Sequence[int]) -> None:
    files = vhds.chain(SIZE, *LAYERS, block_size=4096, garbage=b"g", orders=[[3, 1, 0, 2, 4, 10, 7, 8], [7, 3, 1], [7, 1, 3]])
    assert arrived(files, order, SIZE)[0] == DISK


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_blocks_of_the_common_size(order: t.Sequence[int]) -> None:
    size = 7 * MIB + 512
    layers: t.Sequence[vhds.Writes] = ({0: b"a" * 5 * MIB, 7 * MIB: b"a" * 512}, {2 * MIB: b"b" * 2 * MIB, MIB: b"b" * 512})
    assert arrived(vhds.chain(size, *layers), order, 8 * MIB)[0][:size] == vhds.disk(size, *layers)


def test_what_is_covered_is_not_sent() -> None:
    files = vhds.chain(SIZE, {0: b"a" * 8192, 40 * KIB: b"a" * 512}, {0: b"b" * 4096, 40 * KIB: b"b" * 512}, block_size=4096)
    layers = Layers()
    sent(layers, 0, files[0])
    base = layers.begin(1, VhdStream(vhds.reading(files[1])))
    assert list(base.order) == [1]
    assert base.length == len(files[1]) - 2 * (512 + 4096)
    assert len(b"".join(base.chunks())) == base.length


def test_layers_of_blocks_of_different_sizes() -> None:
    """Whoever makes such a chain."""
    files = []
    for index, (writes, block_size) in enumerate(zip(LAYERS[::-1], (4096, 16384, 8192))):
        parent = vhds.Parent(uuid.UUID(int=index + 2), "x") if index < 2 else None
        files.append(vhds.vhd(SIZE, writes, block_size=block_size, identity=uuid.UUID(int=index + 1), parent=parent))
    for order in itertools.permutations(range(3)):
        assert arrived(files, order, SIZE)[0] == DISK


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_layer_can_be_had_as_what_it_writes(order: t.Sequence[int]) -> None:
    """Nothing is written twice, so that the order of what was written does not matter either."""
    files = vhds.chain(SIZE, *LAYERS, block_size=4096, garbage=b"g")
    layers, disk, seen = Layers(), bytearray(SIZE), 0
    for position in order:
        for offset, data in layers.begin(position, VhdStream(vhds.reading(files[position]))).writes():
            disk[offset:offset + len(data)] = data
            seen += len(data)
    layers.finish()
    assert bytes(disk) == DISK
    if order == (0, 1, 2):
        assert seen == SIZE - sum(length for dummy, length in layers.unwritten(SIZE))


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
def test_a_disk_that_has_grown(order: t.Sequence[int]) -> None:
    layers: t.Sequence[vhds.Writes] = (LAYERS[0], {50 * KIB: b"z" * 512})
    disk, made = arrived(vhds.chain([SIZE, 51 * KIB], *layers, block_size=4096), order, 51 * KIB)
    assert made.size == 51 * KIB
    assert disk == vhds.disk(51 * KIB, *layers)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_what_nobody_wrote_is_known(order: t.Sequence[int]) -> None:
    """A volume that was used before has something else there."""
    disk, layers = arrived(vhds.chain(SIZE, *LAYERS, block_size=4096), order, 60 * KIB, was=b"?")
    content = bytearray(disk)
    for offset, length in layers.unwritten(60 * KIB):
        assert content[offset:offset + length] == b"?" * length
        content[offset:offset + length] = bytes(length)
    assert bytes(content) == DISK.ljust(60 * KIB, b"\0")


def test_a_fixed_base() -> None:
    base = vhds.fixed(vhds.disk(4 * MIB, {0: b"a" * 1024, 3 * MIB: b"b" * 512}))
    leaf = vhds.vhd(4 * MIB, {512: b"c" * 512}, parent=vhds.Parent(vhds.opened(base).footer.identity, "1.vhd"))
    layers, disk = Layers(), bytearray(4 * MIB)
    vhds.imported(disk, sent(layers, 0, leaf))
    layer = layers.begin(1, vhds.opened(base))
    vhds.imported(disk, b"".join(layer.chunks()))
    layers.finish()
    assert bytes(disk) == vhds.disk(4 * MIB, {0: b"a" * 1024, 3 * MIB: b"b" * 512}, {512: b"c" * 512})


@pytest.mark.parametrize("names", [["base.vhd"], ["image.vhd", "base.vhd"], ["snap.vhd", "base.vhd"], ["snap.vhd", "image.vhd", "base.vhd"]])
def test_names_of_old(names: t.List[str]) -> None:
    writes = LAYERS[:len(names)]
    data = vhds.archive(vhds.chain(SIZE, *writes, block_size=4096), gz=True, names=names)
    layers, disk = Layers(), bytearray(SIZE)
    for member in Archive(vhds.reading(data)).members():
        vhds.imported(disk, b"".join(layers.begin(member.position, VhdStream(member.read)).chunks()))
    layers.finish()
    assert bytes(disk) == vhds.disk(SIZE, *writes)


@pytest.mark.parametrize("positions", [(1,), (1, 2), (2,)])
def test_a_hidden_leaf_under_a_name_of_old(positions: t.Sequence[int]) -> None:
    with pytest.raises(UnsafeImage, match="hidden"):
        begun(vhds.chain(SIZE, *LAYERS[:len(positions)], block_size=4096, hidden=True), positions).finish()


def begun(files: t.Sequence[bytes], positions: t.Sequence[int], count: t.Optional[int] = None) -> Layers:
    """Layers that have all come to their end."""
    layers = Layers(count)
    for file, position in zip(files, positions):
        sent(layers, position, file)
    return layers


def test_a_bare_differencing_disk_is_refused_before_a_byte_is_sent() -> None:
    with pytest.raises(UnsafeImage, match="only the changes"):
        Layers(1).begin(0, VhdStream(vhds.reading(vhds.chain(SIZE, *LAYERS)[0])))
    begun(vhds.chain(SIZE, LAYERS[0]), [0], 1).finish()


@pytest.mark.parametrize("choose, positions, word", [
    ((0, 1), (0, 0), "twice"), ((0,), (MOST_LAYERS,), "too many"), ((0,), (-1,), "too many"), ((0, 0), (0, 1), "the same"),
    ((0, 2), (0, 1), "not based on"), ((1, 0), (0, 1), "not based on"), ((2, 0), (0, 1), "not based on"),
])
def test_what_does_not_fit_is_refused_as_soon_as_it_is_seen(choose: t.Sequence[int], positions: t.Sequence[int], word: str) -> None:
    files = vhds.chain(SIZE, *LAYERS, block_size=4096)
    layers = begun([files[index] for index in choose[:-1]], positions)
    with pytest.raises(UnsafeImage, match=word):
        layers.begin(positions[-1], VhdStream(vhds.reading(files[choose[-1]])))


@pytest.mark.parametrize("choose, positions, word", [
    ((), (), "not all"), ((0, 1), (0, 1), "missing"), ((0, 2), (0, 2), "not based on"), ((1,), (1,), "missing"), ((0,), (0,), "missing"),
])
def test_what_is_missing_is_noticed_at_the_end(choose: t.Sequence[int], positions: t.Sequence[int], word: str) -> None:
    files = vhds.chain(SIZE, *LAYERS, block_size=4096)
    with pytest.raises(UnsafeImage, match=word):
        begun([files[index] for index in choose], positions).finish()


def test_a_layer_that_was_not_read_to_its_end() -> None:
    files = vhds.chain(SIZE, *LAYERS[:2], block_size=4096)
    layers = begun(files[:1], [0])
    next(layers.begin(1, VhdStream(vhds.reading(files[1]))).chunks())
    with pytest.raises(UnsafeImage, match="not all"):
        layers.finish()


def test_a_hidden_leaf() -> None:
    with pytest.raises(UnsafeImage, match="hidden"):
        begun(vhds.chain(SIZE, LAYERS[0], hidden=True), [0])
    hidden_base = vhds.chain(SIZE, *LAYERS[:2], hidden=True)[1]
    Layers().begin(1, VhdStream(vhds.reading(hidden_base)))


@settings(max_examples=40)
@given(st.data(), st.integers(0, 10000), st.integers(1, 5), st.integers(1, 200))
def test_random_chains_in_random_order(data: st.DataObject, seed: int, count: int, sectors: int) -> None:
    size = sectors * 512
    writes = [vhds.scattered(seed * 10 + index, size, 5, 12) for index in range(count)]
    order = data.draw(st.permutations(range(count)))
    assert arrived(vhds.chain(size, *writes, block_size=4096, garbage=b"g"), order, size)[0] == vhds.disk(size, *writes)


RANGES = st.lists(st.tuples(st.integers(0, 30000), st.integers(1, 9000)), max_size=5)


@given(RANGES, RANGES)
def test_coverage_is_a_set_of_sectors(first: t.List[t.Tuple[int, int]], second: t.List[t.Tuple[int, int]]) -> None:
    expected = {sector for begin, length in first + second for sector in range(begin, begin + length)}
    coverage, other = Coverage(), Coverage()
    for into, ranges in ((coverage, first), (other, second)):
        for begin, length in ranges:
            into.put(begin, length, (1 << length) - 1)
    coverage.add(other)
    assert {sector for offset, length in coverage.written() for sector in range(offset // 512, (offset + length) // 512)} == expected
    gaps = list(coverage.unwritten(20000 * 512))
    assert {sector for offset, length in gaps for sector in range(offset // 512, (offset + length) // 512)} == set(range(20000)) - expected
    assert coverage.get(100, 9000) == int("".join("01"[sector in expected] for sector in range(100, 9100)), 2)
    assert all(end < begin for (start, length), (begin, dummy) in zip(gaps, gaps[1:]) for end in [start + length])
