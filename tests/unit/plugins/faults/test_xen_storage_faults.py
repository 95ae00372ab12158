# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong between a task and a pool of hosts, done to volumes on the simulated pool."""

from __future__ import annotations

import contextlib
import pathlib
import random
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, IntegrityError, InvalidInput, NoRoom, TimedOut, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ByteStream
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_removal import VolumeRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.driver import XenDriver
from ansible_collections.bootable.volumes.plugins.module_utils.xen import tasks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenDenied, XenFailure
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, FastClock, HostRunner
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import (
    LOCAL, LVM, SHARED, Killed, MortalPool, Runs, dead_signature, disks_of, job, litter, parameters, runs,
)

from lab.xapi.ports import ImportFault

if t.TYPE_CHECKING:
    from lab.xapi.simulator import Simulator

SIZE = 6 * MIB
LAYERS = [vhds.scattered(seed, SIZE, 5) for seed in (1, 2, 3)]
DISK = vhds.disk(SIZE, *LAYERS)
CHAIN = vhds.chain(SIZE, *LAYERS)
NAMES = ("a", "b", "c")


def archive(**how: t.Any) -> BytesImage:
    return BytesImage(vhds.archive(CHAIN, **how), format="vhd", container="ovf", name="golden")


@pytest.fixture
def xapi(tmp_path: pathlib.Path) -> t.Iterator[Simulator]:
    with simulator(tmp_path) as found:
        yield found


@pytest.fixture
def again(xapi: Simulator) -> t.Iterator[Runs]:
    with runs(xapi) as found:
        yield found


def make(driver: XenDriver, source: t.Optional[BytesImage] = None, names: t.Sequence[str] = NAMES, **how: t.Any) -> t.Dict[str, str]:
    """One run of a task that wants volumes; how each came to be."""
    settings = dict({"size": None, "on_drift": "fail", "fan_out": "auto", "job": job()}, **how)
    operation = VolumeFromImage(driver=driver, source=source or archive(), names=names, **settings)
    with operation.exclusive():
        plan = operation.plan()
        result = operation.apply(plan) if plan.changed else operation.preview(plan)
    return {volume["name"]: volume["how"] for volume in result["volumes"]}


def remove(driver: XenDriver) -> None:
    """One run of a task that wants none."""
    operation = VolumeRemoval(driver=driver, names=NAMES, job=job())
    with operation.exclusive():
        operation.apply(operation.plan())


def expect_whole(xapi: Simulator, names: t.Sequence[str] = NAMES) -> None:
    """Each volume is there, once, with the image's bytes; and nothing else."""
    there = disks_of(xapi)
    assert sorted(record["name_label"] for record in there.values()) == sorted(names)
    assert {xapi.disk_bytes(uuid) == DISK for uuid in there} == {True}
    assert litter(xapi) == {}


def mortal(xapi: Simulator, number: int) -> t.Tuple[MortalPool, XenDriver]:
    pool = MortalPool(xapi.address, xapi.user, xapi.password, context=None, timeout=20)
    pool.number = number
    return pool, XenDriver(pool, runner=HostRunner())


