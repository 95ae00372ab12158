# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats import vhd_source
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_file import VhdFile
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_layers import Layers
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import VhdStream
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.formats.test_vhd_file import behind

SIZE = 5 * MIB + 512
WRITES: vhds.Writes = {0: b"a" * 512, 4 * MIB: b"b" * MIB}
CONTENT = vhds.disk(SIZE, WRITES)


@pytest.mark.parametrize("piece", [4000, 1 << 30])
@pytest.mark.parametrize("data, kind", [
    (vhds.vhd(SIZE, WRITES), VhdStream), (vhds.fixed(CONTENT), VhdFile), (behind(vhds.vhd(SIZE, WRITES)), VhdFile),
])
def test_whatever_it_is_it_can_be_imported(folder: pathlib.Path, piece: int, data: bytes, kind: t.Type[object]) -> None:
    disk, layers = bytearray(6 * MIB), Layers(1)
    with vhd_source.opened(vhds.reading(data, piece), folder=str(folder)) as source:
        assert isinstance(source, kind)
        assert source.size == SIZE
        layer = layers.begin(0, source)
        body = b"".join(layer.chunks())
    layers.finish()
    assert len(body) == layer.length
    vhds.imported(disk, body)
    assert bytes(disk) == CONTENT.ljust(6 * MIB, b"\0")
    assert not list(folder.iterdir())


def test_what_is_kept_takes_no_room_for_zeroes(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    monkeypatch.setattr(vhd_source, "VhdFile", lambda read_at, stored: files.append(os.fstat(read_at.__self__.fd)))
    with vhd_source.opened(vhds.reading(vhds.fixed(CONTENT.ljust(64 * MIB, b"\0"))), folder=str(folder)):
        pass
    assert files[0].st_size == 64 * MIB + 512
    assert files[0].st_blocks * 512 < 8 * MIB


@pytest.mark.parametrize("data", [b"", b"x", bytes(10000), vhds.vhd(SIZE, WRITES)[:1000]])
def test_anything_else_is_refused(folder: pathlib.Path, data: bytes) -> None:
    with pytest.raises(UnsafeImage):
        with vhd_source.opened(vhds.reading(data), folder=str(folder)):
            pass
    assert not list(folder.iterdir())
