# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

pytest.importorskip("glanceclient")

from ansible_collections.bootable.volumes.plugins.module_utils.openstack.stores import Store
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def test_what_a_member_sees_of_the_stores(cloud: FakeCloud) -> None:
    assert cloud.stores.list() == [Store("rbd"), Store("file", default=True)]
