# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots that are taken for one purpose and go again, in the simulator's pool."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Machine, Machines
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.plugins.module_utils.xen.snapshots import Snapshots, Tag, iso
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_machine import Web, pool_of

TAG = Tag("0" * 32, 1800000000, "boot/1/2/3")


@pytest.fixture
def web(folder: pathlib.Path) -> t.Iterator[Web]:
    with simulator(folder) as site:
        yield Web(site)


@pytest.fixture
def pool(web: Web) -> t.Iterator[Pool]:
    with pool_of(web.simulator) as found:
        yield found


def machine(pool: Pool) -> Machine:
    """web, as the pool has it now."""
    return t.cast(Machine, Machines(pool).find("web"))


def deadline(seconds: float = 20.0) -> Deadline:
    """Time enough."""
    return Deadline(seconds)


def test_what_a_name_says() -> None:
    assert Tag.of(TAG.name) == TAG
    assert Tag.of(Tag("1" * 32, 5).name) == Tag("1" * 32, 5, "")
    for name in ("before the upgrade", "", "bootable.volumes", "x" + TAG.name):
        assert Tag.of(name) is None


@pytest.mark.parametrize("found, expected", [
    ("20261128T16:00:01Z", "2026-11-28T16:00:01Z"), ("2026-11-28T16:00:01Z", "2026-11-28T16:00:01Z"), ("20261128T16:00:01", "2026-11-28T16:00:01Z"),
    ("yesterday", "yesterday")])
def test_the_pools_time(found: str, expected: str) -> None:
    assert iso(found) == expected


@pytest.mark.parametrize("running", [False, True])
def test_taken_and_removed(web: Web, pool: Pool, running: bool) -> None:
    if running:
        web.start()
    before = web.all_vdis()
    taken = Snapshots(pool).take(machine(pool), TAG, deadline=deadline())
    assert web.snapshots() == [TAG.name] and set(taken.disks) == {"0", "1"} and taken.time.endswith("Z")
    assert web.simulator.disk_bytes(taken.disks["0"].uuid) == web.content(0)
    assert Snapshots(pool).tagged(machine(pool)) == [(taken.ref, TAG)]
    Snapshots(pool).remove(taken.ref, machine(pool), deadline=deadline())
    assert web.snapshots() == [] and web.all_vdis() == before
    Snapshots(pool).remove(taken.ref, machine(pool), deadline=deadline())


def test_disks_that_are_not_needed_are_left_out(web: Web, pool: Pool) -> None:
    data = t.cast(t.Any, Disks(pool).by_uuid(web.vdis[1]))
    taken = Snapshots(pool).take(machine(pool), TAG, without=[data.ref], deadline=deadline())
    assert set(taken.disks) == {"0"}


def test_a_pool_that_is_too_old_to_leave_some_out(web: Web, pool: Pool) -> None:
    data = t.cast(t.Any, Disks(pool).by_uuid(web.vdis[1]))
    web.simulator.pool.faults.fail_next("VM.snapshot", "MESSAGE_PARAMETER_COUNT_MISMATCH", "VM.snapshot", "2", "3")
    taken = Snapshots(pool).take(machine(pool), TAG, without=[data.ref], deadline=deadline())
    assert set(taken.disks) == {"0", "1"}


def test_taken_although_no_answer_came(web: Web, pool: Pool) -> None:
    web.simulator.pool.faults.reset_after.append("Async.VM.snapshot")
    taken = Snapshots(pool).take(machine(pool), TAG, deadline=deadline())
    assert web.snapshots() == [TAG.name] and taken.tag == TAG


