# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes of Cinder that are read and written in Ceph: kept from others meanwhile, never by way of Glance, whatever kills the run."""

from __future__ import annotations

import gc
import os
import typing as t
from dataclasses import replace

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core import sizes
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, Drift, InUse, InvalidInput, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_migrate import VolumeMigrate
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder import direct, driver as cinder_driver, via, view
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.holds import HOLD, Hold, is_left_behind
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CinderOptions
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, WORKING, Request, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd import bindings
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.bindings import BindingsPool
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.command import CommandPool
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.driver import RbdDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import Place
from ansible_collections.bootable.volumes.tests.unit.fakes import ceph_bindings, uploads
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph import WATCH_TIMEOUT, FakeCeph
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph_commands import CephCommands
from ansible_collections.bootable.volumes.tests.unit.fakes.cinder_on_ceph import POOL, CinderOnCeph
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.host import Answers, surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Request as Asked
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract import DriverContract

DATA = os.urandom(70000) + bytes(400000) + os.urandom(5000)
RECORD = Record(READY, "glance", image_id="i-1", image_name="debian", checksum="md5:00")
PLACE = Place(POOL, option="ceph_pool")


class World:
    """One cluster, one cloud, and runs that follow each other, each a process of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ceph = FakeCeph(POOL, "p", "other")
        self.cloud = FakeCloud(clock=self.ceph.clock, cinder=lambda clock, glance: CinderOnCeph(clock, glance, self.ceph, unit=MIB))
        self.run = 1
        self.dead: t.Set[str] = set()
        self.left: t.Optional[int] = None
        self.glance_log = self.cloud.glance.sent
        self.cloud.cinder.interrupt = self._asked
        self.ceph.calls = _Calls(self)
        monkeypatch.setattr(liveness, "signature", lambda pid=0: "run-%d" % self.run)
        monkeypatch.setattr(liveness, "is_dead", lambda left_by: left_by in self.dead)
        close = ceph_bindings.Image.close

        def closing(image: t.Any) -> None:
            self.breathe()
            close(image)

        monkeypatch.setattr(ceph_bindings.Image, "close", closing)

    # --- drivers of the current run ---

    def cinder(self, place: Place = PLACE, **options: t.Any) -> CinderDriver:
        return CinderDriver(t.cast(t.Any, self.cloud), CinderOptions(**options), clock=self.ceph.clock, pool=BindingsPool(place))

    def rbd(self) -> RbdDriver:
        return RbdDriver(BindingsPool(Place("p")), surroundings(CephCommands(self.ceph)))

    def job(self, seconds: float = 3600) -> Job:
        return Job(Deadline(seconds, clock=self.ceph.clock))

    # --- what is there ---

    def image(self, name: str = "v") -> t.Any:
        """The image of a volume of Cinder."""
        return self.ceph.space(POOL).images["volume-%s" % self.cloud.volume(name)["id"]]

    def volume(self, name: str = "v", data: bytes = DATA) -> Volume:
        """A new volume of Cinder with this content."""
        self.cinder().create(Request(name, MIB), RECORD)
        self.image(name).data[:len(data)] = data
        return t.cast(Volume, self.cinder().find(name))

    def holds(self, name: str = "v") -> t.List[str]:
        return [key for key in self.cloud.volume(name)["metadata"] if key.startswith(HOLD)]

    # --- death ---

    def _asked(self, request: Asked) -> None:
        if request.method != "GET":
            self.moment()
        self.breathe()

    def moment(self) -> None:
        """One of those at which a run can be killed."""
        if self.left is not None:
            self.left -= 1
        self.breathe()

    def breathe(self) -> None:
        """Nothing is done any more by who is dead."""
        if self.left is not None and self.left <= 0:
            raise KeyboardInterrupt

    def revive(self) -> None:
        """The run is over; another one comes."""
        self.left = None
        self.dead.add("run-%d" % self.run)
        self.run += 1
        self.ceph.killed()


class _Calls(t.List[t.Any]):
    """Each change in Ceph is a moment."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def append(self, call: t.Any) -> None:
        self._world.moment()
        super().append(call)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    for module in (sizes, view, via, direct, cinder_driver, uploads):
        monkeypatch.setattr(module, "GIB", MIB)
    monkeypatch.setattr(CinderDriver, "capabilities", replace(CinderDriver.capabilities, granularity=MIB))
    made = World(monkeypatch)
    for name, module in zip(("rados", "rbd"), ceph_bindings.modules(made.ceph)):
        monkeypatch.setattr(bindings, name, module, raising=False)
    monkeypatch.setattr(bindings, "HAS_BINDINGS", True)
    return made


