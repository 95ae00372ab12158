"""A machine's memory and processors."""

from __future__ import annotations

from ..ports import XapiError
from ..registry import Call, handles
from . import power

ORDER = ("static_min", "dynamic_min", "dynamic_max", "static_max")


def change(call: Call, ref: str, operation: str, **limits: int) -> None:
    """Sets some limits. Raises MEMORY_CONSTRAINT_VIOLATION unless all stay in order."""
    power.assert_operation(call.pool, ref, operation)
    vm = call.pool.database.row("VM", ref)
    found = {name: limits[name] if name in limits else int(vm["memory_" + name]) for name in ORDER}
    if list(found.values()) != sorted(found.values()):
        raise XapiError("MEMORY_CONSTRAINT_VIOLATION", "Memory limits must satisfy: static_min <= dynamic_min <= dynamic_max <= static_max")
    call.pool.database.set("VM", ref, memory_target=found["dynamic_max"], **{"memory_" + name: value for name, value in found.items()})


@handles("VM.set_memory")
def set_memory(call: Call, ref: str, value: int) -> None:
    """All limits but the lowest at once."""
    lowest = min(value, call.pool.database.row("VM", ref)["memory_static_min"])
    change(call, ref, "changing_memory_limits", static_min=lowest, dynamic_min=value, dynamic_max=value, static_max=value)


@handles("VM.set_memory_limits")
def set_memory_limits(call: Call, ref: str, static_min: int, static_max: int, dynamic_min: int, dynamic_max: int) -> None:
    """All limits at once."""
    change(
        call, ref, "changing_memory_limits",
        static_min=static_min, static_max=static_max, dynamic_min=dynamic_min, dynamic_max=dynamic_max,
    )


@handles("VM.set_memory_static_range")
def set_static_range(call: Call, ref: str, low: int, high: int) -> None:
    """The outer two."""
    change(call, ref, "changing_static_range", static_min=low, static_max=high)


@handles("VM.set_memory_dynamic_range")
def set_dynamic_range(call: Call, ref: str, low: int, high: int) -> None:
    """The inner two."""
    change(call, ref, "changing_dynamic_range", dynamic_min=low, dynamic_max=high)


@handles("VM.set_memory_static_min")
def set_static_min(call: Call, ref: str, value: int) -> None:
    """The lowest."""
    change(call, ref, "changing_static_range", static_min=value)


@handles("VM.set_memory_static_max")
def set_static_max(call: Call, ref: str, value: int) -> None:
    """The highest."""
    change(call, ref, "changing_static_range", static_max=value)


@handles("VM.set_memory_dynamic_min")
def set_dynamic_min(call: Call, ref: str, value: int) -> None:
    """The lower one that can change while it runs."""
    change(call, ref, "changing_dynamic_range", dynamic_min=value)


@handles("VM.set_memory_dynamic_max")
def set_dynamic_max(call: Call, ref: str, value: int) -> None:
    """The higher one that can change while it runs."""
    change(call, ref, "changing_dynamic_range", dynamic_max=value)


@handles("VM.set_VCPUs_max")
def set_vcpus_max(call: Call, ref: str, value: int) -> None:
    """Not fewer than it starts with. Raises INVALID_VALUE."""
    power.assert_operation(call.pool, ref, "changing_VCPUs")
    if value < max(1, call.pool.database.row("VM", ref)["VCPUs_at_startup"]):
        raise XapiError("INVALID_VALUE", "VCPUs_max", str(value))
    call.pool.database.set("VM", ref, VCPUs_max=value)


@handles("VM.set_VCPUs_at_startup")
def set_vcpus_at_startup(call: Call, ref: str, value: int) -> None:
    """Not more than it may have. Raises INVALID_VALUE."""
    power.assert_operation(call.pool, ref, "changing_VCPUs")
    if not 1 <= value <= call.pool.database.row("VM", ref)["VCPUs_max"]:
        raise XapiError("INVALID_VALUE", "VCPUs_at_startup", str(value))
    call.pool.database.set("VM", ref, VCPUs_at_startup=value)


@handles("VM.set_VCPUs_number_live")
def set_vcpus_live(call: Call, ref: str, value: int) -> None:
    """Of a guest that runs and can do it."""
    power.assert_operation(call.pool, ref, "changing_VCPUs_live")
    vm = call.pool.database.row("VM", ref)
    if not 1 <= value <= vm["VCPUs_max"]:
        raise XapiError("INVALID_VALUE", "VCPUs_number_live", str(value))
    call.pool.database.set("VM_metrics", vm["metrics"], VCPUs_number=value)
