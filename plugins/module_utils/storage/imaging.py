# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contract: how volumes become images; and what a driver gets that has no better way than to send the bytes."""

from __future__ import annotations

import abc
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import UPLOAD, Origin
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import AUTO, ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image, Images
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.export import Outlet, exported
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.publishing import announcement, publish

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Volume, VolumeDriver


@dataclass(frozen=True)
class Imaged:
    """An image that was made of a volume.

    :param method: ``clone``, ``upload`` or ``register``: what came of it, whatever was asked for.
    :param reason: Why that one, to read.
    :param type_store: The store that the volume's type turned out to name.
    :param finished: False where nobody was to wait for it.
    """

    image: Image
    method: str
    reason: str
    type_store: t.Optional[str] = None
    finished: bool = True


@dataclass(frozen=True)
class Route:
    """Where an image's bytes shall go first.

    :param store: None for the default store.
    :param base: The id of the image from which the volume was made.
    """

    store: t.Optional[str] = None
    base: t.Optional[str] = None


class Imaging(abc.ABC):
    """Makes images of one driver's volumes, in one Glance. Making one touches nothing.

    :cvar typed: Whether its volumes have types, which may name stores.
    """

    typed: t.ClassVar[bool] = True

    @abc.abstractmethod
    def check(self, volume: Volume, wish: ImageWish) -> None:
        """Refuse, before anything is written, what cannot be made.

        :raises InvalidInput: the method, or the format, cannot be had of this storage.
        :raises InUse: something holds the volume.
        """

    def base_of(self, volume: Volume) -> t.Optional[str]:
        """The id of the image in Glance that a volume was made from, if one can boot from it."""
        record = volume.record
        return record.image_id if record is not None and record.state == READY else None

    def store_of(self, volume: Volume) -> t.Optional[str]:
        """The store that the kind of volume names for its images, as far as that can be seen beforehand."""
        return None

    def claims(self, volume: Volume, image: Image) -> bool:
        """Whether the volume remembers that an image of that name is being made of it, so that what the image remembers may be missing, or a guess."""
        return False

    @abc.abstractmethod
    def make(self, volume: Volume, wish: ImageWish, route: Route, job: Job) -> Imaged:
        """A new image. If that fails none is left behind; if time runs out, one that ``finish`` brings to its end, or none."""

    @abc.abstractmethod
    def finish(self, volume: Volume, image: Image, wish: ImageWish, route: Route, job: Job) -> Imaged:
        """Bring an image to its end that another run began."""


class Originals(t.Protocol):
    """What images are made of: as much of a driver as that takes."""

    def look_up(self, name_or_id: str) -> t.Optional[Volume]:
        """The volume of that name, or of that id; None if there is none."""

    def imaging(self, images: Images) -> Imaging:
        """What makes images of its volumes, in this Glance."""

    def exclusive(self, names: t.Sequence[str], job: Job) -> t.ContextManager[None]:
        """Keeps other runs away from volumes of these names, as far as that can be done."""


class Streaming(Imaging):
    """Reads the volume and sends its bytes to Glance, converted on the way if another format is wanted.

    The hash of what was sent is compared with the one Glance computed of what arrived.
    """

    def __init__(self, driver: VolumeDriver, images: Images) -> None:
        self._driver = driver
        self._images = images

    def check(self, volume: Volume, wish: ImageWish) -> None:
        if wish.method not in (AUTO, UPLOAD):
            raise InvalidInput("method: volumes of the driver %s can only be uploaded; %s is for volumes of Cinder" % (self._driver.name, wish.method))
        if wish.container_format != "bare":
            raise InvalidInput("container_format: of a volume of the driver %s a bare image is made, not %s" % (self._driver.name, wish.container_format))
        if not self._driver.capabilities.handles:
            raise InvalidInput("volumes of the driver %s cannot be read" % self._driver.name)

    def make(self, volume: Volume, wish: ImageWish, route: Route, job: Job) -> Imaged:
        with exported(self._outlet(volume), wish.disk_format, job) as export:
            image = publish(export, announcement(wish, volume.id), images=self._images, store=route.store, base=route.base)
        return Imaged(image, UPLOAD, "the bytes of a volume of the driver %s have to be sent" % self._driver.name)

    def finish(self, volume: Volume, image: Image, wish: ImageWish, route: Route, job: Job) -> Imaged:
        # nobody knows how far it came, and what arrived was not compared with what was sent
        self._images.delete(image.id)
        return self.make(volume, wish, route, job)

    def _outlet(self, volume: Volume) -> Outlet:
        driver = self._driver
        return Outlet(volume.name, volume.size, lambda: driver.open(volume, "r"), driver.file_of(volume), driver.runner)


def is_begun(image: Image, origin: Origin) -> bool:
    """Whether bytes of an image are still on their way, or were when whoever sent them ended."""
    return origin.filling or image.status in ("queued", "saving", "uploading", "importing")
