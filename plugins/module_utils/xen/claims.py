# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping other runs away from an object of a pool, which has no locks: by a key in its ``other_config``, which only one can add."""

from __future__ import annotations

import contextlib
import json
import time
import typing as t
import uuid

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool

# Seconds by which the clocks of two hosts may differ.
_SKEW = 600.0

# Seconds after which it shows whether another run pushed the same dead claim aside at the same time.
_SETTLED = 1.0


@contextlib.contextmanager
def claimed(pool: Pool, kind: str, ref: str, key: str, *, run: str, is_dead: t.Callable[[str], bool], deadline: Deadline, what: str) -> t.Iterator[None]:
    """An object is this run's for the length of a ``with``. A run that holds it is waited for; one that has ended is not.

    :param kind: The object's class, such as ``VM``.
    :param key: In its ``other_config``.
    :param run: This run, as ``host.liveness`` tells processes.
    :param is_dead: Whether another such run has certainly ended; where that cannot be told its own deadline decides.
    :param what: For messages: ``the machine web-1``.
    :raises TimedOut: another run holds it all the time.
    """
    mine = json.dumps({"run": run, "until": int(time.time() + deadline.remaining()), "token": uuid.uuid4().hex}, sort_keys=True)

    def there() -> t.Optional[str]:
        found: t.Optional[str] = pool.read(kind + ".get_other_config", ref).get(key)
        return found

    def attempt() -> t.Optional[bool]:
        if _add(pool, kind, ref, key, mine, there):
            return True
        found = there()
        if found is None or not _has_ended(found, is_dead):
            return None
        pool.call(kind + ".remove_from_other_config", ref, key)
        if not _add(pool, kind, ref, key, mine, there):
            return None
        deadline.clock.sleep(_SETTLED)
        return True if there() == mine else None

    try:
        deadline.wait(attempt, "another run that is at work on %s" % what, longest=2.0)
        yield
    finally:
        with contextlib.suppress(VolumesError):
            if there() == mine:
                pool.call(kind + ".remove_from_other_config", ref, key)


def _add(pool: Pool, kind: str, ref: str, key: str, mine: str, there: t.Callable[[], t.Optional[str]]) -> bool:
    """Whether the key could be added; also if no answer told so."""
    try:
        pool.call(kind + ".add_to_other_config", ref, key, mine)
    except XenFailure as error:
        if error.code != "MAP_DUPLICATE_KEY":
            raise
        return there() == mine
    except BackendError:
        if there() != mine:
            raise
    return True


def _has_ended(claim: str, is_dead: t.Callable[[str], bool]) -> bool:
    """Whether the run that left a claim has ended; what makes no sense is nobody's claim."""
    try:
        found = json.loads(claim)
        return is_dead(str(found["run"])) or time.time() > int(found["until"]) + _SKEW
    except (ValueError, TypeError, KeyError):
        return True
