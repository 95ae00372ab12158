# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

pytest.importorskip("glanceclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.stores import Store
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request


@pytest.fixture
def cloud() -> FakeCloud:
    cloud = FakeCloud()
    cloud.glance.admin = True
    return cloud


# --- which there are ---


def test_what_a_member_sees_of_the_stores(cloud: FakeCloud) -> None:
    cloud.glance.admin = False
    assert cloud.stores.list() == [
        Store("file", default=True), Store("rbd"), Store("cinder", description="as volumes"), Store("web", read_only=True)]


def test_what_an_administrator_sees_of_them(cloud: FakeCloud) -> None:
    rbd = cloud.stores.list()[1]
    assert rbd == Store("rbd", type="rbd", weight=100, properties={"pool": "images"})
    assert cloud.glance.sent == ["GET /v2/info/stores/detail"]


def test_a_glance_with_one_store(cloud: FakeCloud) -> None:
    cloud.glance.offered = {}
    assert cloud.stores.list() == []


@pytest.mark.parametrize("status", [404, 500])
def test_details_that_cannot_be_had(cloud: FakeCloud, status: int) -> None:
    def refuse(request: Request) -> None:
        if request.path.endswith("/detail"):
            raise Refused(status, "no")

    cloud.glance.interrupt = refuse
    assert [store.id for store in cloud.stores.list()] == ["file", "rbd", "cinder", "web"]


def test_a_glance_that_is_away(cloud: FakeCloud) -> None:
    def refuse(request: Request) -> None:
        raise Refused(503, "away")

    cloud.glance.interrupt = refuse
    with pytest.raises(BackendError, match="did not list its stores: away"):
        cloud.stores.list()


def test_ways_to_import(cloud: FakeCloud) -> None:
    assert cloud.stores.import_methods() == ["glance-direct", "web-download", "copy-image"]


# --- copying ---


def test_a_copy_locks_the_image_until_it_is_done(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    cloud.stores.copy(image_id, ["rbd", "cinder"])
    locked = cloud.images.get(image_id)
    assert locked.import_task and locked.stores == ("file",)
    cloud.clock.sleep(4)
    arriving = cloud.images.get(image_id)
    assert arriving.stores == ("file", "rbd") and arriving.importing_to == ("cinder",) and arriving.import_task == locked.import_task
    cloud.clock.sleep(4)
    done = cloud.images.get(image_id)
    assert done.stores == ("file", "rbd", "cinder") and not done.importing_to and done.import_task is None
    (task,) = cloud.stores.tasks(image_id)
    assert (task.id, task.status) == (locked.import_task, "success")
    cloud.glance.admin = False
    assert cloud.stores.tasks(image_id) == []


def test_a_store_that_refuses_does_not_undo_the_others(cloud: FakeCloud) -> None:
    cloud.glance.refusing = {"rbd"}
    image_id = cloud.glance.add("debian")
    cloud.stores.copy(image_id, ["rbd", "cinder"])
    cloud.clock.sleep(10)
    image = cloud.images.get(image_id)
    assert (image.stores, image.failed_import) == (("file", "cinder"), ("rbd",))


def test_what_glance_refuses_to_copy(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", stores="file,rbd")
    with pytest.raises(InvalidInput, match="copy image %s to cinder, rbd: Image is already present at store 'rbd'" % image_id):
        cloud.stores.copy(image_id, ["cinder", "rbd"])
    with pytest.raises(InUse, match="identifier tape not found"):
        cloud.stores.copy(image_id, ["tape"])
    cloud.stores.copy(image_id, ["cinder"])
    with pytest.raises(InUse, match="active task"):
        cloud.stores.copy(image_id, ["cinder"])
    cloud.glance.admin = False
    with pytest.raises(Denied, match="copy_image"):
        cloud.stores.copy(image_id, ["cinder"])


# --- removing ---


def test_removing_from_one_store(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", stores="file,rbd,cinder")
    cloud.stores.remove(image_id, "file")
    assert cloud.images.get(image_id).stores == ("rbd", "cinder")
    with pytest.raises(NotFound, match="not stored in store file"):
        cloud.stores.remove(image_id, "file")
    with pytest.raises(InUse, match="tape is not available"):
        cloud.stores.remove(image_id, "tape")
    cloud.stores.remove(image_id, "rbd")
    with pytest.raises(Denied, match="only store"):
        cloud.stores.remove(image_id, "cinder")
