# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be done to one file volume beyond the driver's contract: take a file in, move it, convert it.

Everything works under the locks of ``FileDriver.exclusive``, and ends in a publication or in nothing.
"""

from __future__ import annotations

import os
import stat
import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Foreign, InUse, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human
from ansible_collections.bootable.volumes.plugins.module_utils.host import files, usage
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.images.inspection import inspect_file
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.content import Shape
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.layout import Need
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import STORED, Place
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.sidecar import Sidecar
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record

COPY, MOVE, REFLINK = "copy", "move", "reflink"


class Incoming(t.NamedTuple):
    """A file that is to become a volume.

    :param path: Absolute, without links.
    :param format: What it is declared to be.
    :param size: Bytes of the disk that it holds, as found by inspection.
    """

    path: str
    format: str
    size: int

    @property
    def record(self) -> Record:
        """What the volume remembers of it."""
        return Record(READY, "file", image_name=self.path)


class FileChanges:
    """Changes to volumes of one driver."""

    def __init__(self, driver: FileDriver, job: Job) -> None:
        self._driver = driver
        self._job = job

    # --- taking in ---

    def look_at(self, path: str, format: str, mode: str) -> Incoming:
        """Inspect a file that is to be taken in. Reads only.

        :raises NotFound: there is none.
        :raises Foreign: it is no plain file, or one that cannot be moved because it has other names.
        :raises InUse: something uses it.
        :raises UnsafeImage: its content is refused.
        """
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            raise NotFound("import_from: there is no file %s on the host where the module runs" % path) from None
        if not stat.S_ISREG(status.st_mode):
            raise Foreign("import_from: %s is not a regular file; name the file itself, not a link to it" % path)
        if mode == MOVE and status.st_nlink > 1:
            raise Foreign("import_from: %s has %d names (hard links), so moving it would leave its content to the others; copy it" % (path, status.st_nlink))
        users = usage.users_of(path)
        if users:
            raise InUse("import_from: %s is in use by %s; stop that first" % (path, ", ".join(users)), holders={path: users})
        return Incoming(path, format, inspect_file(path, format, path, self._driver.qemu))

    def adopt(self, incoming: Incoming) -> Volume:
        """Make a volume of a file that lies where volumes lie, under the name that it has."""
        place = Place(os.path.dirname(incoming.path), os.path.basename(incoming.path))
        place.rewrite(Sidecar(incoming.format, incoming.record, incoming.size))
        return t.cast(Volume, self._driver.find(place.name))

    def take_in(self, incoming: Incoming, place: Place, shape: Shape, mode: str) -> Volume:
        """Make a volume of a file that lies elsewhere.

        A move in the same file system is a renaming. Any other way goes through a private copy, and it is the copy that is
        inspected: the file itself could change in between.
        """
        sidecar = Sidecar(shape.format, incoming.record, shape.size)
        same_format = incoming.format == shape.format
        larger = shape.size > incoming.size
        in_place = same_format and (not larger or self._driver.content.grows_in_place(shape.format))
        if mode == MOVE and in_place and os.lstat(incoming.path).st_dev == os.stat(place.mountpoint).st_dev:
            return self._rename(incoming, place, sidecar)
        if mode == REFLINK and not same_format:
            raise InvalidInput("import_mode: a %s file cannot share its blocks with a %s volume; use copy or move" % (incoming.format, shape.format))

        def write(path: str) -> None:
            if in_place:
                self._copy(incoming.path, path, mode, shape.preallocation)
                inspect_file(path, incoming.format, incoming.path, self._driver.qemu)
                if larger:
                    self._driver.content.enlarge(path, shape.format, shape.size)
                return
            with RawFile.nameless(place.mountpoint, known_as=os.path.basename(path) + STORED) as private, RawFile.open(incoming.path, write=False) as original:
                if not files.reflink(original.fd, private.fd):
                    files.copy_sparse(original.fd, private.fd, progress=lambda count: self._job.deadline.check("%s to be copied" % incoming.path))
                inspect_file(private.path, incoming.format, incoming.path, self._driver.qemu)
                self._driver.content.convert(private.path, incoming.format, path, shape, incoming.path, self._job)

        if mode != MOVE:
            return self._driver.make(place, sidecar, write)
        left = (incoming.path, os.lstat(incoming.path).st_ino)
        self._driver.make(place, replace(sidecar, moved_from=left), write)
        return self._left(place.name)

    def _rename(self, incoming: Incoming, place: Place, sidecar: Sidecar) -> Volume:
        files.sync_file(incoming.path)
        place.begin(sidecar)
        place.publish(replace(sidecar, size=incoming.size), file=incoming.path)
        files.sync_directory(os.path.dirname(incoming.path))
        volume = t.cast(Volume, self._driver.find(place.name))
        return self._driver.grow(volume, sidecar.size, self._job) if sidecar.size > incoming.size else volume

    def _copy(self, source: str, path: str, mode: str, preallocation: str) -> None:
        shared = self._driver.content.duplicate(source, path, share=mode == REFLINK, preallocation=preallocation, job=self._job)
        if mode == REFLINK and not shared:
            raise InvalidInput("import_mode: %s and the mount point cannot share blocks; use copy or move" % source)
        if mode == MOVE:
            self._driver.content.compare(source, path, self._job)

    # --- changing ---

    def move(self, volume: Volume, mountpoint: str) -> Volume:
        """Bring a volume to another mount point: copied, compared, published there, and only then removed here."""
        found = self._driver.writable(volume)
        source = t.cast(str, found.path)
        thick = found.sidecar.format == "raw"
        place, = self._driver.layout.place([Need(volume.name, volume.size if thick else volume.details["allocated"])], at=mountpoint)

        def write(path: str) -> None:
            self._driver.content.duplicate(source, path, share=False, preallocation="off", job=self._job)
            self._driver.content.compare(source, path, self._job)
            files.keep_permissions(source, path)

        self._driver.make(place, replace(found.sidecar, moved_from=(source, os.lstat(source).st_ino)), write)
        return self._left(volume.name)

    def _left(self, name: str) -> Volume:
        """Remove what a published volume has moved away from."""
        found = self._driver.found(name)
        if found and found.sidecar.moved_from:
            self._driver.leave(found)
        return t.cast(Volume, self._driver.find(name))

    def convert(self, volume: Volume, shape: Shape) -> Volume:
        """Give a volume another format; the old file stays until the new one is whole."""
        found = self._driver.writable(volume)
        thick = shape.format == "raw" or shape.preallocation in ("falloc", "full")
        self._driver.layout.place([Need(volume.name, shape.size if thick else volume.details["allocated"])], at=volume.location)
        source, format = t.cast(str, found.path), found.sidecar.format
        return self._driver.make(
            found.place, replace(found.sidecar, format=shape.format, size=shape.size),
            lambda path: self._driver.content.convert(source, format, path, shape, volume.name, self._job),
        )


def check_fits(incoming: Incoming, size: int) -> None:
    """:raises InvalidInput: a file's disk is larger than the volume that was asked for."""
    if size < incoming.size:
        raise InvalidInput("size: %s holds a disk of %s, which does not fit into %s; a disk is never shrunk" % (
            incoming.path, human(incoming.size), human(size)))
