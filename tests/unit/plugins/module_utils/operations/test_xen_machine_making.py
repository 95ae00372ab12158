# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_making import Maker
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_removal import Remover
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machines import Registry
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machine_records import Mark
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Machine
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, make_job
from ansible_collections.bootable.volumes.tests.unit.fakes.machines import NETWORK, PRIVATE, Boots, House, house
from ansible_collections.bootable.volumes.tests.unit.fakes.vhds import vhd
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import BOOT_SECTOR

MIB = 1 << 20
IMAGE = BytesImage(vhd(4 * MIB, {0: BOOT_SECTOR}), format="vhd", name="debian")


@pytest.fixture
def xen(tmp_path: pathlib.Path) -> t.Iterator[House]:
    with house(tmp_path) as found:
        yield found


@pytest.fixture
def boots(xen: House) -> Boots:
    return Boots(xen, IMAGE)


@pytest.fixture
def registry(xen: House) -> Registry:
    return Registry(xen.pool)


def half_made(xen: House, boots: Boots, monkeypatch: pytest.MonkeyPatch, **wish: t.Any) -> Machine:
    """A machine whose disk is filled, but that was never connected with it."""
    def fail(*args: t.Any) -> t.NoReturn:
        raise BackendError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(Maker, "_finish", fail)
        with pytest.raises(BackendError, match="out of luck"):
            boots.run(**wish)
    found, = Registry(xen.pool).machines.named("a")
    assert found.mark and found.mark.state == records.BUILDING and not found.record["VBDs"] and "a-root" in xen.disks()
    return found


def test_what_was_half_made_is_finished_as_it_is_wanted_now(xen: House, boots: Boots, monkeypatch: pytest.MonkeyPatch) -> None:
    before = half_made(xen, boots, monkeypatch, vcpus=1, networks=({"network": NETWORK},))
    xen.faults.clear()
    dummy, result = boots.run(vcpus=2, firmware="uefi", networks=({"network": PRIVATE},))
    machine, = result["machines"]
    assert (machine["how"], machine["uuid"], machine["vcpus"], machine["firmware"]) == ("adopted", before.uuid, 2, "uefi")
    assert [nic["network"] for nic in machine["networks"]] == [PRIVATE]
    assert "PUT /import_raw_vdi" not in xen.writes(), "the disk was there"


def test_what_was_half_made_of_another_image_is_made_anew(xen: House, boots: Boots, monkeypatch: pytest.MonkeyPatch) -> None:
    before = half_made(xen, boots, monkeypatch)
    other = BytesImage(vhd(4 * MIB, {0: BOOT_SECTOR, MIB: b"x" * 512}), format="vhd", name="other")
    dummy, result = boots.run(image=other)
    assert result["machines"][0]["how"] == "replaced" and result["machines"][0]["uuid"] != before.uuid
    assert list(xen.machines()) == ["a"] and xen.disks() == ["a-root"]


def test_time_that_runs_out_leaves_what_the_next_run_needs(xen: House, boots: Boots, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*args: t.Any) -> t.NoReturn:
        raise TimedOut("too late")

    with monkeypatch.context() as patch:
        patch.setattr(Maker, "_fill", lambda self, names, outcome: outcome.troubles.update({name: TimedOut("too late") for name in names}) or {})
        with pytest.raises(TimedOut):
            boots.run()
    assert list(xen.machines()) == ["a"]
    assert boots.run()[1]["machines"][0]["how"] == "adopted"


def test_a_disk_that_somebody_gave_a_half_made_machine(xen: House, boots: Boots, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = half_made(xen, boots, monkeypatch)
    boots.run(names="b", state="present")
    theirs, = xen.rows("VDI", name_label="b-root")
    xen.xapi.call("VBD.create", {"VM": machine.ref, "VDI": theirs, "userdevice": "0", "bootable": True, "mode": "RW", "type": "Disk", "empty": False,
                                 "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    with pytest.raises(BackendError, match="was not made for it"):
        boots.run()
    boots.run(state="absent")
    assert list(xen.machines()) == ["b"] and xen.disks() == ["b-root"]


# --- removing ---


def names_of(registry: Registry) -> t.List[str]:
    """Of the disks that would go with the machine a."""
    machine = t.cast(Machine, registry.look("a").machine)
    return [vdi.name for vdi in Remover(registry, make_job(), force=False).disks_of(machine)]


def test_a_disk_that_was_taken_out_goes_with_its_machine_unless_another_has_it(xen: House, boots: Boots, registry: Registry) -> None:
    boots.run(names=["a", "b"], state="present")
    assert names_of(registry) == ["a-root"]
    vdi, = xen.rows("VDI", name_label="a-root")
    vbd, = xen.rows("VBD", VDI=vdi)
    xen.xapi.call("VBD.destroy", vbd)
    assert names_of(registry) == ["a-root"]
    other, = xen.rows("VM", name_label="b")
    xen.xapi.call("VBD.create", {"VM": other, "VDI": vdi, "userdevice": "1", "bootable": False, "mode": "RW", "type": "Disk", "empty": False,
                                 "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    assert names_of(registry) == []


def test_a_volume_of_the_name_that_was_not_made_for_it_stays(xen: House, boots: Boots, registry: Registry) -> None:
    """Somebody took the machine's disk away, and made a volume of that name."""
    boots.run(state="present")
    vdi, = xen.rows("VDI", name_label="a-root")
    config = dict(xen.xapi.call("VDI.get_other_config", vdi))
    del config[records.MARK]
    xen.xapi.call("VDI.set_other_config", vdi, config)
    assert names_of(registry) == []


def test_a_machine_outlives_the_repository_of_its_disk(xen: House, boots: Boots, registry: Registry) -> None:
    boots.run(state="present")
    machine = t.cast(Machine, registry.look("a").machine)
    mark = Mark(**dict(vars(t.cast(Mark, machine.mark)), sr="00000000-0000-0000-0000-000000000000"))
    registry.machines.mark(machine, mark)
    assert names_of(registry) == ["a-root"], "what it has is looked at all the same"
    boots.run(state="absent")
    assert xen.machines() == {} and xen.disks() == []


@pytest.mark.parametrize("state, action", [("present", "tidy"), ("started", "start")])
def test_doubles_go(xen: House, boots: Boots, registry: Registry, state: str, action: str) -> None:
    """Two machines of one request, as an older pool would make of it."""
    boots.run(state="present")
    machine = t.cast(Machine, registry.look("a").machine)
    mark = t.cast(Mark, machine.mark)
    template = dict(registry.machines.template("Other install media"))
    double = registry.machines.create(template, "a", records.Hardware(), Mark(records.BUILDING, mark.content, sr=mark.sr))
    registry.machines.mark(double, Mark(records.BUILDING, mark.content, sr=mark.sr, token=mark.token))
    assert [each.uuid for each in registry.look("a").doubles] == [double.uuid]
    plan, result = boots.run(state=state)
    assert [step.action for step in plan.steps] == [action]
    assert result["machines"][0]["uuid"] == machine.uuid and [row["uuid"] for row in xen.machines().values()] == [machine.uuid]
    assert len(xen.rows("VM", name_label="a")) == 1 and xen.disks() == ["a-root"]
