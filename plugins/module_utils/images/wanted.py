# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image that is wanted, and where an existing one differs. Pure: looks at data, asks nobody."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import PREFIX
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image

AUTO = "auto"


@dataclass(frozen=True)
class ImageWish:
    """An image that is wanted of a volume. None stands for what the task does not say: it is not compared.

    :param method: ``auto``, or how it must get its bytes: ``clone``, ``upload``, ``register``.
    :param visibility: ``private``, ``shared``, ``community`` or ``public``; a new image is private.
    :param min_disk: GiB.
    :param properties: Those that it shall have; others are left alone.
    :param force: Even of a volume that is attached.
    """

    name: str
    disk_format: str = "raw"
    container_format: str = "bare"
    method: str = AUTO
    visibility: t.Optional[str] = None
    protected: t.Optional[bool] = None
    tags: t.Optional[t.Tuple[str, ...]] = None
    min_disk: t.Optional[int] = None
    properties: t.Mapping[str, str] = field(default_factory=dict)
    force: bool = False

    def check(self) -> None:
        """Refuse what no image can be.

        :raises InvalidInput: naming the option.
        """
        if not self.name.strip() or len(self.name) > 255:
            raise InvalidInput("name: an image's name has 1 to 255 characters; found %d" % len(self.name))
        ours = sorted(key for key in self.properties if key.startswith((PREFIX, "os_glance_")))
        if ours:
            raise InvalidInput("properties: keys that begin with %s and os_glance_ are not for people to set; rename %s" % (PREFIX, ", ".join(ours)))
        if self.min_disk is not None and self.min_disk < 0:
            raise InvalidInput("min_disk: %d is below 0" % self.min_disk)

    def attributes(self) -> t.Dict[str, t.Any]:
        """What can be changed on an existing image, in Glance's names."""
        found: t.Dict[str, t.Any] = dict(self.properties)
        if self.visibility is not None:
            found["visibility"] = self.visibility
        if self.protected is not None:
            found["protected"] = self.protected
        if self.tags is not None:
            found["tags"] = sorted(set(self.tags))
        if self.min_disk is not None:
            found["min_disk"] = self.min_disk
        return found


def is_locked(image: Image) -> bool:
    """Whether Glance is at work on an image: copying it, or computing its checksum after a location was added (Glance 29 and later).

    When it is done it writes the image back as it was when it began: what others have changed meanwhile is lost.
    """
    return image.import_task is not None


def differing(image: Image, wish: ImageWish) -> t.Dict[str, t.Tuple[t.Any, t.Any]]:
    """Where an image is not what is wanted and can be mended in place: name to (is, shall be), in Glance's names."""
    own = {"visibility": image.visibility, "protected": image.protected, "tags": list(image.tags), "min_disk": image.min_disk}
    found = {name: (own[name] if name in own else image.properties.get(name), wanted) for name, wanted in wish.attributes().items()}
    return {name: (has, wanted) for name, (has, wanted) in found.items() if has != wanted}
