# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, BackendError, Drift, InUse, InvalidInput, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.images.local import LocalImage
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    ADOPTED, AVAILABLE, HALF_DONE, WORKING, Request, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, Record, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.driver import XenDriver
from ansible_collections.bootable.volumes.plugins.module_utils.xen.raw_vdi import VhdPut
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import LOCAL, LVM, SHARED, Runs, attach, disks_of, job, litter, parameters, runs
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract import DriverContract

if t.TYPE_CHECKING:
    from lab.xapi.simulator import Simulator


@pytest.fixture
def xapi(tmp_path: pathlib.Path) -> t.Iterator[Simulator]:
    with simulator(tmp_path) as found:
        yield found


@pytest.fixture
def again(xapi: Simulator) -> t.Iterator[Runs]:
    with runs(xapi) as found:
        yield found


# One that takes VHDs, one that does not, and one that the master does not see.
@pytest.mark.parametrize("sr", [SHARED, LVM, LOCAL])
class TestContract(DriverContract):
    @pytest.fixture
    def again(self, xapi: Simulator, sr: str) -> t.Iterator[Runs]:  # type: ignore[override]
        with runs(xapi, sr) as found:
            yield found

    @pytest.fixture
    def driver(self, again: t.Callable[[], VolumeDriver]) -> VolumeDriver:
        return again()

    @pytest.fixture
    def job(self) -> Job:
        return job()

    @pytest.fixture(autouse=True)
    def no_litter(self, xapi: Simulator, driver: XenDriver) -> t.Iterator[None]:
        yield
        assert litter(xapi) == {}


# --- options ---


def test_options_lead_to_a_pool_that_is_logged_out_in_the_end(xapi: Simulator) -> None:
    given = {key: value for key, value in parameters(xapi, sr=LVM).items() if value is not None}
    around = surroundings()
    with around.closing:
        driver = XenDriver.from_options(given, around)
        assert xapi.pool.faults.calls == []
        assert driver.sr.name == LVM and driver.runner is around.runner
    assert xapi.pool.faults.calls[-1].method == "session.logout"


