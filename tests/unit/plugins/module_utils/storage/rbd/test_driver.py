# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, Foreign, IntegrityError, InUse, InvalidInput, NoRoom, TimedOut, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    ADOPTED, AVAILABLE, BROKEN, CLONED, COPIED, HALF_DONE, WORKING, Request, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.filling import parent_name
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd import bindings
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.bindings import BindingsPool
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.command import CommandPool
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.driver import RbdDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.lease import lock_name
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import LOCK, RECORD_KEY, Place, Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph import FakeCeph
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph_bindings import modules
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph_commands import CephCommands
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, surroundings
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract import BLANK, DriverContract

PLACE = Place("p", "n")


@pytest.fixture
def ceph(monkeypatch: pytest.MonkeyPatch) -> FakeCeph:
    """A cluster with two pools, and a namespace in one; this host's Python reaches it."""
    cluster = FakeCeph("p", "ec")
    cluster.pools["p"]["n"] = type(cluster.space())()
    for name, module in zip(("rados", "rbd"), modules(cluster)):
        monkeypatch.setattr(bindings, name, module, raising=False)
    monkeypatch.setattr(bindings, "HAS_BINDINGS", True)
    return cluster


@pytest.fixture
def job(ceph: FakeCeph) -> Job:
    """Waiting lets the cluster's time pass, too."""
    return Job(Deadline(3600, clock=ceph.clock))


def make_driver(ceph: FakeCeph, kind: str = "bindings", pool: t.Optional[Pool] = None, place: Place = PLACE) -> RbdDriver:
    """Another run's driver."""
    runner = CephCommands(ceph)
    return RbdDriver(pool or (BindingsPool(place) if kind == "bindings" else CommandPool(place, runner)), surroundings(runner))


def whole(ceph: FakeCeph) -> t.List[str]:
    """Everything that there is in the namespace, the trash and locks, too."""
    space = ceph.space("p", "n")
    return sorted([*space.images, *space.ghosts, *("trash:" + each.name for each in space.trash.values()), *("object:" + each for each in space.objects)])


def fill(driver: RbdDriver, job: Job, *names: str, source: t.Optional[ImageSource] = None, size: int = 8 * MIB, fan_out: str = "auto",
         exact: bool = True) -> t.List[t.Any]:
    """As the operations do."""
    with driver.exclusive(names, job):
        filled = driver.fill_new(source or BytesImage(raw_disk()), [Request(name, size, exact) for name in names], fan_out, job)
    assert not filled.errors
    return list(filled.made)


def content(ceph: FakeCeph, name: str) -> bytes:
    return bytes(ceph.space("p", "n").images[name].data)


@pytest.mark.parametrize("kind", ["bindings", "commands"])
class TestContract(DriverContract):
    @pytest.fixture
    def job(self, ceph: FakeCeph) -> Job:
        return Job(Deadline(3600, clock=ceph.clock))

    @pytest.fixture
    def driver(self, ceph: FakeCeph, kind: str) -> RbdDriver:
        return make_driver(ceph, kind)

    @pytest.fixture
    def again(self, ceph: FakeCeph, kind: str) -> t.Callable[[], VolumeDriver]:
        return lambda: make_driver(ceph, kind)

    @pytest.fixture(autouse=True)
    def no_litter(self, ceph: FakeCeph) -> t.Iterator[None]:
        """Nothing is left but volumes, and parents that they need."""
        yield
        space = ceph.space("p", "n")
        assert not space.objects
        assert not [name for name in space.images if name.startswith(".")]
        for parent in list(space.trash.values()):
            assert ceph.clones(parent), "a parent that nobody needs"


# --- options ---


