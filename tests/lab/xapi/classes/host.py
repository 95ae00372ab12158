"""Hosts, and who of them is the master."""

from __future__ import annotations

from .. import values
from ..registry import Call, handles
from ..schema import SCHEMA
from . import boot


@handles("host.enable")
def enable(call: Call, ref: str) -> None:
    """Machines may start on it."""
    call.pool.database.set("host", ref, enabled=True)


@handles("host.disable")
def disable(call: Call, ref: str, auto_enable: bool = True) -> None:
    """No machine starts on it any more."""
    call.pool.database.set("host", ref, enabled=False)


@handles("host.compute_free_memory")
def free_memory(call: Call, ref: str) -> int:
    """Bytes."""
    return boot.free_memory(call.pool, ref)


@handles("host.get_servertime", "host.get_server_localtime")
def servertime(call: Call, ref: str) -> str:
    """The time."""
    return values.now()


@handles("host.list_methods")
def list_methods(call: Call) -> list[str]:
    """Every message."""
    return sorted(f"{cls}.{name}" for cls, found in SCHEMA.items() for name, message in found.messages.items() if not message.removed)


@handles("pool.designate_new_master")
def designate_new_master(call: Call, ref: str) -> None:
    """Another host becomes the master."""
    call.pool.set_master(call.pool.database.row("host", ref)["uuid"])


@handles("pool.sync_database")
def sync_database(call: Call) -> None:
    """There is only one."""
