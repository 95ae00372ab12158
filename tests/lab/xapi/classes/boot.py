"""Where a machine can start, and what is in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import storage
from ..ports import XapiError
from ..registry import Call, handles
from ..schema import NULL
from .vbd import device_number

if TYPE_CHECKING:
    from ..pool import Pool

BOOTLOADERS = ("pygrub", "eliloader")
FIRMWARE = ("bios", "uefi")
OVERHEAD = 8 * storage.MIB  # bytes that a machine takes beyond its memory


def firmware(vm: dict[str, Any]) -> str:
    """bios or uefi. Raises INVALID_VALUE for anything else."""
    found = str(vm["HVM_boot_params"].get("firmware", "bios"))
    if found not in FIRMWARE:
        raise XapiError("INVALID_VALUE", "HVM_boot_params:firmware", found)
    return found


def hvm(vm: dict[str, Any]) -> bool:
    """Whether a machine boots by itself: the policy decides where the domain type does not."""
    if vm["domain_type"] == "unspecified":
        return bool(vm["HVM_boot_policy"])
    return bool(vm["domain_type"] == "hvm")


def free_memory(pool: Pool, host: str) -> int:
    """Bytes that a host has left for machines."""
    guests = [row for dummy, row in pool.database.items("VM") if row["resident_on"] == host and not row["is_control_domain"]]
    taken = sum(int(row["memory_dynamic_max"]) + OVERHEAD for row in guests)
    return max(0, pool.world.memory - taken)


def check_settings(vm: dict[str, Any]) -> None:
    """What can be told without a host: that was not looked at when the machine was made. Raises INVALID_VALUE and others."""
    if hvm(vm):
        firmware(vm)
    if vm["VCPUs_max"] < 1:
        raise XapiError("INVALID_VALUE", "VCPUs_max", str(vm["VCPUs_max"]))
    if not 1 <= vm["VCPUs_at_startup"] <= vm["VCPUs_max"]:
        raise XapiError("INVALID_VALUE", "VCPUs_at_startup", str(vm["VCPUs_at_startup"]))
    sizes = [vm[f"memory_{name}"] for name in ("static_min", "dynamic_min", "dynamic_max", "static_max")]
    if sizes != sorted(sizes):
        raise XapiError("MEMORY_CONSTRAINT_VIOLATION", "Memory limits must satisfy: static_min <= dynamic_min <= dynamic_max <= static_max")
    if vm["memory_static_max"] < 16 * storage.MIB:
        raise XapiError("MEMORY_CONSTRAINT_VIOLATION", "Memory limits are too low")


def assert_can_boot_here(pool: Pool, ref: str, host: str) -> None:
    """Raises the reason why a machine cannot start on a host."""
    vm, target = pool.database.row("VM", ref), pool.database.row("host", host)
    check_settings(vm)
    if not target["enabled"]:
        raise XapiError("HOST_DISABLED", host)
    if vm["VCPUs_at_startup"] > pool.world.cpus:
        raise XapiError("HOST_NOT_ENOUGH_PCPUS", str(vm["VCPUs_at_startup"]), str(pool.world.cpus))
    for vbd in pool.database.find("VBD", VM=ref):
        row = pool.database.row("VBD", vbd)
        if row["empty"]:
            continue
        if not pool.database.exists("VDI", row["VDI"]):
            raise XapiError("VM_REQUIRES_VDI", ref, row["VDI"])
        sr = pool.database.row("VDI", row["VDI"])["SR"]
        if host not in storage.hosts_of(pool, sr):
            raise XapiError("VM_REQUIRES_SR", ref, sr)
    for vif in pool.database.find("VIF", VM=ref):
        network = pool.database.row("VIF", vif)["network"]
        pifs = [pool.database.row("PIF", pif) for pif in pool.database.find("PIF", network=network)]
        if pifs and not any(pif["host"] == host and pif["currently_attached"] for pif in pifs):
            raise XapiError("VM_REQUIRES_NETWORK", ref, network)
    needed, left = vm["memory_dynamic_max"] + OVERHEAD, free_memory(pool, host)
    if needed > left:
        raise XapiError("HOST_NOT_ENOUGH_FREE_MEMORY", str(needed), str(left))


def possible_hosts(pool: Pool, ref: str) -> list[str]:
    """The hosts on which a machine can start."""
    found = []
    for host in pool.database.refs("host"):
        try:
            assert_can_boot_here(pool, ref, host)
        except XapiError:
            continue
        found.append(host)
    return found


def choose_host(pool: Pool, ref: str) -> str:
    """The host that a machine has an affinity to, or another. Raises NO_HOSTS_AVAILABLE, which hides the reason."""
    found = possible_hosts(pool, ref)
    if not found:
        raise XapiError("NO_HOSTS_AVAILABLE")
    affinity = pool.database.row("VM", ref)["affinity"]
    return affinity if affinity in found else found[0]


def check_disks(pool: Pool, ref: str) -> None:
    """That the host can take the disks, and a PV machine has something to boot from."""
    vm = pool.database.row("VM", ref)
    vbds = {vbd: pool.database.row("VBD", vbd) for vbd in pool.database.find("VBD", VM=ref)}
    for vbd, row in vbds.items():
        if row["empty"]:
            continue
        if hvm(vm) and row["type"] == "Disk" and row["mode"] == "RO" and (device_number(row["userdevice"]) or 0) < 4:
            raise XapiError("DISK_VBD_MUST_BE_READWRITE_FOR_HVM", vbd)
        storage.assert_attachable(pool, row["VDI"], writes=row["mode"] == "RW")
    if hvm(vm):
        return
    if vm["PV_bootloader"] and vm["PV_bootloader"] not in BOOTLOADERS:
        raise XapiError("UNKNOWN_BOOTLOADER", ref, vm["PV_bootloader"])
    if not vm["PV_bootloader"] and not vm["PV_kernel"]:
        raise XapiError("BOOTLOADER_FAILED", ref, "no bootloader and no kernel")
    if not any(row["bootable"] and row["VDI"] != NULL for row in vbds.values()):
        raise XapiError("BOOTLOADER_FAILED", ref, "no bootable disk")


@handles("VM.assert_can_boot_here")
def can_boot_here(call: Call, ref: str, host: str) -> None:
    """Raises the reason."""
    call.pool.database.row("host", host)
    assert_can_boot_here(call.pool, ref, host)


@handles("VM.get_possible_hosts")
def get_possible_hosts(call: Call, ref: str) -> list[str]:
    """The hosts on which it can start."""
    return possible_hosts(call.pool, ref)


@handles("VM.compute_memory_overhead")
def memory_overhead(call: Call, ref: str) -> int:
    """Bytes."""
    return OVERHEAD
