# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, Drift, Foreign, IntegrityError, InvalidInput, NoRoom, NotFound, TimedOut,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage
from ansible_collections.bootable.volumes.tests.unit.fakes.machines import LOCAL, LVM, NETWORK, PRIVATE, SHARED, Boots, House, house
from ansible_collections.bootable.volumes.tests.unit.fakes.vhds import archive, chain, disk, vhd
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import BOOT_SECTOR

MIB = 1 << 20
SIZE = 6 * MIB
WRITES = {0: BOOT_SECTOR, 3 * MIB: b"base" * 1024}
CONTENT = disk(SIZE, WRITES)
IMAGE = BytesImage(vhd(SIZE, WRITES), format="vhd", name="debian")
OTHER = BytesImage(vhd(SIZE, {0: BOOT_SECTOR, MIB: b"news" * 1024}), format="vhd", name="arch")


@pytest.fixture
def xen(tmp_path: pathlib.Path) -> t.Iterator[House]:
    with house(tmp_path) as found:
        yield found


@pytest.fixture
def boots(xen: House) -> Boots:
    return Boots(xen, IMAGE)


def hows(result: t.Mapping[str, t.Any]) -> t.List[t.Tuple[str, str]]:
    return [(machine["name"], machine["how"]) for machine in result["machines"]]


def content(xen: House, machine: t.Mapping[str, t.Any]) -> bytes:
    """What the machine's disk holds."""
    return t.cast(bytes, xen.xapi.disk_bytes(machine["disks"][0]["vdi"]))


# --- made, left alone, removed ---


def test_a_machine_is_made_boots_and_is_then_left_alone(xen: House, boots: Boots) -> None:
    wish = {"vcpus": 2, "memory": 512 * MIB, "networks": ({"network": NETWORK}, {"network": PRIVATE, "mac": "02:00:00:AA:00:01"}), "wait_for": "ip",
            "description": "for tests"}
    plan, result = boots.run(**wish)
    assert [step.action for step in plan.steps] == ["create"] and hows(result) == [("a", "created")]
    machine, = result["machines"]
    assert (machine["power_state"], machine["vcpus"], machine["memory"], machine["firmware"], machine["boot_mode"]) == (
        "running", 2, 512 * MIB, "bios", "hvm")
    assert machine["guest_tools"] and machine["networks"][0]["ips"] and machine["host"] in ("xen1", "xen2")
    assert [(nic["device"], nic["network"]) for nic in machine["networks"]] == [("0", NETWORK), ("1", PRIVATE)]
    assert machine["networks"][1]["mac"] == "02:00:00:aa:00:01"
    assert [(each["device"], each["name"], each["size"], each["sr"], each["bootable"]) for each in machine["disks"]] == [("0", "a-root", SIZE, SHARED, True)]
    assert machine["image"]["image_name"] == "debian" and machine["image"]["state"] == "ready"
    assert content(xen, machine) == CONTENT and result["image"]["format"] == "vhd"
    xen.faults.clear()
    plan, again = boots.run(**wish)
    assert not plan.changed and hows(again) == [("a", "unchanged")] and again["machines"][0]["uuid"] == machine["uuid"]
    assert set(xen.writes()) <= {"SR.add_to_other_config", "SR.remove_from_other_config"}, "the lock, and nothing else"
    assert boots.run(state="present")[1]["machines"][0]["power_state"] == "running"


def test_stopped_started_and_absent(xen: House, boots: Boots) -> None:
    boots.run()
    dummy, result = boots.run(state="stopped", image=None)
    assert hows(result) == [("a", "stopped")] and result["machines"][0]["power_state"] == "halted" and result["image"] is None
    assert not boots.run(state="stopped")[0].changed
    assert hows(boots.run(image=None)[1]) == [("a", "started")]
    plan, result = boots.run(state="absent")
    assert [step.action for step in plan.steps] == ["remove"] and result["machines"][0]["name"] == "a"
    assert xen.machines() == {} and xen.disks() == [] and xen.leftovers() == {"VBD": 0, "VIF": 0, "task": 0}
    assert not boots.run(state="absent")[0].changed


def test_n_machines_are_one_import_and_clones(xen: House, boots: Boots) -> None:
    dummy, result = boots.run(names=["a", "b", "c"])
    assert hows(result) == [(name, "created") for name in "abc"] and result["fan_out"]["method"] == "clone"
    writes = xen.writes()
    assert writes.count("PUT /import_raw_vdi") == 1 and writes.count("Async.VDI.clone") == 2
    assert all(content(xen, machine) == CONTENT for machine in result["machines"])
    assert len({machine["uuid"] for machine in result["machines"]} | {machine["disks"][0]["vdi"] for machine in result["machines"]}) == 6
    boots.run(names=["a", "c"], state="absent")
    assert list(xen.machines()) == ["b"] and "b-root" in xen.disks() and "a-root" not in xen.disks()


