# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks by name, in the ``other_config`` of a storage repository or a machine: XAPI adds a key only if it is not there, and in one step.

A lock says who has it and until when. One whose run has ended on this host is pushed aside at once, one of another host
when its time is over. Pushing aside is done under a lock of its own: else two that do it together would remove each other's.
"""

from __future__ import annotations

import contextlib
import typing as t
import uuid

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.notes import Claim
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool

LOCK, PUSHING = "bootable:lock:", "bootable:unlock:"

# Seconds that pushing a lock aside may take.
_PUSH = 30.0


class Locks:
    """Locks in one object.

    :param ref: Its reference.
    :param kind: Its class.
    """

    def __init__(self, pool: Pool, ref: str, kind: str = "SR") -> None:
        self._pool = pool
        self._ref = ref
        self._kind = kind

    @contextlib.contextmanager
    def held(self, names: t.Iterable[str], deadline: Deadline) -> t.Iterator[None]:
        """Hold several locks at once. Taken in one order by everybody, so that no two runs wait for each other.

        :raises TimedOut: when another run does not let go in time.
        """
        taken: t.List[t.Tuple[str, str]] = []
        try:
            for name in sorted(set(names)):
                claim = self._claim(name, deadline)
                taken.append((LOCK + name, claim))  # first noted, then taken: what is not ours is not released
                deadline.wait(lambda name=name, claim=claim: self._take(LOCK + name, claim),  # type: ignore[misc]
                              "another run to let go of %s" % name, first=0.1, longest=2.0)
            yield
        finally:
            for key, claim in reversed(taken):
                self._release(key, claim)

    def holders(self) -> t.Dict[str, Claim]:
        """The names that live runs hold right now. Writes nothing."""
        there = self._pool.read(self._kind + ".get_other_config", self._ref)
        claims = {key[len(LOCK):]: Claim.parse(value) for key, value in there.items() if key.startswith(LOCK)}
        return {name: claim for name, claim in claims.items() if not claim.over}

    @staticmethod
    def _claim(name: str, deadline: Deadline) -> str:
        """The text of a claim that is like no other: two threads of a run may want the same lock."""
        return Claim.mine("%s %s" % (uuid.uuid4().hex, name), deadline).text()

    def _take(self, key: str, claim: str) -> t.Optional[bool]:
        if self._add(key, claim):
            return True
        there = self._look(key)
        if there is not None and Claim.parse(there).over:
            self._push_aside(key, there)
            return self._add(key, claim) or None
        return None

    def _add(self, key: str, claim: str) -> bool:
        try:
            self._pool.call(self._kind + ".add_to_other_config", self._ref, key, claim)
        except XenFailure as error:
            if error.code != "MAP_DUPLICATE_KEY":
                raise
            return False
        except BackendError:  # no answer, so it may be there
            if self._look(key) != claim:
                raise
        return True

    def _look(self, key: str) -> t.Optional[str]:
        return t.cast(t.Optional[str], self._pool.read(self._kind + ".get_other_config", self._ref).get(key))

    def _push_aside(self, key: str, there: str) -> None:
        """Remove a lock of a run that has ended, if it still is that one."""
        guard = PUSHING + key[len(LOCK):]
        claim = self._claim(key, Deadline(_PUSH))
        if not self._add(guard, claim):
            left = self._look(guard)
            if left is not None and Claim.parse(left).over:
                self._pool.call(self._kind + ".remove_from_other_config", self._ref, guard)
            return
        try:
            if self._look(key) == there:
                self._pool.call(self._kind + ".remove_from_other_config", self._ref, key)
        finally:
            self._release(guard, claim)

    def _release(self, key: str, claim: str) -> None:
        """What cannot be released now will be pushed aside."""
        with contextlib.suppress(VolumesError):
            if self._look(key) == claim:
                self._pool.call(self._kind + ".remove_from_other_config", self._ref, key)
