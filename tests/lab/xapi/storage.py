"""What SRs do with space and with who uses their disks: the rules that several classes share."""

from __future__ import annotations

from contextlib import contextmanager
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .ports import XapiError
from .schema import NULL

if TYPE_CHECKING:
    from .pool import Pool

MIB = 1 << 20
GRAIN = 2 * MIB  # sizes are multiples of it
LARGEST = 2040 << 30

THICK = {"lvm", "lvmoiscsi", "lvmohba"}
"""SR types that take a disk's whole size when it is made."""

BOUNDLESS = 1 << 62


def backend(number: int, text: str) -> XapiError:
    """What a storage driver says."""
    return XapiError(f"SR_BACKEND_FAILURE_{number}", "", text, "")


@contextmanager
def disks() -> Iterator[None]:
    """What the outside cannot do with its disks, the SR could not."""
    try:
        yield
    except OSError as error:
        raise backend(46, f"The VDI is not available [opterr={error}]") from error


def hosts_of(pool: Pool, sr: str) -> list[str]:
    """The hosts that have an SR plugged."""
    return [row["host"] for dummy, row in pool.database.items("PBD") if row["SR"] == sr and row["currently_attached"]]


def assert_plugged(pool: Pool, sr: str) -> None:
    """Raises SR_HAS_NO_PBDS."""
    if not hosts_of(pool, sr):
        raise XapiError("SR_HAS_NO_PBDS", sr)


def assert_disks(pool: Pool, sr: str) -> None:
    """Raises SR_OPERATION_NOT_SUPPORTED for an SR that cannot make disks, and SR_HAS_NO_PBDS."""
    assert_plugged(pool, sr)
    if pool.database.row("SR", sr)["content_type"] == "iso":
        raise XapiError("SR_OPERATION_NOT_SUPPORTED", sr)


def round_size(size: int) -> int:
    """The size that a disk gets. Raises SR_BACKEND_FAILURE_79."""
    rounded = max(GRAIN, -(-size // GRAIN) * GRAIN)
    if size < 1 or rounded > LARGEST:
        raise backend(79, f"VDI Invalid size [opterr=VDI size must be between 1 MB and {LARGEST // MIB} MB]")
    return rounded


def thick(pool: Pool, sr: str) -> bool:
    """Whether disks take up their whole size."""
    return pool.database.row("SR", sr)["type"] in THICK


def zeroed(pool: Pool, sr: str) -> bool:
    """Whether XAPI takes it that what was never written reads as zeroes: not on LVM, unless that holds VHDs."""
    return not thick(pool, sr) or pool.database.row("SR", sr)["sm_config"].get("use_vhd") == "true"


def footprint(pool: Pool, ref: str) -> int:
    """Bytes that a VDI takes up in its SR."""
    row = pool.database.row("VDI", ref)
    if thick(pool, row["SR"]) and row["managed"] and not row["is_a_snapshot"]:
        return int(row["virtual_size"])
    try:
        return pool.store.allocated(row["uuid"])
    except FileNotFoundError:  # it is being destroyed, and its record goes next
        return 0


def used(pool: Pool, sr: str) -> int:
    """Bytes that all VDIs of an SR take up."""
    return sum(footprint(pool, ref) for ref in pool.database.find("VDI", SR=sr))


def room(pool: Pool, sr: str) -> int:
    """Bytes that an SR has left."""
    row = pool.database.row("SR", sr)
    return 0 if row["uuid"] in pool.faults.full else max(0, row["physical_size"] - used(pool, sr))


def room_for_writes(pool: Pool, sr: str) -> int:
    """Bytes that can be written into disks that exist: on a thick SR they have their room already."""
    return BOUNDLESS if thick(pool, sr) else room(pool, sr)


def assert_room(pool: Pool, sr: str, size: int) -> None:
    """Only a thick SR looks before it makes or grows a disk. Raises SR_BACKEND_FAILURE_44."""
    if thick(pool, sr) and room(pool, sr) < size:
        raise backend(44, "There is insufficient space")


def users(pool: Pool, vdi: str) -> list[str]:
    """The VBDs through which a VDI is attached to something that runs."""
    return [ref for ref, row in pool.database.items("VBD") if row["VDI"] == vdi and row["currently_attached"]]


def assert_attachable(pool: Pool, vdi: str, *, writes: bool) -> None:
    """One writer and nobody else, or readers only, unless the VDI is sharable. Raises VDI_IN_USE."""
    row = pool.database.row("VDI", vdi)
    if row["current_operations"]:
        raise XapiError("VDI_IN_USE", vdi, sorted(row["current_operations"].values())[0])
    others = [pool.database.row("VBD", vbd)["mode"] for vbd in users(pool, vdi)]
    if others and not row["sharable"] and (writes or "RW" in others):
        raise XapiError("VDI_IN_USE", vdi, "attach")


def assert_unused(pool: Pool, vdi: str, operation: str) -> None:
    """Raises VDI_NOT_MANAGED, VDI_IN_USE."""
    row = pool.database.row("VDI", vdi)
    if not row["managed"]:
        raise XapiError("VDI_NOT_MANAGED", vdi)
    if users(pool, vdi) or row["current_operations"]:
        raise XapiError("VDI_IN_USE", vdi, operation)


def refresh(pool: Pool, vdi: str) -> None:
    """What the VDI and its SR take up may have changed."""
    if vdi != NULL and pool.database.exists("VDI", vdi):
        sr = pool.database.row("VDI", vdi)["SR"]
        pool.database.set("VDI", vdi, physical_utilisation=footprint(pool, vdi))
        refresh_sr(pool, sr)


def refresh_sr(pool: Pool, sr: str) -> None:
    """The SR's sums."""
    total = sum(pool.database.row("VDI", ref)["virtual_size"] for ref in pool.database.find("VDI", SR=sr))
    pool.database.set("SR", sr, physical_utilisation=used(pool, sr), virtual_allocation=total)
