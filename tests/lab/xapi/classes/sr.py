"""SRs, and the PBDs that connect them to hosts."""

from __future__ import annotations

from .. import storage
from ..ports import XapiError
from ..registry import Call, handles


@handles("SR.scan", "SR.update")
def scan(call: Call, ref: str) -> None:
    """The SR's disks are looked at again."""
    storage.assert_plugged(call.pool, ref)
    for vdi in call.pool.database.find("VDI", SR=ref):
        storage.refresh(call.pool, vdi)
    storage.refresh_sr(call.pool, ref)


@handles("SR.get_supported_types")
def supported_types(call: Call) -> list[str]:
    """The types that there are drivers for."""
    return sorted(row["type"] for dummy, row in call.pool.database.items("SM"))


@handles("PBD.plug")
def plug(call: Call, ref: str) -> None:
    """Connects an SR. Fine if it is connected."""
    call.pool.database.set("PBD", ref, currently_attached=True)


@handles("PBD.unplug")
def unplug(call: Call, ref: str) -> None:
    """Disconnects an SR. Raises SR_DEVICE_IN_USE while its disks are attached on that host."""
    database = call.pool.database
    row = database.row("PBD", ref)
    for vdi in database.find("VDI", SR=row["SR"]):
        for vbd in storage.users(call.pool, vdi):
            if database.row("VM", database.row("VBD", vbd)["VM"])["resident_on"] == row["host"]:
                raise XapiError("SR_DEVICE_IN_USE")
    database.set("PBD", ref, currently_attached=False)
