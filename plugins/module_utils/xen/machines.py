# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of a pool: found, made, changed, started, ended and unmade."""

from __future__ import annotations

import re
import typing as t
import xmlrpc.client
from dataclasses import dataclass, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, BackendError, NotFound, TimedOut, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records, tasks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks, Vdi, vdi_of
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machine_records import Hardware, Mark
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# What says that an object is not there (any more).
GONE = ("HANDLE_INVALID", "UUID_INVALID")

# Fields that XAPI has no plain setter for, or that must be set together.
_MEMORY = ("memory_static_min", "memory_static_max", "memory_dynamic_min", "memory_dynamic_max")


@dataclass(frozen=True)
class Machine:
    """A machine as it is now.

    :param record: As XAPI has it.
    :param mark: Ours; None on a machine that somebody else made.
    """

    ref: str
    record: t.Mapping[str, t.Any]
    mark: t.Optional[Mark]

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.record["name_label"])

    @property
    def uuid(self) -> str:
        """What the pool calls it."""
        return str(self.record["uuid"])

    @property
    def power(self) -> str:
        """RUNNING, HALTED, PAUSED or SUSPENDED."""
        return str(self.record["power_state"])

    @property
    def hardware(self) -> Hardware:
        """What it is made of."""
        return records.hardware_of(self.record)


@dataclass(frozen=True)
class Disk:
    """A disk of a machine.

    :param vbd: Reference of what connects it.
    :param device: Its number: ``"0"`` is the first.
    :param guest_device: What a running guest calls it, such as ``xvda``; empty otherwise.
    """

    vbd: str
    device: str
    bootable: bool
    vdi: Vdi
    guest_device: str = ""


def made_for(vdi: Vdi) -> str:
    """The uuid of the machine that this collection made the disk for; empty if it did not."""
    mark = records.DiskMark.of(vdi.uuid, vdi.other_config)
    return mark.vm if mark else ""


@dataclass(frozen=True)
class Nic:
    """A network card of a machine.

    :param network: Reference.
    """

    ref: str
    device: str
    mac: str
    network: str


@dataclass(frozen=True)
class Network:
    """A network of the pool."""

    ref: str
    uuid: str
    name: str
    mtu: int


