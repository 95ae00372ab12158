# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import json
import os
import pathlib
import sys
import tempfile
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, Foreign, IntegrityError, InUse, InvalidInput, TimedOut,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import Completed, Limits
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    AVAILABLE, BROKEN, CLONED, HALF_DONE, WORKING, Request, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.filling import HIDDEN, parent_name
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record
from ansible_collections.bootable.volumes.plugins.module_utils.storage.sheepdog.dog import Dog
from ansible_collections.bootable.volumes.plugins.module_utils.storage.sheepdog.driver import CLONES_KEY, RECORD_KEY, SheepdogDriver
from ansible_collections.bootable.volumes.tests.unit.fakes import dog as stand_in
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, HostRunner, make_job, surroundings
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract import BLANK, DriverContract


class Killed(BaseException):
    """Nothing runs after this, not even a clean-up."""


class DogRunner(HostRunner):
    """Runs the stand-in where ``dog`` is asked for.

    :param process: As the command that it is; else in this process, which is faster.
    :param left: So many commands may still change something; the next one, or what follows it, does not happen.
    """

    CHANGES = ("create", "delete", "resize", "snapshot", "clone", "setattr", "write")

    def __init__(self, cluster: pathlib.Path, left: t.Optional[int] = None, *, after: bool = False, process: bool = False) -> None:
        super().__init__()
        self._process = process
        self._cluster = cluster
        self._left = left
        self._after = after
        self._dead = False

    def run(self, args: t.Sequence[str], *, limits: t.Optional[Limits] = None, timeout: t.Optional[float] = None,
            files: t.Sequence[int] = ()) -> Completed:
        if "dog" not in args:
            return super().run(args, limits=limits, timeout=timeout, files=files)
        assert timeout is not None, "a cluster that does not answer would hold the task for ever"
        at = list(args).index("dog")
        if self._dead:
            raise Killed
        if self._left is not None and args[at + 2] in self.CHANGES:
            self._left -= 1
            self._dead = self._left < 0
            if self._dead and not self._after:
                raise Killed
        if self._process:
            command = list(args[:at]) + ["env", "DOG_CLUSTER=%s" % self._cluster, sys.executable, "-S", stand_in.__file__] + list(args[at + 1:])
            done = super().run(command, files=files)
        else:
            self.commands.append(list(args))
            done = self._within(list(args[at + 1:]), args[at - 2:at] if at else ("-", "-"))
        if self._dead:
            raise Killed
        return done

    def _within(self, args: t.List[str], redirected: t.Sequence[str]) -> Completed:
        files = [io.BytesIO() if fd == "-" else open(os.dup(int(fd)), mode) for fd, mode in zip(redirected, ("rb", "wb"))]
        stderr = io.StringIO()
        with files[0] as stdin, files[1] as stdout, pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOG_CLUSTER", str(self._cluster))
            code = stand_in.main(args, stdin, stdout, stderr)
            said = stdout.getvalue().decode() if isinstance(stdout, io.BytesIO) else ""
        return Completed(code, said, stderr.getvalue())


