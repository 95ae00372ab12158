# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a volume's bytes get out of it: read once in one pass, in the disk format that was asked for."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import FORMATS, QemuImg
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.images.inspection import check_file
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.pipeline import convert
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.reader import CHUNK


class Readable(t.Protocol):
    """What can be read by offset: a volume's handle, a RawFile."""

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on; fewer only at the end."""


@dataclass(frozen=True)
class Outlet:
    """A volume, ready to be read.

    :param name: For events and messages.
    :param size: Bytes of the disk.
    :param open: Opens the disk, raw.
    :param file: (path, format) of the file that holds the volume, where there is one that qemu-img can read.
    :param runner: Runs qemu-img; None where only raw can be had.
    """

    name: str
    size: int
    open: t.Callable[[], t.ContextManager[Readable]]
    file: t.Optional[t.Tuple[str, str]] = None
    runner: t.Optional[CommandRunner] = None


class Export:
    """A volume's content in one disk format, ready to be sent.

    :param size: Bytes in all.
    """

    repeatable = True

    def __init__(self, name: str, content: Readable, size: int, job: Job) -> None:
        self._name = name
        self._content = content
        self._job = job
        self.size = size

    def chunks(self) -> t.Iterator[bytes]:
        """The bytes in pieces of ``CHUNK``, the last one shorter; from the beginning, however often this is called.

        :raises TimedOut: the deadline passed.
        :raises BackendError: the volume ends before its size says so.
        """
        offset = 0
        while offset < self.size:
            self._job.deadline.check("%s to be sent" % self._name, sent=offset, size=self.size)
            chunk = self._content.read(offset, min(CHUNK, self.size - offset))
            if not chunk:
                raise BackendError("%s ended after %d of %d bytes while it was read" % (self._name, offset, self.size))
            yield chunk
            offset += len(chunk)
            self._job.listener.hear(Event("upload", self._name, offset, self.size))


@contextlib.contextmanager
def exported(outlet: Outlet, disk_format: str, job: Job) -> t.Iterator[Export]:
    """Open a volume to be sent as ``disk_format``.

    Raw is read straight from the volume, and so is a file that has the format already. Anything else is made by qemu-img first,
    in a nameless temporary file (in TMPDIR) which needs room for what the volume holds.

    :raises InvalidInput: qemu-img does not write this format, or there is none to run.
    :raises NoRoom: the temporary file does not fit.
    :raises UnsafeImage: the volume's file refers to others.
    """
    with contextlib.ExitStack() as open_things:
        if disk_format == "raw":
            yield Export(outlet.name, open_things.enter_context(outlet.open()), outlet.size, job)
            return
        if outlet.runner is None or disk_format not in FORMATS:
            raise InvalidInput("disk_format: %s cannot be made of %s here; use raw%s" % (
                disk_format, outlet.name, "" if outlet.runner is None else " or one of %s" % ", ".join(each for each in FORMATS if each != "raw")))
        qemu = QemuImg(outlet.runner)
        path, format = outlet.file or (_raw_copy(outlet, open_things, job), "raw")
        if format != "raw":
            check_file(path, format, outlet.name, qemu)
        if format == disk_format:
            stored = open_things.enter_context(RawFile.open(path, write=False))
        else:
            stored = open_things.enter_context(RawFile.nameless())
            qemu.create(stored.path, disk_format, outlet.size)
            convert(path, format, stored.path, disk_format, outlet.name, outlet.size, qemu, job)
        yield Export(outlet.name, stored, stored.size, job)


def _raw_copy(outlet: Outlet, open_things: contextlib.ExitStack, job: Job) -> str:
    """The path of a temporary raw file with the volume's content; zeroes are left as holes."""
    copy = open_things.enter_context(RawFile.nameless())
    copy.resize(outlet.size)
    with outlet.open() as disk:
        offset = 0
        for chunk in Export(outlet.name, disk, outlet.size, job).chunks():
            if chunk.count(0) != len(chunk):
                copy.write(offset, chunk)
            offset += len(chunk)
    return copy.path
