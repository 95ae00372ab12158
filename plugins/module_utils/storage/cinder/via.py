# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images that are not in Glance, made into Cinder volumes by way of Glance: a private image for as long as it takes.

The bytes are verified and inspected while they pass; Glance gets no complete image unless they are what was promised.
The image is deleted when the volumes are made. Where Glance refuses that, because the back end made the volumes as
clones that depend on it, it is *kept*, and used again by tasks with the same source.

A run that was killed, or ran out of time, leaves its image behind, and the volumes marked as ``filling``. So the next
run adopts them, and *sweeps*: it deletes the images whose run is over, unless Cinder still makes a volume of one. On
the same host a run is known to be over when its process has ended; elsewhere when the deadline has passed that it
wrote into the image. Only when the image is gone, or kept, are the volumes marked as ready.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InUse, InvalidInput, NotFound, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, human, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.images.inspection import Inspection
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import ACTIVE, Image, Images
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import STATE, VIA, is_busy, metadata_of, view
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Filled, Request, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.hashing import Verifier
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.reader import chunks

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Volumes

# All our images carry this tag, so that they can be listed.
TAG = "bootable-volumes-temporary"

# Properties of our images: what the bytes are (algorithm:digest), the time (seconds since 1970) after which nobody
# needs the image any more, the process that made it, and whether Glance refused to delete it.
SOURCE, EXPIRES, OWNER, KEPT = "bootable_source", "bootable_expires", "bootable_owner", "bootable_kept"

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

    def noted(self, volume: Volume) -> Volume:
        """The volume, with word of an image that stays."""
        return replace(volume, details=dict(volume.details, kept_image=self.image.id)) if self.kept else volume

    def told(self, filled: Filled) -> Filled:
        """The outcome, with word of an image that stays."""
        if not self.kept:
            return filled
        made = tuple(replace(each, volume=self.noted(each.volume)) for each in filled.made)
        return replace(filled, made=made, reason="%s; the private image %s stays, because volumes are clones of it" % (filled.reason, self.image.id))


@contextlib.contextmanager
def through_glance(source: ImageSource, cloud: Cloud, job: Job) -> t.Iterator[Via]:
    """A private image with the bytes of ``source``. Volumes made from it are ``ready`` only after the ``with``.

    :raises UnsafeImage: the content is not of the declared format, or not safe.
    :raises IntegrityError: the bytes are not those that were promised.
    """
    images = cloud.images
    there = sweep(cloud)
    description = source.describe()
    record = record_of(description, FILLING)
    properties = {SOURCE: record.checksum, OWNER: liveness.signature(), EXPIRES: "%d" % (time.time() + job.deadline.remaining() + _SKEW)}
    kept = next((image for image in there if record.checksum and image.properties.get(SOURCE) == record.checksum
                 and image.disk_format == description.format and _kept_on(images, image, properties[EXPIRES] or "")), None)
    image = kept or images.create(
        "bootable.volumes: %s" % os.path.basename(description.name)[:200], _verified(source, job), disk_format=description.format,
        size=description.size, tags=[TAG], properties={key: value for key, value in properties.items() if value})
    via = Via(image, metadata_of(record, via=image.id), replace(job, wait=True), kept=kept is not None)
    try:
        yield via
    finally:
        if kept is None:
            via.kept = not _leave(cloud, image.id)


def ready(volumes: Volumes, volume: Volume) -> Volume:
    """A volume whose private image is gone, or stays for good."""
    volumes.delete_metadata(volume.id, STATE)
    return view(volumes.get(volume.id))


def sweep(cloud: Cloud) -> t.List[Image]:
    """Delete what runs left that are over, and kept images that nothing depends on any more.

    :returns: Our images that remain.
    """
    there = cloud.images.list(tag=TAG)
    over = {image.id for image in there if _is_over(image)}
    if over:
        over -= _being_read(cloud.volumes)
    return [image for image in there if image.id not in over or not _delete(cloud.images, image.id)]


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
    def through_glance(self, source: ImageSource, cloud: Cloud, job: Job) -> t.Iterator[Via]:
        """As the function of that name."""
        with self._lock:
            if self._via is not None and self._source is not source:
                raise ValueError("one source at a time")
            if self._via is None:
                self._via, self._source = self._open.enter_context(through_glance(source, cloud, job)), source
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


def _leave(cloud: Cloud, image_id: str) -> bool:
    """Delete the image after use, unless Cinder still reads it, as it does after a time-out: then it is the next sweep's.

    :returns: False if it is kept because volumes are clones of it.
    """
    if image_id in _being_read(cloud.volumes):
        cloud.images.set_properties(image_id, {EXPIRES: "0"})
        return True
    return _delete(cloud.images, image_id)


def _being_read(volumes: Volumes) -> t.Set[str]:
    """Ids of private images of which Cinder is making volumes right now."""
    return {volume.metadata[VIA] for volume in volumes.list() if VIA in volume.metadata and is_busy(volume)}


def _delete(images: Images, image_id: str) -> bool:
    """Whether the image is gone; if not, because volumes depend on it, it is marked as kept."""
    try:
        images.delete(image_id)
    except InUse:
        with contextlib.suppress(VolumesError):
            images.set_properties(image_id, {KEPT: "volumes are clones of it"})
        return False
    return True


def _kept_on(images: Images, image: Image, expires: str) -> bool:
    """Whether it is a kept image, and stays for as long as this run needs it."""
    if not image.properties.get(KEPT) or image.status != ACTIVE:
        return False
    try:
        images.set_properties(image.id, {EXPIRES: expires})
    except NotFound:  # another run has just swept it away
        return False
    return True


def _is_over(image: Image) -> bool:
    """Whether nobody needs it any more. A kept image outlives the process that made it."""
    expires = str(image.properties.get(EXPIRES, ""))
    if expires.isdigit() and int(expires) < time.time():
        return True
    return not image.properties.get(KEPT) and liveness.is_dead(str(image.properties.get(OWNER, "")))
