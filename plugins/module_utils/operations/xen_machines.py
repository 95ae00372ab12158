# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of a pool as the operations look at them, and as results show them."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import root_name
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import raise_troubles
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_wishes import Found, content_of, ours
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import VolumeDriver
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks, Sr
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Disk, Machine, Machines
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool

THINGS = "machines"


class Registry:
    """What is in a pool. Reads only, and asks for what does not change once."""

    def __init__(self, pool: Pool) -> None:
        self.machines = Machines(pool)
        self.disks = Disks(pool)
        self._srs: t.Dict[str, Sr] = {}
        self._names: t.Dict[str, str] = {}

    def look(self, name: str) -> Found:
        """What is there under a name.

        :raises Foreign, Ambiguous: it is not ours to touch.
        """
        machine, doubles = ours(name, self.machines.named(name))
        if machine is None:
            return Found()
        root = root_of(self.machines.disks(machine))
        sr = self.sr(root.vdi.sr).uuid if root else machine.mark.sr if machine.mark else ""
        return Found(machine, tuple(doubles), root, sr, tuple(self.machines.nics(machine)))

    def look_all(self, names: t.Sequence[str], job: Job) -> t.Dict[str, Found]:
        """``look`` for many names; what must not be touched is told of for all of them at once."""
        found, troubles = run_all(self.look, names, at_once=job.at_once)
        raise_troubles(dict(troubles), "looked at", (), things=THINGS)
        return dict(found)

    def sr(self, ref: str) -> Sr:
        """A storage repository."""
        if ref not in self._srs:
            self._srs[ref] = self.disks.sr(ref)
        return self._srs[ref]

    def name_of(self, kind: str, ref: str) -> str:
        """The name of a network or host."""
        if ref not in self._names:
            self._names[ref] = self.machines.name_of(kind, ref)
        return self._names[ref]

    def result(self, machine: Machine) -> Result:
        """A machine as results show it; sizes in bytes."""
        hardware, content, guest = machine.hardware, content_of(machine), self.machines.guest(machine)
        return {
            "name": machine.name,
            "uuid": machine.uuid,
            "power_state": machine.power.lower(),
            "vcpus": hardware.vcpus,
            "memory": hardware.memory,
            "firmware": hardware.firmware,
            "boot_mode": hardware.mode,
            "host": self.name_of("host", machine.record["resident_on"]) or None,
            "disks": [self._disk_result(disk) for disk in self.machines.disks(machine)],
            "networks": [
                {"device": nic.device, "mac": nic.mac, "network": self.name_of("network", nic.network), "ips": ips_of(guest, nic.device)}
                for nic in self.machines.nics(machine)],
            "guest_tools": tools_in(guest),
            "image": content.as_dict() if content else None,
        }

    def _disk_result(self, disk: Disk) -> Result:
        sr = self.sr(disk.vdi.sr)
        return {"device": disk.device, "name": disk.vdi.name, "vdi": disk.vdi.uuid, "size": disk.vdi.size, "sr": sr.name, "sr_uuid": sr.uuid,
                "bootable": disk.bootable}


# Makes the driver for a storage repository: by name or uuid, None for the pool's default one.
Storage = t.Callable[[t.Optional[str]], VolumeDriver]


@contextlib.contextmanager
def exclusive(registry: Registry, storage: Storage, names: t.Sequence[str], sr: t.Optional[str], job: Job) -> t.Iterator[None]:
    """Keep other runs from machines of these names, wherever their disks are or will be.

    :param sr: As the task names it.
    """
    marks = [machine.mark for name in names for machine in registry.machines.named(name) if machine.mark]
    uuids = {registry.disks.find_sr(sr).uuid} | {mark.sr for mark in marks if mark.sr}
    with contextlib.ExitStack() as locks:
        for uuid in sorted(uuids):  # in one order by everybody, so that no two runs wait for each other
            with contextlib.suppress(NotFound):  # a machine can outlive the repository of its disk
                locks.enter_context(storage(uuid).exclusive([root_name(name) for name in names], job))
        yield


def root_of(disks: t.Sequence[Disk]) -> t.Optional[Disk]:
    """The disk that a machine boots from: the bootable one, else the first."""
    return next((disk for disk in disks if disk.bootable), disks[0] if disks else None)


def tools_in(guest: t.Mapping[str, t.Any]) -> bool:
    """Whether the guest's tools have told that they are there."""
    return bool(guest.get("PV_drivers_detected"))


def ips_of(guest: t.Mapping[str, t.Any], device: t.Optional[str] = None) -> t.List[str]:
    """The addresses that the guest's tools tell of, the plain IPv4 one first.

    :param guest: VM_guest_metrics; its keys are ``0/ip``, and in newer ones also ``0/ipv4/0``, ``0/ipv6/0``.
    :param device: Of this network card; None for all.
    """
    networks: t.Mapping[str, str] = guest.get("networks") or {}
    keys = sorted((key for key in networks if device is None or key.partition("/")[0] == device), key=lambda key: (not key.endswith("/ip"), key))
    return list(dict.fromkeys(networks[key] for key in keys if networks[key]))


def is_halted(machine: Machine) -> bool:
    """Whether what only a halted machine lets be changed can be changed."""
    return machine.power == records.HALTED
