# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks that a pool exports, on their way to become an image: one flat VHD, or an archive of a chain.

What a pool exports cannot be kept as it is: each VHD comes under a new name and says little of the one that it differs from. So
each is written anew while it passes, block by block. Its length is known as soon as its table of blocks has come.
"""

from __future__ import annotations

import contextlib
import typing as t
import uuid
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_archive import archived, gzipped
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import VhdStream
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_writer import Parent, rewritten

# Seconds for a pool to say what went wrong, after the bytes have ended too early.
_VERDICT = 10.0


class Source(t.Protocol):
    """A VHD on its way from a pool."""

    def read(self, length: int) -> bytes:
        """``length`` bytes; fewer only at the end."""

    def check(self) -> bool:
        """Whether the pool has sent everything; raises what went wrong there."""

    def finish(self) -> None:
        """Return if everything that was read is the whole disk."""


@dataclass(frozen=True)
class Level:
    """A disk to export, or what makes it differ from the next one.

    :param name: For messages.
    :param size: Bytes of the disk.
    :param open: Begins the export.
    """

    name: str
    size: int
    open: t.Callable[[], t.ContextManager[Source]]


class VhdBody:
    """The bytes of an image, once.

    :ivar size: Bytes in all; None if that shows only at the end.
    :ivar members: How many VHDs have passed.
    """

    repeatable = False

    def __init__(self, name: str, size: t.Optional[int], chunks: t.Iterator[bytes], job: Job) -> None:
        self._name = name
        self._chunks = chunks
        self._job = job
        self.size = size
        self.members = 0
        self.sent = 0

    def chunks(self) -> t.Iterator[bytes]:
        """The bytes, in pieces.

        :raises BackendError: the pool sent less than a disk.
        """
        for chunk in self._chunks:
            yield chunk
            self.sent += len(chunk)
            self._job.listener.hear(Event("upload", self._name, self.sent, self.size))


@contextlib.contextmanager
def flat(level: Level, timestamp: int, job: Job) -> t.Iterator[VhdBody]:
    """A disk as one dynamic VHD.

    :param timestamp: When it was as it is, in seconds since 2000.
    :raises BackendError: the pool sent no VHD.
    """
    with level.open() as source:
        stream = _stream(source, level, job)
        vhd = rewritten(stream, timestamp=timestamp)
        body = VhdBody(level.name, vhd.length, _whole(source, vhd.chunks, level, job), job)
        body.members = 1
        yield body


@contextlib.contextmanager
def chain(levels: t.Sequence[Level], timestamp: int, job: Job, *, compress: bool) -> t.Iterator[VhdBody]:
    """Disks that differ from one another as an archive, 0.vhd to n.vhd, exported one after the other. How long it is shows at the end.

    What adds nothing to the one below is left out.

    :param levels: Newest first, each exported as what makes it differ from the next; the last in full. At most ``MOST_LAYERS``.
    """
    def passed() -> None:
        body.members += 1

    # closed here: it must not depend on anybody's memory when an export that breaks off is hung up
    with contextlib.closing(_members(levels, timestamp, job, passed)) as members:
        archive = archived(members)
        body = VhdBody(levels[0].name, None, gzipped(archive) if compress else archive, job)
        yield body


def _members(levels: t.Sequence[Level], timestamp: int, job: Job, passed: t.Callable[[], None],
             ) -> t.Generator[t.Tuple[int, t.Iterator[bytes]], None, None]:
    """(bytes, the bytes) of each member of the archive."""
    # a child names its parent before it is known which that will be: the identities belong to the places in the archive
    identities = [uuid.uuid4() for dummy in levels]
    position = 0
    for level, below in zip(levels, [*levels[1:], None]):
        with level.open() as source:
            stream = _stream(source, level, job)
            parent = None if below is None else Parent(identities[position + 1], "%d.vhd" % (position + 1), timestamp)
            vhd = rewritten(stream, identity=identities[position], parent=parent, timestamp=timestamp)
            chunks = _whole(source, vhd.chunks, level, job)
            if below is not None and not stream.order and (position or level.size == below.size):
                for dummy_chunk in chunks:
                    pass
                continue
            yield vhd.length, chunks
        position += 1
        passed()


def _stream(source: Source, level: Level, job: Job) -> VhdStream:
    try:
        return VhdStream(source.read)
    except UnsafeImage as error:
        raise _verdict(source, level, job, error) from error


def _whole(source: Source, chunks: t.Iterator[bytes], level: Level, job: Job) -> t.Iterator[bytes]:
    """The pieces; the last one only when the pool has said that it sent the whole disk."""
    last = b""
    try:
        for chunk in chunks:
            if last:
                yield last
            last = chunk
    except UnsafeImage as error:
        raise _verdict(source, level, job, error) from error
    source.finish()
    yield last


def _verdict(source: Source, level: Level, job: Job, error: UnsafeImage) -> BackendError:
    """Why the bytes ended too early, or have an error in HTTP's words amid them.

    :raises XenFailure: where the pool says why.
    """
    clock = job.deadline.clock
    give_up = clock.now() + min(_VERDICT, job.deadline.remaining())
    while not source.check() and clock.now() < give_up:
        clock.sleep(0.2)
    return BackendError("the export of %s did not come whole: %s" % (level.name, error.message))
