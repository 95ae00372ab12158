# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines, templates, VIFs and hosts: their life, and what is refused on the way."""

from __future__ import annotations

import time
import typing as t

import pytest
from lab.xapi.ports import GuestDisk, GuestEvent

from ansible_collections.bootable.volumes.tests.unit.lab.xapi.inside import MIB, Inside, machine_record

GIB = 1 << 30
NULL = "OpaqueRef:NULL"


def template(inside: Inside, name: str = "Other install media") -> str:
    """One of the world's templates."""
    return t.cast(str, inside.call("VM.get_by_name_label", name)[0])


def host(inside: Inside, name: str = "master") -> str:
    """A host's reference."""
    return t.cast(str, inside.call("host.get_by_uuid", getattr(inside.world, name)))


# --- made ---


def test_a_machine_is_made(inside: Inside) -> None:
    vm = inside.machine(other_config={"mark": "mine"}, power_state="Running")
    record = inside.call("VM.get_record", vm)
    assert (record["power_state"], record["domain_type"], record["domid"], record["resident_on"]) == ("Halted", "hvm", -1, NULL)
    assert record["other_config"] == {"mark": "mine"} and record["VBDs"] == record["VIFs"] == []
    assert inside.call("VM_metrics.get_record", record["metrics"])["VCPUs_number"] == 0
    assert inside.call("VM.get_domain_type", inside.machine(HVM_boot_policy="")) == "pv"


@pytest.mark.parametrize("key", [
    "memory_static_max", "VCPUs_max", "platform", "HVM_boot_policy", "HVM_boot_params", "PV_args", "PCI_bus", "affinity", "recommendations", "user_version",
    "is_a_template", "other_config", "actions_after_shutdown",
])
def test_what_a_machine_needs(inside: Inside, key: str) -> None:
    record = machine_record()
    del record[key]
    assert inside.failure("VM.create", record) == ["INTERNAL_ERROR", f'Server_helpers.Dispatcher_FieldNotFound("{key}")']


def test_a_seed_belongs_to_one_machine(inside: Inside) -> None:
    vm = inside.machine(other_config={"mac_seed": "one"})
    assert inside.failure("VM.create", {**machine_record(), "other_config": {"mac_seed": "one"}}) == ["DUPLICATE_MAC_SEED", "one"]
    other = inside.machine()
    assert inside.failure("VM.add_to_other_config", other, "mac_seed", "one") == ["DUPLICATE_MAC_SEED", "one"]
    assert inside.failure("VM.set_other_config", other, {"mac_seed": "one"}) == ["DUPLICATE_MAC_SEED", "one"]
    inside.call("VM.set_other_config", vm, {"mac_seed": "one", "more": ""})
    assert inside.failure("VM.add_to_other_config", vm, "more", "")[0] == "MAP_DUPLICATE_KEY"


def test_a_host_that_there_is_not(inside: Inside) -> None:
    assert inside.failure("VM.create", {**machine_record(), "affinity": "OpaqueRef:1"}) == ["HANDLE_INVALID", "host", "OpaqueRef:1"]


def test_a_machine_is_destroyed_and_its_disks_stay(inside: Inside) -> None:
    vm = inside.running()
    record = inside.call("VM.get_record", vm)
    vdi = inside.call("VBD.get_VDI", record["VBDs"][0])
    assert inside.failure("VM.destroy", vm) == ["VM_BAD_POWER_STATE", vm, "halted", "running"]
    inside.call("VM.hard_shutdown", vm)
    inside.call("VM.destroy", vm)
    assert inside.failure("VM.get_record", vm) == ["HANDLE_INVALID", "VM", vm]
    for cls, ref in (("VBD", record["VBDs"][0]), ("VIF", record["VIFs"][0]), ("VM_metrics", record["metrics"])):
        assert inside.failure(cls + ".get_record", ref) == ["HANDLE_INVALID", cls, ref]
    assert inside.call("VDI.get_VBDs", vdi) == []
    ready = template(inside)
    assert inside.failure("VM.destroy", ready) == ["VM_CANNOT_DELETE_DEFAULT_TEMPLATE", ready]


# --- from templates ---


