# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a volume remembers of the image it was filled with."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, fields

from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription

FILLING = "filling"
READY = "ready"


@dataclass(frozen=True)
class Record:
    """Identity of a volume's content; kept by the driver wherever its back end can keep it.

    :param state: ``filling`` until the last byte is safe, then ``ready``.
    :param origin: ``glance``, ``file``, ``url``; or ``blank`` for a volume that was made empty.
    :param image_id: Glance's id, or None.
    :param image_name: For people.
    :param checksum: ``algorithm:hex`` of the image as stored, or None if the source promised none.
    """

    state: str
    origin: str
    image_id: t.Optional[str] = None
    image_name: t.Optional[str] = None
    checksum: t.Optional[str] = None

    def is_of(self, image: ImageDescription) -> bool:
        """Whether the content came from ``image``.

        The bytes decide where both sides know a checksum of the same kind; else Glance's id does.
        """
        if self.checksum:
            algorithm, dummy, digest = self.checksum.partition(":")
            if algorithm in image.checksums:
                return image.checksums[algorithm] == digest
        return self.image_id is not None and self.image_id == image.id

    def as_dict(self) -> t.Dict[str, t.Any]:
        """For results and for back ends that keep JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: t.Mapping[str, t.Any]) -> Record:
        """Back from ``as_dict``; fields of later versions are passed over.

        :raises TypeError: when a field that has no default is missing.
        """
        known = {item.name for item in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


# Strongest first: the one that a record keeps when the source promises several.
_ALGORITHMS = ("sha512", "sha384", "sha256", "sha224", "sha1", "md5")


def record_of(image: ImageDescription, state: str) -> Record:
    """The record of a volume that is being, or has been, filled with ``image``."""
    checksum = next(("%s:%s" % (name, image.checksums[name]) for name in _ALGORITHMS if name in image.checksums), None)
    return Record(state=state, origin=image.origin, image_id=image.id, image_name=image.name, checksum=checksum)
