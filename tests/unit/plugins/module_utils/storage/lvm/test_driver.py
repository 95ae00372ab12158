# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, Foreign, InUse, InvalidInput, NoRoom, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.block_file import BlockFile
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_removal import VolumeRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, BROKEN, HALF_DONE, WORKING, Request, Volume, VolumeDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record
from ansible_collections.bootable.volumes.plugins.module_utils.storage.lvm.commands import Lvm
from ansible_collections.bootable.volumes.plugins.module_utils.storage.lvm.driver import LvmDriver
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import pattern, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, NoCommands, make_job, surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.lvm import EXTENT, FakeLvm
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract import DriverContract

Again = t.Callable[..., LvmDriver]
SOURCE = BytesImage(raw_disk(), name="first")
OTHER = BytesImage(pattern(MIB), name="other")
FILLED = raw_disk().ljust(8 * MIB, b"\0")


@pytest.fixture
def lvm(one: pathlib.Path) -> FakeLvm:
    """A volume group with a thin pool that nobody has to use."""
    found = FakeLvm(one)
    found.add_pool("pool")
    return found


@pytest.fixture
def make(lvm: FakeLvm, two: pathlib.Path) -> Again:
    return lambda pool=None: LvmDriver(Lvm("vg", lvm), lvm.devices, surroundings(lvm), pool=pool, lock_dir=str(two / "locks"))


class TestThick(DriverContract):
    pool: t.Optional[str] = None

    @pytest.fixture
    def again(self, make: Again) -> t.Callable[[], VolumeDriver]:
        return lambda: make(self.pool)

    @pytest.fixture
    def driver(self, again: Again) -> VolumeDriver:
        return again()


class TestThin(TestThick):
    pool = "pool"


class TestThinInAPoolThatDoesNotZero(TestThin):
    @pytest.fixture
    def lvm(self, one: pathlib.Path) -> FakeLvm:
        found = FakeLvm(one)
        found.add_pool("pool", zeroes=False)
        return found


def run(driver: LvmDriver, *names: str, source: ImageSource = SOURCE, on_drift: str = "fail", size: t.Optional[int] = None,
        fan_out: str = "auto", check: bool = False) -> t.Dict[str, t.Any]:
    """One run of volume_from_image."""
    operation = VolumeFromImage(driver=driver, source=source, names=names or ["v"], size=size, on_drift=on_drift, fan_out=fan_out, job=make_job())
    if check:
        return operation.preview(operation.plan())
    with operation.exclusive():
        plan = operation.plan()
        return operation.apply(plan) if plan.changed else operation.preview(plan)


def remove(driver: LvmDriver, *names: str) -> bool:
    """One run with state: absent; whether it changed anything."""
    operation = VolumeRemoval(driver=driver, names=names or ["v"], job=make_job())
    with operation.exclusive():
        plan = operation.plan()
        operation.apply(plan)
        return plan.changed


def how(result: t.Mapping[str, t.Any]) -> t.List[str]:
    """How each volume came to be."""
    return [volume["how"] for volume in result["volumes"]]


def content(lvm: FakeLvm, name: str = "v") -> bytes:
    return pathlib.Path(lvm.path(name)).read_bytes()


def find(driver: LvmDriver, name: str = "v") -> Volume:
    return t.cast(Volume, driver.find(name))


# --- runs ---


@pytest.mark.parametrize("pool", [None, "pool"])
def test_a_rerun_changes_nothing_and_a_removed_volume_is_gone(make: Again, lvm: FakeLvm, pool: t.Optional[str]) -> None:
    assert how(run(make(pool), size=5 * MIB)) == ["copied"]
    assert content(lvm) == FILLED
    assert how(run(make(pool), size=5 * MIB)) == how(run(make(pool))) == ["unchanged"]
    assert remove(make(pool)) and not remove(make(pool))
    assert sorted(lvm.lvs) == ["pool"]