def test_a_clone_of_a_template_is_a_template_until_it_is_provisioned(inside: Inside) -> None:
    ready = template(inside)
    assert inside.failure("VM.start", ready, False, False) == ["VM_IS_TEMPLATE", ready]
    assert inside.failure("VM.provision", ready)[0] == "OPERATION_NOT_ALLOWED"
    assert inside.failure("VM.set_is_a_template", ready, False)[0] == "OPERATION_NOT_ALLOWED"
    vm = inside.call("VM.clone", ready, "one")
    record = inside.call("VM.get_record", vm)
    assert (record["is_a_template"], record["is_default_template"], record["name_label"]) == (True, False, "one")
    assert record["HVM_boot_params"] == {"order": "cd", "firmware": "bios"} and record["VBDs"] == []
    assert record["other_config"]["mac_seed"]
    inside.call("VM.provision", vm)
    assert not inside.call("VM.get_is_a_template", vm)
    assert inside.failure("VM.provision", vm) == ["PROVISION_ONLY_ALLOWED_ON_TEMPLATE"]
    inside.call("VM.start", vm, False, False)


def test_provisioning_makes_the_disks_that_the_template_asks_for(inside: Inside) -> None:
    vm = inside.call("VM.clone", template(inside, "Debian Bookworm 12"), "two")
    inside.call("VM.provision", vm)
    vbd = inside.call("VBD.get_record", inside.call("VM.get_VBDs", vm)[0])
    disk = inside.call("VDI.get_record", vbd["VDI"])
    assert (vbd["userdevice"], disk["virtual_size"], disk["SR"], disk["name_label"]) == ("0", 10 * GIB, inside.sr(), "two 0")
    assert "disks" not in inside.call("VM.get_other_config", vm)


def test_without_the_key_there_are_no_disks(inside: Inside) -> None:
    vm = inside.call("VM.clone", template(inside, "Debian Bookworm 12"), "two")
    inside.call("VM.remove_from_other_config", vm, "disks")
    inside.call("VM.provision", vm)
    assert inside.call("VM.get_VBDs", vm) == []


@pytest.mark.parametrize("disks, code", [
    ('<provision><disk device="0" size="1" sr="nowhere"/></provision>', "UUID_INVALID"),
    ('<provision><disk device="0" size="1"/><disk device="1" size="0"/></provision>', "SR_BACKEND_FAILURE_79"),
    ("<provision>", "INTERNAL_ERROR"),
])
def test_provisioning_that_fails_leaves_nothing(inside: Inside, disks: str, code: str) -> None:
    before = inside.call("VDI.get_all")
    vm = inside.call("VM.clone", template(inside), "three")
    inside.call("VM.add_to_other_config", vm, "disks", disks)
    assert inside.failure("VM.provision", vm)[0] == code
    assert inside.call("VDI.get_all") == before and inside.call("VM.get_is_a_template", vm)


def test_the_templates(inside: Inside) -> None:
    found = {row["name_label"]: row for row in inside.call("VM.get_all_records").values() if row["is_a_template"]}
    assert {name: row["HVM_boot_params"].get("firmware", "") for name, row in found.items()} == {
        "Other install media": "bios", "Debian Bookworm 12": "uefi", "Windows Server 2022 (64-bit)": "uefi", "Debian Jessie 8.0 (PV)": ""}
    assert all(row["is_default_template"] for row in found.values())


# --- started and stopped ---


def test_a_machine_runs(inside: Inside) -> None:
    vm = inside.running(name_label="web", HVM_boot_params={"order": "dc", "firmware": "uefi"})
    record = inside.call("VM.get_record", vm)
    assert (record["power_state"], record["resident_on"], record["guest_metrics"]) == ("Running", host(inside), NULL)
    assert record["domid"] > 0 and len(record["consoles"]) == 1
    assert vm in inside.call("host.get_resident_VMs", host(inside))
    vbd = inside.call("VBD.get_record", record["VBDs"][0])
    assert vbd["currently_attached"] and vbd["device"] == "xvda" and inside.call("VIF.get_currently_attached", record["VIFs"][0])
    metrics = inside.call("VM_metrics.get_record", record["metrics"])
    assert (metrics["memory_actual"], metrics["VCPUs_number"], metrics["hvm"]) == (256 * MIB, 1, True)
    guest = inside.guests.here[record["uuid"]][0]
    assert guest.disks == (GuestDisk(inside.call("VDI.get_uuid", vbd["VDI"]), 0, True, False, False),)
    assert (guest.name, guest.memory, guest.hvm, guest.firmware, guest.boot_order, guest.macs) == (
        "web", 256 * MIB, True, "uefi", "dc", ("02:00:00:00:00:77",))
    inside.call("VM.hard_shutdown", vm)
    record = inside.call("VM.get_record", vm)
    assert (record["power_state"], record["resident_on"], record["domid"], record["consoles"]) == ("Halted", NULL, -1, [])
    assert not inside.call("VBD.get_currently_attached", record["VBDs"][0]) and not inside.guests.here


