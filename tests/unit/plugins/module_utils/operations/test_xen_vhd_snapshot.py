# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of a machine's disks: from the simulator's pool to a Glance in memory."""

from __future__ import annotations

import io
import pathlib
import subprocess
import typing as t

import pytest

pytest.importorskip("XenAPI")
pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from lab.xapi.ports import ImportFault

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    Ambiguous, BackendError, Drift, IntegrityError, InvalidInput, NotFound, TimedOut, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request
from ansible_collections.bootable.volumes.tests.unit.fakes.snapshooting import NAME, content, disk_of, members, only, run
from ansible_collections.bootable.volumes.tests.unit.fakes.vhds import opened
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_machine import Web

pyvhdi = pytest.importorskip("pyvhdi")


@pytest.fixture
def web(folder: pathlib.Path) -> t.Iterator[Web]:
    with simulator(folder) as site:
        yield Web(site)


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def by_libvhdi(vhds: t.Sequence[bytes]) -> bytes:
    """What an independent reader makes of a chain, the newest first."""
    parent = None
    for data in reversed(vhds):
        file = pyvhdi.file()
        file.open_file_object(io.BytesIO(data))
        if parent is not None:
            file.set_parent(parent)
        parent = file
    size = parent.get_media_size()
    return t.cast(bytes, parent.read_buffer_at_offset(size, 0))


def by_qemu(data: bytes, folder: pathlib.Path) -> bytes:
    """What qemu-img makes of a dynamic VHD."""
    (folder / "disk.vhd").write_bytes(data)
    subprocess.run(["qemu-img", "convert", "-f", "vpc", "-O", "raw", folder / "disk.vhd", folder / "disk.raw"], check=True)
    return (folder / "disk.raw").read_bytes()


# --- flat ---


@pytest.mark.parametrize("running", [False, True])
def test_a_flat_image_is_the_disk(web: Web, cloud: FakeCloud, folder: pathlib.Path, running: bool) -> None:
    web.scribble(1)
    if running:
        web.start()
    result = run(web, cloud)
    data = content(cloud)
    assert opened(data).read(0, 8 * MIB) == web.content() == by_libvhdi([data]) == by_qemu(data, folder)
    image = only(cloud)
    assert (image["status"], image["disk_format"], image["container_format"], image["min_disk"], image["visibility"]) == ("active", "vhd", "bare", 1, "private")
    assert image["bootable_volume"] == "xen:%s/xvda" % web.uuid and "bootable_state" not in image
    assert cloud.glance.received[-1]["x-openstack-image-size"] == str(len(data))
    (disk,) = result["disks"]
    assert (disk["device"], disk["number"], disk["vdi"], disk["size"], disk["sent"], disk["members"], disk["how"]) == (
        "xvda", "0", web.vdis[0], 8 * MIB, len(data), 1, "created")
    assert result["images"][0]["id"] == disk["image_id"] == image["id"] and disk["image"] == NAME
    assert result["machine"] == {"name": "web", "uuid": web.uuid, "power_state": "running" if running else "halted"}
    assert web.left() == []


def test_what_the_pool_knows_of_the_machine_is_said_of_the_image(web: Web, cloud: FakeCloud) -> None:
    web.call("VM.set_HVM_boot_params", web.ref, {"order": "cd", "firmware": "uefi"})
    run(web, cloud, properties={"os_type": "plan9"})
    image = only(cloud)
    assert (image["hw_firmware_type"], image["vm_mode"], image["os_type"]) == ("uefi", "hvm", "plan9")
    assert image["xen_snapshot_time"].endswith("Z")


def test_again_nothing_is_done(web: Web, cloud: FakeCloud) -> None:
    run(web, cloud)
    before = cloud.writes(), len(web.writes())
    web.scribble(7)
    result = run(web, cloud)
    assert result["actions"] == ["keep"] and result["disks"][0]["how"] == "unchanged" and cloud.writes() == before[0]
    # only that the machine was this run's for a moment
    assert web.writes()[before[1]:] == ["VM.add_to_other_config", "VM.remove_from_other_config"]