class TestContract(DriverContract):
    """What every driver does; what it is filled with comes by way of Glance, and is read from Ceph."""

    @pytest.fixture
    def driver(self, world: World) -> CinderDriver:
        return world.cinder()

    @pytest.fixture
    def again(self, world: World) -> t.Callable[[], CinderDriver]:
        return world.cinder

    @pytest.fixture
    def job(self, world: World) -> Job:
        return world.job()

    @pytest.fixture
    def glance(self, world: World) -> FakeCloud:
        return world.cloud


def migrate(world: World, source: t.Any, destination: t.Any, name: str = "v", **options: t.Any) -> t.Any:
    """As the module does it; (plan, result)."""
    moving = VolumeMigrate(name=name, source=source, destination=destination, **dict(
        {"new_name": "v", "size": None, "keep_source": False, "cloud": world.cloud, "job": world.job()}, **options))
    with moving.exclusive():
        plan = moving.plan()
        return plan, moving.apply(plan) if plan.changed else moving.preview(plan)


# --- options ---


def test_without_a_pool_it_is_the_driver_it_was() -> None:
    driver = CinderDriver.from_options({}, surroundings())
    assert not driver.capabilities.handles
    with pytest.raises(InvalidInput, match="cannot be opened"):
        driver.open(Volume("v", "i", MIB, AVAILABLE, "available", "rbd"), "r")


def test_with_a_pool_it_has_handles() -> None:
    assert CinderDriver.from_options({"ceph_pool": "volumes", "ceph_user": "cinder"}, surroundings(Answers())).capabilities.handles
    assert not CinderDriver.capabilities.handles


