# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images that are there already: what is mended, what is drift, and in which stores they end."""

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, Drift, InUse, InvalidInput
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import NAME, Golden, run, task

# --- what is mended in place ---


@pytest.mark.parametrize("clones", [True, False])
@pytest.mark.parametrize("wish, attribute, value", [
    ({"tags": ("a",)}, "tags", ["a"]),
    ({"tags": ()}, "tags", []),
    ({"min_disk": 5}, "min_disk", 5),
    ({"protected": True}, "is_protected", True),
    ({"visibility": "community"}, "visibility", "community"),
    ({"properties": {"os_type": "linux"}}, "properties", {"os_distro": "debian", "os_type": "linux"}),
    ({"properties": {"os_distro": "devuan"}}, "properties", {"os_distro": "devuan"}),
])
def test_an_attribute_that_differs_is_changed(wish: t.Dict[str, t.Any], attribute: str, value: t.Any, clones: bool) -> None:
    cloud = Golden(clones=clones)
    made = run(cloud, tags=("x", "y"), properties={"os_distro": "debian"})["image"]
    cloud.pass_by()
    result = run(cloud, **wish)
    assert (result["how"], result["actions"]) == ("updated", ["update"])
    assert result["image"][attribute] == value
    assert {key: each for key, each in result["image"].items() if key not in (attribute, "checksum", "hash_value", "hash_algo", "locations")} == \
        {key: each for key, each in made.items() if key not in (attribute, "checksum", "hash_value", "hash_algo", "locations")}
    assert run(cloud, **wish)["actions"] == ["keep"]
    assert run(cloud)["actions"] == ["keep"], "what a task does not name was compared"


def test_the_diff_names_what_changes_and_no_more() -> None:
    cloud = Golden()
    run(cloud, tags=("x",), min_disk=1)
    plan = task(cloud, tags=("a", "b"), min_disk=1).plan()
    assert plan.diff() == {"before": {NAME: {"tags": ["x"]}}, "after": {NAME: {"tags": ["a", "b"]}}}


def test_the_diff_of_a_new_one() -> None:
    cloud = Golden()
    after = task(cloud, tags=("a",)).plan().diff()["after"][NAME]
    assert after == {"status": "active", "tags": ["a"], "volume": cloud.id, "disk_format": "raw", "container_format": "bare", "stores": ["rbd"]}


# --- drift ---


def foreign(cloud: Golden) -> str:
    """An image of that name which somebody else made."""
    return cloud.glance.add(NAME, b"theirs")


def other_format(cloud: Golden) -> str:
    """One of the volume, in another format."""
    return t.cast(str, run(cloud, disk_format="qcow2")["image"]["id"])


def other_method(cloud: Golden) -> str:
    """One of the volume, made in another way."""
    cloud.cinder.image_clones = set()
    image_id = run(cloud)["image"]["id"]
    cloud.cinder.image_clones = {"rbd"}
    return t.cast(str, image_id)


def deactivated(cloud: Golden) -> str:
    """One that cannot be used."""
    image_id = t.cast(str, run(cloud)["image"]["id"])
    cloud.glance.images[image_id]["status"] = "deactivated"
    return image_id


DRIFTS = pytest.mark.parametrize("make, what", [
    (foreign, "volume"), (other_format, "disk_format"), (other_method, "method"), (deactivated, "status")], ids=lambda each: getattr(each, "__name__", ""))


@DRIFTS
def test_drift_is_told_of(make: t.Callable[[Golden], str], what: str) -> None:
    cloud = Golden(clones=True)
    image_id = make(cloud)
    before = cloud.writes()
    with pytest.raises(Drift, match="%s .%s.* exists, but .*on_drift: replace" % (NAME, image_id)) as caught:
        run(cloud, method="clone")
    differences = caught.value.details["drift"][NAME]
    assert what in [each["what"] for each in differences] and all(each["found"] != each["wanted"] for each in differences)
    assert cloud.writes() == before


@DRIFTS
def test_drift_is_left(make: t.Callable[[Golden], str], what: str) -> None:
    cloud = Golden(clones=True)
    image_id = make(cloud)
    result = run(cloud, method="clone", on_drift="ignore")
    assert (result["actions"], result["how"], result["image"]["id"]) == (["keep"], "unchanged", image_id)