def test_what_can_be_changed_on_an_image_is(web: Web, cloud: FakeCloud) -> None:
    run(web, cloud)
    result = run(web, cloud, tags=("a",), visibility="community", min_disk=3, properties={"os_type": "linux"})
    image = only(cloud)
    assert result["actions"] == ["update"] and result["disks"][0]["how"] == "updated"
    assert (image["tags"], image["visibility"], image["min_disk"], image["os_type"]) == (["a"], "community", 3, "linux")
    assert run(web, cloud)["actions"] == ["keep"]


def test_another_image_of_that_name(web: Web, cloud: FakeCloud) -> None:
    other = cloud.glance.add(NAME)
    with pytest.raises(Drift, match="was not made of volume web/xvda"):
        run(web, cloud)
    assert run(web, cloud, on_drift="ignore")["actions"] == ["keep"]
    result = run(web, cloud, on_drift="replace")
    assert result["actions"] == ["create", "remove"] and result["disks"][0]["how"] == "replaced" and only(cloud)["id"] != other
    assert web.left() == []


def test_another_layout_is_drift(web: Web, cloud: FakeCloud) -> None:
    run(web, cloud)
    with pytest.raises(Drift, match="container_format is bare, not ovf"):
        run(web, cloud, layout="chain")
    run(web, cloud, layout="chain", on_drift="replace")
    assert only(cloud)["container_format"] == "ovf"


def test_stores(web: Web, cloud: FakeCloud) -> None:
    cloud.glance.admin = True
    base = cloud.glance.add("debian", stores="cinder")
    web.call("VDI.add_to_other_config", web.call("VDI.get_by_uuid", web.vdis[0]), "bootable:record",
             '{"state": "ready", "origin": "glance", "image_id": "%s"}' % base)
    result = run(web, cloud)
    assert result["disks"][0]["placement"]["rule"] == "base_image" and only(cloud)["stores"] == "cinder"
    result = run(web, cloud, asked=["rbd", "file"])
    assert result["actions"] == ["place"] and sorted(only(cloud)["stores"].split(",")) == ["file", "rbd"]


def test_the_default_store(web: Web, cloud: FakeCloud) -> None:
    placement = run(web, cloud)["disks"][0]["placement"]
    assert placement["rule"] == "default" and placement["reason"] == "the volume was not made from an image: so it is Glance's default store"


# --- several disks ---


def test_several_disks_of_one_moment(web: Web, cloud: FakeCloud) -> None:
    web.scribble(1)
    web.scribble(2, device=1)
    result = run(web, cloud, devices=["0", "xvdb"])
    assert [disk["image"] for disk in result["disks"]] == [NAME, NAME + "-xvdb"]
    assert disk_of([content(cloud)]) == web.content(0) and disk_of([content(cloud, NAME + "-xvdb")]) == web.content(1)
    assert only(cloud)["xen_snapshot_time"] == only(cloud, NAME + "-xvdb")["xen_snapshot_time"]
    assert "vm_mode" in only(cloud) and "vm_mode" not in only(cloud, NAME + "-xvdb")
    assert web.writes().count("Async.VM.snapshot") == 1 and web.left() == []
    assert run(web, cloud, devices=["0", "xvdb"])["actions"] == ["keep", "keep"]


def test_names_with_devices_in_them(web: Web, cloud: FakeCloud) -> None:
    result = run(web, cloud, devices=["1"], name="{device} of web")
    assert [image["name"] for image in result["images"]] == ["xvdb of web"] and disk_of([content(cloud, "xvdb of web")]) == web.content(1)


def test_all_or_none(web: Web, cloud: FakeCloud) -> None:
    """If the second cannot be made, the first is of a moment that will not come back."""
    puts: t.List[str] = []

    def interrupt(request: Request) -> None:
        if request.method == "PUT":
            puts.append(request.path)
            if len(puts) == 2:
                raise Refused(413, "quota")

    cloud.glance.interrupt = interrupt
    with pytest.raises(VolumesError, match="quota"):
        run(web, cloud, devices=["0", "1"])
    assert len(puts) == 2 and cloud.glance.images == {} and web.left() == []


