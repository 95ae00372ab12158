# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.outages import OUTAGE
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume, Wish
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.watch import Watch
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def asked_for(cloud: FakeCloud, *names: str) -> t.List[CinderVolume]:
    """Volumes that are being made."""
    return [cloud.volumes.create(Wish(name, 1)) for name in names]


def test_one_listing_per_look(cloud: FakeCloud) -> None:
    volumes = asked_for(cloud, "a", "b", "c")
    cloud.cinder.sent.clear()
    seen = Watch(cloud.volumes, cloud.job()).until_at_rest(volumes)
    assert {each.volume.status for each in seen.values() if each.volume} == {"available"}
    assert set(cloud.cinder.sent) == {"GET /volumes/detail"}
    assert len(cloud.cinder.sent) < 20


def test_long_work_is_not_asked_for_often(cloud: FakeCloud) -> None:
    cloud.cinder.seconds = 3600.0
    volumes = asked_for(cloud, "a")
    cloud.cinder.sent.clear()
    Watch(cloud.volumes, cloud.job(10000)).until_at_rest(volumes)
    assert len(cloud.cinder.sent) < 3600 / 5 + 50


def test_when_each_was_done_and_what_was_seen(cloud: FakeCloud) -> None:
    image = cloud.glance.add("debian", disk_format="qcow2")
    volume = cloud.volumes.create(Wish("a", 1, image=image))
    started = cloud.clock.now()
    seen = Watch(cloud.volumes, cloud.job()).until_at_rest([volume])[volume.id]
    assert seen.downloading
    assert seen.finished is not None and 3.0 <= seen.finished - started < 4.0


def test_the_deadline_leaves_everything_as_it_is(cloud: FakeCloud) -> None:
    cloud.cinder.seconds = 100.0
    volumes = asked_for(cloud, "a", "b")
    job = cloud.job(10.0)
    watch = Watch(cloud.volumes, job)
    seen = watch.until_at_rest(volumes)
    assert all(each.finished is None for each in seen.values())
    trouble = watch.trouble("a", volumes[0].id, seen[volumes[0].id], "make")
    assert isinstance(trouble, TimedOut)
    assert trouble.details == {"unfinished": {"a": {"id": volumes[0].id, "status": "creating"}}}
    assert not [line for line in cloud.cinder.sent if line.startswith("DELETE")]


@pytest.mark.parametrize("said, words", [("No valid backend was found.", "No valid backend was found."), (None, "Cinder gives no reason")])
def test_what_cinder_says_of_a_failure(cloud: FakeCloud, said: t.Optional[str], words: str) -> None:
    cloud.cinder.failing["a"] = said
    with pytest.raises(BackendError) as caught:
        Watch(cloud.volumes, cloud.job()).until_done(asked_for(cloud, "a")[0], "make")
    assert words in caught.value.message
    assert caught.value.details["status"] == "error"


def test_a_volume_that_vanishes(cloud: FakeCloud) -> None:
    (volume,) = asked_for(cloud, "a")
    cloud.cinder.volumes.clear()
    with pytest.raises(BackendError, match="vanished"):
        Watch(cloud.volumes, cloud.job()).until_done(volume, "make")


def outage(cloud: FakeCloud, seconds: float) -> t.Callable[[Request], None]:
    """Cinder does not answer for a while."""
    end = cloud.clock.now() + seconds

    def interrupt(request: Request) -> None:
        if cloud.clock.now() < end:
            raise ConnectionRefusedError("Connection refused")

    return interrupt


def test_cinder_may_be_away_for_a_while(cloud: FakeCloud) -> None:
    (volume,) = asked_for(cloud, "a")
    cloud.cinder.interrupt = outage(cloud, OUTAGE / 2)
    assert Watch(cloud.volumes, cloud.job()).until_done(volume, "make").status == "available"


def test_cinder_may_not_be_away_for_ever(cloud: FakeCloud) -> None:
    (volume,) = asked_for(cloud, "a")
    cloud.cinder.interrupt = outage(cloud, OUTAGE * 2)
    with pytest.raises(BackendError, match="refused"):
        Watch(cloud.volumes, cloud.job()).until_done(volume, "make")


def test_what_is_refused_is_refused_at_once(cloud: FakeCloud) -> None:
    (volume,) = asked_for(cloud, "a")

    def refuse(request: Request) -> None:
        raise Refused(403, "not you")

    cloud.cinder.interrupt = refuse
    before = cloud.clock.now()
    with pytest.raises(BackendError, match="not you"):
        Watch(cloud.volumes, cloud.job()).until_done(volume, "make")
    assert cloud.clock.now() == before


# --- removing ---


def test_removing_waits_for_what_is_being_made_and_until_it_is_gone(cloud: FakeCloud) -> None:
    volumes = asked_for(cloud, "a", "b")
    Watch(cloud.volumes, cloud.job()).remove([volume.id for volume in volumes])
    assert cloud.cinder.volumes == {}


def test_removing_what_is_gone(cloud: FakeCloud) -> None:
    Watch(cloud.volumes, cloud.job()).remove(["nix"])
    Watch(cloud.volumes, cloud.job()).remove([])


def test_a_volume_that_comes_back(cloud: FakeCloud) -> None:
    (volume,) = asked_for(cloud, "a")
    cloud.cinder.undeletable.add(volume.id)
    with pytest.raises(BackendError, match="could not delete volume a .* which is available again"):
        Watch(cloud.volumes, cloud.job()).remove([volume.id])


def test_a_volume_that_may_not_be_deleted(cloud: FakeCloud) -> None:
    (volume,) = asked_for(cloud, "a")
    cloud.cinder.snapshots["s1"] = volume.id
    with pytest.raises(InvalidInput, match="have snapshots"):
        Watch(cloud.volumes, cloud.job()).remove([volume.id])


def test_removing_in_no_time(cloud: FakeCloud) -> None:
    cloud.cinder.seconds = 1000.0
    (volume,) = asked_for(cloud, "a")
    with pytest.raises(TimedOut) as caught:
        Watch(cloud.volumes, cloud.job(5.0)).remove([volume.id])
    assert caught.value.details == {"unfinished": {"a": {"id": volume.id, "status": "creating"}}}
