# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, BackendError, InUse, InvalidInput, NoRoom, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import Disk, Flavor, Server, Servers, ServerWish
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish
from ansible_collections.bootable.volumes.tests.unit.fakes.http import session_with
from ansible_collections.bootable.volumes.tests.unit.fakes.servers import ServerCloud


@pytest.fixture
def cloud() -> ServerCloud:
    return ServerCloud()


def made(cloud: ServerCloud, name: str = "web-1", **wish: t.Any) -> str:
    """A server that runs; its id."""
    volume = cloud.volumes.create(Wish(name, 1, image=cloud.image)).id
    cloud.pass_by()
    server = cloud.servers.create(ServerWish(name, "1", (Disk(volume, boot=True),), networks="none", **wish))
    cloud.pass_by()
    return server


def test_what_nova_says_of_a_server() -> None:
    server = Server.from_json({
        "id": "1", "name": "a", "status": "ERROR", "OS-EXT-STS:task_state": None, "flavor": {"original_name": "tiny", "vcpus": 1}, "metadata": {"a": "b"},
        "OS-EXT-AZ:availability_zone": "nova", "OS-SRV-USG:launched_at": None, "fault": {"code": 500, "message": "No valid host was found."},
        "created": "2026-01-01T00:00:00Z", "addresses": {"front": []}, "key_name": None, "description": None,
        "os-extended-volumes:volumes_attached": [{"id": "v", "delete_on_termination": True}]})
    assert server == Server("1", "a", "ERROR", flavor="tiny", zone="nova", fault="No valid host was found.", created_at="2026-01-01T00:00:00Z",
                            metadata={"a": "b"}, addresses={"front": []}, volumes={"v": True})


def test_a_device_says_only_what_was_asked_for() -> None:
    assert Disk("v").as_json() == {
        "uuid": "v", "source_type": "volume", "destination_type": "volume", "boot_index": -1, "delete_on_termination": False}
    assert Disk("v", boot=True, bus="scsi", type="disk", tag="root", delete=True).as_json() == {
        "uuid": "v", "source_type": "volume", "destination_type": "volume", "boot_index": 0, "delete_on_termination": True,
        "disk_bus": "scsi", "device_type": "disk", "tag": "root"}


def test_made_looked_at_and_removed(cloud: ServerCloud) -> None:
    server = made(cloud, metadata={"a": "b"})
    found = cloud.servers.get(server)
    assert (found.name, found.status, found.flavor, found.launched, list(found.volumes)) == ("web-1", "ACTIVE", "tiny", True, [cloud.volume("web-1")["id"]])
    assert cloud.servers.console(server).startswith("BOOTABLE-GUEST-UP")
    cloud.servers.set_metadata(server, {"c": "d"})
    assert cloud.servers.get(server).metadata == {"a": "b", "c": "d"}
    cloud.servers.stop(server)
    cloud.pass_by()
    with pytest.raises(InUse, match="Nova did not stop server"):
        cloud.servers.stop(server)
    cloud.servers.start(server)
    cloud.servers.delete(server)
    cloud.pass_by()
    cloud.servers.delete(server)
    with pytest.raises(NotFound):
        cloud.servers.get(server)


def test_a_server_that_has_no_console_yet(cloud: ServerCloud) -> None:
    volume = cloud.volumes.create(Wish("a", 1, image=cloud.image)).id
    cloud.pass_by()
    server = cloud.servers.create(ServerWish("a", "1", (Disk(volume, boot=True),)))
    assert cloud.servers.console(server) == ""
    with pytest.raises(NotFound):
        cloud.servers.console("nix")


def test_listing_turns_pages(cloud: ServerCloud) -> None:
    for number in range(5):
        made(cloud, "web-%d" % number)
    cloud.nova.page = 2
    assert len(cloud.servers.list()) == 5


def test_those_that_are_being_built_page_by_page(cloud: ServerCloud) -> None:
    cloud.boot()
    cloud.nova.page, cloud.nova.seconds = 1, 30.0
    cloud.boot(names=("a", "b"), job=cloud.job(wait=False))
    assert cloud.servers.building() == {cloud.server("a")["id"], cloud.server("b")["id"]}
    cloud.pass_by()
    assert cloud.servers.building() == set()


def test_attached_later(cloud: ServerCloud) -> None:
    server = made(cloud)
    volume = cloud.volumes.create(Wish("data", 1)).id
    with pytest.raises(InvalidInput, match="status must be 'available'"):
        cloud.servers.attach(server, Disk(volume))
    cloud.pass_by()
    cloud.servers.attach(server, Disk(volume, tag="data", delete=True))
    assert cloud.servers.get(server).volumes[volume] is True


def test_flavors_and_groups_by_name_or_id(cloud: ServerCloud) -> None:
    assert cloud.servers.find_flavor("small") == cloud.servers.find_flavor("2") == Flavor("2", "small", 2, 512)
    with pytest.raises(NotFound, match="this project may use: small, tiny"):
        cloud.servers.find_flavor("nix")
    assert cloud.servers.find_group("apart") == cloud.servers.find_group("g1") == "g1"
    cloud.nova.groups.append({"id": "g2", "name": "apart"})
    with pytest.raises(Ambiguous, match="g1, g2"):
        cloud.servers.find_group("apart")


def test_a_quota_is_no_room(cloud: ServerCloud) -> None:
    cloud.nova.limits["maxTotalInstances"] = 0
    with pytest.raises(NoRoom, match="Quota exceeded for instances"):
        made(cloud)
    assert cloud.servers.limits()["maxTotalInstances"] == 0


def test_a_server_is_not_asked_for_twice(cloud: ServerCloud) -> None:
    cloud.nova.unanswered.add("web-1")
    with pytest.raises(BackendError):
        made(cloud)
    assert cloud.nova.writes() == ["POST /servers"]


def test_a_nova_that_is_too_old(cloud: ServerCloud) -> None:
    with pytest.raises(InvalidInput, match="offers microversion 2.42, and 2.47"):
        Servers.connect(session_with(cloud.nova), "http://nova/v2.1", newest=(2, 42), retries=0)
