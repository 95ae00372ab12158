# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import time
import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")
pytest.importorskip("oslo_utils")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, IntegrityError, InvalidInput, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.images.local import LocalImage
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder import via as cinder_via
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import VIA, CinderOptions
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, HALF_DONE, WORKING, Filled, Request, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud

DATA = b"a disk" + b"\0" * 5000
DIGEST = hashlib.sha256(DATA).hexdigest()
TWO = (Request("web-1", GIB), Request("web-2", GIB))


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def source(tmp_path: t.Any) -> LocalImage:
    path = tmp_path / "debian.raw"
    path.write_bytes(DATA)
    return LocalImage(str(path))


def driver(cloud: FakeCloud) -> CinderDriver:
    """A driver without options."""
    return CinderDriver(t.cast(t.Any, cloud), CinderOptions())


def fill(cloud: FakeCloud, source: LocalImage, requests: t.Sequence[Request] = TWO) -> Filled:
    """Volumes of a file."""
    return driver(cloud).fill_new(source, requests, "auto", cloud.job())


def test_a_file_becomes_volumes_and_no_image_is_left(cloud: FakeCloud, source: LocalImage) -> None:
    filled = fill(cloud, source)
    assert not filled.errors and len(filled.made) == 2
    assert cloud.glance.images == {}
    expected = Record(READY, "file", None, source.describe().name, "sha256:" + DIGEST)
    assert [made.volume.record for made in filled.made] == [expected, expected]
    assert t.cast(Record, driver(cloud).find("web-2").record).is_of(source.describe())  # type: ignore[union-attr]


def test_the_image_is_private_and_marked(cloud: FakeCloud, source: LocalImage) -> None:
    with cinder_via.through_glance(source, t.cast(t.Any, cloud), cloud.job()) as via:
        (image,) = cloud.glance.images.values()
        assert image["id"] == via.image.id
        assert (image["visibility"], image["tags"], image["name"]) == ("private", [cinder_via.TAG], "bootable.volumes: debian.raw")
        assert image[cinder_via.SOURCE] == "sha256:" + DIGEST
        assert cloud.glance.data[via.image.id] == DATA
        assert via.job.wait


def test_the_image_goes_even_if_the_volumes_fail(cloud: FakeCloud, source: LocalImage) -> None:
    cloud.cinder.failing = {"web-1": None, "web-2": None}
    assert len(fill(cloud, source).errors) == 2
    assert cloud.glance.images == {}


def test_bytes_that_were_not_promised(cloud: FakeCloud, source: LocalImage, tmp_path: t.Any) -> None:
    wrong = LocalImage(str(tmp_path / "debian.raw"), checksum="sha256:" + "0" * 64)
    with pytest.raises(IntegrityError):
        fill(cloud, wrong)
    assert cloud.glance.images == {} and cloud.cinder.volumes == {}


def test_content_of_another_format(cloud: FakeCloud, tmp_path: t.Any) -> None:
    path = tmp_path / "evil.raw"
    path.write_bytes(b"QFI\xfb\0\0\0\3" + b"\0" * 5000)
    with pytest.raises(UnsafeImage):
        fill(cloud, LocalImage(str(path)))
    assert cloud.glance.images == {} and cloud.cinder.volumes == {}


def test_an_image_that_volumes_depend_on_is_kept_and_used_again(cloud: FakeCloud, source: LocalImage) -> None:
    def keep(request: t.Any) -> None:
        cloud.glance.depended_on = set(cloud.glance.images)

    cloud.cinder.interrupt = keep
    filled = fill(cloud, source, TWO[:1])
    (image_id,) = cloud.glance.images
    assert filled.made[0].volume.details["kept_image"] == image_id
    assert "private image %s stays" % image_id in filled.reason
    assert cloud.glance.images[image_id][cinder_via.KEPT]

    cloud.glance.sent.clear()
    filled = fill(cloud, source, TWO[1:])
    assert list(cloud.glance.images) == [image_id]
    assert not [line for line in cloud.glance.sent if line.startswith("PUT")]
    assert filled.made[0].volume.details["kept_image"] == image_id