@DRIFTS
def test_drift_is_replaced_when_the_new_one_is_there(make: t.Callable[[Golden], str], what: str) -> None:
    cloud, seen = Golden(clones=True), []
    image_id = make(cloud)
    cloud.glance.interrupt = lambda request: seen.extend(
        image.status for image in cloud.made if request.line == "DELETE /v2/images/%s" % image_id and image.id != image_id)
    result = run(cloud, method="clone", on_drift="replace")
    assert (result["actions"], result["how"], result["method_used"]) == (["create", "remove"], "replaced", "clone")
    assert seen == ["active"] and cloud.image.id == result["image"]["id"] != image_id
    assert run(cloud, method="clone", on_drift="replace")["actions"] == ["keep"]


def test_an_old_one_that_may_not_go() -> None:
    cloud = Golden()
    cloud.glance.add(NAME, protected=True)
    with pytest.raises(InUse, match="is protected; set is_protected: false first"):
        run(cloud, on_drift="replace")
    assert len(cloud.made) == 1


def test_an_old_one_that_cannot_go() -> None:
    cloud = Golden()
    old = cloud.glance.add(NAME)
    cloud.glance.depended_on.add(old)
    with pytest.raises(InUse, match="the new image is there, but the old one stays: .*in use") as caught:
        run(cloud, on_drift="replace")
    assert caught.value.details["changed"] and caught.value.details["image"]["status"] == "active"
    cloud.glance.depended_on.clear()
    result = run(cloud, on_drift="replace")
    assert result["actions"] == ["keep", "remove"] and [image.id for image in cloud.made] == [caught.value.details["image"]["id"]]
    assert result["image"]["id"] == caught.value.details["image"]["id"]


def test_hidden_images_count() -> None:
    cloud = Golden()
    cloud.glance.add(NAME, os_hidden=True)
    with pytest.raises(Drift):
        run(cloud)


# --- stores ---


def states(result: t.Mapping[str, t.Any]) -> t.Dict[str, str]:
    """What has become of each store."""
    return {store: each["state"] for store, each in result["stores"].items()}


@pytest.mark.parametrize("asked, specs, bootable, base, rule, there", [
    (["file"], {}, True, "rbd", "explicit", ["file"]),
    (["cinder", "rbd"], {}, True, "rbd", "explicit", ["cinder", "rbd"]),
    ("all", {}, True, "rbd", "all", ["cinder", "file", "rbd"]),
    ("base", {}, True, "rbd,cinder", "base_image", ["cinder", "rbd"]),
    ("base", {"image_service:store_id": "file"}, True, "rbd", "base_image", ["rbd"]),
    (None, {"image_service:store_id": "cinder"}, True, "rbd", "volume_type", ["cinder"]),
    (None, {}, True, "rbd,web", "base_image", ["rbd"]),
    (None, {}, True, "rbd,file", "base_image", ["file", "rbd"]),
    (None, {}, False, "rbd", "default", ["file"]),
    (None, {"image_service:store_id": "cinder"}, False, "rbd", "volume_type", ["cinder"]),
], ids=["one", "several", "all", "base", "base, not the type's", "the type's", "the base's", "the base's, several", "not bootable", "not bootable, type's"])
def test_an_administrators_image_ends_where_it_belongs(asked: t.Any, specs: t.Dict[str, str], bootable: bool, base: str, rule: str,
                                                       there: t.List[str]) -> None:
    cloud = Golden(admin=True, stores=base)
    cloud.cinder.specs[cloud.cinder.types["rbd"]].update(specs)
    cloud.golden["bootable"] = bootable
    result = run(cloud, asked=asked)
    assert result["placement"]["rule"] == rule and sorted(result["placement"]["stores"]) == there
    assert sorted(result["image"]["stores"]) == there == sorted(cloud.image.stores)
    assert {state for store, state in states(result).items() if store in there} <= {"present", "copied"}
    assert {state for store, state in states(result).items() if store not in there} <= {"removed"}
    assert run(cloud, asked=asked)["actions"] == ["keep"]


def test_a_member_learns_the_store_of_the_type_from_cinders_answer() -> None:
    cloud = Golden()
    cloud.cinder.specs[cloud.cinder.types["rbd"]]["image_service:store_id"] = "cinder"
    assert task(cloud).plan().steps[0].data.rule == "base_image", "members do not see it beforehand"
    result = run(cloud)
    assert result["placement"]["rule"] == "volume_type" and result["image"]["stores"] == ["cinder"]


