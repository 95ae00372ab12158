# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import Disk
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_making import TRIES, Equipment, Maker, data_disks, encoded
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_wishes import DataVolume
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request
from ansible_collections.bootable.volumes.tests.unit.fakes.servers import ServerCloud


@pytest.fixture
def cloud() -> ServerCloud:
    return ServerCloud()


def volume(cloud: ServerCloud) -> str:
    found = cloud.volumes.create(Wish("web-1-root", 1, image=cloud.image)).id
    cloud.pass_by()
    return found


def maker(cloud: ServerCloud) -> Maker:
    return Maker(cloud.servers, flavor="1", equipment=Equipment(networks="none"), metadata={"a": "b"}, marks={"c": "d"}, job=cloud.job())


def test_made_once_with_what_it_shall_remember(cloud: ServerCloud) -> None:
    root = volume(cloud)
    server, adopted = maker(cloud).make("web-1", root, [])
    assert not adopted and server.metadata == {"a": "b", "c": "d", "bootable_volume": root}
    again, adopted = maker(cloud).make("web-1", root, [])
    assert adopted and again.id == server.id


def test_a_server_that_nova_does_not_list_yet(cloud: ServerCloud) -> None:
    root = volume(cloud)
    server, dummy = maker(cloud).make("web-1", root, [])
    hidden = cloud.nova.servers.pop(server.id)

    def sleep(seconds: float) -> None:
        cloud.nova.servers[server.id] = hidden

    cloud.clock.sleep = sleep  # type: ignore[method-assign]
    assert maker(cloud).make("web-1", root, []) == (cloud.servers.get(server.id), True)


def test_a_volume_that_somebody_else_has(cloud: ServerCloud) -> None:
    root = volume(cloud)
    maker(cloud).make("other", root, [])
    with pytest.raises(InvalidInput, match="status must be 'available'"):
        maker(cloud).make("web-1", root, [])
    assert [line for line in cloud.nova.sent if line == "POST /servers"] == ["POST /servers"] * (1 + TRIES)


def test_a_nova_that_does_not_answer(cloud: ServerCloud) -> None:
    def interrupt(request: Request) -> None:
        if request.line == "POST /servers":
            raise Refused(503, "come back later")

    cloud.nova.interrupt = interrupt
    with pytest.raises(BackendError, match="come back later"):
        maker(cloud).make("web-1", volume(cloud), [])


def test_user_data_are_encoded_and_bounded() -> None:
    assert encoded(None) is None and encoded("a") == "YQ==" and len(encoded("x" * 49149) or "") == 65532
    with pytest.raises(InvalidInput, match="user_data"):
        encoded("x" * 49152)


def test_data_volumes_become_devices() -> None:
    assert data_disks([DataVolume(size=1, bus="scsi", tag="t", delete=True)], ["v"]) == [Disk("v", bus="scsi", tag="t", delete=True)]
