# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks that keep two runs from the same volumes, wherever they run.

They are RADOS's own advisory locks, each on an object of its own, so that a volume can be locked before there is one. A lock ends
by itself: where it can be renewed it is, for as long as the run lives; elsewhere it lasts until the run's own deadline.
"""

from __future__ import annotations

import contextlib
import threading
import time
import typing as t
import uuid

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.liveness import signature
from ansible_collections.bootable.volumes.plugins.module_utils.storage.filling import HIDDEN
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import LOCK, Pool

# What a run may still have to do when its deadline has passed: tidy up.
_MARGIN = 300.0

# A lock is renewed this many times before it would end.
_OFTEN = 3


def lock_name(name: str) -> str:
    """The object that carries a volume's lock."""
    return "%slock.%s" % (HIDDEN, name)


def cookie() -> str:
    """One that no other lock has; it tells which process has the lock."""
    return "%s/%s" % (signature(), uuid.uuid4().hex)


class Lease:
    """The locks of some volumes, held together."""

    def __init__(self, pool: Pool, cookie: str, seconds: float) -> None:
        self._pool = pool
        self._cookie = cookie
        self._seconds = seconds
        self._until: t.Dict[str, float] = {}
        self._over = threading.Event()
        self._renewing: t.Optional[threading.Thread] = None

    def take(self, name: str) -> t.Optional[bool]:
        """Take one more; None while somebody else has it."""
        began = time.monotonic()
        if not self._pool.lock(lock_name(name), self._cookie, self._seconds):
            return None
        self._until[name] = began + self._seconds
        if self._pool.lease and self._renewing is None:
            self._renewing = threading.Thread(target=self._renew, daemon=True)
            self._renewing.start()
        return True

    def check(self, name: str) -> None:
        """:raises BackendError: the lock was lost, so another run may be at the volume."""
        if name in self._until and time.monotonic() > self._until[name]:
            raise BackendError("the lock of %s in %s was lost: Ceph did not answer for too long; nothing was published, run the task again" % (
                name, self._pool.place.path))

    def give_back(self) -> None:
        """Let go of all. One that was lost may be another run's by now."""
        self._over.set()
        if self._renewing is not None:
            self._renewing.join()
        for name, until in self._until.items():
            if time.monotonic() < until:
                with contextlib.suppress(VolumesError):  # it ends by itself
                    self._pool.unlock(lock_name(name))
        self._until = {}

    def _renew(self) -> None:
        while not self._over.wait(self._seconds / _OFTEN):
            for name in list(self._until):
                began = time.monotonic()
                with contextlib.suppress(VolumesError):
                    if began < self._until[name] and self._pool.lock(lock_name(name), self._cookie, self._seconds):
                        self._until[name] = began + self._seconds


@contextlib.contextmanager
def held(pool: Pool, names: t.Iterable[str], deadline: Deadline) -> t.Iterator[Lease]:
    """Hold the locks of several volumes. Taken in one order by everybody, so that no two runs wait for each other.

    :raises TimedOut: another run does not let go in time.
    """
    lease = Lease(pool, cookie(), pool.lease or deadline.remaining() + _MARGIN)
    try:
        for name in sorted(set(names)):
            what = "another run to let go of %s (`rados --pool %s lock info %s %s` tells which)" % (name, pool.place.pool, lock_name(name), LOCK)
            deadline.wait(lambda name=name: lease.take(name), what, first=0.1, longest=1.0)  # type: ignore[misc]
        yield lease
    finally:
        lease.give_back()