@pytest.fixture
def cluster(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """An empty one; locks and temporary files lie beside it."""
    (folder / "cluster").mkdir()
    (folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    return folder / "cluster"


def make_driver(cluster: pathlib.Path, left: t.Optional[int] = None, *, after: bool = False, process: bool = False, **options: t.Any) -> SheepdogDriver:
    """Another run's driver."""
    return SheepdogDriver.from_options(options, surroundings(DogRunner(cluster, left, after=after, process=process)))


def state(cluster: pathlib.Path) -> t.Any:
    """What the cluster holds."""
    return json.loads((cluster / "cluster.json").read_text())


def names(cluster: pathlib.Path) -> t.List[str]:
    """All VDIs and snapshots."""
    return sorted(vdi["name"] + ("@" + vdi["tag"] if vdi["snapshot"] else "") for vdi in state(cluster)[1].values())


def content(driver: SheepdogDriver, name: str) -> bytes:
    volume = t.cast(Volume, driver.find(name))
    with driver.open(volume, "r") as handle:
        return handle.read(0, volume.size)


def fill(driver: SheepdogDriver, job: Job, *names: str, source: t.Optional[ImageSource] = None, fan_out: str = "auto", exact: bool = True) -> t.List[t.Any]:
    """As the operations do."""
    with driver.exclusive(names, job):
        filled = driver.fill_new(source or BytesImage(raw_disk()), [Request(name, 4 * MIB, exact) for name in names], fan_out, job)
    assert not filled.errors
    return list(filled.made)


class TestContract(DriverContract):
    @pytest.fixture
    def driver(self, cluster: pathlib.Path) -> SheepdogDriver:
        return make_driver(cluster)

    @pytest.fixture
    def again(self, cluster: pathlib.Path) -> t.Callable[[], VolumeDriver]:
        return lambda: make_driver(cluster)

    @pytest.fixture(autouse=True)
    def no_litter(self, cluster: pathlib.Path, folder: pathlib.Path) -> t.Iterator[None]:
        """Nothing is left but volumes."""
        yield
        assert not (cluster / "cluster.json").exists() or not [name for name in names(cluster) if name.startswith(HIDDEN) or "@" in name]
        assert os.listdir(folder / "tmp") == []


def test_through_real_processes(cluster: pathlib.Path) -> None:
    driver, job = make_driver(cluster, process=True), make_job()
    volume = fill(driver, job, "a", "b")[1].volume
    assert content(driver, "b") == raw_disk()
    with driver.open(volume, "w") as handle:
        handle.write(1, b"xyz")
        handle.zero(2, 1)
        assert handle.read(0, 5) == b"\0x\0z\0"
    driver.remove(volume, job)
    assert names(cluster) == ["a"]


def test_a_node_that_is_named_is_asked(cluster: pathlib.Path) -> None:
    driver = make_driver(cluster, sheepdog_address="nowhere", sheepdog_port=7001)
    with pytest.raises(BackendError, match="dog vdi list failed with exit code 2: failed to connect to nowhere"):
        driver.list()
    assert t.cast(HostRunner, driver.runner).commands[-1][-5:] == ["-a", "nowhere", "-p", "7001", "-r"]
    with pytest.raises(InvalidInput, match="sheepdog_port"):
        make_driver(cluster, sheepdog_port=0)


@pytest.mark.parametrize("name, words", [("", "empty"), ("-r", "option"), (".bootable.x", "kept"), ("a\nb", "printed"), ("a" * 201, "longer")])
def test_names_that_cannot(cluster: pathlib.Path, name: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make_driver(cluster).check_names([name])


@pytest.mark.parametrize("name", ["a b", "back\\slash", "ü"])
def test_names_that_can(cluster: pathlib.Path, name: str) -> None:
    driver = make_driver(cluster)
    fill(driver, make_job(), name)
    assert [volume.name for volume in driver.list()] == [name]
    assert t.cast(Volume, driver.find(name)).details["allocated"] == 4 * MIB


def test_a_vdi_of_somebody_else_is_never_touched(cluster: pathlib.Path) -> None:
    driver = make_driver(cluster)
    Dog(DogRunner(cluster)).create("v", MIB)
    with pytest.raises(Foreign, match="dog vdi delete v"):
        driver.find("v")
    with driver.exclusive(["v"], make_job()), pytest.raises(BackendError, match="exists already"):
        driver.create(Request("v", MIB), BLANK)
    assert driver.list() == [] and names(cluster) == ["v"]


def test_a_damaged_record(cluster: pathlib.Path) -> None:
    driver = make_driver(cluster)
    Dog(DogRunner(cluster)).create("v", MIB)
    Dog(DogRunner(cluster)).set("v", RECORD_KEY, "{")
    with pytest.raises(BackendError, match="damaged.*setattr -d v"):
        driver.find("v")
    assert [volume.state for volume in driver.list()] == [BROKEN]


def test_what_holds_a_volume(cluster: pathlib.Path) -> None:
    driver, job = make_driver(cluster), make_job()
    volume = fill(driver, job, "v")[0].volume
    Dog(DogRunner(cluster)).snapshot("v", "mine")
    found = state(cluster)
    found[2] = {next(id for id, vdi in found[1].items() if not vdi["snapshot"]): ["IPv4 ip:10.0.0.1 port:7000", "IPv4 ip:10.0.0.2 port:7000"]}
    (cluster / "cluster.json").write_text(json.dumps(found))
    assert driver.holders(volume) == ["a lock of 10.0.0.1:7000", "a lock of 10.0.0.2:7000", "its snapshot mine"]
    for change in (lambda: driver.open(volume, "w"), lambda: driver.refill(BytesImage(raw_disk()), volume, job), lambda: driver.remove(volume, job),
                   lambda: driver.grow(volume, 8 * MIB, job)):
        with pytest.raises(InUse, match="10.0.0.1"):
            change()
    with pytest.raises(InvalidInput, match="shrunk"):
        found[2], found[1] = {}, {id: vdi for id, vdi in found[1].items() if not vdi["snapshot"]}
        (cluster / "cluster.json").write_text(json.dumps(found))
        driver.grow(driver.create(Request("w", 2 * MIB), BLANK), MIB, job)


def test_clones_of_a_parent_that_goes_at_once(cluster: pathlib.Path) -> None:
    driver = make_driver(cluster)
    made = fill(driver, make_job(), "b", "a")
    assert [each.how for each in made] == [CLONED, CLONED]
    assert names(cluster) == ["a", "b"]
    assert content(driver, "a") == content(driver, "b") == raw_disk()


@pytest.mark.parametrize("fan_out", ["auto", "copy"])
def test_garbled_bytes_leave_nothing(cluster: pathlib.Path, fan_out: str) -> None:
    with pytest.raises(IntegrityError):
        fill(make_driver(cluster), make_job(), "a", "b", source=BytesImage(raw_disk(), checksums={"sha256": "0" * 64}), fan_out=fan_out)
    assert names(cluster) == []


def test_a_volume_without_a_size_becomes_as_large_as_the_image(cluster: pathlib.Path) -> None:
    driver = make_driver(cluster)
    large = BytesImage(qcow2(raw_disk().ljust(6 * MIB, b"x")), format="qcow2")
    assert fill(driver, make_job(), "v", source=large, exact=False)[0].volume.size == 6 * MIB
    with pytest.raises(InvalidInput, match="larger size"):
        fill(driver, make_job(), "w", source=large)


def test_another_run_is_seen(cluster: pathlib.Path) -> None:
    driver = make_driver(cluster)
    with driver.exclusive(["v"], make_job()):
        driver.create(Request("v", MIB), Record(FILLING, "glance"))
        assert t.cast(Volume, make_driver(cluster).find("v")).state == WORKING
        with pytest.raises(TimedOut), make_driver(cluster).exclusive(["v"], make_job(3)):
            raise AssertionError("two at once")
    assert t.cast(Volume, driver.find("v")).state == HALF_DONE


def converge(driver: SheepdogDriver, wanted: t.Sequence[str]) -> None:
    """What the operation does, for a storage that may hold anything of an earlier run."""
    job, source = Job(Deadline(3600), at_once=1), BytesImage(raw_disk())
    with driver.exclusive(wanted, job):
        found = driver.find_all(wanted)
        for volume in found.values():
            if volume is not None and volume.state == HALF_DONE:
                driver.adopt(source, volume, job)
        missing = [Request(name, 4 * MIB) for name, volume in found.items() if volume is None]
        if missing:
            assert not driver.fill_new(source, missing, "auto", job).errors


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("wanted", [("v",), ("a", "b")])
def test_killed_at_every_step(cluster: pathlib.Path, wanted: t.Tuple[str, ...], after: bool) -> None:
    for number in range(100):
        over = True
        try:
            converge(make_driver(cluster, number, after=after), wanted)
        except Killed:
            over = False
        rerun = make_driver(cluster)
        for name in reversed(wanted):  # not the first one alone, which has the parent's name
            if not over:
                converge(rerun, [name])
        converge(rerun, wanted)
        for name in wanted:
            assert t.cast(Volume, rerun.find(name)).state == AVAILABLE
            assert content(rerun, name) == raw_disk()
        assert names(cluster) == sorted(wanted)
        for name in wanted:
            rerun.remove(t.cast(Volume, rerun.find(name)), make_job())
        assert names(cluster) == []
        if over:
            assert number > 3
            return
    raise AssertionError("it never ended")


def test_a_parent_of_a_run_for_other_volumes_stays(cluster: pathlib.Path) -> None:
    driver, dog = make_driver(cluster), Dog(DogRunner(cluster))
    dog.create(parent_name("x"), MIB)
    driver.seal(parent_name("x"), ["x", "v"])
    driver.clone_of(parent_name("x"), "x")
    assert json.loads(t.cast(str, dog.get(parent_name("x"), CLONES_KEY))) == ["x", "v"]
    fill(driver, make_job(), "v")
    assert names(cluster) == [".bootable.golden.x", ".bootable.golden.x@golden", "v", "x"]
    with pytest.raises(Foreign):
        driver.find("x")
    with driver.exclusive(["x"], make_job()):
        assert driver.find("x") is None
    assert names(cluster) == ["v"]
    assert t.cast(Record, t.cast(Volume, driver.find("v")).record).state == READY
