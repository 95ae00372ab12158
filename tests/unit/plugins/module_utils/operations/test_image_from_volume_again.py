# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images that came to nothing, runs that were killed or ran out of time, and several at once."""

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, BackendError, InUse, TimedOut
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import NAME, Golden, run, task
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Request

REQUEST = "bootable_image_request"


def at(cloud: Golden, line: str, what: t.Callable[[], None]) -> None:
    """Before the first request that begins so is answered, something else happens."""
    done: t.List[bool] = []

    def interrupt(request: Request) -> None:
        said = "%s%s" % (request.line, " upload_image" if b"os-volume_upload_image" in request.body else "")
        if not done and line in said and cloud.base not in said:
            done.append(True)
            what()

    cloud.cinder.interrupt = cloud.glance.interrupt = interrupt


def die() -> None:
    raise KeyboardInterrupt


def killed(cloud: Golden, line: str, **how: t.Any) -> None:
    """A run that dies at a request."""
    at(cloud, line, die)
    with pytest.raises(KeyboardInterrupt):
        run(cloud, **how)
    cloud.cinder.interrupt = cloud.glance.interrupt = lambda request: None


# --- Cinder gives up ---


@pytest.mark.parametrize("said, words", [("Image store is full.", "removed its image: Image store is full"), (None, "it gives no reason; cinder-volume's log")])
@pytest.mark.parametrize("cloning", [0.0, 0.7, 20.0], ids=["at once", "soon", "late"])
def test_a_vanished_image_is_a_failed_upload(said: t.Optional[str], words: str, cloning: float) -> None:
    cloud = Golden()
    cloud.cinder.messages.append({"id": "m0", "resource_uuid": cloud.id, "user_message": "of old", "created_at": "2025-01-01T00:00:00.000000"})
    cloud.cinder.cloning, cloud.cinder.letting_go = cloning, 5.0
    cloud.cinder.failing_images[NAME] = said
    with pytest.raises(BackendError, match="could not make image %s of volume golden .*%s" % (NAME, words)) as caught:
        run(cloud)
    assert caught.value.details["id"] == cloud.id and caught.value.details["messages"][:1] == ([said] if said else [])
    assert cloud.made == [] and REQUEST not in cloud.golden["metadata"]
    cloud.cinder.failing_images.clear()
    assert run(cloud)["how"] == "created"


@pytest.mark.parametrize("said", ["Image store is full.", None])
def test_a_protected_image_that_failed_stays_queued_and_is_removed_and_tried_once_more(said: t.Optional[str]) -> None:
    cloud = Golden()
    cloud.cinder.failing_images[NAME] = said
    with pytest.raises(BackendError, match="removed its image: %s" % (said or "it gives no reason")):
        run(cloud, protected=True)
    assert cloud.made == [] and REQUEST not in cloud.golden["metadata"]


@pytest.mark.parametrize("clones", [False, True])
def test_a_mark_that_undid_what_glance_was_about_to_do(clones: bool) -> None:
    """Cinder comes while the mark is being written, which puts the image back to where it was before."""
    cloud, marks = Golden(clones=clones), []

    def come(request: Request) -> None:
        if request.method == "PATCH" and not marks:
            marks.append(request)
            cloud.pass_by(0.6)
            for image in cloud.glance.images.values():
                image["status"] = "queued" if image["status"] == "saving" else image["status"]

    cloud.glance.interrupt = come
    result = run(cloud, tags=("a",))
    assert result["how"] == "created" and result["image"]["status"] == "active" and result["image"]["tags"] == ["a"]
    assert len(cloud.made) == 1 and REQUEST not in cloud.golden["metadata"]
    assert len([line for line in cloud.cinder.writes() if line.endswith("/action")]) == (1 if clones else 2)


