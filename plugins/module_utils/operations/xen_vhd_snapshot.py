# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of a machine's disks, all of one moment."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import UNCHANGED, Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.operations import xen_disk_images as disk_images
from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_from_volume import Filled, ImageFromVolume
from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_removal import ImageRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import kind_of
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_disk_images import CHAIN, How, MachineDisks, Moment
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machines import root_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.locks import Locks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Disk, Machine, Machines

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud
    from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool

# What a run locks in a machine while it makes images of it.
LOCK = "images of %s"

# What stands for a device in the name of an image.
DEVICE = "{device}"


def image_names(name: str, devices: t.Sequence[str]) -> t.List[str]:
    """The names of the images of several devices: ``{device}`` stands for each; without it the first has the name alone."""
    if DEVICE in name:
        return [name.replace(DEVICE, device) for device in devices]
    return [name if not index else "%s-%s" % (name, device) for index, device in enumerate(devices)]


@dataclass(frozen=True)
class Wanted:
    """What is asked for of a machine.

    :param machine: Its name or uuid.
    :param devices: Of the disks: numbers, or what a guest calls them; None for the disk to boot from.
    :param wish: The images; its name may have ``{device}`` in it.
    :param base: Name or uuid of the disk that a chain is to be based on.
    :param asked: Stores, as ``ImageFromVolume`` has it.
    :param on_drift: ``fail``, ``ignore`` or ``replace``.
    """

    machine: str
    wish: ImageWish
    devices: t.Optional[t.Sequence[str]] = None
    layout: str = disk_images.FLAT
    base: t.Optional[str] = None
    compress: bool = True
    asked: t.Union[None, str, t.Sequence[str]] = None
    on_drift: str = "fail"


@dataclass
class _Work:
    """One disk, its image, and what there is to do."""

    disk: Disk
    name: str
    task: ImageFromVolume
    plan: Plan


