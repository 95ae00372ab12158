# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.images.glance import GlanceImage
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud

# The beginning of a qcow2 of version 2: magic, version, no backing file, 64 KiB clusters, 3 GiB.
QCOW2 = struct.pack(">4sIQIIQ", b"QFI\xfb", 2, 0, 0, 16, 3 * GIB) + b"\0" * 4096


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def test_making_one_asks_nobody(cloud: FakeCloud) -> None:
    GlanceImage(cloud, "debian")
    assert cloud.glance.sent == []


def test_described_once(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", b"x" * 100, min_disk=2, os_type="linux")
    source = GlanceImage(cloud, "debian")
    image = source.describe()
    assert (image.name, image.origin, image.id, image.format, image.container) == ("debian", "glance", image_id, "raw", "bare")
    assert (image.size, image.virtual_size, image.min_disk, image.properties) == (100, 100, 2, {"os_type": "linux"})
    assert sorted(image.checksums) == ["md5", "sha512"]
    before = len(cloud.glance.sent)
    assert source.describe() is image and len(cloud.glance.sent) == before


def test_the_virtual_size_is_looked_up_where_glance_has_not(cloud: FakeCloud) -> None:
    cloud.glance.add("debian", QCOW2, disk_format="qcow2")
    assert GlanceImage(cloud, "debian").describe().virtual_size == 3 * GIB


def test_the_virtual_size_that_glance_says(cloud: FakeCloud) -> None:
    cloud.glance.add("debian", QCOW2, disk_format="qcow2", virtual_size=4 * GIB)
    assert GlanceImage(cloud, "debian").describe().virtual_size == 4 * GIB
    assert not [line for line in cloud.glance.sent if line.endswith("/file")]


def test_of_a_vhd_glance_is_not_believed(cloud: FakeCloud) -> None:
    cloud.glance.add("windows", b"x" * 1024, disk_format="vhd", virtual_size=4 * GIB)
    assert GlanceImage(cloud, "windows").describe().virtual_size != 4 * GIB


def test_an_image_without_checksums(cloud: FakeCloud) -> None:
    cloud.glance.add("debian", checksum=None, os_hash_algo=None, os_hash_value=None)
    assert GlanceImage(cloud, "debian").describe().checksums == {}


def test_an_image_that_cannot_be_read(cloud: FakeCloud) -> None:
    cloud.glance.add("debian", status="queued")
    with pytest.raises(InvalidInput, match="is queued"):
        GlanceImage(cloud, "debian").describe()


def test_an_image_without_a_format(cloud: FakeCloud) -> None:
    cloud.glance.add("debian", disk_format=None)
    with pytest.raises(InvalidInput, match="no disk format"):
        GlanceImage(cloud, "debian").describe()


def test_its_bytes(cloud: FakeCloud) -> None:
    cloud.glance.add("debian", bytes(range(200)))
    source = GlanceImage(cloud, "debian")
    with source.open(100) as stream:
        assert stream.read(50) == bytes(range(100, 150))
        assert stream.read(100) == bytes(range(150, 200))
        assert stream.read(100) == b""


def test_a_stream_that_breaks_off(cloud: FakeCloud) -> None:
    cloud.glance.add("debian", bytes(range(200)))
    source = GlanceImage(cloud, "debian")
    source.describe()
    cloud.glance.cut = 100
    with source.open() as stream, pytest.raises(BackendError):
        while stream.read(60):
            pass
