# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.refill import refill
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CinderOptions, metadata_of, view
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, REFILLED, WORKING, Made, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def existing(cloud: FakeCloud, **metadata: str) -> Volume:
    """A volume that is there."""
    volume = cloud.volumes.create(Wish("web-1", 1, metadata=metadata))
    cloud.clock.sleep(10)
    return view(cloud.volumes.get(volume.id))


def refilled(cloud: FakeCloud, volume: Volume, metadata: t.Optional[t.Dict[str, str]] = None, *, options: CinderOptions = CinderOptions(),
             wait: bool = True, image: t.Optional[str] = None) -> Made:
    """The volume with another image."""
    image = image or cloud.glance.add("debian")
    return refill(cloud.volumes, volume, image, metadata or {}, options, cloud.job(wait=wait))


def test_the_same_volume_holds_the_image(cloud: FakeCloud) -> None:
    volume = existing(cloud, team="a")
    made = refilled(cloud, volume)
    assert (made.how, made.volume.id, made.volume.state) == (REFILLED, volume.id, AVAILABLE)
    assert made.volume.record is not None and made.volume.record.image_name == "debian"
    assert made.volume.details["metadata"] == {"team": "a"} and made.volume.details["bootable"]


def test_what_it_remembered_before_is_forgotten(cloud: FakeCloud) -> None:
    volume = existing(cloud, **metadata_of(Record(READY, "file", None, "/x", "sha256:1")))
    made = refilled(cloud, volume)
    assert made.volume.record is not None and made.volume.record.origin == "glance"
    assert cloud.volume("web-1")["metadata"] == {}


def test_what_it_shall_remember(cloud: FakeCloud) -> None:
    record = Record(READY, "file", None, "/x", "sha256:1")
    image = cloud.glance.add("private")
    made = refilled(cloud, existing(cloud), metadata_of(record, via=image), image=image)
    assert made.volume.record == record


def test_not_bootable_if_it_shall_not_be(cloud: FakeCloud) -> None:
    assert refilled(cloud, existing(cloud), options=CinderOptions(bootable=False)).volume.details["bootable"] is False


def test_not_waiting(cloud: FakeCloud) -> None:
    assert refilled(cloud, existing(cloud), wait=False).volume.state == WORKING


def test_a_volume_in_error_is_reset_first(cloud: FakeCloud) -> None:
    volume = existing(cloud)
    cloud.volume("web-1")["status"] = "error"
    cloud.cinder.admin = True
    made = refilled(cloud, view(cloud.volumes.get(volume.id)))
    assert made.volume.status == "available"


def test_only_administrators_reset(cloud: FakeCloud) -> None:
    volume = existing(cloud)
    cloud.volume("web-1")["status"] = "error"
    with pytest.raises(Denied, match="only an administrator may clear that .* use on_drift: replace"):
        refilled(cloud, view(cloud.volumes.get(volume.id)))


def test_cinder_fails(cloud: FakeCloud) -> None:
    volume = existing(cloud)
    cloud.cinder.failing["web-1"] = "Image could not be downloaded"
    with pytest.raises(BackendError, match="could not refill .* Image could not be downloaded"):
        refilled(cloud, volume)


def test_an_image_that_does_not_fit(cloud: FakeCloud) -> None:
    volume = existing(cloud)
    with pytest.raises(InvalidInput, match="larger than volume size"):
        refilled(cloud, volume, image=cloud.glance.add("large", size=2 * GIB))
    assert cloud.volume("web-1")["status"] == "available"


def test_cinder_fills_it_with_something_else(cloud: FakeCloud) -> None:
    volume, image, other = existing(cloud), cloud.glance.add("debian"), cloud.glance.add("other")
    cloud.cinder._images = lambda image_id: cloud.glance.images[other]
    with pytest.raises(BackendError, match="should have been refilled with image %s, but Cinder says it holds %s" % (image, other)):
        refilled(cloud, volume, image=image)


def test_before_zed() -> None:
    cloud = FakeCloud(newest=(3, 67))
    volume = existing(cloud)
    with pytest.raises(InvalidInput, match="microversion 3.68"):
        refilled(cloud, volume, options=CinderOptions(force_refill=True))


def test_before_2024() -> None:
    cloud = FakeCloud(newest=(3, 70))
    volume = existing(cloud)
    with pytest.raises(InvalidInput, match="old data can remain"):
        refilled(cloud, volume)
    assert not [line for line in cloud.cinder.sent if "action" in line]
    assert refilled(cloud, volume, options=CinderOptions(force_refill=True)).how == REFILLED
