"""Networks."""

from __future__ import annotations

from typing import Any

from ..ports import XapiError
from ..registry import Call, handles


@handles("network.create")
def create(call: Call, record: dict[str, Any]) -> str:
    """A network inside each host, until a PIF leads out of it."""
    database = call.pool.database
    if not record["bridge"]:
        record["bridge"] = f"xapi{len(database.refs('network'))}"
    return database.create("network", **record)


@handles("network.destroy")
def destroy(call: Call, ref: str) -> None:
    """Raises NETWORK_CONTAINS_PIF, NETWORK_CONTAINS_VIF, CANNOT_DESTROY_SYSTEM_NETWORK."""
    database = call.pool.database
    if "is_host_internal_management_network" in database.row("network", ref)["other_config"]:
        raise XapiError("CANNOT_DESTROY_SYSTEM_NETWORK", ref)
    if pifs := database.find("PIF", network=ref):
        raise XapiError("NETWORK_CONTAINS_PIF", *pifs[:1])
    attached = [vif for vif in database.find("VIF", network=ref) if database.row("VIF", vif)["currently_attached"]]
    if attached:
        raise XapiError("NETWORK_CONTAINS_VIF", attached[0])
    for vif in database.find("VIF", network=ref):
        database.destroy("VIF", vif)
    database.destroy("network", ref)