def test_check_mode_writes_nothing(xen: House, boots: Boots) -> None:
    xen.faults.clear()
    plan, result = boots.check(names=["a", "b"])
    assert plan.changed and hows(result) == [("a", "create"), ("b", "create")] and plan.diff()["after"]["a"]["power_state"] == "running"
    assert xen.writes() == [] and xen.machines() == {}
    boots.run()
    for wish in ({"state": "absent"}, {"state": "stopped", "vcpus": 3}, {"image": OTHER, "on_drift": "replace"}, {}):
        xen.faults.clear()
        plan, result = boots.check(**t.cast(t.Dict[str, t.Any], wish))
        assert plan.changed is bool(wish) and xen.writes() == [], wish


def test_the_image_of_each_kind(xen: House, boots: Boots) -> None:
    layers = chain(SIZE, WRITES, {MIB: b"leaf" * 128})
    packed = BytesImage(archive(layers), format="vhd", container="ovf", name="chain")
    raw = BytesImage(CONTENT, name="raw")
    assert content(xen, boots.run(names="chained", image=packed)[1]["machines"][0]) == disk(SIZE, WRITES, {MIB: b"leaf" * 128})
    assert content(xen, boots.run(names="raw", image=raw)[1]["machines"][0]) == CONTENT
    iso = BytesImage(CONTENT, format="iso", name="a CD")
    with pytest.raises(InvalidInput, match="a CD .*ISO SR"):
        boots.run(names="c", image=iso)
    assert set(xen.machines()) == {"chained", "raw"}


@pytest.mark.parametrize("sr", [LVM, LOCAL])
def test_the_sr_by_name_and_uuid(xen: House, boots: Boots, sr: str) -> None:
    dummy, result = boots.run(sr=sr)
    assert result["machines"][0]["disks"][0]["sr"] == sr and content(xen, result["machines"][0]) == CONTENT
    assert not boots.run(sr=result["machines"][0]["disks"][0]["sr_uuid"])[0].changed and not boots.run()[0].changed
    with pytest.raises(Drift, match="sr is"):
        boots.run(sr=SHARED)
    boots.run(state="absent")  # found without naming the SR
    assert xen.machines() == {} and xen.disks() == []


def test_what_is_not_there_is_told_before_anything_is_made(xen: House, boots: Boots) -> None:
    known = BytesImage(IMAGE.data, format="vhd", name="debian", virtual_size=SIZE)
    wishes: t.List[t.Tuple[t.Dict[str, t.Any], t.Type[Exception], str]] = [
        ({"sr": "none"}, NotFound, "sr"), ({"template": "none"}, NotFound, "template"), ({"networks": ({"network": "none"},)}, NotFound, "network"),
        ({"affinity": "none"}, NotFound, "host"), ({"size": MIB, "image": known}, InvalidInput, "size"),
        ({"wait_for": "ip", "networks": ()}, InvalidInput, "networks"),
        ({"image": None}, InvalidInput, "image"), ({"names": " a"}, InvalidInput, "name"), ({"size": 1 << 45, "sr": LVM}, InvalidInput, "size"),
        ({"size": 1 << 40, "sr": LVM}, NoRoom, LVM),
    ]
    for wish, kind, words in wishes:
        with pytest.raises(kind, match=words):
            boots.run(**wish)
        with pytest.raises(kind, match=words):
            boots.check(**wish)
    assert xen.machines() == {} and xen.disks() == []


def test_a_size_that_turns_out_to_be_too_small_is_told_with_the_one_that_is_needed(xen: House, boots: Boots) -> None:
    with pytest.raises(InvalidInput, match="needs 6 MiB"):
        boots.run(size=2 * MIB)
    assert xen.machines() == {} and xen.disks() == []