@pytest.mark.parametrize("operation, expected, params", [
    ("clean_shutdown", "running", []),
    ("clean_reboot", "running", []),
    ("hard_reboot", "paused, running", []),
    ("hard_shutdown", "paused, suspended, running", []),
    ("shutdown", "running, paused, suspended", []),
    ("unpause", "paused", []),
])
def test_what_a_halted_machine_cannot(inside: Inside, operation: str, expected: str, params: t.List[t.Any]) -> None:
    vm = inside.machine()
    assert inside.failure("VM." + operation, vm, *params) == ["VM_BAD_POWER_STATE", vm, expected, "halted"]
    assert operation not in inside.call("VM.get_allowed_operations", vm)


def test_what_a_running_machine_cannot(inside: Inside) -> None:
    vm = inside.running()
    assert inside.failure("VM.start", vm, False, False) == ["VM_BAD_POWER_STATE", vm, "halted", "running"]
    for operation in ("clone", "copy"):
        params = ["x", inside.sr()][:1 if operation == "clone" else 2]
        assert inside.failure("VM." + operation, vm, *params) == ["VM_BAD_POWER_STATE", vm, "halted, suspended", "running"]
    assert inside.failure("VM.set_memory", vm, GIB)[0] == "VM_BAD_POWER_STATE"
    assert inside.failure("VM.set_VCPUs_max", vm, 4)[0] == "VM_BAD_POWER_STATE"
    assert inside.failure("VM.set_is_a_template", vm, True)[0] == "VM_BAD_POWER_STATE"
    assert inside.failure("VM.assert_operation_valid", vm, "start")[0] == "VM_BAD_POWER_STATE"
    inside.call("VM.assert_operation_valid", vm, "hard_shutdown")


def test_a_guest_without_tools_ends_only_the_hard_way(inside: Inside) -> None:
    vm = inside.running()
    assert inside.failure("VM.clean_shutdown", vm) == ["VM_LACKS_FEATURE_SHUTDOWN", vm]
    assert inside.failure("VM.clean_reboot", vm) == ["VM_LACKS_FEATURE", vm]
    assert inside.failure("VM.set_VCPUs_number_live", vm, 2) == ["VM_LACKS_FEATURE", vm]
    assert "clean_shutdown" not in inside.call("VM.get_allowed_operations", vm)
    inside.call("VM.hard_reboot", vm)
    inside.tell(vm, GuestEvent.BOOTED)
    assert "clean_shutdown" in inside.call("VM.get_allowed_operations", vm)
    inside.call("VM.set_VCPUs_number_live", vm, 2)
    assert inside.failure("VM.set_VCPUs_number_live", vm, 3) == ["INVALID_VALUE", "VCPUs_number_live", "3"]
    inside.call("VM.clean_reboot", vm)
    inside.tell(vm, GuestEvent.BOOTED)
    inside.call("VM.clean_shutdown", vm)
    assert inside.call("VM.get_power_state", vm) == "Halted"


def test_operations_that_somebody_blocked(inside: Inside) -> None:
    vm = inside.machine()
    inside.call("VM.add_to_blocked_operations", vm, "start", "NOT_TODAY")
    assert inside.failure("VM.start", vm, False, False) == ["OPERATION_BLOCKED", vm, "NOT_TODAY"]
    assert "start" not in inside.call("VM.get_allowed_operations", vm)
    inside.call("VM.remove_from_blocked_operations", vm, "start")
    inside.call("VM.start", vm, False, False)


def test_a_control_domain_is_nobodys(inside: Inside) -> None:
    dom0 = inside.call("host.get_control_domain", host(inside))
    for operation in ("hard_shutdown", "destroy"):
        assert inside.failure("VM." + operation, dom0)[0] == "OPERATION_NOT_ALLOWED"
    assert inside.call("VM.get_is_control_domain", dom0)


def test_started_paused(inside: Inside) -> None:
    vm = inside.machine()
    inside.call("VM.start", vm, True, False)
    assert inside.call("VM.get_power_state", vm) == "Paused" and not inside.guests.here
    inside.call("VM.unpause", vm)
    assert inside.call("VM.get_power_state", vm) == "Running" and len(inside.guests.here) == 1


