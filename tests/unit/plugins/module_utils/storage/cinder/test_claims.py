# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
import threading
import time
import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, BackendError, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume, Wish
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.claims import PATIENCE, Claims, choose
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.fill import Content, Filler
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CLAIM, YIELDED, CinderOptions
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import WORKING, Request
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Request as Asked

LOW, HIGH = "00000000-0000-4000-8000-000000000000", "ffffffff-0000-4000-8000-000000000000"


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def ours(cloud: FakeCloud, name: str = "web-1", run: str = "us") -> t.Tuple[Claims, t.Dict[str, CinderVolume]]:
    """A run that has just created a volume."""
    claims = Claims(cloud.volumes, cloud.job(), run=run)
    return claims, {name: cloud.volumes.create(Wish(name, 1, metadata=claims.mark))}


def theirs(cloud: FakeCloud, volume_id: str, claim: t.Optional[str] = "them", name: str = "web-1", status: str = "available") -> None:
    """A volume of another run."""
    made = cloud.volumes.create(Wish(name, 1, metadata={CLAIM: claim} if claim else {}))
    volume = cloud.cinder.volumes.pop(made.id)
    volume.update(id=volume_id, status=status, _later=[])
    cloud.cinder.volumes[volume_id] = volume


def claim(cloud: FakeCloud, volume_id: str) -> t.Optional[str]:
    """What stands in a volume's metadata."""
    return t.cast(t.Optional[str], cloud.cinder.volumes[volume_id]["metadata"].get(CLAIM))


def at(cloud: FakeCloud, seconds: float, change: t.Callable[[], None]) -> None:
    """Let another run do something at a time."""
    due = cloud.clock.now() + seconds

    def interrupt(asked: Asked) -> None:
        if cloud.clock.now() >= due:
            cloud.cinder.interrupt = lambda asked: None
            change()

    cloud.cinder.interrupt = interrupt


# --- which volume it is ---


def there(volume_id: str, status: str = "available", claimed: t.Optional[str] = None, name: str = "web-1") -> CinderVolume:
    """A volume in a listing."""
    return CinderVolume(volume_id, name, 1, status, metadata={CLAIM: claimed} if claimed else {})


@pytest.mark.parametrize("volumes, chosen, strays", [
    ([], None, []),
    ([there("1", name="web-2")], None, []),
    ([there("1")], "1", []),
    ([there("1", "error")], "1", []),
    ([there("1", "deleting")], None, []),
    ([there("1", "deleting"), there("2")], "2", []),
    ([there("1", claimed="a")], "1", []),
    ([there("1", claimed=YIELDED)], None, []),
    ([there("1", claimed="a"), there("2")], "2", ["1"]),
    ([there("1", claimed=YIELDED), there("2")], "2", ["1"]),
    ([there("1", "creating", "a"), there("2", "available", "b")], "2", ["1"]),
    ([there("1", "creating", "a"), there("2", "downloading", "b"), there("3", "error", "c")], "2", ["1", "3"]),
    ([there("2", "available", "a"), there("1", "available", "b")], "1", ["2"]),
])
def test_which_volume_it_is(volumes: t.List[CinderVolume], chosen: t.Optional[str], strays: t.List[str]) -> None:
    found, left = choose("web-1", volumes)
    assert (found and found.id) == chosen
    assert left == strays


def test_two_settled_ones_are_ambiguous() -> None:
    with pytest.raises(Ambiguous, match=r"1 \(available\), 2 \(error\)") as caught:
        choose("web-1", [there("1"), there("2", "error"), there("3", claimed="a")])
    assert caught.value.details["ids"] == ["1", "2"]


# --- settling ---


