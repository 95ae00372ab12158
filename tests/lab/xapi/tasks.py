"""Tasks: how work in the background, and transfers, tell their progress and their end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from . import values
from .ports import XapiError
from .registry import Call, handles

if TYPE_CHECKING:
    from .pool import Pool

KEPT = 65 * 60.0  # seconds for which a task that has ended can be asked
ENDED = ("success", "failure", "cancelled")


class Tasks:
    """All tasks. Every method wants the pool's lock to be held."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._running: set[str] = set()
        self._unwanted: set[str] = set()
        self._ended: dict[str, float] = {}

    def create(self, label: str, description: str, *, running: bool = False) -> str:
        """A new task; `running` when work has begun already."""
        ref = self._pool.database.create(
            "task", name_label=label, name_description=description, created=values.now(), status="pending",
            resident_on=self._pool.database.by_uuid("host", self._pool.master), type="<none/>",
            allowed_operations=["cancel", "destroy"],
        )
        if running:
            self._running.add(ref)
        return ref

    def begin(self, ref: str) -> None:
        """Work on a task begins. Raises HANDLE_INVALID."""
        self._pool.database.row("task", ref)
        self._running.add(ref)

    def check(self, ref: str) -> None:
        """Raises TASK_CANCELLED once somebody wants the work to end."""
        if self._pool.database.row("task", ref)["status"] in ("cancelling", "cancelled"):
            raise XapiError("TASK_CANCELLED", ref)

    def progress(self, ref: str, part: float) -> None:
        """0.0 to 1.0. Raises TASK_CANCELLED."""
        self.check(ref)
        if part - self._pool.database.row("task", ref)["progress"] >= 0.01:
            self._pool.database.set("task", ref, progress=min(part, 0.99))

    def succeed(self, ref: str, result: str) -> None:
        """The work is done."""
        self._end(ref, status="success", result=result, progress=1.0)

    def fail(self, ref: str, error: XapiError) -> None:
        """The work failed, or was cancelled."""
        status = "cancelled" if error.code == "TASK_CANCELLED" else "failure"
        self._end(ref, status=status, error_info=error.description, progress=1.0)

    def _end(self, ref: str, **changes: Any) -> None:
        self._running.discard(ref)
        if not self._pool.database.exists("task", ref):
            return
        self._pool.database.set("task", ref, finished=values.now(), allowed_operations=["destroy"], **changes)
        self._ended[ref] = time.monotonic()
        if ref in self._unwanted:
            self._remove(ref)

    def cancel(self, ref: str) -> None:
        """Asks for the end. Raises OPERATION_NOT_ALLOWED when there is nothing to end."""
        if self._pool.database.row("task", ref)["status"] in ENDED:
            raise XapiError("OPERATION_NOT_ALLOWED", f"Task {ref} has ended already")
        if ref in self._running:
            self._pool.database.set("task", ref, status="cancelling", allowed_operations=["destroy"])
        else:
            self.fail(ref, XapiError("TASK_CANCELLED", ref))

    def destroy(self, ref: str) -> None:
        """Removes a task; one on which work goes on, once that has ended."""
        if ref in self._running:
            self._unwanted.add(ref)
            self._pool.database.set("task", ref, current_operations={ref: "destroy"})
        else:
            self._remove(ref)

    def _remove(self, ref: str) -> None:
        self._unwanted.discard(ref)
        self._ended.pop(ref, None)
        self._pool.database.destroy("task", ref)

    def collect(self) -> None:
        """Removes what ended long ago."""
        old = time.monotonic() - KEPT
        for ref in [ref for ref, ended in self._ended.items() if ended < old]:
            self._remove(ref)


@handles("task.create")
def create(call: Call, label: str, description: str) -> str:
    """A task that the caller hands to a transfer, or ends itself."""
    return call.pool.tasks.create(label, description)


@handles("task.destroy")
def destroy(call: Call, ref: str) -> None:
    """Removes a task."""
    call.pool.tasks.destroy(ref)


@handles("task.cancel")
def cancel(call: Call, ref: str) -> None:
    """Asks for a task's end."""
    call.pool.tasks.cancel(ref)


@handles("task.set_status")
def set_status(call: Call, ref: str, value: str) -> None:
    """The caller tells how its own task goes."""
    if value in ENDED:
        call.pool.database.set("task", ref, status=value, finished=values.now())
    else:
        call.pool.database.set("task", ref, status=value)
