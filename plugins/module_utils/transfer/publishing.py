# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How bytes become an image in Glance: announced with a mark, sent, and compared with what arrived."""

from __future__ import annotations

import contextlib
import typing as t
import uuid
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import IntegrityError
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import UPLOAD, Origin
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import ACTIVE, Image, Images
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.hashing import Digest

# What Glance computes unless an operator chose another one (hashing_algorithm in glance/common/config.py).
_ALGORITHM = "sha512"

# What it computes besides, always, and calls the image's checksum.
_CHECKSUM = "md5"


class Body(t.Protocol):
    """The bytes of an image to be."""

    @property
    def size(self) -> t.Optional[int]:
        """Bytes in all; None if that shows only when the last of them has passed."""

    @property
    def repeatable(self) -> bool:
        """Whether ``chunks`` gives the same bytes again when it is called again."""

    def chunks(self) -> t.Iterator[bytes]:
        """The bytes, in pieces."""


def announcement(wish: ImageWish, volume: str) -> t.Dict[str, t.Any]:
    """The attributes of an image that is about to get its bytes: all that was asked for, and the mark of one that is not whole yet.

    :param volume: What the image is made of, as ``Origin`` has it.
    """
    image_id = str(uuid.uuid4())
    # protection comes last: what fails must go again
    attributes = dict(replace(wish, protected=None).attributes(), **Origin(volume, UPLOAD, filling=True).properties(image_id))
    attributes.setdefault("visibility", "private")
    return dict(attributes, id=image_id, name=wish.name, disk_format=wish.disk_format, container_format=wish.container_format)


def publish(body: Body, attributes: t.Mapping[str, t.Any], *, images: Images, store: t.Optional[str] = None, base: t.Optional[str] = None) -> Image:
    """A new image with these bytes; the mark that it is not whole stays on it. Whatever goes wrong, no image is left behind.

    :param attributes: From ``announcement``.
    :param store: Where the bytes shall lie; None for the default store.
    :param base: The id of the image from which this one descends.
    :raises IntegrityError: Glance has something else than was sent.
    """
    image = images.announce(attributes)
    try:
        return _send(image, body, images, store, base)
    except BaseException:
        images.discard(image)
        raise


def _send(image: Image, body: Body, images: Images, store: t.Optional[str], base: t.Optional[str]) -> Image:
    with contextlib.ExitStack() as stack:
        algorithms = (_ALGORITHM,) if body.repeatable else (_ALGORITHM, _CHECKSUM)
        passed = _Passed(body, {name: stack.enter_context(Digest(name)) for name in algorithms})
        image = images.upload(image, passed.chunks(), size=body.size, store=store, base=base)
        hashes = {name: digest.finish() for name, digest in passed.digests.items()}
    algorithm, arrived = (image.hash_algo or _ALGORITHM, image.hash_value) if image.hash_value else (_CHECKSUM, image.checksum)
    if algorithm not in hashes and not body.repeatable:
        algorithm, arrived = _CHECKSUM, image.checksum
    if algorithm not in hashes and arrived:
        with Digest(algorithm) as digest:
            for dummy in _Passed(body, {algorithm: digest}).chunks():
                pass
            hashes[algorithm] = digest.finish()
    sent = hashes.get(algorithm)
    if image.status != ACTIVE or image.size != passed.bytes or arrived and arrived != sent:
        raise IntegrityError(
            "Glance has not what was sent: image %s is %s with %s bytes and %s %s; sent were %d bytes with %s; the image was removed"
            % (image.id, image.status, image.size, algorithm, arrived, passed.bytes, sent), found=arrived, promised=sent)
    return image


class _Passed:
    """Bytes on their way, counted and hashed.

    :ivar bytes: How many passed.
    """

    def __init__(self, body: Body, digests: t.Mapping[str, Digest]) -> None:
        self._body = body
        self.digests = digests
        self.bytes = 0

    def chunks(self) -> t.Iterator[bytes]:
        """The same pieces."""
        for chunk in self._body.chunks():
            for digest in self.digests.values():
                digest.put(chunk)
            self.bytes += len(chunk)
            yield chunk