def test_a_guest_that_ends_by_itself(inside: Inside) -> None:
    vm = inside.running()
    inside.tell(vm, GuestEvent.ENDED)
    assert inside.call("VM.get_power_state", vm) == "Halted"


def test_a_guest_that_reboots_by_itself(inside: Inside) -> None:
    vm = inside.running()
    inside.tell(vm, GuestEvent.BOOTED)
    inside.tell(vm, GuestEvent.REBOOTED)
    assert inside.call("VM.get_power_state", vm) == "Running" and inside.call("VM.get_guest_metrics", vm) == NULL
    inside.call("VM.set_actions_after_reboot", vm, "destroy")
    inside.tell(vm, GuestEvent.REBOOTED)
    assert inside.call("VM.get_power_state", vm) == "Halted"


def test_what_an_old_guest_tells_is_not_heard(inside: Inside) -> None:
    vm = inside.running()
    report = inside.guests.here[inside.call("VM.get_uuid", vm)][1]
    inside.call("VM.hard_reboot", vm)
    report(GuestEvent.ENDED)
    assert inside.call("VM.get_power_state", vm) == "Running"


def test_a_guest_that_cannot_start(inside: Inside) -> None:
    vm, pv = inside.machine(), pv_machine(inside)
    inside.vbd(pv, inside.disk())
    inside.guests.refuse = "no emulator"
    assert inside.failure("VM.start", vm, False, False) == ["FAILED_TO_START_EMULATOR", vm, "qemu", "no emulator"]
    assert inside.failure("VM.start", pv, False, False) == ["BOOTLOADER_FAILED", pv, "no emulator"]
    assert [inside.call("VM.get_power_state", ref) for ref in (vm, pv)] == ["Halted", "Halted"]


# --- guest metrics ---


def test_guest_metrics_appear_when_the_guest_is_up_and_go_when_it_starts_anew(inside: Inside) -> None:
    vm = inside.running()
    assert inside.call("VM.get_guest_metrics", vm) == NULL
    inside.tell(vm, GuestEvent.BOOTED)
    record = inside.call("VM_guest_metrics.get_record", inside.call("VM.get_guest_metrics", vm))
    assert record["PV_drivers_detected"] and record["live"] and record["networks"] == {"0/ip": "10.0.0.120", "0/ipv4/0": "10.0.0.120"}
    inside.call("VM.hard_shutdown", vm)
    inside.call("VM.start", vm, False, False)
    assert inside.call("VM.get_guest_metrics", vm) == NULL
    assert inside.call("VM_guest_metrics.get_all") == []


def test_tools_and_addresses_take_their_time(inside: Inside) -> None:
    inside.pool.faults.tools_delay = inside.pool.faults.ip_delay = 0.1
    vm = inside.running()
    inside.tell(vm, GuestEvent.BOOTED)
    assert inside.call("VM.get_guest_metrics", vm) == NULL
    wait_until(lambda: inside.call("VM.get_guest_metrics", vm) != NULL)
    metrics = inside.call("VM.get_guest_metrics", vm)
    assert inside.call("VM_guest_metrics.get_PV_drivers_detected", metrics)
    wait_until(lambda: bool(inside.call("VM_guest_metrics.get_networks", metrics)))