class XenVhdSnapshot(Operation):
    """``state: present``.

    :param warn: Told of what went wrong beside a worse error, and of stores that could not be reached.
    """

    def __init__(self, *, pool: t.Callable[[], Pool], cloud: t.Callable[[], Cloud], wanted: Wanted, warn: t.Callable[[str], None], job: Job) -> None:
        self._connect = pool
        self._cloud = cloud
        self._wanted = wanted
        self._warn = warn
        self._job = job
        # what the last plan was made of
        self._machine: t.Optional[Machine] = None
        self._disks: t.Optional[MachineDisks] = None
        self._work: t.List[_Work] = []

    def exclusive(self) -> t.ContextManager[None]:
        machine = self._find()
        return Locks(self._pool, machine.ref, "VM").held([LOCK % machine.name], self._job.deadline)

    # --- planning ---

    def plan(self) -> Plan:
        wanted = self._wanted
        wanted.wish.check()
        if wanted.base and wanted.layout != CHAIN:
            raise InvalidInput("base: a flat image differs from nothing; use layout: chain, or leave base out")
        machine = self._find()
        disks = self._select(machine)
        self._machine, self._disks = machine, disks
        self._work = []
        for disk, name in zip(disks.disks, image_names(wanted.wish.name, [disk_images.device_of(disk.device) for disk in disks.disks])):
            task = ImageFromVolume(
                driver=disks, volume=disks.name_of(disk), wish=replace(wanted.wish, name=name), asked=wanted.asked, on_drift=wanted.on_drift,
                cloud=self._cloud, warn=self._warn, job=self._job)
            self._work.append(_Work(disk, name, task, task.plan()))
        steps = [Step("sweep", "%s (snapshot %s)" % (machine.name, tag.token), "a run that has ended left it there", {"name": tag.name}, data=ref)
                 for ref, tag in disk_images.leftovers(self._pool, machine)]
        return Plan((*steps, *(step for work in self._work for step in work.plan.steps)))

    @property
    def _pool(self) -> Pool:
        return self._connect()

    def _find(self) -> Machine:
        machine = Machines(self._pool).find(self._wanted.machine)
        if machine is None:
            raise NotFound("machine: the pool has no machine '%s'; give the name or uuid of one that it has" % self._wanted.machine)
        return machine

    def _select(self, machine: Machine) -> MachineDisks:
        """The disks that are asked for.

        :raises NotFound: the machine has none, or not that one.
        """
        wanted, pool = self._wanted, self._pool
        machines = Machines(pool)
        there = machines.disks(machine)
        root = root_of(there)
        if root is None:
            raise NotFound("the machine %s (%s) has no disk to make an image of" % (machine.name, machine.uuid))
        chosen = [root] if wanted.devices is None else [self._disk(machine, there, device) for device in wanted.devices]
        twice = {disk_images.device_of(disk.device) for disk in chosen if chosen.count(disk) > 1}
        if twice or not chosen:
            raise InvalidInput("disks: %s" % ("%s is named twice" % ", ".join(sorted(twice)) if twice else "an empty list; name a device, or leave disks out"))
        if wanted.base and len(chosen) > 1:
            raise InvalidInput("base: it is for one disk, but %d are asked for" % len(chosen))
        how = How(wanted.layout, disk_images.base_of(Disks(pool), wanted.base, chosen[0]) if wanted.base else None, wanted.compress)
        needed = {disk.vdi.ref for disk in chosen}
        moment = Moment(pool, machine, [disk.vdi.ref for disk in there if disk.vdi.ref not in needed], self._job)
        return MachineDisks(pool, machine, chosen, moment, how, disk_images.properties_of(machine, machines.guest(machine)), root)

    @staticmethod
    def _disk(machine: Machine, there: t.Sequence[Disk], device: str) -> Disk:
        for disk in there:
            if device == disk.guest_device or disk_images.number_of(device) == disk.device:
                return disk
        raise NotFound("disks: the machine %s has no disk '%s'; it has %s" % (
            machine.name, device, ", ".join("%s (%s)" % (disk_images.device_of(disk.device), disk.device) for disk in there)))

    # --- applying ---

    def apply(self, plan: Plan) -> Result:
        started = time.monotonic()
        machine, disks = t.cast(Machine, self._machine), t.cast(MachineDisks, self._disks)
        for step in plan.having("sweep"):
            disk_images.sweep(self._pool, machine, step.data, self._job)
        trouble: t.Optional[VolumesError] = None
        filled = self._fill(disks.moment)
        try:
            disks.moment.end()
        except VolumesError as error:  # the images are whole all the same
            trouble = error
        self._compare_moments(filled)
        results, troubles = self._complete(filled)
        if trouble is not None:
            troubles.append(BackendError("a snapshot of the machine %s stays, and the next run removes it: %s" % (machine.name, trouble.message)))
        if troubles:
            self._raise(troubles, results)
        return dict(self._result(results), seconds=round(time.monotonic() - started, 3))

    def _fill(self, moment: Moment) -> t.List[Filled]:
        """Images with all their bytes: those of all disks, or none."""
        filled: t.List[Filled] = []
        try:
            for work in self._work:
                filled.append(work.task.fill(work.plan))
        except BaseException:
            disk_images.quietly(moment.end, self._warn)
            for work, each in zip(self._work, filled):
                work.task.discard(each)
            raise
        return filled

    def _compare_moments(self, filled: t.Sequence[Filled]) -> None:
        new = [work.name for work, each in zip(self._work, filled) if each.fresh]
        old = [work.name for work, each in zip(self._work, filled) if not each.fresh]
        if new and old:
            self._warn("%s %s of another moment than %s, which %s there before; remove these to have all of one" % (
                ", ".join(new), "is" if len(new) == 1 else "are", ", ".join(old), "was" if len(old) == 1 else "were"))

    def _complete(self, filled: t.Sequence[Filled]) -> t.Tuple[t.List[Result], t.List[VolumesError]]:
        """Results, and what went wrong: that one image cannot go everywhere keeps no other from it."""
        results: t.List[Result] = []
        troubles: t.List[VolumesError] = []
        for work, each in zip(self._work, filled):
            try:
                results.append(work.task.complete(each))
            except VolumesError as error:
                troubles.append(error)
                results.append({key: error.details.get(key) for key in ("image", "how", "placement", "stores")})
        return results, troubles

    def _raise(self, troubles: t.Sequence[VolumesError], results: t.Sequence[Result]) -> t.NoReturn:
        details: t.Dict[str, t.Any] = {}
        for error in troubles:
            details.update({key: value for key, value in error.details.items() if key not in ("image", "volume")})
        details.update(self._result(results), changed=any(error.details.get("changed", True) for error in troubles) or self._changed(results))
        kind = kind_of(troubles)
        raise kind("; ".join(error.message for error in troubles), **details)

    @staticmethod
    def _changed(results: t.Sequence[Result]) -> bool:
        return any(result.get("how") not in (None, UNCHANGED) for result in results)

    # --- telling ---

    def preview(self, plan: Plan) -> Result:
        return dict(self._result([work.task.preview(work.plan) for work in self._work]), seconds=0.0)

    def _result(self, results: t.Sequence[Result]) -> Result:
        machine, disks = t.cast(Machine, self._machine), t.cast(MachineDisks, self._disks)
        shown = []
        for work, result in zip(self._work, results):
            sent, members = disks.sent.get(disks.id_of(work.disk), (0, 0))
            image = result.get("image")
            shown.append({
                "device": disk_images.device_of(work.disk.device), "number": work.disk.device, "vdi": work.disk.vdi.uuid, "size": work.disk.vdi.size,
                "image": work.name, "image_id": image["id"] if image else None, "how": result.get("how"), "sent": sent, "members": members,
                "placement": result.get("placement"), "stores": result.get("stores"),
            })
        return {
            "images": [result["image"] for result in results if result.get("image")],
            "machine": {"name": machine.name, "uuid": machine.uuid, "power_state": machine.power.lower()},
            "disks": shown,
            "layout": self._wanted.layout,
        }


