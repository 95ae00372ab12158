# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import threading
import time
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.locks import LOCK, PUSHING, Locks
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.notes import Claim
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.host import FastClock
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import dead_signature, parameters

if t.TYPE_CHECKING:
    from lab.xapi.simulator import Simulator


@pytest.fixture
def xapi(tmp_path: pathlib.Path) -> t.Iterator[Simulator]:
    with simulator(tmp_path) as found:
        yield found


@pytest.fixture
def pool(xapi: Simulator) -> t.Iterator[Pool]:
    with Pool.connect(parameters(xapi)) as found:
        yield found


@pytest.fixture
def sr(pool: Pool) -> str:
    return Disks(pool).find_sr().ref


@pytest.fixture
def locks(pool: Pool, sr: str) -> Locks:
    return Locks(pool, sr)


def there(xapi: Simulator, sr: str) -> t.Dict[str, str]:
    return {key: value for key, value in xapi.call("SR.get_other_config", sr).items() if key.startswith("bootable:")}


def test_locks_are_there_while_they_are_held(xapi: Simulator, sr: str, locks: Locks) -> None:
    with locks.held(["b", "a", "b"], Deadline(10)):
        assert set(there(xapi, sr)) == {LOCK + "a", LOCK + "b"}
        assert set(locks.holders()) == {"a", "b"}
    assert there(xapi, sr) == {} and locks.holders() == {}


def test_they_are_let_go_of_whatever_happens(xapi: Simulator, sr: str, locks: Locks) -> None:
    with pytest.raises(ValueError), locks.held(["a"], Deadline(10)):
        raise ValueError()
    assert there(xapi, sr) == {}


@pytest.mark.parametrize("claim", [
    Claim("x", dead_signature(), time.time() + 1000), Claim("x", "another host/1/1/1", time.time() - 1), Claim("", "", 0.0),
])
def test_one_of_a_run_that_has_ended_is_pushed_aside_at_once(xapi: Simulator, sr: str, locks: Locks, claim: Claim) -> None:
    xapi.call("SR.add_to_other_config", sr, LOCK + "a", claim.text())
    assert locks.holders() == {}
    with locks.held(["a"], Deadline(10, clock=FastClock())):
        assert there(xapi, sr)[LOCK + "a"] != claim.text()
    assert there(xapi, sr) == {}


def test_one_of_a_run_that_lives_is_waited_for_and_stays(xapi: Simulator, sr: str, locks: Locks) -> None:
    claim = Claim("x", "another host/1/1/1", time.time() + 1000)
    xapi.call("SR.add_to_other_config", sr, LOCK + "b", claim.text())
    with pytest.raises(TimedOut, match="another run to let go of b"), locks.held(["a", "b"], Deadline(10, clock=FastClock())):
        raise AssertionError("held by two")
    assert there(xapi, sr) == {LOCK + "b": claim.text()}


def test_a_run_that_died_while_it_pushed_one_aside_is_no_hindrance(xapi: Simulator, sr: str, locks: Locks) -> None:
    dead = Claim("x", dead_signature(), time.time() + 1000).text()
    for key in (LOCK + "a", PUSHING + "a"):
        xapi.call("SR.add_to_other_config", sr, key, dead)
    with locks.held(["a"], Deadline(10)):
        pass
    assert there(xapi, sr) == {}


def test_nobody_pushes_aside_what_somebody_else_is_pushing_aside(xapi: Simulator, sr: str, locks: Locks) -> None:
    xapi.call("SR.add_to_other_config", sr, LOCK + "a", Claim("x", dead_signature(), time.time() + 1000).text())
    xapi.call("SR.add_to_other_config", sr, PUSHING + "a", Claim("x", "another host/1/1/1", time.time() + 1000).text())
    with pytest.raises(TimedOut), locks.held(["a"], Deadline(10, clock=FastClock())):
        raise AssertionError("held by two")


def test_one_holds_it_at_a_time(xapi: Simulator, sr: str) -> None:
    inside, most, total = 0, 0, 0
    counting = threading.Lock()

    def hold(pool: Pool) -> None:
        nonlocal inside, most, total
        with Locks(pool, sr).held(["a", "b"], Deadline(30)):
            with counting:
                inside, total = inside + 1, total + 1
                most = max(most, inside)
            pool.call("SR.get_other_config", sr)
            with counting:
                inside -= 1

    xapi.call("SR.add_to_other_config", sr, LOCK + "a", Claim("x", dead_signature(), time.time() + 1000).text())
    pools = [Pool.connect(parameters(xapi)) for dummy in range(4)]
    troubles = run_all(hold, pools, at_once=4)[1]
    for pool in pools:
        pool.close()
    assert (troubles, most, total) == ([], 1, 4)
    assert there(xapi, sr) == {}


@pytest.mark.parametrize("when, held", [("reset_after", True), ("reset_before", False)])
def test_a_connection_that_breaks_while_one_is_taken(xapi: Simulator, sr: str, locks: Locks, when: str, held: bool) -> None:
    setattr(xapi.pool.faults, when, ["SR.add_to_other_config"])
    if held:
        with locks.held(["a"], Deadline(10)):
            assert set(there(xapi, sr)) == {LOCK + "a"}
    else:
        with pytest.raises(BackendError, match="hung up"), locks.held(["a"], Deadline(10)):
            raise AssertionError("not held")
    assert there(xapi, sr) == {}
