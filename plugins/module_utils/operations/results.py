# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images as the tasks' results show them: one shape for all modules."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import PREFIX
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image

Result = t.Dict[str, t.Any]


def image_result(image: ImageDescription) -> Result:
    """An image; sizes in bytes, ``min_disk`` in GiB."""
    return {
        "name": image.name,
        "id": image.id,
        "origin": image.origin,
        "format": image.format,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "min_disk": image.min_disk,
        "checksums": dict(image.checksums),
    }


def stored_image_result(image: Image) -> Result:
    """An image in Glance, as it is stored; sizes in bytes, ``min_disk`` in GiB."""
    return {
        "id": image.id,
        "name": image.name,
        "status": image.status,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "min_disk": image.min_disk,
        "visibility": image.visibility,
        "is_protected": image.protected,
        "owner": image.owner,
        "tags": list(image.tags),
        "stores": list(image.stores),
        "locations": list(image.locations),
        "checksum": image.checksum,
        "hash_algo": image.hash_algo,
        "hash_value": image.hash_value,
        "properties": {key: value for key, value in image.properties.items() if not key.startswith(PREFIX)},
        "created_at": image.created_at,
    }