class XenSnapshotRemoval(Operation):
    """``state: absent``: the images go, whatever has become of the machine.

    :param name: Of the images, as ``image_names`` has it, or the id of one.
    :param devices: Of the disks whose images they are; None for the image of the disk to boot from.
    """

    def __init__(self, *, cloud: t.Callable[[], Cloud], name: str, devices: t.Optional[t.Sequence[str]]) -> None:
        self._devices = devices
        self._name = name
        self._cloud = cloud
        self._plans: t.List[t.Tuple[ImageRemoval, Plan]] = []

    def plan(self) -> Plan:
        self._plans = []
        for name in self._names():
            removal = ImageRemoval(cloud=self._cloud, name=name, force=False)
            self._plans.append((removal, removal.plan()))
        return Plan(tuple(step for dummy, plan in self._plans for step in plan.steps))

    def _names(self) -> t.List[str]:
        if self._devices is None and DEVICE in self._name:
            raise InvalidInput("disks: needed to know which images '%s' means" % self._name)
        numbers = [disk_images.number_of(device) for device in self._devices or ["0"]]
        if None in numbers:
            raise InvalidInput("disks: %s is no device; write 0 or xvda" % ", ".join(
                device for device, number in zip(self._devices or (), numbers) if number is None))
        return image_names(self._name, [disk_images.device_of(t.cast(str, number)) for number in numbers])

    def apply(self, plan: Plan) -> Result:
        done = False
        for removal, each in self._plans:
            try:
                removal.apply(each)
            except VolumesError as error:
                error.details["changed"] = done
                raise
            done = done or each.changed
        return self.preview(plan)

    def preview(self, plan: Plan) -> Result:
        found = [removal.preview(each)["image"] for removal, each in self._plans]
        return {"images": [image for image in found if image]}
