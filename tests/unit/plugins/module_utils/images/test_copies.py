# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, NotFound, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.images.copies import Brought, bring
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request
from ansible_collections.bootable.volumes.tests.unit.fakes.stores import EXPIRY


@pytest.fixture
def cloud() -> FakeCloud:
    cloud = FakeCloud()
    cloud.glance.admin = True
    return cloud


def run(cloud: FakeCloud, image_id: str, missing: t.Sequence[str] = (), surplus: t.Sequence[str] = (), **how: t.Any) -> Brought:
    return bring(image_id, missing=missing, surplus=surplus, images=cloud.images, stores=cloud.stores, job=cloud.job(**how))


def states(brought: Brought) -> t.Dict[str, str]:
    """What has become of each store."""
    return {store: outcome.state for store, outcome in brought.stores.items()}


def at(cloud: FakeCloud, method: str, path: str, number: int, call: t.Callable[[Request], None]) -> None:
    """Call at the n-th request of a kind, before it is answered."""
    seen: t.List[str] = []

    def interrupt(request: Request) -> None:
        if request.method == method and request.path.endswith(path):
            seen.append(request.path)
            if len(seen) == number:
                call(request)

    cloud.glance.interrupt = interrupt


def refusal(status: int, words: str = "no") -> t.Callable[[Request], None]:
    """Glance's no to a request."""
    def refuse(request: Request) -> None:
        raise Refused(status, words)

    return refuse


# --- copying ---


