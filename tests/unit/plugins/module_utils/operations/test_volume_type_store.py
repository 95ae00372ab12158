# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InUse, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_type_store import VolumeTypeStore
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud


@pytest.fixture
def cloud() -> FakeCloud:
    cloud = FakeCloud()
    cloud.cinder.admin = True
    return cloud


def run(cloud: FakeCloud, store: t.Optional[str], volume_type: str = "nfs") -> t.Tuple[Plan, t.Dict[str, t.Any]]:
    it = VolumeTypeStore(cloud=cloud, volume_type=volume_type, store=store)
    plan = it.plan()
    return plan, it.apply(plan) if plan.changed else it.preview(plan)


def test_set_changed_removed_and_each_only_once(cloud: FakeCloud) -> None:
    before = None
    for store in ("file", "rbd", None):
        plan, result = run(cloud, store, cloud.cinder.types["nfs"])
        assert plan.diff() == {"before": {"nfs": {"image_service:store_id": before}}, "after": {"nfs": {"image_service:store_id": store}}}
        assert result == {"volume_type": "nfs", "store": store}
        assert cloud.volumes.type_specs("nfs") == dict({"volume_backend_name": "nfs"}, **({"image_service:store_id": store} if store else {}))
        plan, result = run(cloud, store)
        assert not plan.changed and result == {"volume_type": "nfs", "store": store}
        before = store


def test_the_preview_writes_nothing(cloud: FakeCloud) -> None:
    it = VolumeTypeStore(cloud=cloud, volume_type="nfs", store="rbd")
    assert it.preview(it.plan()) == {"volume_type": "nfs", "store": "rbd"} and cloud.writes() == []


def test_what_there_is_is_told_when_something_is_not(cloud: FakeCloud) -> None:
    with pytest.raises(NotFound, match="no volume type 'nix'; this project may use: nfs, rbd"):
        run(cloud, "rbd", "nix")
    with pytest.raises(InvalidInput, match="no store 'tape'; there are: file, rbd, cinder, web"):
        run(cloud, "tape")
    with pytest.raises(InvalidInput, match="read-only"):
        run(cloud, "web")
    assert cloud.writes() == []


def test_who_may(cloud: FakeCloud) -> None:
    cloud.cinder.admin = False
    with pytest.raises(Denied, match="types_extra_specs:create.*for administrators"):
        run(cloud, "rbd")


def test_a_type_that_has_volumes(cloud: FakeCloud) -> None:
    cloud.volumes.create(Wish("web-1", 1, type="nfs"))
    with pytest.raises(InUse, match="currently in use.*retype or remove them"):
        run(cloud, "rbd")