@pytest.mark.parametrize("options, words", [
    ({"ceph_conf": "/etc/ceph/ceph.conf"}, "ceph_conf: .*storage.ceph_pool"),
    ({"ceph_pool": "volumes", "ceph_user": "client.cinder"}, "leave out"),
])
def test_options_that_do_not_go_together(options: t.Dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        CinderDriver.from_options(options, surroundings(Answers()))


# --- reading and writing ---


def test_it_is_held_while_it_is_open_and_no_longer(world: World) -> None:
    volume = world.volume()
    with world.cinder().open(volume, "r") as handle:
        assert world.cloud.volume("v")["status"] == "attaching" and len(world.holds()) == 1
        assert handle.read(0, len(DATA)) == DATA
    assert world.cloud.volume("v")["status"] == "available" and not world.holds()


def test_it_is_let_go_when_something_fails(world: World) -> None:
    volume = world.volume()
    with pytest.raises(InvalidInput, match="beyond"):
        with world.cinder().open(volume, "w") as handle:
            handle.write(volume.size, b"x")
    assert world.cloud.volume("v")["status"] == "available" and not world.holds()


def test_without_bindings_the_commands_do_it(world: World) -> None:
    volume = world.volume()
    commands = CephCommands(world.ceph)
    driver = CinderDriver(t.cast(t.Any, world.cloud), CinderOptions(), clock=world.ceph.clock, pool=CommandPool(PLACE, commands))
    with driver.open(volume, "w") as handle:
        handle.write(0, b"xyz")
        assert handle.read(0, len(DATA)) == b"xyz" + DATA[3:]
    assert bytes(world.image().data[:3]) == b"xyz"
    with pytest.raises(ZeroDivisionError), driver.open(volume, "w") as handle:
        handle.write(0, b"abc")
        raise ZeroDivisionError
    assert world.cloud.volume("v")["status"] == "available" and not world.holds()


@pytest.mark.parametrize("change, words", [
    ({"status": "reserved"}, "is reserved, and must be available"),
    ({"status": "attaching"}, "is attaching, and must be available"),
    ({"status": "in-use", "attachments": [{"id": "v", "server_id": "s", "device": "/dev/vdb"}]}, "is in-use"),
    ({"status": "in-use", "multiattach": True, "attachments": [{"id": "v", "server_id": "s", "device": "/dev/vdb"}]}, "is attached"),
    ({"encrypted": True}, "is encrypted.*without encryption"),
])
def test_what_is_not_free_or_not_readable_is_refused_and_left_as_it_is(world: World, change: t.Dict[str, t.Any], words: str) -> None:
    volume = world.volume()
    before = dict(world.cloud.volume("v"), **change)
    world.cloud.volume("v").update(change)
    with pytest.raises(VolumesError, match=words):
        world.cinder().open(volume, "r")
    assert world.cloud.volume("v") == before


def test_an_image_of_another_pool_or_size_is_none(world: World) -> None:
    volume = world.volume()
    with pytest.raises(InvalidInput, match="ceph_pool: other has no image volume-"):
        world.cinder(Place("other", option="ceph_pool")).open(volume, "r")
    with pytest.raises(InvalidInput, match="ceph_pool: Ceph has no pool nowhere"):
        world.cinder(Place("nowhere", option="ceph_pool")).open(volume, "r")
    world.image().data.extend(bytes(MIB))
    with pytest.raises(BackendError, match="is it the pool of this Cinder"):
        world.cinder().open(volume, "r")
    assert world.cloud.volume("v")["status"] == "available" and not world.holds()


def test_a_migrated_volume_is_found_by_what_its_image_is_called(world: World) -> None:
    volume = world.volume()
    images = world.ceph.space(POOL).images
    images["volume-elsewhere"] = images.pop("volume-" + volume.id)
    world.cloud.volume("v")["os-vol-mig-status-attr:name_id"] = "elsewhere"
    with world.cinder().open(volume, "r") as handle:
        assert handle.read(0, 100) == DATA[:100]


def test_an_image_that_somebody_writes_to_is_refused(world: World) -> None:
    volume = world.volume()
    world.image().watchers[99] = None
    with pytest.raises(InUse, match="open in Ceph for 127.0.0.1:0/99"):
        world.cinder().open(volume, "r")
    assert not world.holds()


# --- who holds it ---


def held(world: World, volume: Volume) -> Hold:
    hold = Hold(t.cast(t.Any, world.cloud).volumes, volume.id, world.job().deadline)
    hold.take()
    return hold


def test_it_is_working_for_others_and_left_behind_when_its_run_is_dead(world: World) -> None:
    volume = world.volume()
    held(world, volume)
    world.run += 1
    assert t.cast(Volume, world.cinder().find("v")).state == WORKING
    with pytest.raises(InUse, match="held by another run"):
        world.cinder().open(volume, "r")
    assert len(world.holds()) == 1
    world.dead.add("run-1")
    assert t.cast(Volume, world.cinder().find("v")).state == AVAILABLE
    with world.cinder().open(volume, "r") as handle:
        assert handle.read(0, 10) == DATA[:10]
    assert world.cloud.volume("v")["status"] == "available" and not world.holds()


def test_a_run_on_another_host_is_over_when_its_time_has_passed(world: World) -> None:
    volume = world.volume()
    hold = held(world, volume)
    assert not is_left_behind(world.cloud.volumes.get(volume.id))
    world.cloud.volumes.set_metadata(volume.id, {hold._key: "elsewhere 17"})
    assert is_left_behind(world.cloud.volumes.get(volume.id))


def test_of_two_that_take_over_none_unsettles_the_other(world: World) -> None:
    volume = world.volume()
    held(world, volume)
    world.dead.add("run-1")
    world.run = 2
    second = held(world, volume)
    assert second.taken_over
    world.run = 3
    with pytest.raises(InUse, match="another run"):
        held(world, volume)
    assert world.cloud.volume("v")["status"] == "attaching"
    second.release()
    assert world.cloud.volume("v")["status"] == "available" and not world.holds()


def test_a_mark_that_a_killed_run_left_is_no_excuse_to_disturb_a_server(world: World) -> None:
    """It let go and died; since then Nova is about to attach the volume."""
    volume = world.volume()
    world.dead.add("run-0")
    world.cloud.volume("v").update(status="attaching", metadata=dict(world.cloud.volume("v")["metadata"], **{HOLD + "x": "run-0 99999999999"}))
    world.cloud.cinder.attachments["a"] = volume.id
    with pytest.raises(InUse, match="is being attached"):
        world.cinder().open(volume, "r")
    assert world.cloud.volume("v")["status"] == "attaching"


def test_a_reservation_without_an_answer_is_found_again(world: World) -> None:
    volume = world.volume()

    def act(request: Asked, id: str) -> t.Any:
        answer = type(world.cloud.cinder).act(world.cloud.cinder, request, id)
        if "os-reserve" in request.json:
            raise ConnectionResetError("Connection reset by peer")
        return answer

    world.cloud.cinder.act = act  # type: ignore[method-assign]
    with pytest.raises(BackendError):
        world.cinder().open(volume, "r")
    del world.cloud.cinder.act
    world.revive()
    with world.cinder().open(volume, "r"):
        pass
    assert world.cloud.volume("v")["status"] == "available" and not world.holds()


def test_what_a_dead_run_left_reserved_can_be_removed_and_grown(world: World) -> None:
    volume = world.volume()
    held(world, volume)
    world.revive()
    driver = world.cinder()
    assert driver.grow(t.cast(Volume, driver.find("v")), 2 * MIB, world.job()).size == 2 * MIB
    held(world, volume)
    world.revive()
    driver = world.cinder()
    driver.remove(t.cast(Volume, driver.find("v")), world.job())
    assert driver.find("v") is None


# --- moving ---


def test_there_and_back_without_glance(world: World) -> None:
    world.volume()
    plan, result = migrate(world, world.cinder(), world.rbd())
    assert [step.action for step in plan.steps] == ["migrate"]
    disk = world.ceph.space("p").images["v"]
    assert bytes(disk.data[:len(DATA)]) == DATA
    assert result["volume"]["image"]["image_id"] == "i-1"
    assert not world.cloud.cinder.volumes
    back = migrate(world, world.rbd(), world.cinder())[1]
    assert back["checksum"] == result["checksum"]
    assert bytes(world.image().data) == DATA + bytes(MIB - len(DATA))
    made = world.cloud.volume("v")
    assert made["bootable"] and made["status"] == "available"
    assert world.cinder().find("v").record == RECORD
    assert not world.holds() and "bootable_state" not in made["metadata"]
    assert not world.ceph.space("p").images
    assert world.glance_log == []
    assert not migrate(world, world.rbd(), world.cinder())[0].changed


def test_between_two_volumes_of_one_pool(world: World) -> None:
    world.volume("w")
    migrate(world, world.cinder(), world.cinder(bootable=False), name="w", keep_source=True)
    assert world.image("v").data == world.image("w").data
    assert not world.cloud.volume("v")["bootable"]
    assert not migrate(world, world.cinder(), world.cinder(bootable=False), name="w", keep_source=True)[0].changed
    assert world.glance_log == []


def test_holes_are_not_written(world: World) -> None:
    world.volume(data=bytes(MIB - 70000) + os.urandom(70000))
    migrate(world, world.cinder(), world.rbd())
    before = len(world.ceph.calls)
    migrate(world, world.rbd(), world.cinder())
    assert len([call for call in world.ceph.calls[before:] if call[0] == "write"]) == 1


def test_the_plan_refuses_what_could_not_be_read_and_writes_nothing(world: World) -> None:
    world.volume()
    writes = list(world.cloud.writes())
    with pytest.raises(InvalidInput, match="ceph_pool: other has no image"):
        migrate(world, world.cinder(Place("other", option="ceph_pool")), world.rbd())
    world.cloud.volume("v")["encrypted"] = True
    with pytest.raises(InvalidInput, match="encrypted"):
        migrate(world, world.cinder(), world.rbd())
    world.cloud.volume("v")["encrypted"] = False
    with pytest.raises(InvalidInput, match="ceph_pool: Ceph has no pool nowhere"):
        migrate(world, world.cinder(), world.cinder(Place("nowhere", option="ceph_pool")), new_name="w")
    assert world.cloud.writes() == writes


def test_a_volume_that_is_open_elsewhere_is_not_moved(world: World) -> None:
    volume = world.volume()
    held(world, volume)
    with pytest.raises(Drift, match="attaching"):
        migrate(world, world.cinder(), world.rbd())


def test_a_new_volume_that_turns_out_to_be_elsewhere_goes_again(world: World) -> None:
    """Its type is of another back end."""
    world.volume()
    migrate(world, world.cinder(), world.rbd())
    with pytest.raises(InvalidInput, match=r"type nfs\)"):
        migrate(world, world.rbd(), world.cinder(volume_type="nfs"))
    world.cloud.cinder.advance()
    assert not world.cloud.cinder.volumes
    assert "v" in world.ceph.space("p").images


def there(world: World) -> None:
    migrate(world, world.cinder(), world.rbd())


def back(world: World) -> None:
    migrate(world, world.rbd(), world.cinder())


def begin(world: World, direction: t.Callable[[World], None]) -> None:
    if direction is there:
        world.volume()
        return
    world.rbd().create(Request("v", MIB), RECORD)
    world.ceph.space("p").images["v"].data[:len(DATA)] = DATA


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("direction", [there, back])
@pytest.mark.parametrize("first", range(4))
def test_killed_at_any_moment_and_run_again(world: World, direction: t.Callable[[World], None], first: int) -> None:
    """At each request that changes something in Cinder, and at each change in Ceph; every fourth of them in each test."""
    for number in range(1 + first, 100, 4):
        begin(world, direction)
        world.left = number
        try:
            direction(world)
        except KeyboardInterrupt:
            pass
        else:
            break
        gc.collect()  # what the dead run left open goes while it is dead
        world.revive()
        again(world, direction)
        assert_moved(world, direction)
        forget(world)
    assert 10 < number < 40
    assert world.glance_log == []


def again(world: World, direction: t.Callable[[World], None]) -> None:
    """As the message of the driver rbd says: a run that was killed while it published an image counts for half a minute."""
    try:
        direction(world)
    except InUse as error:
        assert "counts for half a minute" in error.message
        world.ceph.clock.sleep(WATCH_TIMEOUT + 1)
        direction(world)


def assert_moved(world: World, direction: t.Callable[[World], None]) -> None:
    if direction is there:
        assert bytes(world.ceph.space("p").images["v"].data[:len(DATA)]) == DATA
        assert world.rbd().find("v").record == RECORD
        assert not world.cloud.cinder.volumes and not world.ceph.space(POOL).images
        return
    assert bytes(world.image().data) == DATA + bytes(MIB - len(DATA))
    made = world.cloud.volume("v")
    assert (made["status"], made["bootable"]) == ("available", True)
    assert world.cinder().find("v").record == RECORD
    assert [key for key in made["metadata"] if key.startswith(("bootable_hold", "bootable_state", "bootable_claim"))] == []
    assert len(world.ceph.space(POOL).images) == 1 and not world.ceph.space("p").images


def forget(world: World) -> None:
    """An empty world again."""
    world.ceph.space("p").images.clear()
    world.ceph.space("p").objects.clear()
    world.ceph.space(POOL).images.clear()
    world.cloud.cinder.volumes.clear()
