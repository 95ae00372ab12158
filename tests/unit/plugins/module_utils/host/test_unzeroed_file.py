# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A volume of a pool that hands out chunks as they are, as the fake of LVM has one."""

from __future__ import annotations

import pathlib
import random
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.block_file import BlockFile
from ansible_collections.bootable.volumes.plugins.module_utils.host.unzeroed_file import UnzeroedFile
from ansible_collections.bootable.volumes.tests.unit.fakes.lvm import CHUNK, FakeLvm

SIZE = 8 * MIB


@pytest.fixture
def lvm(one: pathlib.Path) -> FakeLvm:
    found = FakeLvm(one)
    found.add_pool("pool", zeroes=False)
    found.run(["lvcreate", "--yes", "--type", "thin", "--name", "v", "--virtualsize", "%db" % SIZE, "--thinpool", "pool", "vg"])
    return found


@pytest.fixture
def file(lvm: FakeLvm) -> t.Iterator[BlockFile]:
    with lvm.devices.claim(lvm.devices.at(lvm.path("v")), write=True, thin=True, chunk=CHUNK) as found:
        yield found


def test_the_fake_brings_old_bytes_with_a_chunk(lvm: FakeLvm) -> None:
    with lvm.devices.claim(lvm.devices.at(lvm.path("v")), write=True, thin=True) as careless:
        assert not isinstance(careless, UnzeroedFile)
        careless.write(5, b"x")
        assert careless.read(0, CHUNK + 1) == (b"\xa5" * 5 + b"x").ljust(CHUNK, b"\xa5") + b"\0"


@pytest.mark.parametrize("offset, length", [
    (0, 1), (CHUNK - 1, 2), (CHUNK, CHUNK), (CHUNK - 1, CHUNK), (CHUNK - 1, CHUNK + 2), (1, 3 * CHUNK), (SIZE - 1, 1), (SIZE - CHUNK, CHUNK), (0, SIZE),
    (7, 0)])
def test_what_is_beside_a_write_stays_zero(file: BlockFile, offset: int, length: int) -> None:
    file.write(offset, b"x" * length)
    assert file.read(0, SIZE) == (bytes(offset) + b"x" * length).ljust(SIZE, b"\0")


def test_in_whatever_order_it_is_written_and_zeroed(file: BlockFile) -> None:
    order, expected = random.Random(5), bytearray(SIZE)
    for dummy in range(200):
        offset = order.randrange(SIZE)
        length = order.randrange(min(3 * CHUNK, SIZE - offset))
        data = order.randbytes(length) if order.random() < 0.6 else bytes(length)
        expected[offset:offset + length] = data
        if any(data):
            file.write(offset, data)
        else:
            file.zero(offset, length)
    assert file.read(0, SIZE) == expected


def test_a_chunk_is_looked_at_once(file: BlockFile, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: t.List[t.Tuple[int, int]] = []
    real = BlockFile.read
    monkeypatch.setattr(BlockFile, "read", lambda self, offset, length: reads.append((offset, length)) or real(self, offset, length))
    for offset in range(0, 2 * CHUNK, 512):
        file.write(offset, b"x" * 512)
    file.write(2 * CHUNK, b"x" * CHUNK)
    assert reads == [(0, CHUNK), (CHUNK, CHUNK)]