def test_a_disk_that_joins_later_is_warned_of(web: Web, cloud: FakeCloud) -> None:
    run(web, cloud)
    warnings: t.List[str] = []
    assert run(web, cloud, devices=["0", "1"], warnings=warnings)["actions"] == ["keep", "create"]
    assert warnings == ["golden-xvdb is of another moment than golden, which was there before; remove these to have all of one"]


# --- chains ---


@pytest.mark.parametrize("compress", [True, False])
def test_a_chain_is_the_disk(web: Web, cloud: FakeCloud, compress: bool) -> None:
    web.scribble(1)
    web.snapshot("one")
    web.scribble(2)
    web.snapshot("two")
    web.scribble(3)
    web.start()
    before = web.all_vdis()
    result = run(web, cloud, layout="chain", compress=compress)
    data = content(cloud)
    assert data.startswith(b"\x1f\x8b") is compress
    found = members(data)
    assert len(found) == 3 == result["disks"][0]["members"] and result["disks"][0]["sent"] == len(data)
    assert disk_of(found) == web.content() == by_libvhdi(found)
    assert [[name for dummy, name in opened(each).locators()] for each in found] == [
        ["file://./%d.vhd" % (index + 1), ".\\%d.vhd" % (index + 1), ".\\%d.vhd" % (index + 1)] if index < 2 else [] for index in range(3)]
    assert sorted(web.snapshots()) == ["one", "two"] and web.all_vdis() == before
    assert run(web, cloud, layout="chain", compress=compress)["actions"] == ["keep"]


def test_a_disk_without_snapshots_is_a_chain_of_one(web: Web, cloud: FakeCloud) -> None:
    web.scribble(1)
    run(web, cloud, layout="chain")
    found = members(content(cloud))
    assert len(found) == 1 and disk_of(found) == web.content()


def test_what_adds_nothing_is_left_out(web: Web, cloud: FakeCloud) -> None:
    web.scribble(1)
    web.snapshot("one")
    web.snapshot("nothing new")
    web.scribble(2)
    web.snapshot("three")
    result = run(web, cloud, layout="chain")
    found = members(content(cloud))
    assert len(found) == 2 == result["disks"][0]["members"]
    assert disk_of(found) == web.content() == by_libvhdi(found)


def test_a_disk_that_grew_without_being_written(web: Web, cloud: FakeCloud) -> None:
    web.scribble(1)
    web.snapshot("one")
    web.call("VDI.resize", web.call("VDI.get_by_uuid", web.vdis[0]), str(12 * MIB))
    run(web, cloud, layout="chain")
    found = members(content(cloud))
    assert len(found) == 2 and disk_of(found) == web.content() and len(web.content()) == 12 * MIB


def test_no_more_than_an_archive_may_hold(web: Web, cloud: FakeCloud) -> None:
    for number in range(18):
        web.scribble(number, count=1)
        web.snapshot(str(number))
    web.scribble(99, count=1)
    run(web, cloud, layout="chain")
    found = members(content(cloud))
    assert len(found) == 16 and disk_of(found) == web.content()


def test_a_chain_of_what_differs_from_another_disk(web: Web, cloud: FakeCloud) -> None:
    web.scribble(1)
    original = web.call("VDI.get_by_uuid", web.vdis[0])
    base = web.call("VDI.clone", original, {})
    web.call("VDI.set_name_label", base, "base")
    uuid = web.call("VDI.get_uuid", base)
    web.write(0, 3 * MIB, b"new" * 500)
    web.snapshot("one")
    web.write(0, 5 * MIB, b"newer" * 500)
    for number, name in enumerate(("base", uuid)):
        run(web, cloud, layout="chain", base=name, name="golden-%d" % number, compress=False)
        found = members(content(cloud, "golden-%d" % number))
        assert len(found) == 2 and disk_of(found) == web.content()
        assert disk_of(found[1:]) == web.simulator.disk_bytes(uuid)
        assert len(opened(found[0]).order) == 2


