# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Downloads images, each to FOLDER/ID, and compares what arrived with the hash that Glance has: download.py FOLDER ID..."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import openstack

connection = openstack.connect()
for image_id in sys.argv[2:]:
    image = connection.image.get(f"/images/{image_id}").json()
    digest = hashlib.new(image["os_hash_algo"])
    with Path(sys.argv[1], image_id).open("wb") as file:
        for block in connection.image.get(f"/images/{image_id}/file", stream=True).iter_content(1024**2):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != image["os_hash_value"]:
        sys.exit(f"{image['name']} ({image_id}): Glance says {image['os_hash_value']}, what it sent has {digest.hexdigest()}")
