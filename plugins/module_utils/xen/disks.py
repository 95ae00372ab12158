# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool's storage: repositories (SR) and virtual disks (VDI)."""

from __future__ import annotations

import contextlib
import typing as t
import uuid
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, BackendError, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, MIB, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import tasks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure, XenNotFound

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool

NULL = "OpaqueRef:NULL"

# Sizes of disks are multiples of this, and at most that.
UNIT = 2 * MIB
LARGEST = 2040 * GIB

# Repositories that set a disk's whole size aside when it is made; a host cannot write VHDs into their disks, because it
# takes it that they do not read as zeroes to begin with.
THICK = frozenset(("lvm", "lvmoiscsi", "lvmohba", "lvmofcoe"))

# Kept in other_config: what tells a call that was made from one that was not, when no answer came.
TOKEN = "bootable:token"


@dataclass(frozen=True)
class Sr:
    """A storage repository. Sizes are bytes; ``free`` counts what thin disks have been written, not what they promise."""

    ref: str
    uuid: str
    name: str
    type: str
    size: int
    free: int
    shared: bool
    connected: bool

    @property
    def thick(self) -> bool:
        """Whether disks take their whole size from the beginning."""
        return self.type in THICK


@dataclass(frozen=True)
class Vdi:
    """A virtual disk. References lead to it within this session's pool, the uuid for ever.

    :param size: Bytes a guest sees.
    :param allocated: Bytes that it takes up, as far as its repository knows.
    :param managed: False for what is a layer below other disks only.
    """

    ref: str
    uuid: str
    name: str
    description: str
    size: int
    allocated: int
    sr: str
    type: str
    managed: bool
    read_only: bool
    sharable: bool
    is_snapshot: bool
    snapshot_of: str
    missing: bool
    other_config: t.Mapping[str, str]
    sm_config: t.Mapping[str, str]
    vbds: t.Tuple[str, ...]
    operations: t.Tuple[str, ...]


@dataclass(frozen=True)
class Holder:
    """A machine that has a disk.

    :param attached: Whether the disk is in a machine that runs.
    :param control: The machine is a host's control domain, which has a disk while its bytes are moved.
    """

    vbd: str
    vm: str
    machine: str
    machine_uuid: str
    device: str
    attached: bool
    control: bool