@pytest.mark.parametrize("how, error, words", [
    ({"layout": "flat", "base": "x"}, InvalidInput, "base: a flat image differs from nothing"),
    ({"layout": "chain", "base": "x"}, NotFound, "base: .* has no disk 'x'"),
    ({"layout": "chain", "base": "x", "devices": ["0", "1"]}, InvalidInput, "base: it is for one disk, but 2 are asked for"),
    ({"layout": "chain", "base": "web-0"}, InvalidInput, "base: .* is the machine's own disk"),
    ({"devices": ["7"]}, NotFound, r"no disk '7'; it has xvda \(0\), xvdb \(1\)"),
    ({"devices": ["root"]}, NotFound, "no disk 'root'"),
    ({"devices": ["0", "xvda"]}, InvalidInput, "disks: xvda is named twice"),
    ({"devices": []}, InvalidInput, "disks: an empty list"),
    ({"machine": "nobody"}, NotFound, "machine: the pool has no machine 'nobody'"),
    ({"machine": "Other install media"}, NotFound, "the pool has no machine"),
    ({"properties": {"bootable_volume": "x"}}, InvalidInput, "properties: keys that begin with bootable_"),
    ({"asked": ["nowhere"]}, InvalidInput, "Glance has no store 'nowhere'"),
])
def test_what_cannot_be_asked_for(web: Web, cloud: FakeCloud, how: t.Dict[str, t.Any], error: t.Type[VolumesError], words: str) -> None:
    with pytest.raises(error, match=words):
        run(web, cloud, **how)
    assert web.left() == [] and cloud.glance.images == {}


def test_a_name_that_two_machines_have(web: Web, cloud: FakeCloud) -> None:
    other = Web(web.simulator)
    with pytest.raises(Ambiguous, match=other.uuid):
        run(web, cloud)
    run(web, cloud, machine=other.uuid)
    assert only(cloud)["bootable_volume"] == "xen:%s/xvda" % other.uuid


def test_a_machine_without_disks(web: Web, cloud: FakeCloud) -> None:
    Web.write, write = (lambda *args: None), Web.write  # type: ignore[method-assign]
    try:
        Web(web.simulator, name="bare", sizes=())
    finally:
        Web.write = write  # type: ignore[method-assign]
    with pytest.raises(NotFound, match="the machine bare .* has no disk"):
        run(web, cloud, machine="bare")


# --- faults ---


@pytest.mark.parametrize("layout", ["flat", "chain"])
@pytest.mark.parametrize("fault, error", [
    (ImportFault(after=3 * MIB), BackendError), (ImportFault(after=100), BackendError),
    (ImportFault(code="VDI_IO_ERROR", params=("Device I/O errors",)), XenFailure),
])
def test_an_export_that_breaks_off(web: Web, cloud: FakeCloud, layout: str, fault: ImportFault, error: t.Type[VolumesError]) -> None:
    for offset in range(0, 8 * MIB, MIB):
        web.write(0, offset + 512, b"x" * 512)
    web.simulator.pool.faults.next_export = fault
    with pytest.raises(error):
        run(web, cloud, layout=layout)
    assert cloud.glance.images == {} and web.left() == []
    assert run(web, cloud, layout=layout)["actions"] == ["create"]


def test_the_second_export_of_a_chain_breaks_off(web: Web, cloud: FakeCloud) -> None:
    web.scribble(1)
    web.snapshot("one")
    web.scribble(2)
    seen: t.List[str] = []

    def interrupt(request: Request) -> None:
        seen.append(request.line)

    def hook(method: str) -> None:
        if method == "task.create":
            seen.append(method)
            if seen.count(method) == 2:
                web.simulator.pool.faults.next_export = ImportFault(after=MIB)

    cloud.glance.interrupt, web.simulator.pool.faults.hook = interrupt, hook
    with pytest.raises(BackendError):
        run(web, cloud, layout="chain")
    assert seen.count("task.create") == 2 and cloud.glance.images == {} and web.snapshots() == ["one"]


