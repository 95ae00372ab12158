# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import Completed
from ansible_collections.bootable.volumes.plugins.module_utils.host.liveness import signature
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.command import CommandPool
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import Busy, Exists, Gone, Needed, Place
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph import FakeCeph
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph_commands import CephCommands
from ansible_collections.bootable.volumes.tests.unit.fakes.host import FastClock


@pytest.fixture
def ceph() -> FakeCeph:
    return FakeCeph("p", "ec")


@pytest.fixture
def commands(ceph: FakeCeph) -> CephCommands:
    return CephCommands(ceph)


@pytest.fixture
def pool(commands: CephCommands) -> CommandPool:
    return CommandPool(Place("p"), commands)


def test_every_command_says_where(ceph: FakeCeph, commands: CephCommands) -> None:
    ceph.pools["p"]["n"] = ceph.space()
    CommandPool(Place("p", "n", "/etc/ceph/x.conf", "me", "x"), commands).names()
    assert commands.commands == [[
        "rbd", "--conf", "/etc/ceph/x.conf", "--cluster", "x", "--id", "me", "--pool", "p", "--namespace", "n", "ls", "--format", "json"]]


def test_exit_codes_are_told_apart(ceph: FakeCeph, pool: CommandPool) -> None:
    assert pool.look("v") is None
    with pytest.raises(Gone, match="No such file"):
        pool.resize("v", MIB)
    pool.create("v", MIB)
    with pytest.raises(Exists, match="p/v cannot be created: .*File exists"):
        pool.create("v", MIB)
    ceph.space().images["v"].watchers[1] = None
    with pytest.raises(Busy, match="p/v cannot be removed: .*watchers"):
        pool.remove("v")
    ceph.space().images["v"].watchers.clear()
    pool.snapshot("v", "s")
    pool.drop_snapshot("v", "none")
    with pytest.raises(Needed, match="snapshots"):
        pool.remove("v")
    pool.flatten("v")
    with pytest.raises(Gone):
        pool.flatten("w")


def test_names_that_look_like_options(pool: CommandPool) -> None:
    pool.create("--pool", MIB)
    assert pool.names() == ["--pool"]
    pool.remove("--pool")
    assert pool.names() == []


def test_a_shape_is_handed_on(ceph: FakeCeph, commands: CephCommands) -> None:
    pool = CommandPool(Place("p", data_pool="ec", features=("layering", "exclusive-lock")), commands)
    pool.create("v", MIB)
    found = pool.look("v")
    assert found is not None and (found.data_pool, found.features) == ("ec", ("layering", "exclusive-lock"))


def test_an_answer_that_is_none(commands: CephCommands, pool: CommandPool) -> None:
    commands.broken["ls"] = Completed(0, "not JSON", "")
    with pytest.raises(BackendError, match="rbd ls gave no answer that makes sense: not JSON"):
        pool.names()
    commands.broken["ls"] = Completed(5, "", "")
    with pytest.raises(BackendError, match="rbd ls .* in p: it ended with exit code 5"):
        pool.names()
    commands.broken["df"] = Completed(13, "", "access denied")
    assert pool.room() is None


def test_a_cluster_that_does_not_answer_in_time(commands: CephCommands, pool: CommandPool) -> None:
    clock = FastClock()
    pool.deadline = Deadline(10, clock=clock)
    clock.sleep(11)
    commands.broken["ls"] = Completed(137, "", "")
    with pytest.raises(TimedOut, match="rbd to end"):
        pool.names()


def test_the_lock_of_a_process_that_is_dead_here_is_broken(ceph: FakeCeph, pool: CommandPool) -> None:
    boot, namespace, pid, began = signature().split("/")
    alive, dead, elsewhere = signature(), "/".join((boot, namespace, pid, began + "0")), "/".join(("another-boot", namespace, pid, began))
    for left_by, broken in ((alive, False), (elsewhere, False), (dead, True)):
        ceph.lock(ceph.space(), "l", "bootable", ceph.client(), left_by + "/1", 1000, renew=False)
        assert pool.is_locked("l") is not broken
        assert pool.lock("l", "mine/1", 10) is False
        assert pool.lock("l", "mine/1", 10) is broken
        pool.unlock("l")
    assert pool.is_locked("l") is False
    assert ceph.space().objects == {}


def test_a_lock_that_cannot_be_asked_for(ceph: FakeCeph, commands: CephCommands) -> None:
    commands.broken["lock get"] = Completed(1, "", "error 1: (1) Operation not permitted")
    with pytest.raises(BackendError, match="the lock l in p: error 1: .1. Operation not permitted"):
        CommandPool(Place("p"), commands).lock("l", "c", 10)