def test_what_the_options_do_not_say_the_environment_does(xapi: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENSERVER_HOST", xapi.address)
    monkeypatch.setenv("XENSERVER_PASSWORD", xapi.password)
    around = surroundings()
    with around.closing:
        assert XenDriver.from_options({}, around).list() == []
    monkeypatch.delenv("XENSERVER_HOST")
    with pytest.raises(InvalidInput, match="hostname"):
        XenDriver.from_options({}, surroundings())


@pytest.mark.parametrize("name", ["", "x" * 201, " x", "x\n", "a\tb"])
def test_names_that_a_disk_cannot_have(again: Runs, name: str) -> None:
    with pytest.raises(InvalidInput, match="no name for a disk"):
        again().check_names(["fine", name])


# --- looking ---


def filled(driver: XenDriver, *names: str) -> t.List[Volume]:
    """Volumes of an image."""
    with driver.exclusive(names, job()):
        return [made.volume for made in driver.fill_new(BytesImage(raw_disk(), name="first"), [Request(name, 4 * MIB) for name in names], "auto", job()).made]


def test_only_disks_that_people_call_so_are_volumes(xapi: Simulator, again: Runs) -> None:
    driver = again()
    volume, = filled(driver, "v")
    with driver.exclusive(["v"], job()):
        driver.disks.snapshot(driver._vdi(volume).ref, deadline=job().deadline)
        driver.disks.create(sr=driver.sr.ref, name="s", size=2 * MIB, other_config={}, deadline=job().deadline, type="suspend")
    other = driver.disks.create(sr=driver.sr.ref, name="w", size=2 * MIB, other_config={}, deadline=job().deadline)
    assert [(found.name, found.record is None) for found in again().list()] == [("v", False), ("w", True)]
    found = again().look_up(volume.id)
    assert found == again().find("v") == again().look_up("v") and found is not None
    assert (found.location, found.details["sr"], found.details["sr_uuid"]) == (SHARED, SHARED, driver.sr.uuid)
    assert t.cast(Volume, again().look_up(other.uuid)).name == "w"
    assert again().look_up("00000000-0000-0000-0000-000000000000") is None


def test_a_disk_in_another_repository_is_another(xapi: Simulator, again: Runs) -> None:
    volume, = filled(again(), "v")
    with runs(xapi, LVM) as elsewhere:
        assert elsewhere().find("v") is None and elsewhere().look_up(volume.id) is None


def test_a_copy_that_kept_its_name_is_not_meant_unless_it_alone_is_left(xapi: Simulator, again: Runs) -> None:
    """As a machine's disks have after it was reverted to a snapshot: the original is gone."""
    driver = again()
    volume, = filled(driver, "v")
    copy = driver.disks.clone(driver._vdi(volume).ref, deadline=job().deadline)
    assert t.cast(Volume, again().find("v")).id == volume.id
    with driver.exclusive(["v"], job()):
        driver.remove(volume, job())
    found = t.cast(Volume, again().find("v"))
    assert (found.id, found.state, found.record) == (copy.uuid, AVAILABLE, volume.record)


def test_somebody_elses_disk_of_the_name_is_no_reason_to_touch_it(xapi: Simulator, again: Runs) -> None:
    driver = again()
    vdi = driver.disks.create(sr=driver.sr.ref, name="v", size=4 * MIB, other_config={}, deadline=job().deadline)
    with pytest.raises(Drift, match="nothing known"):
        VolumeFromImage(driver=again(), source=BytesImage(raw_disk()), names=["v"], size=None, on_drift="fail", fan_out="auto", job=job()).plan()
    filling = driver.create(Request("v", 4 * MIB), Record(FILLING, "file"))
    with pytest.raises(Ambiguous, match=filling.id):
        driver.find("v")
    with driver.exclusive(["v"], job()):
        assert set(disks_of(xapi)) == {vdi.uuid, filling.id}


def test_what_another_run_is_at_is_told_so(xapi: Simulator, again: Runs) -> None:
    one, other = again(), again()
    one.create(Request("v", 4 * MIB), Record(FILLING, "file"))
    assert t.cast(Volume, other.find("v")).state == HALF_DONE
    with one.exclusive(["v"], job()):
        assert t.cast(Volume, other.find("v")).state == other.list()[0].state == WORKING
        assert t.cast(Volume, one.find("v")).state == HALF_DONE


def test_what_another_run_has_finished_meanwhile_is_not_filled_again(xapi: Simulator, again: Runs) -> None:
    source = BytesImage(raw_disk(), name="first")
    one, other = again(), again()
    half = one.create(Request("v", 4 * MIB), record_of(source.describe(), FILLING))
    with one.exclusive(["v"], job()):
        one.adopt(source, half, job())
    source.opened.clear()
    made = other.adopt(source, half, job())
    assert (made.how, made.volume.state, source.opened) == (ADOPTED, AVAILABLE, [])


def test_holders_are_machines(xapi: Simulator, again: Runs) -> None:
    driver = again()
    volume, = filled(driver, "v")
    machine = attach(xapi, volume.id, "web-1")
    uuid = xapi.call("VM.get_uuid", machine)
    assert driver.holders(volume) == ["the halted machine web-1 (%s) as 0" % uuid]
    with driver.open(volume, "r") as handle:
        assert handle.read(0, 512) == raw_disk()[:512]
    xapi.call("VM.start", machine, False, False)
    assert driver.holders(volume) == ["the running machine web-1 (%s) as 0" % uuid]
    for mode in "rw":
        with pytest.raises(InUse, match="in the running machine web-1"):
            driver.open(volume, mode)


# --- sizes and room ---


def test_a_disk_does_not_shrink(again: Runs) -> None:
    driver = again()
    volume, = filled(driver, "v")
    with pytest.raises(InvalidInput, match="cannot be shrunk"):
        driver.grow(volume, 2 * MIB, job())


@pytest.mark.parametrize("sr, size, kind, words", [
    (LVM, 60 * GIB, NoRoom, "LVM storage.* 50 GiB free, but 60 GiB"),
    (SHARED, 60 * GIB, None, ""),
    (SHARED, 2041 * GIB, InvalidInput, "at most 2.0 TiB"),
    (SHARED, 300 * GIB, None, ""),
])
def test_what_will_not_fit_is_told_beforehand(xapi: Simulator, sr: str, size: int, kind: t.Optional[t.Type[Exception]], words: str) -> None:
    with runs(xapi, sr) as again:
        with pytest.raises(kind, match=words) if kind else contextlib.nullcontext():
            again().check_room([Request("v", size)], BytesImage(raw_disk()))


def test_a_repository_without_a_host_is_told_beforehand(xapi: Simulator, again: Runs) -> None:
    driver = again()
    for ref in xapi.call("SR.get_PBDs", driver.sr.ref):
        xapi.call("PBD.unplug", ref)
    with pytest.raises(BackendError, match="connected to no host"):
        again().check_room([Request("v", 1)], None)


# --- VHDs ---

ORDERS = [(0, 1, 2), (2, 1, 0), (1, 2, 0)]
LAYERS = [vhds.scattered(seed, 5 * MIB, 5) for seed in (1, 2, 3)]


def vhd_volume(driver: XenDriver, source: ImageSource, *names: str, size: t.Optional[int] = None) -> t.List[Volume]:
    """As the operation does it."""
    operation = VolumeFromImage(driver=driver, source=source, names=names, size=size, on_drift="refill", fan_out="copy", job=job())
    with operation.exclusive():
        operation.apply(operation.plan())
    return [t.cast(Volume, driver.find(name)) for name in names]


@pytest.mark.parametrize("sr", [SHARED, LVM, LOCAL])
@pytest.mark.parametrize("order, gz", list(zip(ORDERS, [False, True, True])))
def test_a_chain_becomes_a_disk_of_its_size(xapi: Simulator, sr: str, order: t.Sequence[int], gz: bool) -> None:
    image = BytesImage(vhds.archive(vhds.chain(5 * MIB, *LAYERS), order=order, gz=gz), format="vhd", container="ovf")
    with runs(xapi, sr) as again:
        for volume in vhd_volume(again(), image, "v", "w"):
            assert volume.size == 6 * MIB
            assert xapi.disk_bytes(volume.id) == vhds.disk(5 * MIB, *LAYERS) + bytes(MIB)
    assert len(image.opened) == 1, "it is read once"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_disk_grows_with_a_chain_that_grew(xapi: Simulator, again: Runs, order: t.Sequence[int]) -> None:
    base, leaf = {0: b"a" * 4096}, {512: b"b" * 512, 7 * MIB: b"c" * 512}
    image = BytesImage(vhds.archive(vhds.chain([2 * MIB, 8 * MIB], base, leaf), order=order), format="vhd", container="ovf")
    volume, = vhd_volume(again(), image, "v")
    assert xapi.disk_bytes(volume.id) == vhds.disk(8 * MIB, base, leaf)


def test_a_dynamic_and_a_fixed_one(xapi: Simulator, again: Runs) -> None:
    content = vhds.disk(4 * MIB, LAYERS[0] if max(LAYERS[0]) < 3 * MIB else {512: b"x" * 512})
    for name, data in (("dynamic", vhds.vhd(4 * MIB, {0: content})), ("fixed", vhds.fixed(content))):
        volume, = vhd_volume(again(), BytesImage(data, format="vhd"), name)
        assert xapi.disk_bytes(volume.id) == content


def test_a_refilled_disk_has_nothing_of_the_old_content(xapi: Simulator, again: Runs) -> None:
    vhd_volume(again(), BytesImage(b"\xff" * 6 * MIB, name="old"), "v")
    volume, = vhd_volume(again(), BytesImage(vhds.archive(vhds.chain(5 * MIB, *LAYERS)), format="vhd", container="ovf"), "v")
    assert xapi.disk_bytes(volume.id) == vhds.disk(5 * MIB, *LAYERS) + bytes(MIB)


def test_what_is_sent_is_what_is_allocated(xapi: Simulator, again: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that is covered by newer ones altogether is not sent."""
    sent = []
    send = VhdPut.send
    monkeypatch.setattr(VhdPut, "send", lambda self, data: (sent.append(len(data)), send(self, data))[1])
    layers = [{0: bytes([number + 1]) * 2 * MIB} for number in range(3)]
    image = BytesImage(vhds.archive(vhds.chain(40 * MIB, *layers)), format="vhd", container="ovf")
    volume, = vhd_volume(again(), image, "v")
    assert xapi.disk_bytes(volume.id) == vhds.disk(40 * MIB, *layers)
    assert sum(sent) < 2 * MIB + 8192


VECTOR = pathlib.Path(__file__).absolute().parents[7] / "shared" / "vectors" / "vhd" / "chain1.tgz"


@pytest.mark.skipif(not VECTOR.exists(), reason="the image is not at hand")
def test_an_image_that_others_made(xapi: Simulator, again: Runs) -> None:
    volume, = vhd_volume(again(), LocalImage(str(VECTOR)), "v")
    assert volume.size == 37748736
    assert hashlib.sha256(xapi.disk_bytes(volume.id)).hexdigest() == "ac3ca7ddc0d5f86a29ec3f6dc9fa750fba9cd9fe5d4b8a3a86970a56aa767f33"
