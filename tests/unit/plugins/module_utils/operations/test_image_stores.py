# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, BackendError, InvalidInput, NotFound, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_stores import ImageStores
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud


@pytest.fixture
def cloud() -> FakeCloud:
    cloud = FakeCloud()
    cloud.glance.admin = True
    return cloud


def operation(cloud: FakeCloud, names: t.Sequence[str], asked: t.Union[str, t.Sequence[str]], *, only: bool = False, **how: t.Any) -> ImageStores:
    return ImageStores(cloud=cloud, names=names, asked=asked, only=only, job=cloud.job(**how))


def run(cloud: FakeCloud, names: t.Sequence[str], asked: t.Union[str, t.Sequence[str]], **how: t.Any) -> t.Tuple[Plan, t.Dict[str, t.Any]]:
    it = operation(cloud, names, asked, **how)
    plan = it.plan()
    return plan, it.apply(plan) if plan.changed else it.preview(plan)


def reports(result: t.Mapping[str, t.Any]) -> t.List[t.Dict[str, str]]:
    """Of each image, what has become of each store."""
    return [{store: each["state"] for store, each in image["report"].items()} for image in result["images"]]


def test_several_images_to_their_stores_and_then_nothing_to_do(cloud: FakeCloud) -> None:
    ids = [cloud.glance.add("a"), cloud.glance.add("b", stores="rbd"), cloud.glance.add("c", stores="file,rbd")]
    plan, result = run(cloud, ["a", ids[1], "c"], ["rbd", "file"])
    assert [(step.action, step.subject, step.reason) for step in plan.steps] == [
        ("copy", "a", "it is not in rbd"), ("copy", "b", "it is not in file"), ("keep", "c", "it is where it belongs")]
    assert plan.diff() == {"before": {"a": {"stores": ["file"]}, "b": {"stores": ["rbd"]}},
                           "after": {"a": {"stores": ["file", "rbd"]}, "b": {"stores": ["file", "rbd"]}}}
    assert reports(result) == [{"rbd": "copied", "file": "present"}, {"rbd": "present", "file": "copied"}, {"rbd": "present", "file": "present"}]
    assert [image["id"] for image in result["images"]] == ids
    assert result["placement"] == {"stores": ["rbd", "file"], "rule": "explicit", "reason": "these stores were asked for", "skipped": {}}
    cloud.glance.sent.clear()
    plan, again = run(cloud, ids, ["rbd", "file"])
    assert not plan.changed and cloud.writes() == [] and [image["stores"] for image in again["images"]] == [image["stores"] for image in result["images"]]


def test_these_stores_and_no_others(cloud: FakeCloud) -> None:
    cloud.glance.add("a", stores="file,cinder")
    cloud.glance.add("b", stores="file,rbd")
    plan, result = run(cloud, ["a", "b"], ["rbd"], only=True)
    assert [(step.action, step.reason) for step in plan.steps] == [
        ("move", "it is not in rbd; it shall not be in file, cinder"), ("remove", "it shall not be in file")]
    assert reports(result) == [{"rbd": "copied", "file": "removed", "cinder": "removed"}, {"rbd": "present", "file": "removed"}]
    assert [image["stores"] for image in result["images"]] == [["rbd"], ["rbd"]]
    assert not run(cloud, ["a", "b"], ["rbd"], only=True)[0].changed


def test_everywhere_leaves_out_what_cannot_be_written_to(cloud: FakeCloud) -> None:
    cloud.glance.add("a")
    dummy, result = run(cloud, ["a"], "all")
    assert result["images"][0]["stores"] == ["file", "rbd", "cinder"] and result["placement"]["skipped"] == {"web": "it is read-only"}


def test_a_glance_with_one_store_has_it_everywhere_and_knows_no_names(cloud: FakeCloud) -> None:
    cloud.glance.offered = {}
    cloud.glance.add("a")
    plan, result = run(cloud, ["a"], "all", only=True)
    assert not plan.changed and result["placement"]["rule"] == "single" and result["images"][0]["stores"] == []
    with pytest.raises(InvalidInput, match="only one store"):
        run(cloud, ["a"], ["file"])


def test_the_preview_tells_what_would_be_done_and_does_nothing(cloud: FakeCloud) -> None:
    cloud.glance.add("a", stores="file,cinder")
    it = operation(cloud, ["a"], ["rbd", "cinder"], only=True)
    plan = it.plan()
    assert plan.diff() == {"before": {"a": {"stores": ["cinder", "file"]}}, "after": {"a": {"stores": ["cinder", "rbd"]}}}
    result = it.preview(plan)
    assert reports(result) == [{"rbd": "missing", "cinder": "present", "file": "surplus"}]
    assert cloud.writes() == []


