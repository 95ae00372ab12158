# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written here, as programs see it that are none of ours: libvhdi (chains) and qemu-img (single disks). And theirs, as we see it."""

from __future__ import annotations

import io
import pathlib
import typing as t
import uuid

import pytest
import pyvhdi
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_archive import Archive
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_chain import Chain
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_layers import Layers
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import VhdStream
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_writer import Body, Parent, encoded, rewritten
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds
from ansible_collections.bootable.volumes.tests.unit.fakes.host import HostRunner

# Not all multiples of 2 MiB, which is where a block ends; nor of the geometry's cylinders.
SIZES = [512, 2 * MIB - 512, 2 * MIB, 4 * MIB + 512, 7 * MIB + 3 * 512]


def by_libvhdi(files: t.Sequence[bytes]) -> bytes:
    """The disk that libvhdi makes of a chain, the newest first.

    It takes a stretch of sectors in a bitmap to go on until the end of the bitmap's byte, so that it is asked only about what was written
    in pieces of eight sectors.
    """
    opened = []
    for data in files:
        file = pyvhdi.file()
        file.open_file_object(io.BytesIO(data))
        opened.append(file)
    for child, parent in zip(opened, opened[1:]):
        assert child.get_parent_identifier() == parent.get_identifier()
        child.set_parent(parent)
    size = opened[0].get_media_size()
    return b"".join(opened[0].read_buffer_at_offset(min(MIB, size - offset), offset) for offset in range(0, size, MIB))


def by_qemu(folder: pathlib.Path, data: bytes) -> bytes:
    """The disk that qemu makes of a single VHD."""
    source, target = folder / "disk.vhd", folder / "disk.raw"
    source.write_bytes(data)
    HostRunner().run_ok(["qemu-img", "convert", "-f", "vpc", "-O", "raw", str(source), str(target)])
    return target.read_bytes()


def whole(body: Body) -> bytes:
    """All its bytes."""
    return b"".join(body.chunks)


def layers_of(seed: int, size: int, count: int) -> t.List[vhds.Writes]:
    """What was written to each layer of a chain."""
    return [vhds.scattered(seed * 10 + index, size, 12, 3000, unit=8) for index in range(count)]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10000), st.sampled_from(SIZES), st.integers(1, 4), st.booleans())
def test_libvhdi_reads_our_chains(seed: int, size: int, count: int, batmap: bool) -> None:
    layers = layers_of(seed, size, count)
    files = vhds.chain(size, *layers, batmap=batmap)
    expected = vhds.disk(size, *layers)
    assert by_libvhdi(files) == expected
    assert Chain([vhds.opened(file) for file in files]).read(0, size) == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batmap", [False, True])
def test_qemu_and_libvhdi_read_our_single_disks(folder: pathlib.Path, size: int, batmap: bool) -> None:
    layers = layers_of(size, size, 3)
    expected = vhds.disk(size, *layers)
    flat = whole(Chain([vhds.opened(file) for file in vhds.chain(size, *layers, garbage=b"g")]).flat(batmap=batmap))
    assert by_qemu(folder, flat) == expected
    assert by_libvhdi([flat]) == expected


@pytest.mark.parametrize("size", SIZES)
def test_they_read_what_was_relinked(folder: pathlib.Path, size: int) -> None:
    """As XAPI exports it: a base, and a delta whose parent nobody knows, blocks written all over."""
    old, new = layers_of(size + 1, size, 2)
    before = vhds.disk(size, old)
    changed = min(size, 3 * MIB)
    after = vhds.disk(size, old, new)[:changed] + before[changed:]
    base = whole(encoded(size, [(0, size)], lambda offset, length: before[offset:offset + length]))
    delta = whole(encoded(size, [(0, changed)], lambda offset, length: after[offset:offset + length], parent=Parent(uuid.uuid4(), "dom0's own.vhd")))
    new_base = whole(rewritten(VhdStream(vhds.reading(base)), timestamp=5))
    leaf = whole(rewritten(VhdStream(vhds.reading(delta)), parent=Parent(vhds.opened(new_base).footer.identity, "1.vhd", 5), timestamp=5))
    assert by_libvhdi([leaf, new_base]) == after
    assert by_qemu(folder, new_base) == before


def test_what_is_sent_of_a_chain_is_what_libvhdi_makes_of_it() -> None:
    size = 5 * MIB + 512
    files = vhds.chain(size, *layers_of(7, size, 3), garbage=b"g")
    expected = by_libvhdi(files)
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        disk, layers = bytearray(6 * MIB), Layers()
        for member in Archive(vhds.reading(vhds.archive(files, gz=True, order=order, level=0), 100000)).members():
            layer = layers.begin(member.position, VhdStream(member.read))
            vhds.imported(disk, b"".join(layer.chunks()))
        layers.finish()
        assert bytes(disk[:size]) == expected


@pytest.mark.parametrize("options", [["subformat=dynamic"], ["subformat=dynamic,force_size=on"], ["subformat=fixed"], ["subformat=fixed,force_size=on"]])
def test_we_read_qemus_disks(folder: pathlib.Path, options: t.List[str]) -> None:
    raw, image = folder / "raw", folder / "image"
    content = vhds.disk(5 * MIB, {0: b"a" * 512, 3 * MIB: b"b" * 64 * KIB, 5 * MIB - 512: b"c" * 512})
    raw.write_bytes(content)
    HostRunner().run_ok(["qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", *options, str(raw), str(image)])
    file = vhds.opened(image.read_bytes())
    assert file.read(0, file.size) == content.ljust(file.size, b"\0")
    assert file.size == 5 * MIB if "force_size=on" in options[0] else file.size - 5 * MIB < MIB
    if "fixed" not in options[0]:
        assert b"".join(block.clean() for block in VhdStream(vhds.reading(image.read_bytes())).blocks())[:512] == content[:512]
