# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Driver ``lvm``: logical volumes of one volume group, thick, or thin in a pool."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, Foreign, InUse, InvalidInput, NoRoom, NotFound, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.host import locks
from ansible_collections.bootable.volumes.plugins.module_utils.host.devices import Devices
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    AVAILABLE, BROKEN, HALF_DONE, WORKING, Capabilities, Difference, Handle, Made, Request, Surroundings, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, Record
from ansible_collections.bootable.volumes.plugins.module_utils.storage.lvm import tags
from ansible_collections.bootable.volumes.plugins.module_utils.storage.lvm.commands import LogicalVolume, Lvm
from ansible_collections.bootable.volumes.plugins.module_utils.storage.lvm.handles import VolumeHandle

# Where runs on one host keep out of each other's way. Volume groups that several hosts share are locked by LVM's own means.
LOCKS = "/run/bootable.volumes"

# lvm(8), VALID NAMES
_NAME = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]*")
_RESERVED_NAMES = (".", "..")
_RESERVED_STARTS = ("snapshot", "pvmove")
_RESERVED_PARTS = ("_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_iorig", "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta", "_tdata", "_tmeta", "_vdata",
                   "_vorigin", "_wcorig")
# Device mapper's names end at 127 characters: group, volume, a dash between them, and each dash of a name twice.
_LONGEST = 127


