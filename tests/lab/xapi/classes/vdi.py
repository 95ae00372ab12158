"""VDIs: made, destroyed, grown, copied; and the layers that clones and snapshots make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import storage, values
from ..ports import XapiError
from ..registry import Call, handles
from ..schema import NULL

if TYPE_CHECKING:
    from ..pool import Pool

PARENT = "vhd-parent"
BASE_NAME = "base copy"


def make(pool: Pool, sr: str, size: int, **fields: Any) -> str:
    """A new VDI with an empty disk. Raises what the SR says."""
    storage.assert_disks(pool, sr)
    size = storage.round_size(size)
    storage.assert_room(pool, sr, size)
    ref = pool.database.create("VDI", SR=sr, virtual_size=size, managed=True, **fields)
    row = pool.database.row("VDI", ref)
    try:
        with storage.disks():
            pool.store.create(row["uuid"], size)
    except XapiError:
        pool.database.destroy("VDI", ref)
        raise
    pool.database.set("VDI", ref, location=row["uuid"])
    storage.refresh(pool, ref)
    return ref


def remove(pool: Pool, ref: str) -> None:
    """Destroys a VDI that nobody uses, and the layers that it was the last to need."""
    row = pool.database.row("VDI", ref)
    pool.store.destroy(row["uuid"])
    for vbd in pool.database.find("VBD", VDI=ref):
        pool.database.destroy("VBD", vbd)
    pool.database.destroy("VDI", ref)
    parent = row["sm_config"].get(PARENT)
    for base in pool.database.find("VDI", uuid=parent, managed=False) if parent else ():
        if not any(other["sm_config"].get(PARENT) == parent for dummy, other in pool.database.items("VDI")):
            remove(pool, base)
    storage.refresh_sr(pool, row["SR"])


def layered(pool: Pool, ref: str, *, snapshot: bool) -> str:
    """A twin of a VDI: what was written until now moves to an unmanaged base copy, of which both are children."""
    row = pool.database.row("VDI", ref)
    sr, parent = row["SR"], row["sm_config"].get(PARENT)
    storage.assert_disks(pool, sr)
    if not snapshot:
        storage.assert_room(pool, sr, row["virtual_size"])
    base = pool.database.create(
        "VDI", SR=sr, virtual_size=row["virtual_size"], name_label=BASE_NAME, type=row["type"], read_only=True, managed=False,
        sm_config={PARENT: parent} if parent else {},
    )
    kept = ("name_label", "name_description", "virtual_size", "type", "sharable", "other_config", "xenstore_data", "tags", "on_boot")
    config = {**row["sm_config"], PARENT: pool.database.row("VDI", base)["uuid"]}
    twin = pool.database.create(
        "VDI", SR=sr, managed=True, sm_config=config, is_a_snapshot=snapshot, snapshot_of=ref if snapshot else NULL,
        **({"snapshot_time": values.now()} if snapshot else {}), **{name: row[name] for name in kept},
    )
    uuids = [pool.database.row("VDI", made)["uuid"] for made in (twin, base)]
    try:
        with storage.disks():
            pool.store.layer(row["uuid"], *uuids)
    except XapiError:
        pool.database.destroy("VDI", twin)
        pool.database.destroy("VDI", base)
        raise
    pool.database.set("VDI", ref, sm_config=config)
    for made, uuid in zip((twin, base), uuids):
        pool.database.set("VDI", made, location=uuid)
    for changed in (ref, twin, base):
        storage.refresh(pool, changed)
    return twin


def make_clone(pool: Pool, ref: str) -> str:
    """A twin of a VDI that nobody uses. Raises VDI_IN_USE, VDI_NOT_MANAGED."""
    storage.assert_unused(pool, ref, "clone")
    return layered(pool, ref, snapshot=False)


def make_snapshot(pool: Pool, ref: str) -> str:
    """A snapshot of a VDI that no transfer writes to. Raises VDI_IN_USE, VDI_NOT_MANAGED."""
    if not pool.database.row("VDI", ref)["managed"]:
        raise XapiError("VDI_NOT_MANAGED", ref)
    for vbd in storage.users(pool, ref):
        attached = pool.database.row("VBD", vbd)
        if attached["mode"] == "RW" and pool.database.row("VM", attached["VM"])["is_control_domain"]:
            raise XapiError("VDI_IN_USE", ref, "snapshot")
    return layered(pool, ref, snapshot=True)


def full_copy(pool: Pool, ref: str, sr: str) -> str:
    """A VDI with the same content that shares nothing. Raises VDI_COPY_FAILED when a thin SR is full."""
    row = pool.database.row("VDI", ref)
    fields = {name: row[name] for name in ("name_label", "name_description", "type", "sharable", "other_config", "xenstore_data", "tags")}
    if not storage.thick(pool, sr) and storage.room(pool, sr) < pool.store.allocated(row["uuid"]):
        storage.assert_disks(pool, sr)
        raise XapiError("VDI_COPY_FAILED")
    target = make(pool, sr, row["virtual_size"], **fields)
    uuid = pool.database.row("VDI", target)["uuid"]
    try:
        with storage.disks():
            pool.store.destroy(uuid)
            pool.store.copy(row["uuid"], uuid)
    except XapiError:
        remove(pool, target)
        raise
    storage.refresh(pool, target)
    return target


@handles("VDI.create")
def create(call: Call, record: dict[str, Any]) -> str:
    """Sizes round up to 2 MiB."""
    call.pool.database.row("SR", record["SR"])
    return make(call.pool, record.pop("SR"), record.pop("virtual_size"), **record)


@handles("VDI.destroy")
def destroy(call: Call, ref: str) -> None:
    """Raises VDI_IN_USE while it is attached, VDI_NOT_MANAGED for base copies."""
    storage.assert_unused(call.pool, ref, "destroy")
    storage.assert_disks(call.pool, call.pool.database.row("VDI", ref)["SR"])
    remove(call.pool, ref)


@handles("VDI.resize")
def resize(call: Call, ref: str, size: int) -> None:
    """Disks only grow."""
    pool = call.pool
    storage.assert_unused(pool, ref, "resize")
    row = pool.database.row("VDI", ref)
    storage.assert_disks(pool, row["SR"])
    size = storage.round_size(size)
    if size < row["virtual_size"]:
        raise storage.backend(79, "VDI Invalid size [opterr=shrinking not allowed]")
    storage.assert_room(pool, row["SR"], size - row["virtual_size"])
    with storage.disks():
        pool.store.resize(row["uuid"], size)
    pool.database.set("VDI", ref, virtual_size=size)
    storage.refresh(pool, ref)


@handles("VDI.resize_online")
def resize_online(call: Call, ref: str, size: int) -> None:
    """No SR of ours can."""
    raise XapiError("SR_OPERATION_NOT_SUPPORTED", call.pool.database.row("VDI", ref)["SR"])


@handles("VDI.clone")
def clone(call: Call, ref: str, driver_params: dict[str, str] | None = None) -> str:
    """A VDI that shares what was written until now. Not of one that is attached: snapshot it first."""
    return make_clone(call.pool, ref)


@handles("VDI.snapshot")
def snapshot(call: Call, ref: str, driver_params: dict[str, str] | None = None) -> str:
    """A snapshot, also of a VDI that a machine writes to, but not of one that is being imported."""
    return make_snapshot(call.pool, ref)


@handles("VDI.copy")
def copy(call: Call, ref: str, sr: str = NULL, base: str = NULL, into: str = NULL) -> str:
    """A full copy in an SR, that of the source unless another is named."""
    if base != NULL or into != NULL:
        raise XapiError("NOT_IMPLEMENTED", "VDI.copy with base_vdi or into_vdi")
    storage.assert_attachable(call.pool, ref, writes=False)
    return full_copy(call.pool, ref, call.pool.database.row("VDI", ref)["SR"] if sr == NULL else sr)


@handles("VDI.update")
def update(call: Call, ref: str) -> None:
    """What the SR knows of it is read again."""
    storage.refresh(call.pool, ref)
