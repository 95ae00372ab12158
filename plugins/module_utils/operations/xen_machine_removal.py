# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing machines: exactly the ones named, with the disks that were made for them, and no other."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import root_name
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import raise_troubles
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_wishes import Found
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machines import THINGS, Registry, Storage, exclusive, is_halted
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen import notes
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Machine, made_for


class Remover:
    """Takes machines away. The machine itself goes last: as long as a disk of it is left, a later run can tell whose it is.

    :param force: Switch a running machine off; else its guest is asked to shut down.
    """

    def __init__(self, registry: Registry, job: Job, *, force: bool) -> None:
        self._registry = registry
        self._job = job
        self._force = force

    def remove(self, found: Found) -> None:
        """A machine and its doubles are gone, with the disks that were made for them."""
        for machine in found.doubles + ((found.machine,) if found.machine else ()):
            self._remove(machine)

    def _remove(self, machine: Machine) -> None:
        machines = self._registry.machines
        now = machines.again(machine)
        if now is None:
            return
        self._job.listener.hear(Event("remove", machine.name))
        if not is_halted(now):
            machines.stop(now, self._job.deadline, force=self._force)
        if now.mark and now.mark.state != records.REMOVING:
            now = machines.mark(now, replace(now.mark, state=records.REMOVING))
        for vdi in self.disks_of(now):
            self._registry.disks.destroy(vdi.ref, deadline=self._job.deadline, what="remove the disk %s" % vdi.name)
        machines.destroy(now, self._job.deadline)

    def disks_of(self, machine: Machine) -> t.List[Vdi]:
        """The disks that were made for a machine, in it or not; one that another machine has, too, is not among them."""
        attached = [disk.vdi for disk in self._registry.machines.disks(machine) if made_for(disk.vdi) == machine.uuid]
        refs = {vdi.ref for vdi in attached}
        mine = attached + [vdi for vdi in self._beside(machine) if vdi.ref not in refs]
        return [vdi for vdi in mine if all(holder.vm == machine.ref for holder in self._registry.disks.holders(vdi))]

    def _beside(self, machine: Machine) -> t.List[Vdi]:
        """Disks that the machine should have: a run broke off before it had them, or somebody took them out."""
        mark = machine.mark
        if mark is None or not mark.sr:
            return []
        # A name is only ever given to a disk after the machine that it is for was made, when it was nobody's: as long as a
        # machine was never ready, a disk of the name that was not given to one yet is this machine's.
        whose = (machine.uuid,) if mark.vm else (machine.uuid, "")
        try:
            found = self._registry.disks.named(root_name(machine.name), self._registry.disks.find_sr(mark.sr).ref)
        except NotFound:  # the repository is gone, and what was in it
            return []
        return [vdi for vdi in found if notes.is_volume(vdi) and notes.is_own(vdi) and notes.record_of(vdi) and made_for(vdi) in whose]


class MachineRemoval(Operation):
    """``state: absent``.

    :param sr: As the task names it.
    """

    def __init__(self, *, registry: Registry, storage: Storage, names: t.Sequence[str], sr: t.Optional[str], force: bool, job: Job) -> None:
        self._registry = registry
        self._storage = storage
        self._sr = sr
        self._names = names
        self._job = job
        self._remover = Remover(registry, job, force=force)

    def exclusive(self) -> t.ContextManager[None]:
        return exclusive(self._registry, self._storage, self._names, self._sr, self._job)

    def plan(self) -> Plan:
        found = self._registry.look_all(self._names, self._job)
        return Plan(tuple(self._step(name, found[name]) for name in self._names))

    @staticmethod
    def _step(name: str, found: Found) -> Step:
        if found.machine is None:
            return Step("keep", name, "it does not exist")
        before = {"power_state": found.machine.power.lower(), "disk": found.root.vdi.name if found.root else None}
        return Step("remove", name, "state is absent", before=before, data=found)

    def apply(self, plan: Plan) -> Result:
        result = self.preview(plan)  # while they are still there
        done, troubles = run_all(lambda step: self._remover.remove(step.data), plan.having("remove"), at_once=self._job.at_once)
        gone = {step.subject for step, dummy in done}
        raise_troubles({step.subject: error for step, error in troubles}, "removed",
                       [each for each in result[THINGS] if each["name"] in gone], things=THINGS)
        return result

    def preview(self, plan: Plan) -> Result:
        return {THINGS: [self._registry.result(step.data.machine) for step in plan.having("remove")]}
