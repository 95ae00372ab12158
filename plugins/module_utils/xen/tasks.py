# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks of XAPI: work that goes on in the pool while this side waits, within the job's deadline."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure, XenNotFound, failure

# Seconds that a pool may be silent while its task goes on: its master restarts, or another host becomes master.
OUTAGE = 120.0

# Seconds in which what was asked for shows in the pool, after the connection broke instead of an answer.
LATE = 5.0

T = t.TypeVar("T")

_RESULT = re.compile(r"^<value>(?:<string>)?(.*?)(?:</string>)?</value>$", re.DOTALL)

# A task's result is XML-RPC, so what is special there is escaped.
_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&"))


class Calls(t.Protocol):
    """As much of a Pool as is needed here."""

    def call(self, method: str, *args: t.Any) -> t.Any:
        """One call."""

    def read(self, method: str, *args: t.Any, within: t.Optional[Deadline] = None) -> t.Any:
        """One that writes nothing."""


def look(pool: Calls, task: str, doing: str) -> t.Optional[str]:
    """A task's result if it is over, else None.

    :param doing: What the task does, to read: ``create the disk web-1``.

    :raises XenFailure: it has failed, or was cancelled.
    """
    record = pool.read("task.get_record", task)
    status = str(record["status"]).lower()
    if status == "success":
        return value_of(record.get("result") or "")
    if status == "failure":
        raise failure(record.get("error_info") or [], "XAPI did not %s" % doing)
    if status == "cancelled":
        raise failure(["TASK_CANCELLED", task], "XAPI did not %s" % doing)
    return None


def wait(pool: Calls, task: str, deadline: Deadline, doing: str, **details: t.Any) -> str:
    """A task's result, once there is one. The pool may be out of reach for a while.

    :param doing: What the task does, to read: ``create the disk web-1``.
    :param details: For the result if time runs out: uuids.
    :raises XenFailure: the task failed.
    :raises TimedOut: it goes on in the pool.
    """
    silent_since: t.List[float] = []

    def poll() -> t.Optional[str]:
        try:
            found = look(pool, task, doing)
        except XenFailure:
            raise
        except BackendError:
            now = deadline.clock.now()
            silent_since.append(now)
            if now - silent_since[0] > OUTAGE:
                raise
            return None
        silent_since.clear()
        return found

    return deadline.wait(poll, "XAPI to %s" % doing, first=0.05, longest=2.0, details=lambda: details)


@contextlib.contextmanager
def destroyed(pool: Calls, task: str) -> t.Iterator[str]:
    """A task that is gone from the pool's list at the end of a ``with``, whatever happens."""
    try:
        yield task
    finally:
        with contextlib.suppress(VolumesError):
            pool.call("task.destroy", task)


def value_of(result: str) -> str:
    """What a task's result says: ``<value>OpaqueRef:…</value>`` is the reference in it."""
    match = _RESULT.match(result.strip())
    if not match:
        return result
    value = match.group(1)
    for escape, character in _ESCAPES:
        value = value.replace(escape, character)
    return value


def unmake(pool: Calls, kind: str, ref: str, work: t.Callable[[], t.Any], deadline: Deadline) -> None:
    """Do ``work``, which takes an object away: that it is gone, by this or by another, is fine, even if no answer tells so.

    :param kind: Of the object, as XAPI calls it: ``VM``.
    :raises XenFailure: the pool does not do it.
    :raises BackendError: no answer came, and the object is still there.
    """
    try:
        work()
    except XenFailure as error:
        if error.code != "HANDLE_INVALID":
            raise
    except BackendError:
        if not found_late(lambda: gone(pool, kind, ref) or None, deadline):
            raise


def gone(pool: Calls, kind: str, ref: str) -> bool:
    """Whether there is no such object any more."""
    try:
        pool.read(kind + ".get_uuid", ref)
    except XenNotFound:
        return True
    return False


def found_late(look: t.Callable[[], t.Optional[T]], deadline: Deadline) -> t.Optional[T]:
    """What ``look`` finds of work whose answer got lost. The pool may still be at it, so that it is looked for a while.

    :returns: None if it does not show up: it was most likely never begun.
    """
    clock = deadline.clock
    give_up = clock.now() + min(LATE, deadline.remaining())
    while True:
        found = look()
        if found is not None or clock.now() >= give_up:
            return found
        clock.sleep(0.2)
