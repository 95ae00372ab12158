# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    Ambiguous, BackendError, InUse, InvalidInput, NoRoom, NotFound, TimedOut,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.images.glance import GlanceImage
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CLAIM, YIELDED, CinderOptions
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    ADOPTED, AVAILABLE, BROKEN, WORKING, Request, Surroundings, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Request as Asked
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract import DriverContract


def driver_of(cloud: FakeCloud, **options: t.Any) -> CinderDriver:
    """A driver on this cloud."""
    return CinderDriver(t.cast(t.Any, cloud), CinderOptions(**options), clock=cloud.clock)


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def driver(cloud: FakeCloud) -> CinderDriver:
    return driver_of(cloud)


def filled(cloud: FakeCloud, name: str = "web-1", image: str = "debian", **attributes: t.Any) -> Volume:
    """A volume that holds an image."""
    image_id = next((each["id"] for each in cloud.glance.images.values() if each["name"] == image), None) or cloud.glance.add(image)
    cloud.volumes.create(Wish(name, 1, image=image_id))
    cloud.clock.sleep(10)
    cloud.volume(name).update(attributes)
    return t.cast(Volume, driver_of(cloud).find(name))


class TestContract(DriverContract):
    """What every driver does, with an image that is not in Glance."""

    @pytest.fixture
    def driver(self, cloud: FakeCloud) -> VolumeDriver:
        return driver_of(cloud)

    @pytest.fixture
    def again(self, cloud: FakeCloud) -> t.Callable[[], VolumeDriver]:
        return lambda: driver_of(cloud)

    @pytest.fixture
    def job(self, cloud: FakeCloud) -> Job:
        return cloud.job()

    @pytest.fixture
    def glance(self, cloud: FakeCloud) -> FakeCloud:
        return cloud


class TestContractWhereCinderClonesForImages(TestContract):
    """The same on a back end that makes images as clones."""

    @pytest.fixture
    def cloud(self) -> FakeCloud:
        cloud = FakeCloud()
        cloud.cinder.image_clones = {"rbd"}
        return cloud


class TestContractWhereCinderDownloads(TestContract):
    """The same on a back end that copies images."""

    @pytest.fixture
    def cloud(self) -> FakeCloud:
        cloud = FakeCloud()
        cloud.cinder.clones_images = False
        return cloud


# --- options ---


def test_making_one_asks_nobody(cloud: FakeCloud) -> None:
    surroundings = Surroundings(runner=t.cast(t.Any, None), cloud=t.cast(t.Any, cloud))
    CinderDriver.from_options({"volume_type": "rbd", "metadata": {"a": 1}, "bootable": False}, surroundings)
    assert not cloud.cinder.sent


def test_metadata_are_strings(cloud: FakeCloud) -> None:
    surroundings = Surroundings(runner=t.cast(t.Any, None), cloud=t.cast(t.Any, cloud))
    driver = CinderDriver.from_options({"metadata": {"a": 1, "b": True}}, surroundings)
    assert driver.differences(filled(cloud))[0].wanted == {"a": "1", "b": "True"}


def test_our_own_keys_are_ours(cloud: FakeCloud) -> None:
    surroundings = Surroundings(runner=t.cast(t.Any, None), cloud=t.cast(t.Any, cloud))
    with pytest.raises(InvalidInput, match="rename bootable_x"):
        CinderDriver.from_options({"metadata": {"bootable_x": "1"}}, surroundings)


@pytest.mark.parametrize("name", ["x" * 256, " x", "x "])
def test_names_that_cinder_cannot_give(driver: CinderDriver, name: str) -> None:
    with pytest.raises(InvalidInput, match="no name for a Cinder volume"):
        driver.check_names(["fine", name])


