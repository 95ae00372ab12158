"""Fields that are worked out when they are asked for: allowed_operations."""

from __future__ import annotations

from ..database import Database, Row
from ..schema import NULL

STATES: dict[str, tuple[str, ...]] = {
    "start": ("Halted",),
    "start_on": ("Halted",),
    "clone": ("Halted", "Suspended"),
    "copy": ("Halted", "Suspended"),
    "provision": ("Halted",),
    "destroy": ("Halted",),
    "snapshot": ("Halted", "Suspended", "Running", "Paused"),
    "pause": ("Running",),
    "unpause": ("Paused",),
    "clean_shutdown": ("Running",),
    "clean_reboot": ("Running",),
    "shutdown": ("Running", "Paused", "Suspended"),
    "hard_shutdown": ("Paused", "Suspended", "Running"),
    "hard_reboot": ("Paused", "Running"),
    "changing_static_range": ("Halted",),
    "changing_memory_limits": ("Halted",),
    "changing_VCPUs": ("Halted",),
    "changing_VCPUs_live": ("Running",),
    "changing_dynamic_range": ("Halted", "Running"),
}
"""The power states in which an operation on a machine is possible."""

FOR_TEMPLATES = {"clone", "copy", "provision", "destroy", "changing_static_range", "changing_memory_limits", "changing_VCPUs", "changing_dynamic_range"}
NEED_TOOLS = {"clean_shutdown", "clean_reboot", "changing_VCPUs_live"}


def cooperative(row: Row) -> bool:
    """Whether a guest does what it is asked to: PV ones can, HVM ones with tools."""
    return bool(row["domain_type"] == "pv" or row["guest_metrics"] != NULL)


def of_machine(ref: str, row: Row) -> list[str]:
    """What can be done with a machine now."""
    if row["current_operations"] or row["is_control_domain"]:
        return []
    return sorted(
        operation for operation, states in STATES.items()
        if row["power_state"] in states
        and operation not in row["blocked_operations"]
        and (not row["is_a_template"] or operation in FOR_TEMPLATES)
        and (row["is_a_template"] or operation != "provision")
        and (operation not in NEED_TOOLS or cooperative(row))
    )


def register(database: Database) -> None:
    """Tells the database which fields are worked out here."""

    def of_vdi(ref: str, row: Row) -> list[str]:
        attached = list(database.find("VBD", VDI=ref, currently_attached=True))
        if not row["managed"] or row["current_operations"]:
            return []
        return ["snapshot"] if attached else ["clone", "copy", "destroy", "resize", "snapshot", "update"]

    def of_vbd(ref: str, row: Row) -> list[str]:
        running = database.exists("VM", row["VM"]) and database.row("VM", row["VM"])["power_state"] == "Running"
        found = ["eject" if not row["empty"] else "insert"] if row["type"] == "CD" else []
        if row["currently_attached"]:
            return ["attach", *found, "unplug", "unplug_force"]
        return ["attach", *found, *(["plug"] if running else [])]

    def of_vif(ref: str, row: Row) -> list[str]:
        return ["attach", "unplug"] if row["currently_attached"] else ["attach", "plug"]

    database.computed["VM", "allowed_operations"] = of_machine
    database.computed["VDI", "allowed_operations"] = of_vdi
    database.computed["VBD", "allowed_operations"] = of_vbd
    database.computed["VIF", "allowed_operations"] = of_vif
