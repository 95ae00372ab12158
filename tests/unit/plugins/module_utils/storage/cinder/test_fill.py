# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NoRoom, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.fill import Content, Filler
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CLAIM, CinderOptions
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import ADOPTED, CLONED, COPIED, WORKING, Filled, Request, Volume
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud

FIVE = [Request("web-%d" % number, GIB) for number in range(1, 6)]


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def fill(cloud: FakeCloud, fan_out: str = "auto", requests: t.Sequence[Request] = FIVE, *, options: CinderOptions = CinderOptions(),
         disk_format: str = "raw", seconds: float = 600.0, wait: bool = True, ready: t.Optional[t.Callable[[Volume], None]] = None) -> Filled:
    """Volumes of one image."""
    image = cloud.glance.add("debian", disk_format=disk_format)
    content = Content(image=image, raw=disk_format == "raw")
    return Filler(cloud.volumes, options, cloud.job(seconds, wait=wait), ready).fill(requests, content, fan_out)


def ways(filled: Filled) -> t.List[str]:
    """How each was made."""
    return [made.how for made in filled.made]


def origins(cloud: FakeCloud) -> t.List[t.Optional[str]]:
    """For each volume, the one that it was cloned from."""
    return [cloud.volume(request.name)["source_volid"] for request in FIVE]


def test_all_from_the_image(cloud: FakeCloud) -> None:
    cloud.cinder.clones_images = False
    filled = fill(cloud, "copy")
    assert [made.volume.name for made in filled.made] == [request.name for request in FIVE]
    assert (filled.method, filled.reason, filled.errors, ways(filled)) == ("copy", "fan_out is copy", {}, [COPIED] * 5)
    assert origins(cloud) == [None] * 5
    assert all(made.volume.state == "available" and made.volume.details["bootable"] for made in filled.made)
    assert not any(CLAIM in volume["metadata"] for volume in cloud.cinder.volumes.values())


def test_the_first_from_the_image_and_the_others_from_it(cloud: FakeCloud) -> None:
    cloud.cinder.clones_images = False
    filled = fill(cloud, "clone")
    assert (filled.method, ways(filled)) == ("clone", [COPIED] + [CLONED] * 4)
    assert origins(cloud) == [None] + [filled.made[0].volume.id] * 4
    assert all(made.volume.record == filled.made[0].volume.record for made in filled.made)


def test_auto_where_the_back_end_clones_images(cloud: FakeCloud) -> None:
    filled = fill(cloud)
    assert (filled.method, ways(filled), origins(cloud)) == ("copy", [CLONED] * 5, [None] * 5)
    assert "clones the image by itself" in filled.reason and " s without a download" in filled.reason


def test_auto_where_cinder_downloads(cloud: FakeCloud) -> None:
    cloud.cinder.clones_images = False
    filled = fill(cloud)
    assert (filled.method, ways(filled)) == ("clone", [COPIED] + [CLONED] * 4)
    assert "downloaded the image, which took" in filled.reason


def test_auto_where_the_download_was_too_short_to_be_seen(cloud: FakeCloud) -> None:
    cloud.cinder.clones_images = False
    cloud.cinder.seconds = 0.0
    assert fill(cloud).method == "clone"


def test_auto_with_a_single_volume(cloud: FakeCloud) -> None:
    filled = fill(cloud, requests=FIVE[:1])
    assert (filled.method, filled.reason) == ("copy", "it is a single volume")


def test_an_image_that_must_be_converted_is_never_cloned(cloud: FakeCloud) -> None:
    filled = fill(cloud, "copy", disk_format="qcow2")
    assert ways(filled) == [COPIED] * 5
    for request in FIVE:
        cloud.cinder.volumes.pop(cloud.volume(request.name)["id"])
    assert fill(cloud, disk_format="qcow2").method == "clone"


def test_they_are_submitted_together_and_watched_together(cloud: FakeCloud) -> None:
    fill(cloud, "copy")
    creates = [number for number, line in enumerate(cloud.cinder.sent) if line == "POST /volumes"]
    assert creates == [0, 1, 2, 3, 4]
    assert not [line for line in cloud.cinder.sent if line.startswith("GET /volumes/") and line != "GET /volumes/detail"]


def test_the_options_reach_cinder(cloud: FakeCloud) -> None:
    options = CinderOptions(volume_type="nfs", availability_zone="nova", description="x", metadata={"team": "a"}, bootable=False)
    filled = fill(cloud, requests=FIVE[:1], options=options)
    volume = cloud.volume("web-1")
    assert (volume["volume_type"], volume["availability_zone"], volume["description"], volume["metadata"], volume["bootable"]) == (
        "nfs", "nova", "x", {"team": "a"}, False)
    assert filled.made[0].volume.details["bootable"] is False


def test_seconds_are_each_volumes_own(cloud: FakeCloud) -> None:
    filled = fill(cloud, "clone")
    assert all(3.0 <= made.seconds < 5.0 for made in filled.made)


# --- who is told at once ---


def told_of(cloud: FakeCloud, fan_out: str, **how: t.Any) -> t.List[t.Tuple[str, t.List[str]]]:
    """The volumes that were told to be ready, each with those that were still being made."""
    told: t.List[t.Tuple[str, t.List[str]]] = []
    fill(cloud, fan_out, ready=lambda volume: told.append(
        (volume.name, [each["name"] for each in cloud.cinder.volumes.values() if each["status"] != "available"])), **how)
    return told


