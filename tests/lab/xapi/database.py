"""The objects: rows by class and reference, with generations, so that events can tell what changed since.

Fields that mirror another object's reference (SR.VDIs is everything whose VDI.SR is that SR) are not stored.
"""

from __future__ import annotations

import copy
import threading
import uuid as uuids
from collections.abc import Callable, Iterator
from typing import Any

from .ports import XapiError
from .schema import NULL, SCHEMA

Row = dict[str, Any]

MIRRORS: dict[str, dict[str, tuple[str, str]]] = {
    "SR": {"VDIs": ("VDI", "SR"), "PBDs": ("PBD", "SR")},
    "VDI": {"VBDs": ("VBD", "VDI"), "snapshots": ("VDI", "snapshot_of")},
    "VM": {
        "VBDs": ("VBD", "VM"), "VIFs": ("VIF", "VM"), "consoles": ("console", "VM"),
        "snapshots": ("VM", "snapshot_of"), "children": ("VM", "parent"),
    },
    "host": {"PBDs": ("PBD", "host"), "PIFs": ("PIF", "host"), "resident_VMs": ("VM", "resident_on")},
    "network": {"VIFs": ("VIF", "network"), "PIFs": ("PIF", "network")},
    "task": {"subtasks": ("task", "subtask_of")},
}
"""class -> field -> (class, field) that it mirrors."""

REFERENCES: dict[str, set[str]] = {}
for _fields in MIRRORS.values():
    for _other, _name in _fields.values():
        REFERENCES.setdefault(_other, set()).add(_name)


class Database:
    """All objects. Every method wants the pool's lock to be held; `changed` is notified of each change."""

    def __init__(self, lock: threading.RLock) -> None:
        self.changed = threading.Condition(lock)
        self.generation = 0
        self.created: dict[tuple[str, str], int] = {}
        self.modified: dict[tuple[str, str], int] = {}
        self.deleted: dict[tuple[str, str], int] = {}
        self.computed: dict[tuple[str, str], Callable[[str, Row], Any]] = {}
        self._rows: dict[str, dict[str, Row]] = {name: {} for name in SCHEMA}

    # --- reading ---

    def row(self, cls: str, ref: str) -> Row:
        """The stored fields. Raises HANDLE_INVALID."""
        try:
            return self._rows[cls][ref]
        except KeyError:
            raise XapiError("HANDLE_INVALID", cls, ref) from None

    def get(self, cls: str, ref: str, name: str) -> Any:
        """One field. Raises HANDLE_INVALID."""
        row = self.row(cls, ref)
        if name in MIRRORS.get(cls, {}):
            return self.find(MIRRORS[cls][name][0], **{MIRRORS[cls][name][1]: ref})
        if (cls, name) in self.computed:
            return self.computed[cls, name](ref, row)
        return copy.copy(row[name])

    def record(self, cls: str, ref: str) -> Row:
        """All fields. Raises HANDLE_INVALID."""
        return {name: self.get(cls, ref, name) for name in SCHEMA[cls].fields}

    def exists(self, cls: str, ref: str) -> bool:
        """Whether a reference leads to something."""
        return ref in self._rows.get(cls, {})

    def refs(self, cls: str) -> list[str]:
        """All objects of a class."""
        return list(self._rows[cls])

    def items(self, cls: str) -> Iterator[tuple[str, Row]]:
        """All objects with their stored fields."""
        return iter(list(self._rows[cls].items()))

    def find(self, cls: str, **wanted: Any) -> list[str]:
        """The objects whose stored fields are as wanted."""
        found = list(self._rows[cls])
        for name, value in wanted.items():
            found = [ref for ref in found if self._rows[cls][ref][name] == value]
        return found

    def by_uuid(self, cls: str, uuid: str) -> str:
        """A reference. Raises UUID_INVALID."""
        found = self.find(cls, uuid=uuid) if uuid else []
        if not found:
            raise XapiError("UUID_INVALID", cls, uuid)
        return found[0]

    def either(self, cls: str, name: str) -> str:
        """The reference of what a reference or a uuid names, as HTTP's queries allow. Raises UUID_INVALID, HANDLE_INVALID."""
        if name in self._rows[cls]:
            return name
        if name.startswith("OpaqueRef:"):
            raise XapiError("HANDLE_INVALID", cls, name)
        return self.by_uuid(cls, name)

    # --- writing ---

    def create(self, cls: str, **given: Any) -> str:
        """A new object; what is not given is as the schema says. Returns its reference."""
        fields = SCHEMA[cls].fields
        mirrors = MIRRORS.get(cls, {})
        if unknown := set(given) - set(fields):
            raise KeyError(f"{cls} has no {', '.join(sorted(unknown))}")
        row = {name: copy.deepcopy(given.get(name, item.initial)) for name, item in fields.items() if name not in mirrors}
        row["uuid"] = given.get("uuid") or str(uuids.uuid4())
        ref = f"OpaqueRef:{uuids.uuid4()}"
        self._rows[cls][ref] = row
        self._touch(cls, ref, self.created)
        self._touch_targets(cls, row)
        return ref

    def set(self, cls: str, ref: str, **changes: Any) -> None:
        """Changes fields. Raises HANDLE_INVALID."""
        row = self.row(cls, ref)
        changes = {name: value for name, value in changes.items() if row[name] != value}
        if not changes:
            return
        if REFERENCES.get(cls, set()) & set(changes):
            self._touch_targets(cls, row)
        row.update(copy.deepcopy(changes))
        self._touch(cls, ref, self.modified)
        if REFERENCES.get(cls, set()) & set(changes):
            self._touch_targets(cls, row)

    def touch(self, cls: str, ref: str) -> None:
        """Something that is not stored has changed."""
        if self.exists(cls, ref):
            self._touch(cls, ref, self.modified)

    def destroy(self, cls: str, ref: str) -> None:
        """Removes an object, if it is there."""
        row = self._rows[cls].pop(ref, None)
        if row is None:
            return
        self.created.pop((cls, ref), None)
        self.modified.pop((cls, ref), None)
        self._touch(cls, ref, self.deleted)
        self._touch_targets(cls, row)

    def _touch(self, cls: str, ref: str, book: dict[tuple[str, str], int]) -> None:
        self.generation += 1
        book[cls, ref] = self.generation
        self.changed.notify_all()

    def _touch_targets(self, cls: str, row: Row) -> None:
        """What a row refers to shows it in a mirror."""
        for name in REFERENCES.get(cls, ()):
            target = row[name]
            kind = SCHEMA[cls].fields[name].type.name
            if target != NULL and self.exists(kind, target):
                self._touch(kind, target, self.modified)
