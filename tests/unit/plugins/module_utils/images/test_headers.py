# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import FORMATS, QemuImg
from ansible_collections.bootable.volumes.plugins.module_utils.images import headers
from ansible_collections.bootable.volumes.tests.unit.fakes import disks
from ansible_collections.bootable.volumes.tests.unit.fakes.host import HostRunner


def reading(data: bytes) -> headers.Read:
    """How a header is read."""
    return lambda offset, length: data[offset:offset + length]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [512, 3 * MIB + 512, 5 << 30])
def test_the_size_is_what_qemu_made(folder: pathlib.Path, format: str, size: int) -> None:
    path = folder / "image"
    QemuImg(HostRunner()).create(str(path), format, size)
    with open(path, "rb") as file:
        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        assert headers.virtual_size(read, format, path.stat().st_size) == size
        assert headers.check(read, format, path.stat().st_size) == size


@pytest.mark.parametrize("format, data", [("qcow2", disks.qcow2()), ("vmdk", disks.vmdk()), ("vdi", disks.vdi()), ("vhd", disks.vhd_dynamic())])
def test_the_beginning_of_a_download_is_enough(format: str, data: bytes) -> None:
    assert headers.virtual_size(reading(data[:64 * KIB]), format, 0) == disks.SIZE


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "raw"])
def test_any_other_content_is_refused(format: str) -> None:
    for data in (b"", b"x", disks.raw_disk()):
        with pytest.raises(UnsafeImage):
            headers.virtual_size(reading(data), format, len(data))


def test_compressed_clusters_are_looked_for_where_they_are(folder: pathlib.Path) -> None:
    raw, path = folder / "raw", folder / "image"
    raw.write_bytes(b"a" * MIB + disks.pattern(MIB) + b"b" * MIB)
    HostRunner().run_ok(["qemu-img", "convert", "-c", "-O", "qcow2", "-f", "raw", str(raw), str(path)])
    data = path.read_bytes()
    assert headers.check(reading(data), "qcow2", len(data)) == 3 * MIB
    with pytest.raises(UnsafeImage, match="truncated"):
        headers.check(reading(data[:len(data) // 2]), "qcow2", len(data) // 2)


@pytest.mark.parametrize("tail, fixed", [
    (disks.vhd_footer(MIB, 2), True),
    (disks.vhd_footer(MIB, 2)[:511], False),
    (b"conectix".ljust(512, b"\0"), False),
    (bytes(512), False),
])
def test_a_fixed_vhd_is_known_by_its_end(tail: bytes, fixed: bool) -> None:
    assert headers.is_fixed_vhd(tail) is fixed


def test_every_format_has_a_reader() -> None:
    assert set(t.cast(t.Any, headers)._READERS) == set(FORMATS) - {"raw"}
