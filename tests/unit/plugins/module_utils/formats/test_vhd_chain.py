# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import pathlib
import tarfile
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_chain import Chain
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds

SIZE = 40 * KIB + 512
LAYERS: t.Sequence[vhds.Writes] = (
    {0: b"a" * 20480, 40 * KIB: b"a" * 512}, {4096: b"b" * 1024, 12 * KIB: bytes(4096)}, {4608: b"c" * 512, 30 * KIB: b"c" * 2048},
)

VECTORS = pathlib.Path(__file__).absolute().parents[6] / "shared" / "vectors" / "vhd" / "chain1.tgz"


def small(*layers: vhds.Writes, size: t.Union[int, t.Sequence[int]] = SIZE, **more: t.Any) -> t.List[bytes]:
    """A chain of small blocks."""
    return vhds.chain(size, *layers, block_size=4096, **more)


def opened(files: t.Sequence[bytes]) -> Chain:
    """The chain of these VHDs."""
    return Chain([vhds.opened(file) for file in files])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_newest_sector_wins(count: int) -> None:
    chain = opened(small(*LAYERS[:count], garbage=b"g"))
    assert chain.size == SIZE
    assert chain.read(0, SIZE) == vhds.disk(SIZE, *LAYERS[:count])


@given(st.integers(0, SIZE + 1000), st.integers(0, SIZE))
def test_any_part_of_it(offset: int, length: int) -> None:
    assert opened(small(*LAYERS)).read(offset, length) == vhds.disk(SIZE, *LAYERS)[offset:offset + length]


def test_extents_are_what_any_layer_holds() -> None:
    assert list(opened(small(*LAYERS)).extents()) == [(0, 20480), (30 * KIB, 2048), (40 * KIB, 512)]


@pytest.mark.parametrize("batmap", [False, True])
def test_the_whole_as_one_disk(batmap: bool) -> None:
    body = opened(small(*LAYERS, garbage=b"g")).flat(batmap=batmap, timestamp=9)
    data = b"".join(body.chunks)
    assert len(data) == body.length
    flat = vhds.opened(data)
    assert (flat.parent, flat.footer.timestamp, flat.batmap() is not None) == (None, 9, batmap)
    assert flat.read(0, SIZE) == vhds.disk(SIZE, *LAYERS)


def test_a_layer_may_be_larger_than_its_parent() -> None:
    grown = small(LAYERS[0], LAYERS[1], {60 * KIB: b"z" * 512}, size=[SIZE, SIZE, 61 * KIB])
    assert opened(grown).read(0, 1 << 20) == vhds.disk(61 * KIB, *LAYERS[:2], {60 * KIB: b"z" * 512})


def test_a_layer_may_be_smaller_than_its_parent() -> None:
    shrunk = small(LAYERS[0], {0: b"z" * 512}, size=[SIZE, 10 * KIB])
    assert opened(shrunk).read(0, 1 << 20) == vhds.disk(SIZE, LAYERS[0], {0: b"z" * 512})[:10 * KIB]


def test_the_base_may_be_fixed() -> None:
    base = vhds.fixed(vhds.disk(SIZE, LAYERS[0]))
    leaf = vhds.vhd(SIZE, LAYERS[1], parent=vhds.Parent(vhds.opened(base).footer.identity, "1.vhd"))
    assert opened([leaf, base]).read(0, SIZE) == vhds.disk(SIZE, *LAYERS[:2])


@pytest.mark.parametrize("choose, word", [
    (lambda files, others: [], "chain of 0"),
    (lambda files, others: files[:2], "is missing"),
    (lambda files, others: files[::-1], "not based on"),
    (lambda files, others: [files[0], files[2]], "not based on"),
    (lambda files, others: [files[0], others[1], files[2]], "not based on"),
    (lambda files, others: [files[0], files[0], files[2]], "are the same"),
    (lambda files, others: files * 11, "chain of 33"),
    (lambda files, others: [files[2], files[2]], "are the same"),
    (lambda files, others: [files[2], others[2]], "not based on"),
])
def test_what_is_no_chain(choose: t.Callable[[t.List[bytes], t.List[bytes]], t.List[bytes]], word: str) -> None:
    with pytest.raises(UnsafeImage, match=word):
        opened(choose(small(*LAYERS), small(*LAYERS)))


def test_a_hidden_disk_is_not_for_use() -> None:
    files = small(*LAYERS, hidden=True)
    with pytest.raises(UnsafeImage, match="hidden"):
        opened(files)
    assert opened([small(LAYERS[0])[0]]).size == SIZE


@settings(max_examples=40)
@given(st.integers(0, 10000), st.integers(1, 4), st.integers(1, 200))
def test_random_chains(seed: int, count: int, sectors: int) -> None:
    size = sectors * 512
    layers = [vhds.scattered(seed * 10 + index, size, 5, 12) for index in range(count)]
    chain = opened(small(*layers, size=size, garbage=b"g"))
    assert chain.read(0, size) == vhds.disk(size, *layers)
    assert vhds.opened(b"".join(chain.flat().chunks)).read(0, size) == vhds.disk(size, *layers)


@pytest.mark.skipif(not VECTORS.exists(), reason="the chain that blktap made is not at hand")
def test_a_chain_that_blktap_made() -> None:
    with tarfile.open(VECTORS) as tar:
        files = [t.cast(t.Any, tar.extractfile("%d.vhd" % index)).read() for index in range(3)]
    chain = opened(files)
    assert chain.size == 37748736
    assert hashlib.sha256(chain.read(0, chain.size)).hexdigest() == "ac3ca7ddc0d5f86a29ec3f6dc9fa750fba9cd9fe5d4b8a3a86970a56aa767f33"
    batmaps = [vhds.opened(file).batmap() for file in files]
    assert all(batmaps)
    assert [[name for dummy, name in vhds.opened(file).locators()] for file in files] == [
        ["file://./l1.vhd", ".\\l1.vhd", ".\\l1.vhd"], ["file://./l0.vhd", ".\\l0.vhd", ".\\l0.vhd"], []]