@pytest.mark.parametrize("options, words", [
    ({}, "pool: the driver rbd needs"),
    ({"pool": "p", "ceph_user": "client.cinder"}, "leave out 'client.': cinder"),
    ({"pool": "p", "features": ["layering", "object-map"]}, "features: object-map works only with exclusive-lock"),
    ({"pool": "p", "features": ["layering", "exclusive-lock", "fast-diff"]}, "fast-diff works only with object-map"),
])
def test_options_that_make_no_sense(options: t.Dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        RbdDriver.from_options(options, surroundings())


def test_the_bindings_are_taken_where_they_are(ceph: FakeCeph, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"pool": "p", "namespace": "n", "ceph_conf": "/c", "ceph_user": "u", "ceph_cluster": "k", "data_pool": "ec", "features": ["layering"]}
    pool = RbdDriver.from_options(options, surroundings()).pool
    assert isinstance(pool, BindingsPool)
    assert pool.place == Place("p", "n", "/c", "u", "k", "ec", ("layering",))
    monkeypatch.setattr(bindings, "HAS_BINDINGS", False)
    assert isinstance(RbdDriver.from_options(options, surroundings()).pool, CommandPool)


@pytest.mark.parametrize("name, words", [
    ("", "empty"), ("a/b", "/ and @"), ("a@b", "/ and @"), (".bootable.x", "kept"), ("a\nb", "printed"), ("a" * 201, "longer"),
])
def test_names_that_cannot(ceph: FakeCeph, name: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make_driver(ceph).check_names([name])


@pytest.mark.parametrize("kind", ["bindings", "commands"])
@pytest.mark.parametrize("place, error, words", [
    (Place("nope"), InvalidInput, "pool: Ceph has no pool nope"),
    (Place("p", "nons"), InvalidInput, "namespace: the pool p has no namespace nons; make it with: rbd namespace create p/nons"),
    (Place("p", user="nobody"), BackendError, "Ceph cannot be reached: .*ceph_user .nobody"),
    (Place("p", conf="/nowhere"), BackendError, "Ceph cannot be reached: .*ceph_conf ./nowhere"),
])
def test_where_there_is_nothing(ceph: FakeCeph, kind: str, place: Place, error: t.Type[VolumesError], words: str) -> None:
    with pytest.raises(error, match=words):
        make_driver(ceph, kind, place=place).list()


# --- what is there ---


@pytest.mark.parametrize("kind", ["bindings", "commands"])
def test_an_image_of_somebody_else_is_never_touched(ceph: FakeCeph, kind: str, job: Job) -> None:
    ceph.create(ceph.space("p", "n"), "v", MIB, (), None)
    driver = make_driver(ceph, kind)
    with pytest.raises(Foreign, match="p/n/v is foreign.*rbd rm p/n/v"):
        driver.find("v")
    with driver.exclusive(["v"], job), pytest.raises(BackendError, match="exist"):
        driver.create(Request("v", MIB), BLANK)
    assert driver.list() == []
    assert content(ceph, "v") == bytes(MIB)
    seen = t.cast(Volume, driver.look_up("p/n/v"))
    assert (seen.id, seen.record, seen.state) == ("p/n/v", None, AVAILABLE)
    assert seen == driver.look_up("v")


def test_a_damaged_record_is_told_of_and_hides_no_other_volume(ceph: FakeCeph, job: Job) -> None:
    driver = make_driver(ceph)
    fill(driver, job, "a", "b")
    ceph.space("p", "n").images["a"].meta[RECORD_KEY] = "{"
    with pytest.raises(BackendError, match="damaged.*image-meta remove p/n/a"):
        driver.find("a")
    assert [(volume.name, volume.state) for volume in driver.list()] == [("a", BROKEN), ("b", AVAILABLE)]


def test_details(ceph: FakeCeph, job: Job) -> None:
    driver = make_driver(ceph, place=Place("p", "n", data_pool="ec", features=("layering", "exclusive-lock")))
    made = fill(driver, job, "v", "w")
    assert dict(made[0].volume.details) == {
        "pool": "p", "namespace": "n", "image_id": ceph.space("p", "n").images["v"].id, "features": ["layering", "exclusive-lock"], "data_pool": "ec",
        "parent": "p/n/.bootable.golden.v",
    }
    assert driver.differences(made[0].volume) == []
    difference, = make_driver(ceph, place=Place("p", "n", data_pool="p")).differences(made[0].volume)
    assert (difference.what, difference.found, difference.wanted, difference.mend) == ("data_pool", "ec", "p", "replace")


# --- held volumes ---


@pytest.mark.parametrize("kind", ["bindings", "commands"])
def test_what_holds_a_volume(ceph: FakeCeph, kind: str, job: Job) -> None:
    driver = make_driver(ceph, kind)
    volume = fill(driver, job, "v")[0].volume
    disk = ceph.space("p", "n").images["v"]
    disk.watchers[7] = None
    assert driver.holders(volume) == ["client 127.0.0.1:0/7 (one that was killed counts for half a minute)"]
    for change in (
        lambda: driver.remove(volume, job), lambda: driver.refill(BytesImage(raw_disk()), volume, job), lambda: driver.open(volume, "w"),
        lambda: driver.open(volume, "r"), lambda: driver.clone(volume, Request("w", 8 * MIB), BLANK, job),
    ):
        with pytest.raises(InUse, match="client 127"):
            change()
    disk.watchers.clear()
    ceph.snapshot(disk, "mine")
    ceph.clone(disk, "mine", ceph.space("p", ""), "theirs", (), None, format="2")
    assert driver.holders(volume) == ["its snapshot mine", "its clone p/theirs"]
    with pytest.raises(InUse, match="snapshot mine, its clone p/theirs"):
        driver.remove(volume, job)
    assert content(ceph, "v")[:4 * MIB] == raw_disk()
    assert t.cast(Volume, driver.find("v")).state == AVAILABLE


@pytest.mark.parametrize("kind", ["bindings", "commands"])
def test_a_removal_that_ceph_refuses_leaves_the_volume_as_it_was(ceph: FakeCeph, kind: str, job: Job) -> None:
    driver = make_driver(ceph, kind)
    volume = fill(driver, job, "v")[0].volume
    disk = ceph.space("p", "n").images["v"]
    real = driver.pool.users

    def users(name: str) -> t.Any:
        found = real(name)
        disk.watchers[7] = None  # at the last moment
        return found

    driver.pool.users = users  # type: ignore[method-assign]
    with pytest.raises(InUse):
        driver.remove(volume, job)
    disk.watchers.clear()
    assert driver.find("v") == volume


def test_a_half_done_volume_waits_for_ceph_to_forget_the_client_that_was_killed(ceph: FakeCeph, job: Job) -> None:
    driver = make_driver(ceph)
    with driver.exclusive(["v"], job):
        driver.create(Request("v", 8 * MIB), record_of(BytesImage(raw_disk()).describe(), FILLING))
    disk = ceph.space("p", "n").images["v"]
    disk.watchers[7] = None
    ceph.killed()
    with driver.exclusive(["v"], job):
        volume = t.cast(Volume, driver.find("v"))
        assert driver.holders(volume) == []
        made = driver.adopt(BytesImage(raw_disk()), volume, job)
    assert made.how == ADOPTED and content(ceph, "v").rstrip(b"\0") == raw_disk().rstrip(b"\0")
    assert ceph.clock.now() >= 30
    disk.watchers[8] = None
    disk.meta[RECORD_KEY] = json.dumps(Record(FILLING, "glance").as_dict())
    with pytest.raises(InUse):
        driver.adopt(BytesImage(raw_disk()), t.cast(Volume, driver.find("v")), job)
    with pytest.raises(InUse):
        driver.remove(t.cast(Volume, driver.find("v")), job)


# --- fan-out ---


@pytest.mark.parametrize("kind", ["bindings", "commands"])
def test_all_volumes_are_clones_of_a_parent_that_waits_in_the_trash(ceph: FakeCeph, kind: str, job: Job) -> None:
    driver = make_driver(ceph, kind)
    made = fill(driver, job, "b", "a", "c")
    assert [each.how for each in made] == [CLONED] * 3
    assert whole(ceph) == ["a", "b", "c", "trash:" + parent_name("b")]
    assert {name for what, name in ceph.calls if what == "write"} == {parent_name("b")}, "the bytes were written once"
    for number, name in enumerate("bac"):
        driver.remove(t.cast(Volume, driver.find(name)), job)
        assert len(ceph.space("p", "n").trash) == (0 if number == 2 else 1), "it goes with the last"
    assert whole(ceph) == []


def test_a_copy_for_each_where_it_is_asked_for_or_nothing_can_be_cloned(ceph: FakeCeph, job: Job) -> None:
    for place, fan_out in ((PLACE, "copy"), (Place("p", "n", features=("exclusive-lock",)), "auto")):
        driver = make_driver(ceph, place=place)
        assert [each.how for each in fill(driver, job, "a", "b", fan_out=fan_out)] == [COPIED] * 2
        assert whole(ceph) == ["a", "b"]
        for name in "ab":
            driver.remove(t.cast(Volume, driver.find(name)), job)
    with pytest.raises(InvalidInput, match="layering"):
        fill(make_driver(ceph, place=Place("p", "n", features=("exclusive-lock",))), job, "a", "b", fan_out="clone")
    assert whole(ceph) == []


def test_a_refilled_clone_lets_its_parent_go(ceph: FakeCeph, job: Job) -> None:
    driver = make_driver(ceph)
    volumes = [each.volume for each in fill(driver, job, "a", "b")]
    for volume in volumes:
        with driver.exclusive([volume.name], job):
            driver.refill(BytesImage(raw_disk()[:2 * MIB], name="other"), volume, job)
    assert whole(ceph) == ["a", "b"]
    assert content(ceph, "a") == raw_disk()[:2 * MIB].ljust(8 * MIB, b"\0")


@pytest.mark.parametrize("names", [("v",), ("a", "b")])
@pytest.mark.parametrize("fan_out", ["auto", "copy"])
def test_garbled_bytes_leave_nothing(ceph: FakeCeph, job: Job, names: t.Tuple[str, ...], fan_out: str) -> None:
    with pytest.raises(IntegrityError):
        fill(make_driver(ceph), job, *names, source=BytesImage(raw_disk(), checksums={"sha256": "0" * 64}), fan_out=fan_out)
    assert whole(ceph) == []


def test_one_clone_that_fails_does_not_keep_the_others(ceph: FakeCeph, job: Job) -> None:
    driver = make_driver(ceph)
    real = driver.pool.clone

    def clone(name: str, snapshot: str, child: str) -> None:
        if child == "b":
            raise BackendError("no more")
        real(name, snapshot, child)

    driver.pool.clone = clone  # type: ignore[method-assign]
    with driver.exclusive(["a", "b", "c"], job):
        filled = driver.fill_new(BytesImage(raw_disk()), [Request(name, 8 * MIB) for name in "abc"], "auto", job)
    assert [each.volume.name for each in filled.made] == ["a", "c"] and list(filled.errors) == ["b"]
    assert whole(ceph) == ["a", "c", "trash:" + parent_name("a")]


@pytest.mark.parametrize("names", [("v",), ("a", "b")])
def test_a_volume_without_a_size_becomes_as_large_as_the_image_turns_out_to_be(ceph: FakeCeph, job: Job, names: t.Tuple[str, ...]) -> None:
    source = BytesImage(qcow2(raw_disk()), format="qcow2")
    made = fill(make_driver(ceph), job, *names, source=source, size=MIB, exact=False)
    assert {each.volume.size for each in made} == {4 * MIB}
    assert content(ceph, names[-1]) == raw_disk()
    raw = BytesImage(raw_disk(), name="raw", size=None)
    raw._description = type(raw.describe())(name="raw", origin="url", format="raw")
    assert fill(make_driver(ceph), job, "r", source=raw, size=MIB, exact=False)[0].volume.size == 4 * MIB


def test_a_size_that_is_too_small_is_refused_and_leaves_nothing(ceph: FakeCeph, job: Job) -> None:
    with pytest.raises(InvalidInput, match="larger size"):
        fill(make_driver(ceph), job, "v", source=BytesImage(qcow2(raw_disk()), format="qcow2"), size=MIB)
    assert whole(ceph) == []


def test_no_room(ceph: FakeCeph) -> None:
    ceph.free = MIB
    for kind in ("bindings", "commands"):
        driver = make_driver(ceph, kind)
        with pytest.raises(NoRoom, match="takes up to 4 MiB, but only 1 MiB can be written to the pool p"):
            driver.check_room([Request("v", 8 * MIB)], BytesImage(raw_disk()))
        driver.check_room([Request("v", 8 * MIB)], None)


# --- growing ---


def test_a_volume_never_shrinks(ceph: FakeCeph, job: Job) -> None:
    driver = make_driver(ceph)
    volume = fill(driver, job, "v")[0].volume
    with pytest.raises(InvalidInput, match="shrunk"):
        driver.grow(volume, MIB, job)
    assert driver.grow(volume, volume.size, job) == volume


# --- two runs, and runs that were killed ---


def test_another_run_is_waited_for_and_seen(ceph: FakeCeph, job: Job) -> None:
    driver = make_driver(ceph)
    with driver.exclusive(["v"], job):
        driver.create(Request("v", MIB), Record(FILLING, "glance"))
        for kind in ("bindings", "commands"):
            other = make_driver(ceph, kind)
            assert t.cast(Volume, other.find("v")).state == WORKING
            with pytest.raises(TimedOut, match="another run to let go of v .*lock info .bootable.lock.v"), \
                    other.exclusive(["v"], Job(Deadline(5, clock=ceph.clock))):
                raise AssertionError("two at once")
        assert t.cast(Volume, driver.find("v")).state == HALF_DONE
    assert t.cast(Volume, make_driver(ceph).find("v")).state == HALF_DONE


class Killed(BaseException):
    """Nothing runs after this, not even a clean-up."""


class MortalPool:
    """A pool whose user is killed before, or right after, the n-th change."""

    CHANGES = ("create", "remove", "remember", "resize", "snapshot", "drop_snapshot", "clone", "flatten", "trash", "purge", "unlock")

    def __init__(self, pool: Pool, number: int, after: bool) -> None:
        self._pool = pool
        self._left = number
        self._after = after
        self.dead = False

    def __getattr__(self, name: str) -> t.Any:
        found = getattr(self._pool, name)
        if not callable(found):
            return found

        def call(*args: t.Any, **how: t.Any) -> t.Any:
            if self.dead:
                raise Killed
            if name not in self.CHANGES:
                return found(*args, **how)
            self._left -= 1
            self.dead = self._left < 0
            if self.dead and not self._after:
                raise Killed
            result = found(*args, **how)
            if self.dead:
                raise Killed
            return result

        return call


def converge(driver: RbdDriver, job: Job, names: t.Sequence[str], source: ImageSource) -> None:
    """What the operation does, for a storage that may hold anything of an earlier run."""
    with driver.exclusive(names, job):
        found = driver.find_all(names)
        for name, volume in found.items():
            if volume is not None and volume.state == HALF_DONE:
                driver.adopt(source, volume, job)
            elif volume is not None:
                assert volume.record is not None and volume.record.state == READY
                if volume.size < 8 * MIB:
                    driver.grow(volume, 8 * MIB, job)
        missing = [Request(name, 8 * MIB) for name, volume in found.items() if volume is None]
        if missing:
            assert not driver.fill_new(source, missing, "auto", job).errors


def killing(ceph: FakeCeph, work: t.Callable[[RbdDriver], None], number: int, after: bool) -> bool:
    """Whether the work came to its end before it was killed."""
    pool = MortalPool(BindingsPool(PLACE), number, after)
    ceph.dying = True
    try:
        work(make_driver(ceph, pool=t.cast(Pool, pool)))
    except Killed:
        ceph.killed()
        return False
    finally:
        ceph.dying = False
    return True


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("names", [("v",), ("a", "b", "c")])
def test_killed_at_every_step_of_a_filling(ceph: FakeCeph, names: t.Tuple[str, ...], after: bool) -> None:
    source = BytesImage(raw_disk())
    for number in range(100):
        job = Job(Deadline(3600, clock=ceph.clock), at_once=1)
        over = killing(ceph, lambda driver: converge(driver, job, names, source), number, after)
        for volume in make_driver(ceph).list():
            assert volume.state != AVAILABLE or content(ceph, volume.name).rstrip(b"\0") == raw_disk().rstrip(b"\0"), "published too early"
        rerun = make_driver(ceph)
        converge(rerun, job, names, source)
        for name in names:
            assert t.cast(Volume, rerun.find(name)).state == AVAILABLE
            assert content(ceph, name) == raw_disk().ljust(8 * MIB, b"\0")
        with rerun.exclusive(names, job):
            for name in names:
                rerun.remove(t.cast(Volume, rerun.find(name)), job)
        assert whole(ceph) == []
        if over:
            assert number > 3
            return
    raise AssertionError("it never ended")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_step_of_a_clone(ceph: FakeCeph, after: bool) -> None:
    for number in range(100):
        job = Job(Deadline(3600, clock=ceph.clock))
        origin = fill(make_driver(ceph), job, "v")[0].volume
        record = t.cast(Record, origin.record)

        def work(driver: RbdDriver) -> None:
            with driver.exclusive(["w"], job):
                if driver.find("w") is None:
                    driver.clone(t.cast(Volume, driver.find("v")), Request("w", 8 * MIB), record, job)

        over = killing(ceph, work, number, after)
        rerun = make_driver(ceph)
        work(rerun)
        assert t.cast(Volume, rerun.find("w")).state == AVAILABLE
        with rerun.exclusive(["v", "w"], job):
            for name in "vw":
                rerun.remove(t.cast(Volume, rerun.find(name)), job)
        assert whole(ceph) == []
        if over:
            assert number > 3
            return
    raise AssertionError("it never ended")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("wanted", ["absent", "present"])
def test_killed_at_every_step_of_a_removal(ceph: FakeCeph, after: bool, wanted: str) -> None:
    source = BytesImage(raw_disk())
    for number in range(100):
        job = Job(Deadline(3600, clock=ceph.clock), at_once=1)
        converge(make_driver(ceph), job, ("a", "b"), source)

        def remove(driver: RbdDriver) -> None:
            with driver.exclusive(["a", "b"], job):
                for volume in driver.find_all(["a", "b"]).values():
                    if volume is not None:
                        driver.remove(volume, job)

        over = killing(ceph, remove, number, after)
        if wanted == "present":
            converge(make_driver(ceph), job, ("a", "b"), source)
            assert content(ceph, "a") == content(ceph, "b") == raw_disk().ljust(8 * MIB, b"\0")
        remove(make_driver(ceph))
        assert whole(ceph) == []
        if over:
            assert number > 2
            return
    raise AssertionError("it never ended")


@pytest.mark.parametrize("kind", ["bindings", "commands"])
def test_what_a_broken_creation_or_removal_left_in_ceph(ceph: FakeCeph, kind: str, job: Job) -> None:
    ceph.space("p", "n").ghosts.add("v")
    driver = make_driver(ceph, kind)
    assert driver.find("v") is None and driver.list() == []
    with driver.exclusive(["v"], job):
        assert whole(ceph) == ["object:" + lock_name("v")]
        ceph.space("p", "n").ghosts.add("v")
        driver.create(Request("v", MIB), BLANK)
    assert whole(ceph) == ["v"]


def test_a_lock_that_was_lost_publishes_nothing(ceph: FakeCeph, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = make_driver(ceph)
    with driver.exclusive(["v"], job):
        volume = driver.create(Request("v", MIB), Record(FILLING, "glance"))
        assert driver._lease is not None
        monkeypatch.setitem(driver._lease._until, "v", 0.0)
        ceph.space("p", "n").objects[lock_name("v")][LOCK] = (1, "another run's", 1e9)
        with pytest.raises(BackendError, match="lock of v .* was lost"):
            driver.mark(volume, Record(READY, "glance"))
    assert ceph.lockers(ceph.space("p", "n"), lock_name("v")), "another run's lock is not ours to take away"
