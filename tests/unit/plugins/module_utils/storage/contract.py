# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every volume driver does. A driver's test makes a subclass of ``DriverContract`` and gives it its fixtures.

Tests of what a driver does not claim to have are skipped.
"""

from __future__ import annotations

import importlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import CLONE, UPLOAD, origin_of
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import ACTIVE
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    ADOPTED, AVAILABLE, CLONED, COPIED, HALF_DONE, REFILLED, Filled, Request, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.imaging import Route
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, make_job

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud

BLANK = Record(READY, "blank")


class DriverContract:
    """The fixtures that a subclass gives: ``driver``, and ``again``; the others it may replace.

    ``creates``: whether ``create`` makes a volume by itself. ``filled_size``: a good size for ``source``.
    """

    creates = True

    @pytest.fixture
    def driver(self) -> VolumeDriver:
        """A driver on an empty storage."""
        raise NotImplementedError

    @pytest.fixture
    def again(self) -> t.Callable[[], VolumeDriver]:
        """Makes another driver on the same storage, as a rerun does."""
        raise NotImplementedError

    @pytest.fixture
    def source(self) -> ImageSource:
        """An image."""
        return BytesImage(raw_disk(), name="first")

    @pytest.fixture
    def other(self) -> ImageSource:
        """Another image, not larger."""
        return BytesImage(raw_disk()[::-1][:2 * MIB], name="other")

    @pytest.fixture
    def job(self) -> Job:
        return make_job()

    @pytest.fixture
    def glance(self) -> FakeCloud:
        """Where images go."""
        pytest.importorskip("glanceclient")
        pytest.importorskip("cinderclient")
        return t.cast("FakeCloud", importlib.import_module("ansible_collections.bootable.volumes.tests.unit.fakes.cloud").FakeCloud())

    # --- helpers ---

    @staticmethod
    def size_for(driver: VolumeDriver, source: ImageSource) -> int:
        """More than the image needs, as people ask for."""
        return round_up(driver.least_size(source.describe()) + 1, max(MIB, driver.capabilities.granularity))

    def fill(self, driver: VolumeDriver, source: ImageSource, job: Job, *names: str, fan_out: str = "auto") -> Filled:
        """Volumes of an image, made as the operations do."""
        size = self.size_for(driver, source)
        with driver.exclusive(names, job):
            filled = driver.fill_new(source, [Request(name, size) for name in names], fan_out, job)
        assert not filled.errors
        return filled

    def blank(self, driver: VolumeDriver, job: Job, name: str = "v", record: Record = BLANK) -> Volume:
        """A volume made by ``create``."""
        if not self.creates:
            pytest.skip("create makes nothing by itself")
        with driver.exclusive([name], job):
            return driver.create(Request(name, round_up(2 * MIB, driver.capabilities.granularity)), record)

    def content(self, driver: VolumeDriver, volume: Volume) -> bytes:
        """All that a guest would read."""
        self.need_handles(driver)
        with driver.open(volume, "r") as handle:
            return handle.read(0, volume.size)

    @staticmethod
    def need_handles(driver: VolumeDriver) -> None:
        if not driver.capabilities.handles:
            pytest.skip("has no handles")

    # --- what it declares ---

    def test_it_has_a_name_and_options_without_defaults(self, driver: VolumeDriver) -> None:
        assert driver.name
        for option in driver.options.values():
            assert "type" in option
            assert "default" not in option and "required" not in option

    def test_an_idle_storage_is_empty(self, driver: VolumeDriver) -> None:
        assert driver.find("v") is None
        assert driver.list() == []
        assert driver.find_all(["v", "w"]) == {"v": None, "w": None}

    def test_the_least_size_holds_the_image_in_whole_units(self, driver: VolumeDriver) -> None:
        unit = driver.capabilities.granularity
        for image in (
            ImageDescription("x", "file", "raw", size=unit + 1),
            ImageDescription("x", "file", "qcow2", size=10, virtual_size=5 * unit - 1),
            ImageDescription("x", "file", "raw", size=1, min_disk=1),
        ):
            least = driver.least_size(image)
            assert least % unit == 0
            assert least >= max((image.size if image.format == "raw" else image.virtual_size) or 0, image.min_disk << 30)

    # --- making and unmaking ---

    def test_a_new_volume_is_found_by_every_run(self, driver: VolumeDriver, again: t.Callable[[], VolumeDriver], job: Job) -> None:
        made = self.blank(driver, job)
        for found in (driver.find("v"), again().find("v"), again().find_all(["v"])["v"], again().list()[0]):
            assert found is not None
            assert (found.name, found.id, found.size, found.record) == ("v", made.id, made.size, BLANK)
            assert found.state == AVAILABLE

    def test_a_new_volume_reads_as_zeroes(self, driver: VolumeDriver, job: Job) -> None:
        made = self.blank(driver, job)
        assert self.content(driver, made) == bytes(made.size)

    def test_volumes_are_listed_by_name(self, driver: VolumeDriver, job: Job) -> None:
        for name in ("b", "a", "c"):
            self.blank(driver, job, name)
        assert [volume.name for volume in driver.list()] == ["a", "b", "c"]

    def test_a_removed_volume_is_gone_and_may_be_removed_again(self, driver: VolumeDriver, again: t.Callable[[], VolumeDriver], job: Job) -> None:
        made, kept = self.fill(driver, self.any_source(), job, "v", "w").made
        driver.remove(made.volume, job)
        driver.remove(made.volume, job)
        assert again().find("v") is None
        assert [volume.name for volume in again().list()] == ["w"] == [kept.volume.name]

    @staticmethod
    def any_source() -> ImageSource:
        return BytesImage(raw_disk(), name="first")

    def test_what_is_marked_as_filling_is_half_done(self, driver: VolumeDriver, again: t.Callable[[], VolumeDriver], job: Job) -> None:
        made = self.blank(driver, job, record=Record(FILLING, "glance", image_id="i"))
        assert t.cast(Volume, again().find("v")).state == HALF_DONE
        marked = driver.mark(made, Record(READY, "glance", image_id="i", checksum="md5:0"))
        found = t.cast(Volume, again().find("v"))
        assert found.state == AVAILABLE
        assert found.record == marked.record == Record(READY, "glance", image_id="i", checksum="md5:0")

    def test_nothing_holds_an_idle_volume(self, driver: VolumeDriver, job: Job, source: ImageSource) -> None:
        made, = self.fill(driver, source, job, "v").made
        assert driver.holders(made.volume) == []
        assert driver.differences(made.volume) == []

    # --- filling ---

    @pytest.mark.parametrize("fan_out", ["auto", "copy"])
    def test_n_volumes_of_an_image(self, driver: VolumeDriver, again: t.Callable[[], VolumeDriver], job: Job, source: ImageSource, fan_out: str) -> None:
        filled = self.fill(driver, source, job, "c", "a", "b", fan_out=fan_out)
        assert sorted(made.volume.name for made in filled.made) == ["a", "b", "c"]
        assert filled.method in ("copy", "clone")
        assert filled.reason
        for name in "abc":
            found = t.cast(Volume, again().find(name))
            assert found.state == AVAILABLE
            assert found.size == self.size_for(driver, source)
            assert found.record == record_of(source.describe(), READY)
            assert found.record.is_of(source.describe())
        assert {made.how for made in filled.made} <= {COPIED, CLONED}

    def test_every_volume_has_the_images_bytes_and_then_zeroes(self, driver: VolumeDriver, job: Job, source: ImageSource) -> None:
        self.need_handles(driver)
        for made in self.fill(driver, source, job, "v", "w").made:
            assert self.content(driver, made.volume) == raw_disk().ljust(made.volume.size, b"\0")

    def test_a_refilled_volume_has_nothing_of_the_old_content(self, driver: VolumeDriver, again: t.Callable[[], VolumeDriver], job: Job,
                                                              source: ImageSource, other: ImageSource) -> None:
        made, = self.fill(driver, source, job, "v").made
        with driver.exclusive(["v"], job):
            refilled = driver.refill(other, made.volume, job)
        assert refilled.how == REFILLED
        found = t.cast(Volume, again().find("v"))
        assert (found.id, found.size, found.state) == (made.volume.id, made.volume.size, AVAILABLE)
        assert found.record == record_of(other.describe(), READY)
        assert self.content(driver, found) == raw_disk()[::-1][:2 * MIB].ljust(found.size, b"\0")

    def test_an_adopted_volume_is_brought_to_its_end(self, driver: VolumeDriver, again: t.Callable[[], VolumeDriver], job: Job, source: ImageSource) -> None:
        if not self.creates:
            pytest.skip("create makes nothing by itself")
        with driver.exclusive(["v"], job):
            begun = driver.create(Request("v", self.size_for(driver, source)), record_of(source.describe(), FILLING))
        rerun = again()
        with rerun.exclusive(["v"], job):
            made = rerun.adopt(source, t.cast(Volume, rerun.find("v")), job)
        assert made.how == ADOPTED
        assert (made.volume.state, made.volume.size) == (AVAILABLE, begun.size)
        assert self.content(rerun, made.volume) == raw_disk().ljust(begun.size, b"\0")

    # --- changing ---

    def test_a_grown_volume_keeps_its_content_and_ends_with_zeroes(self, driver: VolumeDriver, again: t.Callable[[], VolumeDriver], job: Job,
                                                                   source: ImageSource) -> None:
        if not driver.capabilities.grow:
            pytest.skip("cannot grow")
        made, = self.fill(driver, source, job, "v").made
        size = made.volume.size + round_up(MIB, driver.capabilities.granularity)
        with driver.exclusive(["v"], job):
            assert driver.grow(made.volume, size, job).size == size
        found = t.cast(Volume, again().find("v"))
        assert (found.size, found.state, found.record) == (size, AVAILABLE, made.volume.record)
        assert self.content(driver, found) == raw_disk().ljust(size, b"\0")

    def test_a_clone_has_the_same_bytes_and_a_life_of_its_own(self, driver: VolumeDriver, job: Job, source: ImageSource) -> None:
        if not driver.capabilities.clone:
            pytest.skip("cannot clone")
        made, = self.fill(driver, source, job, "v").made
        size = made.volume.size + round_up(MIB, driver.capabilities.granularity)
        record = record_of(source.describe(), READY)
        with driver.exclusive(["w"], job):
            clone = driver.clone(made.volume, Request("w", size), record, job)
        assert (clone.name, clone.size, clone.record, clone.state) == ("w", size, record, AVAILABLE)
        self.need_handles(driver)
        with driver.open(clone, "w") as handle:
            handle.write(0, b"x" * 512)
        assert self.content(driver, made.volume) == raw_disk().ljust(made.volume.size, b"\0")
        assert self.content(driver, clone) == (b"x" * 512 + raw_disk()[512:]).ljust(size, b"\0")

    # --- handles ---

    def test_what_is_written_is_read_whoever_opens_it(self, driver: VolumeDriver, again: t.Callable[[], VolumeDriver], job: Job) -> None:
        self.need_handles(driver)
        made = self.blank(driver, job)
        with driver.open(made, "w") as handle:
            handle.write(1000, b"abc" * 1000)
            handle.zero(1003, 3)
            handle.write(made.size - 1, b"z")
            handle.flush()
            assert handle.read(1000, 9) == b"abc\0\0\0abc"
        found = t.cast(Volume, again().find("v"))
        with again().open(found, "r") as handle:
            assert handle.read(999, 10) == b"\0abc\0\0\0abc"
            assert handle.read(made.size - 1, 100) == b"z"
            assert handle.read(made.size, 1) == b""
            handle.close()

    def test_nothing_is_written_beyond_the_end(self, driver: VolumeDriver, job: Job) -> None:
        self.need_handles(driver)
        made = self.blank(driver, job)
        with driver.open(made, "w") as handle:
            with pytest.raises(InvalidInput):
                handle.write(made.size - 1, b"zz")
            with pytest.raises(InvalidInput):
                handle.zero(made.size - 1, 2)
        assert self.content(driver, made) == bytes(made.size)

    def test_an_image_is_written_into_volumes_that_exist(self, driver: VolumeDriver, job: Job, source: ImageSource) -> None:
        self.need_handles(driver)
        made = [self.fill(driver, source, job, name).made[0].volume for name in ("v", "w")]
        image = BytesImage(raw_disk()[::-1][:2 * MIB], name="other")
        driver.copy_image(image, made, job, fresh=False)
        for volume in made:
            assert self.content(driver, volume) == image.data.ljust(volume.size, b"\0")

    # --- making images ---

    @pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
    def test_an_image_of_a_volume_has_its_bytes_and_remembers_it(self, driver: VolumeDriver, again: t.Callable[[], VolumeDriver], job: Job,
                                                                 source: ImageSource, glance: FakeCloud, disk_format: str) -> None:
        self.fill(driver, source, job, "v")
        volume, wish, there = t.cast(Volume, again().look_up("v")), ImageWish("golden", disk_format), len(glance.glance.images)
        with again().exclusive(["v"], job):
            imaging = driver.imaging(glance.images)
            imaging.check(volume, wish)
            assert len(glance.glance.images) == there
            imaged = imaging.make(volume, wish, Route(), job)
        image = imaged.image
        assert imaged.finished and imaged.method in (CLONE, UPLOAD) and imaged.reason
        assert (image.name, image.status, image.disk_format, image.visibility) == ("golden", ACTIVE, disk_format, "private")
        assert origin_of(image) is not None and t.cast(t.Any, origin_of(image)).volume == volume.id
        assert len(glance.glance.images) == there + 1
        if disk_format == "raw":
            assert image.size == volume.size
            assert glance.glance.data[image.id].rstrip(b"\0") == raw_disk().rstrip(b"\0")
        assert again().find("v") == volume, "the volume is not what it was"
