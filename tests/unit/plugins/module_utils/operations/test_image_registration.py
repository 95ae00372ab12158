# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A volume that becomes an image as it is. What must never happen: that it is deleted with an image that was not wanted."""

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, Drift, InUse, InvalidInput, TimedOut, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import Golden, run
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request


def register(cloud: Golden, **how: t.Any) -> t.Dict[str, t.Any]:
    """A run of the task."""
    return run(cloud, **dict({"method": "register"}, **how))


def is_untouched(cloud: Golden) -> bool:
    """Whether the volume is as if nobody had ever wanted it for an image."""
    return cloud.golden["status"] == "available" and not cloud.golden["metadata"].keys() - {"readonly"} and \
        cloud.golden["metadata"].get("readonly", "False") == "False"


@pytest.mark.parametrize("how", [{"service": True}, {}], ids=["a service, by the new API", "a member, by the old one"])
def test_the_volume_is_the_image(how: t.Dict[str, bool]) -> None:
    cloud = Golden(**how)
    cloud.glance.multiple_locations = not how
    cloud.glance.location_api = bool(how)
    result = register(cloud)
    assert (result["how"], result["method_used"]) == ("created", "register")
    assert result["image"]["locations"] == ["cinder://cinder/%s" % cloud.id] and result["image"]["stores"] == ["cinder"]
    assert result["placement"]["rule"] == "location"
    assert cloud.golden["metadata"] == {"glance_image_id": cloud.image.id, "image_owner": "p1", "readonly": "True"}
    cloud.pass_by()
    assert cloud.content() == raw_disk() and cloud.id in cloud.cinder.volumes
    assert register(cloud)["actions"] == ["keep"]
    assert run(cloud)["method_used"] == "register"


def test_the_new_api_is_denied_and_the_old_one_is_open() -> None:
    cloud = Golden()
    cloud.glance.multiple_locations = True
    assert register(cloud)["method_used"] == "register"


@pytest.mark.parametrize("api", [True, False])
@pytest.mark.parametrize("protected", [None, True])
def test_denied_it_is_taken_back(api: bool, protected: t.Optional[bool]) -> None:
    cloud = Golden()
    cloud.glance.location_api = api
    with pytest.raises(Denied, match="locations are invisible.*role service .*show_multiple_locations.*method: clone"):
        register(cloud, protected=protected)
    assert cloud.made == [] and is_untouched(cloud)


@pytest.mark.parametrize("stores, url, there", [(["cinder"], "cinder://cinder/%s", ["cinder"]), (["cinder", "file"], "cinder://%s", ["cinder", "file"])])
def test_where_it_lies(stores: t.List[str], url: str, there: t.List[str]) -> None:
    cloud, asked = Golden(service=True, admin=True), []
    cloud.glance.interrupt = lambda request: asked.append(request.json["url"]) if request.line.startswith("POST") and "locations" in request.path else None
    assert register(cloud, asked=stores)["image"]["stores"] == there
    assert asked == [url % cloud.id]
    assert register(cloud, asked=stores)["actions"] == ["keep"]


def test_a_volume_is_never_taken_out_of_its_store() -> None:
    cloud = Golden(service=True, admin=True)
    register(cloud)
    cloud.pass_by()
    with pytest.raises(InvalidInput, match="is the volume %s, which would be deleted" % cloud.id):
        register(cloud, asked=["file"])
    assert cloud.id in cloud.cinder.volumes and cloud.image.stores == ("cinder",)


def test_a_store_without_volumes_is_never_referred_to() -> None:
    cloud = Golden(service=True)
    with pytest.raises(BackendError, match="Glance did not take volume golden .* still queued; its log says why"):
        register(cloud, asked=["file"])
    assert cloud.id in cloud.cinder.volumes
    assert cloud.image.status == "queued", "whether Glance goes on is not known, and the volume would go with the image"


@pytest.mark.parametrize("change, error, words", [
    ({"status": "in-use"}, InUse, "detach it first"),
    ({"metadata": {"glance_image_id": "i9"}}, InUse, "is the image i9 already"),
    ({"encrypted": True, "status": "error"}, InUse, "is error"),
])
def test_volumes_that_cannot_be_had(change: t.Dict[str, t.Any], error: t.Type[VolumesError], words: str) -> None:
    cloud = Golden(service=True)
    cloud.golden.update(change)
    with pytest.raises(error, match=words):
        register(cloud)
    assert cloud.made == []


# --- lost answers, second attempts ---