def test_an_archive_of_vhds_is_refused_before_anybody_is_asked(driver: CinderDriver, cloud: FakeCloud) -> None:
    with pytest.raises(InvalidInput, match="golden is an archive of VHDs.*Cinder cannot"):
        driver.check_image(ImageDescription("golden", "glance", "vhd", container="ovf"))
    driver.check_image(ImageDescription("golden", "glance", "vhd"))
    assert not cloud.cinder.sent


# --- looking ---


def test_many_are_found_with_one_request(cloud: FakeCloud, driver: CinderDriver) -> None:
    for number in range(20):
        cloud.volumes.create(Wish("web-%d" % number, 1))
    cloud.cinder.sent.clear()
    found = driver.find_all(["web-%d" % number for number in range(21)])
    assert cloud.cinder.sent == ["GET /volumes/detail"]
    assert found["web-20"] is None and found["web-19"] is not None


def test_a_volume_of_an_image(cloud: FakeCloud) -> None:
    found = filled(cloud)
    assert (found.state, found.size, found.location) == (AVAILABLE, GIB, "rbd")
    assert found.record is not None and found.record.is_of(GlanceImage(t.cast(t.Any, cloud), "debian").describe())


def test_looked_up_by_name_and_by_id(cloud: FakeCloud, driver: CinderDriver) -> None:
    volume = filled(cloud)
    assert driver.look_up("web-1") == driver.look_up(volume.id) == volume
    assert driver.find(volume.id) is driver.look_up("nix") is driver.look_up("99999999-0000-4000-8000-000000000000") is None
    other = filled(cloud, name=volume.id)
    assert driver.look_up(volume.id) == volume and driver.look_up(other.id) == other


def test_a_name_that_several_have(cloud: FakeCloud, driver: CinderDriver) -> None:
    ids = [cloud.volumes.create(Wish("web-1", 1)).id for dummy in range(2)]
    with pytest.raises(Ambiguous, match="2 volumes have the name 'web-1'") as caught:
        driver.find_all(["web-1", "web-2"])
    assert sorted(caught.value.details["ids"]) == sorted(ids)


def test_listing_shows_the_type_that_is_asked_for(cloud: FakeCloud) -> None:
    for name, volume_type in (("b", "rbd"), ("a", "nfs"), ("c", "rbd")):
        cloud.volumes.create(Wish(name, 1, type=volume_type))
    assert [volume.name for volume in driver_of(cloud).list()] == ["a", "b", "c"]
    assert [volume.name for volume in driver_of(cloud, volume_type="rbd").list()] == ["b", "c"]


def test_types_may_be_given_by_id(cloud: FakeCloud) -> None:
    assert driver_of(cloud, volume_type=cloud.cinder.types["rbd"]).differences(filled(cloud)) == []
    assert driver_of(cloud, volume_type="nfs").differences(filled(cloud, "web-2"))[0].wanted == "nfs"


def test_no_such_type(cloud: FakeCloud) -> None:
    with pytest.raises(NotFound, match="no volume type 'nix'"):
        driver_of(cloud, volume_type="nix").check_room([Request("web-1", GIB)], None)


@pytest.mark.parametrize("image, least", [
    (ImageDescription("x", "glance", "raw", size=100), GIB),
    (ImageDescription("x", "glance", "qcow2", size=100, virtual_size=3 * GIB + 1), 4 * GIB),
    (ImageDescription("x", "glance", "qcow2", size=5 * GIB, virtual_size=3 * GIB), 5 * GIB),
    (ImageDescription("x", "glance", "raw", size=100, min_disk=8), 8 * GIB),
    (ImageDescription("x", "glance", "raw", size=100, virtual_size=2 * GIB), 2 * GIB),
])
def test_the_least_size(driver: CinderDriver, image: ImageDescription, least: int) -> None:
    assert driver.least_size(image) == least


def test_holders(cloud: FakeCloud, driver: CinderDriver) -> None:
    volume = filled(cloud, status="in-use", attachments=[{"attachment_id": "a", "id": "v", "server_id": "s1", "device": "/dev/vda"}])
    cloud.cinder.snapshots["snap1"] = volume.id
    assert driver.holders(volume) == ["server s1 as /dev/vda", "snapshot snap1"]