def wait_until(true: t.Callable[[], bool]) -> None:
    """For what another thread does."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_guest_that_was_stopped_does_not_report_any_more(inside: Inside) -> None:
    inside.pool.faults.tools_delay = 0.05
    vm = inside.running()
    inside.tell(vm, GuestEvent.BOOTED)
    timers = list(inside.pool._timers)
    inside.call("VM.hard_reboot", vm)
    for timer in timers:
        timer.join()
    assert inside.call("VM.get_guest_metrics", vm) == NULL


def test_a_guest_without_tools(inside: Inside) -> None:
    inside.pool.faults.tools = False
    vm = inside.running()
    inside.tell(vm, GuestEvent.BOOTED)
    assert inside.call("VM.get_guest_metrics", vm) == NULL and inside.call("VM.get_power_state", vm) == "Running"


# --- where it can start ---


@pytest.mark.parametrize("fields, failure", [
    ({"HVM_boot_params": {"firmware": "coreboot"}}, ["INVALID_VALUE", "HVM_boot_params:firmware", "coreboot"]),
    ({"VCPUs_max": 0}, ["INVALID_VALUE", "VCPUs_max", "0"]),
    ({"VCPUs_at_startup": 3}, ["INVALID_VALUE", "VCPUs_at_startup", "3"]),
    ({"VCPUs_at_startup": 17, "VCPUs_max": 17}, ["HOST_NOT_ENOUGH_PCPUS", "17", "16"]),
    ({"memory_static_max": 64 * MIB}, ["MEMORY_CONSTRAINT_VIOLATION"]),
    (dict.fromkeys(("memory_static_max", "memory_dynamic_max", "memory_dynamic_min", "memory_static_min"), MIB), ["MEMORY_CONSTRAINT_VIOLATION"]),
    (dict.fromkeys(("memory_static_max", "memory_dynamic_max"), 65 * GIB), ["HOST_NOT_ENOUGH_FREE_MEMORY", str(65 * GIB + 8 * MIB), str(64 * GIB)]),
])
def test_settings_are_looked_at_when_it_starts(inside: Inside, fields: t.Dict[str, t.Any], failure: t.List[str]) -> None:
    vm = inside.machine(**fields)
    assert inside.failure("VM.start", vm, False, False) == ["NO_HOSTS_AVAILABLE"]
    assert inside.failure("VM.assert_can_boot_here", vm, host(inside))[:len(failure)] == failure
    assert inside.failure("VM.start_on", vm, host(inside), False, False)[:len(failure)] == failure
    assert inside.call("VM.get_possible_hosts", vm) == []


def test_a_local_disk_keeps_a_machine_on_its_host(inside: Inside) -> None:
    vm = inside.machine(affinity=host(inside))
    inside.vbd(vm, inside.disk("local"))
    assert inside.failure("VM.assert_can_boot_here", vm, host(inside)) == ["VM_REQUIRES_SR", vm, inside.sr("local")]
    assert inside.call("VM.get_possible_hosts", vm) == [host(inside, "slave")]
    inside.call("VM.start", vm, False, False)
    assert inside.call("VM.get_resident_on", vm) == host(inside, "slave")


def test_affinity(inside: Inside) -> None:
    vm = inside.machine(affinity=host(inside, "slave"))
    inside.call("VM.start", vm, False, False)
    assert inside.call("VM.get_resident_on", vm) == host(inside, "slave")


def test_hosts_that_are_disabled(inside: Inside) -> None:
    vm = inside.machine()
    for ref in inside.call("host.get_all"):
        inside.call("host.disable", ref)
        assert inside.failure("VM.assert_can_boot_here", vm, ref) == ["HOST_DISABLED", ref]
    assert inside.failure("VM.start", vm, False, False) == ["NO_HOSTS_AVAILABLE"]
    inside.call("host.enable", host(inside))
    inside.call("VM.start", vm, False, False)


def test_a_network_that_is_not_everywhere(inside: Inside) -> None:
    vm = inside.machine()
    inside.vif(vm)
    network = inside.call("network.get_by_uuid", inside.world.network)
    for pif in inside.call("network.get_PIFs", network):
        if inside.call("PIF.get_host", pif) == host(inside):
            inside.change("PIF", pif, currently_attached=False)
    assert inside.failure("VM.assert_can_boot_here", vm, host(inside)) == ["VM_REQUIRES_NETWORK", vm, network]
    inside.call("VM.assert_can_boot_here", vm, host(inside, "slave"))


def test_a_disk_that_is_gone(inside: Inside) -> None:
    vm = inside.machine()
    vbd = inside.vbd(vm, inside.disk())
    inside.change("VBD", vbd, VDI="OpaqueRef:1")
    assert inside.failure("VM.start_on", vm, host(inside), False, False) == ["VM_REQUIRES_VDI", vm, "OpaqueRef:1"]


def test_memory_is_shared(inside: Inside) -> None:
    free = inside.call("host.compute_free_memory", host(inside))
    inside.running()
    assert inside.call("host.compute_free_memory", host(inside)) == free - 256 * MIB - inside.call("VM.compute_memory_overhead", inside.machine())


def test_a_read_only_disk_is_not_for_hvm(inside: Inside) -> None:
    vm = inside.machine()
    vbd = inside.vbd(vm, inside.disk(), mode="RO")
    assert inside.failure("VM.start", vm, False, False) == ["DISK_VBD_MUST_BE_READWRITE_FOR_HVM", vbd]


# --- PV ---


def pv_machine(inside: Inside, **fields: t.Any) -> str:
    """A machine that boots through a bootloader of the host's."""
    return inside.machine(**{"HVM_boot_policy": "", "HVM_boot_params": {}, "PV_bootloader": "pygrub", **fields})


