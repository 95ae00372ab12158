# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images that are announced, filled, changed and made to refer to a volume one step after the other."""

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import Golden
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request

ID = "99999999-0000-4000-8000-000000000001"


@pytest.fixture
def cloud() -> Golden:
    return Golden()


def announced(cloud: Golden, **attributes: t.Any) -> Image:
    """A queued image."""
    return cloud.images.announce(dict({"name": "golden-1", "disk_format": "raw", "container_format": "bare"}, **attributes))


# --- what Glance says of an image ---


@pytest.mark.parametrize("said, attribute, value", [
    ({"stores": "fast,slow"}, "stores", ("fast", "slow")),
    ({"tags": ["b", "a"]}, "tags", ("a", "b")),
    ({"locations": [{"url": "cinder://vol/1", "metadata": {}}], "direct_url": "x"}, "locations", ("cinder://vol/1",)),
    ({"direct_url": "rbd://1"}, "locations", ("rbd://1",)),
    ({"os_glance_importing_to_stores": "fast,", "os_glance_x": "y"}, "importing_to", ("fast",)),
    ({"os_glance_failed_import": "slow"}, "failed_import", ("slow",)),
    ({"os_glance_import_task": "t1"}, "import_task", "t1"),
    ({"os_hidden": True}, "hidden", True),
    ({"owner": "p1"}, "owner", "p1"),
])
def test_what_it_says(said: t.Dict[str, t.Any], attribute: str, value: t.Any) -> None:
    image = Image.from_json(dict(said, id="1", status="active", os_type="linux"))
    assert getattr(image, attribute) == value
    assert image.properties == {"os_type": "linux"}


# --- announced and filled ---


def test_announced_with_everything_at_once(cloud: Golden) -> None:
    image = announced(cloud, id=ID, visibility="shared", protected=True, min_disk=2, tags=["a"], os_type="linux")
    assert (image.id, image.status, image.visibility, image.protected, image.min_disk, image.tags) == (ID, "queued", "shared", True, 2, ("a",))
    assert image.properties == {"os_type": "linux"}
    with pytest.raises(InUse, match="did not create image golden-1: .*already exists"):
        announced(cloud, id=ID)


def test_filled_in_the_store_that_was_named(cloud: Golden) -> None:
    image = cloud.images.upload(announced(cloud), iter([b"abc", b"def"]), size=6, store="cinder", base="i0")
    assert (image.status, image.size, image.stores) == ("active", 6, ("cinder",))
    headers = cloud.glance.received[-1]
    assert {key: headers[key] for key in ("x-image-meta-store", "x-openstack-base-image-ref", "x-openstack-image-size")} == {
        "x-image-meta-store": "cinder", "x-openstack-base-image-ref": "i0", "x-openstack-image-size": "6"}


def test_nothing_is_said_that_is_not_known(cloud: Golden) -> None:
    assert cloud.images.upload(announced(cloud), iter([b"abc"])).stores == ("file",)
    assert not {key for key in cloud.glance.received[-1] if key.lower().startswith(("x-image", "x-openstack-base", "x-openstack-image"))}


@pytest.mark.parametrize("store, error, words", [("tape", InvalidInput, "tape not found"), ("web", BackendError, "Adding images to store is disabled")])
def test_stores_that_do_not_take_it(cloud: Golden, store: str, error: t.Type[VolumesError], words: str) -> None:
    image = announced(cloud)
    with pytest.raises(error, match="take the bytes of image golden-1: .*%s" % words):
        cloud.images.upload(image, iter([b"abc"]), store=store)
    assert cloud.images.get(image.id).status == "queued"


# --- changed ---


def test_attributes_and_properties_come_and_go_at_once(cloud: Golden) -> None:
    image = announced(cloud, one="1", two="2")
    changed = cloud.images.change(image.id, {"two": "3", "tags": ["a"], "protected": True, "min_disk": 1, "a/b~c": "4"}, ["one"])
    assert changed == cloud.images.get(image.id)
    assert changed.properties == {"two": "3", "a/b~c": "4"} and (changed.tags, changed.protected, changed.min_disk) == (("a",), True, 1)
    assert cloud.images.change(image.id, {}, ["a/b~c"]).properties == {"two": "3"}


