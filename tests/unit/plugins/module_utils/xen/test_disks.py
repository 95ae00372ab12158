# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, BackendError, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import tasks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks, Vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenInUse, XenInvalid, XenNoRoom, XenNotFound
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import LOCAL, LVM, SHARED, attach, disks_of, parameters

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
def disks(pool: Pool) -> Disks:
    return Disks(pool)


def deadline(seconds: float = 20) -> Deadline:
    return Deadline(seconds)


def make(disks: Disks, name: str = "v", sr: str = SHARED, size: int = 4 * MIB) -> Vdi:
    return disks.create(sr=disks.find_sr(sr).ref, name=name, size=size, other_config={"mine": "yes"}, deadline=deadline())


# --- repositories ---


def test_a_repository_is_found_by_name_by_uuid_or_as_the_default(disks: Disks) -> None:
    shared = disks.find_sr()
    assert (shared.name, shared.type, shared.shared, shared.connected, shared.thick) == (SHARED, "nfs", True, True, False)
    assert shared.size == 200 * GIB and 0 < shared.free <= shared.size
    assert disks.find_sr(SHARED) == disks.find_sr(shared.uuid) == shared
    assert disks.find_sr(LVM).thick and not disks.find_sr(LOCAL).thick


def test_one_that_is_not_there_is_told_with_those_that_are(xapi: Simulator, disks: Disks) -> None:
    with pytest.raises(NotFound, match="'nowhere'; there are: LVM storage, Local storage, Shared storage"):
        disks.find_sr("nowhere")
    for ref in xapi.call("pool.get_all"):
        xapi.call("pool.set_default_SR", ref, "OpaqueRef:NULL")
    with pytest.raises(NotFound, match="no default storage repository; name one"):
        disks.find_sr()


def test_a_name_that_several_have_is_refused(xapi: Simulator, disks: Disks) -> None:
    uuids = sorted(disks.find_sr(name).uuid for name in (SHARED, LVM))
    xapi.call("SR.set_name_label", disks.find_sr(LVM).ref, SHARED)
    with pytest.raises(Ambiguous, match=", ".join(uuids)):
        disks.find_sr(SHARED)


# --- disks ---


def test_a_disk_and_its_life(xapi: Simulator, pool: Pool, disks: Disks) -> None:
    made = make(disks, size=3 * MIB)
    assert (made.name, made.size, made.type, made.managed, made.is_snapshot, made.vbds) == ("v", 4 * MIB, "user", True, False, ())
    assert made.other_config["mine"] == "yes"
    assert disks.named("v", made.sr) == [made] == [each for each in disks.all_in(made.sr) if each.managed] and disks.named("v", "elsewhere") == []
    assert disks.by_uuid(made.uuid) == made and disks.by_uuid("00000000-0000-0000-0000-000000000000") is None
    assert disks.resize(made.ref, 5 * MIB, deadline=deadline()).size == 6 * MIB
    disks.rename(made.ref, "w", "described")
    disks.note(made.ref, {"a": "1", "mine": None, "nothing": None})
    found = disks.get(made.ref)
    assert (found.name, found.description) == ("w", "described")
    assert {key: value for key, value in found.other_config.items() if "token" not in key} == {"a": "1"}
    clone, snapshot = disks.clone(made.ref, deadline=deadline()), disks.snapshot(made.ref, deadline=deadline())
    assert clone.name == "w" and clone.other_config == found.other_config and not clone.is_snapshot
    assert snapshot.is_snapshot and snapshot.snapshot_of == made.ref
    for ref in (clone.ref, snapshot.ref, made.ref, made.ref):
        disks.destroy(ref, deadline=deadline())
    assert disks_of(xapi) == {} and tasks.gone(pool, "VDI", made.ref)
    with pytest.raises(XenNotFound):
        disks.get(made.ref)


def test_a_note_that_changes_nothing_is_not_written(xapi: Simulator, disks: Disks) -> None:
    made = make(disks)
    before = len(xapi.pool.faults.writes())
    disks.note(made.ref, {"mine": "yes", "nothing": None})
    assert len(xapi.pool.faults.writes()) == before


def test_what_does_not_fit_is_told(disks: Disks) -> None:
    with pytest.raises(XenNoRoom, match="XAPI did not create the disk v: the storage repository has not enough room"):
        make(disks, sr=LVM, size=60 * GIB)
    with pytest.raises(XenInvalid, match="at most 2040 GiB"):
        make(disks, size=2041 * GIB)


@pytest.mark.parametrize("method", ["Async.VDI.create", "task.get_record", "VDI.get_record"])
def test_a_disk_that_is_made_though_no_answer_comes_is_found(xapi: Simulator, disks: Disks, method: str) -> None:
    disks.find_sr(SHARED)
    xapi.pool.faults.reset_after = [method]
    made = make(disks)
    assert list(disks_of(xapi)) == [made.uuid]


def test_one_that_is_not_made_is_told(xapi: Simulator, disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "LATE", 0.1)
    xapi.pool.faults.reset_before = ["Async.VDI.create"]
    with pytest.raises(BackendError, match="hung up"):
        make(disks)
    assert disks_of(xapi) == {}


# --- who has them ---


def test_holders_are_told_and_keep_a_disk_from_being_removed(xapi: Simulator, disks: Disks) -> None:
    made = make(disks)
    machine = attach(xapi, made.uuid, "web-1")
    holder, = disks.holders(disks.get(made.ref))
    assert (holder.machine, holder.device, holder.attached, holder.control) == ("web-1", "0", False, False)
    xapi.write_disk(made.uuid, 510, b"\x55\xaa")
    xapi.call("VM.start", machine, False, False)
    assert disks.holders(disks.get(made.ref))[0].attached
    with pytest.raises(XenInUse, match="XAPI did not remove the disk: the disk is in use"):
        disks.destroy(made.ref, deadline=deadline())


def test_a_disk_that_is_still_being_let_go_of_is_waited_for(xapi: Simulator, disks: Disks) -> None:
    made = make(disks)
    for dummy in range(3):
        xapi.pool.faults.fail_next("VDI.destroy", "VDI_IN_USE", made.ref, "destroy")
    disks.destroy(made.ref, deadline=deadline())
    assert disks_of(xapi) == {}


@pytest.mark.parametrize("when", ["reset_before", "reset_after"])
def test_a_connection_that_breaks_while_a_disk_is_removed(xapi: Simulator, disks: Disks, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(disks)
    setattr(xapi.pool.faults, when, ["Async.VDI.destroy"])
    if when == "reset_after":
        disks.destroy(made.ref, deadline=deadline())
        assert disks_of(xapi) == {}
    else:
        monkeypatch.setattr(tasks, "LATE", 0.1)
        with pytest.raises(BackendError, match="hung up"):
            disks.destroy(made.ref, deadline=deadline())


def test_a_disk_that_goes_only_after_the_connection_broke_is_waited_for(xapi: Simulator, disks: Disks) -> None:
    made = make(disks)
    xapi.pool.faults.reset_after = ["Async.VDI.destroy"]
    xapi.pool.faults.background_delay = 1.0  # the task goes on long after
    disks.destroy(made.ref, deadline=deadline())
    assert disks_of(xapi) == {}
