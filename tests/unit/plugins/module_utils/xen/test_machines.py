# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, BackendError, NotFound, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machine_records import Hardware, Mark
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Machine, Machines, made_for
from ansible_collections.bootable.volumes.tests.unit.fakes.machines import NETWORK, PRIVATE, House, house
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import BOOT_SECTOR

MIB = 1 << 20
CONTENT = {"origin": "file", "image_id": None, "image_name": "n", "checksum": None}


@pytest.fixture
def xen(tmp_path: pathlib.Path) -> t.Iterator[House]:
    with house(tmp_path) as found:
        yield found


@pytest.fixture
def machines(xen: House) -> Machines:
    return Machines(xen.pool)


def deadline(seconds: float = 20) -> Deadline:
    return Deadline(seconds)


def make(machines: Machines, name: str = "a", hardware: t.Optional[Hardware] = None, template: str = "Other install media") -> Machine:
    """A machine without a disk, not ready."""
    return machines.create(machines.template(template), name, hardware or Hardware(), Mark(records.BUILDING, CONTENT))


def with_disk(xen: House, machines: Machines, *, boots: bool = True) -> Machine:
    """A machine that can be started."""
    machine = make(machines)
    disks = Disks(xen.pool)
    vdi = disks.create(sr=disks.find_sr().ref, name="a-root", size=2 * MIB, other_config={}, deadline=deadline())
    if boots:
        xen.xapi.write_disk(vdi.uuid, 0, BOOT_SECTOR)
    machines.mark_disk(machine, vdi)
    machines.attach(machine, vdi.ref)
    return t.cast(Machine, machines.again(machine))


@pytest.mark.parametrize("template", ["Other install media", None])
def test_a_machine_of_each_template(xen: House, machines: Machines, template: t.Optional[str]) -> None:
    """VM.create is strict: a field that is missing is told of."""
    names = [template] if template else [row["name_label"] for row in xen.rows("VM", is_a_template=True).values()]
    for name in names:
        made = make(machines, "of " + name, Hardware(vcpus=2, memory=512 * MIB), name)
        assert made.hardware.vcpus == 2 and made.hardware.memory == 512 * MIB and made.power == records.HALTED
        assert made.mark and made.mark.state == records.BUILDING and "disks" not in made.record["other_config"]
        assert machines.disks(made) == [] and machines.nics(made) == []


def test_machines_are_found_by_name_and_uuid_and_templates_are_none(machines: Machines) -> None:
    one = make(machines)
    assert machines.find("a") == machines.find(one.uuid.upper()) == one and machines.named("a") == [one]
    assert machines.find("Other install media") is None and machines.find("b") is None
    assert machines.find("00000000-0000-0000-0000-000000000000") is None
    two = make(machines)
    with pytest.raises(Ambiguous, match=two.uuid):
        machines.find("a")
    machines.destroy(one, deadline())
    machines.destroy(one, deadline())  # nothing to do
    assert machines.find("a") == two and machines.again(one) is None


def test_what_is_named_must_be_there_and_be_one(xen: House, machines: Machines) -> None:
    with pytest.raises(NotFound, match="template: .*'a machine'"):
        machines.template("a machine")
    with pytest.raises(NotFound, match="network: .*'none'"):
        machines.network("none")
    network = machines.network(NETWORK)
    assert machines.network(network.uuid) == network and network.mtu == 1500
    xen.xapi.call("network.set_name_label", machines.network(PRIVATE).ref, NETWORK)
    with pytest.raises(Ambiguous, match=network.uuid):
        machines.network(NETWORK)
    assert machines.name_of("host", machines.host("xen2")) == "xen2" and machines.name_of("host", records.NULL) == ""


@pytest.mark.parametrize("fault", ["reset_after", "reset_before"])
def test_an_answer_that_got_lost_makes_no_second_machine(xen: House, machines: Machines, fault: str) -> None:
    getattr(xen.faults, fault).append("VM.create")
    if fault == "reset_before":
        with pytest.raises(BackendError):
            make(machines)
        assert machines.named("a") == []
        return
    machine = make(machines)
    assert machines.named("a") == [machine] and xen.writes().count("VM.create") == 1


def test_a_request_that_comes_twice_makes_no_second_machine(machines: Machines) -> None:
    """A proxy on the way may do that."""
    mark = Mark(records.BUILDING, CONTENT)
    template = machines.template("Other install media")
    first = machines.create(template, "a", Hardware(), mark)
    assert machines.create(template, "a", Hardware(), mark) == first and len(machines.named("a")) == 1


def test_the_mark_changes_in_one_call(xen: House, machines: Machines) -> None:
    machine = make(machines)
    xen.xapi.call("VM.add_to_other_config", machine.ref, "mine", "kept")
    xen.faults.clear()
    ready = machines.mark(machine, Mark(records.READY, CONTENT, vm=machine.uuid))
    assert xen.writes() == ["VM.set_other_config"]
    now = machines.again(machine)
    assert now and now.mark == ready.mark and now.record["other_config"]["mine"] == "kept"