def test_alone(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    settled = claims.settle(created, {})
    assert settled.ours.keys() == {"web-1"} and not settled.yielded
    assert claim(cloud, created["web-1"].id) is None


def test_many_names_are_settled_with_one_listing(cloud: FakeCloud) -> None:
    claims = Claims(cloud.volumes, cloud.job())
    created = {name: cloud.volumes.create(Wish(name, 1, metadata=claims.mark)) for name in ("a", "b", "c")}
    cloud.cinder.sent.clear()
    assert claims.settle(created, {}).ours.keys() == created.keys()
    assert [line.split()[0] for line in cloud.cinder.sent] == ["GET", "DELETE", "DELETE", "DELETE"]


def test_a_settled_rival_wins(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    theirs(cloud, HIGH, None)
    settled = claims.settle(created, {})
    assert settled.adopted["web-1"].id == HIGH
    assert settled.yielded == [created["web-1"].id]
    assert claim(cloud, created["web-1"].id) == YIELDED


def test_the_higher_id_gives_way_at_once_and_adopts_what_settles(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    theirs(cloud, LOW)
    at(cloud, 2.0, lambda: cloud.cinder.volumes[LOW]["metadata"].pop(CLAIM))
    settled = claims.settle(created, {})
    assert settled.adopted["web-1"].id == LOW
    assert claim(cloud, created["web-1"].id) == YIELDED
    assert cloud.clock.now() < 1000 + PATIENCE


@pytest.mark.parametrize("change", [{"metadata": {CLAIM: YIELDED}}, {"status": "deleting"}])
def test_the_lower_id_waits_until_the_other_gives_way(cloud: FakeCloud, change: t.Dict[str, t.Any]) -> None:
    claims, created = ours(cloud)
    theirs(cloud, HIGH)
    at(cloud, 2.0, lambda: cloud.cinder.volumes[HIGH].update(change))
    settled = claims.settle(created, {})
    assert settled.ours.keys() == {"web-1"}
    assert claim(cloud, created["web-1"].id) is None


def test_the_lower_id_waits_until_the_other_is_gone(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    theirs(cloud, HIGH)
    at(cloud, 2.0, lambda: t.cast(None, cloud.cinder.volumes.pop(HIGH)))
    assert claims.settle(created, {}).ours.keys() == {"web-1"}


def test_the_lower_id_gives_way_when_the_other_settles_after_all(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    theirs(cloud, HIGH)
    at(cloud, 2.0, lambda: cloud.cinder.volumes[HIGH]["metadata"].pop(CLAIM))
    assert claims.settle(created, {}).adopted["web-1"].id == HIGH


@pytest.mark.parametrize("rival", [LOW, HIGH])
def test_a_run_that_was_killed_is_settled_for(cloud: FakeCloud, rival: str) -> None:
    claims, created = ours(cloud)
    theirs(cloud, rival)
    settled = claims.settle(created, {})
    assert settled.adopted["web-1"].id == rival
    assert settled.yielded == [created["web-1"].id]
    assert claim(cloud, rival) is None
    assert PATIENCE <= cloud.clock.now() - 1000 < PATIENCE + 2


def test_settled_by_another_run_that_took_us_for_dead(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    theirs(cloud, LOW, YIELDED)
    cloud.cinder.volumes[created["web-1"].id]["metadata"].pop(CLAIM)
    settled = claims.settle(created, {})
    assert settled.ours.keys() == {"web-1"}


def test_ours_is_deleted_by_somebody(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    cloud.cinder.volumes.clear()
    assert isinstance(claims.settle(created, {}).errors["web-1"], BackendError)


def test_a_rival_that_goes_after_we_gave_way(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    theirs(cloud, LOW)
    at(cloud, 2.0, lambda: t.cast(None, cloud.cinder.volumes.pop(LOW)))
    settled = claims.settle(created, {})
    assert "removed" in str(settled.errors["web-1"])
    assert settled.yielded == [created["web-1"].id]


def test_what_cinder_refused_stays_refused(cloud: FakeCloud) -> None:
    error = NoRoom("full")
    assert Claims(cloud.volumes, cloud.job()).settle({}, {"web-1": error}).errors == {"web-1": error}


def test_what_cinder_refused_us_another_run_may_have_made(cloud: FakeCloud) -> None:
    theirs(cloud, HIGH)
    at(cloud, 2.0, lambda: cloud.cinder.volumes[HIGH]["metadata"].pop(CLAIM))
    settled = Claims(cloud.volumes, cloud.job()).settle({}, {"web-1": NoRoom("full")})
    assert settled.adopted["web-1"].id == HIGH and not settled.errors


def test_a_volume_whose_answer_was_lost_is_ours_all_the_same(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    settled = claims.settle({}, {"web-1": BackendError("connection reset")})
    assert settled.ours["web-1"].id == created["web-1"].id and not settled.errors


def test_a_request_that_was_carried_out_twice(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    twin = cloud.volumes.create(Wish("web-1", 1, metadata=claims.mark))
    settled = claims.settle(created, {})
    assert settled.ours["web-1"].id == created["web-1"].id
    assert settled.yielded == [twin.id] and claim(cloud, twin.id) == YIELDED


def test_what_a_killed_run_had_yielded_is_removed(cloud: FakeCloud) -> None:
    claims, created = ours(cloud)
    theirs(cloud, LOW, YIELDED)
    settled = claims.settle(created, {})
    assert settled.ours.keys() == {"web-1"} and settled.yielded == [LOW]


# --- what killed runs leave ---


def driver(cloud: FakeCloud) -> CinderDriver:
    """A driver without options."""
    return CinderDriver(t.cast(t.Any, cloud), CinderOptions())


def test_looking_changes_nothing(cloud: FakeCloud) -> None:
    theirs(cloud, LOW)
    theirs(cloud, HIGH)
    cloud.cinder.sent.clear()
    found = driver(cloud).find("web-1")
    assert found is not None and found.state == WORKING and found.details["strays"] == [HIGH]
    assert not cloud.writes()


def test_one_that_is_left_is_taken_over_at_once(cloud: FakeCloud) -> None:
    theirs(cloud, LOW)
    volume, strays = Claims(cloud.volumes, cloud.job()).take_over("web-1")
    assert (volume.id, strays, claim(cloud, LOW)) == (LOW, [], None)
    assert cloud.clock.now() == 1000


def test_of_several_the_most_advanced_is_kept_once_they_are_known_to_be_dead(cloud: FakeCloud) -> None:
    theirs(cloud, LOW, "a", status="creating")
    theirs(cloud, HIGH, "b")
    volume, strays = Claims(cloud.volumes, cloud.job()).take_over("web-1")
    assert (volume.id, strays, claim(cloud, HIGH)) == (HIGH, [LOW], None)
    assert cloud.clock.now() >= 1000 + PATIENCE


def test_live_runs_sort_it_out_themselves(cloud: FakeCloud) -> None:
    theirs(cloud, LOW, "a")
    theirs(cloud, HIGH, "b")
    at(cloud, 1.0, lambda: cloud.cinder.volumes[LOW]["metadata"].pop(CLAIM))
    volume, strays = Claims(cloud.volumes, cloud.job()).take_over("web-1")
    assert (volume.id, strays) == (LOW, [HIGH])
    assert cloud.clock.now() < 1000 + PATIENCE


def test_strays_of_a_settled_volume_go_at_once(cloud: FakeCloud) -> None:
    theirs(cloud, HIGH, None)
    theirs(cloud, LOW, "dead")
    volume, strays = Claims(cloud.volumes, cloud.job()).take_over("web-1")
    assert (volume.id, strays, cloud.clock.now()) == (HIGH, [LOW], 1000)


def test_nothing_is_left_to_take_over(cloud: FakeCloud) -> None:
    with pytest.raises(BackendError, match="vanished"):
        Claims(cloud.volumes, cloud.job()).take_over("web-1")


# --- many runs at once, in threads ---


class Hurried(Clock):
    """Time that passes forty times as fast."""

    def now(self) -> float:
        return time.monotonic() * 40

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / 40)


@pytest.mark.parametrize("runs", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_runs_at_once_make_each_volume_once(runs: int, seed: int) -> None:
    cloud = FakeCloud(clock=Hurried())
    cloud.cinder.seconds = 1.0
    image = cloud.glance.add("debian")
    names = ["web-%d" % number for number in range(5)]
    chance = random.Random(seed)
    cloud.cinder.interrupt = lambda asked: time.sleep(chance.random() * 0.01)
    outcomes: t.List[t.Any] = []

    def run() -> None:
        filler = Filler(cloud.volumes, CinderOptions(), cloud.job())
        outcomes.append(filler.fill([Request(name, 2 ** 30) for name in names], Content(image=image), "auto"))

    threads = [threading.Thread(target=run) for dummy in range(runs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [outcome.errors for outcome in outcomes] == [{}] * runs
    cloud.cinder.interrupt = lambda asked: None
    assert sorted(volume.name for volume in cloud.volumes.list()) == names
    ids = {tuple(made.volume.id for made in outcome.made) for outcome in outcomes}
    assert len(ids) == 1
    assert not [volume for volume in cloud.volumes.list() if CLAIM in volume.metadata]
