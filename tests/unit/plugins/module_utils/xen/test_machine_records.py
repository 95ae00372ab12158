# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machine_records import DiskMark, Hardware, Mark

MIB = 1 << 20
UUID = "0b2c5f7e-6f0c-4b0e-9d6f-1f4f3f3c3a11"
CONTENT = {"origin": "glance", "image_id": "i", "image_name": "n", "checksum": None}


def record(**fields: t.Any) -> t.Dict[str, t.Any]:
    """A machine as XAPI tells of it."""
    return dict({
        "uuid": UUID, "name_label": "a", "name_description": "", "VCPUs_max": "1", "VCPUs_at_startup": "1", "memory_static_max": str(256 * MIB),
        "memory_static_min": str(128 * MIB), "memory_dynamic_max": str(256 * MIB), "memory_dynamic_min": str(256 * MIB), "HVM_boot_policy": "BIOS order",
        "HVM_boot_params": {}, "PV_args": "", "PV_bootloader": "", "PV_kernel": "", "platform": {"acpi": "1"}, "domain_type": "hvm",
        "affinity": records.NULL, "other_config": {}, "tags": [],
    }, **fields)


# --- marks ---


def test_a_mark_comes_back_as_it_was_kept() -> None:
    mark = Mark(records.BUILDING, CONTENT, sr="s", run="r")
    found = Mark.of(record(other_config={records.MARK: mark.pack()}))
    assert found == mark and json.loads(mark.pack())["image_id"] == "i"
    assert Mark(records.BUILDING, CONTENT).token != mark.token


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"state": "ready"}', '{"token": "t"}'])
def test_what_is_no_mark_is_none(text: str) -> None:
    assert Mark.of(record(other_config={records.MARK: text})) is None
    assert DiskMark.of(UUID, {records.MARK: text}) is None


def test_a_copy_of_a_machine_or_disk_has_no_mark() -> None:
    """VM.clone, VM.copy, VDI.clone and VDI.snapshot copy other_config."""
    ready = Mark(records.READY, CONTENT, vm=UUID).pack()
    assert Mark.of(record(other_config={records.MARK: ready})) is not None
    assert Mark.of(record(uuid="another", other_config={records.MARK: ready})) is None
    disk = DiskMark("vm", "vdi").pack()
    assert DiskMark.of("vdi", {records.MARK: disk}) == DiskMark("vm", "vdi")
    assert DiskMark.of("another", {records.MARK: disk}) is None


# --- hardware ---


def test_hardware_is_read_from_a_record() -> None:
    assert records.hardware_of(record()) == Hardware(1, 256 * MIB, "bios", False, "hvm", "cd", "", "", records.NULL)
    uefi = record(HVM_boot_params={"firmware": "uefi", "order": "n"}, platform={"secureboot": "true"}, name_description="d", VCPUs_max="4")
    assert records.hardware_of(uefi) == Hardware(4, 256 * MIB, "uefi", True, "hvm", "n", "", "d", records.NULL)


@pytest.mark.parametrize("domain_type, policy, mode", [
    ("hvm", "BIOS order", "hvm"), ("pv", "", "pv"), ("pv_in_pvh", "", "pv"), ("pvh", "", "hvm"), ("unspecified", "", "pv"),
    ("unspecified", "BIOS order", "hvm"),
])
def test_how_a_machine_boots(domain_type: str, policy: str, mode: str) -> None:
    found = records.hardware_of(record(domain_type=domain_type, HVM_boot_policy=policy))
    assert found.mode == mode and (found.firmware is None) is (mode == "pv")
    older = record(HVM_boot_policy=policy)
    del older["domain_type"]
    assert records.hardware_of(older).mode == ("hvm" if policy else "pv")


def test_what_is_not_asked_for_is_not_compared() -> None:
    assert records.differing(record(VCPUs_max="9", VCPUs_at_startup="9"), Hardware()) == {}
    assert records.differing(record(), Hardware(vcpus=1, memory=256 * MIB, firmware="bios")) == {}
    assert records.differing(record(), Hardware(vcpus=2, firmware="uefi", description="d")) == {
        "vcpus": (1, 2), "firmware": ("bios", "uefi"), "description": ("", "d")}


def test_processors_that_are_not_all_started_are_not_what_was_asked_for() -> None:
    assert records.differing(record(VCPUs_max="4"), Hardware(vcpus=4)) == {"vcpus": (1, 4)}


@pytest.mark.parametrize("hardware", [
    Hardware(vcpus=3), Hardware(memory=64 * MIB), Hardware(memory=512 * MIB), Hardware(firmware="uefi"), Hardware(firmware="uefi", secure_boot=True),
    Hardware(mode="pv", pv_args="quiet"), Hardware(boot_order="nd"), Hardware(description="d"), Hardware(affinity="OpaqueRef:1"),
])
def test_fields_make_the_machine_what_is_wanted_and_are_needed_once(hardware: Hardware) -> None:
    before = record()
    fields = records.fields_for(before, hardware)
    assert fields and all(before[name] != value for name, value in fields.items())
    after = dict(before, **fields)
    assert records.differing(after, hardware) == {} and records.fields_for(after, hardware) == {}
    memory = [int(after["memory_" + name]) for name in ("static_min", "dynamic_min", "dynamic_max", "static_max")]
    assert memory == sorted(memory)


def test_the_device_model_goes_with_the_firmware() -> None:
    uefi = dict(record(), **records.fields_for(record(), Hardware(firmware="uefi")))
    assert uefi["platform"]["device-model"] == "qemu-upstream-uefi" and uefi["HVM_boot_params"] == {"firmware": "uefi"}
    bios = dict(uefi, **records.fields_for(uefi, Hardware(firmware="bios")))
    assert bios["platform"]["device-model"] == "qemu-upstream-compat"


def test_sockets_that_the_processors_would_not_fill_are_given_up() -> None:
    two = record(platform={"cores-per-socket": "2"})
    assert records.fields_for(two, Hardware(vcpus=4)) == {"VCPUs_max": "4", "VCPUs_at_startup": "4"}
    assert records.fields_for(two, Hardware(vcpus=3))["platform"] == {}


def test_pv_reads_the_kernel_from_the_disk_unless_the_template_knows_better() -> None:
    assert records.fields_for(record(), Hardware(mode="pv"))["PV_bootloader"] == "pygrub"
    assert "PV_bootloader" not in records.fields_for(record(PV_bootloader="eliloader"), Hardware(mode="pv"))
    assert "PV_bootloader" not in records.fields_for(record(PV_kernel="/boot/guest"), Hardware(mode="pv"))


# --- what calls are given ---


def test_a_new_machine_is_the_template_but_for_its_history() -> None:
    template = record(is_a_template=True, is_default_template=True, name_label="T", name_description="of a template", power_state="Halted",
                      other_config={"default_template": "true", "disks": "<provision/>", "mac_seed": "x", "install-methods": "cdrom", "bootable:lock": "y"})
    mark = Mark(records.BUILDING, CONTENT)
    made = records.new_machine(template, "a", Hardware(vcpus=2), mark)
    assert made["name_label"] == "a" and made["name_description"] == "" and made["is_a_template"] is False and made["VCPUs_max"] == "2"
    assert made["other_config"] == {"install-methods": "cdrom", "base_template_name": "T", "mac_seed": mark.token, records.MARK: mark.pack()}
    assert not made.keys() & {"uuid", "power_state", "is_default_template"} and made["platform"] == template["platform"]
