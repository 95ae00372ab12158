# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images that are not in Glance, made into Cinder volumes by way of Glance: a private image for as long as it takes.

The bytes are verified and inspected while they pass; Glance gets no complete image unless they are what was promised.
The image is deleted when the volumes are made. Where Glance refuses that, because the back end made the volumes as
clones that depend on it, it is *kept*, and used again by tasks with the same source.

A run that was killed leaves its image behind. No other run can tell whether that one still lives, but every run has a
deadline, and writes it into its image: images past that time are swept away by the next task that comes this way.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InUse, InvalidInput, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, human, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.images.inspection import Inspection
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import ACTIVE, Image, Images
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder_view import metadata_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Filled, Request
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.hashing import Verifier
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.reader import chunks

# All our images carry this tag, so that they can be listed.
TAG = "bootable-volumes-temporary"

# Properties of our images: what the bytes are (algorithm:digest), the time (seconds since 1970) after which nobody
# needs the image any more, and whether Glance refused to delete it.
SOURCE, EXPIRES, KEPT = "bootable_source", "bootable_expires", "bootable_kept"

# Seconds by which the clocks of two hosts may differ, generously.
_SKEW = 600


@dataclass
class Via:
    """A private image, while it is there.

    :param metadata: What volumes made from it shall remember in its place.
    :param job: Waits even if the task does not: the image must not go before the volumes are made.
    :param kept: Whether it stays.
    """

    image: Image
    metadata: t.Mapping[str, str]
    job: Job
    kept: bool = False

    def fitted(self, requests: t.Sequence[Request]) -> t.List[Request]:
        """The requests, made larger where nobody named a size and the disk turned out to need it.

        :raises InvalidInput: somebody named a size, and it is too small.
        """
        need = round_up(max(self.image.size or 1, self.image.virtual_size or 1), GIB)
        for request in requests:
            if request.exact and request.size < need:
                raise InvalidInput("size: %s is too small for the image, which needs %s" % (human(request.size), human(need)))
        return [replace(request, size=max(request.size, need)) for request in requests]

    def told(self, filled: Filled) -> Filled:
        """The outcome, with word of an image that stays."""
        if not self.kept:
            return filled
        made = tuple(
            replace(each, volume=replace(each.volume, details=dict(each.volume.details, kept_image=self.image.id))) for each in filled.made)
        return replace(filled, made=made, reason="%s; the private image %s stays, because volumes are clones of it" % (filled.reason, self.image.id))


@contextlib.contextmanager
def through_glance(source: ImageSource, images: Images, job: Job) -> t.Iterator[Via]:
    """A private image with the bytes of ``source``.

    :raises UnsafeImage: the content is not of the declared format, or not safe.
    :raises IntegrityError: the bytes are not those that were promised.
    """
    there = images.list(tag=TAG)
    _sweep(images, there)
    description = source.describe()
    record = record_of(description, READY)
    kept = next((image for image in there if record.checksum and image.properties.get(SOURCE) == record.checksum
                 and image.properties.get(KEPT) and image.status == ACTIVE and image.disk_format == description.format), None)
    expires = {EXPIRES: "%d" % (time.time() + job.deadline.remaining() + _SKEW)}
    if kept is not None:
        images.set_properties(kept.id, expires)
        image = kept
    else:
        image = images.create(
            "bootable.volumes: %s" % os.path.basename(description.name)[:200], _verified(source, job), disk_format=description.format,
            size=description.size, tags=[TAG], properties=dict(expires, **({SOURCE: record.checksum} if record.checksum else {})))
    via = Via(image, metadata_of(record, via=image.id), replace(job, wait=True), kept=kept is not None)
    try:
        yield via
    finally:
        if kept is None:
            via.kept = not _delete(images, image.id)


class Shared:
    """One private image for several volumes that are refilled from the same source by several threads.

    The first one makes the image, those that come while it is there use it, and the last one to leave deletes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._open = contextlib.ExitStack()
        self._via: t.Optional[Via] = None
        self._source: t.Optional[ImageSource] = None

    @contextlib.contextmanager
    def through_glance(self, source: ImageSource, images: Images, job: Job) -> t.Iterator[Via]:
        """As the function of that name."""
        with self._lock:
            if self._via is not None and self._source is not source:
                raise ValueError("one source at a time")
            if self._via is None:
                self._via, self._source = self._open.enter_context(through_glance(source, images, job)), source
            self._users += 1
            via = self._via
        try:
            yield via
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._via = None
                    self._open.close()


def _verified(source: ImageSource, job: Job) -> t.Iterator[bytes]:
    """The source's bytes. The end comes only if they were the right ones; else an error, and nobody takes them for complete."""
    image = source.describe()
    inspection = Inspection(image.format, image.name)
    with Verifier(image) as verifier:
        for chunk in chunks(source, job):
            verifier.put(chunk)
            inspection.feed(chunk)
            yield chunk
        inspection.finish()
        verifier.verify()


def _delete(images: Images, image_id: str) -> bool:
    """Whether the image is gone; if not, it is marked as kept."""
    try:
        images.delete(image_id)
    except InUse:
        with contextlib.suppress(VolumesError):
            images.set_properties(image_id, {KEPT: "volumes are clones of it"})
        return False
    return True


def _sweep(images: Images, there: t.Sequence[Image]) -> None:
    """Delete what killed runs left, and kept images that nothing depends on any more."""
    now = time.time()
    for image in there:
        expires = str(image.properties.get(EXPIRES, ""))
        if expires.isdigit() and int(expires) < now:
            with contextlib.suppress(VolumesError):
                images.delete(image.id)
