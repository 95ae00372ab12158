# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading an image to its end, over connections that break."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, IntegrityError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ByteStream, ImageSource

# What is read at once, hashed at once, and written at once.
CHUNK = MIB

# How often a source is opened again in a row, and the pauses before that in seconds.
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)

# A connection that brought this much between two cuts is a bad line, not a dead one: the count begins anew.
WORTHWHILE = 16 * MIB


def chunks(source: ImageSource, job: Job) -> t.Iterator[bytes]:
    """The image's bytes in pieces of ``CHUNK``, the last one shorter. Taken up again where a connection broke off.

    :raises BackendError: the source breaks off again and again.
    :raises IntegrityError: it has more bytes than it said.
    :raises TimedOut: the deadline passed.
    """
    image = source.describe()
    what = "the image %s to arrive" % image.name
    reader = _Reader(source, job, what)
    try:
        while True:
            job.deadline.check(what, received=reader.offset, size=image.size)
            chunk = reader.read(CHUNK)
            if not chunk:
                break
            if image.size is not None and reader.offset > image.size:
                raise IntegrityError("the image %s is longer than the %d bytes that were promised" % (image.name, image.size))
            yield chunk
            job.listener.hear(Event("download", image.name, reader.offset, image.size))
    finally:
        reader.close()


class _Reader:
    def __init__(self, source: ImageSource, job: Job, what: str) -> None:
        self._source = source
        self._size = source.describe().size
        self._job = job
        self._what = what
        self._stream: t.Optional[ByteStream] = None
        self._cuts = 0
        self._last_cut = 0
        self.offset = 0

    def read(self, length: int) -> bytes:
        """``length`` bytes; fewer only at the end."""
        parts: t.List[bytes] = []
        missing = length
        while missing:
            try:
                if self._stream is None:
                    self._stream = self._source.open(self.offset)
                part = self._stream.read(missing)
                if not part and self._size is not None and self.offset < self._size:
                    raise BackendError("it ended after %d of %d bytes" % (self.offset, self._size))
            except BackendError as error:
                self._pause(error)
                continue
            if not part:
                break
            parts.append(part)
            missing -= len(part)
            self.offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _pause(self, error: BackendError) -> None:
        """Get ready to open the source again, or give up."""
        self.close()
        if self.offset - self._last_cut >= WORTHWHILE:
            self._cuts = 0
        self._last_cut = self.offset
        if self._cuts >= len(PAUSES):
            raise BackendError(
                "the image %s broke off %d times, last after %d bytes: %s; nothing was published"
                % (self._source.describe().name, self._cuts + 1, self.offset, error.message), received=self.offset,
            ) from error
        self._job.deadline.check(self._what, received=self.offset, size=self._size)
        self._job.deadline.clock.sleep(min(PAUSES[self._cuts], max(0.01, self._job.deadline.remaining())))
        self._cuts += 1

    def close(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()
