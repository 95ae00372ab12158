"""Images in several stores: a store that refuses, missing rights, killed at every kind of moment, two runs at once, Glance away."""

from __future__ import annotations

import os

import pytest
from faults.conftest import LAB
from faults.proxy import Fault

MIB = 1024**2
FILES = LAB / "data" / "glance" / "images"


@pytest.fixture
def image(lab):
    """An image in the default store, the administrator's, for all to see."""
    return lab.admin.image.create_image(
        name=lab.prefix, disk_format="raw", container_format="bare", visibility="public", data=os.urandom(16 * MIB), allow_duplicates=True)


def task(lab, image, **options):
    return dict({"cloud": lab.admin_cloud, "image": image.id, "stores": ["rbd", "cinder"], "exclusive": True, "timeout": 150}, **options)


def seen(lab, image):
    """The image's stores, sorted; checked to be at rest."""
    found = lab.admin.image.get("/images/%s" % image.id).json()
    assert found["status"] == "active" and "os_glance_import_task" not in found
    return sorted(found["stores"].split(","))


def assert_converged(lab, image, result, stores=("cinder", "rbd")):
    assert not result.get("failed"), result["msg"]
    assert seen(lab, image) == sorted(result["images"][0]["stores"]) == list(stores)


def assert_unchanged(lab, image, **options):
    lab.glance.requests.clear()
    again = lab.run("image_stores", **task(lab, image, **options))
    assert not again.get("failed"), again["msg"]
    assert again["changed"] is False and lab.glance.writes == []


def report(result):
    return {store: each["state"] for store, each in result["images"][0]["report"].items()}


def is_import(method, path):
    return method == "POST" and path.endswith("/import")


def is_look(method, path):
    return method == "GET" and "/v2/images/" in path and not path.endswith("/tasks")


def is_removal(method, path):
    return method == "DELETE"


def test_a_store_that_refuses(lab, image):
    """The file store takes no image whose file is there already."""
    assert_converged(lab, image, lab.run("image_stores", **task(lab, image, stores=["rbd"])), ["rbd"])
    in_the_way = FILES / image.id
    in_the_way.write_bytes(b"")
    try:
        result = lab.run("image_stores", **task(lab, image, stores=["file", "cinder"]))
        assert result["failed"] and result["changed"]
        assert report(result) == {"file": "failed", "cinder": "copied", "rbd": "present"}
        assert "kept until it is in file" in result["images"][0]["report"]["rbd"]["reason"]
        assert seen(lab, image) == ["cinder", "rbd"]
    finally:
        in_the_way.unlink()
    result = lab.run("image_stores", **task(lab, image, stores=["file", "cinder"]))
    assert report(result) == {"file": "copied", "cinder": "present", "rbd": "removed"}
    assert_converged(lab, image, result, ["cinder", "file"])


def test_bytes_that_cannot_be_read(lab, image):
    file = FILES / image.id
    file.rename(file.with_suffix(".away"))
    try:
        result = lab.run("image_stores", **task(lab, image))
    finally:
        file.with_suffix(".away").rename(file)
    assert result["failed"] and not result["changed"]
    assert report(result) == {"rbd": "failed", "cinder": "failed", "file": "present"}
    assert_converged(lab, image, lab.run("image_stores", **task(lab, image)))


def test_no_rights(lab, image):
    result = lab.run("image_stores", **task(lab, image, cloud=lab.cloud))
    assert result["failed"] and not result["changed"]
    assert "policy copy_image" in result["msg"]
    assert report(result) == {"rbd": "denied", "cinder": "denied", "file": "present"}
    assert seen(lab, image) == ["file"]


def test_bytes_that_a_volume_was_cloned_from_stay(lab, image):
    assert_converged(lab, image, lab.run("image_stores", **task(lab, image, stores=["rbd"])), ["rbd"])
    lab.run("volume_from_image", image=image.id, name=lab.prefix, storage={"volume_type": "rbd"})
    result = lab.run("image_stores", **task(lab, image, stores=["file"]))
    assert result["failed"] and result["changed"] and "in use" in result["msg"]
    assert report(result) == {"file": "copied", "rbd": "failed"}
    lab.run("volume_from_image", name=lab.prefix, state="absent")
    result = lab.run("image_stores", **task(lab, image, stores=["file"]))
    assert_converged(lab, image, result, ["file"])


