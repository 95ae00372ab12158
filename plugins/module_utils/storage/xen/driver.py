# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Driver ``xen``: volumes as virtual disks in a storage repository of a XenServer or XCP-ng pool.

Its parts: notes.py (what disks remember, and which is meant), locks.py (two runs at once), handles.py (bytes of a disk),
filling.py (images of VHDs, which the pool reads itself).
"""

from __future__ import annotations

import contextlib
import functools
import re
import time
import typing as t
import uuid

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, InUse, InvalidInput, NoRoom, TimedOut, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, MIB, human, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.images.dispatch import Adapter, adapter_for
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    ADOPTED, AVAILABLE, BROKEN, COPIED, HALF_DONE, WORKING,
    Capabilities, Handle, Made, Request, Surroundings, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen import notes
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.filling import Target, VhdFilling
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.handles import XenHandle
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.locks import Locks
from ansible_collections.bootable.volumes.plugins.module_utils.transfer import pipeline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import tasks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import LARGEST, UNIT, Disks, Sr, Vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure, XenNoRoom, XenNotFound
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool, from_environment

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner

# Seconds for what the contract gives no job, and for tidying up; and for an open disk, whose user knows best.
_QUICK, _PATIENCE = 300.0, 10 * 24 * 3600.0

# Seconds for a host to let go of a disk after a transfer broke off.
_LET_GO = 60.0

# What a repository has left when it is as good as full: a disk grows by pieces.
_FULL = 16 * MIB

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class XenDriver(VolumeDriver):
    """A volume is the disk (VDI) of that name in one repository.

    A volume's ``id`` is the disk's uuid. Its ``details``: ``sr`` and ``sr_uuid``, ``allocated`` (bytes that it takes), ``description``, and
    ``strays`` (uuids) where runs that were killed left more disks of the name.

    :param pool: Whoever made it closes it.
    :param sr: The repository by name or uuid; None for the pool's default one.
    """

    name = "xen"
    capabilities = Capabilities(handles=True, clone=True, grow=True, granularity=UNIT)
    options: t.ClassVar[t.Mapping[str, t.Mapping[str, t.Any]]] = {
        "hostname": {"type": "str"},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "validate_certs": {"type": "bool"},
        "ca_path": {"type": "path"},
        "api_timeout": {"type": "int"},
        "sr": {"type": "str"},
    }

    def __init__(self, pool: Pool, sr: t.Optional[str] = None, *, runner: t.Optional[CommandRunner] = None) -> None:
        self.runner = runner
        self.pool = pool
        self.disks = Disks(pool)
        self._wanted_sr = sr
        self._held: t.Set[str] = set()

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any], surroundings: Surroundings) -> XenDriver:
        pool = surroundings.closing.enter_context(Pool.connect(from_environment(options)))
        return cls(pool, options.get("sr"), runner=surroundings.runner)

    @functools.cached_property
    def sr(self) -> Sr:
        """The repository, as it was when it was first asked for."""
        return self.disks.find_sr(self._wanted_sr)

    @functools.cached_property
    def _locks(self) -> Locks:
        return Locks(self.pool, self.sr.ref)

    # --- looking ---

    def find(self, name: str) -> t.Optional[Volume]:
        return self.find_all([name])[name]

    def list(self) -> t.List[Volume]:
        working = self._locks.holders()
        volumes = [self._volume(vdi, working) for vdi in self.disks.all_in(self.sr.ref) if notes.is_volume(vdi)]
        return sorted(volumes, key=lambda volume: (volume.name, volume.id))

    def look_up(self, name_or_id: str) -> t.Optional[Volume]:
        if _UUID.fullmatch(name_or_id):
            vdi = self.disks.by_uuid(name_or_id)
            if vdi is not None and vdi.sr == self.sr.ref:
                return self._volume(vdi, self._locks.holders())
        return self.find(name_or_id)

    def find_all(self, names: t.Sequence[str]) -> t.Dict[str, t.Optional[Volume]]:
        everything = self.disks.all_in(self.sr.ref) if len(names) > 1 else None
        working = self._locks.holders()
        found: t.Dict[str, t.Optional[Volume]] = {}
        for name in names:
            vdis = self.disks.named(name, self.sr.ref) if everything is None else [vdi for vdi in everything if vdi.name == name]
            chosen, strays = notes.choose(name, vdis)
            found[name] = self._volume(chosen, working, strays) if chosen else None
        return found

    def _volume(self, vdi: Vdi, working: t.Container[str] = (), strays: t.Sequence[Vdi] = ()) -> Volume:
        record = notes.record_of(vdi)
        state, status = AVAILABLE, "available"
        if vdi.missing:
            state, status = BROKEN, "missing: the storage repository has lost it"
        elif record is not None and record.state == FILLING:
            state, status = HALF_DONE, "half done"
            if vdi.name in working and vdi.name not in self._held:
                state, status = WORKING, "being worked on by another run"
        details: t.Dict[str, t.Any] = {"sr": self.sr.name, "sr_uuid": self.sr.uuid, "allocated": vdi.allocated, "description": vdi.description}
        if strays:
            details["strays"] = [stray.uuid for stray in strays]
        return Volume(vdi.name, vdi.uuid, vdi.size, state, status, self.sr.name, record, details)

    def holders(self, volume: Volume) -> t.List[str]:
        vdi = self.disks.by_uuid(volume.id)
        return [
            "the host, which moves its bytes" if holder.control else
            "%s machine %s (%s) as %s" % ("the running" if holder.attached else "the halted", holder.machine, holder.machine_uuid, holder.device)
            for holder in (self.disks.holders(vdi) if vdi else [])
        ]

    def check_names(self, names: t.Sequence[str]) -> None:
        for name in names:
            if not 0 < len(name) <= 200 or name != name.strip() or not name.isprintable():
                raise InvalidInput(
                    "name: '%s' is no name for a disk: at most 200 characters, none of them a control character, without spaces around them" % name)

    def least_size(self, image: ImageDescription) -> int:
        """Of a VHD more may be stored than its disk has; how large that is is found out while it is read, and the volume grows then."""
        if image.format == "vhd" and image.virtual_size is None:
            return round_up(max(image.min_disk * GIB, 1), UNIT)
        return super().least_size(image)

    def check_image(self, image: ImageDescription) -> None:
        adapter_for(image)

    def check_room(self, requests: t.Sequence[Request], source: t.Optional[ImageSource]) -> None:
        for request in requests:
            if request.size > LARGEST:
                raise InvalidInput("size: %s is too large for %s; a disk has at most %s" % (human(request.size), request.name, human(LARGEST)))
        sr = self.sr
        if not sr.connected:
            raise BackendError("the storage repository %s (%s) is connected to no host; plug it in (xe pbd-plug), or name another one with sr" % (
                sr.name, sr.uuid))
        image = source.describe() if source else None
        stored = image.size if image and image.format == "vhd" and image.container == "bare" else None
        needed = sum(request.size for request in requests) if sr.thick else min(stored or 0, max((request.size for request in requests), default=0))
        if needed > sr.free:
            raise NoRoom("the storage repository %s (%s) has %s free, but %s are needed; make room, or name another one with sr" % (
                sr.name, sr.uuid, human(max(0, sr.free)), human(needed)), needed=needed, available=max(0, sr.free))

    @contextlib.contextmanager
    def exclusive(self, names: t.Sequence[str], job: Job) -> t.Iterator[None]:
        self.check_names(names)
        with self._locks.held(names, job.deadline):
            self._held.update(names)
            try:
                self._sweep(names, job)
                yield
            finally:
                self._held.difference_update(names)

    def _sweep(self, names: t.Sequence[str], job: Job) -> None:
        """Remove what killed runs left: clones that were never named, and more than one half-filled disk of a name."""
        everything = self.disks.all_in(self.sr.ref)
        for vdi in everything:
            if notes.is_raw_clone(vdi) and not vdi.vbds and vdi.managed and not vdi.is_snapshot and all(
                    claim.name in names or claim.over for claim in notes.claims_on(vdi).values()):
                self.disks.destroy(vdi.ref, deadline=job.deadline, what="remove a clone that a killed run left")
        for vdi in everything:
            for key, claim in notes.claims_on(vdi).items() if notes.is_own(vdi) else ():
                if claim.name in names or claim.over:
                    self._forget(vdi, key)
        for name in names:
            with contextlib.suppress(VolumesError):  # several of a name are for the plan to refuse
                for stray in notes.choose(name, [vdi for vdi in everything if vdi.name == name])[1]:
                    self.disks.destroy(stray.ref, deadline=job.deadline, what="remove a disk that a killed run left")

    # --- making and unmaking ---

    def create(self, request: Request, record: Record) -> Volume:
        noted = notes.notes_for(record, blank=True, grows=not request.exact)
        vdi = self.disks.create(
            sr=self.sr.ref, name=request.name, size=request.size, other_config={key: value for key, value in noted.items() if value is not None},
            deadline=Deadline(_QUICK))
        return self._volume(vdi)

    def remove(self, volume: Volume, job: Job) -> None:
        for each in [volume.id] + volume.details.get("strays", []):
            vdi = self.disks.by_uuid(each)
            if vdi is not None:
                self.disks.destroy(vdi.ref, deadline=job.deadline, what="remove the disk %s" % volume.name)

    def mark(self, volume: Volume, record: Record) -> Volume:
        vdi = self._vdi(volume)
        self.disks.note(vdi.ref, notes.notes_for(record, vdi.uuid))
        return self._volume(self.disks.get(vdi.ref))

    def grow(self, volume: Volume, size: int, job: Job) -> Volume:
        if size < volume.size:
            raise InvalidInput("%s has %d bytes and cannot be shrunk to %d: the end of its disk would be lost" % (volume.name, volume.size, size))
        return self._volume(self.disks.resize(self._vdi(volume).ref, size, deadline=job.deadline))

    def clone(self, origin: Volume, request: Request, record: Record, job: Job) -> Volume:
        """In this order a clone is told from its original, and from a finished volume, whenever this process ends: see notes.py."""
        source = self._vdi(origin)
        key = notes.CLONING + uuid.uuid4().hex
        self.disks.note(source.ref, {notes.SELF: source.uuid, key: notes.Claim.mine(request.name, job.deadline).text()})
        made: t.Optional[Vdi] = None
        try:
            made = self._cloned(source, key, request.name, job.deadline)
            if request.size > made.size:
                self.disks.resize(made.ref, request.size, deadline=job.deadline)
            self.disks.rename(made.ref, request.name)
            stale: t.Dict[str, t.Optional[str]] = {each: None for each in notes.claims_on(made)}
            self.disks.note(made.ref, dict(notes.notes_for(record, made.uuid), **stale))
        except VolumesError:
            if made is not None:
                self._discard(made.ref)
            raise
        finally:
            with contextlib.suppress(VolumesError):  # the next run forgets it, too
                self._forget(source, key)
        return self._volume(self.disks.get(made.ref))

    def _cloned(self, source: Vdi, key: str, name: str, deadline: Deadline) -> Vdi:
        def look() -> t.Optional[Vdi]:
            return next((vdi for vdi in self.disks.named(source.name, self.sr.ref) if vdi.uuid != source.uuid and key in vdi.other_config), None)

        try:
            return self.disks.clone(source.ref, deadline=deadline, what="clone the disk %s as %s" % (source.name, name))
        except BackendError as error:
            if isinstance(error, XenFailure):
                raise
            found = tasks.found_late(look, deadline)
            if found is None:
                raise
            return found

    def _forget(self, vdi: Vdi, key: str) -> None:
        with contextlib.suppress(XenNotFound):
            self.pool.call("VDI.remove_from_other_config", vdi.ref, key)

    def _discard(self, ref: str) -> None:
        """Remove a disk that will not be finished, whatever comes of it: the next run would find it."""
        with contextlib.suppress(VolumesError):
            self.disks.destroy(ref, deadline=Deadline(_LET_GO))

    def open(self, volume: Volume, mode: str) -> Handle:
        return self._open(volume, Deadline(_PATIENCE), writable=mode == "w")

    def _open(self, volume: Volume, deadline: Deadline, *, writable: bool, blank: bool = False) -> XenHandle:
        vdi = self._free(volume, deadline)
        return XenHandle(self.pool, vdi.ref, volume.name, vdi.size, deadline, writable=writable, blank=blank)

    def _vdi(self, volume: Volume) -> Vdi:
        vdi = self.disks.by_uuid(volume.id)
        if vdi is None:
            raise XenNotFound("the disk %s (%s) is gone" % (volume.name, volume.id))
        return vdi

    def _free(self, volume: Volume, deadline: Deadline) -> Vdi:
        """The volume's disk, once no transfer is at it.

        :raises InUse: a machine that runs has it.
        """
        def poll() -> t.Optional[Vdi]:
            vdi = self._vdi(volume)
            attached = [holder for holder in self.disks.holders(vdi) if holder.attached]
            machines = [holder.machine for holder in attached if not holder.control]
            if machines:
                raise InUse("%s (%s) is in the running machine %s; stop it, or detach the disk first" % (volume.name, volume.id, ", ".join(machines)))
            return None if attached and clock.now() < give_up else vdi

        clock = deadline.clock
        give_up = clock.now() + _LET_GO
        return deadline.wait(poll, "the host to let go of the disk %s" % volume.name, longest=1.0)

    # --- filling ---

    def copy_image(self, source: ImageSource, volumes: t.Sequence[Volume], job: Job, *, fresh: bool) -> None:
        try:
            if adapter_for(source.describe()) in (Adapter.VHD, Adapter.VHD_ARCHIVE):
                targets = [self._target(volume, job) for volume in volumes]
                VhdFilling(self.pool, self.disks, thick=self.sr.thick, job=job).fill(source, targets, fresh=fresh)
                return
            with contextlib.ExitStack() as handles:
                opened = [(volume.name, volume.size, handles.enter_context(self._open(volume, job.deadline, writable=True, blank=fresh))) for volume in volumes]
                pipeline.copy_image(source, opened, job, fresh=fresh, runner=self.runner)
        except XenFailure as error:
            raise self._explained(error) from error

    def _target(self, volume: Volume, job: Job) -> Target:
        vdi = self._free(volume, job.deadline)
        return Target(vdi.ref, volume.name, vdi.size, notes.GROWS in vdi.other_config)

    def _explained(self, error: XenFailure) -> XenFailure:
        """A host that cannot write does not say why; that a repository is full can be seen."""
        if error.code == "VDI_IO_ERROR":
            with contextlib.suppress(VolumesError):
                sr = self.disks.sr(self.sr.ref)
                if sr.free < _FULL:
                    return XenNoRoom("the storage repository %s (%s) is full; make room, or name another one with sr (%s)" % (
                        sr.name, sr.uuid, error.message), code=error.code, params=error.params)
        return error

    def fill_copies(self, source: ImageSource, requests: t.Sequence[Request], job: Job) -> t.List[Made]:
        """As the contract's own, but what cannot be filled is removed again; not so if time runs out, for then the next run goes on."""
        started = time.monotonic()
        copied: t.List[Volume] = []
        try:
            for request in requests:
                copied.append(self.create(request, record_of(source.describe(), FILLING)))
            self.copy_image(source, copied, job, fresh=True)
            return [Made(self.mark(volume, record_of(source.describe(), READY)), COPIED, time.monotonic() - started) for volume in copied]
        except TimedOut:
            raise
        except VolumesError:
            for volume in copied:
                with contextlib.suppress(VolumesError):
                    self._discard(self._vdi(volume).ref)
            raise

    def adopt(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        started = time.monotonic()
        vdi = self._vdi(volume)
        record, image = notes.record_of(vdi), source.describe()
        if record is None or record.state == READY:  # another run has finished it while this one waited for it
            return Made(self._volume(vdi), ADOPTED, time.monotonic() - started)
        # nobody has seen its size yet, and what is in a disk that was made for this very image is the image's, or zeroes
        fresh = notes.BLANK in vdi.other_config and record.is_of(image)
        self.disks.note(vdi.ref, notes.notes_for(record_of(image, FILLING), vdi.uuid, blank=fresh, grows=True))
        self.copy_image(source, [volume], job, fresh=fresh)
        return Made(self.mark(volume, record_of(image, READY)), ADOPTED, time.monotonic() - started)
