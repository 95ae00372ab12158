# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InUse
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CinderOptions
from ansible_collections.bootable.volumes.plugins.module_utils.storage.content import Hashed, VolumeContent, content_of, digest_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Request
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record
from ansible_collections.bootable.volumes.plugins.module_utils.storage.imaging import Route
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, make_job, surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.memory import MemoryDriver

DATA = os.urandom(3 * 4096)


@pytest.fixture
def driver():
    driver = MemoryDriver(surroundings())
    driver.disks["v"] = bytearray(DATA), Record(READY, "blank")
    return driver


def test_a_volume_is_read_as_a_raw_image_from_any_offset(driver):
    content = VolumeContent(driver, driver.find("v"))
    described = content.describe()
    assert (described.format, described.size, described.virtual_size, described.origin, described.id) == ("raw", len(DATA), len(DATA), "volume", None)
    with content.open(4096) as stream:
        assert stream.read(10) == DATA[4096:4106]
        assert stream.read(1 << 20) == DATA[4106:]
        assert stream.read(10) == b""


@pytest.mark.parametrize("data, length, same", [
    (DATA, len(DATA), True),
    (DATA + bytes(4096), len(DATA), True),
    (DATA + bytes(4095) + b"x", len(DATA), False),
    (DATA[:-1], len(DATA), False),
    (DATA[:-1] + b"\0" if DATA[-1:] != b"\0" else DATA[:-1] + b"x", len(DATA), False),
])
def test_only_zeroes_may_lie_behind_what_is_compared(data, length, same):
    digest = digest_of(BytesImage(data), length, make_job())
    assert (digest == hashlib.sha512(DATA).hexdigest()) is same


def test_what_passes_is_hashed_even_if_the_stream_breaks_off():
    hashed = Hashed(BytesImage(DATA))
    with hashed.open() as stream:
        stream.read(5000)
    assert hashed.digest is None
    with hashed.open(5000) as stream:
        while stream.read(4096):
            pass
    assert hashed.digest == hashlib.sha512(DATA).hexdigest()
    with hashed.open() as stream:
        stream.read(1)
    assert hashed.digest is None


# --- Cinder, which cannot be opened ---


@pytest.fixture
def cloud():
    return FakeCloud()


@pytest.fixture
def cinder(cloud):
    driver = CinderDriver(cloud, CinderOptions(), clock=cloud.clock)
    driver.create(Request("v", 1 << 30), Record(READY, "blank"))
    return driver


def there(cloud):
    return [image.id for image in cloud.images.list()]


def test_a_volume_of_cinder_is_read_by_way_of_an_image_that_goes_again(cloud, cinder):
    with content_of(cinder, cinder.find("v"), cloud, cloud.job()) as content:
        assert content.describe().origin == "volume"
        assert len(there(cloud)) == 1
        content.open().close()
    assert there(cloud) == []
    with pytest.raises(KeyboardInterrupt):
        with content_of(cinder, cinder.find("v"), cloud, cloud.job()):
            raise KeyboardInterrupt
    assert there(cloud) == []


def test_what_a_killed_run_left_goes_too_and_nothing_else(cloud, cinder):
    volume = cinder.find("v")
    left = cinder.imaging(cloud.images).make(volume, ImageWish("bootable.volumes content of %s" % volume.id), Route(), cloud.job()).image
    other = cinder.imaging(cloud.images).make(volume, ImageWish("golden"), Route(), cloud.job()).image
    with content_of(cinder, volume, cloud, cloud.job()):
        assert left.id not in there(cloud)
    assert there(cloud) == [other.id]


def test_an_attached_volume_is_refused(cloud, cinder):
    cloud.volume("v").update(status="in-use", attachments=[{"id": "a", "attachment_id": "t", "server_id": "s", "device": "/dev/vda"}])
    with pytest.raises(InUse):
        with content_of(cinder, cinder.find("v"), cloud, cloud.job()):
            pass