@pytest.mark.parametrize("gone", ["swept by us", "swept by another run"])
def test_a_kept_image_that_nothing_depends_on_any_more(cloud: FakeCloud, source: LocalImage, gone: str) -> None:
    expires = "1000" if gone == "swept by us" else "9999999999"
    kept = cloud.glance.add("kept", DATA, tags=[cinder_via.TAG], **{
        cinder_via.SOURCE: "sha256:" + DIGEST, cinder_via.EXPIRES: expires, cinder_via.KEPT: "yes"})

    def sweep(request: t.Any) -> None:
        if request.method == "PATCH":
            cloud.glance.images.pop(kept, None)

    cloud.glance.interrupt = sweep
    filled = fill(cloud, source)
    assert not filled.errors and cloud.glance.images == {}


def test_an_image_of_a_live_run_is_left_alone(cloud: FakeCloud, source: LocalImage) -> None:
    with cinder_via.through_glance(source, t.cast(t.Any, cloud), cloud.job()) as first:
        with cinder_via.through_glance(source, t.cast(t.Any, cloud), cloud.job()) as second:
            assert first.image.id != second.image.id
        assert list(cloud.glance.images) == [first.image.id]


def test_what_killed_runs_left_is_swept_away_after_their_deadline(cloud: FakeCloud, source: LocalImage) -> None:
    old = cloud.glance.add("old", tags=[cinder_via.TAG], **{cinder_via.EXPIRES: "1000"})
    strange = cloud.glance.add("strange", tags=[cinder_via.TAG])
    others = cloud.glance.add("others", **{cinder_via.EXPIRES: "1000"})
    fill(cloud, source)
    assert old not in cloud.glance.images
    assert set(cloud.glance.images) == {strange, others}


@pytest.mark.parametrize("status", ["active", "queued"])
def test_what_a_run_on_this_host_left_goes_at_once(cloud: FakeCloud, source: LocalImage, status: str) -> None:
    boot, namespace, pid, began = liveness.signature().split("/")
    dead = "/".join((boot, namespace, pid, str(int(began) - 1)))
    for name, owner in (("dead", dead), ("alive", liveness.signature()), ("elsewhere", "b/1/2/3")):
        cloud.glance.add(name, status=status, tags=[cinder_via.TAG], **{cinder_via.OWNER: owner, cinder_via.EXPIRES: "9999999999"})
    fill(cloud, source)
    assert sorted(image["name"] for image in cloud.glance.images.values()) == ["alive", "elsewhere"]


# --- runs that do not come to their end ---


class Killed(BaseException):
    """SIGKILL, as near as it gets: what comes after it is not done."""


def kill_at(cloud: FakeCloud, line: str, monkeypatch: pytest.MonkeyPatch, source: LocalImage) -> None:
    """A run that is killed when it sends this; nothing that it sends afterwards arrives."""
    def interrupt(request: t.Any) -> None:
        if request.line.startswith(line):
            cloud.glance.interrupt = cloud.cinder.interrupt = die
            raise Killed

    def die(request: t.Any) -> t.NoReturn:
        raise Killed

    cloud.glance.interrupt = cloud.cinder.interrupt = interrupt
    monkeypatch.setattr(liveness, "signature", lambda pid=0: "boot/1/5/5" if pid == 0 else "boot/1/5/6")
    with pytest.raises(Killed):
        fill(cloud, source)
    cloud.glance.interrupt = cloud.cinder.interrupt = lambda request: None
    cloud.clock.sleep(60)