@pytest.mark.parametrize("values, without, error", [
    ({"status": "active"}, (), Denied), ({"os_glance_x": "1"}, (), Denied), ({"min_disk": "1"}, (), InvalidInput), ({}, ("nix",), InUse),
    ({"visibility": "public"}, (), Denied),
])
def test_what_cannot_be_changed(cloud: Golden, values: t.Dict[str, t.Any], without: t.Sequence[str], error: t.Type[VolumesError]) -> None:
    image = announced(cloud)
    with pytest.raises(error, match="did not change image %s" % image.id):
        cloud.images.change(image.id, dict(values, fine="1"), without)
    assert cloud.images.get(image.id) == image


@pytest.mark.parametrize("protected", [True, False])
def test_discarded(cloud: Golden, protected: bool) -> None:
    image = announced(cloud, protected=protected)
    cloud.images.discard(image)
    cloud.images.discard(image)
    assert cloud.made == []


def test_what_cannot_be_discarded_stays(cloud: Golden) -> None:
    image = announced(cloud)
    cloud.glance.depended_on.add(image.id)
    cloud.images.discard(image)
    assert [each.id for each in cloud.made] == [image.id]


# --- referring to a volume ---


def posted(cloud: Golden) -> t.List[str]:
    """How Glance was asked."""
    return [line.split()[0] for line in cloud.glance.writes() if ID in line]


@pytest.mark.parametrize("service, api, legacy, ways", [
    (True, True, False, ["POST"]),
    (False, True, True, ["POST", "PATCH"]),
    (True, False, True, ["POST", "PATCH"]),
], ids=["a service", "a member, where locations are visible", "an old Glance"])
def test_by_whichever_api_is_open(service: bool, api: bool, legacy: bool, ways: t.List[str]) -> None:
    cloud = Golden(service=service)
    cloud.glance.location_api, cloud.glance.multiple_locations = api, legacy
    announced(cloud, id=ID)
    cloud.images.add_location(ID, "cinder://%s" % cloud.id)
    assert posted(cloud) == ways
    cloud.pass_by()
    image = cloud.images.get(ID)
    assert (image.status, image.stores, image.size) == ("active", ("cinder",), 1024 ** 3)
    assert cloud.images.locations(image) == ("cinder://cinder/%s" % cloud.id,)


@pytest.mark.parametrize("api", [True, False])
def test_neither_is_open(api: bool) -> None:
    cloud = Golden()
    cloud.glance.location_api = api
    announced(cloud, id=ID)
    with pytest.raises(Denied, match="did not let image %s refer to cinder://%s: .*locations are invisible" % (ID, cloud.id)):
        cloud.images.add_location(ID, "cinder://%s" % cloud.id)


def test_an_answer_that_says_more_than_no_is_not_asked_for_twice() -> None:
    cloud = Golden(service=True)
    cloud.glance.multiple_locations = True
    announced(cloud, id=ID)
    cloud.images.add_location(ID, "cinder://%s" % cloud.id)
    with pytest.raises(InUse, match="prior operation is still in progress"):
        cloud.images.add_location(ID, "cinder://%s" % cloud.id)
    cloud.pass_by()
    with pytest.raises(InUse, match="if image status is active"):
        cloud.images.add_location(ID, "cinder://%s" % cloud.id)
    assert posted(cloud) == ["POST"] * 3


@pytest.mark.parametrize("error", [Refused(403, "no"), Refused(404, "what?"), Refused(500, "oh"), ConnectionResetError()])
def test_where_it_lies_is_told_or_not(cloud: Golden, error: Exception) -> None:
    def interrupt(request: Request) -> None:
        raise error

    image = announced(cloud)
    assert cloud.images.locations(image) == (), "for administrators and services"
    cloud.glance.interrupt = interrupt
    assert cloud.images.locations(image) == ()
    assert cloud.images.locations(Image("1", "x", "active", locations=("rbd://1",))) == ("rbd://1",)