def test_bytes_that_glance_began_to_take_in_are_not_sent_twice() -> None:
    cloud = Golden()
    cloud.cinder.uploading = 30.0
    began = cloud.clock.now()

    def full(request: Request) -> None:
        if cloud.clock.now() > began + 10:
            for image in list(cloud.glance.images.values()):
                if image["status"] == "saving":
                    cloud.glance.drop(image["id"])

    cloud.glance.interrupt = full
    with pytest.raises(BackendError, match="removed its image"):
        run(cloud)
    assert len([line for line in cloud.cinder.writes() if line.endswith("/action")]) == 1


def test_a_killed_image_is_removed() -> None:
    cloud = Golden()
    cloud.cinder.uploading = 10.0

    def kill(request: Request) -> None:
        for image in cloud.glance.images.values():
            image["status"] = "killed" if image["status"] == "saving" else image["status"]

    cloud.glance.interrupt = kill
    with pytest.raises(BackendError, match="left its image killed"):
        run(cloud)
    assert cloud.made == []


def test_an_image_may_be_queued_for_long_after_cinder_is_done() -> None:
    cloud = Golden(clones=True)
    cloud.glance.taking_in = 40.0
    assert run(cloud)["method_used"] == "clone"


def test_but_not_for_ever() -> None:
    cloud = Golden(clones=True)
    cloud.glance.taking_in = 4000.0
    with pytest.raises(BackendError, match="left its image queued"):
        run(cloud)
    assert cloud.made == []


def test_services_may_be_away_for_a_while() -> None:
    cloud = Golden()
    cloud.cinder.uploading = 40.0
    down = {"until": 0.0}

    def away(request: Request) -> None:
        if cloud.clock.now() < down["until"]:
            raise ConnectionRefusedError(111, "Connection refused")
        if cloud.made and cloud.made[0].status == "saving" and not down["until"]:
            down["until"] = cloud.clock.now() + 30

    cloud.glance.interrupt = away
    assert run(cloud)["how"] == "created" and down["until"]


def test_the_volume_is_let_go_after_the_image_is_there() -> None:
    cloud = Golden()
    cloud.cinder.letting_go = 20.0
    assert run(cloud)["how"] == "created"
    assert cloud.golden["status"] == "available" and REQUEST not in cloud.golden["metadata"]


# --- killed, out of time ---


POINTS = ["upload_image", "GET /v2/images/", "PATCH /v2/images", "DELETE /volumes"]


@pytest.mark.parametrize("clones", [True, False])
@pytest.mark.parametrize("wish", [{}, {"method": "upload"}, {"disk_format": "qcow2"}])
@pytest.mark.parametrize("pause", [0.0, 30.0], ids=["at once", "later"])
@pytest.mark.parametrize("line", POINTS)
def test_killed_anywhere_a_rerun_ends_with_one_image(line: str, pause: float, wish: t.Dict[str, t.Any], clones: bool) -> None:
    cloud = Golden(clones=clones, admin=True)
    killed(cloud, line, tags=("a",), protected=True, **wish)
    cloud.pass_by(pause)
    result = run(cloud, tags=("a",), protected=True, **wish)
    assert result["how"] == ("created" if line == "upload_image" else "adopted")
    cloud.pass_by()
    image = cloud.image
    assert image.status == "active" and image.tags == ("a",) and image.protected
    assert image.properties["bootable_method"] == result["method_used"] == ("clone" if clones and not wish else "upload")
    assert REQUEST not in cloud.golden["metadata"]
    assert len(cloud.cinder.image_volumes) == (1 if result["method_used"] == "clone" else 0)
    assert run(cloud, tags=("a",), protected=True, **wish)["actions"] == ["keep"]


@pytest.mark.parametrize("line", ["PATCH /v2/images", "DELETE /volumes"])
def test_what_another_run_began_is_not_written_to_before_glance_is_done(line: str) -> None:
    cloud = Golden(clones=True)
    killed(cloud, line)
    written: t.List[str] = []

    def watch(request: Request) -> None:
        if request.method == "PATCH":
            written.append(cloud.glance.images[request.path.rpartition("/")[2]]["status"])

    cloud.glance.interrupt = watch
    assert run(cloud)["how"] in ("adopted", "unchanged")
    assert set(written) <= {"active"}