def test_sizes_are_whole_extents(make: Again, lvm: FakeLvm) -> None:
    run(make(), size=5 * MIB)
    assert lvm.lvs["v"].size == find(make()).size == 2 * EXTENT


def test_check_mode_only_looks(make: Again, lvm: FakeLvm, two: pathlib.Path) -> None:
    assert how(run(make("pool"), check=True)) == how(run(make(), check=True)) == ["create"]
    assert {command[0] for command in lvm.commands} == {"lvs", "vgs"}
    assert not (two / "locks").exists()


@pytest.mark.parametrize("pool, fan_out, hows, method", [
    ("pool", "auto", ["copied", "cloned", "cloned"], "clone"),
    ("pool", "clone", ["copied", "cloned", "cloned"], "clone"),
    ("pool", "copy", ["copied"] * 3, "copy"),
    (None, "auto", ["copied"] * 3, "copy"),
])
def test_how_n_volumes_come_to_be(make: Again, lvm: FakeLvm, pool: t.Optional[str], fan_out: str, hows: t.List[str], method: str) -> None:
    result = run(make(pool), "a", "b", "c", fan_out=fan_out, size=5 * MIB)
    assert (how(result), result["fan_out"]["method"]) == (hows, method)
    assert all(content(lvm, name) == FILLED for name in "abc")
    assert all(lvm.lvs[name].active for name in "abc")


def test_thick_volumes_are_not_cloned(make: Again, lvm: FakeLvm) -> None:
    with pytest.raises(InvalidInput, match="fan_out"):
        run(make(), "a", "b", fan_out="clone")
    run(make(), "a")
    with pytest.raises(InvalidInput, match="only thin ones"):
        make("pool").clone(find(make(), "a"), Request("b", EXTENT), Record(READY, "blank"), make_job())


def test_a_clone_may_be_larger(make: Again, lvm: FakeLvm) -> None:
    driver = make("pool")
    run(driver)
    clone = driver.clone(find(driver), Request("w", 3 * EXTENT), Record(READY, "blank"), make_job())
    assert (clone.size, clone.state) == (3 * EXTENT, AVAILABLE)
    assert content(lvm, "w") == raw_disk().ljust(3 * EXTENT, b"\0")


def test_drift_of_image_and_pool(make: Again, lvm: FakeLvm) -> None:
    run(make())
    with pytest.raises(Exception, match="image is first, not other"):
        run(make(), source=OTHER)
    assert how(run(make(), source=OTHER, on_drift="refill")) == ["refilled"]
    with pytest.raises(Exception, match="thin_pool is none, not pool"):
        run(make("pool"), source=OTHER, on_drift="refill")
    assert how(run(make("pool"), source=OTHER, on_drift="replace")) == ["copied"]
    assert find(make()).details["thin_pool"] == "pool"
    assert how(run(make(), source=OTHER)) == ["unchanged"]


# --- what was broken off ---


def test_a_broken_fill_is_taken_up(make: Again, lvm: FakeLvm) -> None:
    with pytest.raises(Exception, match="sha256"):
        run(make(), source=BytesImage(raw_disk(), name="first", checksums={"sha256": "0" * 64}))
    assert find(make()).state == HALF_DONE
    assert how(run(make(), size=5 * MIB)) == ["adopted"]
    assert content(lvm) == FILLED


def test_what_another_run_works_on(make: Again) -> None:
    driver = make()
    with driver.exclusive(["v"], make_job()):
        assert driver.create(Request("v", EXTENT), Record(FILLING, "blank")).state == HALF_DONE
        assert find(make()).state == WORKING


class Killed(BaseException):
    pass