@pytest.mark.parametrize("line", ["PUT /v2/images", "GET /v2/images/", "POST /volumes", "DELETE /volumes/", "GET /volumes/detail", "DELETE /v2/images"])
def test_killed_anywhere_a_rerun_converges_and_leaves_nothing(cloud: FakeCloud, source: LocalImage, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    kill_at(cloud, line, monkeypatch, source)
    job, names = cloud.job(), [request.name for request in TWO]
    for dummy in range(2):
        rerun = driver(cloud)
        found = rerun.find_all(names)
        for volume in found.values():
            if volume is not None and volume.state in (WORKING, HALF_DONE):
                rerun.adopt(source, volume, job)
        missing = [request for request in TWO if found[request.name] is None]
        if missing:
            rerun.fill_new(source, missing, "auto", job)
    volumes = driver(cloud).find_all(names)
    assert [volume and volume.state for volume in volumes.values()] == [AVAILABLE, AVAILABLE]
    assert all(volume and volume.record and volume.record.is_of(source.describe()) for volume in volumes.values())
    assert len(cloud.cinder.volumes) == 2 and cloud.glance.images == {}


def test_out_of_time_the_image_stays_until_cinder_has_read_it(cloud: FakeCloud, source: LocalImage) -> None:
    cloud.cinder.seconds = 100.0
    filled = driver(cloud).fill_new(source, TWO, "copy", cloud.job(10.0))
    assert len(filled.errors) == 2 and len(cloud.glance.images) == 1
    rerun = driver(cloud)
    for volume in rerun.find_all(["web-1", "web-2"]).values():
        made = rerun.adopt(source, t.cast(Volume, volume), cloud.job())
        assert (made.volume.state, made.volume.record and made.volume.record.state) == (AVAILABLE, READY)
    assert cloud.glance.images == {}


def test_what_is_being_read_is_not_swept_away(cloud: FakeCloud, source: LocalImage) -> None:
    image = cloud.glance.add("private", tags=[cinder_via.TAG], **{cinder_via.EXPIRES: "0"})
    cloud.volumes.create(Wish("other", 1, image=image, metadata={VIA: image}))
    assert [each.id for each in cinder_via.sweep(t.cast(t.Any, cloud))] == [image]
    cloud.clock.sleep(60)
    assert cinder_via.sweep(t.cast(t.Any, cloud)) == []


def test_the_disk_inside_may_need_more_than_was_known(cloud: FakeCloud, source: LocalImage) -> None:
    image = cloud.images.get(cloud.glance.add("x", disk_format="qcow2", virtual_size=3 * GIB))
    via = cinder_via.Via(image, {}, cloud.job())
    assert via.fitted([Request("a", GIB, exact=False)]) == [Request("a", 3 * GIB, exact=False)]
    assert via.fitted([Request("a", 4 * GIB)]) == [Request("a", 4 * GIB)]
    with pytest.raises(InvalidInput, match="1 GiB is too small for the image, which needs 3 GiB"):
        via.fitted([Request("a", GIB)])


def test_an_existing_volume_is_refilled_from_a_file(cloud: FakeCloud, source: LocalImage) -> None:
    first = driver(cloud).fill_new(source, TWO[:1], "auto", cloud.job()).made[0].volume
    made = driver(cloud).refill(source, first, cloud.job())
    assert made.volume.record == first.record
    assert cloud.glance.images == {}


def test_several_are_refilled_through_one_image(cloud: FakeCloud, source: LocalImage) -> None:
    cinder = driver(cloud)
    volumes = [made.volume for made in fill(cloud, source).made]
    cloud.glance.sent.clear()
    cloud.cinder.interrupt = lambda request: time.sleep(0.001)
    cinder.copy_image(source, volumes, cloud.job(), fresh=False)
    assert [line.split()[0] for line in cloud.glance.writes()] == ["POST", "PUT", "DELETE"]
    cinder.refill(source, volumes[0], cloud.job())
    assert cloud.glance.images == {}


def test_one_source_at_a_time(cloud: FakeCloud, source: LocalImage, tmp_path: t.Any) -> None:
    shared = cinder_via.Shared()
    with shared.through_glance(source, t.cast(t.Any, cloud), cloud.job()):
        with pytest.raises(ValueError), shared.through_glance(LocalImage(str(tmp_path / "debian.raw")), t.cast(t.Any, cloud), cloud.job()):
            pass


def test_a_source_that_breaks_off_for_good(cloud: FakeCloud, source: LocalImage, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(offset: int = 0) -> t.NoReturn:
        raise BackendError("gone")

    source.describe()
    monkeypatch.setattr(source, "open", broken)
    with pytest.raises(BackendError, match="broke off"):
        fill(cloud, source)
    assert cloud.glance.images == {} and cloud.cinder.volumes == {}