MOMENTS = {
    "before the copy is asked for": (is_import, "before", 1),
    "when it was asked for": (is_import, "after", 1),
    "between two copies": (is_look, "after", 5),
    "before the surplus is removed": (is_removal, "before", 1),
    "when it was removed": (is_removal, "after", 1),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_run_again(lab, image, moment):
    when, hook, number = MOMENTS[moment]
    passed, killed = [], []

    def kill(method, path):
        passed.append(path)
        if len(passed) == number:
            killed.append(path)
            run.kill()

    lab.glance.faults.append(Fault(when=when, times=1000, **{hook: kill}))
    run = lab.start("image_stores", **task(lab, image))
    run.process.wait(180)
    lab.glance.faults.clear()
    assert killed, "the moment never came: %s" % lab.glance.requests
    assert_converged(lab, image, lab.run("image_stores", **task(lab, image)))
    assert_unchanged(lab, image)


@pytest.mark.parametrize("round_number", range(2))
def test_two_runs_at_once(lab, image, round_number):
    runs = [lab.start("image_stores", **task(lab, image)) for dummy in range(2)]
    for run in runs:
        assert_converged(lab, image, run.result())
    assert_unchanged(lab, image)


def test_two_runs_that_want_different_stores_both_get_them(lab, image):
    runs = [lab.start("image_stores", **task(lab, image, stores=[store], exclusive=False)) for store in ("rbd", "cinder")]
    for run in runs:
        result = run.result()
        assert not result.get("failed"), result["msg"]
    assert seen(lab, image) == ["cinder", "file", "rbd"]


def test_glance_is_away_before(lab, image):
    lab.glance.faults.append(Fault(when=lambda method, path: True, times=1000, status=503))
    result = lab.run("image_stores", **task(lab, image))
    assert result["failed"] and "503" in result["msg"] and not result.get("changed")
    lab.glance.faults.clear()
    assert_converged(lab, image, lab.run("image_stores", **task(lab, image)))


@pytest.mark.parametrize("fault", [{"status": 503}, {"cut_after": 0}], ids=["503", "cut"])
def test_glance_is_away_during(lab, image, fault):
    """Nothing it is asked is answered for a while, beginning with the copy that it did accept."""
    accepted = []
    lab.glance.faults.append(Fault(when=lambda method, path: bool(accepted), times=6, **fault))
    lab.glance.faults.append(Fault(when=is_import, cut_after=0, after=lambda method, path: accepted.append(path)))
    result = lab.run("image_stores", **task(lab, image))
    assert accepted
    assert_converged(lab, image, result)
    assert_unchanged(lab, image)


@pytest.mark.parametrize("fault", [{"status": 500}, {"cut_after": 0}], ids=["500", "cut"])
def test_glance_is_away_after(lab, image, fault):
    """The copies are there; removing goes wrong, once before and once after it was done."""
    lab.glance.faults.append(Fault(when=is_removal, **fault))
    assert_converged(lab, image, lab.run("image_stores", **task(lab, image)))
    assert_unchanged(lab, image)


def test_too_late_destroys_nothing_and_is_adopted(lab, image):
    result = lab.run("image_stores", **task(lab, image, timeout=1))
    assert result["failed"] and "timed out after 1 s" in result["msg"] and "has it locked" in result["msg"]
    assert result["changed"] and report(result) == {"rbd": "pending", "cinder": "pending", "file": "surplus"}
    lab.glance.requests.clear()
    assert_converged(lab, image, lab.run("image_stores", **task(lab, image)))
    assert_unchanged(lab, image)


def test_check_mode_only_looks(lab, image):
    result = lab.start("image_stores", check=True, **task(lab, image)).result()
    assert result["changed"] and result["diff"] == {"before": {lab.prefix: {"stores": ["file"]}}, "after": {lab.prefix: {"stores": ["cinder", "rbd"]}}}
    assert report(result) == {"rbd": "missing", "cinder": "missing", "file": "surplus"}
    assert lab.glance.requests and lab.glance.writes == []
    assert seen(lab, image) == ["file"]