def killed(xapi: Simulator, number: int, work: t.Callable[[XenDriver], t.Any]) -> t.List[str]:
    """A run that dies at a request, or not; what it asked for."""
    pool, driver = mortal(xapi, number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(liveness, "signature", lambda pid=0, real=liveness.signature, dead=dead_signature(): real(pid) if pid else dead)
        with pytest.raises(Killed) if number else contextlib.nullcontext():
            work(driver)
        with contextlib.suppress(Killed):
            pool.close()
    for ref in xapi.call("task.get_all_records"):  # which a killed run leaves, and XAPI collects in time
        xapi.call("task.destroy", ref)
    return pool.asked


class Interrupted(BytesImage):
    """An archive that does something when it is read at a point.

    :param at: Bytes that have passed by then; None for the middle.
    """

    def __init__(self, act: t.Callable[[], t.Any], at: t.Optional[int] = None) -> None:
        data = vhds.archive(CHAIN)
        super().__init__(data, format="vhd", container="ovf", name="golden", piece=256 * KIB)
        self._act: t.Optional[t.Callable[[], t.Any]] = act
        self._at = len(data) // 2 if at is None else at

    def open(self, offset: int = 0) -> ByteStream:
        stream = super().open(offset)
        read, passed = stream.read, 0

        def reading(length: int) -> bytes:
            nonlocal passed
            if passed >= self._at and self._act is not None:
                act, self._act = self._act, None
                act()
            data = read(length)
            passed += len(data)
            return data

        stream.read = reading  # type: ignore[method-assign]
        return stream


# --- killed ---


def test_killed_at_any_request_while_volumes_are_made(xapi: Simulator, again: Runs) -> None:
    def work(driver: XenDriver) -> None:
        make(driver, names=NAMES[:2])

    points = len(killed(xapi, 0, work))
    remove(again())
    assert points > 20
    for number in range(1, points + 1):
        killed(xapi, number, work)
        work(again())
        expect_whole(xapi, NAMES[:2])
        remove(again())
        assert disks_of(xapi) == litter(xapi) == {}


def test_killed_at_any_request_while_volumes_are_removed(xapi: Simulator, again: Runs) -> None:
    make(again(), names=NAMES[:2])
    points = len(killed(xapi, 0, remove))
    assert points > 6
    for number in range(1, points + 1):
        make(again(), names=NAMES[:2])
        killed(xapi, number, remove)
        remove(again())
        assert disks_of(xapi) == litter(xapi) == {}


@pytest.mark.parametrize("part", [0.02, 0.5, 0.98])
def test_killed_in_the_middle_of_a_transfer(xapi: Simulator, again: Runs, part: float) -> None:
    def die() -> None:
        raise Killed()

    image = Interrupted(die, int(part * len(vhds.archive(CHAIN))))
    with pytest.raises(Killed):
        make(again(), image, ["a"])
    begun, = disks_of(xapi)
    assert make(again(), image, ["a"]) == {"a": "adopted"}
    assert list(disks_of(xapi)) == [begun]
    expect_whole(xapi, ["a"])


@pytest.mark.parametrize("image", [archive(order=[2, 0, 1]), BytesImage(DISK[::-1], name="other")], ids=["the same", "another"])
def test_what_one_run_began_another_brings_to_its_end_whatever_its_image(xapi: Simulator, again: Runs, image: BytesImage) -> None:
    """Nothing of what the first has written shines through."""
    def die() -> None:
        raise Killed()

    with pytest.raises(Killed):
        make(again(), Interrupted(die), ["a"])
    assert make(again(), image, ["a"]) == {"a": "adopted"}
    found, = disks_of(xapi)
    assert xapi.disk_bytes(found) == (DISK if image.describe().format == "vhd" else DISK[::-1])


# --- refused ---


@pytest.mark.parametrize("fault, kind, words", [
    (ImportFault(after=1000), BackendError, "golden|the disk a"),
    (ImportFault(after=20 * KIB), BackendError, "the disk a"),
    (ImportFault(code="VDI_IO_ERROR", params=("Device I/O errors",)), XenFailure, "VDI_IO_ERROR.*Device I/O errors"),
    (ImportFault(code="SR_BACKEND_FAILURE_44", params=("", "There is insufficient space", "")), NoRoom, "sr"),
])
@pytest.mark.parametrize("sr", [SHARED, LVM])
def test_a_transfer_that_fails_leaves_nothing(xapi: Simulator, fault: ImportFault, kind: t.Type[Exception], words: str, sr: str) -> None:
    with runs(xapi, sr) as again:
        xapi.pool.faults.next_import = fault
        with pytest.raises(kind, match=words):
            make(again())
        assert disks_of(xapi) == litter(xapi) == {}
        assert set(make(again()).values()) == {"copied", "cloned"}
        expect_whole(xapi)


@pytest.mark.parametrize("sr", [SHARED, LVM, LOCAL])
def test_a_full_repository_is_told_of(xapi: Simulator, sr: str) -> None:
    xapi.pool.faults.fill(sr)
    with runs(xapi, sr) as again, pytest.raises(BackendError, match="full|enough room|not read"):
        make(again())
    assert disks_of(xapi) == litter(xapi) == {}


def test_a_repository_that_shows_that_it_is_full_is_told_of_before_anything_is_made(xapi: Simulator, again: Runs) -> None:
    ref, = xapi.call("SR.get_by_name_label", SHARED)
    size = xapi.call("SR.get_physical_size", ref)
    with xapi.pool.lock:
        xapi.pool.database.set("SR", ref, physical_utilisation=size - MIB)
    with pytest.raises(NoRoom, match="Shared storage.*1 MiB free"):
        make(again(), BytesImage(CHAIN[-1], format="vhd"))
    assert not [call for call in xapi.pool.faults.writes() if call.method.startswith(("VDI.", "Async."))]


@pytest.mark.parametrize("image, kind, words", [
    (BytesImage(vhds.archive(CHAIN), format="vhd", container="ovf", checksums={"sha256": "0" * 64}), IntegrityError, "not those that were promised"),
    (BytesImage(vhds.archive(CHAIN)[:-3 * MIB], format="vhd", container="ovf"), UnsafeImage, "truncated"),
    (BytesImage(vhds.archive(CHAIN[:2]), format="vhd", container="ovf"), UnsafeImage, "oldest layer 1"),
    (BytesImage(vhds.archive(CHAIN, names=["0.vhd", "1.vhd", "3.vhd"]), format="vhd", container="ovf"), UnsafeImage, "layer 2|numbered|no 2.vhd"),
    (BytesImage(vhds.archive(CHAIN, names=["0.vhd", "1.vhd", "../2.vhd"]), format="vhd", container="ovf"), UnsafeImage, "only 0.vhd"),
    (BytesImage(CHAIN[0], format="vhd"), UnsafeImage, "differencing"),
    (BytesImage(DISK, format="vhd"), UnsafeImage, "VHD"),
    (BytesImage(CHAIN[-1]), UnsafeImage, "declared as raw"),
])
def test_an_image_that_is_refused_leaves_nothing(xapi: Simulator, again: Runs, image: BytesImage, kind: t.Type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make(again(), image)
    assert disks_of(xapi) == litter(xapi) == {}


def spoiled(number: int) -> bytes:
    """A dynamic VHD of which something is wrong: a byte of its footer, its header or its table of blocks, or it is cut off."""
    dice, data = random.Random(number), bytearray(CHAIN[-1])
    part = number % 5
    if part == 4:
        return bytes(data[:dice.randrange(len(data))])
    begin, length = ((0, 512), (512, 1024), (1536, 3 * 4), (len(data) - 512, 512))[part]
    at = begin + dice.randrange(length)
    data[at] ^= dice.randrange(1, 256)
    return bytes(data)


def test_a_corrupt_image_leaves_nothing(xapi: Simulator, again: Runs) -> None:
    driver = again()
    for number in range(60):
        with pytest.raises(UnsafeImage, match="refused"):
            make(driver, BytesImage(spoiled(number), format="vhd"), ["a"])
        assert disks_of(xapi) == litter(xapi) == {}, number


@pytest.mark.parametrize("format", ["iso", "ami", "ploop"])
def test_what_no_adapter_reads_is_refused_before_anybody_is_asked(xapi: Simulator, again: Runs, format: str) -> None:
    with pytest.raises(InvalidInput, match=format):
        VolumeFromImage(driver=again(), source=BytesImage(b"", format=format), names=["a"], size=None, on_drift="fail", fan_out="auto", job=job()).plan()
    assert xapi.pool.faults.calls == []


def test_a_size_that_is_too_small_is_told_with_the_one_that_is_needed(xapi: Simulator, again: Runs) -> None:
    with pytest.raises(InvalidInput, match="a has 4 MiB, but the image golden needs 6 MiB"):
        make(again(), size=4 * MIB)
    assert disks_of(xapi) == litter(xapi) == {}


# --- meanwhile ---


def test_a_session_that_ends_in_mid_transfer_is_begun_again(xapi: Simulator, again: Runs) -> None:
    assert set(make(again(), Interrupted(xapi.pool.faults.expire_sessions)).values()) == {"copied", "cloned"}
    expect_whole(xapi)


def test_another_host_becomes_master_in_mid_transfer(xapi: Simulator, again: Runs) -> None:
    assert set(make(again(), Interrupted(xapi.pool.faults.change_master)).values()) == {"copied", "cloned"}
    expect_whole(xapi)


def test_time_is_up_and_the_next_run_goes_on(xapi: Simulator, again: Runs) -> None:
    clock = FastClock()
    with pytest.raises(TimedOut, match="nothing was undone"):
        make(again(), Interrupted(lambda: clock.sleep(200)), ["a"], job=Job(Deadline(100, clock=clock)))
    begun, = disks_of(xapi)
    assert make(again(), names=["a"]) == {"a": "adopted"}
    assert list(disks_of(xapi)) == [begun]
    expect_whole(xapi, ["a"])


def test_a_source_whose_line_breaks_is_taken_up_again(xapi: Simulator, again: Runs) -> None:
    image = archive()
    image.cuts = [3 * MIB, 9 * MIB]
    make(again(), image)
    assert len(image.opened) == 3
    expect_whole(xapi)


METHODS = ["SR.add_to_other_config", "Async.VDI.create", "Async.VDI.resize", "Async.VDI.clone", "VDI.set_name_label", "VDI.set_other_config",
           "VDI.remove_from_other_config", "SR.remove_from_other_config", "task.create", "task.destroy", "task.get_record", "VDI.get_record"]


@pytest.mark.parametrize("when", ["reset_before", "reset_after"])
@pytest.mark.parametrize("method", METHODS)
def test_a_connection_that_breaks_at_a_request_doubles_nothing(xapi: Simulator, again: Runs, method: str, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "LATE", 0.1)
    setattr(xapi.pool.faults, when, [method])
    with contextlib.suppress(BackendError):
        make(again(), names=["a", "b"])
    assert getattr(xapi.pool.faults, when) == []
    for ref in xapi.call("SR.get_all"):  # a lock that could not be let go of is pushed aside once its process has ended; this one has not
        for key in xapi.call("SR.get_other_config", ref):
            if key.startswith("bootable:"):
                xapi.call("SR.remove_from_other_config", ref, key)
    for ref in xapi.call("task.get_all_records"):
        xapi.call("task.destroy", ref)
    make(again(), names=["a", "b"])
    expect_whole(xapi, ["a", "b"])


def test_two_runs_at_once_make_each_volume_once(xapi: Simulator, again: Runs) -> None:
    done, troubles = run_all(make, [again() for dummy in range(3)], at_once=3)
    assert troubles == []
    hows = sorted(sorted(found.values()) for driver, found in done)
    assert hows == [["cloned", "cloned", "copied"], ["unchanged"] * 3, ["unchanged"] * 3]
    expect_whole(xapi)


def test_whoever_may_not_is_told_so(xapi: Simulator) -> None:
    with Pool.connect(parameters(xapi, username="reader", password="reader")) as pool, pytest.raises(XenDenied, match="role"):
        make(XenDriver(pool, runner=HostRunner()))
    assert disks_of(xapi) == {}


def test_check_mode_writes_nothing(xapi: Simulator, again: Runs) -> None:
    operation = VolumeFromImage(driver=again(), source=archive(), names=NAMES, size=None, on_drift="fail", fan_out="auto", job=job(check=True))
    assert operation.plan().changed
    assert xapi.pool.faults.writes() == []
