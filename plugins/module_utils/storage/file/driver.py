# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Driver ``file``: volumes as files on mounted storage, in any format that QEMU boots from."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    Ambiguous, BackendError, Foreign, InUse, InvalidInput, UnsafeImage, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import files, locks, usage
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import FORMATS, QemuImg, preallocations
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    ADOPTED, AVAILABLE, BROKEN, HALF_DONE, REFILLED, WORKING,
    Capabilities, Difference, Filled, Handle, Made, Request, Surroundings, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.content import SECTOR, Content, Shape
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.filling import Filling, Order, Write
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.handles import RawHandle
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.layout import FILESYSTEMS, Layout, Need, Reserve, check_name
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import Found, Place
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.sidecar import Sidecar
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, Record


DEFAULT_FORMAT = "raw"

# Seconds for the conversions around an open volume, whose contract has no deadline.
_PATIENCE = 10 * 24 * 3600


class FileDriver(VolumeDriver):
    """A volume named NAME is the file ``<mountpoint>/NAME``; place.py tells what else belongs to it.

    A volume's ``id`` is its path. Its ``details``: ``format``, ``mountpoint``, ``path``, and ``allocated``, the bytes that it takes.

    :param wanted_format: What the ``format`` option says; None if it was left out.
    """

    name = "file"
    capabilities = Capabilities(handles=True, clone=True, grow=True, granularity=SECTOR)
    options: t.ClassVar[t.Mapping[str, t.Mapping[str, t.Any]]] = {
        "mountpoints": {"type": "list", "elements": "path"},
        "mountpoint": {"type": "path"},
        "format": {"type": "str", "choices": list(FORMATS)},
        "preallocation": {"type": "str", "choices": ["off", "metadata", "falloc", "full"]},
        "reserve": {"type": "str"},
        "filesystems": {"type": "list", "elements": "str"},
        "allow_unmounted": {"type": "bool"},
    }

    def __init__(self, layout: Layout, surroundings: Surroundings, *, wanted_format: t.Optional[str] = None, preallocation: str = "off") -> None:
        self.layout = layout
        self.runner = surroundings.runner
        self.qemu = QemuImg(surroundings.runner)
        self.content = Content(self.qemu)
        self.format = wanted_format or DEFAULT_FORMAT
        self.preallocation = preallocation
        self.wanted_format = wanted_format
        self._check = surroundings.check
        self._held: t.Set[str] = set()

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any], surroundings: Surroundings) -> FileDriver:
        pinned = options.get("mountpoint")
        mountpoints = list(options.get("mountpoints") or ([pinned] if pinned else []))
        if not mountpoints:
            raise InvalidInput("mountpoints: the driver file needs to know on which mount points volumes live; name at least one")
        for path in mountpoints + ([pinned] if pinned else []):
            if not os.path.isabs(path):
                raise InvalidInput("mountpoints: '%s' is not an absolute path" % path)
        mountpoints = [os.path.normpath(path) for path in mountpoints]
        pinned = os.path.normpath(pinned) if pinned else None
        if pinned and pinned not in mountpoints:
            raise InvalidInput("mountpoint: %s is not one of mountpoints: %s" % (pinned, ", ".join(mountpoints)))
        format, preallocation = options.get("format") or DEFAULT_FORMAT, options.get("preallocation") or "off"
        if preallocation not in preallocations(format):
            raise InvalidInput("preallocation: a %s volume can have %s, not %s" % (format, " or ".join(preallocations(format)), preallocation))
        layout = Layout(
            mountpoints,
            pinned=pinned,
            filesystems=options.get("filesystems") or FILESYSTEMS,
            reserve=Reserve(options.get("reserve")),
            allow_unmounted=bool(options.get("allow_unmounted")),
        )
        return cls(layout, surroundings, wanted_format=options.get("format"), preallocation=preallocation)

    # --- looking ---

    def check_names(self, names: t.Sequence[str]) -> None:
        for name in names:
            check_name(name)

    def find(self, name: str) -> t.Optional[Volume]:
        found = self.found(name)
        return self._volume(found) if found else None

    def list(self) -> t.List[Volume]:
        self.layout.verify()
        return [volume for volume in map(self._listed, self.layout.names()) if volume]

    def found(self, name: str) -> t.Optional[Found]:
        """What is there under a name, on whichever mount point.

        :raises Ambiguous: volumes on several of them have it.
        :raises Foreign: something else has it.
        """
        check_name(name)
        self.layout.verify()
        everything = [each for each in (place.look() for place in self.layout.places(name)) if each]
        left = {each.sidecar.moved_from[0] for each in everything if each.sidecar.moved_from and not each.promised}
        whole = [each for each in everything if not each.promised and each.path not in left]
        if len(whole) > 1:
            raise Ambiguous("%d volumes are called %s: %s; rename or remove all but one" % (
                len(whole), name, ", ".join(str(each.path) for each in whole)), paths=[each.path for each in whole])
        return next(iter(whole or everything), None)

    def _listed(self, name: str) -> t.Optional[Volume]:
        """As ``find``, but one that makes trouble does not hide the others."""
        try:
            return self.find(name)
        except Foreign:
            return None
        except VolumesError as error:
            path = self.layout.places(name)[0].data
            return Volume(name, path, 0, BROKEN, error.message, os.path.dirname(path))

    def _volume(self, found: Found) -> Volume:
        place, sidecar = found.place, found.sidecar
        state, status, size, allocated = AVAILABLE, "available", sidecar.size, 0
        if found.path is None or sidecar.record.state == FILLING:
            state, status = HALF_DONE, "half done"
            if place.name not in self._held and locks.is_held(place.lock):
                state, status = WORKING, "being worked on by another run"
        if found.path is not None:
            allocated = os.stat(found.path).st_blocks * 512  # POSIX leaves the unit open; Linux counts in 512
            try:
                size = self.content.size_of(found.path, sidecar.format)
            except UnsafeImage as error:
                state, status = BROKEN, "not readable as %s: %s" % (sidecar.format, error.message)
        return Volume(
            name=place.name, id=place.data, size=size, state=state, status=status, location=place.mountpoint, record=sidecar.record,
            details={"format": sidecar.format, "mountpoint": place.mountpoint, "path": place.data, "allocated": allocated},
        )

    def differences(self, volume: Volume) -> t.List[Difference]:
        found = []
        if self.wanted_format and volume.details["format"] != self.wanted_format:
            found.append(Difference("format", volume.details["format"], self.wanted_format, "replace"))
        if self.layout.pinned and volume.details["mountpoint"] != self.layout.pinned:
            found.append(Difference("mountpoint", volume.details["mountpoint"], self.layout.pinned, "replace"))
        return found

    def holders(self, volume: Volume) -> t.List[str]:
        return usage.users_of(volume.id)

    def check_room(self, requests: t.Sequence[Request], source: t.Optional[ImageSource]) -> None:
        if self._check:
            self.layout.probe_dry()
        self.layout.place(self.needs(requests, source))

    def needs(self, requests: t.Sequence[Request], source: t.Optional[ImageSource]) -> t.List[Need]:
        """The room that volumes take, as far as it is known before the image is read.

        A raw or preallocated volume counts in full: sooner or later a guest writes to all of it. A thin one counts what is put into it.
        """
        image = source.describe() if source else None
        stored = (image.size or 0) if image else 0
        needs = []
        for index, request in enumerate(requests):
            thick = self.format == "raw" or self.preallocation in ("falloc", "full")
            staged = stored if image and not index and not image.format == self.format == "raw" else 0
            needs.append(Need(request.name, request.size if thick else stored, staged))
        return needs

    @contextlib.contextmanager
    def exclusive(self, names: t.Sequence[str], job: Job) -> t.Iterator[None]:
        self.check_names(names)
        self.layout.probe()
        with locks.held([place.lock for name in names for place in self.layout.places(name)], job.deadline):
            self._held.update(names)
            try:
                for name in names:
                    self._settle(name)
                yield
            finally:
                self._held.difference_update(names)

    def _settle(self, name: str) -> None:
        """Finish what a killed run left almost finished, on all mount points."""
        places = self.layout.places(name)
        for place in places:
            place.settle()
        try:
            found = self.found(name)
        except Foreign:
            return  # the plan will refuse it
        if found is None:
            return
        if found.sidecar.moved_from and not found.promised:
            self.leave(found)
        for place in places:
            if place.mountpoint != found.place.mountpoint and not os.path.lexists(place.data):
                place.abandon()

    def leave(self, found: Found) -> None:
        """The last step of a move: what the volume was made from goes, if it still is what it was."""
        path, inode = t.cast(t.Tuple[str, int], found.sidecar.moved_from)
        if os.path.lexists(path) and os.lstat(path).st_ino == inode:
            old = Place(os.path.dirname(path), found.place.name)
            if old.data == path and old.mountpoint in self.layout.mountpoints:
                old.clear()
            else:
                files.remove_if_there(path)
                files.sync_directory(os.path.dirname(path))
        found.place.rewrite(replace(found.sidecar, moved_from=None))

    # --- making and unmaking ---

    def create(self, request: Request, record: Record) -> Volume:
        self._expect_absent(request.name)
        place, = self.layout.place([replace(need, passing=0) for need in self.needs([request], None)])
        return self.make(place, Sidecar(self.format, record, request.size), lambda path: self.content.blank(path, self.shape(request)))

    def make(self, place: Place, sidecar: Sidecar, write: Write) -> Volume:
        """Write a file and publish it with its sidecar, or leave nothing behind. What was there before stays until then."""
        path = place.begin(replace(sidecar, record=replace(sidecar.record, state=FILLING)))
        try:
            size = write(path)
            if os.path.lexists(place.data):
                files.keep_permissions(place.data, path)
        except BaseException:
            with contextlib.suppress(OSError):  # such as an NFS server that is away; the next run does it, and what went wrong first is told
                place.abandon()
            raise
        place.publish(replace(sidecar, size=size or sidecar.size, exact=True))
        return t.cast(Volume, self.find(place.name))

    def shape(self, request: Request) -> Shape:
        """The file that is wanted for a request."""
        return Shape(self.format, request.size, request.exact, self.preallocation)

    def _expect_absent(self, name: str) -> None:
        found = self.found(name)
        if found and not found.promised:
            raise BackendError("%s exists already; nothing was changed" % found.path)

    def remove(self, volume: Volume, job: Job) -> None:
        self.refuse_use(volume)
        for place in self.layout.places(volume.name):
            if place.data == volume.id:
                place.clear()

    def mark(self, volume: Volume, record: Record) -> Volume:
        found = self._whole(volume)
        found.place.rewrite(replace(found.sidecar, record=record))
        return t.cast(Volume, self.find(volume.name))

    def grow(self, volume: Volume, size: int, job: Job) -> Volume:
        found = self.writable(volume)
        if size < volume.size:
            raise InvalidInput("%s has %d bytes and cannot be shrunk to %d: the end of its disk would be lost" % (volume.id, volume.size, size))
        format, path = found.sidecar.format, t.cast(str, found.path)
        thick = format == "raw" or not self.content.grows_in_place(format)
        self.layout.place([Need(volume.name, size - volume.size if format == "raw" else volume.details["allocated"] if thick else 0)], at=volume.location)
        sidecar = replace(found.sidecar, size=size)
        if not self.content.grows_in_place(format):
            return self.make(found.place, sidecar, lambda partial: self.content.convert(path, format, partial, Shape(format, size), volume.name, job))
        self.content.enlarge(path, format, size)
        found.place.rewrite(sidecar)
        return t.cast(Volume, self.find(volume.name))

    def clone(self, origin: Volume, request: Request, record: Record, job: Job) -> Volume:
        found = self._whole(origin)
        self.refuse_use(origin)
        self._expect_absent(request.name)
        format, path, size = found.sidecar.format, t.cast(str, found.path), max(request.size, origin.size)
        place, = self.layout.place([Need(request.name, 0)], at=origin.location)

        def write(partial: str) -> None:
            if size > origin.size and not self.content.grows_in_place(format):
                self.content.convert(path, format, partial, Shape(format, size), request.name, job)
                return
            self.content.duplicate(path, partial, share=True, preallocation="off", job=job)
            if size > origin.size:
                self.content.enlarge(partial, format, size)

        return self.make(place, Sidecar(format, record, size), write)

    # --- bytes ---

    def open(self, volume: Volume, mode: str) -> Handle:
        writing = mode == "w"
        found = self.writable(volume) if writing else self._whole(volume)
        if not writing:
            self.refuse_use(volume)
        format, path = found.sidecar.format, t.cast(str, found.path)
        if format == "raw":
            file = RawFile.open(path, write=writing)
            return RawHandle(file, volume.size, keep=file.flush if writing else None)
        job = Job(Deadline(_PATIENCE))
        disk = RawFile.nameless(found.place.mountpoint)
        try:
            disk.resize(volume.size)
            self.qemu.convert_into(path, format, disk.path, "raw", deadline=job.deadline, what="%s to be opened" % path)
        except BaseException:
            disk.close()
            raise

        def keep() -> None:
            shape = Shape(format, volume.size)
            self.make(found.place, found.sidecar, lambda partial: self.content.convert(disk.path, "raw", partial, shape, volume.name, job))

        return RawHandle(disk, volume.size, keep=keep if writing else None)

    def file_of(self, volume: Volume) -> t.Optional[t.Tuple[str, str]]:
        found = self._whole(volume)
        self.refuse_use(volume)
        return t.cast(str, found.path), found.sidecar.format

    def _whole(self, volume: Volume) -> Found:
        found = self.found(volume.name)
        if found is None or found.path is None:
            raise BackendError("%s is not there any more; something else removed it, run the task again" % volume.id)
        return found

    def writable(self, volume: Volume) -> Found:
        """The volume's file, if it may be written to in place.

        :raises InUse: something uses it.
        :raises Foreign: its content has other names, too.
        """
        found = self._whole(volume)
        links = os.stat(t.cast(str, found.path)).st_nlink
        if links > 1:
            raise Foreign("%s has %d names (hard links), and writing to it would change what the others show; remove them, or copy the file" % (
                found.path, links), path=found.path)
        self.refuse_use(volume)
        return found

    def refuse_use(self, volume: Volume) -> None:
        """:raises InUse: something uses the volume."""
        holders = self.holders(volume)
        if holders:
            raise InUse("%s is in use by %s; stop that first" % (volume.id, ", ".join(holders)), holders={volume.name: holders})

    # --- filling ---

    def fill_new(self, source: ImageSource, requests: t.Sequence[Request], fan_out: str, job: Job) -> Filled:
        places = self.layout.place(self.needs(requests, source))
        orders = [Order(place, self.shape(request)) for place, request in zip(places, requests)]
        return self._filling(source, job).all(orders, fan_out)

    def refill(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        started = time.monotonic()
        self.refuse_use(volume)
        found = self.found(volume.name)
        if found is None or found.promised:  # only promised: it is made as it would be made now
            shape = Shape(self.format, volume.size, found is not None and found.sidecar.exact, self.preallocation)
        else:
            shape = Shape(found.sidecar.format, volume.size, True, self.preallocation_for(found.sidecar.format))
        stored = source.describe().size or 0
        place, = self.layout.place([Need(volume.name, volume.size if shape.format == "raw" else stored)], at=volume.location)
        return Made(self._filling(source, job).one(Order(place, shape)), REFILLED, time.monotonic() - started)

    def adopt(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        made = self.refill(source, volume, job)
        return Made(made.volume, ADOPTED, made.seconds)

    def _filling(self, source: ImageSource, job: Job) -> Filling:
        return Filling(source, content=self.content, layout=self.layout, make=self.make, job=job)

    def preallocation_for(self, format: str) -> str:
        """What the option asks for, as far as the format has it."""
        return self.preallocation if self.preallocation in preallocations(format) else "off"
