# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NoRoom, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume, Quota, Upload, Wish
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def made(cloud: FakeCloud, name: str = "web-1", size: int = 1, **wish: str) -> CinderVolume:
    """A volume that is there."""
    volume = cloud.volumes.create(Wish(name, size, **wish))  # type: ignore[arg-type]
    cloud.clock.sleep(10)
    return cloud.volumes.get(volume.id)


def test_what_cinder_says_of_a_volume() -> None:
    volume = CinderVolume.from_json({
        "id": "1", "name": None, "size": 2, "status": "in-use", "volume_type": "rbd", "availability_zone": "nova", "bootable": "true",
        "metadata": {"a": "b"}, "volume_image_metadata": {"image_id": "2"}, "created_at": "2026-01-01T00:00:00.000000",
        "attachments": [{"attachment_id": "3", "id": "1", "server_id": "4", "device": "/dev/vda", "host_name": None}],
    })
    assert (volume.name, volume.bootable, volume.image, volume.metadata) == ("", True, {"image_id": "2"}, {"a": "b"})
    assert (volume.attachments[0].id, volume.attachments[0].server, volume.attachments[0].device) == ("3", "4", "/dev/vda")


@pytest.mark.parametrize("said, bootable", [("true", True), ("false", False), (True, True), (None, False)])
def test_bootable_is_a_string(said: object, bootable: bool) -> None:
    assert CinderVolume.from_json({"id": "1", "size": 1, "status": "available", "bootable": said}).bootable is bootable


def test_listing_turns_pages(cloud: FakeCloud) -> None:
    cloud.cinder.page = 2
    for number in range(5):
        made(cloud, "web-%d" % number)
    assert len(cloud.volumes.list()) == 5
    assert [volume.name for volume in cloud.volumes.list(name="web-3")] == ["web-3"]


def test_listing_since(cloud: FakeCloud) -> None:
    made(cloud, "old")
    new = made(cloud, "new")
    assert [volume.name for volume in cloud.volumes.list(since=new.created_at)] == ["new"]


def test_listing_since_where_cinder_cannot() -> None:
    cloud = FakeCloud(newest=(3, 59))
    made(cloud, "old")
    new = made(cloud, "new")
    assert len(cloud.volumes.list(since=new.created_at)) == 2


def test_errors(cloud: FakeCloud) -> None:
    with pytest.raises(NotFound):
        cloud.volumes.get("nix")
    with pytest.raises(NotFound, match="Volume type with name nix could not be found"):
        cloud.volumes.create(Wish("web-1", 1, type="nix"))
    with pytest.raises(InvalidInput, match="Availability zone 'nix' is invalid"):
        cloud.volumes.create(Wish("web-1", 1, zone="nix"))
    cloud.cinder.limits["volumes"] = 0
    with pytest.raises(NoRoom, match="Maximum number of volumes allowed"):
        cloud.volumes.create(Wish("web-1", 1))
    with pytest.raises(Denied):
        cloud.cinder.limits["volumes"] = 1
        cloud.volumes.reset_state(made(cloud).id, "available")


def test_a_lost_answer(cloud: FakeCloud) -> None:
    cloud.cinder.unanswered.add("web-1")
    with pytest.raises(BackendError, match="Connection reset"):
        cloud.volumes.create(Wish("web-1", 1))


def test_deleting_what_is_gone_is_no_error(cloud: FakeCloud) -> None:
    volume = made(cloud)
    cloud.volumes.delete(volume.id)
    cloud.clock.sleep(10)
    cloud.volumes.delete(volume.id)
    assert cloud.volumes.list() == []


def test_deleting_what_is_being_made(cloud: FakeCloud) -> None:
    volume = cloud.volumes.create(Wish("web-1", 1))
    with pytest.raises(InvalidInput, match="Volume status must be available or error"):
        cloud.volumes.delete(volume.id)


