# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an image of a volume in Cinder comes about: each method, and each way in which it can go."""

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, NotFound, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import NAME, Golden, run

STORE_OF_TYPE = {"image_service:store_id": "file"}


def of_type(cloud: Golden, name: str, **specs: str) -> None:
    """Make the volume one of another type."""
    cloud.golden["volume_type"] = name
    cloud.cinder.specs[cloud.cinder.types[name]].update(specs)


# --- auto: what came of it, and why ---


@pytest.mark.parametrize("clones, volume_type, specs, wish, method, reason", [
    (True, "rbd", {}, {}, "clone", "Cinder cloned the volume"),
    (True, "rbd", {}, {"disk_format": "qcow2"}, "upload", "clones only for raw images in a bare container"),
    (True, "rbd", {}, {"container_format": "ova"}, "upload", "clones only for raw images in a bare container"),
    (True, "rbd", STORE_OF_TYPE, {}, "upload", "the volume type names the store file, with which newer releases cannot clone"),
    (True, "nfs", {}, {}, "upload", "its driver cannot, as NFS"),
    (False, "rbd", {}, {}, "upload", "image_upload_use_cinder_backend is off"),
], ids=["cloned", "not raw", "not bare", "store of the type", "NFS", "clones are off"])
def test_auto(clones: bool, volume_type: str, specs: t.Dict[str, str], wish: t.Dict[str, str], method: str, reason: str) -> None:
    cloud = Golden(clones=clones, admin=True)
    of_type(cloud, volume_type, **specs)
    result = run(cloud, **wish)
    assert (result["how"], result["method_used"], result["actions"]) == ("created", method, ["create"])
    assert reason in result["method_reason"]
    assert result["image"]["status"] == "active" and result["image"]["name"] == NAME and result["image"]["size"] == 1024 ** 3
    assert bool(cloud.cinder.image_volumes) is (method == "clone")
    cloud.pass_by()
    assert cloud.content() == raw_disk()
    assert not [key for key in cloud.golden["metadata"] if key.startswith("bootable_image_request")]

    again = run(cloud, **wish)
    assert (again["how"], again["method_used"], again["actions"]) == ("unchanged", method, ["keep"])
    assert again["image"]["id"] == result["image"]["id"] and again["placement"] is None


def test_by_name_and_by_id() -> None:
    cloud = Golden()
    result = run(cloud, volume=cloud.id)
    assert result["volume"]["name"] == "golden"
    assert run(cloud)["actions"] == ["keep"]


def test_no_such_volume() -> None:
    with pytest.raises(NotFound, match="no volume 'silver' in this storage"):
        run(Golden(), volume="silver")


def test_what_it_does_not_own_is_not_looked_at() -> None:
    cloud = Golden()
    cloud.glance.add(NAME, owner="p2", visibility="public")
    assert run(cloud)["how"] == "created"


# --- clone ---


def test_a_clone_that_was_asked_for() -> None:
    cloud = Golden(clones=True, service=True)
    result = run(cloud, method="clone")
    assert result["method_used"] == "clone"
    assert result["placement"]["rule"] == "location" and result["stores"] == {"cinder": {"state": "present", "reason": ""}}
    assert result["image"]["locations"] == ["cinder://cinder/%s" % next(iter(cloud.cinder.image_volumes))]


def test_a_clone_whose_location_nobody_tells() -> None:
    assert run(Golden(clones=True), method="clone")["image"]["locations"] == []


@pytest.mark.parametrize("protected", [None, True])
def test_a_clone_that_became_an_upload_is_removed(protected: t.Optional[bool]) -> None:
    cloud = Golden()
    with pytest.raises(BackendError, match="clone was asked for, but Cinder sent the bytes: .* The image .* was removed; method: auto would keep it"):
        run(cloud, method="clone", protected=protected)
    assert cloud.made == []
    assert "bootable_image_request" not in cloud.golden["metadata"]


@pytest.mark.parametrize("method", ["clone", "register"])
@pytest.mark.parametrize("wish", [{"disk_format": "qcow2"}, {"container_format": "ova"}])
def test_what_only_raw_images_can_be(method: str, wish: t.Dict[str, str]) -> None:
    cloud = Golden(clones=True)
    with pytest.raises(InvalidInput, match="%s makes an image of disk_format raw and container_format bare" % method):
        run(cloud, method=method, **wish)


