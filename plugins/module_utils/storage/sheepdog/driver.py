# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Driver ``sheepdog``: volumes as VDIs of a Sheepdog cluster, through its ``dog`` command.

Sheepdog's last release, 1.0.1, is of 2016, and QEMU has dropped its driver: this is for clusters that are still there, and for leaving them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, Foreign, InUse, InvalidInput, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB, human
from ansible_collections.bootable.volumes.plugins.module_utils.host import locks
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    ADOPTED, AVAILABLE, BROKEN, HALF_DONE, REFILLED, WORKING, Capabilities, Filled, Handle, Made, Request, Surroundings, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.filling import HIDDEN, Filling, check_names, parent_name, put
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.sheepdog.dog import Dog, Vdi
from ansible_collections.bootable.volumes.plugins.module_utils.storage.sheepdog.handle import SheepHandle

# Attributes of a VDI: what it was filled with; and of a parent, which clones are being made of it.
RECORD_KEY, CLONES_KEY = "bootable.record", "bootable.clones"

SNAPSHOT = "golden"

# A VDI without a record of just this size, and without a block, was being made when its run was killed: nothing can be lost with it.
_NEWBORN = 512

# SD_MAX_VDI_LEN, less what our own names add
_LONGEST_NAME = 200


class SheepdogDriver(VolumeDriver):
    """A volume named NAME is the VDI NAME; its ``id`` is its name. Its ``details``: ``vdi_id``, and ``allocated``, the bytes that are its own."""

    name = "sheepdog"
    capabilities = Capabilities(handles=True, clone=False, grow=True, granularity=MIB)
    options: t.ClassVar[t.Mapping[str, t.Mapping[str, t.Any]]] = {
        "sheepdog_address": {"type": "str"},
        "sheepdog_port": {"type": "int"},
    }

    def __init__(self, dog: Dog, surroundings: Surroundings, *, place: str = "localhost") -> None:
        self._dog = dog
        self.runner = surroundings.runner
        self._place = place
        self._held: t.Set[str] = set()

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any], surroundings: Surroundings) -> SheepdogDriver:
        address, port = options.get("sheepdog_address"), options.get("sheepdog_port")
        if port is not None and not 0 < port < 65536:
            raise InvalidInput("sheepdog_port: %d is no port" % port)
        return cls(Dog(surroundings.runner, address=address, port=port), surroundings, place="%s:%d" % (address or "localhost", port or 7000))

    # --- looking ---

    def check_names(self, names: t.Sequence[str]) -> None:
        check_names(names, kind="a Sheepdog", longest=_LONGEST_NAME, own=lambda name: (
            "dog would take it for an option" if name.startswith("-") else None))

    def find(self, name: str) -> t.Optional[Volume]:
        vdi = self._vdi(name)
        return self._volume(vdi) if vdi else None

    def list(self) -> t.List[Volume]:
        found = []
        for vdi in sorted((each for each in self._dog.vdis() if not each.snapshot and not each.name.startswith(HIDDEN)), key=lambda each: each.name):
            try:
                volume = self._volume(vdi)
            except Foreign:
                continue
            except VolumesError as error:
                volume = Volume(vdi.name, vdi.name, vdi.size, BROKEN, error.message, self._place)
            if volume:
                found.append(volume)
        return found

    def _vdi(self, name: str) -> t.Optional[Vdi]:
        return next((each for each in self._dog.vdis(name) if not each.snapshot), None)

    def _there(self, name: str) -> Vdi:
        vdi = self._vdi(name)
        if vdi is None:
            raise BackendError("the VDI %s is not there any more; something else removed it, run the task again" % name)
        return vdi

    def _volume(self, vdi: Vdi) -> t.Optional[Volume]:
        text = self._dog.get(vdi.name, RECORD_KEY)
        if text is None:
            if _is_newborn(vdi):
                return None
            raise Foreign("the VDI %s is foreign: this collection did not make it, and never touches it. Take another name, or remove it with:"
                          " dog vdi delete %s" % (vdi.name, vdi.name), vdi=vdi.name)
        record, promised = _read(text, vdi.name)
        state, status = AVAILABLE, "available"
        if record.state == FILLING or promised > vdi.size:
            state, status = HALF_DONE, "half done"
            if vdi.name not in self._held and locks.is_held(self._lock(vdi.name)):
                state, status = WORKING, "being worked on by another run"
        return Volume(vdi.name, vdi.name, max(vdi.size, promised), state, status, self._place, record, {"vdi_id": vdi.id, "allocated": vdi.used})

    def holders(self, volume: Volume) -> t.List[str]:
        found = self._dog.vdis(volume.name)
        owners = [owner for vdi in found if not vdi.snapshot for owner in self._dog.owners(vdi)]
        return ["a lock of %s" % owner for owner in owners] + ["its snapshot %s" % (vdi.tag or vdi.id) for vdi in found if vdi.snapshot]

    # --- one at a time ---

    def _lock(self, name: str) -> str:
        """On this host only: Sheepdog itself offers no lock that would end with its holder."""
        return os.path.join(tempfile.gettempdir(), ".bootable-sheepdog-%s.lock" % hashlib.sha256(("%s/%s" % (self._place, name)).encode()).hexdigest()[:32])

    @contextlib.contextmanager
    def exclusive(self, names: t.Sequence[str], job: Job) -> t.Iterator[None]:
        self.check_names(names)
        self._dog.deadline = job.deadline
        with locks.held([self._lock(name) for name in names], job.deadline):
            self._held.update(names)
            try:
                self._settle(set(names), job)
                yield
            finally:
                self._held.difference_update(names)

    def _settle(self, names: t.Set[str], job: Job) -> None:
        """Remove what killed runs left of the making of these volumes."""
        found = self._dog.vdis()
        present = {vdi.name: vdi for vdi in found if not vdi.snapshot}
        for parent in [name for name in present if name.startswith(HIDDEN)]:
            clones: t.Set[str] = set(json.loads(self._dog.get(parent, CLONES_KEY) or "[]"))
            begun = {name for name in clones if name in present and self._dog.get(name, RECORD_KEY) is None}
            for name in begun & names:
                self._dog.delete(name)
                del present[name]
            if not begun - names and any(parent == parent_name(name) for name in names):
                self.retire(parent, job)
        for name in names:
            if name in present and _is_newborn(present[name]) and self._dog.get(name, RECORD_KEY) is None:
                self._dog.delete(name)

    # --- making and unmaking ---

    def create(self, request: Request, record: Record) -> Volume:
        self.make(request.name, request.size, record)
        return t.cast(Volume, self.find(request.name))

    def make(self, name: str, size: int, record: Record) -> None:
        """A new VDI, which gets its size when it has its record: whatever ends this process, it is seen whose it was."""
        self._dog.create(name, _NEWBORN)
        try:
            self._remember(name, record, size)
            self._dog.resize(name, size)
        except BaseException:
            with contextlib.suppress(VolumesError):
                self._dog.delete(name)
            raise

    def _remember(self, name: str, record: Record, promised: int = 0) -> None:
        self._dog.set(name, RECORD_KEY, json.dumps(dict(record.as_dict(), **({"promised": promised} if promised else {})), sort_keys=True))

    def publish(self, name: str, record: Record) -> Volume:
        """Make a VDI remember a record."""
        self._remember(name, record)
        return t.cast(Volume, self.find(name))

    def discard(self, name: str) -> None:
        """Remove a VDI of ours."""
        self._dog.delete(name)

    def remove(self, volume: Volume, job: Job) -> None:
        if self._vdi(volume.name) is None:
            return
        self._refuse_use(volume)
        if volume.record is not None:  # what is left of the attribute may be seen again under the same name
            self._remember(volume.name, Record(FILLING, volume.record.origin), volume.size)
        self._dog.delete(volume.name)

    def mark(self, volume: Volume, record: Record) -> Volume:
        self._there(volume.name)
        return self.publish(volume.name, record)

    def grow(self, volume: Volume, size: int, job: Job) -> Volume:
        self._refuse_use(volume)
        found = self._there(volume.name)
        if size < found.size:
            raise InvalidInput("%s has %s and cannot be shrunk to %s: the end of its disk would be lost" % (volume.name, human(found.size), human(size)))
        if size > found.size:
            self._dog.resize(volume.name, size)
        return t.cast(Volume, self.find(volume.name))

    def resize(self, name: str, size: int) -> None:
        """Make a VDI larger."""
        self._dog.resize(name, size)

    def _refuse_use(self, volume: Volume) -> None:
        """:raises InUse: something holds the volume."""
        holders = self.holders(volume)
        if holders:
            raise InUse("the VDI %s is in use by %s; stop that first" % (volume.name, ", ".join(holders)), holders={volume.name: holders})

    # --- bytes ---

    def open(self, volume: Volume, mode: str) -> Handle:
        self._there(volume.name)
        self._refuse_use(volume)
        return SheepHandle(self._dog, volume.name, volume.size, write=mode == "w")

    def handle(self, name: str, size: int) -> Handle:
        """Open a VDI for writing."""
        return SheepHandle(self._dog, name, size, write=True)

    # --- filling ---

    def fill_new(self, source: ImageSource, requests: t.Sequence[Request], fan_out: str, job: Job) -> Filled:
        filling = Filling(source, store=self, runner=self.runner, job=job, place="in Sheepdog")
        return filling.copied(requests) if len(requests) == 1 or fan_out == "copy" else filling.cloned(requests)

    def seal(self, parent: str, names: t.Sequence[str]) -> None:
        """Freeze a filled parent. A clone has no record at first: that it is ours stands with the parent."""
        self._dog.snapshot(parent, SNAPSHOT)
        self._dog.set(parent, CLONES_KEY, json.dumps(list(names)))

    def clone_of(self, parent: str, name: str) -> None:
        """A new VDI that shares a parent's blocks."""
        self._dog.clone(parent, SNAPSHOT, name)

    def retire(self, parent: str, job: Job) -> None:
        """A parent goes; Sheepdog keeps the blocks that clones need."""
        found = self._dog.vdis(parent)
        for vdi in found:
            if vdi.snapshot:
                self._dog.delete(parent, tag=vdi.tag)
        if any(not vdi.snapshot for vdi in found):
            self._dog.delete(parent)

    def refill(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        started = time.monotonic()
        self._refuse_use(volume)
        filling = record_of(source.describe(), FILLING)
        self._there(volume.name)
        self._remember(volume.name, filling, volume.size)
        self._dog.delete(volume.name)  # made anew it reads as zeroes, and shares nothing
        self.make(volume.name, volume.size, filling)
        put(source, self, [Request(volume.name, volume.size)], job, self.runner)
        return Made(self.publish(volume.name, record_of(source.describe(), READY)), REFILLED, time.monotonic() - started)

    def adopt(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        made = self.refill(source, volume, job)
        return Made(made.volume, ADOPTED, made.seconds)


def _is_newborn(vdi: Vdi) -> bool:
    return vdi.size == _NEWBORN and vdi.used == 0


def _read(text: str, name: str) -> t.Tuple[Record, int]:
    """A record, and the promised size or 0.

    :raises BackendError: what the attribute holds is not what this collection writes.
    """
    try:
        data = json.loads(text)
        return Record.from_dict(data), int(data.get("promised", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise BackendError("the attribute bootable.record of the VDI %s is damaged, so it is not known what it holds; remove it with"
                           " `dog vdi setattr -d %s bootable.record`, or the VDI" % (name, name)) from error