def test_pv_boots_from_the_bootable_disk(inside: Inside) -> None:
    vm = pv_machine(inside)
    inside.vbd(vm, inside.disk(), bootable=False)
    assert inside.failure("VM.start", vm, False, False) == ["BOOTLOADER_FAILED", vm, "no bootable disk"]
    inside.vbd(vm, inside.disk(), userdevice="1")
    inside.call("VM.start", vm, False, False)
    guest = inside.guests.here[inside.call("VM.get_uuid", vm)][0]
    assert not guest.hvm and [disk.bootable for disk in guest.disks] == [False, True]
    inside.call("VM.clean_shutdown", vm)


@pytest.mark.parametrize("fields, failure", [
    ({"PV_bootloader": "lilo"}, ["UNKNOWN_BOOTLOADER", "lilo"]),
    ({"PV_bootloader": ""}, ["BOOTLOADER_FAILED", "no bootloader and no kernel"]),
])
def test_pv_without_a_bootloader(inside: Inside, fields: t.Dict[str, t.Any], failure: t.List[str]) -> None:
    vm = pv_machine(inside, **fields)
    inside.vbd(vm, inside.disk())
    assert inside.failure("VM.start", vm, False, False) == [failure[0], vm, failure[1]]


def test_policy_and_domain_type_go_together(inside: Inside) -> None:
    vm = inside.machine()
    inside.call("VM.set_HVM_boot_policy", vm, "")
    assert inside.call("VM.get_domain_type", vm) == "pv"
    inside.call("VM.set_domain_type", vm, "hvm")
    assert inside.call("VM.get_HVM_boot_policy", vm) == "BIOS order"


# --- settings ---


def test_memory(inside: Inside) -> None:
    vm = inside.machine()
    inside.call("VM.set_memory", vm, GIB)
    assert limits(inside, vm) == [256 * MIB, GIB, GIB, GIB]
    inside.call("VM.set_memory", vm, 128 * MIB)
    assert limits(inside, vm) == [128 * MIB] * 4
    inside.call("VM.set_memory_limits", vm, MIB, 8 * MIB, 2 * MIB, 4 * MIB)
    assert limits(inside, vm) == [MIB, 2 * MIB, 4 * MIB, 8 * MIB]
    for method, params in (
        ("limits", [8, 4, 2, 1]), ("static_range", [3 * MIB, 8 * MIB]), ("dynamic_range", [MIB, 16 * MIB]), ("static_min", [3 * MIB]),
        ("static_max", [MIB]), ("dynamic_min", [5 * MIB]), ("dynamic_max", [9 * MIB]),
    ):
        assert inside.failure("VM.set_memory_" + method, vm, *params)[0] == "MEMORY_CONSTRAINT_VIOLATION"
    for method, params in (
        ("static_range", [MIB, 16 * MIB]), ("dynamic_range", [MIB, 16 * MIB]), ("dynamic_max", [8 * MIB]), ("dynamic_min", [2 * MIB]),
        ("static_max", [9 * MIB]), ("static_min", [2 * MIB]),
    ):
        inside.call("VM.set_memory_" + method, vm, *params)
    assert limits(inside, vm) == [2 * MIB, 2 * MIB, 8 * MIB, 9 * MIB]


def limits(inside: Inside, vm: str) -> t.List[int]:
    """From the lowest to the highest, as they should be."""
    return [inside.call(f"VM.get_memory_{name}", vm) for name in ("static_min", "dynamic_min", "dynamic_max", "static_max")]


def test_processors(inside: Inside) -> None:
    vm = inside.machine()
    assert inside.failure("VM.set_VCPUs_at_startup", vm, 3) == ["INVALID_VALUE", "VCPUs_at_startup", "3"]
    inside.call("VM.set_VCPUs_max", vm, 4)
    inside.call("VM.set_VCPUs_at_startup", vm, 3)
    assert inside.failure("VM.set_VCPUs_max", vm, 2) == ["INVALID_VALUE", "VCPUs_max", "2"]


# --- copies ---


