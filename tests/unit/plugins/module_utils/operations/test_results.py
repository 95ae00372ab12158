# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import image_result, made_result, volume_result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, COPIED, Made, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record

VOLUME = Volume("web", "id-1", 4096, AVAILABLE, "in-use", "rbd", Record(READY, "glance", "1", "debian", "md5:aa"), {"bootable": True})


def test_a_volume():
    assert volume_result(VOLUME) == {
        "name": "web", "id": "id-1", "size": 4096, "state": "available", "status": "in-use", "location": "rbd",
        "image": {"state": "ready", "origin": "glance", "image_id": "1", "image_name": "debian", "checksum": "md5:aa"},
        "details": {"bootable": True},
    }
    assert volume_result(Volume("web", "id-1", 4096, AVAILABLE, "available", "rbd"))["image"] is None


def test_how_and_how_long():
    result = made_result(Made(VOLUME, COPIED, 1.23456))
    assert (result["how"], result["seconds"], result["name"]) == ("copied", 1.235, "web")


def test_an_image():
    result = image_result(ImageDescription(name="debian", origin="glance", format="raw", size=1, checksums={"md5": "aa"}, id="1", properties={"x": "y"}))
    assert result == {"name": "debian", "id": "1", "origin": "glance", "format": "raw", "size": 1, "virtual_size": None, "min_disk": 0,
                      "checksums": {"md5": "aa"}}