def test_hardware_from_the_task_the_image_and_the_template(xen: House, boots: Boots) -> None:
    uefi = BytesImage(IMAGE.data, format="vhd", name="uefi", properties={"hw_firmware_type": "uefi", "vm_mode": "hvm"})
    assert boots.run(names="one", image=uefi)[1]["machines"][0]["firmware"] == "uefi"
    paravirtual = BytesImage(IMAGE.data, format="vhd", name="pv", properties={"vm_mode": "xen"})
    machine = boots.run(names="two", image=paravirtual)[1]["machines"][0]
    assert (machine["boot_mode"], machine["firmware"]) == ("pv", None)
    dummy, result = boots.run(names="three", firmware="uefi", secure_boot=True, boot_order="c", affinity="xen2")
    made = xen.machines()["three"]
    assert made["HVM_boot_params"] == {"firmware": "uefi", "order": "c"} and made["platform"]["secureboot"] == "true"
    assert result["machines"][0]["host"] == "xen2"
    assert not boots.run(names="three", firmware="uefi", secure_boot=True, boot_order="c", affinity="xen2")[0].changed
    assert hows(boots.run(names="three", affinity="")[1]) == [("three", "updated")] and xen.machines()["three"]["affinity"] == records.NULL


# --- drift ---


def test_another_image(xen: House, boots: Boots) -> None:
    uuid = boots.run()[1]["machines"][0]["uuid"]
    with pytest.raises(Drift, match="image is debian, not arch"):
        boots.run(image=OTHER)
    assert not boots.run(image=OTHER, on_drift="ignore")[0].changed
    dummy, result = boots.run(image=OTHER, on_drift="replace")
    assert hows(result) == [("a", "replaced")] and result["machines"][0]["uuid"] != uuid
    assert content(xen, result["machines"][0]) == OTHER_CONTENT and len(xen.machines()) == 1 and xen.disks() == ["a-root"]


OTHER_CONTENT = disk(SIZE, {0: BOOT_SECTOR, MIB: b"news" * 1024})


def test_what_takes_a_halted_machine_is_changed_on_the_way_down_and_up(xen: House, boots: Boots) -> None:
    wish = {"vcpus": 4, "memory": 1024 * MIB, "size": 8 * MIB, "firmware": "uefi", "networks": ({"network": PRIVATE},)}
    boots.run(networks=({"network": NETWORK}, {"network": NETWORK}))
    with pytest.raises(Drift, match="state: stopped") as refused:
        boots.run(**wish)
    assert {each["what"] for each in refused.value.details["drift"]["a"]} == set(wish)
    plan, result = boots.run(state="stopped", **wish)
    assert [step.action for step in plan.steps] == ["stop", "update"] and hows(result) == [("a", "stopped")]
    machine, = result["machines"]
    assert (machine["vcpus"], machine["memory"], machine["firmware"], machine["disks"][0]["size"]) == (4, 1024 * MIB, "uefi", 8 * MIB)
    assert [nic["network"] for nic in machine["networks"]] == [PRIVATE]
    plan, result = boots.run(vcpus=1)
    assert [step.action for step in plan.steps] == ["update", "start"] and hows(result) == [("a", "updated")]
    assert (result["machines"][0]["vcpus"], result["machines"][0]["power_state"]) == (1, "running")
    with pytest.raises(Drift, match="size"):
        boots.run(size=SIZE)


def test_a_running_machine_keeps_what_is_ignored_and_gets_what_can_be_changed(boots: Boots) -> None:
    boots.run()
    dummy, result = boots.run(vcpus=4, description="new", on_drift="ignore")
    assert hows(result) == [("a", "updated")] and result["machines"][0]["vcpus"] == 1
    assert not boots.run(vcpus=4, description="new", on_drift="ignore")[0].changed


# --- whose they are ---


def test_a_machine_of_somebody_else_is_never_touched(xen: House, boots: Boots) -> None:
    template, = xen.rows("VM", name_label="Other install media")
    ref = xen.xapi.call("VM.clone", template, "a")
    xen.xapi.call("VM.provision", ref)
    xen.faults.clear()
    for state in ("started", "stopped", "absent"):
        with pytest.raises(Foreign, match="not made by this collection"):
            boots.run(state=state, on_drift="replace", force=True)
    assert "a" in xen.machines() and not [method for method in xen.writes() if method.split(".")[0] != "SR"]


def test_a_copy_that_somebody_made_is_theirs(xen: House, boots: Boots) -> None:
    """VM.clone copies the marks of machine and disk."""
    boots.run(state="present")
    ref, = xen.rows("VM", name_label="a")
    copy = xen.xapi.call("VM.clone", ref, "copy")
    with pytest.raises(Foreign):
        boots.run(names="copy", state="absent")
    boots.run(state="absent")
    assert list(xen.machines()) == ["copy"]
    disks = [row for row in xen.rows("VDI").values() if xen.rows("VBD", VM=copy) and row["VBDs"]]
    assert len(disks) == 1, "the copy has lost its disk"


