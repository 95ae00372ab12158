# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_making import Equipment
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_wishes import DataVolume
from ansible_collections.bootable.volumes.tests.unit.fakes.servers import NAMES, ServerCloud


@pytest.fixture
def cloud() -> ServerCloud:
    return ServerCloud()


def test_servers_go_and_volumes_stay(cloud: ServerCloud) -> None:
    cloud.boot()
    plan, result = cloud.remove("web-1", "web-2", "web-9")
    assert [step.action for step in plan.steps] == ["remove", "remove", "keep"]
    assert [server["name"] for server in result["servers"]] == ["web-1", "web-2"] and result["volumes"] == []
    assert cloud.booted() == {"web-3": "web-3-root"} and len(cloud.cinder.volumes) == 3
    assert not cloud.remove("web-1", "web-2")[0].changed
    volume = cloud.volume("web-1-root")["id"]
    cloud.boot()
    assert cloud.volume("web-1-root")["id"] == volume, "it boots from what stayed"
    cloud.assert_converged()


def test_volumes_go_where_that_is_asked_for(cloud: ServerCloud) -> None:
    for name in ("web-1-root-2", "web-1-data", "web-10-root"):
        cloud.volumes.create(Wish(name, 1))
    cloud.boot(names=("web-1",), data=(DataVolume(size=GIB),))
    dummy, result = cloud.remove("web-1", delete_volumes=True)
    assert sorted(volume["name"] for volume in result["volumes"]) == ["web-1-data-1", "web-1-root"]
    assert sorted(volume["name"] for volume in cloud.cinder.volumes.values()) == ["web-1-data", "web-1-root-2", "web-10-root"]
    assert not cloud.remove("web-1", delete_volumes=True)[0].changed


def test_volumes_that_an_earlier_run_left(cloud: ServerCloud) -> None:
    cloud.boot()
    cloud.remove()
    plan, result = cloud.remove(delete_volumes=True)
    assert [step.reason for step in plan.steps] == ["volumes that were made for it are left"] * 3
    assert result["servers"] == [] and len(result["volumes"]) == 3 and cloud.cinder.volumes == {}


def test_volumes_that_nova_removes(cloud: ServerCloud) -> None:
    cloud.boot(equipment=Equipment(delete=True))
    cloud.remove(delete_volumes=True)
    assert cloud.cinder.volumes == {} and cloud.nova.servers == {}


def test_volumes_that_others_hold(cloud: ServerCloud) -> None:
    cloud.boot()
    cloud.cinder.snapshots["s1"] = cloud.volume("web-2-root")["id"]
    before = cloud.writes()
    with pytest.raises(InUse, match="web-2-root is held by snapshot s1"):
        cloud.remove(delete_volumes=True)
    assert cloud.writes() == before


def test_one_that_cannot_be_removed_and_the_others_go(cloud: ServerCloud) -> None:
    cloud.boot()
    cloud.nova.undeletable.add("web-2")
    with pytest.raises(BackendError, match="the host does not answer") as caught:
        cloud.remove(delete_volumes=True)
    assert [server["name"] for server in caught.value.details["servers"]] == ["web-1", "web-3"] and list(caught.value.details["failures"]) == ["web-2"]
    assert sorted(volume["name"] for volume in cloud.cinder.volumes.values()) == ["web-2-root"]


def test_what_came_to_nothing_goes_too(cloud: ServerCloud) -> None:
    cloud.nova.failing.update({name: "no host" for name in NAMES})
    with pytest.raises(BackendError):
        cloud.boot()
    cloud.remove(delete_volumes=True)
    assert cloud.cinder.volumes == {} and cloud.nova.servers == {}
