# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.liveness import signature
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.lease import cookie, held, lock_name
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import Place, Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.host import FastClock


class Locks:
    """As much of a pool as has to do with locks.

    :ivar taken: Names to cookies.
    :ivar renewed: Set when a lock was taken again.
    """

    place = Place("p")

    def __init__(self, lease: t.Optional[float] = None) -> None:
        self.lease = lease
        self.taken: t.Dict[str, str] = {}
        self.seconds: t.List[float] = []
        self.renewed = threading.Event()
        self.broken = False

    def lock(self, name: str, cookie: str, seconds: float) -> bool:
        if self.broken:
            raise BackendError("Ceph does not answer")
        if self.taken.get(name) == cookie:
            self.renewed.set()
        self.seconds.append(seconds)
        return self.taken.setdefault(name, cookie) == cookie

    def unlock(self, name: str) -> None:
        del self.taken[name]


def hold(locks: Locks, *names: str, seconds: float = 10) -> t.ContextManager[t.Any]:
    return held(t.cast(Pool, locks), names, Deadline(seconds, clock=FastClock()))


def test_a_cookie_tells_the_process_and_is_never_used_twice() -> None:
    assert cookie().rpartition("/")[0] == signature()
    assert cookie() != cookie()


def test_all_or_none() -> None:
    locks = Locks()
    with hold(locks, "a", "b", "a"):
        assert sorted(locks.taken) == [lock_name("a"), lock_name("b")]
        with pytest.raises(TimedOut, match="let go of b"), hold(locks, "0", "b", "c"):
            raise AssertionError("two at once")
        assert sorted(locks.taken) == [lock_name("a"), lock_name("b")]
    assert locks.taken == {}


def test_one_that_cannot_be_renewed_lasts_as_long_as_the_run_may() -> None:
    locks = Locks()
    with hold(locks, "a", seconds=1000):
        assert locks.seconds[0] >= 1000


def test_one_that_can_is_renewed_and_stops_with_the_run() -> None:
    locks = Locks(lease=0.3)
    with hold(locks, "a"):
        assert locks.renewed.wait(10)
    count = len(locks.seconds)
    assert not any(thread.name.startswith("Thread") and thread.is_alive() for thread in threading.enumerate() if thread.daemon)
    assert set(locks.seconds) == {0.3} and len(locks.seconds) == count


def test_one_that_was_lost_is_noticed_and_not_taken_from_others() -> None:
    locks = Locks(lease=0.2)
    with hold(locks, "a") as lease:
        lease.check("a")
        locks.broken = True
        lease._over.wait(0.5)
        with pytest.raises(BackendError, match="lock of a in p was lost"):
            lease.check("a")
        lease.check("b")
    assert lock_name("a") in locks.taken
