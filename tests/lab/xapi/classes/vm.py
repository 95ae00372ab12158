"""Machines and templates: made and destroyed."""

from __future__ import annotations

import uuid
from typing import Any

from .. import generic
from ..ports import XapiError
from ..registry import Call, handles
from ..schema import NULL
from . import boot, power, vbd, vif


def assert_seed_free(call: Call, config: dict[str, str], own: str = "") -> None:
    """Two machines with one seed would have the same MACs. Raises DUPLICATE_MAC_SEED."""
    seed = config.get(vif.SEED)
    for ref, row in call.pool.database.items("VM"):
        if seed and ref != own and row["other_config"].get(vif.SEED) == seed:
            raise XapiError("DUPLICATE_MAC_SEED", seed)


@handles("VM.create")
def create(call: Call, record: dict[str, Any]) -> str:
    """A machine without disks. Whether its settings make sense is only seen when it starts."""
    database = call.pool.database
    if record["affinity"] != NULL:
        database.row("host", record["affinity"])
    assert_seed_free(call, record["other_config"])
    if record["domain_type"] == "unspecified":
        record["domain_type"] = "hvm" if boot.hvm(record) else "pv"
    if not record["generation_id"]:
        record["generation_id"] = "{}:{}".format(*(uuid.uuid4().int >> 65 for dummy in range(2)))
    record["power_state"] = "Halted"
    return database.create("VM", metrics=power.fresh_metrics(call.pool), domid=-1, resident_on=NULL, memory_overhead=boot.OVERHEAD, **record)


@handles("VM.destroy")
def destroy(call: Call, ref: str) -> None:
    """A machine, a template or a snapshot, with its devices; not the disks."""
    database = call.pool.database
    if database.row("VM", ref)["is_default_template"]:
        raise XapiError("VM_CANNOT_DELETE_DEFAULT_TEMPLATE", ref)
    power.assert_operation(call.pool, ref, "destroy")
    remove(call, ref)


def remove(call: Call, ref: str) -> None:
    """The machine and all that belongs to it."""
    database = call.pool.database
    row = database.row("VM", ref)
    for cls in ("VBD", "VIF", "console"):
        for found in database.find(cls, VM=ref):
            database.destroy(cls, found)
    database.destroy("VM_metrics", row["metrics"])
    database.destroy("VM_guest_metrics", row["guest_metrics"])
    database.destroy("VM", ref)


@handles("VM.get_allowed_VBD_devices")
def vbd_devices(call: Call, ref: str) -> list[str]:
    """Where a disk could go."""
    return vbd.free_devices(call.pool, ref)


@handles("VM.get_allowed_VIF_devices")
def vif_devices(call: Call, ref: str) -> list[str]:
    """Where a VIF could go."""
    return vif.free_devices(call.pool, ref)


@handles("VM.update_allowed_operations")
def update_allowed_operations(call: Call, ref: str) -> None:
    """They are worked out each time."""


@handles("VM.set_other_config")
def set_other_config(call: Call, ref: str, value: dict[str, str]) -> None:
    """Raises DUPLICATE_MAC_SEED."""
    assert_seed_free(call, value, ref)
    generic.assign(call, "VM", ref, "other_config", value)


@handles("VM.add_to_other_config")
def add_to_other_config(call: Call, ref: str, key: str, value: str) -> None:
    """Raises MAP_DUPLICATE_KEY, DUPLICATE_MAC_SEED."""
    assert_seed_free(call, {key: value}, ref)
    generic.add_to(call, "VM", ref, "other_config", key, value)


@handles("VM.set_domain_type")
def set_domain_type(call: Call, ref: str, value: str) -> None:
    """Of a machine that is halted. HVM_boot_policy follows."""
    power.assert_operation(call.pool, ref, "changing_static_range")
    policy = "BIOS order" if value == "hvm" else ""
    call.pool.database.set("VM", ref, domain_type=value, HVM_boot_policy=policy)


@handles("VM.set_HVM_boot_policy")
def set_boot_policy(call: Call, ref: str, value: str) -> None:
    """Of a machine that is halted. The domain type follows."""
    power.assert_operation(call.pool, ref, "changing_static_range")
    call.pool.database.set("VM", ref, HVM_boot_policy=value, domain_type="hvm" if value else "pv")


@handles("VM.set_is_a_template")
def set_is_a_template(call: Call, ref: str, value: bool) -> None:
    """Of a machine that is halted. A default template stays one."""
    row = call.pool.database.row("VM", ref)
    if row["is_default_template"] and not value:
        raise XapiError("OPERATION_NOT_ALLOWED", "A default template cannot become a machine: clone it")
    if row["power_state"] != "Halted":
        raise XapiError("VM_BAD_POWER_STATE", ref, "halted", row["power_state"].lower())
    call.pool.database.set("VM", ref, is_a_template=value)