@pytest.mark.parametrize("line", POINTS)
def test_killed_while_somebody_elses_image_is_replaced(line: str) -> None:
    """That one has the name already, and is not taken for the one that was begun."""
    cloud = Golden()
    old = cloud.glance.add(NAME, b"theirs")
    cloud.clock.sleep(5)
    killed(cloud, line, on_drift="replace")
    cloud.pass_by()
    result = run(cloud, on_drift="replace")
    assert cloud.image.id == result["image"]["id"] != old and cloud.content() != b"theirs"
    assert not [key for key in cloud.golden["metadata"] if key.startswith(REQUEST)]
    assert run(cloud)["actions"] == ["keep"]


@pytest.mark.parametrize("clones", [True, False])
def test_out_of_time_and_adopted_by_the_next_run(clones: bool) -> None:
    cloud = Golden(clones=clones)
    cloud.cinder.uploading = cloud.glance.taking_in = 30.0
    with pytest.raises(TimedOut, match="to become active; nothing was undone") as caught:
        run(cloud, seconds=10)
    assert caught.value.details["unfinished"] == {NAME: {"id": cloud.image.id, "status": "queued" if clones else "saving"}}
    result = run(cloud)
    assert (result["how"], result["actions"]) == ("adopted", ["adopt"])
    assert result["method_used"] == ("clone" if clones else "upload")
    assert run(cloud)["actions"] == ["keep"]


def test_out_of_time_while_the_bytes_are_copied_out_of_a_clone() -> None:
    cloud = Golden(clones=True, admin=True)
    cloud.glance.seconds = 60.0
    with pytest.raises(TimedOut):
        run(cloud, method="upload", seconds=30)
    result = run(cloud, method="upload")
    assert result["method_used"] == "upload" and result["image"]["stores"] == ["rbd"]
    assert not cloud.cinder.image_volumes
    assert run(cloud, method="upload")["actions"] == ["keep"]


@pytest.mark.parametrize("line", ["/import", "DELETE /v2/stores"])
@pytest.mark.parametrize("pause", [0.0, 30.0])
def test_killed_while_the_bytes_are_copied_out_of_a_clone(line: str, pause: float) -> None:
    cloud = Golden(clones=True, admin=True)
    killed(cloud, line, method="upload")
    cloud.pass_by(pause)
    result = run(cloud, method="upload")
    assert result["method_used"] == "upload" and result["image"]["stores"] == ["rbd"]
    assert not cloud.cinder.image_volumes and run(cloud, method="upload")["actions"] == ["keep"]


def test_what_was_adopted_may_have_come_to_nothing() -> None:
    cloud = Golden()
    cloud.cinder.failing_images[NAME] = "Image store is full."
    cloud.cinder.cloning = 20.0
    killed(cloud, "PATCH /v2/images")
    cloud.cinder.failing_images.clear()
    result = run(cloud)
    assert result["how"] == "adopted" and result["image"]["status"] == "active" and len(cloud.made) == 1


def test_what_was_asked_to_be_a_clone_is_not_tried_twice() -> None:
    cloud = Golden()
    killed(cloud, "PATCH /v2/images")
    with pytest.raises(BackendError, match="clone was asked for, but Cinder sent the bytes"):
        run(cloud, method="clone")
    assert cloud.made == []
    assert len([line for line in cloud.cinder.writes() if line.endswith("/action")]) == 1


def test_a_glance_that_does_not_answer_is_no_failed_upload() -> None:
    cloud = Golden()
    cloud.cinder.uploading = 1000.0
    run(cloud, wait=False)

    def away(request: Request) -> None:
        if request.method == "GET" and request.path.startswith("/v2/images/"):
            raise ConnectionRefusedError(111, "Connection refused")

    cloud.glance.interrupt = away
    it = task(cloud, seconds=3000)
    with pytest.raises(BackendError, match="show image"):
        it.apply(it.plan())
    assert len(cloud.made) == 1


