# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_results import made_result, volume_result
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
