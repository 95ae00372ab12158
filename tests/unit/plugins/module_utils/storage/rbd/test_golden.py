# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.storage.filling import parent_name
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.command import CommandPool
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.golden import PATIENCE, SNAPSHOT, Golden, patiently
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import Busy, Place
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph import FakeCeph
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph_commands import CephCommands

PARENT = parent_name("v")


@pytest.fixture
def ceph() -> FakeCeph:
    return FakeCeph("p")


@pytest.fixture
def pool(ceph: FakeCeph) -> CommandPool:
    return CommandPool(Place("p"), CephCommands(ceph))


@pytest.fixture
def job(ceph: FakeCeph) -> Job:
    return Job(Deadline(600, clock=ceph.clock))


def trashed(ceph: FakeCeph) -> t.List[str]:
    return [disk.name for disk in ceph.space().trash.values()]


def make(pool: CommandPool, *children: str, name: str = PARENT) -> None:
    """A sealed parent and its clones."""
    pool.create(name, MIB)
    Golden(pool).seal(name)
    for child in children:
        pool.clone(name, SNAPSHOT, child)


def test_one_without_clones_goes_at_once(ceph: FakeCeph, pool: CommandPool, job: Job) -> None:
    make(pool)
    Golden(pool).retire(PARENT, job)
    Golden(pool).retire(PARENT, job)
    assert not ceph.space().images and not ceph.space().trash


def test_one_with_clones_goes_with_the_last(ceph: FakeCeph, pool: CommandPool, job: Job) -> None:
    make(pool, "a", "b")
    golden = Golden(pool)
    golden.retire(PARENT, job)
    assert trashed(ceph) == [PARENT]
    for child in "ab":
        pool.remove(child)
        golden.let_go(PARENT if child == "a" else None)
    assert trashed(ceph) == []


def test_the_trash_of_others_is_left_alone(ceph: FakeCeph, pool: CommandPool, job: Job) -> None:
    make(pool, "a")
    pool.create("theirs", MIB)
    pool.trash("theirs")
    make(pool, name=parent_name("w"))
    pool.drop_snapshot(parent_name("w"), SNAPSHOT)
    pool.trash(parent_name("w"))
    Golden(pool).settle(["v"], pool.names(), job)
    assert sorted(trashed(ceph)) == sorted(["theirs", PARENT, parent_name("w")])
    Golden(pool).sweep(None, pool.purge)
    assert sorted(trashed(ceph)) == sorted(["theirs", PARENT])


def test_a_dead_client_is_waited_for_and_a_living_one_is_not(ceph: FakeCeph, pool: CommandPool, job: Job) -> None:
    make(pool)
    ceph.space().images[PARENT].watchers[1] = None
    ceph.killed()
    Golden(pool).retire(PARENT, job)
    assert ceph.clock.now() >= 30 and not ceph.space().images
    pool.create("v", MIB)
    ceph.space().images["v"].watchers[1] = None
    with pytest.raises(Busy):
        patiently(lambda: pool.remove("v"), "it to be forgotten", job)
    assert ceph.clock.now() < 30 + PATIENCE + 10
