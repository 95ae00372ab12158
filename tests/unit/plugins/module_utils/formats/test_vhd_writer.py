# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import typing as t
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd import BLOCK_SIZE
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_chain import Chain
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import VhdStream
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_writer import Body, Layout, Parent, encoded, rewritten
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds

SIZE = 5 * MIB + 512
WRITES = {0: b"a" * 512, 2 * MIB - 512: b"b" * 1024, 5 * MIB: b"c" * 512}
IDENTITY, OTHER = uuid.uuid4(), uuid.uuid4()


def whole(body: Body) -> bytes:
    """All its bytes, which are as many as it said."""
    data = b"".join(body.chunks)
    assert len(data) == body.length
    return data


@pytest.mark.parametrize("batmap", [False, True])
@pytest.mark.parametrize("parent", [None, Parent(OTHER, "1.vhd", 99), Parent(OTHER, "x" * 300, 99)])
@pytest.mark.parametrize("size", [512, SIZE, 2 * MIB, 300 * MIB, 5000 * MIB + 512])
def test_the_length_is_known_beforehand(size: int, parent: t.Optional[Parent], batmap: bool) -> None:
    layout = Layout(size, [0], parent=parent, batmap=batmap)
    assert len(layout.head()) + sum(len(part) for part in layout.block(0, bytes(BLOCK_SIZE))) + len(layout.tail()) == layout.length
    assert not len(layout.head()) % 512


def test_a_layout_says_who_it_is_and_what_it_is_based_on() -> None:
    file = vhds.opened(vhds.vhd(SIZE, WRITES, parent=Parent(OTHER, "1.vhd", 99), identity=IDENTITY, timestamp=100, hidden=True))
    assert (file.footer.identity, file.footer.timestamp, file.hidden, file.parent) == (IDENTITY, 100, True, OTHER)
    assert file.header and (file.header.parent_name, file.header.parent_timestamp, file.header.entries) == ("1.vhd", 99, 3)
    assert [(one.code, one.reserved, name) for one, name in file.locators()] == [
        (b"MacX", 512, "file://./1.vhd"), (b"W2ku", 512, ".\\1.vhd"), (b"W2ru", 512, ".\\1.vhd")]


def test_a_batmap_makes_it_one_of_blktaps() -> None:
    plain, blktap = (vhds.opened(vhds.vhd(SIZE, WRITES, batmap=batmap)) for batmap in (False, True))
    assert (plain.footer.creator, plain.batmap()) == (b"win ", None)
    batmap = blktap.batmap()
    assert batmap and (blktap.footer.creator, blktap.footer.creator_version, blktap.footer.host) == (b"tap\0", 0x10003, bytes(4))
    assert batmap.bits == bytes(512)


def test_a_disk_is_encoded_by_its_extents() -> None:
    content = vhds.disk(SIZE, WRITES)
    stream = io.BytesIO(content)

    def read(offset: int, length: int) -> bytes:
        stream.seek(offset)
        return stream.read(length)

    data = whole(encoded(SIZE, ((offset, len(data)) for offset, data in WRITES.items()), read, identity=IDENTITY, timestamp=3))
    file = vhds.opened(data)
    assert (list(file.order), file.footer.identity, file.footer.timestamp) == ([0, 1, 2], IDENTITY, 3)
    assert list(file.allocated()) == [(0, 512), (2 * MIB - 512, 512), (2 * MIB, 512), (5 * MIB, 512)]
    assert file.read(0, SIZE) == content


@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 60 * 512), st.integers(0, 20 * 512)), max_size=6))
def test_sectors_that_extents_touch_are_written_whole(sectors: int, extents: t.List[t.Tuple[int, int]]) -> None:
    content = bytes(range(1, 256)) * (sectors * 512 // 255 + 1)
    size = sectors * 512
    data = whole(encoded(size, extents, lambda offset, length: content[offset:min(offset + length, size)], block_size=4 * KIB))
    touched = {sector for offset, length in extents for sector in range(offset // 512, -(-(offset + length) // 512)) if sector < sectors and length}
    expected = b"".join(content[sector * 512:(sector + 1) * 512] if sector in touched else bytes(512) for sector in range(sectors))
    assert vhds.opened(data).read(0, size) == expected


def test_an_exported_base_and_its_delta_become_a_chain() -> None:
    """As XAPI exports them: identities made up at random, and a parent nobody has heard of."""
    delta_writes = {2 * MIB: b"d" * 512, 4 * MIB: b"e" * MIB}
    base, delta = vhds.vhd(SIZE, WRITES), vhds.vhd(SIZE, delta_writes, parent=Parent(uuid.uuid4(), "/dev/sm/backend/parent", 0))
    bodies = [
        rewritten(VhdStream(vhds.reading(delta)), identity=IDENTITY, parent=Parent(OTHER, "1.vhd", 1000), timestamp=1000),
        rewritten(VhdStream(vhds.reading(base)), identity=OTHER, timestamp=1000),
    ]
    files = [vhds.opened(whole(body)) for body in bodies]
    chain = Chain(files)
    assert chain.read(0, SIZE) == vhds.disk(SIZE, WRITES, delta_writes)
    assert [(file.footer.identity, file.footer.timestamp, file.batmap() is not None) for file in files] == [(IDENTITY, 1000, True), (OTHER, 1000, True)]
    assert files[0].header and (files[0].header.parent_name, files[0].header.parent_timestamp) == ("1.vhd", 1000)


def test_what_is_rewritten_has_zeroes_where_nothing_was_written() -> None:
    """qemu-img reads them."""
    data = whole(rewritten(VhdStream(vhds.reading(vhds.vhd(SIZE, WRITES, garbage=b"x"))), identity=IDENTITY))
    assert data == vhds.vhd(SIZE, WRITES, identity=IDENTITY, batmap=True)


@settings(max_examples=30)
@given(st.permutations(range(6)), st.integers(0, 1000))
def test_blocks_keep_their_order(order: t.List[int], seed: int) -> None:
    size = 23 * KIB + 512
    writes = vhds.scattered(seed, size, 5, 6)
    body = rewritten(VhdStream(vhds.reading(vhds.vhd(size, writes, block_size=4 * KIB, order=order))))
    data = whole(body)
    assert list(vhds.opened(data).order) == [number for number in order if number in {offset // 4096 for offset, dummy in vhds.opened(data).allocated()}]
    assert vhds.opened(data).read(0, size) == vhds.disk(size, writes)