def test_a_snapshot_of_a_running_machine(inside: Inside) -> None:
    vm = inside.running(other_config={"mark": "mine"})
    snapshot = inside.call("VM.snapshot", vm, "before")
    record = inside.call("VM.get_record", snapshot)
    assert (record["is_a_snapshot"], record["is_a_template"], record["snapshot_of"], record["power_state"]) == (True, True, vm, "Halted")
    assert record["snapshot_info"]["power-state-at-snapshot"] == "Running" and record["other_config"] == {"mark": "mine"}
    assert inside.call("VM.get_snapshots", vm) == [snapshot]
    own, theirs = (inside.call("VBD.get_VDI", inside.call("VM.get_VBDs", ref)[0]) for ref in (vm, snapshot))
    assert inside.call("VDI.get_snapshot_of", theirs) == own
    macs = [inside.call("VIF.get_MAC", inside.call("VM.get_VIFs", ref)[0]) for ref in (vm, snapshot)]
    assert macs[0] == macs[1]
    assert inside.failure("VM.start", snapshot, False, False) == ["VM_IS_TEMPLATE", snapshot]
    assert inside.failure("VM.snapshot", snapshot, "again") == ["VM_IS_TEMPLATE", snapshot]
    inside.call("VM.destroy", snapshot)
    inside.call("VDI.destroy", theirs)


def test_a_snapshot_without_some_disks(inside: Inside) -> None:
    vm = inside.running()
    vdi = inside.call("VBD.get_VDI", inside.call("VM.get_VBDs", vm)[0])
    assert inside.call("VM.get_VBDs", inside.call("VM.snapshot", vm, "before", [vdi])) == []


def test_a_machine_from_a_snapshot(inside: Inside) -> None:
    vm = inside.running()
    snapshot = inside.call("VM.snapshot", vm, "before")
    copy = inside.call("VM.clone", snapshot, "after")
    record = inside.call("VM.get_record", copy)
    assert (record["is_a_template"], record["is_a_snapshot"], record["snapshot_of"], record["parent"]) == (True, False, NULL, snapshot)
    inside.call("VM.provision", copy)
    inside.call("VM.start", copy, False, False)


def test_clones_and_copies(inside: Inside) -> None:
    vm = inside.machine()
    vdi = inside.disk()
    inside.vbd(vm, vdi)
    inside.vif(vm)
    clone, copy = inside.call("VM.clone", vm, "clone"), inside.call("VM.copy", vm, "copy", inside.sr("lvm"))
    for ref, sr in ((clone, "shared"), (copy, "lvm")):
        disk = inside.call("VDI.get_record", inside.call("VBD.get_VDI", inside.call("VM.get_VBDs", ref)[0]))
        assert disk["SR"] == inside.sr(sr) and ("vhd-parent" in disk["sm_config"]) == (sr == "shared")
        assert inside.call("VIF.get_MAC", inside.call("VM.get_VIFs", ref)[0]) != "02:00:00:00:00:77"
        assert not inside.call("VM.get_is_a_template", ref)
    assert inside.call("VM.copy", vm, "copy", NULL)


def test_a_copy_that_fails_leaves_nothing(inside: Inside) -> None:
    vm = inside.machine()
    inside.vbd(vm, inside.disk())
    inside.vbd(vm, inside.disk("lvm", 40 * GIB), userdevice="1")
    before = [inside.call(cls + ".get_all") for cls in ("VM", "VDI", "VBD", "VM_metrics")]
    assert inside.failure("VM.copy", vm, "copy", NULL)[0] == "SR_BACKEND_FAILURE_44"
    assert [inside.call(cls + ".get_all") for cls in ("VM", "VDI", "VBD", "VM_metrics")] == before


def test_a_disk_that_is_being_imported_is_left_alone(inside: Inside) -> None:
    vm, vdi = inside.machine(), inside.disk()
    inside.vbd(vm, vdi)
    transfer = inside.pool.start_import(inside.pool.master, inside.session, vdi)
    assert inside.failure("VM.clone", vm, "x") == ["VDI_IN_USE", vdi, "clone"]
    assert inside.failure("VM.copy", vm, "x", NULL) == ["VDI_IN_USE", vdi, "attach"]
    assert inside.failure("VM.snapshot", vm, "x") == ["VDI_IN_USE", vdi, "snapshot"]
    assert inside.failure("VM.start", vm, False, False) == ["VDI_IN_USE", vdi, "attach"]
    transfer.finish()
    inside.call("VM.start", vm, False, False)