def test_not_taken_and_no_answer_came(web: Web, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    web.simulator.pool.faults.reset_before.append("Async.VM.snapshot")
    with pytest.raises(BackendError):
        Snapshots(pool).take(machine(pool), TAG, deadline=deadline(1.0))
    assert web.snapshots() == []


def test_removed_although_no_answer_came(web: Web, pool: Pool) -> None:
    taken = Snapshots(pool).take(machine(pool), TAG, deadline=deadline())
    web.simulator.pool.faults.reset_after.append("Async.VM.destroy")
    Snapshots(pool).remove(taken.ref, machine(pool), deadline=deadline())
    assert web.snapshots() == []


def test_not_removed_and_no_answer_came(web: Web, pool: Pool) -> None:
    taken = Snapshots(pool).take(machine(pool), TAG, deadline=deadline())
    web.simulator.pool.faults.reset_before.append("Async.VM.destroy")
    with pytest.raises(BackendError):
        Snapshots(pool).remove(taken.ref, machine(pool), deadline=deadline(1.0))
    assert web.snapshots() == [TAG.name]


def test_refused(web: Web, pool: Pool) -> None:
    web.simulator.pool.faults.fail_next("VM.snapshot", "SR_OPERATION_NOT_SUPPORTED", "OpaqueRef:x")
    with pytest.raises(XenFailure, match="take a snapshot of the machine web"):
        Snapshots(pool).take(machine(pool), TAG, without=["OpaqueRef:NULL"], deadline=deadline())


def test_what_is_no_such_snapshot_is_not_removed(web: Web, pool: Pool) -> None:
    before = web.all_vdis()
    with pytest.raises(BackendError, match="web .* is no snapshot of the machine web; it was not removed"):
        Snapshots(pool).remove(web.ref, machine(pool), deadline=deadline())
    other = Web(web.simulator, name="other")
    taken = other.snapshot("mine")
    with pytest.raises(BackendError, match="mine .* is no snapshot of the machine web"):
        Snapshots(pool).remove(taken, machine(pool), deadline=deadline())
    assert web.all_vdis() >= before and other.snapshots() == ["mine"]


def test_a_disk_that_is_still_held(web: Web, pool: Pool) -> None:
    """A host lets go of a disk a moment after its export: it is waited for, but not for ever."""
    taken = Snapshots(pool).take(machine(pool), TAG, deadline=deadline())
    for dummy in range(2):
        web.simulator.pool.faults.fail_next("VDI.destroy", "VDI_IN_USE", taken.disks["0"].ref, "destroy")
    Snapshots(pool).remove(taken.ref, machine(pool), deadline=deadline())
    assert web.snapshots() == []
    taken = Snapshots(pool).take(machine(pool), TAG, deadline=deadline())
    for dummy in range(20):
        web.simulator.pool.faults.fail_next("VDI.destroy", "VDI_IN_USE", taken.disks["0"].ref, "destroy")
    with pytest.raises((TimedOut, XenFailure)):
        Snapshots(pool).remove(taken.ref, machine(pool), deadline=deadline(0.5))
    assert web.snapshots() == [TAG.name]


def names_of(pool: Pool, found: t.Sequence[t.Any]) -> t.List[str]:
    """The names of the machines' snapshots that disks belong to."""
    names = []
    for vdi in found:
        (vbd,) = vdi.vbds
        names.append(pool.call("VM.get_name_label", pool.call("VBD.get_VM", vbd)))
    return names


def test_what_a_disk_descends_from(web: Web, pool: Pool) -> None:
    web.scribble(1)
    web.snapshot("one")
    web.scribble(2)
    gone = web.snapshot("gone")
    web.scribble(3)
    web.snapshot("three")
    web.scribble(4)
    Snapshots(pool).remove(gone, machine(pool), deadline=deadline())
    taken = Snapshots(pool).take(machine(pool), TAG, deadline=deadline())
    lineage = Snapshots(pool).lineage(taken.disks["0"])
    assert names_of(pool, lineage) == [TAG.name, "three", "one"]
    assert len(Snapshots(pool).lineage(taken.disks["1"])) == 3
    assert all(vdi.managed for vdi in lineage)


def test_a_disk_that_descends_from_nothing(web: Web, pool: Pool) -> None:
    taken = Snapshots(pool).take(machine(pool), TAG, deadline=deadline())
    assert Snapshots(pool).lineage(taken.disks["0"]) == [taken.disks["0"]]


def test_a_repository_of_another_kind(web: Web) -> None:
    """What matters is whether its disks tell of layers, not what it is."""
    lvm = Web(web.simulator, name="thick", sr=web.simulator.pool.world.lvm)
    lvm.snapshot("one")
    with pool_of(web.simulator) as pool:
        found = t.cast(Machine, Machines(pool).find("thick"))
        taken = Snapshots(pool).take(found, TAG, deadline=deadline())
        lineage = Snapshots(pool).lineage(taken.disks["0"])
        assert names_of(pool, lineage) == ([TAG.name, "one"] if "vhd-parent" in taken.disks["0"].sm_config else [TAG.name])