class Machines:
    """The machines of one pool. What is not a machine (a template, a snapshot, a host's own domain) is never found."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._disks = Disks(pool)

    # --- looking ---

    def named(self, name: str) -> t.List[Machine]:
        """All machines of that name: XAPI lets several have it."""
        return [machine for ref in self._pool.read("VM.get_by_name_label", name) for machine in [self._machine(ref)] if machine]

    def find(self, name_or_uuid: str) -> t.Optional[Machine]:
        """The machine of that uuid or name; None if there is none.

        :raises Ambiguous: several have that name.
        """
        ref = self._by_uuid("VM", name_or_uuid)
        machine = self._machine(ref) if ref else None
        if machine:
            return machine
        found = self.named(name_or_uuid)
        if len(found) > 1:
            raise Ambiguous("%d machines are called '%s'; name one by its uuid: %s" % (
                len(found), name_or_uuid, ", ".join(sorted(each.uuid for each in found))))
        return found[0] if found else None

    def again(self, machine: Machine) -> t.Optional[Machine]:
        """The machine as it is by now; None if it is gone."""
        return self._machine(machine.ref)

    def _machine(self, ref: str) -> t.Optional[Machine]:
        record = self._record("VM", ref)
        if record is None or any(record[key] for key in ("is_a_template", "is_a_snapshot", "is_control_domain")):
            return None
        return Machine(ref, record, Mark.of(record))

    def template(self, name_or_uuid: str) -> t.Mapping[str, t.Any]:
        """The record of a template.

        :raises NotFound, Ambiguous: naming it.
        """
        def fits(record: t.Mapping[str, t.Any]) -> bool:
            return bool(record["is_a_template"]) and not record["is_a_snapshot"]

        return self._one("VM", name_or_uuid, "template", fits)[1]

    def network(self, name_or_uuid: str) -> Network:
        """A network.

        :raises NotFound, Ambiguous: naming it.
        """
        ref, record = self._one("network", name_or_uuid, "network")
        return Network(ref, record["uuid"], record["name_label"], int(record["MTU"]))

    def host(self, name_or_uuid: str) -> str:
        """A host's reference.

        :raises NotFound, Ambiguous: naming it.
        """
        return self._one("host", name_or_uuid, "host")[0]

    def name_of(self, kind: str, ref: str) -> str:
        """The name of what a reference stands for; empty where it stands for nothing."""
        record = self._record(kind, ref) if ref != records.NULL else None
        return str(record["name_label"]) if record else ""

    def disks(self, machine: Machine) -> t.List[Disk]:
        """Its disks, by device; CDs and empty drives are none."""
        found = []
        for ref in machine.record["VBDs"]:
            vbd = self._record("VBD", ref)
            if vbd is None or vbd["type"] != "Disk" or vbd["empty"]:
                continue
            vdi = self._record("VDI", vbd["VDI"])
            if vdi is not None:
                found.append(Disk(ref, vbd["userdevice"], vbd["bootable"], vdi_of(vbd["VDI"], vdi), vbd["device"]))
        return sorted(found, key=lambda disk: (len(disk.device), disk.device))

    def nics(self, machine: Machine) -> t.List[Nic]:
        """Its network cards, by device."""
        found = [(ref, self._record("VIF", ref)) for ref in machine.record["VIFs"]]
        nics = [Nic(ref, vif["device"], vif["MAC"].lower(), vif["network"]) for ref, vif in found if vif]
        return sorted(nics, key=lambda nic: (len(nic.device), nic.device))

    def guest(self, machine: Machine) -> t.Mapping[str, t.Any]:
        """What the tools in the guest tell, as VM_guest_metrics has it; empty before they do."""
        ref = machine.record["guest_metrics"]
        return (self._record("VM_guest_metrics", ref) if ref != records.NULL else None) or {}

    def last_words(self, machine: Machine) -> t.List[str]:
        """What the pool noted of the machine, such as ``VM_CRASHED``, the latest first; nothing where it cannot be asked."""
        try:
            found = self._pool.read("message.get", "VM", machine.uuid, xmlrpc.client.DateTime("19700101T00:00:00"))
        except BackendError:
            return []
        latest = sorted(found.values(), key=lambda message: str(message["timestamp"]), reverse=True)[:3]
        return [" ".join(filter(None, (message["name"], message["body"].strip()))) for message in latest]

    # --- making and changing ---

    def create(self, template: t.Mapping[str, t.Any], name: str, hardware: Hardware, mark: Mark) -> Machine:
        """A machine without disks and networks. It is never made twice, even if nobody can tell whether a request got through."""
        record = records.new_machine(template, name, hardware, mark)
        try:
            ref = self._pool.call("VM.create", record)
        except BackendError as error:
            if isinstance(error, XenFailure) and error.code != "DUPLICATE_MAC_SEED":  # that is what a request that comes twice gets
                raise
            made = [machine for machine in self.named(name) if machine.mark and machine.mark.token == mark.token]
            if not made:
                raise
            return made[0]
        machine = self._machine(ref)
        if machine is None:
            raise BackendError("the machine %s was gone as soon as it was made; somebody else removed it, run the task again" % name)
        return machine

    def mark(self, machine: Machine, mark: Mark) -> Machine:
        """Make the machine remember ``mark``. One call, so that it is never without one."""
        config = dict(self._pool.read("VM.get_other_config", machine.ref))
        config[records.MARK] = mark.pack()
        self._pool.call("VM.set_other_config", machine.ref, config)
        return replace(machine, record=dict(machine.record, other_config=config), mark=mark)

    def mark_disk(self, machine: Machine, vdi: Vdi) -> None:
        """Make a disk remember that it was made for this machine."""
        self._disks.note(vdi.ref, {records.MARK: records.DiskMark(machine.uuid, vdi.uuid).pack()})

    def attach(self, machine: Machine, vdi: str) -> None:
        """Make a disk the one that the machine boots from."""
        self._once("VBD.create", records.new_vbd(machine.ref, vdi, 0), lambda now: any(disk.vdi.ref == vdi for disk in self.disks(now)), machine)

    def connect(self, machine: Machine, device: int, network: Network, mac: str) -> None:
        """Give the machine a network card."""
        self._once("VIF.create", records.new_vif(machine.ref, device, network.ref, mac, network.mtu),
                   lambda now: any(nic.device == str(device) and nic.network == network.ref for nic in self.nics(now)), machine)

    def disconnect(self, nic: Nic, deadline: Deadline) -> None:
        """Take a network card away."""
        tasks.unmake(self._pool, "VIF", nic.ref, lambda: self._pool.call("VIF.destroy", nic.ref), deadline)

    def change(self, machine: Machine, hardware: Hardware) -> None:
        """Make it what the hardware says; but for ``records.ANYTIME`` only while it is halted."""
        new = records.fields_for(machine.record, hardware)
        if any(name in new for name in _MEMORY):
            limits = [new.get(name, machine.record[name]) for name in _MEMORY]
            self._pool.call("VM.set_memory_limits", machine.ref, *limits)
        for name in self._in_order(machine, new):
            self._pool.call("VM.set_" + name, machine.ref, new[name])

    @staticmethod
    def _in_order(machine: Machine, new: t.Mapping[str, t.Any]) -> t.List[str]:
        """At no moment may more vCPUs be started than there are."""
        vcpus = ["VCPUs_max", "VCPUs_at_startup"]
        if "VCPUs_max" in new and int(new["VCPUs_max"]) < int(machine.record["VCPUs_at_startup"]):
            vcpus.reverse()
        return [name for name in vcpus if name in new] + sorted(new.keys() - {*vcpus, *_MEMORY})

    # --- power ---

    def start(self, machine: Machine, deadline: Deadline) -> None:
        """Have it run. What counts is whether it does: an answer can get lost.

        :raises BackendError: with the reason of each host, where none can run it.
        """
        method, params = {
            records.PAUSED: ("VM.unpause", []),
            records.SUSPENDED: ("VM.resume", [False, False]),
        }.get(machine.power, ("VM.start", [False, False]))
        try:
            self._pool.run(method, machine.ref, *params, deadline=deadline, what="start the machine %s" % machine.name)
        except TimedOut:
            raise
        except VolumesError as error:
            if self._turned(machine, (records.RUNNING,), error, deadline):
                return
            if isinstance(error, XenFailure) and error.code == "NO_HOSTS_AVAILABLE":
                raise BackendError("no host can run the machine %s: %s" % (machine.name, self._why_not(machine))) from error
            raise

    def _why_not(self, machine: Machine) -> str:
        """What each host has against running it."""
        reasons = []
        for ref in self._pool.read("host.get_all"):
            try:
                self._pool.read("VM.assert_can_boot_here", machine.ref, ref)
            except XenFailure as error:
                reasons.append("%s: %s" % (self.name_of("host", ref), error.message))
        return "; ".join(reasons) or "XAPI does not say why; its log on the master does"

    def stop(self, machine: Machine, deadline: Deadline, *, force: bool) -> None:
        """Have it halted: the guest shuts itself down, or with ``force`` is switched off.

        :raises BackendError: the guest does not.
        """
        method = "VM.hard_shutdown" if force else "VM.clean_shutdown"
        try:
            self._pool.run(method, machine.ref, deadline=deadline, what="shut the machine %s down" % machine.name)
        except TimedOut as error:
            raise error if force else TimedOut(error.message + "; force: true switches the machine off", **error.details) from error
        except VolumesError as error:
            if self._turned(machine, (records.HALTED, None), error, deadline):
                return
            if force:
                raise
            raise BackendError("the guest of the machine %s (%s) did not shut down: %s. force: true switches it off" % (
                machine.name, machine.uuid, error)) from error

    def _turned(self, machine: Machine, wished: t.Container[t.Optional[str]], error: VolumesError, deadline: Deadline) -> bool:
        """Whether the machine's power is as wished (None: it is gone) in spite of the error; where that is no answer of XAPI's, it may yet get there."""
        def look() -> t.Optional[bool]:
            now = self.again(machine)
            return (now.power if now else None) in wished or None

        return bool(look() if isinstance(error, XenFailure) else tasks.found_late(look, deadline))

    # --- unmaking ---

    def destroy(self, machine: Machine, deadline: Deadline) -> None:
        """The machine is gone, with its connections; its disks are not."""
        tasks.unmake(self._pool, "VM", machine.ref, lambda: self._pool.call("VM.destroy", machine.ref), deadline)

    # --- lookups ---

    def _record(self, kind: str, ref: str) -> t.Optional[t.Mapping[str, t.Any]]:
        try:
            return t.cast(t.Mapping[str, t.Any], self._pool.read(kind + ".get_record", ref))
        except XenFailure as error:
            if error.code in GONE:
                return None
            raise

    def _by_uuid(self, kind: str, uuid: str) -> t.Optional[str]:
        if not _UUID.fullmatch(uuid.lower()):
            return None
        try:
            return str(self._pool.read(kind + ".get_by_uuid", uuid.lower()))
        except XenFailure as error:
            if error.code in GONE:
                return None
            raise

    def _one(self, kind: str, name_or_uuid: str, what: str, fits: t.Callable[[t.Mapping[str, t.Any]], bool] = lambda record: True,
             ) -> t.Tuple[str, t.Mapping[str, t.Any]]:
        by_uuid = self._by_uuid(kind, name_or_uuid)
        refs = [by_uuid] if by_uuid else self._pool.read(kind + ".get_by_name_label", name_or_uuid)
        found = [(ref, record) for ref in refs for record in [self._record(kind, ref)] if record and fits(record)]
        if not found:
            raise NotFound("%s: the pool has no %s '%s'; give the name or uuid of one that it has" % (what, what, name_or_uuid))
        if len(found) > 1:
            raise Ambiguous("%s: %d are called '%s'; name one by its uuid: %s" % (
                what, len(found), name_or_uuid, ", ".join(sorted(record["uuid"] for dummy, record in found))))
        return found[0]

    def _once(self, method: str, record: t.Mapping[str, t.Any], done: t.Callable[[Machine], bool], machine: Machine) -> None:
        """A call that makes a part of a machine; where no answer comes, a look at the machine tells whether it was carried out."""
        try:
            self._pool.call(method, record)
        except BackendError as error:
            now = None if isinstance(error, XenFailure) else self.again(machine)
            if now is None or not done(now):
                raise