class Disks:
    """What there is to do with a pool's disks. Names are labels: several may have one."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    # --- repositories ---

    def find_sr(self, name_or_uuid: t.Optional[str] = None) -> Sr:
        """A repository by name or uuid; the pool's default one without.

        :raises NotFound: there is none; those there are are named.
        :raises Ambiguous: several have that name.
        """
        if not name_or_uuid:
            return self._default_sr()
        with contextlib.suppress(XenNotFound):
            return self.sr(self._pool.read("SR.get_by_uuid", name_or_uuid))
        found = self._pool.read("SR.get_by_name_label", name_or_uuid)
        if len(found) == 1:
            return self.sr(found[0])
        if found:
            uuids = sorted(self.sr(ref).uuid for ref in found)
            raise Ambiguous("sr: %d storage repositories are called '%s'; name one by its uuid: %s" % (len(found), name_or_uuid, ", ".join(uuids)))
        raise NotFound("sr: there is no storage repository '%s'; there are: %s" % (name_or_uuid, self._names()))

    def _default_sr(self) -> Sr:
        pool = self._pool.read("pool.get_all_records")
        ref = next((record["default_SR"] for record in pool.values()), NULL)
        if ref != NULL:
            with contextlib.suppress(XenNotFound):  # the one that was the default may have been removed
                return self.sr(ref)
        raise NotFound("sr: the pool has no default storage repository; name one: %s" % self._names())

    def _names(self) -> str:
        records = self._pool.read("SR.get_all_records").values()
        return ", ".join(sorted(record["name_label"] for record in records if record["content_type"] != "iso" and record["type"] != "udev")) or "none"

    def sr(self, ref: str) -> Sr:
        """A repository by its reference."""
        record = self._pool.read("SR.get_record", ref)
        connected = any(self._pool.read("PBD.get_currently_attached", pbd) for pbd in record["PBDs"])
        size = int(record["physical_size"])
        return Sr(ref, record["uuid"], record["name_label"], record["type"], size, size - int(record["physical_utilisation"]), record["shared"], connected)

    # --- looking at disks ---

    def get(self, ref: str) -> Vdi:
        """A disk by its reference.

        :raises XenNotFound: it is gone.
        """
        return vdi_of(ref, self._pool.read("VDI.get_record", ref))

    def by_uuid(self, wanted: str) -> t.Optional[Vdi]:
        """A disk by its uuid, or None."""
        try:
            return self.get(self._pool.read("VDI.get_by_uuid", wanted))
        except XenNotFound:
            return None

    def named(self, name: str, sr: str) -> t.List[Vdi]:
        """The disks of that name in a repository (its reference), whatever they are."""
        found = []
        for ref in self._pool.read("VDI.get_by_name_label", name):
            with contextlib.suppress(XenNotFound):
                found.append(self.get(ref))
        return [vdi for vdi in found if vdi.sr == sr]

    def all_in(self, sr: str) -> t.List[Vdi]:
        """Everything in a repository: disks, snapshots, layers."""
        return [vdi_of(ref, record) for ref, record in self._pool.read("VDI.get_all_records").items() if record["SR"] == sr]

    def holders(self, vdi: Vdi) -> t.List[Holder]:
        """The machines that have the disk, running or not."""
        found = []
        for ref in vdi.vbds:
            with contextlib.suppress(XenNotFound):
                vbd = self._pool.read("VBD.get_record", ref)
                vm = self._pool.read("VM.get_record", vbd["VM"])
                found.append(Holder(ref, vbd["VM"], vm["name_label"], vm["uuid"], vbd["userdevice"], vbd["currently_attached"],
                                    vm["is_control_domain"]))
        return sorted(found, key=lambda holder: (holder.machine, holder.device))

    # --- making and unmaking ---

    def create(self, *, sr: str, name: str, size: int, other_config: t.Mapping[str, str], deadline: Deadline, description: str = "",
               type: str = "user", token: t.Optional[str] = None) -> Vdi:
        """A new disk that reads as zeroes; exactly one, even if the connection breaks.

        :param sr: The repository's reference.
        :param size: Bytes; rounded up to 2 MiB.
        :param other_config: Already there when the disk first shows up.
        :param token: Tells this very disk from all others; made up unless given.
        """
        token = token or uuid.uuid4().hex
        record = {
            "SR": sr, "name_label": name, "name_description": description, "virtual_size": str(round_up(size, UNIT)), "type": type,
            "sharable": False, "read_only": False, "other_config": dict(other_config, **{TOKEN: token}),
            "xenstore_data": {}, "sm_config": {}, "tags": [],
        }
        try:
            return self.get(self._pool.run("VDI.create", record, deadline=deadline, what="create the disk %s" % name))
        except BackendError as error:
            if isinstance(error, XenFailure):
                raise
            found = tasks.found_late(lambda: self._with_token(name, sr, token), deadline)
            if found is None:
                raise
            return found

    def _with_token(self, name: str, sr: str, token: str) -> t.Optional[Vdi]:
        """The disk that was asked for, if it was made."""
        return next((vdi for vdi in self.named(name, sr) if vdi.other_config.get(TOKEN) == token), None)

    def destroy(self, ref: str, *, deadline: Deadline, what: str = "remove the disk") -> None:
        """Remove a disk. One that is gone is fine; one that is still being let go of is waited for.

        :raises XenInUse: something holds it until the deadline; the message is XAPI's.
        """
        def attempt() -> t.Optional[bool]:
            try:
                tasks.unmake(self._pool, "VDI", ref, lambda: self._pool.run("VDI.destroy", ref, deadline=deadline, what=what), deadline)
            except XenFailure as error:
                if error.code not in ("VDI_IN_USE", "OTHER_OPERATION_IN_PROGRESS") or deadline.remaining() <= 0 or self._attached(ref):
                    raise
                return None
            return True

        deadline.wait(attempt, "XAPI to %s" % what, first=0.2, longest=3.0)

    def _attached(self, ref: str) -> bool:
        """Whether a machine that runs has the disk: that does not pass by itself."""
        with contextlib.suppress(XenNotFound):
            return any(holder.attached and not holder.control for holder in self.holders(self.get(ref)))
        return False

    def resize(self, ref: str, size: int, *, deadline: Deadline) -> Vdi:
        """Make a disk larger, to ``size`` bytes, rounded up to 2 MiB."""
        self._pool.run("VDI.resize", ref, str(round_up(size, UNIT)), deadline=deadline, what="resize the disk to %d bytes" % size)
        return self.get(ref)

    def clone(self, ref: str, *, deadline: Deadline, what: str = "clone the disk") -> Vdi:
        """A writable copy that shares what it can with the original; has its name and other_config, too."""
        return self.get(self._pool.run("VDI.clone", ref, {}, deadline=deadline, what=what))

    def snapshot(self, ref: str, *, deadline: Deadline, what: str = "snapshot the disk") -> Vdi:
        """A snapshot; has the disk's name and other_config, too."""
        return self.get(self._pool.run("VDI.snapshot", ref, {}, deadline=deadline, what=what))

    # --- names and notes ---

    def rename(self, ref: str, name: str, description: t.Optional[str] = None) -> None:
        """Another name, and if given another description."""
        self._pool.call("VDI.set_name_label", ref, name)
        if description is not None:
            self._pool.call("VDI.set_name_description", ref, description)

    def note(self, ref: str, notes: t.Mapping[str, t.Optional[str]]) -> None:
        """Set keys of other_config, and remove those that are None; all in one call, so that none is ever missing half-way."""
        there = dict(self._pool.read("VDI.get_other_config", ref))
        wanted = {key: value for key, value in dict(there, **notes).items() if value is not None}
        if wanted != there:
            self._pool.call("VDI.set_other_config", ref, wanted)


def vdi_of(ref: str, record: t.Mapping[str, t.Any]) -> Vdi:
    """A disk from XAPI's record of it."""
    return Vdi(
        ref=ref, uuid=record["uuid"], name=record["name_label"], description=record["name_description"], size=int(record["virtual_size"]),
        allocated=int(record["physical_utilisation"]), sr=record["SR"], type=str(record["type"]).lower(), managed=record["managed"],
        read_only=record["read_only"], sharable=record["sharable"], is_snapshot=record["is_a_snapshot"], snapshot_of=record["snapshot_of"],
        missing=record["missing"], other_config=dict(record["other_config"]), sm_config=dict(record["sm_config"]), vbds=tuple(record["VBDs"]),
        operations=tuple(sorted(set(record["current_operations"].values()))),
    )