def test_metadata(cloud: FakeCloud) -> None:
    volume = made(cloud, metadata={"a": "1", "b": "2"})  # type: ignore[arg-type]
    cloud.volumes.set_metadata(volume.id, {"b": "3"})
    cloud.volumes.delete_metadata(volume.id, "a")
    cloud.volumes.delete_metadata(volume.id, "a")
    assert cloud.volumes.get(volume.id).metadata == {"b": "3"}
    with pytest.raises(NotFound):
        cloud.volumes.delete_metadata("nix", "a")


def test_a_key_is_removed_with_one_request(cloud: FakeCloud) -> None:
    volume = made(cloud, metadata={"a": "1"})  # type: ignore[arg-type]
    before = len(cloud.cinder.sent)
    cloud.volumes.delete_metadata(volume.id, "a")
    assert len(cloud.cinder.sent) == before + 1


def test_attributes(cloud: FakeCloud) -> None:
    volume = made(cloud)
    cloud.volumes.set_bootable(volume.id, True)
    cloud.volumes.describe(volume.id, "a web server")
    now = cloud.volumes.get(volume.id)
    assert (now.bootable, now.description) == (True, "a web server")


def test_extending(cloud: FakeCloud) -> None:
    volume = made(cloud)
    cloud.volumes.extend(volume.id, 3, in_use=False)
    assert cloud.volumes.get(volume.id).status == "extending"
    cloud.clock.sleep(10)
    assert cloud.volumes.get(volume.id).size == 3


def test_what_old_cinders_cannot_do() -> None:
    cloud = FakeCloud(newest=(3, 27))
    volume = made(cloud)
    with pytest.raises(InvalidInput, match="attached volume"):
        cloud.volumes.extend(volume.id, 3, in_use=True)
    with pytest.raises(InvalidInput, match="microversion 3.68"):
        cloud.volumes.reimage(volume.id, "1")
    assert FakeCloud(newest=(3, 4)).volumes.messages(volume.id) == []


def test_messages_come_newest_first(cloud: FakeCloud) -> None:
    cloud.cinder.messages += [
        {"id": "1", "resource_uuid": "v", "user_message": "first", "created_at": "2026-01-01T00:00:01"},
        {"id": "2", "resource_uuid": "v", "user_message": "second", "created_at": "2026-01-01T00:00:02"},
        {"id": "3", "resource_uuid": "w", "user_message": "of another", "created_at": "2026-01-01T00:00:03"},
    ]
    assert cloud.volumes.messages("v") == ["second", "first"]


def test_types(cloud: FakeCloud) -> None:
    assert cloud.volumes.find_type("rbd") == cloud.volumes.find_type(cloud.cinder.types["rbd"]) == "rbd"
    assert cloud.volumes.default_type() == "rbd"
    with pytest.raises(NotFound, match="this project may use: nfs, rbd"):
        cloud.volumes.find_type("nix")


def test_quotas(cloud: FakeCloud) -> None:
    made(cloud, size=4)
    quotas = cloud.volumes.quotas()
    assert quotas["gigabytes"] == Quota(limit=1000, used=4)
    assert quotas["volumes_rbd"] == Quota(limit=-1, used=1)
    assert "id" not in quotas


def test_snapshots(cloud: FakeCloud) -> None:
    cloud.cinder.snapshots["s1"] = "v1"
    assert cloud.volumes.snapshots("v1") == ["s1"]
    assert cloud.volumes.snapshots("v2") == []


# --- what types know ---


def test_the_specs_of_a_type_as_members_and_administrators_see_them(cloud: FakeCloud) -> None:
    assert cloud.volumes.type_specs("rbd") == {}
    cloud.cinder.admin = True
    assert cloud.volumes.type_specs("rbd") == cloud.volumes.type_specs(cloud.cinder.types["rbd"]) == {"volume_backend_name": "rbd"}
    with pytest.raises(NotFound, match="no volume type 'nix'.*nfs, rbd"):
        cloud.volumes.type_specs("nix")