def test_quotas_are_looked_at_first(cloud: FakeCloud, driver: CinderDriver) -> None:
    cloud.cinder.limits.update({"volumes": 10, "volumes_nfs": 1})
    filled(cloud)
    driver.check_room([Request("n-%d" % number, GIB) for number in range(9)], None)
    with pytest.raises(NoRoom, match="volumes: 10 asked for, 1 of 10 used"):
        driver.check_room([Request("n-%d" % number, GIB) for number in range(10)], None)
    with pytest.raises(NoRoom, match="volumes_nfs: 2 asked for"):
        driver_of(cloud, volume_type="nfs").check_room([Request("a", GIB), Request("b", GIB)], None)


def test_a_cloud_may_keep_its_quotas_to_itself(cloud: FakeCloud, driver: CinderDriver) -> None:
    def refuse(request: Asked) -> None:
        if "quota" in request.path:
            raise Refused(403, "not yours to see")

    cloud.cinder.interrupt = refuse
    driver.check_room([Request("a", GIB)], None)


def test_planning_writes_nothing(cloud: FakeCloud, driver: CinderDriver) -> None:
    volume = filled(cloud)
    cloud.cinder.sent.clear()
    driver.find_all(["web-1", "web-2"])
    driver.list()
    driver.differences(volume)
    driver.holders(volume)
    driver.check_room([Request("web-2", GIB)], None)
    GlanceImage(t.cast(t.Any, cloud), "debian").describe()
    assert not cloud.writes()


# --- changing ---


def test_growing(cloud: FakeCloud, driver: CinderDriver) -> None:
    grown = driver.grow(filled(cloud), 3 * GIB, cloud.job())
    assert (grown.size, grown.status) == (3 * GIB, "available")


def test_growing_an_attached_volume(cloud: FakeCloud, driver: CinderDriver) -> None:
    assert driver.grow(filled(cloud, status="in-use"), 3 * GIB, cloud.job()).status == "in-use"


def test_growing_fails(cloud: FakeCloud, driver: CinderDriver) -> None:
    volume = filled(cloud)
    cloud.cinder.failing["web-1"] = None
    with pytest.raises(BackendError, match="could not extend volume web-1 .* status error_extending"):
        driver.grow(volume, 3 * GIB, cloud.job())


def test_updating(cloud: FakeCloud) -> None:
    volume = filled(cloud, metadata={"a": "1", "b": "2"}, bootable=False)
    driver = driver_of(cloud, metadata={"a": "3"}, description="x")
    updated = driver.update(volume, driver.differences(volume), cloud.job())
    assert driver.differences(updated) == []
    assert updated.details["metadata"] == {"a": "3", "b": "2"}


def test_removing_takes_the_strays_along(cloud: FakeCloud, driver: CinderDriver) -> None:
    filled(cloud)
    cloud.volumes.create(Wish("web-1", 1, metadata={CLAIM: YIELDED}))
    driver.remove(t.cast(Volume, driver.find("web-1")), cloud.job())
    assert cloud.cinder.volumes == {}


def test_a_volume_that_is_being_made_is_removed_when_it_is_done(cloud: FakeCloud, driver: CinderDriver) -> None:
    cloud.volumes.create(Wish("web-1", 1))
    driver.remove(t.cast(Volume, driver.find("web-1")), cloud.job())
    assert cloud.cinder.volumes == {}


def test_marking_replaces_all_of_a_record(cloud: FakeCloud, driver: CinderDriver) -> None:
    volume = driver.create(Request("web-1", GIB), Record(READY, "file", None, "x", "md5:1"))
    marked = driver.mark(volume, Record(READY, "blank"))
    assert marked.record == Record(READY, "blank")
    assert cloud.volume("web-1")["metadata"] == {"bootable_image_origin": "blank"}