def test_a_default_that_is_denied_is_warned_of_and_not_asked_again() -> None:
    cloud, warnings = Golden(), []
    result = run(cloud, warnings=warnings)
    assert result["how"] == "created" and result["image"]["stores"] == ["file"]
    assert states(result) == {"file": "present", "rbd": "denied"}
    assert len(warnings) == 1 and "rbd: Glance did not copy" in warnings[0] and "policy copy_image" in warnings[0]
    for wish in ({}, {"min_disk": 2}, {}):
        writes, warned = cloud.writes(), list(warnings)
        assert run(cloud, warnings=warnings, **wish)["placement"] is None
        assert warnings == warned and not [line for line in cloud.writes()[len(writes):] if "import" in line]


def test_stores_that_were_asked_for_and_denied_fail_the_task() -> None:
    cloud = Golden()
    for how in ("created", "unchanged"):
        with pytest.raises(BackendError, match="is there, but not in all its stores: rbd: .*policy copy_image") as caught:
            run(cloud, asked=["file", "rbd"])
        details = caught.value.details
        assert (details["changed"], details["how"]) == (how == "created", how) and details["image"]["id"] == cloud.image.id
        assert states(details) == {"file": "present", "rbd": "denied"}
    cloud.glance.admin = True
    result = run(cloud, asked=["file", "rbd"])
    assert (result["how"], result["actions"], result["image"]["stores"]) == ("updated", ["place"], ["file", "rbd"])


def test_a_store_that_fails_stops_no_other() -> None:
    cloud = Golden(admin=True)
    cloud.glance.refusing = {"rbd"}
    with pytest.raises(BackendError, match="not in all its stores: rbd: ") as caught:
        run(cloud, asked="all")
    assert states(caught.value.details) == {"file": "present", "rbd": "failed", "cinder": "copied"}
    assert caught.value.details["placement"]["skipped"] == {"web": "it is read-only"}


@pytest.mark.parametrize("asked, words", [(["tape"], "no store 'tape'"), (["web"], "web, which is read-only"), ([], "an empty list")])
def test_stores_that_cannot_be_had_are_refused_first(asked: t.List[str], words: str) -> None:
    cloud = Golden()
    with pytest.raises(InvalidInput, match=words):
        run(cloud, asked=asked)
    assert cloud.made == []


def test_other_stores_later() -> None:
    cloud = Golden(admin=True)
    run(cloud, asked=["file"])
    result = run(cloud, asked=["rbd", "cinder"], min_disk=2)
    assert result["actions"] == ["update", "place"] and result["how"] == "updated"
    assert states(result) == {"rbd": "copied", "cinder": "copied", "file": "removed"}
    assert result["image"]["min_disk"] == 2
    assert run(cloud, asked=["rbd", "cinder"])["actions"] == ["keep"]
    assert run(cloud)["actions"] == ["keep"], "a task that names no stores took copies away that another one had asked for"


def test_a_clone_lies_where_its_volume_does_unless_stores_are_named() -> None:
    cloud = Golden(clones=True, admin=True)
    assert run(cloud)["placement"]["rule"] == "location"
    cloud.pass_by()
    result = run(cloud, asked=["cinder", "file"])
    assert result["actions"] == ["place"] and sorted(result["image"]["stores"]) == ["cinder", "file"] and result["method_used"] == "clone"
    assert run(cloud, asked=["cinder", "file"])["actions"] == run(cloud)["actions"] == ["keep"]


def test_copies_are_left_to_glance_where_nobody_waits() -> None:
    cloud = Golden(admin=True)
    run(cloud, wait=False)
    cloud.pass_by()
    result = run(cloud, wait=False)
    assert result["how"] == "adopted"
    cloud.pass_by()
    result = run(cloud)
    assert result["image"]["stores"] == ["rbd"]
    assert run(cloud)["actions"] == ["keep"]


def test_a_glance_with_one_store() -> None:
    cloud = Golden()
    cloud.glance.offered = {}
    result = run(cloud)
    assert result["placement"]["rule"] == "single" and result["image"]["stores"] == [] and result["stores"] == {}
    assert run(cloud)["actions"] == run(cloud, asked="all")["actions"] == ["keep"]


def test_killed_between_the_upload_and_the_copies() -> None:
    cloud = Golden(admin=True)

    def die(request: t.Any) -> None:
        if request.path.endswith("/import"):
            raise KeyboardInterrupt

    cloud.glance.interrupt = die
    with pytest.raises(KeyboardInterrupt):
        run(cloud)
    cloud.glance.interrupt = lambda request: None
    assert cloud.image.stores == ("file",)
    result = run(cloud)
    assert result["actions"] == ["place"] and result["image"]["stores"] == ["rbd"]
    assert run(cloud)["actions"] == ["keep"]