def test_one_spec_is_set_and_unset_and_the_others_stay(cloud: FakeCloud) -> None:
    cloud.cinder.admin = True
    for value in ("file", "rbd"):
        cloud.volumes.set_type_spec("rbd", "image_service:store_id", value)
        assert cloud.volumes.type_specs("rbd") == {"volume_backend_name": "rbd", "image_service:store_id": value}
    for dummy in range(2):
        cloud.volumes.unset_type_spec("rbd", "image_service:store_id")
        assert cloud.volumes.type_specs("rbd") == {"volume_backend_name": "rbd"}


def test_who_may_change_a_type_and_when(cloud: FakeCloud) -> None:
    with pytest.raises(Denied, match="did not set image_service:store_id of volume type rbd: .*types_extra_specs:create"):
        cloud.volumes.set_type_spec("rbd", "image_service:store_id", "file")
    cloud.cinder.admin = True
    with pytest.raises(NotFound, match="store nix could not be found"):
        cloud.volumes.set_type_spec("rbd", "image_service:store_id", "nix")
    cloud.volumes.create(Wish("web-1", 1, type="rbd"))
    with pytest.raises(InvalidInput, match="currently in use"):
        cloud.volumes.set_type_spec("rbd", "image_service:store_id", "file")


# --- images of volumes ---


def upload(cloud: FakeCloud, volume: CinderVolume, **how: t.Any) -> Upload:
    """Ask for an image of it."""
    return cloud.volumes.upload_to_image(
        volume.id, "golden", **dict({"disk_format": "raw", "container_format": "bare", "visibility": "private", "force": False}, **how))


def test_cinder_begins_an_image_and_tells_what_the_type_knows(cloud: FakeCloud) -> None:
    volume = made(cloud)
    cloud.cinder.specs[cloud.cinder.types["rbd"]]["image_service:store_id"] = "file"
    begun = upload(cloud, volume, disk_format="qcow2", visibility="shared")
    image = cloud.images.get(begun.image_id)
    assert (image.status, image.name, image.disk_format, image.visibility) == ("queued", "golden", "qcow2", "shared")
    assert begun.type_specs == {"volume_backend_name": "rbd", "image_service:store_id": "file"}
    assert cloud.volumes.get(volume.id).status == "uploading"
    with pytest.raises(InvalidInput, match="Updating volume metadata is not allowed for volumes in uploading status"):
        cloud.volumes.set_metadata(volume.id, {"a": "b"})
    with pytest.raises(InvalidInput, match="status must be available"):
        upload(cloud, volume)


def test_who_may_make_public_images(cloud: FakeCloud) -> None:
    volume = made(cloud)
    with pytest.raises(Denied, match="did not make an image of volume %s: .*upload_public" % volume.id):
        upload(cloud, volume, visibility="public")
    cloud.cinder.admin = True
    assert cloud.images.get(upload(cloud, volume, visibility="public").image_id).visibility == "public"


@pytest.mark.parametrize("allowed", [True, False])
def test_force_is_for_the_cloud_to_allow(cloud: FakeCloud, allowed: bool) -> None:
    volume = made(cloud)
    cloud.volume("web-1")["status"] = "in-use"
    cloud.cinder.force_upload = allowed
    if allowed:
        assert upload(cloud, volume, force=True).image_id
    else:
        with pytest.raises(InvalidInput, match="status must be available"):
            upload(cloud, volume, force=True)


def test_a_volume_is_made_read_only_and_writable(cloud: FakeCloud) -> None:
    volume = made(cloud)
    for readonly in (True, False):
        cloud.volumes.set_readonly(volume.id, readonly)
        assert cloud.volumes.get(volume.id).metadata == {"readonly": str(readonly)}


def test_messages_since(cloud: FakeCloud) -> None:
    cloud.cinder.messages += [
        {"id": "1", "resource_uuid": "v", "user_message": "before", "created_at": "2026-01-01T00:00:01.000000"},
        {"id": "2", "resource_uuid": "v", "user_message": "then", "created_at": "2026-01-01T00:00:02.000000"},
    ]
    assert cloud.volumes.messages("v", "2026-01-01T00:00:02Z") == ["then"]
    assert cloud.volumes.messages("v", "2026-01-01T00:00:03Z") == []