def test_only_the_disk_that_was_made_for_it_goes_with_a_machine(xen: House, boots: Boots) -> None:
    boots.run(state="present")
    boots.run(names="b", state="present")
    ref, = xen.rows("VM", name_label="a")
    theirs, = xen.rows("VDI", name_label="b-root")
    for vdi, device in ((theirs, "1"),):
        xen.xapi.call("VBD.create", {"VM": ref, "VDI": vdi, "userdevice": device, "bootable": False, "mode": "RW", "type": "Disk", "empty": False,
                                     "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    boots.run(state="absent")
    assert list(xen.machines()) == ["b"] and "b-root" in xen.disks() and "a-root" not in xen.disks()


def test_a_disk_whose_name_is_taken_is_not_taken_over(xen: House, boots: Boots) -> None:
    boots.run()
    ref, = xen.rows("VM", name_label="a")
    xen.xapi.call("VM.hard_shutdown", ref)
    xen.xapi.call("VM.destroy", ref)  # somebody removes the machine, and keeps its disk
    with pytest.raises(Foreign, match="a-root"):
        boots.run()
    assert xen.disks() == ["a-root"] and xen.machines() == {}


# --- what goes wrong ---


def test_a_disk_that_does_not_boot_is_told_of(xen: House, boots: Boots) -> None:
    dead = BytesImage(vhd(SIZE, {MIB: b"data" * 128}), format="vhd", name="dead")
    with pytest.raises(BackendError, match="a could not be .*ended while it was waited for.*does not boot"):
        boots.run(image=dead)
    assert xen.machines()["a"]["power_state"] == "Halted"


@pytest.mark.parametrize("wait_for", ["guest_tools", "ip"])
def test_one_deadline_for_all(xen: House, boots: Boots, wait_for: str) -> None:
    xen.faults.tools = False
    wish = {"networks": ({"network": NETWORK},), "wait_for": wait_for, "names": ["a", "b"]}
    with pytest.raises(TimedOut) as late:
        boots.run(**wish)
    assert late.value.details["failures"].keys() == {"a", "b"} and late.value.details["waiting"]["b"]["power_state"] == "running"
    with pytest.raises(TimedOut):  # a rerun waits on
        boots.run(**wish)
    assert not boots.run(job=Job(Deadline(5), wait=False), **wish)[0].changed and not boots.run(names=["a", "b"])[0].changed


def test_wrong_bytes_leave_nothing_behind(xen: House, boots: Boots) -> None:
    broken = BytesImage(IMAGE.data, format="vhd", name="broken", checksums={"sha256": "0" * 64})
    with pytest.raises(IntegrityError):
        boots.run(names=["a", "b"], image=broken)
    assert xen.machines() == {} and xen.disks() == []


def test_no_host_takes_it(xen: House, boots: Boots) -> None:
    with pytest.raises(BackendError, match="no host can run the machine a: xen1: .*memory"):
        boots.run(memory=1 << 41)
    assert hows(boots.run(memory=256 * MIB)[1]) == [("a", "updated")]


def test_one_that_fails_does_not_stop_the_others(xen: House, boots: Boots) -> None:
    xen.faults.fail_next("VM.create", "LICENCE_RESTRICTION", "machines")
    with pytest.raises(BackendError, match="1 of 3 machines") as refused:
        boots.run(names=["a", "b", "c"])
    assert len(refused.value.details["machines"]) == 2 and refused.value.details["changed"] and len(refused.value.details["failures"]) == 1
    assert sorted(how for dummy, how in hows(boots.run(names=["a", "b", "c"])[1])) == ["created", "unchanged", "unchanged"]


def test_a_guest_without_tools_is_switched_off_only_by_force(xen: House, boots: Boots) -> None:
    xen.faults.tools = False
    boots.run()
    for state in ("stopped", "absent"):
        with pytest.raises(BackendError, match="force: true"):
            boots.run(state=state)
    assert xen.machines()["a"]["power_state"] == "Running"
    assert hows(boots.run(state="stopped", force=True)[1]) == [("a", "stopped")]
    boots.run()
    boots.run(state="absent", force=True)
    assert xen.machines() == {} and xen.disks() == []


def test_another_master_on_the_way(xen: House, boots: Boots) -> None:
    def change(method: str) -> None:
        if method == "VBD.create":
            xen.faults.hook = None
            xen.faults.change_master()

    xen.faults.hook = change
    assert hows(boots.run()[1]) == [("a", "created")]


def test_sessions_are_ended(xen: House, boots: Boots) -> None:
    xen.faults.clear()
    boots.run()
    with pytest.raises(NotFound):
        boots.run(sr="none")
    calls = [call.method for call in xen.faults.calls]
    assert calls.count("session.login_with_password") == calls.count("session.logout") == 2