def test_cds_are_shared(inside: Inside) -> None:
    vm = inside.machine()
    iso = next(ref for ref, row in inside.call("VDI.get_all_records").items() if row["is_tools_iso"])
    inside.vbd(vm, iso, type="CD", mode="RO", userdevice="3")
    assert inside.call("VBD.get_VDI", inside.call("VM.get_VBDs", inside.call("VM.clone", vm, "x"))[0]) == iso


# --- VIFs and networks ---


@pytest.mark.parametrize("change, failure", [
    ({"device": "7"}, ["INVALID_DEVICE", "7"]),
    ({"device": "eth0"}, ["INVALID_DEVICE", "eth0"]),
    ({"MAC": ""}, ["MAC_INVALID", ""]),
    ({"MAC": "02:00:00:00:00"}, ["MAC_INVALID", "02:00:00:00:00"]),
    ({"MAC": "03:00:00:00:00:01"}, ["MAC_INVALID", "03:00:00:00:00:01"]),
    ({"network": NULL}, ["HANDLE_INVALID", "network", NULL]),
])
def test_vifs_that_make_no_sense(inside: Inside, change: t.Dict[str, t.Any], failure: t.List[str]) -> None:
    assert inside.failure("VIF.create", {**inside.vif_record(inside.machine()), **change}) == failure


def test_a_mac_comes_from_the_seed(inside: Inside) -> None:
    vm = inside.machine(other_config={"mac_seed": "one"})
    first = inside.call("VIF.get_record", inside.vif(vm, MAC=""))
    assert first["MAC_autogenerated"]
    assert int(first["MAC"][:2], 16) & 3 == 2
    second = inside.call("VIF.get_record", inside.vif(vm, MAC="02:AA:00:00:00:01", device="autodetect"))
    assert (second["MAC"], second["device"], second["MAC_autogenerated"]) == ("02:aa:00:00:00:01", "1", False)
    assert inside.failure("VIF.create", inside.vif_record(vm)) == ["DEVICE_ALREADY_EXISTS", "0"]
    assert inside.call("VM.get_allowed_VIF_devices", vm) == ["2", "3", "4", "5", "6"]


def test_vifs_come_and_go(inside: Inside) -> None:
    vm = inside.running()
    vif = inside.call("VM.get_VIFs", vm)[0]
    assert inside.failure("VIF.destroy", vif)[0] == "OPERATION_NOT_ALLOWED"
    assert inside.failure("VIF.plug", vif) == ["DEVICE_ALREADY_ATTACHED", vif]
    assert inside.failure("VIF.unplug", vif) == ["VM_MISSING_PV_DRIVERS", vm]
    inside.tell(vm, GuestEvent.BOOTED)
    inside.call("VIF.unplug", vif)
    assert inside.failure("VIF.unplug", vif) == ["DEVICE_ALREADY_DETACHED", vif]
    inside.call("VIF.plug", vif)
    private = inside.call("network.get_by_uuid", inside.world.private)
    inside.call("VIF.move", vif, private)
    assert inside.call("network.get_VIFs", private) == [vif]
    assert inside.failure("network.destroy", private) == ["NETWORK_CONTAINS_VIF", vif]
    inside.call("VIF.unplug", vif)
    inside.call("VIF.destroy", vif)


def test_networks(inside: Inside) -> None:
    network = inside.call("network.create", {"name_label": "mine", "other_config": {}})
    assert inside.call("network.get_bridge", network).startswith("xapi")
    inside.call("network.destroy", network)
    pool_wide = inside.call("network.get_by_uuid", inside.world.network)
    assert inside.failure("network.destroy", pool_wide)[0] == "NETWORK_CONTAINS_PIF"
    internal = inside.call("network.get_by_name_label", "Host internal management network")[0]
    assert inside.failure("network.destroy", internal) == ["CANNOT_DESTROY_SYSTEM_NETWORK", internal]


# --- hosts ---


def test_the_pool_changes_its_master_by_request(inside: Inside) -> None:
    inside.call("pool.designate_new_master", host(inside, "slave"))
    assert [end.master for end in inside.pool.hosts()] == [False, True]


def test_hosts(inside: Inside) -> None:
    methods = inside.call("host.list_methods")
    assert {"VM.start", "VDI.get_record", "event.from"} <= set(methods) and "VM.snapshot_with_quiesce" not in methods
    assert inside.call("host.get_servertime", host(inside)).endswith("Z")
    inside.call("pool.sync_database")


def test_closing_stops_all_guests(inside: Inside) -> None:
    inside.running()
    inside.running()
    inside.pool.close()
    assert not inside.guests.here
