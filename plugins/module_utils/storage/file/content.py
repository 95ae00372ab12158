# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making the bytes of file volumes: blank, from an image, from another volume's file. Paths in, synced files out."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB, human, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.host import files
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import RESIZABLE, QemuImg
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.images import headers
from ansible_collections.bootable.volumes.plugins.module_utils.images.dispatch import is_archive
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import STORED
from ansible_collections.bootable.volumes.plugins.module_utils.transfer import pipeline
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.writer import Target

# A guest's disk consists of whole sectors.
SECTOR = 512


@dataclass(frozen=True)
class Shape:
    """How a volume's file is to be.

    :param size: Bytes that a guest sees.
    :param exact: False where the size may become larger, if the image turns out to need it.
    :param preallocation: As qemu-img has it; ``off`` for sparse and growing files.
    """

    format: str
    size: int
    exact: bool = True
    preallocation: str = "off"

    def fitted(self, needed: int, name: str) -> int:
        """The size, once it is known what the image needs.

        :raises InvalidInput: it is too small.
        """
        needed = round_up(needed, SECTOR)
        if needed <= self.size:
            return self.size
        if self.exact:
            raise InvalidInput("the image %s holds a disk of %s, which does not fit into a volume of %s; ask for a larger size" % (
                name, human(needed), human(self.size)))
        return needed


class Content:
    """Makes files.

    :param qemu: For every format but raw.
    """

    def __init__(self, qemu: QemuImg) -> None:
        self._qemu = qemu

    def size_of(self, path: str, format: str) -> int:
        """Bytes that a guest sees, by the file's head; nothing is locked and no command is run.

        :raises UnsafeImage: the file is not of that format.
        """
        with RawFile.open(path, write=False) as file:
            return headers.virtual_size(file.read, format, file.size)

    def blank(self, path: str, shape: Shape) -> None:
        """A new file that a guest reads as zeroes."""
        with RawFile.create(path) as file:  # with the right permissions, before qemu-img would choose
            if shape.format == "raw":
                file.resize(shape.size)
                if shape.preallocation == "falloc":
                    files.reserve_blocks(file.fd, shape.size)
                elif shape.preallocation == "full":
                    for offset in range(0, shape.size, MIB):
                        file.write(offset, bytes(min(MIB, shape.size - offset)))
            else:
                self._qemu.create(path, shape.format, shape.size, preallocation=shape.preallocation)

    def from_image(self, source: ImageSource, path: str, shape: Shape, job: Job, *, room: t.Callable[[], int]) -> int:
        """A new file with the content of an image. A raw image for a raw volume is written straight to where it stays.

        :param room: Bytes that the file may take, asked when it is known how many it will be.
        :returns: The size that it got.
        """
        image = source.describe()
        if image.format == shape.format == "raw":
            return self._stream(source, path, shape, job)
        with RawFile.nameless(os.path.dirname(path), known_as=os.path.basename(path) + STORED) as stored:
            format = image.format
            if is_archive(image):
                size, format = pipeline.unpack(source, stored, job), "raw"
            else:
                size = pipeline.stage(source, stored, self._qemu, job)
            if format == "raw":
                stored.resize(round_up(size, SECTOR))
            final = shape.fitted(size, image.name)
            self._check_room(stored.path, format, shape, final, image.name, room())
            self.convert(stored.path, format, path, Shape(shape.format, final, True, shape.preallocation), image.name, job)
        return final

    def _stream(self, source: ImageSource, path: str, shape: Shape, job: Job) -> int:
        self.blank(path, shape)
        with RawFile.open(path, write=True) as file:
            limit = shape.size if shape.exact else None
            stored = pipeline.receive(source, [Target(os.path.basename(path), limit, file)], job, fresh=True)
            final = shape.fitted(stored, source.describe().name)
            file.resize(final)
            file.flush()
        return final

    def _check_room(self, path: str, format: str, shape: Shape, size: int, name: str, room: int) -> None:
        thick = shape.preallocation in ("falloc", "full")
        needed = size if thick else self._qemu.measure(path, format, shape.format)
        if needed > room:
            raise NoRoom("the image %s takes %s as %s, but only %s are free; make room, or name another mount point" % (
                name, human(needed), shape.format, human(max(0, room))), needed=needed, available=max(0, room))

    def convert(self, source: str, source_format: str, path: str, shape: Shape, name: str, job: Job) -> None:
        """A new file with the content of another one that was inspected, in any format and at least its size."""
        self.blank(path, shape)
        pipeline.convert(source, source_format, path, shape.format, name, shape.size, self._qemu, job, lasting=True)
        files.sync_file(path)

    def duplicate(self, source: str, path: str, *, share: bool, preallocation: str, job: Job) -> bool:
        """A new file with the same bytes, holes kept.

        :param share: Let both share their blocks, where the file system can.
        :returns: Whether they do.
        """
        with RawFile.open(source, write=False) as origin, RawFile.create(path) as copy:
            shared = share and preallocation in ("off", "metadata") and files.reflink(origin.fd, copy.fd)
            if not shared:
                progress = _Progress(os.path.basename(path), origin.size, job)
                if preallocation == "full":
                    files.copy_densely(origin.fd, copy.fd, progress=progress)
                else:
                    files.copy_sparse(origin.fd, copy.fd, progress=progress)
                if preallocation == "falloc":
                    files.reserve_blocks(copy.fd, copy.size)
            copy.flush()
        return shared

    def compare(self, left: str, right: str, job: Job) -> None:
        """Read two files that must be the same.

        :raises BackendError: they are not.
        """
        with RawFile.open(left, write=False) as one, RawFile.open(right, write=False) as other:
            if not files.same_content(one.fd, other.fd, progress=_Progress(os.path.basename(left), one.size, job)):
                raise BackendError("the copy %s is not the same as %s; one of the file systems is damaged, or something wrote meanwhile" % (right, left))

    def enlarge(self, path: str, format: str, size: int) -> None:
        """Grow a file in place; only for formats that can."""
        if format == "raw":
            with RawFile.open(path, write=True) as file:
                file.resize(size)
                file.flush()
        else:
            self._qemu.resize(path, format, size)
            files.sync_file(path)

    @staticmethod
    def grows_in_place(format: str) -> bool:
        """Whether ``enlarge`` can; otherwise a larger file is made of it."""
        return format in RESIZABLE


class _Progress:
    """Tells of a copy, and stops it when time is up."""

    def __init__(self, subject: str, total: int, job: Job) -> None:
        self._subject, self._total, self._job, self._done = subject, total, job, 0

    def __call__(self, count: int) -> None:
        self._done += count
        self._job.listener.hear(Event("copy", self._subject, self._done, self._total))
        self._job.deadline.check("%s to be copied" % self._subject)