def after_location(cloud: Golden, then: t.Callable[[], None]) -> None:
    """Once Glance has heard of the location, something else happens."""
    answer = cloud.glance.add_location

    def add(request: Request, id: str) -> t.Any:
        cloud.glance.__dict__.pop("add_location", None)
        answer(request, id)
        then()
        return 202, None

    cloud.glance.__dict__["add_location"] = add


def fail(error: Exception) -> t.Callable[[], None]:
    """Something that raises it."""
    def raise_it() -> None:
        raise error
    return raise_it


@pytest.mark.parametrize("error", [ConnectionResetError("Connection reset by peer"), Refused(504, "Gateway Timeout"), Refused(500, "oh")])
def test_a_lost_answer_costs_nobody_the_volume(error: Exception) -> None:
    cloud = Golden(service=True)
    after_location(cloud, fail(error))
    with pytest.raises(BackendError):
        register(cloud)
    assert len(cloud.made) == 1
    result = register(cloud)
    assert result["how"] == "adopted" and result["method_used"] == "register"
    cloud.pass_by()
    assert cloud.id in cloud.cinder.volumes and register(cloud)["actions"] == ["keep"]


def test_killed_before_glance_has_heard() -> None:
    cloud = Golden(service=True)

    def die(request: Request) -> None:
        if request.path.endswith("/locations"):
            raise KeyboardInterrupt

    cloud.glance.interrupt = die
    with pytest.raises(KeyboardInterrupt):
        register(cloud)
    cloud.glance.interrupt = lambda request: None
    assert cloud.image.status == "queued"
    assert register(cloud)["how"] == "adopted"
    assert len(cloud.made) == 1 and cloud.id in cloud.cinder.volumes


@pytest.mark.parametrize("how", [{"method": "auto"}, {"method": "register", "wait": True}])
def test_out_of_time_and_adopted(how: t.Dict[str, t.Any]) -> None:
    cloud = Golden(service=True)
    cloud.glance.taking_in = 20.0
    with pytest.raises(TimedOut, match="to refer to volume golden") as caught:
        register(cloud, seconds=5)
    assert caught.value.details["unfinished"]["golden-1"]["id"] == cloud.image.id
    result = register(cloud, **how)
    assert (result["how"], result["method_used"]) == ("adopted", "register")
    assert len(cloud.made) == 1 and cloud.id in cloud.cinder.volumes


def test_without_waiting() -> None:
    cloud = Golden(service=True)
    result = register(cloud, wait=False)
    assert (result["how"], result["method_used"], result["image"]["status"]) == ("created", None, "queued")
    assert register(cloud)["method_used"] == "register"


@pytest.mark.parametrize("method", ["clone", "upload"])
@pytest.mark.parametrize("on_drift", ["fail", "replace"])
def test_what_is_about_to_be_a_volume_is_not_adopted_as_something_else(method: str, on_drift: str) -> None:
    cloud = Golden(service=True, admin=True, clones=True)
    register(cloud, wait=False)
    with pytest.raises((Drift, InUse)):
        run(cloud, method=method, on_drift=on_drift)
    cloud.pass_by()
    assert cloud.image.properties["bootable_method"] == "register" and cloud.id in cloud.cinder.volumes


def test_what_cinder_is_about_to_make_is_not_adopted_as_the_volume() -> None:
    cloud = Golden(service=True)
    run(cloud, wait=False)
    with pytest.raises(Drift, match="method is (clone|upload), not register"):
        register(cloud)


# --- drift ---


@pytest.mark.parametrize("method", ["clone", "upload"])
def test_it_goes_only_by_force(method: str) -> None:
    cloud = Golden(service=True)
    register(cloud)
    cloud.pass_by()
    with pytest.raises(Drift, match="method is register, not %s" % method):
        run(cloud, method=method)
    with pytest.raises(InUse, match="is the volume %s itself, which Glance would delete with it; set force: true" % cloud.id):
        run(cloud, method=method, on_drift="replace")
    assert cloud.id in cloud.cinder.volumes and cloud.image.status == "active"


def test_another_volumes_image_is_not_removed_with_its_volume() -> None:
    cloud = Golden(service=True)
    register(cloud)
    cloud.pass_by()
    silver = dict(cloud.golden, id="v2", name="silver", metadata={}, _later=[])
    cloud.cinder.volumes["v2"] = silver
    with pytest.raises(InUse, match="is the volume %s itself" % cloud.id):
        run(cloud, volume="silver", on_drift="replace")
    result = run(cloud, volume="silver", on_drift="replace", force=True)
    assert result["how"] == "replaced" and cloud.id not in cloud.cinder.volumes