# --- upload ---


def test_an_upload_that_became_a_clone_is_copied_out_of_it() -> None:
    cloud = Golden(clones=True, admin=True)
    result = run(cloud, method="upload")
    assert result["method_used"] == "upload" and "Glance copied the bytes and the clone was removed" in result["method_reason"]
    assert result["image"]["stores"] == ["rbd"]
    assert {store: each["state"] for store, each in result["stores"].items()} == {"rbd": "copied", "cinder": "removed"}
    assert not cloud.cinder.image_volumes and cloud.golden["status"] == "available"
    cloud.pass_by()
    assert run(cloud, method="upload")["actions"] == ["keep"]
    assert run(cloud)["method_used"] == "upload"


@pytest.mark.parametrize("protected", [None, True])
@pytest.mark.parametrize("asked", [None, ["file"]])
def test_a_member_cannot_have_it_copied_so_the_image_is_removed(asked: t.Optional[t.List[str]], protected: t.Optional[bool]) -> None:
    cloud = Golden(clones=True)
    with pytest.raises(BackendError, match="upload was asked for, but .* could not be copied out of the clone; .*not authorized.* was removed") as caught:
        run(cloud, method="upload", asked=asked, protected=protected)
    assert not isinstance(caught.value, Denied)
    assert cloud.made == [] and not cloud.cinder.image_volumes
    assert cloud.golden["status"] == "available"


def test_an_upload_to_the_very_store_of_the_clone_is_none() -> None:
    cloud = Golden(clones=True, admin=True)
    with pytest.raises(BackendError, match="could not be copied out of the clone. The image .* was removed"):
        run(cloud, method="upload", asked=["cinder"])
    assert cloud.made == []


# --- force ---


@pytest.mark.parametrize("status, wish, allowed, error, words", [
    ("in-use", {}, True, InUse, "is in-use; detach it, or set force: true"),
    ("in-use", {"force": True}, False, InUse, "makes no images of attached volumes .enable_force_upload is off in cinder.conf.: detach golden"),
    ("reserved", {"force": True}, True, InUse, "is reserved; detach it"),
    ("maintenance", {"force": True}, True, InUse, "is maintenance"),
    ("error", {"force": True}, True, InUse, "is error; an image is made only of one that is whole"),
    ("in-use", {"method": "register", "force": True}, True, InUse, "only when nothing uses it any more"),
])
def test_volumes_that_are_not_at_hand(status: str, wish: t.Dict[str, t.Any], allowed: bool, error: t.Type[VolumesError], words: str) -> None:
    cloud = Golden()
    cloud.cinder.force_upload = allowed
    cloud.golden["status"] = status
    with pytest.raises(error, match=words):
        run(cloud, **wish)
    assert cloud.made == []
    assert cloud.golden["status"] == status and "bootable_image_request" not in cloud.golden["metadata"]


def test_an_attached_volume_by_force() -> None:
    cloud = Golden()
    cloud.cinder.force_upload = True
    cloud.golden["status"] = "in-use"
    assert run(cloud, force=True)["how"] == "created"
    assert cloud.golden["status"] == "in-use"


def test_an_encrypted_volume() -> None:
    cloud = Golden()
    cloud.golden["encrypted"] = True
    with pytest.raises(InvalidInput, match="is encrypted; Cinder makes of it only raw images in a bare container"):
        run(cloud, disk_format="qcow2")
    assert run(cloud)["how"] == "created"


def test_a_type_that_the_project_does_not_see_any_more() -> None:
    cloud = Golden()
    cloud.cinder.interrupt = lambda request: hidden.update(types={} if request.path == "/types" else types)
    types, hidden = dict(cloud.cinder.types), vars(cloud.cinder)
    assert run(cloud)["how"] == "created"


# --- what it has ---


WISH = {"visibility": "shared", "protected": True, "tags": ("b", "a"), "min_disk": 3, "properties": {"os_distro": "debian", "a/b~c": "d"}}