def test_what_another_run_is_at_is_adopted(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("a")
    cloud.stores.copy(image_id, ["rbd"])
    cloud.clock.sleep(1)
    plan, result = run(cloud, ["a"], ["rbd"])
    assert [(step.action, step.reason) for step in plan.steps] == [("adopt", "an import is under way; it is not in rbd")]
    assert reports(result) == [{"rbd": "copied"}]


def test_without_waiting(cloud: FakeCloud) -> None:
    cloud.glance.add("a")
    dummy, result = run(cloud, ["a"], ["rbd"], only=True, wait=False)
    assert reports(result) == [{"rbd": "pending", "file": "pending"}]


def test_one_that_fails_does_not_stop_the_others_and_is_told_of(cloud: FakeCloud) -> None:
    first, second = cloud.glance.add("a"), cloud.glance.add("b")
    cloud.glance.unreadable = {first}
    with pytest.raises(BackendError, match="^1 of 2 images could not be brought to their stores: a: rbd: .*Internal Error") as caught:
        run(cloud, ["a", "b"], ["rbd"])
    details = caught.value.details
    assert reports(details) == [{"rbd": "failed"}, {"rbd": "copied"}] and details["changed"]
    assert list(details["failures"]) == ["a"] and [image["id"] for image in details["images"]] == [first, second]
    assert reports(run(cloud, ["b"], ["rbd"])[1]) == [{"rbd": "present"}]


def test_missing_rights_say_which_policy(cloud: FakeCloud) -> None:
    cloud.glance.admin = False
    cloud.glance.add("a")
    with pytest.raises(Denied, match="policy copy_image") as caught:
        run(cloud, ["a"], ["rbd"])
    assert not caught.value.details["changed"] and reports(caught.value.details) == [{"rbd": "denied"}]


def test_too_late(cloud: FakeCloud) -> None:
    cloud.glance.add("a")
    cloud.glance.add("b", stores="rbd,cinder")
    with pytest.raises(TimedOut, match="1 of 2 images .* a: timed out after 4 s") as caught:
        run(cloud, ["a", "b"], ["rbd", "cinder"], seconds=4)
    assert reports(caught.value.details) == [{"rbd": "pending", "cinder": "pending"}, {"rbd": "present", "cinder": "present"}]
    assert caught.value.details["changed"] and "image" not in caught.value.details


def test_an_image_that_goes_away_meanwhile(cloud: FakeCloud) -> None:
    cloud.glance.add("a")
    it = operation(cloud, ["a"], ["rbd"])
    plan = it.plan()
    cloud.glance.images.clear()
    with pytest.raises(NotFound) as caught:
        it.apply(plan)
    assert reports(caught.value.details) == [{"rbd": "missing"}] and not caught.value.details["changed"]


def test_all_that_is_wrong_with_the_names_is_told_at_once(cloud: FakeCloud) -> None:
    cloud.glance.add("a")
    with pytest.raises(NotFound, match="'x'.*'y'"):
        run(cloud, ["x", "a", "y"], ["rbd"])
    cloud.glance.add("twin")
    cloud.glance.add("twin")
    with pytest.raises(Ambiguous):
        run(cloud, ["twin"], ["rbd"])
    with pytest.raises(InvalidInput, match="empty list"):
        run(cloud, [], ["rbd"])


def test_an_image_that_is_named_twice(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("a")
    with pytest.raises(InvalidInput, match="'a' and '%s' are the same image" % image_id):
        run(cloud, ["a", image_id], ["rbd"])


def test_images_that_share_a_name_keep_apart(cloud: FakeCloud) -> None:
    ids = [cloud.glance.add("twin"), cloud.glance.add("twin")]
    plan, dummy = run(cloud, ids, ["rbd"])
    assert [step.subject for step in plan.steps] == ["twin (%s)" % each for each in ids]


@pytest.mark.parametrize("status", ["queued", "importing", "deactivated"])
def test_an_image_without_data_is_refused_before_anything_is_written(cloud: FakeCloud, status: str) -> None:
    cloud.glance.add("a")
    cloud.glance.add("b", status=status)
    with pytest.raises(InvalidInput, match="b .* is %s" % status):
        run(cloud, ["a", "b"], ["rbd"])
    assert cloud.writes() == []


def test_stores_that_are_not_there(cloud: FakeCloud) -> None:
    with pytest.raises(InvalidInput, match="no store 'tape'; there are: file, rbd, cinder, web"):
        run(cloud, ["a"], ["tape"])
