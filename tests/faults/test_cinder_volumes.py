"""Cinder volumes: killed at every kind of moment, refused, too late, two at once, watched in check mode."""

from __future__ import annotations

import pytest
from faults.proxy import Fault

N = 4


def is_create(method, path):
    return method == "POST" and path.endswith("/volumes")


def task(lab, **options):
    return dict({"image": "guest-raw", "name": lab.prefix + "-{index}", "count": N, "storage": {"volume_type": "rbd"}}, **options)


def assert_converged(lab, result, count=N):
    assert not result.get("failed"), result["msg"]
    volumes = lab.volumes()
    assert [volume.name for volume in volumes] == ["%s-%d" % (lab.prefix, number + 1) for number in range(count)]
    for volume in volumes:
        assert volume.status == "available"
        assert volume.is_bootable
        assert volume.volume_image_metadata["image_name"].startswith("guest-")
        assert not [key for key in volume.metadata if key.startswith("bootable_claim")], "a claim was left behind"


def assert_unchanged(lab, **options):
    again = lab.run("volume_from_image", **task(lab, **options))
    assert not again.get("failed"), again["msg"]
    assert again["changed"] is False
    assert {volume["how"] for volume in again["volumes"]} == {"unchanged"}


def is_look(method, path):
    return method == "GET" and "/volumes/detail" in path


def is_settling(method, path):
    return method == "DELETE" and "/metadata/" in path


MOMENTS = {
    "before the first create is sent": (is_create, "before", 1),
    "after the first create": (is_create, "after", 1),
    "after the third create": (is_create, "after", 3),
    "while waiting": (is_look, "after", 3),
    "while the claims are settled": (is_settling, "after", 2),
}


