# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

pytest.importorskip("glanceclient")

from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_store_info import ImageStoreInfo
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud


def test_what_there_is() -> None:
    cloud = FakeCloud()
    it = ImageStoreInfo(cloud=cloud)
    plan = it.plan()
    result = it.apply(plan)
    assert not plan.changed and cloud.writes() == []
    assert result["stores"][1] == {
        "id": "rbd", "type": None, "default": False, "read_only": False, "description": None, "weight": None, "properties": {}}
    assert result["default_store"] == "file" and "copy-image" in result["import_methods"]


def test_a_glance_with_one_store() -> None:
    cloud = FakeCloud()
    cloud.glance.offered = {}
    it = ImageStoreInfo(cloud=cloud)
    result = it.preview(it.plan())
    assert (result["stores"], result["default_store"]) == ([], None)