def test_without_waiting() -> None:
    cloud = Golden()
    cloud.cinder.uploading = 30.0
    started = cloud.clock.now()
    for how in ("created", "adopted"):
        result = run(cloud, wait=False)
        assert (result["how"], result["method_used"], result["image"]["status"] != "active") == (how, None, True)
    assert cloud.clock.now() - started < 2
    assert run(cloud)["how"] == "adopted" and run(cloud, wait=False)["actions"] == ["keep"]


# --- several at once ---


@pytest.mark.parametrize("line", ["POST /volumes", "upload_image"])
@pytest.mark.parametrize("clones", [True, False])
def test_another_run_was_faster(clones: bool, line: str) -> None:
    cloud = Golden(clones=clones)
    at(cloud, line, lambda: t.cast(None, run(cloud, wait=False)))
    result = run(cloud)
    assert result["how"] == "adopted" and result["image"]["status"] == "active"
    assert len(cloud.made) == 1
    assert run(cloud)["actions"] == ["keep"]


@pytest.mark.parametrize("line", ["POST /volumes", "upload_image"])
def test_another_run_makes_another_image_of_it(line: str) -> None:
    cloud = Golden()
    at(cloud, line, lambda: t.cast(None, run(cloud, name="golden-2", wait=False)))
    assert run(cloud)["how"] == "created"
    cloud.pass_by()
    run(cloud, name="golden-2")
    assert sorted(image.name for image in cloud.made) == [NAME, "golden-2"]
    for name in (NAME, "golden-2"):
        assert run(cloud, name=name)["actions"] == ["keep"]


def test_others_that_never_end() -> None:
    cloud = Golden()
    cloud.golden["status"] = "uploading"
    with pytest.raises(TimedOut, match="volume golden, which is uploading"):
        run(cloud, seconds=60)


def test_others_again_and_again() -> None:
    cloud, count = Golden(), [0]

    def busy(request: Request) -> None:
        if b"os-volume_upload_image" in request.body and count[0] < 9:
            count[0] += 1
            cloud.cinder.interrupt = lambda request: None
            run(cloud, name="other-%d" % count[0], wait=False)
            cloud.cinder.interrupt = busy

    cloud.cinder.interrupt = busy
    with pytest.raises(InUse, match="is uploading: another run makes an image of it; run the task again"):
        run(cloud)
    assert count[0] == 3


def test_two_images_of_one_volume_and_name() -> None:
    cloud = Golden()
    first = run(cloud)["image"]["id"]
    twin = dict(cloud.glance.images[first], id="twin", bootable_image="twin")
    cloud.glance.images["twin"] = twin
    with pytest.raises(Ambiguous, match="2 images called 'golden-1' were made of volume golden: .*twin") as caught:
        run(cloud)
    assert caught.value.details["ids"] == [first, "twin"]


# --- Glance writes an image back as it was ---


def test_what_glance_lost_is_there_in_the_end() -> None:
    """Marked only when Glance was hashing already, which then writes the image back as it was before."""
    cloud = Golden(clones=True)
    killed(cloud, "PATCH /v2/images")
    cloud.pass_by(1.0)
    cloud.pass_by(2.0)
    assert cloud.image.status == "active" and cloud.image.hash_value is None
    run(cloud, tags=("a",), properties={"os_distro": "debian"})
    cloud.pass_by()
    image = cloud.image
    assert image.tags == ("a",) and image.properties["os_distro"] == "debian" and image.properties["bootable_volume"] == cloud.id


def test_a_clone_is_not_waited_for_until_it_is_hashed() -> None:
    cloud = Golden(clones=True, bootable_stores="tape", bootable_image="i0", bootable_volume="v0")
    cloud.glance.hashing = 500.0
    assert run(cloud, tags=("a",), protected=True)["image"]["hash_value"] is None