# --- adopting ---


def adopt(cloud: FakeCloud, seconds: float = 600.0, *, wait: bool = True) -> t.Any:
    """What a rerun does with a volume that is not done."""
    driver = driver_of(cloud)
    return driver.adopt(t.cast(ImageSource, None), t.cast(Volume, driver.find("web-1")), cloud.job(seconds, wait=wait))


@pytest.mark.parametrize("metadata", [{}, {CLAIM: "a-killed-run"}])
def test_adopting_waits_for_cinder(cloud: FakeCloud, metadata: t.Dict[str, str]) -> None:
    volume = cloud.volumes.create(Wish("web-1", 1, image=cloud.glance.add("debian"), metadata=metadata))
    made = adopt(cloud)
    assert (made.how, made.volume.id, made.volume.state) == (ADOPTED, volume.id, AVAILABLE)
    assert cloud.volume("web-1")["metadata"] == {}


def test_adopting_without_waiting(cloud: FakeCloud) -> None:
    cloud.volumes.create(Wish("web-1", 1, metadata={CLAIM: "a-killed-run"}))
    assert adopt(cloud, wait=False).volume.state == WORKING
    assert cloud.volume("web-1")["metadata"] == {}


def test_adopting_removes_strays(cloud: FakeCloud) -> None:
    filled(cloud)
    cloud.volumes.create(Wish("web-1", 1, metadata={CLAIM: "a-killed-run"}))
    made = adopt(cloud)
    assert made.volume.state == AVAILABLE and "strays" not in made.volume.details
    assert list(cloud.cinder.volumes) == [made.volume.id]


def test_adopting_what_fails(cloud: FakeCloud, driver: CinderDriver) -> None:
    cloud.cinder.failing["web-1"] = "No space"
    cloud.volumes.create(Wish("web-1", 1))
    with pytest.raises(BackendError, match="could not finish volume web-1 .* No space"):
        adopt(cloud)
    assert t.cast(Volume, driver.find("web-1")).state == BROKEN


def test_adopting_in_no_time(cloud: FakeCloud) -> None:
    cloud.cinder.seconds = 1000.0
    cloud.volumes.create(Wish("web-1", 1))
    with pytest.raises(TimedOut, match="Cinder to finish volume web-1"):
        adopt(cloud, 5.0)
    assert cloud.volume("web-1")["status"] == "creating"


# --- filling ---


def test_filling_from_glance(cloud: FakeCloud, driver: CinderDriver) -> None:
    cloud.glance.add("debian")
    source = GlanceImage(t.cast(t.Any, cloud), "debian")
    made = driver.fill_new(source, [Request("web-1", GIB), Request("web-2", GIB)], "auto", cloud.job()).made
    assert [each.volume.name for each in made] == ["web-1", "web-2"]
    assert all(each.volume.record is not None and each.volume.record.is_of(source.describe()) for each in made)
    assert cloud.glance.writes() == []


def test_attached_volumes_are_not_refilled(cloud: FakeCloud, driver: CinderDriver) -> None:
    volume = filled(cloud, status="in-use", attachments=[{"attachment_id": "a", "id": "v", "server_id": "s1", "device": "/dev/vda"}])
    with pytest.raises(InUse, match="is attached"):
        driver.refill(GlanceImage(t.cast(t.Any, cloud), "debian"), volume, cloud.job())


def test_several_are_refilled(cloud: FakeCloud, driver: CinderDriver) -> None:
    volumes = [filled(cloud, "web-1"), filled(cloud, "web-2")]
    new = cloud.glance.add("new", b"x" * 100)
    driver.copy_image(GlanceImage(t.cast(t.Any, cloud), "new"), volumes, cloud.job(), fresh=False)
    found = driver.find_all(["web-1", "web-2"])
    assert [volume and volume.record and volume.record.image_id for volume in found.values()] == [new, new]