@pytest.mark.parametrize("fan_out", ["auto", "copy", "clone"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_run_again(lab, moment, fan_out):
    when, hook, number = MOMENTS[moment]
    seen, killed = [], []

    def kill(method, path):
        seen.append(path)
        if len(seen) == number:
            killed.append(path)
            run.kill()

    lab.cinder.faults.append(Fault(when=when, times=1000, **{hook: kill}))
    run = lab.start("volume_from_image", **task(lab, fan_out=fan_out))
    run.process.wait(180)
    lab.cinder.faults.clear()
    assert killed, "the moment never came: %s" % lab.cinder.requests
    assert_converged(lab, lab.run("volume_from_image", **task(lab, fan_out=fan_out)))
    assert_unchanged(lab)


@pytest.mark.parametrize("round_number", range(3))
def test_two_runs_at_once_make_n_volumes(lab, round_number):
    runs = [lab.start("volume_from_image", **task(lab)) for dummy in range(2)]
    results = [run.result() for run in runs]
    for result in results:
        assert_converged(lab, result)
    ids = [{volume["id"] for volume in result["volumes"]} for result in results]
    assert ids[0] == ids[1] == {volume.id for volume in lab.volumes()}


def test_one_create_is_refused_and_the_others_go_on(lab):
    lab.cinder.faults.append(Fault(when=is_create, status=500, body=b'{"computeFault": {"code": 500, "message": "the moon is in the wrong phase"}}'))
    result = lab.run("volume_from_image", **task(lab, fan_out="copy"))
    assert result["failed"]
    assert "the moon is in the wrong phase" in result["msg"]
    assert len(result["failures"]) == 1 and len(result["volumes"]) == N - 1 and result["changed"]
    assert_converged(lab, lab.run("volume_from_image", **task(lab)))


def test_the_quota_is_checked_before_the_first_create(lab):
    project, quota = lab.member.current_project_id, lab.admin.block_storage.get_quota_set(lab.member.current_project_id)
    used = len(list(lab.member.block_storage.volumes()))
    lab.admin.block_storage.update_quota_set(project, volumes=used + N - 1)
    try:
        result = lab.run("volume_from_image", **task(lab))
    finally:
        lab.admin.block_storage.update_quota_set(project, volumes=quota.volumes)
    assert result["failed"]
    assert "quota" in result["msg"] and str(used + N - 1) in result["msg"]
    assert lab.cinder.writes == []


def test_too_late_destroys_nothing_and_is_adopted(lab):
    options = task(lab, storage={"volume_type": "nfs"}, fan_out="copy")
    result = lab.run("volume_from_image", timeout=1, **options)
    assert result["failed"] and "timed out after 1 s" in result["msg"]
    assert len(lab.volumes()) == N
    assert_converged(lab, lab.run("volume_from_image", **options))


def test_refill_replaces_the_content_and_keeps_the_volume(lab):
    lab.run("volume_from_image", **task(lab, count=1))
    before = lab.volumes()[0]
    other = task(lab, count=1, image="guest-qcow2")
    refused = lab.run("volume_from_image", **other)
    assert refused["failed"] and before.id in refused["msg"] and [each["what"] for each in refused["drift"][before.name]] == ["image"]
    assert lab.run("volume_from_image", on_drift="ignore", **other)["changed"] is False
    result = lab.run("volume_from_image", on_drift="refill", **other)
    assert result["volumes"][0]["how"] == "refilled"
    assert_converged(lab, result, 1)
    after = lab.volumes()[0]
    assert after.id == before.id and after.volume_image_metadata["image_name"] == "guest-qcow2"
    replaced = lab.run("volume_from_image", on_drift="replace", **task(lab, count=1))
    assert_converged(lab, replaced, 1)
    assert lab.volumes()[0].id != before.id


def test_a_volume_in_error_is_drift(lab):
    lab.run("volume_from_image", **task(lab, count=1))
    lab.admin.block_storage.reset_volume_status(lab.volumes()[0].id, "error", None, None)
    refused = lab.run("volume_from_image", **task(lab, count=1))
    assert refused["failed"] and "error" in refused["msg"]
    assert_converged(lab, lab.run("volume_from_image", on_drift="replace", **task(lab, count=1)), 1)


def test_growing(lab):
    lab.run("volume_from_image", **task(lab, count=2))
    result = lab.run("volume_from_image", **task(lab, count=2, size="2G"))
    assert {volume["how"] for volume in result["volumes"]} == {"grown"}
    assert [volume.size for volume in lab.volumes()] == [2, 2]
    shrunk = lab.run("volume_from_image", **task(lab, count=2, size="1G"))
    assert shrunk["failed"] and "size" in shrunk["msg"]


def test_a_name_that_two_volumes_have_is_refused(lab):
    ids = [lab.member.block_storage.create_volume(name=lab.prefix + "-1", size=1).id for dummy in range(2)]
    result = lab.run("volume_from_image", **task(lab, count=1))
    assert result["failed"] and all(each in result["msg"] for each in ids)


def test_what_holds_a_volume_keeps_it_from_being_removed(lab):
    lab.run("volume_from_image", **task(lab, count=2))
    first = lab.volumes()[0]
    snapshot = lab.member.block_storage.create_snapshot(volume_id=first.id, name="holder")
    lab.member.block_storage.wait_for_status(snapshot, "available")
    try:
        result = lab.run("volume_from_image", state="absent", **task(lab, count=2))
        assert result["failed"] and snapshot.id in result["msg"] and first.name in result["msg"]
        assert len(lab.volumes()) == 2
    finally:
        lab.member.block_storage.delete_snapshot(snapshot)
        lab.member.block_storage.wait_for_delete(snapshot)
    lab.member.block_storage.create_volume(name=lab.prefix + "-3", size=1)
    assert lab.run("volume_from_image", state="absent", **task(lab, count=2))["changed"]
    assert [volume.name for volume in lab.volumes()] == [lab.prefix + "-3"]
    assert lab.run("volume_from_image", state="absent", **task(lab, count=2))["changed"] is False


def test_check_mode_only_looks(lab):
    created = lab.run("volume_from_image", check=True, **task(lab))
    assert created["changed"] and {volume["how"] for volume in created["volumes"]} == {"create"}
    assert len(created["diff"]["after"]) == N and lab.volumes() == []
    assert lab.cinder.writes == [] and lab.glance.writes == []

    lab.run("volume_from_image", **task(lab))
    lab.cinder.requests.clear()
    lab.glance.requests.clear()
    for options, how in [({}, "unchanged"), ({"size": "2G"}, "grow"), ({"image": "guest-qcow2", "on_drift": "refill"}, "refill"),
                         ({"image": "guest-qcow2", "on_drift": "replace"}, "replace"),
                         ({"storage": {"volume_type": "rbd", "bootable": False}}, "update")]:
        result = lab.run("volume_from_image", check=True, **task(lab, **options))
        assert not result.get("failed"), result["msg"]
        assert {volume["how"] for volume in result["volumes"]} == {how}
        assert result["changed"] is (how != "unchanged")
    assert lab.run("volume_from_image", check=True, state="absent", **task(lab))["changed"]
    assert len(lab.run("volume_info", check=True)["volumes"]) >= N
    assert lab.cinder.requests and lab.cinder.writes == [] and lab.glance.writes == []
    assert_converged(lab, {})
