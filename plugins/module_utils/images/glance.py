# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images in Glance, by name or id."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB
from ansible_collections.bootable.volumes.plugins.module_utils.images import headers
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ByteStream, ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Download, Image, require_readable

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud

# Enough of the beginning to read the virtual size of the formats that say it there.
_PEEK = 64 * KIB


class GlanceImage(ImageSource):
    """One image in Glance.

    :param cloud: Connects to OpenStack; called when the image is first asked for.
    :param name_or_id: As the ``image`` option has it.
    """

    def __init__(self, cloud: t.Callable[[], Cloud], name_or_id: str) -> None:
        self._cloud = cloud
        self._name_or_id = name_or_id
        self._description: t.Optional[ImageDescription] = None

    def describe(self) -> ImageDescription:
        if self._description is None:
            image = self._cloud().images.find(self._name_or_id)
            require_readable(image)
            self._description = self._with_virtual_size(description_of(image))
        return self._description

    def _with_virtual_size(self, image: ImageDescription) -> ImageDescription:
        """Look into the image where Glance has not, as before Wallaby; for planning only."""
        if image.virtual_size is not None or image.format == "raw" or image.container != "bare":
            return image
        head = b""
        with _GlanceStream(self._cloud().images.read(t.cast(str, image.id))) as stream:
            while len(head) < _PEEK:
                piece = stream.read(_PEEK - len(head))
                if not piece:
                    break
                head += piece
        try:
            found = headers.virtual_size(lambda offset, length: head[offset:offset + length], image.format, image.size or 0)
        except UnsafeImage:  # content that makes no sense is refused when it is inspected
            return image
        return replace(image, virtual_size=found)

    def open(self, offset: int = 0) -> ByteStream:
        return _GlanceStream(self._cloud().images.read(t.cast(str, self.describe().id), offset))


def description_of(image: Image) -> ImageDescription:
    """An image of Glance in the words that all sources share.

    :raises InvalidInput: it has no disk format, as images made for import have before their import.
    """
    if not image.disk_format:
        raise InvalidInput("image %s (%s) has no disk format; set one, or name another image" % (image.name, image.id))
    checksums = {}
    if image.checksum:
        checksums["md5"] = image.checksum
    if image.hash_algo and image.hash_value:
        checksums[image.hash_algo] = image.hash_value
    return ImageDescription(
        name=image.name or image.id,
        origin="glance",
        format=image.disk_format,
        container=image.container_format or "bare",
        size=image.size,
        # of a VHD Glance reads the size that it was made with, not the one it has now
        virtual_size=None if image.disk_format == "vhd" else image.virtual_size,
        min_disk=image.min_disk,
        checksums=checksums,
        id=image.id,
        properties=dict(image.properties),
    )


class _GlanceStream(ByteStream):
    """A download as the contract wants it."""

    def __init__(self, download: Download) -> None:
        self._download = download

    def read(self, length: int) -> bytes:
        return self._download.read(length)

    def close(self) -> None:
        self._download.close()
