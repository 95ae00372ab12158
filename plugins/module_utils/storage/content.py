# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A volume of any driver as an image source: its content, raw, in one forward pass."""

from __future__ import annotations

import contextlib
import hashlib
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.images.glance import GlanceImage
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import origin_of
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ByteStream, ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import ACTIVE, Image
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Handle, Volume, VolumeDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.imaging import Route
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.reader import chunks

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud

# The ``origin`` of what came from another volume, in descriptions and records.
VOLUME = "volume"

# Both sides are compared by it. Of the strong ones the fastest on most processors.
ALGORITHM = "sha512"


@contextlib.contextmanager
def content_of(driver: VolumeDriver, volume: Volume, cloud: t.Callable[[], Cloud], job: Job) -> t.Iterator[ImageSource]:
    """The content of a volume that does not change meanwhile.

    Read through a handle; where a driver has none, as Cinder's, by way of a private image for as long as the ``with`` lasts.
    One that a killed run left is used or removed.

    :raises InUse: something holds the volume.
    """
    if driver.capabilities.handles:
        yield VolumeContent(driver, volume)
        return
    images = cloud().images
    wish = ImageWish(name="bootable.volumes content of %s" % volume.id)
    imaging = driver.imaging(images)
    for image in images.list(name=wish.name, owner=cloud().project):
        origin = origin_of(image)
        if (origin is not None and origin.volume == volume.id) or imaging.claims(volume, image):
            images.discard(image)
    imaging.check(volume, wish)
    image = imaging.make(volume, wish, Route(), job).image
    try:
        image = job.deadline.wait(lambda: _if_active(images.get(image.id)), "image %s of volume %s to become active" % (image.id, volume.name))
        yield _Named(GlanceImage(cloud, image.id), volume)
    finally:
        images.discard(image)


def _if_active(image: Image) -> t.Optional[Image]:
    return image if image.status == ACTIVE else None


def digest_of(source: ImageSource, length: int, job: Job) -> str:
    """The hash of the first ``length`` bytes, in hex, and proof that nothing but zeroes lies behind them.

    :returns: With a ``+`` behind it if there are fewer bytes, or others behind them: then it equals no other.
    """
    found, offset, more = hashlib.new(ALGORITHM), 0, False
    for chunk in chunks(source, job):
        inside, behind = chunk[:max(0, length - offset)], chunk[max(0, length - offset):]
        found.update(inside)
        if behind.strip(b"\0"):
            more = True
        offset += len(chunk)
    return found.hexdigest() + ("+" if more or offset < length else "")


class VolumeContent(ImageSource):
    """What is in a volume, through a handle of its driver."""

    def __init__(self, driver: VolumeDriver, volume: Volume) -> None:
        self._driver = driver
        self._volume = volume

    def describe(self) -> ImageDescription:
        return _description(self._volume)

    def open(self, offset: int = 0) -> ByteStream:
        return _HandleStream(self._driver.open(self._volume, "r"), offset, self._volume.size)


class _Named(ImageSource):
    """An image of a volume, under the volume's own name: what is made of it remembers the volume."""

    def __init__(self, image: ImageSource, volume: Volume) -> None:
        self._image = image
        self._volume = volume

    def describe(self) -> ImageDescription:
        return _description(self._volume)

    def open(self, offset: int = 0) -> ByteStream:
        return self._image.open(offset)


def _description(volume: Volume) -> ImageDescription:
    """Its name is the volume's id: what is filled with it remembers the name. An ``id`` would be taken for an image's in Glance."""
    return ImageDescription(name=volume.id, origin=VOLUME, format="raw", size=volume.size, virtual_size=volume.size)


class _HandleStream(ByteStream):
    def __init__(self, handle: Handle, offset: int, size: int) -> None:
        self._handle = handle
        self._offset = offset
        self._size = size

    def read(self, length: int) -> bytes:
        data = self._handle.read(self._offset, min(length, self._size - self._offset))
        self._offset += len(data)
        return data

    def close(self) -> None:
        self._handle.close()


class Hashed(ImageSource):
    """A source whose bytes are hashed while they pass, once, from the beginning to the end.

    A stream that is opened anew where the last one broke off goes on with the same hash.
    """

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self._hash = hashlib.new(ALGORITHM)
        self._reached = 0

    def describe(self) -> ImageDescription:
        return self._source.describe()

    def open(self, offset: int = 0) -> ByteStream:
        if offset == 0:
            self._hash, self._reached = hashlib.new(ALGORITHM), 0
        return _HashedStream(self, self._source.open(offset))

    def passed(self, data: bytes) -> None:
        """Take note of the next bytes."""
        self._hash.update(data)
        self._reached += len(data)

    @property
    def digest(self) -> t.Optional[str]:
        """Of all bytes, in hex; None unless all have passed."""
        return self._hash.hexdigest() if self._reached == self.describe().size else None


class _HashedStream(ByteStream):
    def __init__(self, owner: Hashed, stream: ByteStream) -> None:
        self._owner = owner
        self._stream = stream

    def read(self, length: int) -> bytes:
        data = self._stream.read(length)
        self._owner.passed(data)
        return data

    def close(self) -> None:
        self._stream.close()
