# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VDIs, SRs and VBDs, and transfers as far as the objects are concerned."""

from __future__ import annotations

import typing as t

import pytest
from lab.xapi import storage
from lab.xapi.ports import GuestEvent, ImportFault, Transfer, XapiError

from ansible_collections.bootable.volumes.tests.unit.lab.xapi.inside import MIB, Inside, vbd_record

GIB = 1 << 30
FULL = ["SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""]


# --- VDIs ---


@pytest.mark.parametrize("size, rounded", [(1, 2 * MIB), (2 * MIB, 2 * MIB), (2 * MIB + 1, 4 * MIB), (2040 * GIB, 2040 * GIB)])
def test_sizes_round_up(inside: Inside, size: int, rounded: int) -> None:
    vdi = inside.disk("shared", size)
    assert inside.call("VDI.get_virtual_size", vdi) == rounded
    assert inside.disks.sizes[inside.call("VDI.get_uuid", vdi)] == rounded


@pytest.mark.parametrize("size", [0, -1, 2040 * GIB + 1])
def test_sizes_that_are_none(inside: Inside, size: int) -> None:
    assert vdi_failure(inside, size=size)[0] == "SR_BACKEND_FAILURE_79"


def vdi_failure(inside: Inside, sr: str = "shared", size: int = MIB) -> t.List[str]:
    """How VDI.create fails."""
    record = {"SR": inside.sr(sr), "virtual_size": size, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    return inside.failure("VDI.create", record)


def test_an_sr_that_is_not_plugged(inside: Inside) -> None:
    vdi = inside.disk("local")
    for pbd in inside.call("SR.get_PBDs", inside.sr("local")):
        inside.call("PBD.unplug", pbd)
    assert vdi_failure(inside, "local") == ["SR_HAS_NO_PBDS", inside.sr("local")]
    assert inside.failure("SR.scan", inside.sr("local")) == ["SR_HAS_NO_PBDS", inside.sr("local")]
    assert inside.failure("VDI.destroy", vdi) == ["SR_HAS_NO_PBDS", inside.sr("local")]
    inside.call("PBD.plug", inside.call("SR.get_PBDs", inside.sr("local"))[0])
    inside.call("VDI.destroy", vdi)


def test_a_pbd_in_use(inside: Inside) -> None:
    inside.running()
    pbds = inside.call("SR.get_PBDs", inside.sr())
    failures = [pbd for pbd in pbds if unplug_fails(inside, pbd)]
    assert len(failures) == 1


def unplug_fails(inside: Inside, pbd: str) -> bool:
    """Whether its disks are in use."""
    try:
        inside.call("PBD.unplug", pbd)
    except XapiError as error:
        assert error.description == ["SR_DEVICE_IN_USE"]
        return True
    return False


def test_an_iso_sr_makes_no_disks(inside: Inside) -> None:
    assert vdi_failure(inside, "iso") == ["SR_OPERATION_NOT_SUPPORTED", inside.sr("iso")]


def test_a_thick_sr_looks_at_its_room_first(inside: Inside) -> None:
    vdi = inside.disk("lvm", 40 * GIB)
    assert vdi_failure(inside, "lvm", 11 * GIB) == FULL
    assert inside.failure("VDI.resize", vdi, 51 * GIB) == FULL
    inside.call("VDI.resize", vdi, 45 * GIB)
    assert inside.call("SR.get_physical_utilisation", inside.sr("lvm")) == 45 * GIB
    assert inside.failure("VDI.clone", vdi) == FULL
    assert inside.failure("VDI.copy", vdi) == FULL
    inside.call("VDI.snapshot", vdi)


def test_a_thin_sr_notices_when_it_is_written(inside: Inside) -> None:
    inside.pool.faults.fill(inside.world.shared)
    vdi = inside.disk("shared", 20 * GIB)
    transfer = start_import(inside, vdi)
    assert transfer.room() == 0
    transfer.fail("VDI_IO_ERROR", "Device I/O errors")
    inside.pool.faults.fill(inside.world.lvm)
    assert vdi_failure(inside, "lvm") == FULL


def test_growing(inside: Inside) -> None:
    vdi = inside.disk()
    inside.call("VDI.resize", vdi, 9 * MIB)
    assert inside.call("VDI.get_virtual_size", vdi) == 10 * MIB
    assert inside.failure("VDI.resize", vdi, 8 * MIB) == ["SR_BACKEND_FAILURE_79", "", "VDI Invalid size [opterr=shrinking not allowed]", ""]
    assert inside.failure("VDI.resize_online", vdi, 12 * MIB) == ["SR_OPERATION_NOT_SUPPORTED", inside.sr()]


def test_a_broken_disk_store(inside: Inside) -> None:
    vdi = inside.disk()
    before = inside.call("VDI.get_all")
    inside.disks.broken = True
    assert vdi_failure(inside)[0] == "SR_BACKEND_FAILURE_46"
    assert inside.failure("VDI.snapshot", vdi)[0] == "SR_BACKEND_FAILURE_46"
    assert inside.failure("VDI.copy", vdi)[0] == "SR_BACKEND_FAILURE_46"
    assert inside.call("VDI.get_all") == before


def test_snapshots_make_layers(inside: Inside) -> None:
    vdi = inside.disk(name_label="root", other_config={"a": "b"})
    snapshot = inside.call("VDI.snapshot", vdi)
    leaf, twin = (inside.call("VDI.get_record", ref) for ref in (vdi, snapshot))
    parent = leaf["sm_config"]["vhd-parent"]
    base = inside.call("VDI.get_record", inside.call("VDI.get_by_uuid", parent))
    assert twin["sm_config"]["vhd-parent"] == parent
    assert (base["managed"], base["name_label"], base["read_only"]) == (False, "base copy", True)
    assert (twin["is_a_snapshot"], twin["snapshot_of"], twin["name_label"], twin["other_config"]) == (True, vdi, "root", {"a": "b"})
    assert twin["snapshot_time"] != leaf["snapshot_time"] and leaf["snapshots"] == [snapshot] and not leaf["is_a_snapshot"]
    second = inside.call("VDI.snapshot", vdi)
    middle = inside.call("VDI.get_record", inside.call("VDI.get_by_uuid", inside.call("VDI.get_sm_config", second)["vhd-parent"]))
    assert middle["sm_config"] == {"vhd-parent": parent}


def test_clones_are_no_snapshots(inside: Inside) -> None:
    vdi = inside.disk(name_label="root", other_config={"a": "b"})
    clone = inside.call("VDI.get_record", inside.call("VDI.clone", vdi, {}))
    assert not clone["is_a_snapshot"] and clone["snapshot_of"] == "OpaqueRef:NULL"
    assert (clone["name_label"], clone["other_config"], clone["managed"]) == ("root", {"a": "b"}, True)
    assert clone["sm_config"] == inside.call("VDI.get_sm_config", vdi)


def test_layers_go_with_the_last_that_needs_them(inside: Inside) -> None:
    vdi = inside.disk()
    first, second = inside.call("VDI.snapshot", vdi), inside.call("VDI.snapshot", vdi)
    base = inside.call("VDI.get_by_uuid", inside.call("VDI.get_sm_config", vdi)["vhd-parent"])
    assert inside.failure("VDI.destroy", base) == ["VDI_NOT_MANAGED", base]
    for operation in ("clone", "snapshot"):
        assert inside.failure("VDI." + operation, base) == ["VDI_NOT_MANAGED", base]
    for ref in (vdi, second, first):
        inside.call("VDI.destroy", ref)
    assert [record["managed"] for record in inside.call("VDI.get_all_records").values()] == [True]
    assert len(inside.disks.sizes) == 1


def test_full_copies(inside: Inside) -> None:
    vdi = inside.disk(name_label="root")
    copy = inside.call("VDI.get_record", inside.call("VDI.copy", vdi, inside.sr("lvm")))
    assert (copy["name_label"], copy["SR"], copy["sm_config"], copy["virtual_size"]) == ("root", inside.sr("lvm"), {}, 8 * MIB)
    assert inside.failure("VDI.copy", vdi, inside.sr("iso")) == ["SR_OPERATION_NOT_SUPPORTED", inside.sr("iso")]
    assert inside.failure("VDI.copy", vdi, inside.sr(), vdi)[0] == "NOT_IMPLEMENTED"
    inside.disks.taken[inside.call("VDI.get_uuid", vdi)] = 5 * MIB
    inside.pool.faults.fill(inside.world.shared)
    assert inside.failure("VDI.copy", vdi) == ["VDI_COPY_FAILED"]


def test_what_disks_take_up(inside: Inside) -> None:
    vdi = inside.disk()
    assert inside.call("VDI.get_physical_utilisation", vdi) == 0
    inside.disks.taken[inside.call("VDI.get_uuid", vdi)] = 3 * MIB
    inside.call("SR.scan", inside.sr())
    assert inside.call("VDI.get_physical_utilisation", vdi) == 3 * MIB
    assert inside.call("SR.get_physical_utilisation", inside.sr()) == 3 * MIB
    assert inside.call("SR.get_virtual_allocation", inside.sr()) == 8 * MIB
    assert inside.call("VDI.get_physical_utilisation", inside.disk("lvm")) == 8 * MIB


# --- VBDs ---


@pytest.mark.parametrize("change, failure", [
    ({"type": "CD", "mode": "RW"}, ["VBD_CDS_MUST_BE_READONLY"]),
    ({"userdevice": "16"}, ["INVALID_DEVICE", "16"]),
    ({"userdevice": "xvdq"}, ["INVALID_DEVICE", "xvdq"]),
    ({"userdevice": ""}, ["INVALID_DEVICE", ""]),
])
def test_vbds_that_make_no_sense(inside: Inside, change: t.Dict[str, t.Any], failure: t.List[str]) -> None:
    assert inside.failure("VBD.create", {**vbd_record(inside.machine(), inside.disk()), **change}) == failure


def test_a_device_is_there_once(inside: Inside) -> None:
    vm = inside.machine()
    inside.vbd(vm, inside.disk())
    for device in ("0", "xvda", "hda"):
        assert inside.failure("VBD.create", {**vbd_record(vm, inside.disk()), "userdevice": device}) == ["DEVICE_ALREADY_EXISTS", device]
    auto = inside.vbd(vm, inside.disk(), userdevice="autodetect")
    assert inside.call("VBD.get_userdevice", auto) == "1"
    assert inside.call("VM.get_allowed_VBD_devices", vm)[:2] == ["2", "3"]
    assert inside.failure("VBD.set_userdevice", auto, "0") == ["DEVICE_ALREADY_EXISTS", "0"]
    inside.call("VBD.set_userdevice", auto, "5")


def test_vdis_that_a_vbd_cannot_have(inside: Inside) -> None:
    vm, locked, normal = inside.machine(), inside.disk(read_only=True), inside.disk()
    assert inside.failure("VBD.create", vbd_record(vm, locked)) == ["VDI_READONLY", locked]
    inside.vbd(vm, locked, mode="RO")
    assert inside.failure("VBD.create", {**vbd_record(vm, normal), "type": "CD", "mode": "RO", "userdevice": "3"}) == ["VDI_IS_NOT_ISO", normal, "user"]
    assert inside.failure("VBD.create", vbd_record(vm, "OpaqueRef:NULL"))[:2] == ["HANDLE_INVALID", "VDI"]
    log = inside.disk(type="redo_log")
    assert inside.failure("VBD.create", {**vbd_record(vm, log), "userdevice": "4"}) == ["VDI_INCOMPATIBLE_TYPE", log, "redo_log"]
    inside.call("VDI.snapshot", normal)
    base = inside.call("VDI.get_by_uuid", inside.call("VDI.get_sm_config", normal)["vhd-parent"])
    assert inside.failure("VBD.create", {**vbd_record(vm, base), "mode": "RO", "userdevice": "4"}) == ["VDI_NOT_MANAGED", base]


def test_one_writer_only(inside: Inside) -> None:
    vm = inside.running()
    vdi = inside.call("VBD.get_VDI", inside.call("VM.get_VBDs", vm)[0])
    assert inside.failure("VBD.create", vbd_record(inside.machine(), vdi)) == ["VDI_IN_USE", vdi, "attach"]
    assert inside.failure("VDI.destroy", vdi) == ["VDI_IN_USE", vdi, "destroy"]
    assert inside.failure("VDI.resize", vdi, GIB) == ["VDI_IN_USE", vdi, "resize"]
    assert inside.failure("VDI.clone", vdi) == ["VDI_IN_USE", vdi, "clone"]
    assert inside.failure("VDI.copy", vdi) == ["VDI_IN_USE", vdi, "attach"]
    inside.call("VDI.snapshot", vdi)
    assert inside.call("VDI.get_allowed_operations", vdi) == ["snapshot"]


def test_two_machines_and_one_disk(inside: Inside) -> None:
    vdi, shared = inside.disk(), inside.disk(sharable=True)
    for disk, last in ((vdi, ["VDI_IN_USE", vdi, "attach"]), (shared, None)):
        machines = [inside.machine(), inside.machine()]
        for vm in machines:
            inside.vbd(vm, disk)
        inside.call("VM.start", machines[0], False, False)
        if last:
            assert inside.failure("VM.start", machines[1], False, False) == last
        else:
            inside.call("VM.start", machines[1], False, False)


def test_vbds_go(inside: Inside) -> None:
    vm = inside.running()
    vbd = inside.call("VM.get_VBDs", vm)[0]
    assert inside.failure("VBD.destroy", vbd)[0] == "OPERATION_NOT_ALLOWED"
    inside.call("VM.hard_shutdown", vm)
    vdi = inside.call("VBD.get_VDI", vbd)
    inside.call("VBD.destroy", vbd)
    assert inside.call("VDI.get_VBDs", vdi) == []
    other = inside.vbd(vm, vdi)
    inside.call("VDI.destroy", vdi)
    assert inside.failure("VBD.get_record", other) == ["HANDLE_INVALID", "VBD", other]


def test_hot_plugging(inside: Inside) -> None:
    vm = inside.machine()
    inside.vbd(vm, inside.disk())
    second = inside.vbd(vm, inside.disk(), userdevice="1")
    assert inside.failure("VBD.plug", second) == ["VM_BAD_POWER_STATE", vm, "running", "halted"]
    inside.call("VM.start", vm, False, False)
    assert inside.failure("VBD.plug", second) == ["DEVICE_ALREADY_ATTACHED", second]
    assert inside.call("VBD.get_device", second) == "xvdb"
    assert inside.failure("VBD.unplug", second) == ["VM_MISSING_PV_DRIVERS", vm]
    boot(inside, vm)
    inside.call("VBD.unplug", second)
    assert inside.failure("VBD.unplug", second) == ["DEVICE_ALREADY_DETACHED", second]
    inside.call("VBD.plug", second)
    first = inside.call("VM.get_VBDs", vm)[0]
    assert inside.failure("VBD.unplug", first)[0] == "DEVICE_DETACH_REJECTED"
    inside.call("VBD.set_unpluggable", second, False)
    assert inside.failure("VBD.unplug", second) == ["VBD_NOT_UNPLUGGABLE", second]
    assert inside.failure("VBD.set_mode", second, "RO")[0] == "VM_BAD_POWER_STATE"
    empty = inside.vbd(vm, "OpaqueRef:NULL", userdevice="3", type="CD", mode="RO", empty=True)
    assert inside.failure("VBD.plug", empty) == ["VBD_IS_EMPTY", empty]


def boot(inside: Inside, vm: str) -> None:
    """The machine's guest is up."""
    inside.tell(vm, GuestEvent.BOOTED)


def test_cds(inside: Inside) -> None:
    vm, disk = inside.machine(), inside.disk()
    iso = next(ref for ref, row in inside.call("VDI.get_all_records").items() if row["is_tools_iso"])
    drive = inside.vbd(vm, "OpaqueRef:NULL", userdevice="3", type="CD", mode="RO", empty=True, bootable=False)
    hard = inside.vbd(vm, disk)
    assert inside.failure("VBD.eject", hard) == ["VBD_NOT_REMOVABLE_MEDIA", hard]
    assert inside.failure("VBD.insert", hard, iso) == ["VBD_NOT_REMOVABLE_MEDIA", hard]
    assert inside.failure("VBD.eject", drive) == ["VBD_IS_EMPTY", drive]
    assert inside.failure("VBD.insert", drive, disk) == ["VDI_IS_NOT_ISO", disk, "user"]
    inside.call("VBD.insert", drive, iso)
    assert inside.failure("VBD.insert", drive, iso) == ["VBD_NOT_EMPTY", drive]
    assert inside.failure("VBD.set_mode", drive, "RW") == ["VBD_CDS_MUST_BE_READONLY"]
    assert inside.failure("VDI.destroy", iso) == ["SR_OPERATION_NOT_SUPPORTED", inside.sr("iso")]
    inside.call("VBD.eject", drive)


# --- transfers ---


def start_import(inside: Inside, vdi: str, **given: t.Any) -> Transfer:
    """An import on the master."""
    return inside.pool.start_import(inside.pool.master, inside.session, vdi, **given)


def start_export(inside: Inside, vdi: str, **given: t.Any) -> Transfer:
    """An export on the master."""
    return inside.pool.start_export(inside.pool.master, inside.session, vdi, **given)


def test_an_import(inside: Inside) -> None:
    vdi, task = inside.disk(), inside.call("task.create", "import", "")
    transfer = start_import(inside, inside.call("VDI.get_uuid", vdi), task=task)
    assert (transfer.vdi_ref, transfer.size, transfer.task, transfer.zeroed) == (vdi, 8 * MIB, task, True)
    assert inside.failure("VDI.destroy", vdi) == ["VDI_IN_USE", vdi, "destroy"]
    assert inside.failure("VDI.snapshot", vdi) == ["VDI_IN_USE", vdi, "snapshot"]
    vbds = [inside.call("VBD.get_record", vbd) for vbd in inside.call("VDI.get_VBDs", vdi)]
    assert [(vbd["mode"], inside.call("VM.get_is_control_domain", vbd["VM"])) for vbd in vbds] == [("RW", True)]
    transfer.progress(0.5)
    assert inside.call("task.get_progress", task) == 0.5
    inside.disks.taken[transfer.vdi] = MIB
    transfer.finish()
    record = inside.call("task.get_record", task)
    assert (record["status"], record["result"]) == ("success", f"<value>{vdi}</value>")
    assert inside.call("VDI.get_physical_utilisation", vdi) == MIB
    inside.call("VDI.destroy", vdi)


def test_an_import_that_fails(inside: Inside) -> None:
    vdi, task = inside.disk(), inside.call("task.create", "import", "")
    start_import(inside, vdi, task=task).fail("VDI_IO_ERROR", "Device I/O errors")
    record = inside.call("task.get_record", task)
    assert (record["status"], record["error_info"]) == ("failure", ["VDI_IO_ERROR", "Device I/O errors"])
    inside.call("VDI.destroy", vdi)


def test_an_import_that_a_test_wants_to_fail(inside: Inside) -> None:
    inside.pool.faults.next_import = ImportFault(code="SR_FULL", params=("1", "2"))
    transfer = start_import(inside, inside.disk())
    with pytest.raises(XapiError, match="SR_FULL"):
        transfer.finish()
    assert inside.call("task.get_error_info", transfer.task) == ["SR_FULL", "1", "2"]
    start_import(inside, inside.disk()).finish()


def test_an_import_that_is_cancelled(inside: Inside) -> None:
    transfer = start_import(inside, inside.disk())
    inside.call("task.cancel", transfer.task)
    with pytest.raises(XapiError, match="TASK_CANCELLED"):
        transfer.progress(0.1)
    transfer.fail("TASK_CANCELLED", transfer.task)
    assert inside.call("task.get_status", transfer.task) == "cancelled"


@pytest.mark.parametrize("name, code", [("no-such-uuid", "UUID_INVALID"), ("OpaqueRef:1", "HANDLE_INVALID")])
def test_a_disk_that_there_is_not(inside: Inside, name: str, code: str) -> None:
    task = inside.call("task.create", "import", "")
    for attempt in (start_import, start_export):
        with pytest.raises(XapiError, match=code):
            attempt(inside, name, task=task)
    with pytest.raises(XapiError, match=code):
        inside.pool.serves(inside.pool.master, name)
    assert inside.call("task.get_status", task) == "pending"


def test_disks_that_cannot_be_written_fail_after_they_were_let_in(inside: Inside) -> None:
    vm = inside.running()
    used, locked = inside.call("VBD.get_VDI", inside.call("VM.get_VBDs", vm)[0]), inside.disk(read_only=True)
    snapshotted = inside.disk()
    inside.call("VDI.snapshot", snapshotted)
    base = inside.call("VDI.get_by_uuid", inside.call("VDI.get_sm_config", snapshotted)["vhd-parent"])
    for vdi, code in ((used, "VDI_IN_USE"), (locked, "VDI_READONLY"), (base, "VDI_NOT_MANAGED")):
        transfer = start_import(inside, vdi)
        with pytest.raises(XapiError, match=code):
            transfer.finish()
        assert inside.call("task.get_error_info", transfer.task)[0] == code
    start_export(inside, locked).finish()


def test_exports(inside: Inside) -> None:
    vdi = inside.disk()
    snapshot = inside.call("VDI.snapshot", vdi)
    first, second = start_export(inside, vdi, base=inside.call("VDI.get_uuid", snapshot)), start_export(inside, vdi)
    assert (first.base, second.base) == (inside.call("VDI.get_uuid", snapshot), None)
    refused = start_import(inside, vdi)
    with pytest.raises(XapiError, match="VDI_IN_USE"):
        refused.progress(0.0)
    refused.fail("VDI_IN_USE", vdi, "attach")
    first.finish()
    second.finish()
    assert inside.call("task.get_result", first.task) == ""
    start_import(inside, vdi).finish()


def test_a_disk_that_a_machine_writes_to_is_not_exported(inside: Inside) -> None:
    vm = inside.running()
    vdi = inside.call("VBD.get_VDI", inside.call("VM.get_VBDs", vm)[0])
    transfer = start_export(inside, vdi)
    with pytest.raises(XapiError, match="VDI_IN_USE"):
        transfer.progress(0.0)
    transfer.fail("VDI_IN_USE", vdi, "attach")
    start_export(inside, inside.call("VDI.snapshot", vdi)).finish()


def test_which_host_has_a_disk(inside: Inside) -> None:
    shared, local = inside.disk(), inside.disk("local")
    assert inside.pool.serves(inside.world.master, shared) is inside.pool.serves(inside.world.slave, shared) is None
    assert inside.pool.serves(inside.world.master, local) == inside.world.slave
    assert inside.pool.serves(inside.world.slave, inside.call("VDI.get_uuid", local)) is None
    inside.call("PBD.unplug", inside.call("SR.get_PBDs", inside.sr("local"))[0])
    with pytest.raises(XapiError, match="SR_HAS_NO_PBDS"):
        inside.pool.serves(inside.world.slave, local)


def test_who_may_transfer(inside: Inside) -> None:
    front, host = inside.pool, inside.pool.master
    assert front.authorise(host, session=inside.session) == inside.session
    for given, code in (
        ({}, "SESSION_INVALID"),
        ({"session": "OpaqueRef:1", "user": "root", "password": "xenroot"}, "SESSION_INVALID"),
        ({"user": "root", "password": "wrong"}, "SESSION_AUTHENTICATION_FAILED"),
        ({"user": "reader", "password": "reader"}, "RBAC_PERMISSION_DENIED"),
    ):
        with pytest.raises(XapiError, match=code):
            front.authorise(host, **given)


def test_a_session_by_password_ends_with_its_transfer(inside: Inside) -> None:
    session = inside.pool.authorise(inside.pool.master, user="root", password="xenroot")
    transfer = inside.pool.start_import(inside.pool.master, session, inside.disk())
    transfer.finish()
    with pytest.raises(XapiError, match="SESSION_INVALID"):
        inside.pool.authorise(inside.pool.master, session=session)


def test_transfers_are_in_the_log(inside: Inside) -> None:
    vdi = inside.disk()
    inside.pool.faults.clear()
    start_import(inside, vdi).finish()
    start_export(inside, vdi).finish()
    assert [call.method for call in inside.pool.faults.calls] == ["PUT /import_raw_vdi", "GET /export_raw_vdi"]
    assert [call.method for call in inside.pool.faults.writes()] == ["PUT /import_raw_vdi"]


def test_disks_on_lvm_are_zeroed_if_they_are_vhds(inside: Inside) -> None:
    vdi = inside.disk("lvm")
    for zeroed, config in ((True, {"use_vhd": "true"}), (False, {})):
        inside.call("SR.set_sm_config", inside.sr("lvm"), config)
        transfer = start_import(inside, vdi)
        assert transfer.zeroed is zeroed and transfer.room() == storage.BOUNDLESS
        transfer.finish()


def test_the_world(inside: Inside) -> None:
    pool = next(iter(inside.call("pool.get_all_records").values()))
    assert pool["default_SR"] == inside.sr() and pool["master"] == inside.call("host.get_by_uuid", inside.world.master)
    assert [len(inside.call("SR.get_PBDs", inside.sr(name))) for name in ("shared", "lvm", "local", "iso")] == [2, 2, 1, 2]
    assert inside.call("SR.get_supported_types") == ["ext", "iso", "lvmoiscsi", "nfs"]
    assert [(end.name, end.master) for end in inside.pool.hosts()] == [("xen1", True), ("xen2", False)]