@pytest.mark.parametrize("error", [Refused(413, "quota"), Refused(503, "down"), ConnectionResetError("reset"), KeyboardInterrupt()])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_glance_refuses(web: Web, cloud: FakeCloud, method: str, error: BaseException) -> None:
    def interrupt(request: Request) -> None:
        if request.method == method:
            raise error

    cloud.glance.interrupt = interrupt
    with pytest.raises((VolumesError, KeyboardInterrupt)):
        run(web, cloud, layout="chain")
    assert cloud.glance.images == {} and web.left() == []


def test_glance_has_other_bytes(web: Web, cloud: FakeCloud) -> None:
    cloud.glance.spoil = lambda data: data[:-1] + b"x"
    with pytest.raises(IntegrityError):
        run(web, cloud)
    assert cloud.glance.images == {} and web.left() == []


def test_no_snapshot_can_be_taken(web: Web, cloud: FakeCloud) -> None:
    web.simulator.pool.faults.fail_next("VM.snapshot", "SR_BACKEND_FAILURE_44", "", "There is insufficient space", "")
    with pytest.raises(XenFailure, match="did not take a snapshot of the machine web: the storage repository has not enough room"):
        run(web, cloud)
    assert cloud.glance.images == {} and web.left() == []


def test_out_of_time(web: Web, cloud: FakeCloud) -> None:
    """The snapshot goes even if the task's time is over."""
    cloud.glance.interrupt = lambda request: cloud.clock.sleep(60) if request.line == "POST /v2/images" else None
    with pytest.raises(TimedOut, match="export the disk web/xvda"):
        run(web, cloud, seconds=30)
    assert cloud.glance.images == {} and web.left() == []


def test_a_session_that_ends_meanwhile(web: Web, cloud: FakeCloud) -> None:
    hits: t.List[str] = []

    def interrupt(request: Request) -> None:
        if request.method == "PUT":
            hits.append(request.path)
            web.simulator.pool.faults.expire_sessions()

    cloud.glance.interrupt = interrupt
    run(web, cloud)
    assert hits and disk_of([content(cloud)]) == web.content() and web.left() == []


def test_an_image_that_cannot_go_everywhere_is_there_and_the_snapshot_is_not(web: Web, cloud: FakeCloud) -> None:
    with pytest.raises(BackendError, match="is there, but not in all its stores: rbd") as caught:
        run(web, cloud, asked=["cinder", "rbd"])
    assert caught.value.details["changed"] and caught.value.details["disks"][0]["image"] == NAME
    assert only(cloud)["status"] == "active" and web.left() == []


def test_a_snapshot_that_stays_is_told_of_and_goes_with_the_next_run(web: Web, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
    from ansible_collections.bootable.volumes.plugins.module_utils.operations import xen_disk_images

    monkeypatch.setattr(xen_disk_images, "_CLEANUP", 0.5)
    for dummy in range(20):
        web.simulator.pool.faults.fail_next("VDI.destroy", "VDI_IN_USE", "OpaqueRef:x", "destroy")
    with pytest.raises(BackendError, match="a snapshot of the machine web stays, and the next run removes it") as caught:
        run(web, cloud)
    assert caught.value.details["changed"] and only(cloud)["status"] == "active" and "bootable_state" not in only(cloud)
    web.simulator.pool.faults.clear()
    assert run(web, cloud)["actions"] == ["keep"], "its run is this very process"
    monkeypatch.setattr(liveness, "is_dead", lambda run: True)
    result = run(web, cloud)
    assert result["actions"] == ["sweep", "keep"] and web.left() == []


def test_a_run_waits_for_another(web: Web, cloud: FakeCloud) -> None:
    seen: t.List[str] = []

    def interrupt(request: Request) -> None:
        if request.method == "PUT" and not seen:
            seen.append(request.path)
            with pytest.raises(TimedOut, match="another run to let go of images of web"):
                run(web, FakeCloud(), seconds=5)

    cloud.glance.interrupt = interrupt
    assert run(web, cloud)["actions"] == ["create"] and seen and web.left() == []