@pytest.mark.parametrize("number", range(1, 12))
def test_growth_that_was_broken_off_is_brought_to_its_end(make: Again, lvm: FakeLvm, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any command of a growing run: never does old content show in what was added."""
    run(make())
    there, real = len(lvm.commands), lvm.run

    def deadly(args: t.Sequence[str], **more: t.Any) -> t.Any:
        if len(lvm.commands) - there == number:
            raise Killed
        return real(args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(lvm, "run", deadly)
        try:
            run(make(), size=12 * MIB)
        except Killed:
            pass
    assert find(make()).size in (EXTENT, 3 * EXTENT)
    if find(make()).size == 3 * EXTENT:
        assert content(lvm) == raw_disk().ljust(3 * EXTENT, b"\0")
    assert how(run(make(), size=12 * MIB))[0] in ("grown", "unchanged")
    assert content(lvm) == raw_disk().ljust(3 * EXTENT, b"\0")
    assert not any("grown" in tag for tag in lvm.lvs["v"].tags)
    assert find(make()).size == 3 * EXTENT


@pytest.mark.parametrize("pool", [None, "pool"])
def test_killed_before_any_command(make: Again, lvm: FakeLvm, pool: t.Optional[str], monkeypatch: pytest.MonkeyPatch) -> None:
    number = 0
    while True:
        real, there = lvm.run, len(lvm.commands)

        def deadly(args: t.Sequence[str], **more: t.Any) -> t.Any:
            if len(lvm.commands) - there == number:
                raise Killed
            return real(args, **more)

        with monkeypatch.context() as patch:
            patch.setattr(lvm, "run", deadly)
            try:
                run(make(pool), "a", "b", size=5 * MIB)
                over = True
            except Killed:
                over = False
        run(make(pool), "a", "b", size=5 * MIB)
        assert sorted(lvm.lvs) == ["a", "b", "pool"]
        assert content(lvm, "a") == content(lvm, "b") == FILLED
        assert {find(make(), name).state for name in "ab"} == {AVAILABLE}
        remove(make(pool), "a", "b")
        if over:
            assert number > 5
            return
        number += 1


# --- what is refused ---


def test_a_volume_of_somebody_else(make: Again, lvm: FakeLvm) -> None:
    lvm.add("v")
    assert (find(make()).record, find(make()).state) == (None, AVAILABLE)
    with pytest.raises(Exception, match="image is nothing known"):
        run(make())
    with pytest.raises(Foreign, match="lvremove"):
        remove(make())
    assert content(lvm) == b"?" * 8 * MIB
    assert how(run(make(), on_drift="refill")) == ["refilled"]
    assert content(lvm) == FILLED
    assert remove(make())


def test_what_is_no_volume(make: Again, lvm: FakeLvm) -> None:
    with pytest.raises(Foreign, match="vg/pool is a thin pool"):
        make().find("pool")
    with pytest.raises(BackendError, match="exists already"):
        make().begin(Request("pool", EXTENT), Record(READY, "blank"))
    assert make().list() == []


def test_what_is_held(make: Again, lvm: FakeLvm) -> None:
    run(make())
    lvm.devices.users[lvm.path("v")] = ["mounted on /srv"]
    assert make().holders(find(make())) == ["mounted on /srv"]
    for attempt in (lambda: run(make(), source=OTHER, on_drift="refill"), lambda: remove(make()), lambda: make().open(find(make()), "r"),
                    lambda: make().remove(find(make()), make_job()), lambda: run(make(), size=12 * MIB), lambda: make().file_of(find(make()))):
        with pytest.raises(InUse, match="mounted on /srv"):
            attempt()
    assert how(run(make())) == ["unchanged"]


def test_an_origin_is_held_by_its_snapshots(make: Again, lvm: FakeLvm) -> None:
    """lvremove would remove them, too."""
    run(make())
    lvm.add("backup", kind="s", origin="v")
    with pytest.raises(InUse, match="its snapshot backup"):
        remove(make())
    assert [volume.name for volume in make().list()] == ["v"]


def test_the_origin_of_clones_is_free(make: Again, lvm: FakeLvm) -> None:
    run(make("pool"), "a", "b")
    assert remove(make("pool"), "a")
    assert content(lvm, "b") == raw_disk()


def test_an_inactive_volume_is_active_only_while_it_is_open(make: Again, lvm: FakeLvm) -> None:
    run(make())
    lvm.lvs["v"].active = False
    assert make().holders(find(make())) == []
    assert make().file_of(find(make())) is None
    with make().open(find(make()), "r") as handle:
        assert lvm.lvs["v"].active
        assert handle.read(0, 10) == raw_disk()[:10]
        handle.close()
    assert not lvm.lvs["v"].active


def test_too_little_room(make: Again, lvm: FakeLvm) -> None:
    with pytest.raises(NoRoom, match="a, b needs 256 MiB, but the volume group vg has only 192 MiB"):
        run(make(), "a", "b", size=128 * MIB)
    with pytest.raises(NoRoom, match="has only 192 MiB"):
        make().begin(Request("v", 1024 * MIB), Record(READY, "blank"))
    with pytest.raises(NoRoom, match="insufficient free space"):
        Lvm("vg", lvm).make_thick("v", 1024 * MIB, ())
    lvm.lvs["pool"].used = 97.0
    with pytest.raises(NoRoom, match="the image takes 4 MiB, but the thin pool vg/pool is 64 MiB and 97.0% of it are used"):
        run(make("pool"))
    assert sorted(lvm.lvs) == ["pool"]


@pytest.mark.parametrize("pool", [None, "pool"])
@pytest.mark.parametrize("verb", ["write", "flush"])
def test_a_volume_that_found_no_room_gives_back_what_it_took(
        make: Again, lvm: FakeLvm, pool: t.Optional[str], verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*dummy: t.Any) -> None:
        raise NoRoom("the device took no more")

    with monkeypatch.context() as patch:
        patch.setattr(BlockFile, verb, full)
        with pytest.raises(NoRoom, match="the thin pool vg/pool became full.*lvextend" if pool else "took no more"):
            run(make(pool), "a", "b")
    assert sorted(lvm.lvs) == ["pool"]
    assert sorted(how(run(make(pool), "a", "b"))) == (["cloned", "copied"] if pool else ["copied", "copied"])


def test_a_group_or_pool_that_is_not_there(make: Again, lvm: FakeLvm) -> None:
    gone = LvmDriver(Lvm("gone", lvm), lvm.devices, surroundings(lvm))
    for look in (lambda: gone.find("v"), gone.list, lambda: gone.capabilities):
        with pytest.raises(NotFound, match="there is no volume group gone"):
            look()
    with pytest.raises(NotFound, match="no thin pool none"):
        run(make("none"))


def test_a_volume_that_lost_a_disk(make: Again, lvm: FakeLvm) -> None:
    run(make())
    lvm.lvs["v"].health = "p"
    assert (find(make()).state, find(make()).status) == (BROKEN, "a physical volume is missing")


@pytest.mark.parametrize("name", ["", "-v", "a b", "a/b", ".", "..", "snapshot1", "pvmove0", "x_tdata", "ä", "n" * 125, "-".join("n" * 50)])
def test_names_that_lvm_does_not_give(make: Again, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        run(make(), name)


@pytest.mark.parametrize("options, words", [({}, "vg: the driver lvm needs"), ({"vg": "a b"}, "vg: 'a b'"), ({"vg": "x", "thin_pool": "-"}, "thin_pool")])
def test_options_that_make_no_sense(options: t.Dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        LvmDriver.from_options(options, surroundings())


def test_options_touch_nothing() -> None:
    assert LvmDriver.from_options({"vg": "vg", "thin_pool": "pool"}, surroundings(NoCommands())).name == "lvm"


def test_something_that_is_no_report(make: Again, lvm: FakeLvm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lvm, "run_ok", lambda args: "oops")
    with pytest.raises(BackendError, match="something else than a report: oops"):
        make().list()
