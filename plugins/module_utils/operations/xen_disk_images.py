# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disks of a machine as volumes that images are made of: all at one moment, from one snapshot that goes again."""

from __future__ import annotations

import contextlib
import re
import time
import typing as t
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human, in_gib
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_layers import MOST_LAYERS
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import UPLOAD
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import AUTO, ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image, Images
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.imaging import Imaged, Imaging, Route
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.notes import record_of
from ansible_collections.bootable.volumes.plugins.module_utils.transfer import vhd_export
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.publishing import announcement, publish
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import LARGEST, Disks, Vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Disk, Machine
from ansible_collections.bootable.volumes.plugins.module_utils.xen.raw_vdi import Download
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.plugins.module_utils.xen.snapshots import Snapshot, Snapshots, Tag

FLAT, CHAIN = "flat", "chain"

# When the disk of an image was as it is: images of one moment have the same.
MOMENT = "xen_snapshot_time"

# Seconds for a snapshot to go, whatever is left of the task's own time; and by how much the clocks of two hosts may differ.
_CLEANUP = 300.0
_SKEW = 600.0

_EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)
_DEVICE = re.compile(r"(?:xvd|hd|sd)([a-z]{1,2})")


def device_of(number: str) -> str:
    """What a guest calls the device of a number: ``xvda`` for ``0``."""
    index = int(number)
    return "xvd" + ("" if index < 26 else chr(ord("a") + index // 26 - 1)) + chr(ord("a") + index % 26)


def number_of(device: str) -> t.Optional[str]:
    """The number of a device, given by it or by what a guest calls it; None if that makes no sense."""
    found = _DEVICE.fullmatch(device)
    if found:
        letters = found.group(1)
        return str((ord(letters[0]) - ord("a") + 1) * 26 * (len(letters) - 1) + ord(letters[-1]) - ord("a"))
    return str(int(device)) if device.isascii() and device.isdigit() else None


@dataclass(frozen=True)
class How:
    """How the bytes of a disk become those of an image.

    :param layout: FLAT or CHAIN.
    :param base: For a chain of two: the disk that the first differs from, and which is the second.
    :param compress: For a chain: with gzip.
    """

    layout: str = FLAT
    base: t.Optional[Vdi] = None
    compress: bool = False


class Moment:
    """A machine at one moment: the snapshot is taken when something is first asked of it.

    :param without: VDIs (references) that need not be in it.
    """

    def __init__(self, pool: Pool, machine: Machine, without: t.Sequence[str], job: Job) -> None:
        self._snapshots = Snapshots(pool)
        self._machine = machine
        self._without = without
        self._job = job
        self._tag: t.Optional[Tag] = None
        self._snapshot: t.Optional[Snapshot] = None

    def snapshot(self) -> Snapshot:
        """The snapshot."""
        if self._snapshot is None:
            self._tag = Tag(uuid.uuid4().hex, int(time.time() + self._job.deadline.remaining()), liveness.signature())
            self._snapshot = self._snapshots.take(self._machine, self._tag, without=self._without, deadline=self._job.deadline)
        return self._snapshot

    def end(self) -> None:
        """The snapshot goes, even if no answer told that it was taken. There is time for that even if the task's is over.

        :raises VolumesError: it stays; the next run removes it.
        """
        if self._tag is None:
            return
        deadline = Deadline(_CLEANUP, clock=self._job.deadline.clock)
        for ref, tag in self._snapshots.tagged(self._machine):
            if tag == self._tag:
                self._snapshots.remove(ref, self._machine, deadline=deadline)
        self._tag = self._snapshot = None


def leftovers(pool: Pool, machine: Machine) -> t.List[t.Tuple[str, Tag]]:
    """Snapshots of a machine, and their tags, that were taken by runs that have ended and could not remove them."""
    return [(ref, tag) for ref, tag in Snapshots(pool).tagged(machine) if liveness.is_dead(tag.run) or time.time() > tag.until + _SKEW]


def sweep(pool: Pool, machine: Machine, ref: str, job: Job) -> None:
    """Remove such a snapshot."""
    Snapshots(pool).remove(ref, machine, deadline=job.deadline)


@dataclass
class MachineDisks:
    """A machine's disks, as ``imaging.Originals``: their names are ``machine/device``.

    :ivar sent: For each volume (its id) of which an image was made: bytes that went to Glance, and of how many VHDs.
    """

    pool: Pool
    machine: Machine
    disks: t.Sequence[Disk]
    moment: Moment
    how: How
    defaults: t.Mapping[str, str]
    root: t.Optional[Disk] = None
    sent: t.Dict[str, t.Tuple[int, int]] = field(default_factory=dict)

    def name_of(self, disk: Disk) -> str:
        """What the disk is called as a volume."""
        return "%s/%s" % (self.machine.name, device_of(disk.device))

    def id_of(self, disk: Disk) -> str:
        """What images remember of it."""
        return "xen:%s/%s" % (self.machine.uuid, device_of(disk.device))

    def look_up(self, name_or_id: str) -> t.Optional[Volume]:
        """The volume of that name."""
        for disk in self.disks:
            if self.name_of(disk) == name_or_id:
                return self._volume(disk)
        return None

    def _volume(self, disk: Disk) -> Volume:
        vdi = disk.vdi
        return Volume(
            name=self.name_of(disk), id=self.id_of(disk), size=vdi.size, state=AVAILABLE, status=self.machine.power.lower(), location=self.pool.address,
            record=record_of(vdi), details={"vdi": vdi.uuid, "device": disk.device})

    def disk(self, volume: Volume) -> Disk:
        """The disk that is this volume."""
        return next(disk for disk in self.disks if self.id_of(disk) == volume.id)

    def imaging(self, images: Images) -> Imaging:
        """What makes images of them."""
        return SnapshotImaging(self, images)

    def exclusive(self, names: t.Sequence[str], job: Job) -> t.ContextManager[None]:
        """Nothing: it is the machine that is locked, as a whole."""
        return contextlib.nullcontext()


class SnapshotImaging(Imaging):
    """Exports the disk's snapshot, and sends what comes to Glance while it comes."""

    typed = False

    def __init__(self, disks: MachineDisks, images: Images) -> None:
        self._disks = disks
        self._images = images

    def check(self, volume: Volume, wish: ImageWish) -> None:
        if wish.method not in (AUTO, UPLOAD):
            raise InvalidInput("method: disks of machines can only be uploaded")
        if volume.size > LARGEST:
            raise InvalidInput("%s has %s; as VHDs disks of at most %s are exported" % (volume.name, human(volume.size), human(LARGEST)))
        if self._disks.disk(volume).vdi.missing:
            raise NotFound("the storage repository has lost the disk %s (%s)" % (volume.name, self._disks.disk(volume).vdi.uuid))

    def make(self, volume: Volume, wish: ImageWish, route: Route, job: Job) -> Imaged:
        snapshot = self._disks.moment.snapshot()
        vdi = snapshot.disks.get(self._disks.disk(volume).device)
        if vdi is None:
            raise BackendError("the snapshot of the machine has no disk %s; it was taken away meanwhile, run the task again" % volume.name)
        defaults = {MOMENT: snapshot.time}
        if self._disks.root is not None and self._disks.disk(volume) == self._disks.root:
            defaults.update(self._disks.defaults)
        full = replace(wish, properties={**defaults, **wish.properties}, min_disk=in_gib(vdi.size) if wish.min_disk is None else wish.min_disk)
        with self._body(volume, vdi, snapshot.time, job) as body:
            image = publish(body, announcement(full, volume.id), images=self._images, store=route.store, base=route.base)
        self._disks.sent[volume.id] = body.sent, body.members
        return Imaged(image, UPLOAD, "the bytes of a machine's disk have to be sent")

    def finish(self, volume: Volume, image: Image, wish: ImageWish, route: Route, job: Job) -> Imaged:
        # nobody knows how far it came, and the snapshot that it came from is gone
        self._images.delete(image.id)
        return self.make(volume, wish, route, job)

    def _body(self, volume: Volume, vdi: Vdi, moment: str, job: Job) -> t.ContextManager[vhd_export.VhdBody]:
        how, timestamp = self._disks.how, since_2000(moment)
        if how.layout == FLAT:
            return vhd_export.flat(self._level(volume, vdi, None, job), timestamp, job)
        vdis = [vdi, how.base] if how.base else Snapshots(self._disks.pool).lineage(vdi)[:MOST_LAYERS]
        levels = [self._level(volume, each, below, job) for each, below in zip(vdis, [*vdis[1:], None])]
        return vhd_export.chain(levels, timestamp, job, compress=how.compress)

    def _level(self, volume: Volume, vdi: Vdi, below: t.Optional[Vdi], job: Job) -> vhd_export.Level:
        pool, what = self._disks.pool, "export the disk %s" % volume.name

        def begin() -> t.ContextManager[vhd_export.Source]:
            return Download(pool, vdi.ref, format="vhd", base=below.ref if below else None, deadline=job.deadline, what=what)

        return vhd_export.Level(volume.name, vdi.size, begin)


def since_2000(moment: str) -> int:
    """A time, ISO 8601 (UTC), in seconds since 2000, as VHDs count them; 0 if it is none."""
    try:
        found = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return 0
    return max(0, int((found - _EPOCH).total_seconds()))


def base_of(disks: Disks, name_or_uuid: str, disk: Disk) -> Vdi:
    """The disk that a chain is to be based on.

    :raises NotFound: there is none of that name or uuid.
    :raises InvalidInput: a delta between the two makes no sense, or several have that name.
    """
    found = disks.by_uuid(name_or_uuid) if _is_uuid(name_or_uuid) else None
    candidates = [found] if found else [vdi for vdi in disks.named(name_or_uuid, disk.vdi.sr) if vdi.managed]
    if not candidates:
        raise NotFound("base: the storage repository of the machine's disk has no disk '%s'; give the name or uuid of one that it has" % name_or_uuid)
    if len(candidates) > 1:
        raise InvalidInput("base: %d disks are called '%s'; name one by its uuid: %s" % (
            len(candidates), name_or_uuid, ", ".join(sorted(each.uuid for each in candidates))))
    (base,) = candidates
    if base.sr != disk.vdi.sr or not base.managed or base.ref == disk.vdi.ref:
        raise InvalidInput("base: %s (%s) is %s; name another disk, or a snapshot of this one, in the same storage repository" % (
            base.name, base.uuid, "the machine's own disk" if base.ref == disk.vdi.ref else "in another storage repository"
            if base.sr != disk.vdi.sr else "only a layer of other disks"))
    if base.size > disk.vdi.size:
        raise InvalidInput("base: %s (%s) is larger than the machine's disk: %s, not %s" % (base.name, base.uuid, human(base.size), human(disk.vdi.size)))
    return base


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def properties_of(machine: Machine, guest: t.Mapping[str, t.Any]) -> t.Dict[str, str]:
    """What an image of the machine's first disk should say, in Glance's words, as far as the pool knows.

    :param guest: What the tools in the guest tell; nothing if the machine is halted.
    """
    hardware = machine.hardware
    found = {"vm_mode": "hvm" if hardware.mode == "hvm" else "xen"}
    if hardware.firmware:
        found["hw_firmware_type"] = hardware.firmware
        if hardware.firmware == "uefi" and hardware.secure_boot:
            found["os_secure_boot"] = "required"
    system: t.Mapping[str, str] = guest.get("os_version") or {}
    distro = system.get("distro", "").lower()
    if "windows" in distro + system.get("name", "").lower():
        found["os_type"] = "windows"
    elif system.get("uname") or distro or hardware.mode == "pv":
        found["os_type"] = "linux"
        if re.fullmatch(r"[a-z]+", distro):
            found["os_distro"] = distro
    return found


def quietly(call: t.Callable[[], None], warn: t.Callable[[str], None]) -> None:
    """Call; what goes wrong becomes a warning: there is a worse error already."""
    try:
        call()
    except VolumesError as error:
        warn(error.message)
