# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import image_result


def test_an_image():
    result = image_result(ImageDescription(name="debian", origin="glance", format="raw", size=1, checksums={"md5": "aa"}, id="1", properties={"x": "y"}))
    assert result == {"name": "debian", "id": "1", "origin": "glance", "format": "raw", "size": 1, "virtual_size": None, "min_disk": 0,
                      "checksums": {"md5": "aa"}}