@pytest.mark.parametrize("how", [
    {}, {"clones": True}, {"clones": True, "admin": True, "method": "upload"}, {"service": True, "method": "register"}],
    ids=["uploaded", "cloned", "copied out", "registered"])
def test_it_has_all_that_was_asked_for_and_keeps_it(how: t.Dict[str, t.Any]) -> None:
    cloud = Golden(**{key: value for key, value in how.items() if key != "method"})
    result = run(cloud, method=how.get("method", "auto"), **WISH)
    cloud.pass_by()
    image = cloud.image
    assert (image.visibility, image.protected, image.tags, image.min_disk) == ("shared", True, ("a", "b"), 3)
    assert image.properties["os_distro"] == "debian" and image.properties["a/b~c"] == "d"
    assert result["image"]["properties"] == {"os_distro": "debian", "a/b~c": "d"} and result["image"]["tags"] == ["a", "b"]
    assert run(cloud, method=how.get("method", "auto"), **WISH)["actions"] == ["keep"]


@pytest.mark.parametrize("clones", [True, False])
def test_nobody_sees_a_private_image_for_a_moment(clones: bool) -> None:
    cloud, seen = Golden(clones=clones), set()
    cloud.cinder.interrupt = cloud.glance.interrupt = lambda request: seen.update(each.visibility for each in cloud.made)
    run(cloud)
    assert seen == {"private"}


@pytest.mark.parametrize("clones", [True, False])
def test_it_is_public_from_the_first_moment_on(clones: bool) -> None:
    cloud, seen = Golden(clones=clones, admin=True), set()
    cloud.cinder.interrupt = cloud.glance.interrupt = lambda request: seen.update(each.visibility for each in cloud.made)
    run(cloud, visibility="public")
    assert seen == {"public"}


def test_public_images_are_for_administrators() -> None:
    cloud = Golden()
    with pytest.raises(Denied, match="upload_public.*; public images are for administrators"):
        run(cloud, visibility="public")
    assert cloud.made == [] and "bootable_image_request" not in cloud.golden["metadata"]


@pytest.mark.parametrize("wish, words", [
    ({"name": " "}, "name: an image's name has 1 to 255"),
    ({"properties": {"bootable_x": "1"}}, "rename bootable_x"),
    ({"min_disk": -1}, "min_disk: -1 is below 0"),
    ({"disk_format": "iso"}, "disk_format: Cinder makes raw, qcow2, .* not iso"),
    ({"container_format": "tgz"}, "container_format: Cinder knows bare, .* not tgz"),
])
def test_wishes_that_nobody_can_fulfil(wish: t.Dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        run(Golden(), **wish)


# --- properties that travel ---


@pytest.mark.parametrize("clones", [True, False])
def test_marks_that_cinder_copied_are_not_believed(clones: bool) -> None:
    """The volume was made from an image of ours; Cinder gives its properties to the volume, and on to the new image."""
    old = {"bootable_volume": "v0", "bootable_image": "i0", "bootable_method": "register", "bootable_state": "filling", "bootable_stores": "tape"}
    cloud = Golden(clones=clones, os_distro="debian", **old)
    assert cloud.golden["_image"]["bootable_volume"] == "v0"
    cloud.cinder.clones_images = True
    result = run(cloud)
    cloud.pass_by()
    image = cloud.image
    assert image.properties["bootable_volume"] == cloud.id and image.properties["bootable_image"] == image.id
    assert image.properties["bootable_method"] == result["method_used"] == ("clone" if clones else "upload")
    assert "bootable_state" not in image.properties and image.properties.get("bootable_stores") != "tape"
    assert image.properties["os_distro"] == "debian"
    assert run(cloud)["actions"] == ["keep"]


def test_a_volume_of_an_image_of_ours_is_no_image_itself() -> None:
    cloud = Golden()
    run(cloud)
    cloud.volumes.create(Wish("second", 1, image=cloud.image.id))
    cloud.pass_by()
    result = run(cloud, volume="second", name="golden-2")
    assert result["how"] == "created" and len(cloud.made) == 2
    assert run(cloud)["actions"] == run(cloud, volume="second", name="golden-2")["actions"] == ["keep"]