def test_missing_stores_get_copies_and_nothing_else_is_asked(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    brought = run(cloud, image_id, ["file", "rbd", "cinder"])
    assert states(brought) == {"file": "present", "rbd": "copied", "cinder": "copied"}
    assert brought.image.stores == ("file", "rbd", "cinder") and brought.changed and not brought.troubles
    assert cloud.writes() == ["POST /v2/images/%s/import" % image_id]
    again = run(cloud, image_id, ["file", "rbd", "cinder"])
    assert not again.changed and len(cloud.writes()) == 1


def test_stores_that_would_make_glance_refuse_all_are_not_sent(cloud: FakeCloud) -> None:
    brought = run(cloud, cloud.glance.add("debian"), ["tape", "web", "rbd"])
    assert states(brought) == {"tape": "unknown", "web": "read_only", "rbd": "copied"}
    assert "there are: file, rbd, cinder, web" in brought.stores["tape"].reason
    assert set(brought.troubles) == {"tape", "web"}


def test_a_glance_with_one_store_knows_no_names(cloud: FakeCloud) -> None:
    cloud.glance.offered = {}
    brought = run(cloud, cloud.glance.add("debian"), ["rbd"])
    assert states(brought) == {"rbd": "unknown"} and "only one, without a name" in brought.stores["rbd"].reason
    assert cloud.writes() == []


def test_a_store_that_refuses_is_told_of_and_the_others_keep_their_copies(cloud: FakeCloud) -> None:
    cloud.glance.refusing = {"rbd"}
    brought = run(cloud, cloud.glance.add("debian"), ["rbd", "cinder"])
    assert states(brought) == {"rbd": "failed", "cinder": "copied"}
    assert "its log has more" in brought.stores["rbd"].reason
    assert brought.image.stores == ("file", "cinder")


def test_an_import_that_fails_as_a_whole_leaves_its_stores_listed_and_is_over_all_the_same(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    cloud.glance.unreadable = {image_id}
    brought = run(cloud, image_id, ["rbd", "cinder"])
    assert states(brought) == {"rbd": "failed", "cinder": "failed"}
    assert "Internal Error" in brought.stores["rbd"].reason and brought.image.importing_to == ("cinder", "rbd")
    cloud.glance.unreadable = set()
    assert states(run(cloud, image_id, ["rbd", "cinder"], wait=False)) == {"rbd": "pending", "cinder": "pending"}
    assert len(cloud.writes()) == 2, "what is only listed was taken for an import under way"


def test_missing_rights_are_an_outcome(cloud: FakeCloud) -> None:
    cloud.glance.admin = False
    brought = run(cloud, cloud.glance.add("debian"), ["rbd"])
    assert states(brought) == {"rbd": "denied"} and "policy copy_image" in brought.stores["rbd"].reason and not brought.changed


def test_a_glance_that_does_not_copy(cloud: FakeCloud) -> None:
    cloud.glance.import_methods.remove("copy-image")
    brought = run(cloud, cloud.glance.add("debian"), ["rbd"])
    assert states(brought) == {"rbd": "failed"} and "enabled_import_methods lack copy-image" in brought.stores["rbd"].reason


@pytest.mark.parametrize("status, state", [(413, "failed"), (400, "failed"), (409, "failed")])
def test_what_glance_refuses_in_other_words(cloud: FakeCloud, status: int, state: str) -> None:
    image_id = cloud.glance.add("debian")
    cloud.glance.interrupt = lambda request: refusal(status, "too much")(request) if request.method == "POST" else None
    brought = run(cloud, image_id, ["rbd"])
    assert states(brought) == {"rbd": state} and "too much" in brought.stores["rbd"].reason


@pytest.mark.parametrize("status", [409, 500, 503])
def test_a_refusal_that_passes(cloud: FakeCloud, status: int) -> None:
    image_id = cloud.glance.add("debian")
    at(cloud, "POST", "/import", 1, refusal(status))
    assert states(run(cloud, image_id, ["rbd"])) == {"rbd": "copied"}


def test_a_refusal_that_stays(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    cloud.glance.interrupt = lambda request: refusal(500, "broken")(request) if request.method == "POST" else None
    with pytest.raises(BackendError, match="broken") as caught:
        run(cloud, image_id, ["rbd"])
    assert caught.value.details["image"]["stores"] == ["file"]


def test_an_answer_that_never_came(cloud: FakeCloud) -> None:
    """Glance has the request, and the connection breaks."""
    image_id = cloud.glance.add("debian")

    def cut(request: Request) -> None:
        cloud.glance.start_import(request, image_id)
        raise ConnectionResetError("Connection reset by peer")

    at(cloud, "POST", "/import", 1, cut)
    assert states(run(cloud, image_id, ["rbd"])) == {"rbd": "copied"}
    assert len(cloud.glance.tasks) == 1


@pytest.mark.parametrize("status", ["queued", "importing", "deactivated"])
def test_an_image_that_cannot_be_copied(cloud: FakeCloud, status: str) -> None:
    with pytest.raises(InvalidInput, match="is %s" % status):
        run(cloud, cloud.glance.add("debian", status=status), ["rbd"])


def test_an_image_that_is_deleted_meanwhile(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    at(cloud, "GET", image_id, 3, lambda request: cloud.glance.images.clear())
    with pytest.raises(NotFound):
        run(cloud, image_id, ["rbd"])


def test_stores_with_the_same_trouble_are_told_of_together(cloud: FakeCloud) -> None:
    brought = run(cloud, cloud.glance.add("debian"), ["tape", "disc", "web"])
    assert brought.complaints == [
        "tape and disc: Glance does not have this store; there are: file, rbd, cinder, web", "web: nothing can be written to it"]


# --- one import at a time ---


def test_an_import_under_way_is_waited_for_and_its_copies_count(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    cloud.stores.copy(image_id, ["rbd"])
    brought = run(cloud, image_id, ["rbd", "cinder"])
    assert states(brought) == {"rbd": "copied", "cinder": "copied"}
    assert "under way already" in brought.stores["rbd"].reason and not brought.stores["cinder"].reason
    assert [task["status"] for task in cloud.glance.tasks.values()] == ["success", "success"]


def test_what_another_import_could_not_do_is_tried_again(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    cloud.glance.refusing = {"rbd"}
    cloud.stores.copy(image_id, ["rbd"])
    at(cloud, "POST", "/import", 2, lambda request: cloud.glance.refusing.clear())
    assert states(run(cloud, image_id, ["rbd"])) == {"rbd": "copied"}
    assert len(cloud.glance.tasks) == 2


def test_a_member_profits_from_an_administrators_import(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    cloud.stores.copy(image_id, ["rbd"])
    cloud.clock.sleep(1)
    cloud.glance.admin = False
    assert states(run(cloud, image_id, ["rbd", "cinder"])) == {"rbd": "copied", "cinder": "denied"}


def test_a_copy_that_arrives_just_before_ours_is_asked_for(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    at(cloud, "POST", "/import", 1, lambda request: cloud.glance.images[image_id].update(stores="file,rbd"))
    assert states(run(cloud, image_id, ["rbd", "cinder"])) == {"rbd": "copied", "cinder": "copied"}


def test_the_lock_of_a_dead_worker_is_told_of_and_passed_on_when_it_expires(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    cloud.glance.dead = True
    cloud.stores.copy(image_id, ["rbd"])
    cloud.glance.dead = False
    task = cloud.images.get(image_id).import_task
    with pytest.raises(TimedOut, match="The import %s .processing; last heard of at 2026-01-01T00:16:40.* 60 minutes after" % task) as caught:
        run(cloud, image_id, ["rbd", "cinder"], seconds=300)
    assert caught.value.details["image"]["stores"] == ["file"]
    assert states(run(cloud, image_id, ["rbd", "cinder"], seconds=EXPIRY)) == {"rbd": "copied", "cinder": "copied"}


def test_an_import_that_ended_without_letting_go_is_not_waited_for(cloud: FakeCloud) -> None:
    """As one does whose worker is stopped gracefully."""
    image_id = cloud.glance.add("debian")
    task = cloud.glance.lock(image_id, "api_image_import")
    task.update(status="failure", message="cannot schedule new futures after shutdown")
    started = cloud.clock.now()
    with pytest.raises(InUse, match="stays locked. The import %s .failure; last heard.*Run the task again then" % task["id"]):
        run(cloud, image_id, ["rbd"], seconds=EXPIRY)
    assert cloud.clock.now() - started < 120
    assert states(run(cloud, image_id, ["rbd"], seconds=2 * EXPIRY)) == {"rbd": "copied"}


def test_too_late_tells_how_far_it_got_and_the_next_run_goes_on(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    with pytest.raises(TimedOut) as caught:
        run(cloud, image_id, ["rbd", "cinder"], ["file"], seconds=4)
    assert caught.value.details["image"]["stores"] == ["file", "rbd"]
    assert {store: each["state"] for store, each in caught.value.details["image"]["report"].items()} == {"rbd": "pending", "cinder": "pending"}
    assert states(run(cloud, image_id, ["rbd", "cinder"], ["file"])) == {"rbd": "present", "cinder": "copied", "file": "removed"}
    assert len(cloud.glance.tasks) == 1


def test_glance_may_be_away_while_it_copies(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    started = cloud.clock.now()

    def away(request: Request) -> None:
        if started + 1 < cloud.clock.now() < started + 60:
            raise ConnectionRefusedError("Connection refused")

    cloud.glance.interrupt = away
    assert states(run(cloud, image_id, ["rbd"])) == {"rbd": "copied"}


def test_glance_may_not_be_away_for_ever(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    started = cloud.clock.now()

    def away(request: Request) -> None:
        if started + 1 < cloud.clock.now():
            raise ConnectionRefusedError("Connection refused")

    cloud.glance.interrupt = away
    with pytest.raises(BackendError, match="Connection refused") as caught:
        run(cloud, image_id, ["rbd"])
    assert caught.value.details["image"]["report"] == {"rbd": {"state": "pending", "reason": "Glance is copying it"}}


def test_a_location_whose_checksum_is_being_computed(cloud: FakeCloud) -> None:
    """Glance has the image locked meanwhile."""
    image_id = cloud.glance.add("debian", stores="cinder", os_hash_value=None)
    cloud.glance.lock(image_id, "location_import")
    at(cloud, "GET", image_id, 4, lambda request: cloud.glance.unlock(image_id))
    assert states(run(cloud, image_id, ["rbd"], ["cinder"])) == {"rbd": "copied", "cinder": "removed"}


# --- without waiting ---


def test_without_waiting_the_copies_are_glances_to_finish_and_nothing_is_removed(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    brought = run(cloud, image_id, ["rbd"], ["file"], wait=False)
    assert states(brought) == {"rbd": "pending", "file": "pending"} and "kept until it is in rbd" in brought.stores["file"].reason
    cloud.clock.sleep(1)
    assert states(run(cloud, image_id, ["rbd"], ["file"], wait=False)) == {"rbd": "pending", "file": "pending"}
    assert len(cloud.writes()) == 1
    cloud.clock.sleep(10)
    assert states(run(cloud, image_id, ["rbd"], ["file"], wait=False)) == {"rbd": "present", "file": "removed"}


# --- removing ---


def test_surplus_goes_when_every_copy_is_there(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", stores="file,cinder")
    brought = run(cloud, image_id, ["rbd"], ["file", "cinder"])
    assert states(brought) == {"rbd": "copied", "file": "removed", "cinder": "removed"}
    assert brought.image.stores == ("rbd",)


def test_surplus_stays_when_a_copy_failed(cloud: FakeCloud) -> None:
    cloud.glance.refusing = {"rbd"}
    brought = run(cloud, cloud.glance.add("debian"), ["rbd", "cinder"], ["file"])
    assert states(brought) == {"rbd": "failed", "cinder": "copied", "file": "present"}
    assert "kept until it is in rbd" in brought.stores["file"].reason and brought.image.stores == ("file", "cinder")


def test_an_image_is_never_removed_from_its_last_stores(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", stores="file,rbd")
    assert states(run(cloud, image_id, [], ["file", "rbd"])) == {"file": "failed", "rbd": "failed"}
    assert cloud.writes() == []


def test_bytes_that_something_depends_on_stay(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", stores="file,rbd")
    cloud.glance.depended_on.add(image_id)
    brought = run(cloud, image_id, ["file"], ["rbd"])
    assert states(brought) == {"file": "present", "rbd": "failed"} and "in use" in brought.stores["rbd"].reason


def test_rights_to_remove(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", stores="file,rbd")
    cloud.glance.admin = False
    brought = run(cloud, image_id, ["rbd"], ["file"])
    assert states(brought) == {"rbd": "present", "file": "denied"} and "policy delete_image_location" in brought.stores["file"].reason


def test_removing_waits_for_an_import_that_would_put_it_back(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", stores="file,rbd")
    cloud.stores.copy(image_id, ["cinder"])
    assert states(run(cloud, image_id, ["rbd"], ["file"])) == {"rbd": "present", "file": "removed"}
    assert cloud.glance.images[image_id]["stores"] == "rbd,cinder"


@pytest.mark.parametrize("status, times, state", [(500, 1, "removed"), (503, 2, "removed"), (500, 3, "failed")])
def test_a_removal_that_fails_is_tried_again(cloud: FakeCloud, status: int, times: int, state: str) -> None:
    image_id = cloud.glance.add("debian", stores="file,rbd")
    left = [refusal(status)] * times
    cloud.glance.interrupt = lambda request: left.pop()(request) if request.method == "DELETE" and left else None
    assert states(run(cloud, image_id, ["rbd"], ["file"])) == {"rbd": "present", "file": state}


def test_somebody_else_removes_it_first(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", stores="file,rbd,cinder")
    at(cloud, "DELETE", image_id, 1, lambda request: cloud.glance.images[image_id].update(stores="rbd"))
    assert states(run(cloud, image_id, ["rbd"], ["file", "cinder"])) == {"rbd": "present", "file": "removed", "cinder": "removed"}


def test_as_results_show_it(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    assert run(cloud, image_id, ["rbd"]).as_dict() == {
        "id": image_id, "name": "debian", "stores": ["file", "rbd"], "report": {"rbd": {"state": "copied", "reason": ""}}}