def test_each_is_told_as_soon_as_it_is_ready(cloud: FakeCloud) -> None:
    cloud.cinder.slow = {"web-2": 30.0}
    assert told_of(cloud, "copy") == [(name, ["web-2"]) for name in ("web-1", "web-3", "web-4", "web-5")] + [("web-2", [])]


def test_the_first_is_told_before_others_that_are_not_cloned_from_it(cloud: FakeCloud) -> None:
    assert told_of(cloud, "auto")[0] == ("web-1", [])
    assert len(cloud.cinder.volumes) == 5


def test_the_first_is_told_after_those_that_are_cloned_from_it(cloud: FakeCloud) -> None:
    cloud.cinder.slow = {"web-4": 30.0}
    assert told_of(cloud, "clone")[-2:] == [("web-4", []), ("web-1", [])]


def test_nobody_is_told_of_what_failed_or_is_anothers(cloud: FakeCloud) -> None:
    cloud.volumes.create(Wish("web-2", 1, image=cloud.glance.add("debian")))
    cloud.cinder.failing = {"web-3": "no space"}
    assert [name for name, dummy in told_of(cloud, "copy")] == ["web-1", "web-4", "web-5"]


@pytest.mark.parametrize("fan_out", ["copy", "clone", "auto"])
def test_nobody_is_told_where_nothing_is_waited_for(cloud: FakeCloud, fan_out: str) -> None:
    assert told_of(cloud, fan_out, wait=False) == []


# --- what goes wrong ---


def test_one_that_is_refused_does_not_stop_the_others(cloud: FakeCloud) -> None:
    cloud.cinder.limits["volumes"] = 3
    filled = fill(cloud, "copy")
    assert len(filled.made) == 3 and len(filled.errors) == 2
    assert all(isinstance(error, NoRoom) for error in filled.errors.values())


def test_one_that_fails_later_does_not_stop_the_others(cloud: FakeCloud) -> None:
    cloud.cinder.failing = {"web-2": "No valid backend was found", "web-4": None}
    filled = fill(cloud, "copy")
    assert [made.volume.name for made in filled.made] == ["web-1", "web-3", "web-5"]
    assert "No valid backend was found" in str(filled.errors["web-2"])
    assert "Cinder gives no reason" in str(filled.errors["web-4"])


@pytest.mark.parametrize("fan_out", ["auto", "clone"])
def test_when_the_first_fails_the_others_are_made_from_the_image(cloud: FakeCloud, fan_out: str) -> None:
    cloud.cinder.failing = {"web-1": None}
    filled = fill(cloud, fan_out)
    assert [made.volume.name for made in filled.made] == ["web-2", "web-3", "web-4", "web-5"]
    assert isinstance(filled.errors["web-1"], BackendError)
    assert "none to clone from" in filled.reason


def test_what_cannot_be_served_is_refused_for_each(cloud: FakeCloud) -> None:
    filled = fill(cloud, "copy", options=CinderOptions(availability_zone="nix"))
    assert not filled.made and all(isinstance(error, InvalidInput) for error in filled.errors.values())


def test_out_of_time_nothing_is_undone(cloud: FakeCloud) -> None:
    cloud.cinder.seconds = 100.0
    filled = fill(cloud, "copy", seconds=10.0)
    assert not filled.made and all(isinstance(error, TimedOut) for error in filled.errors.values())
    assert len(cloud.cinder.volumes) == 5
    details = t.cast(TimedOut, filled.errors["web-1"]).details
    assert details["unfinished"]["web-1"]["status"] == "creating"


def test_out_of_time_nothing_more_is_begun(cloud: FakeCloud) -> None:
    cloud.cinder.seconds = 100.0
    filled = fill(cloud, "clone", seconds=10.0)
    assert [volume["name"] for volume in cloud.cinder.volumes.values()] == ["web-1"]
    assert all(isinstance(error, TimedOut) for error in filled.errors.values()) and len(filled.errors) == 5
    assert "not begun" in str(filled.errors["web-2"])


def test_a_lost_answer_makes_no_second_volume(cloud: FakeCloud) -> None:
    cloud.cinder.unanswered = {"web-3"}
    filled = fill(cloud, "copy")
    assert len(filled.made) == 5 and not filled.errors
    assert len(cloud.cinder.volumes) == 5


def test_another_runs_volume_is_adopted_and_ours_removed(cloud: FakeCloud) -> None:
    theirs = cloud.volumes.create(Wish("web-2", 1, image=cloud.glance.add("debian")))
    filled = fill(cloud, "copy")
    assert ways(filled) == [CLONED, ADOPTED, CLONED, CLONED, CLONED]
    assert filled.made[1].volume.id == theirs.id
    assert len(cloud.cinder.volumes) == 5


# --- without waiting ---


def test_not_waiting_returns_when_all_are_submitted(cloud: FakeCloud) -> None:
    filled = fill(cloud, wait=False)
    assert [made.volume.state for made in filled.made] == [WORKING] * 5
    assert filled.reason == "wait is false, so none can be cloned from another"
    assert not any(CLAIM in volume["metadata"] for volume in cloud.cinder.volumes.values())


def test_not_waiting_but_cloning_waits_for_the_first(cloud: FakeCloud) -> None:
    filled = fill(cloud, "clone", wait=False)
    assert [made.volume.state for made in filled.made] == ["available"] + [WORKING] * 4
