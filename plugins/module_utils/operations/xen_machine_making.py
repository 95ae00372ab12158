# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making machines: first the machine, marked as not done; then its disk, filled with the image; then what connects the two.

In this order nothing is ever without an owner: whatever breaks off, the machine is there and tells that it is half made.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, TimedOut, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import root_name
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.root_volumes import fill_roots
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_wishes import Wish, superfluous
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machines import Registry, root_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import VolumeDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machine_records import Hardware, Mark
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Machine


@dataclass
class Outcome:
    """What has become of each machine so far.

    :ivar how: ``created``, ``adopted``, ``replaced``, ``updated``, ``started``, ``stopped``, ``unchanged``.
    :ivar fan_out: How several disks got their bytes, as ``volume_from_image`` tells it.
    """

    machines: t.Dict[str, Machine] = field(default_factory=dict)
    how: t.Dict[str, str] = field(default_factory=dict)
    seconds: t.Dict[str, float] = field(default_factory=dict)
    troubles: t.Dict[str, Exception] = field(default_factory=dict)
    fan_out: t.Optional[Result] = None


class Maker:
    """Makes machines of one image.

    :param driver: For the SR in which the disks are to be.
    :param sr: Its uuid.
    :param template: The record of the template; asked for when a machine is made.
    :param discard: Takes away a machine that will have no disk.
    """

    def __init__(self, *, registry: Registry, driver: VolumeDriver, sr: str, template: t.Callable[[], t.Mapping[str, t.Any]],
                 source: ImageSource, wish: Wish, fan_out: str, discard: t.Callable[[Machine], None], job: Job) -> None:
        self._registry = registry
        self._driver = driver
        self._sr = sr
        self._template = template
        self._source = source
        self._wish = wish
        self._fan_out = fan_out
        self._discard = discard
        self._job = job

    def disks(self, names: t.Sequence[str]) -> VolumeFromImage:
        """The operation that makes the disks of these machines."""
        return VolumeFromImage(driver=self._driver, source=self._source, names=[root_name(name) for name in names], size=self._wish.size,
                               on_drift="fail", fan_out=self._fan_out, job=self._job)

    def make(self, new: t.Sequence[str], half_made: t.Mapping[str, Machine], outcome: Outcome) -> None:
        """Make machines, and finish those that another run began.

        :param outcome: Is told what has become of each.
        """
        made, troubles = run_all(self._create, new, at_once=self._job.at_once)
        outcome.troubles.update(dict(troubles))
        machines = dict(half_made, **dict(made))
        disks = self._fill(list(machines), outcome)
        for name, machine in made:
            if name in outcome.troubles and not isinstance(outcome.troubles[name], TimedOut):
                with contextlib.suppress(VolumesError):  # the next run would find it
                    self._discard(machine)
        ready = [name for name in machines if name in disks]
        finished, troubles = run_all(lambda name: self._finish(machines[name], disks[name]), ready, at_once=self._job.at_once)
        outcome.machines.update(dict(finished))
        outcome.troubles.update(dict(troubles))

    def _create(self, name: str) -> Machine:
        self._job.listener.hear(Event("create", name))
        content = record_of(t.cast(ImageDescription, self._wish.image), READY).as_dict()
        mark = Mark(records.BUILDING, content, sr=self._sr, run=liveness.signature())
        return self._registry.machines.create(self._template(), name, self._wish.hardware, mark)

    def _fill(self, names: t.Sequence[str], outcome: Outcome) -> t.Dict[str, str]:
        """The uuids of the machines' disks, each holding the image."""
        if not names:
            return {}
        filled = fill_roots(self.disks(names), names)
        outcome.troubles.update(filled.errors)
        outcome.fan_out = filled.fan_out
        return filled.ids

    def _finish(self, machine: Machine, disk: str) -> Machine:
        """Connect a machine with its disk and networks; from then on it is ready."""
        machines = self._registry.machines
        vdi = self._registry.disks.by_uuid(disk)
        now = machines.again(machine)
        if vdi is None or now is None:
            raise BackendError("%s %s was removed by somebody else while the machine was made; run the task again" % (
                "the disk of" if now else "the machine", machine.name))
        machines.mark_disk(now, vdi)
        root = root_of(machines.disks(now))
        if root is None:
            machines.attach(now, vdi.ref)
        elif root.vdi.ref != vdi.ref:
            raise BackendError("the machine %s (%s) has a disk %s that was not made for it; remove the machine, and run the task again" % (
                now.name, now.uuid, root.vdi.uuid))
        machines.change(now, self._wish.hardware)  # of a machine that another run began, if that wanted something else
        connect(self._registry, now, self._wish, self._job)
        now = machines.again(now) or now
        return machines.mark(now, replace(t.cast(Mark, now.mark or machine.mark), state=records.READY, vm=now.uuid))


def connect(registry: Registry, machine: Machine, wish: Wish, job: Job) -> None:
    """Give a halted machine exactly the network cards that are wanted."""
    if wish.cards is None:
        return
    gone, missing = superfluous(registry.machines.nics(machine), wish.cards)
    for nic in gone:
        registry.machines.disconnect(nic, job.deadline)
    for device, card in missing:
        registry.machines.connect(machine, device, card.network, card.mac)


def update(registry: Registry, machine: Machine, wish: Wish, job: Job) -> None:
    """Change what can be changed in place: of a halted machine everything but its image and SR."""
    machines = registry.machines
    halted = machine.power == records.HALTED
    machines.change(machine, wish.hardware if halted else Hardware(**{name: getattr(wish.hardware, name) for name in records.ANYTIME}))
    if not halted:
        return
    connect(registry, machine, wish, job)
    root = root_of(machines.disks(machine))
    if root is not None and wish.size is not None and wish.size > root.vdi.size:
        registry.disks.resize(root.vdi.ref, wish.size, deadline=job.deadline)
