# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of machines that are taken for one purpose and go again.

Such a snapshot says in its name whose it is and until when. The name is there from the snapshot's first moment: whatever
becomes of the run that took it, another one finds it.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import tasks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import NULL, Disks, Vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure, XenInUse, XenNotFound
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Machine
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool

_NAME = re.compile(r"bootable\.volumes (?P<token>[0-9a-f]{32}) until (?P<until>\d+) by (?P<run>.*)$")


@dataclass(frozen=True)
class Tag:
    """What the name of such a snapshot says.

    :param token: Tells it from all others.
    :param until: When the run that took it has ended at the latest, in seconds since 1970.
    :param run: That run, as ``host.liveness`` tells processes; empty where the system does not tell.
    """

    token: str
    until: int
    run: str = ""

    @property
    def name(self) -> str:
        """The name of the snapshot."""
        return "bootable.volumes %s until %d by %s" % (self.token, self.until, self.run)

    @classmethod
    def of(cls, name: str) -> t.Optional[Tag]:
        """What a name says; None for somebody else's snapshot."""
        found = _NAME.match(name)
        return cls(found.group("token"), int(found.group("until")), found.group("run")) if found else None


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was taken so.

    :param time: When, ISO 8601 (UTC), by the pool's clock.
    :param disks: The VDI of each device, by its number.
    """

    ref: str
    uuid: str
    tag: Tag
    time: str
    disks: t.Mapping[str, Vdi]


class Snapshots:
    """The snapshots of one pool's machines."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._disks = Disks(pool)

    def tagged(self, machine: Machine) -> t.List[t.Tuple[str, Tag]]:
        """References and tags of those that were taken so, whoever did."""
        found = []
        for ref in self._pool.read("VM.get_snapshots", machine.ref):
            try:
                tag = Tag.of(self._pool.read("VM.get_name_label", ref))
            except XenNotFound:  # it went meanwhile
                continue
            if tag is not None:
                found.append((ref, tag))
        return found

    def take(self, machine: Machine, tag: Tag, *, without: t.Sequence[str] = (), deadline: Deadline) -> Snapshot:
        """All disks of a machine at one moment, whether it runs or not. Never taken twice, even if no answer comes.

        :param without: VDIs, by reference, that are not needed; a pool that is too old for that takes them all.
        :raises XenFailure: XAPI does not take one: a disk's storage cannot, or has no room.
        """
        try:
            ref = self._take(machine, tag, list(without), deadline)
        except XenFailure:
            raise
        except BackendError:
            late = tasks.found_late(lambda: next((ref for ref, each in self.tagged(machine) if each == tag), None), deadline)
            if late is None:
                raise
            ref = late
        record = self._pool.read("VM.get_record", ref)
        disks = {vbd["userdevice"]: self._disks.get(vbd["VDI"]) for vbd in self._own_disks(record)}
        return Snapshot(ref, record["uuid"], tag, iso(record["snapshot_time"]), disks)

    def _take(self, machine: Machine, tag: Tag, without: t.List[str], deadline: Deadline) -> str:
        what = "take a snapshot of the machine %s" % machine.name
        if without:
            try:
                return self._pool.run("VM.snapshot", machine.ref, tag.name, without, deadline=deadline, what=what)
            except XenFailure as error:
                if error.code != "MESSAGE_PARAMETER_COUNT_MISMATCH":
                    raise
        return self._pool.run("VM.snapshot", machine.ref, tag.name, deadline=deadline, what=what)

    def _own_disks(self, record: t.Mapping[str, t.Any]) -> t.Iterator[t.Mapping[str, t.Any]]:
        """The VBDs of the disks that came to be with a snapshot; a CD in it is the machine's own."""
        for ref in record["VBDs"]:
            try:
                vbd = self._pool.read("VBD.get_record", ref)
            except XenNotFound:
                continue
            if vbd["type"] == "Disk" and not vbd["empty"] and vbd["VDI"] != NULL and self._is_snapshot(vbd["VDI"]):
                yield vbd

    def _is_snapshot(self, vdi: str) -> bool:
        try:
            return bool(self._pool.read("VDI.get_is_a_snapshot", vdi))
        except XenNotFound:
            return False

    def remove(self, ref: str, machine: Machine, *, deadline: Deadline) -> None:
        """A snapshot of a machine goes, with its disks. They go first: as long as one of them is there, the snapshot tells of it.

        :raises BackendError: it is none, or something still holds a disk of it when the time is over.
        """
        try:
            record = self._pool.read("VM.get_record", ref)
        except XenNotFound:
            return
        if not record["is_a_snapshot"] or record["snapshot_of"] != machine.ref:
            raise BackendError("%s (%s) is no snapshot of the machine %s; it was not removed" % (record["name_label"], record["uuid"], machine.name))
        vdis = [vbd["VDI"] for vbd in self._own_disks(record)]
        if record["suspend_VDI"] not in (NULL, machine.record["suspend_VDI"]):  # the memory of one that was suspended
            vdis.append(record["suspend_VDI"])
        for vdi in vdis:
            self._destroy(vdi, machine, deadline)
        what = "remove a snapshot of the machine %s" % machine.name
        tasks.unmake(self._pool, "VM", ref, lambda: self._pool.run("VM.destroy", ref, deadline=deadline, what=what), deadline)

    def _destroy(self, vdi: str, machine: Machine, deadline: Deadline) -> None:
        what = "remove a snapshot of a disk of the machine %s" % machine.name

        def attempt() -> t.Optional[bool]:
            try:
                self._disks.destroy(vdi, deadline=deadline, what=what)
            except XenInUse:  # a host lets go of a disk only a moment after its export ended
                return None
            return True

        deadline.wait(attempt, "XAPI to %s" % what, longest=2.0)

    def lineage(self, vdi: Vdi) -> t.List[Vdi]:
        """A disk, and the snapshots whose content it descends from, nearest first.

        In a repository of VHDs a snapshot turns the disk as it was into a layer that only the snapshot and what becomes of the disk
        know of (``vhd-parent`` in ``sm_config``). XAPI exports no such layers. But a snapshot adds nothing to its layer, so it can stand
        for it: as something to export, and as something to differ from. Layers for which no snapshot stands any more
        are part of the one above.
        """
        there = {each.uuid: each for each in self._disks.all_in(vdi.sr)}
        stands_for: t.Dict[str, Vdi] = {}
        for each in sorted(there.values(), key=lambda each: each.uuid):
            layer = each.sm_config.get("vhd-parent")
            if layer and each.managed and each.is_snapshot and not each.missing:
                stands_for.setdefault(layer, each)
        found, passed = [vdi], set()
        layer = vdi.sm_config.get("vhd-parent", "")
        while layer in there and layer not in passed:
            passed.add(layer)
            layer = there[layer].sm_config.get("vhd-parent", "")
            if layer in stands_for:
                found.append(stands_for[layer])
        return found


def iso(time: t.Any) -> str:
    """XAPI's time, ``20261128T16:00:00Z``, as ISO 8601 has it."""
    found = re.match(r"(\d{4})-?(\d\d)-?(\d\d)T(\d\d:\d\d:\d\d)", str(time))
    return "%s-%s-%sT%sZ" % found.groups() if found else str(time)