class LvmDriver(VolumeDriver):
    """A volume named NAME is the logical volume ``<vg>/NAME``; its tags tell what it was filled with.

    A volume's ``id`` is ``<vg>/NAME``. Its ``details``: ``path``, its device; ``thin_pool``, or None; ``active``, whether the device is there.
    A logical volume without our tags exists as a volume without a record.

    :param pool: The thin pool for new volumes; None makes thick ones.
    :param lock_dir: Holds the locks between runs.
    """

    name = "lvm"
    options: t.ClassVar[t.Mapping[str, t.Mapping[str, t.Any]]] = {
        "vg": {"type": "str"},
        "thin_pool": {"type": "str"},
    }

    def __init__(self, lvm: Lvm, devices: Devices, surroundings: Surroundings, *, pool: t.Optional[str] = None, lock_dir: str = LOCKS) -> None:
        self.runner = surroundings.runner
        self._lvm = lvm
        self._devices = devices
        self._pool = pool
        self._lock_dir = lock_dir
        self._held: t.Set[str] = set()

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any], surroundings: Surroundings) -> LvmDriver:
        if not options.get("vg"):
            raise InvalidInput("vg: the driver lvm needs to know in which volume group volumes live")
        for option in ("vg", "thin_pool"):
            value = options.get(option)
            if value is not None and (not _NAME.fullmatch(value) or value in _RESERVED_NAMES):
                raise InvalidInput("%s: '%s' is no name that LVM allows" % (option, value))
        return cls(Lvm(options["vg"], surroundings.runner), Devices(surroundings.runner), surroundings, pool=options.get("thin_pool"))

    @functools.cached_property
    def capabilities(self) -> Capabilities:
        """Sizes come in extents of the group; clones, and zeroes to begin with, are to be had from thin pools only."""
        zeroed = self._pool is not None and self._thin_pool(self._pool).zeroes
        return Capabilities(handles=True, clone=self._pool is not None, grow=True, granularity=self._lvm.group().extent, zeroed=zeroed)

    def _thin_pool(self, name: str) -> LogicalVolume:
        self._lvm.group()
        found = self._lvm.volumes().get(name)
        if found is None or found.kind != "a thin pool":
            raise NotFound("thin_pool: there is no thin pool %s in the volume group %s; make it first (lvcreate --type thin-pool), or name another" % (
                name, self._lvm.vg))
        return found

    # --- looking ---

    def check_names(self, names: t.Sequence[str]) -> None:
        for name in names:
            length = len(self._lvm.vg.replace("-", "--")) + 1 + len(name.replace("-", "--"))
            if (not _NAME.fullmatch(name) or name in _RESERVED_NAMES or name.startswith(_RESERVED_STARTS)
                    or any(part in name for part in _RESERVED_PARTS) or length > _LONGEST):
                raise InvalidInput(
                    "name: '%s' is no name that LVM gives to a volume: letters, digits and + _ . -, no - first, none of LVM's own words, not too long" % name)

    def find(self, name: str) -> t.Optional[Volume]:
        return self.find_all([name])[name]

    def find_all(self, names: t.Sequence[str]) -> t.Dict[str, t.Optional[Volume]]:
        self.check_names(names)
        self._lvm.group()
        there = self._lvm.volumes()
        return {name: self._volume(there[name]) if name in there else None for name in names}

    def list(self) -> t.List[Volume]:
        self._lvm.group()
        there = self._lvm.volumes()
        return [self._volume(there[name]) for name in sorted(there) if there[name].kind is None]

    def _volume(self, found: LogicalVolume) -> Volume:
        if found.kind:
            raise Foreign("%s/%s is %s, not a volume. It is never touched; take another name" % (self._lvm.vg, found.name, found.kind))
        record = tags.record_in(found.tags)
        state = status = AVAILABLE
        if record is not None and record.state == FILLING:
            state, status = HALF_DONE, "half done"
            if found.name not in self._held and locks.is_held(self._lock(found.name)):
                state, status = WORKING, "being worked on by another run"
        if found.trouble:
            state, status = BROKEN, found.trouble
        size = tags.grown_from(found.tags)
        location = "%s/%s" % (self._lvm.vg, found.pool) if found.pool else self._lvm.vg
        return Volume(found.name, "%s/%s" % (self._lvm.vg, found.name), found.size if size is None else size, state, status, location, record,
                      {"path": found.path, "thin_pool": found.pool or None, "active": found.is_active})

    def _there(self, volume: Volume) -> LogicalVolume:
        found = self._lvm.volumes().get(volume.name)
        if found is None:
            raise BackendError("%s is not there any more; something else removed it, run the task again" % volume.id)
        return found

    def differences(self, volume: Volume) -> t.List[Difference]:
        found = volume.details["thin_pool"]
        return [Difference("thin_pool", found or "none", self._pool, "replace")] if self._pool and found != self._pool else []

    def holders(self, volume: Volume) -> t.List[str]:
        there = self._lvm.volumes()
        found = there.get(volume.name)
        if found is None:
            return []
        holders = ["its snapshot %s" % other.name for other in there.values() if other.kind == "a snapshot" and other.origin == volume.name]
        if found.is_active:
            users = self._devices.users_of(self._devices.at(found.path))
            holders += users or (["something that has it open"] if found.is_open else [])
        return holders

    def _refuse_use(self, volume: Volume) -> None:
        holders = self.holders(volume)
        if holders:
            raise InUse("%s is in use: %s; stop that first" % (volume.id, ", ".join(holders)), holders={volume.name: holders})

    def check_removable(self, volume: Volume) -> None:
        if volume.record is None:
            raise Foreign("%s was not made by this collection, and is not removed by it; if it is to go, remove it with lvremove" % volume.id)

    def check_room(self, requests: t.Sequence[Request], source: t.Optional[ImageSource]) -> None:
        if self._pool is None:
            self._expect_free(sum(request.size for request in requests), ", ".join(request.name for request in requests))
            return
        pool, stored = self._thin_pool(self._pool), (source.describe().size or 0) if source else 0
        if pool.used is not None and stored > pool.size * (100 - pool.used) / 100:
            raise NoRoom("the image takes %s, but the thin pool %s/%s is %s and %.1f%% of it are used; make it larger (lvextend)" % (
                human(stored), self._lvm.vg, pool.name, human(pool.size), pool.used), needed=stored, available=int(pool.size * (100 - pool.used) / 100))

    def _expect_free(self, needed: int, what: str) -> None:
        group = self._lvm.group()
        if round_up(needed, group.extent) > group.free:
            raise NoRoom("%s needs %s, but the volume group %s has only %s to give; make room, or add a disk (vgextend)" % (
                what, human(needed), self._lvm.vg, human(group.free)), needed=needed, available=group.free)

    def _lock(self, name: str) -> str:
        return os.path.join(self._lock_dir, "lvm-%s-%s.lock" % (self._lvm.vg, name))

    @contextlib.contextmanager
    def exclusive(self, names: t.Sequence[str], job: Job) -> t.Iterator[None]:
        self.check_names(names)
        try:
            os.makedirs(self._lock_dir, mode=0o700, exist_ok=True)
        except OSError as error:
            raise BackendError("%s cannot be made: %s; LVM needs root, use become: true" % (self._lock_dir, error.strerror)) from error
        with locks.held([self._lock(name) for name in names], job.deadline):
            self._held.update(names)
            try:
                yield
            finally:
                self._held.difference_update(names)

    # --- making and unmaking ---

    def begin(self, request: Request, record: Record) -> Volume:
        if request.name in self._lvm.volumes():
            raise BackendError("%s/%s exists already; nothing was changed" % (self._lvm.vg, request.name))
        if self._pool is not None:
            self._lvm.make_thin(request.name, request.size, self._pool, tags.tags_of(record))
        else:
            self._expect_free(request.size, request.name)
            self._lvm.make_thick(request.name, request.size, tags.tags_of(record))
        return t.cast(Volume, self.find(request.name))

    def create(self, request: Request, record: Record) -> Volume:
        if self._pool is not None:
            return self.begin(request, record)
        volume = self.begin(request, replace(record, state=FILLING))
        with self.open(volume, "w") as handle:
            handle.zero(0, volume.size)
        return self.mark(volume, record)

    def mark(self, volume: Volume, record: Record) -> Volume:
        wanted, found = tags.tags_of(record), self._there(volume).tags
        old = {tag for tag in found if tag.startswith(tags.PREFIX) and not tag.startswith(tags.GROWN_FROM)}
        self._lvm.tag(volume.name, wanted - old, old - wanted)
        return t.cast(Volume, self.find(volume.name))

    def remove(self, volume: Volume, job: Job) -> None:
        found = self._lvm.volumes().get(volume.name)
        if found is None or (volume.record is not None and tags.record_in(found.tags) is None):
            return
        self._refuse_use(volume)
        self._lvm.remove(volume.name)

    def grow(self, volume: Volume, size: int, job: Job) -> Volume:
        """The volume counts as being as large as before until what was added is known to be zeroes."""
        found = self._there(volume)
        if size < volume.size:
            raise InvalidInput("%s has %d bytes and cannot be shrunk to %d: the end of its disk would be lost" % (volume.id, volume.size, size))
        self._refuse_use(volume)
        mark = tags.GROWN_FROM + str(volume.size)
        if not found.pool:
            self._expect_free(max(0, size - found.size), volume.name)
            self._lvm.tag(volume.name, {mark} - found.tags, ())
        if size > found.size:
            self._lvm.extend(volume.name, size)
        if not found.pool:
            grown = self._there(volume)
            with self._opened(grown, grown.size, writing=True) as handle:
                handle.zero(volume.size, grown.size - volume.size)
            self._lvm.tag(volume.name, (), {mark})
        return t.cast(Volume, self.find(volume.name))

    def clone(self, origin: Volume, request: Request, record: Record, job: Job) -> Volume:
        if not self._there(origin).pool:
            raise InvalidInput("%s is a thick volume, and only thin ones can be cloned" % origin.id)
        if request.name in self._lvm.volumes():
            raise BackendError("%s/%s exists already; nothing was changed" % (self._lvm.vg, request.name))
        self._refuse_use(origin)
        larger = request.size > origin.size
        self._lvm.make_snapshot(request.name, origin.name, tags.tags_of(replace(record, state=FILLING) if larger else record))
        if not larger:
            return t.cast(Volume, self.find(request.name))
        self._lvm.extend(request.name, request.size)
        return self.mark(t.cast(Volume, self.find(request.name)), record)

    def fill_copies(self, source: ImageSource, requests: t.Sequence[Request], job: Job) -> t.List[Made]:
        """Volumes that found no room give back what they took: a pool that stays full would hurt all others in it."""
        try:
            return super().fill_copies(source, requests, job)
        except NoRoom:
            with contextlib.suppress(VolumesError):  # else the next run finds them half done
                there = self.find_all([request.name for request in requests])
                for volume in there.values():
                    if volume and volume.state == HALF_DONE:
                        self._lvm.remove(volume.name)
            raise

    # --- bytes ---

    def open(self, volume: Volume, mode: str) -> Handle:
        self._refuse_use(volume)
        return self._opened(self._there(volume), volume.size, writing=mode == "w")

    def _opened(self, found: LogicalVolume, size: int, *, writing: bool) -> Handle:
        """A volume that is not active is activated for as long as it is open."""
        if not found.is_active:
            self._lvm.activate(found.name, True)
        try:
            file = self._devices.claim(self._devices.at(found.path), write=writing, thin=bool(found.pool), chunk=self._chunk(found) if writing else 0)
        except BaseException:
            self._rest(found)
            raise
        pool = "%s/%s" % (self._lvm.vg, found.pool) if found.pool else None
        return VolumeHandle(file, size, keep=file.flush if writing else None, after=lambda: self._rest(found), pool=pool)

    def _chunk(self, found: LogicalVolume) -> int:
        """Bytes of its pool's chunks, if the pool hands them out as they are."""
        pool = self._lvm.volumes().get(found.pool) if found.pool else None
        return pool.chunk if pool and not pool.zeroes else 0

    def _rest(self, found: LogicalVolume) -> None:
        if not found.is_active:
            self._lvm.activate(found.name, False)

    def file_of(self, volume: Volume) -> t.Optional[t.Tuple[str, str]]:
        self._refuse_use(volume)
        found = self._there(volume)
        return (found.path, "raw") if found.is_active else None
