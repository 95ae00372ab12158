# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an image remembers of the volume it was made from. Pure: looks at data, asks nobody.

It stands in the image's properties, under keys that begin with ``bootable_``:

``bootable_volume``
    The volume, in its driver's words: a UUID, or a path.
``bootable_image``
    The image's own id. Properties travel: Cinder gives a volume those of its image, and an image those of its volume.
    Where this is another id than the image's, all these keys were brought along and say nothing.
``bootable_method``
    ``clone``, ``upload`` or ``register``: how its bytes came to be its own.
``bootable_state``
    ``filling`` while this collection itself sends the bytes. Cinder needs no such word: what it has made active is complete.
``bootable_stores``
    The stores that it was brought to: with this the matter is settled, and no run asks again to which the task names none.

Glance may lose what is written to an image while it works on it: see ``is_locked`` in wanted.py.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image

PREFIX = "bootable_"
VOLUME, SELF, METHOD, STATE, STORES = (PREFIX + each for each in ("volume", "image", "method", "state", "stores"))
KEYS = (VOLUME, SELF, METHOD, STATE, STORES)

# Cinder notes it of a volume when it has looked at the signature of the volume's image. Those of before 2025 hand it on to images of that
# volume, and can then make no volume of them, since they would note it a second time (Cinder's bug 1823445).
VERIFIED = "signature_verified"

FILLING = "filling"

# How an image gets its bytes, besides "auto".
CLONE, UPLOAD, REGISTER = "clone", "upload", "register"


@dataclass(frozen=True)
class Origin:
    """Where an image came from.

    :param method: None where it was not noted.
    :param filling: Whether bytes are missing, or unverified.
    :param stores: Those it was brought to; None until that is done, and for one that lies where its volume does.
    """

    volume: str
    method: t.Optional[str] = None
    filling: bool = False
    stores: t.Optional[t.Tuple[str, ...]] = None

    def properties(self, image_id: str) -> t.Dict[str, str]:
        """For the image of that id."""
        found = {
            VOLUME: self.volume, SELF: image_id, METHOD: self.method, STATE: FILLING if self.filling else None,
            STORES: None if self.stores is None else ",".join(self.stores),
        }
        return {key: value for key, value in found.items() if value is not None}


def origin_of(image: Image) -> t.Optional[Origin]:
    """What an image remembers; None for one that was not made by this collection."""
    ours = image.properties
    if ours.get(SELF) != image.id or not ours.get(VOLUME):
        return None
    stores = ours.get(STORES)
    return Origin(
        volume=ours[VOLUME], method=ours.get(METHOD), filling=ours.get(STATE) == FILLING,
        stores=None if stores is None else tuple(each for each in stores.split(",") if each))


def stale_keys(image: Image, origin: Origin) -> t.List[str]:
    """Keys that an image has, and shall not have any longer once it remembers ``origin``: ours, and one that Cinder left there."""
    wanted = origin.properties(image.id)
    return [key for key in (*KEYS, VERIFIED) if key in image.properties and key not in wanted]


def method_of(image: Image) -> str:
    """How an active image got its bytes, as it was noted; else as it shows."""
    origin = origin_of(image)
    return origin.method if origin is not None and origin.method is not None else shown_method(image)


def shown_method(image: Image) -> str:
    """CLONE or UPLOAD, by what an active image looks like that has not been copied to other stores since.

    Glance looks into all bytes that are uploaded and notes the size of the disk inside (since Wallaby), and it never does so for an
    image that was made to refer to bytes in a store. (A checksum tells nothing: where ``do_secure_hash`` is on, Glance 29 and later
    compute it for both.)
    """
    return CLONE if image.disk_format == "raw" and (image.virtual_size is None or image.hash_value is None) else UPLOAD
