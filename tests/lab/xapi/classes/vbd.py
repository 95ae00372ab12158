"""VBDs: a disk or a CD in a machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .. import storage
from ..ports import XapiError
from ..registry import Call, handles
from ..schema import NULL

if TYPE_CHECKING:
    from ..pool import Pool

DEVICES = [str(number) for number in range(16)]
REFUSED = {"ha_statefile", "redo_log", "cbt_metadata"}
"""Types of VDIs that no machine may have."""


def device_number(name: str) -> int | None:
    """0 for "0", "xvda", "hda", "sda"; None for what is no device."""
    if name in DEVICES:
        return int(name)
    match = re.fullmatch(r"(?:xvd|hd|sd)([a-p])", name)
    return ord(match[1]) - ord("a") if match else None


def free_devices(pool: Pool, vm: str) -> list[str]:
    """The devices that a machine has left; 3 is kept for the CD."""
    taken = {device_number(pool.database.row("VBD", vbd)["userdevice"]) for vbd in pool.database.find("VBD", VM=vm)}
    return [name for name in DEVICES if int(name) not in taken]


def assert_iso(pool: Pool, vdi: str) -> None:
    """Raises VDI_IS_NOT_ISO for what is not in an ISO SR."""
    row = pool.database.row("VDI", vdi)
    if pool.database.row("SR", row["SR"])["content_type"] != "iso":
        raise XapiError("VDI_IS_NOT_ISO", vdi, row["type"])


def check_medium(pool: Pool, record: dict[str, Any]) -> None:
    """That the VDI exists and may be used like this."""
    row = pool.database.row("VDI", record["VDI"])
    if record["type"] == "CD":
        assert_iso(pool, record["VDI"])
    if row["type"] in REFUSED:
        raise XapiError("VDI_INCOMPATIBLE_TYPE", record["VDI"], row["type"])
    if not row["managed"]:
        raise XapiError("VDI_NOT_MANAGED", record["VDI"])
    if record["mode"] == "RW" and row["read_only"]:
        raise XapiError("VDI_READONLY", record["VDI"])
    storage.assert_attachable(pool, record["VDI"], writes=record["mode"] == "RW")


@handles("VBD.create")
def create(call: Call, record: dict[str, Any]) -> str:
    """Raises VBD_CDS_MUST_BE_READONLY, VDI_READONLY, INVALID_DEVICE, DEVICE_ALREADY_EXISTS, VDI_IN_USE."""
    pool = call.pool
    vm = pool.database.row("VM", record["VM"])
    if record["type"] == "CD" and record["mode"] != "RO":
        raise XapiError("VBD_CDS_MUST_BE_READONLY")
    if record["empty"]:
        record["VDI"] = NULL
    else:
        check_medium(pool, record)
    free = free_devices(pool, record["VM"])
    if record["userdevice"] == "autodetect":
        if not free:
            raise XapiError("INVALID_DEVICE", record["userdevice"])
        record["userdevice"] = free[0]
    number = device_number(record["userdevice"])
    if number is None:
        raise XapiError("INVALID_DEVICE", record["userdevice"])
    if str(number) not in free:
        raise XapiError("DEVICE_ALREADY_EXISTS", record["userdevice"])
    if vm["is_control_domain"]:
        raise XapiError("OPERATION_NOT_ALLOWED", "The control domain's devices are not for users to make")
    record.update(currently_attached=False, device="")
    return pool.database.create("VBD", **record)


def attached_to(call: Call, ref: str) -> dict[str, Any]:
    """The machine of a VBD."""
    return call.pool.database.row("VM", call.pool.database.row("VBD", ref)["VM"])


def assert_running(call: Call, cls: str, ref: str) -> None:
    """Raises VM_BAD_POWER_STATE, or VM_MISSING_PV_DRIVERS for a machine that could not see it."""
    vm_ref = call.pool.database.row(cls, ref)["VM"]
    vm = call.pool.database.row("VM", vm_ref)
    if vm["power_state"] != "Running":
        raise XapiError("VM_BAD_POWER_STATE", vm_ref, "running", vm["power_state"].lower())
    if vm["domain_type"] == "hvm" and vm["guest_metrics"] == NULL:
        raise XapiError("VM_MISSING_PV_DRIVERS", vm_ref)


@handles("VBD.destroy")
def destroy(call: Call, ref: str) -> None:
    """Raises OPERATION_NOT_ALLOWED while it is attached."""
    row = call.pool.database.row("VBD", ref)
    if row["currently_attached"]:
        raise XapiError("OPERATION_NOT_ALLOWED", f"VBD '{row['uuid']}' still attached to '{attached_to(call, ref)['uuid']}'")
    call.pool.database.destroy("VBD", ref)


@handles("VBD.plug")
def plug(call: Call, ref: str) -> None:
    """Into a machine that runs."""
    row = call.pool.database.row("VBD", ref)
    if row["currently_attached"]:
        raise XapiError("DEVICE_ALREADY_ATTACHED", ref)
    assert_running(call, "VBD", ref)
    if row["empty"]:
        raise XapiError("VBD_IS_EMPTY", ref)
    storage.assert_attachable(call.pool, row["VDI"], writes=row["mode"] == "RW")
    attach(call.pool, ref)


def attach(pool: Pool, ref: str) -> None:
    """The machine sees it."""
    number = device_number(pool.database.row("VBD", ref)["userdevice"]) or 0
    pool.database.set("VBD", ref, currently_attached=True, device=f"xvd{chr(ord('a') + number)}")


def detach(pool: Pool, ref: str) -> None:
    """The machine sees it no more."""
    pool.database.set("VBD", ref, currently_attached=False, device="")
    storage.refresh(pool, pool.database.row("VBD", ref)["VDI"])


@handles("VBD.unplug", "VBD.unplug_force")
def unplug(call: Call, ref: str) -> None:
    """Out of a machine that runs; not the disk that it runs from."""
    row = call.pool.database.row("VBD", ref)
    if not row["currently_attached"]:
        raise XapiError("DEVICE_ALREADY_DETACHED", ref)
    if not row["unpluggable"]:
        raise XapiError("VBD_NOT_UNPLUGGABLE", ref)
    assert_running(call, "VBD", ref)
    if device_number(row["userdevice"]) == 0:
        raise XapiError("DEVICE_DETACH_REJECTED", "VBD", ref, "Device is in use")
    detach(call.pool, ref)


@handles("VBD.eject")
def eject(call: Call, ref: str) -> None:
    """Takes the CD out."""
    row = call.pool.database.row("VBD", ref)
    if row["type"] != "CD":
        raise XapiError("VBD_NOT_REMOVABLE_MEDIA", ref)
    if row["empty"]:
        raise XapiError("VBD_IS_EMPTY", ref)
    call.pool.database.set("VBD", ref, VDI=NULL, empty=True)


@handles("VBD.insert")
def insert(call: Call, ref: str, vdi: str) -> None:
    """Puts a CD in."""
    row = call.pool.database.row("VBD", ref)
    if row["type"] != "CD":
        raise XapiError("VBD_NOT_REMOVABLE_MEDIA", ref)
    if not row["empty"]:
        raise XapiError("VBD_NOT_EMPTY", ref)
    assert_iso(call.pool, vdi)
    call.pool.database.set("VBD", ref, VDI=vdi, empty=False)


@handles("VBD.assert_attachable")
def assert_attachable(call: Call, ref: str) -> None:
    """Raises what plugging would."""
    row = call.pool.database.row("VBD", ref)
    storage.assert_attachable(call.pool, row["VDI"], writes=row["mode"] == "RW")


@handles("VBD.set_mode")
def set_mode(call: Call, ref: str, mode: str) -> None:
    """Of a machine that is halted."""
    row = call.pool.database.row("VBD", ref)
    vm = attached_to(call, ref)
    if vm["power_state"] != "Halted":
        raise XapiError("VM_BAD_POWER_STATE", row["VM"], "halted", vm["power_state"].lower())
    if row["type"] == "CD" and mode != "RO":
        raise XapiError("VBD_CDS_MUST_BE_READONLY")
    call.pool.database.set("VBD", ref, mode=mode)


@handles("VBD.set_userdevice")
def set_userdevice(call: Call, ref: str, device: str) -> None:
    """Another place in the same machine."""
    number = device_number(device)
    if number is None:
        raise XapiError("INVALID_DEVICE", device)
    if str(number) not in free_devices(call.pool, call.pool.database.row("VBD", ref)["VM"]):
        raise XapiError("DEVICE_ALREADY_EXISTS", device)
    call.pool.database.set("VBD", ref, userdevice=device)
