"""File volumes from Glance: killed in mid-stream, cut off, garbled, no room, two at once; nothing may be left behind."""

from __future__ import annotations

import os
import subprocess

import pytest
from faults.proxy import Fault

N = 3


def is_download(method, path):
    return method == "GET" and path.endswith("/file")


def task(lab, mountpoint, **options):
    storage = dict({"driver": "file", "mountpoints": [str(mountpoint)]}, **options.pop("storage", {}))
    return dict({"image": "guest-raw", "name": "web-{index}", "count": N, "storage": storage}, **options)


def files(mountpoint):
    return sorted(str(path.relative_to(mountpoint)) for path in mountpoint.rglob("*") if path.is_file())


def assert_converged(lab, mountpoint, result):
    assert not result.get("failed"), result["msg"]
    names = ["web-%d" % (number + 1) for number in range(N)]
    assert files(mountpoint) == sorted(names + [".%s.volume.json" % name for name in names])
    image = lab.tmp_path / "image"
    subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "raw", mountpoint / names[0], mountpoint / names[-1]], check=True, stdout=subprocess.PIPE)
    if not image.exists():
        content = lab.member.image.download_image(lab.member.image.find_image("guest-raw"), stream=True)
        with open(image, "wb") as file:
            for block in content.iter_content(1024**2):
                file.write(block)
    subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "raw", image, mountpoint / names[0]], check=True, stdout=subprocess.PIPE)
    assert lab.run("volume_from_image", **task(lab, mountpoint))["changed"] is False


@pytest.mark.parametrize("image", ["guest-raw", "guest-qcow2"])
@pytest.mark.parametrize("passed", [1, 1024**2, 4 * 1024**2])
def test_killed_in_mid_stream_and_run_again(lab, mountpoint, image, passed):
    killed = []

    def kill(so_far):
        if so_far >= passed and not killed:
            killed.append(so_far)
            run.kill()

    lab.glance.faults.append(Fault(when=is_download, during=kill))
    run = lab.start("volume_from_image", **task(lab, mountpoint, image=image))
    run.process.wait(180)
    assert killed
    assert [name for name in files(mountpoint) if not name.startswith(".")] == [], "an unfinished volume was published"
    assert_converged(lab, mountpoint, lab.run("volume_from_image", **task(lab, mountpoint)))


def test_a_connection_that_is_cut_is_taken_up_where_it_was(lab, mountpoint):
    lab.glance.faults.append(Fault(when=is_download, cut_after=3 * 1024**2, times=2))
    assert_converged(lab, mountpoint, lab.run("volume_from_image", **task(lab, mountpoint)))


def test_a_connection_that_is_always_cut_is_an_error_and_leaves_nothing(lab, mountpoint):
    lab.glance.faults.append(Fault(when=is_download, cut_after=1000, times=1000))
    result = lab.run("volume_from_image", **task(lab, mountpoint))
    assert result["failed"] and "guest-raw" in result["msg"]
    assert files(mountpoint) == []


def test_garbled_bytes_are_never_published(lab, mountpoint):
    lab.glance.faults.append(Fault(when=is_download, garble=True))
    result = lab.run("volume_from_image", **task(lab, mountpoint))
    assert result["failed"] and "sha512" in result["msg"]
    assert files(mountpoint) == []
    assert_converged(lab, mountpoint, lab.run("volume_from_image", **task(lab, mountpoint)))


def test_glance_refuses_the_download(lab, mountpoint):
    lab.glance.faults.append(Fault(when=is_download, status=403, times=1000, body=b"<html><body>You are not allowed</body></html>"))
    result = lab.run("volume_from_image", **task(lab, mountpoint))
    assert result["failed"] and "guest-raw" in result["msg"]
    assert files(mountpoint) == []


def test_no_room_is_found_out_before_a_byte_is_fetched(lab, mountpoint):
    result = lab.run("volume_from_image", **task(lab, mountpoint, size="2G"))
    assert result["failed"] and str(mountpoint) in result["msg"]
    assert not [path for method, path in lab.glance.requests if is_download(method, path)]
    assert files(mountpoint) == []


def test_a_file_system_that_fills_up_under_our_hands(lab, mountpoint):
    def fill_up(so_far):
        room = os.statvfs(mountpoint).f_bfree * os.statvfs(mountpoint).f_frsize  # root has the reserved blocks, too
        if room:
            with open(mountpoint / "filler", "ab") as file:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, room)

    lab.glance.faults.append(Fault(when=is_download, during=fill_up))
    result = lab.run("volume_from_image", **task(lab, mountpoint))
    (mountpoint / "filler").unlink()
    assert result["failed"] and "full" in result["msg"]
    assert files(mountpoint) == []
    assert_converged(lab, mountpoint, lab.run("volume_from_image", **task(lab, mountpoint)))


def test_two_runs_at_once_make_n_volumes(lab, mountpoint):
    runs = [lab.start("volume_from_image", **task(lab, mountpoint)) for dummy in range(2)]
    results = [run.result() for run in runs]
    assert sorted(result["changed"] for result in results) == [False, True]
    assert_converged(lab, mountpoint, results[0])


def test_check_mode_writes_nothing(lab, mountpoint):
    def listing():
        return [(str(path), os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in [mountpoint, *sorted(mountpoint.rglob("*"))]]

    before = listing()
    assert lab.run("volume_from_image", check=True, **task(lab, mountpoint))["changed"]
    assert listing() == before
    lab.run("volume_from_image", **task(lab, mountpoint))
    before = listing()
    for options in [{}, {"size": "128M"}, {"image": "guest-qcow2", "on_drift": "replace"}, {"state": "absent"}]:
        result = lab.run("volume_from_image", check=True, **task(lab, mountpoint, **options))
        assert not result.get("failed"), result["msg"]
        assert result["changed"] is bool(options)
    lab.run("volume_info", check=True, storage={"driver": "file", "mountpoints": [str(mountpoint)]})
    assert listing() == before
    assert lab.glance.writes == []