def test_a_disk_and_network_cards(xen: House, machines: Machines) -> None:
    machine = with_disk(xen, machines)
    disk, = machines.disks(machine)
    assert (disk.device, disk.bootable, disk.vdi.name) == ("0", True, "a-root") and made_for(disk.vdi) == machine.uuid
    xen.faults.reset_after.append("VIF.create")
    machines.connect(machine, 0, machines.network(NETWORK), "")
    machines.connect(machine, 1, machines.network(PRIVATE), "02:00:00:00:aa:01")
    machine = t.cast(Machine, machines.again(machine))
    first, second = machines.nics(machine)
    assert first.device == "0" and len(first.mac) == 17 and (second.device, second.mac) == ("1", "02:00:00:00:aa:01")
    machines.disconnect(first, deadline())
    machines.disconnect(first, deadline())  # nothing to do
    assert [nic.device for nic in machines.nics(t.cast(Machine, machines.again(machine)))] == ["1"]


def test_a_disk_is_attached_once_even_if_no_answer_comes(xen: House, machines: Machines) -> None:
    xen.faults.reset_after.append("VBD.create")
    machine = with_disk(xen, machines)
    assert len(machines.disks(machine)) == 1
    with pytest.raises(XenFailure):
        machines.attach(machine, machines.disks(machine)[0].vdi.ref)


@pytest.mark.parametrize("hardware", [
    Hardware(vcpus=4), Hardware(memory=1024 * MIB), Hardware(memory=64 * MIB), Hardware(firmware="uefi", secure_boot=True),
    Hardware(mode="pv", pv_args="quiet"), Hardware(boot_order="nc"), Hardware(description="d"),
])
def test_a_halted_machine_becomes_what_is_wanted_and_back(xen: House, machines: Machines, hardware: Hardware) -> None:
    machine = make(machines)
    before = machine.hardware
    for wanted in (hardware, before):
        machine = t.cast(Machine, machines.again(machine))
        machines.change(machine, wanted)
        now = t.cast(Machine, machines.again(machine))
        assert records.differing(now.record, wanted) == {}
        xen.faults.clear()
        machines.change(now, wanted)
        assert xen.writes() == []


def test_it_runs_and_is_shut_down_or_switched_off(xen: House, machines: Machines) -> None:
    machine = with_disk(xen, machines)
    for force in (False, True):
        machines.start(machine, deadline())
        running = t.cast(Machine, machines.again(machine))
        assert running.power == records.RUNNING
        machines.start(running, deadline())  # it runs: that is what counts
        machines.stop(running, deadline(), force=force)
        assert t.cast(Machine, machines.again(machine)).power == records.HALTED
        machines.stop(running, deadline(), force=force)


def test_a_paused_machine_goes_on(xen: House, machines: Machines) -> None:
    machine = with_disk(xen, machines)
    xen.xapi.call("VM.start", machine.ref, True, False)
    assert t.cast(Machine, machines.again(machine)).power == records.PAUSED
    machines.start(t.cast(Machine, machines.again(machine)), deadline())
    assert t.cast(Machine, machines.again(machine)).power == records.RUNNING


def test_a_start_whose_answer_got_lost_is_a_start(xen: House, machines: Machines) -> None:
    machine = with_disk(xen, machines)
    xen.faults.reset_after.append("Async.VM.start")
    machines.start(machine, deadline())
    assert t.cast(Machine, machines.again(machine)).power == records.RUNNING
    assert xen.writes().count("Async.VM.start") == 1


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
def test_a_removal_whose_answer_got_lost(xen: House, machines: Machines, fault: str) -> None:
    machine = make(machines)
    getattr(xen.faults, fault).append("VM.destroy")
    with contextlib.nullcontext() if fault == "reset_after" else pytest.raises(BackendError):
        machines.destroy(machine, deadline(1))
    assert (machines.again(machine) is None) == (fault == "reset_after")


def test_the_reason_why_no_host_takes_it_is_asked_for(xen: House, machines: Machines) -> None:
    machine = with_disk(xen, machines)
    machines.change(machine, Hardware(memory=1 << 40))
    with pytest.raises(BackendError, match="xen1: .*memory.*xen2: "):
        machines.start(t.cast(Machine, machines.again(machine)), deadline())


def test_a_guest_without_tools_has_to_be_switched_off(xen: House, machines: Machines) -> None:
    xen.faults.tools = False
    machine = with_disk(xen, machines)
    machines.start(machine, deadline())
    with pytest.raises(BackendError, match="force: true"):
        machines.stop(t.cast(Machine, machines.again(machine)), deadline(), force=False)


def test_nobody_waits_for_a_guest_for_ever(xen: House, machines: Machines) -> None:
    machine = with_disk(xen, machines)
    machines.start(machine, deadline())
    xen.faults.slow["VM.clean_shutdown"] = 3.0
    xen.faults.background_delay = 3.0
    with pytest.raises(TimedOut, match="force: true"):
        machines.stop(t.cast(Machine, machines.again(machine)), Deadline(0.2), force=False)
    xen.faults.clear()


def test_what_the_guest_tells(xen: House, machines: Machines) -> None:
    machine = with_disk(xen, machines)
    assert machines.guest(machine) == {} and machines.last_words(machine) == []
    machines.start(machine, deadline())
    guest = deadline().wait(lambda: machines.guest(t.cast(Machine, machines.again(machine))) or None, "tools")
    assert guest["PV_drivers_detected"]
