"""Images from volumes: killed at every kind of moment, refused, vanished, cut, garbled, too late, two at once, services away."""

from __future__ import annotations

import json
import subprocess
import time

import pytest
from faults.conftest import LAB
from faults.proxy import Fault
from openstack.config import OpenStackConfig
from openstack.connection import Connection

MIB = 1024**2
FILES = LAB / "data" / "glance" / "images"
SENT = 32 * MIB


def made(connection, volume_type):
    """A volume of the guest, of one type."""
    image = connection.image.find_image("guest-raw")
    volume = connection.block_storage.create_volume(name="fault-source-%s" % volume_type, size=1, image_id=image.id, volume_type=volume_type)
    return connection.block_storage.wait_for_status(volume, "available", wait=120)


def cleaned(connection, volume):
    storage = connection.block_storage
    storage.wait_for_status(volume, "available", wait=120)
    storage.delete_volume(volume)


@pytest.fixture(scope="module")
def sources(clouds):
    """Volumes to make images of: the member's, on the back end that clones and on the one that does not, and the administrator's."""
    admin, member = clouds
    volumes = {"rbd": made(member, "rbd"), "nfs": made(member, "nfs"), "admin": made(admin, "rbd")}
    yield {name: volume.id for name, volume in volumes.items()}
    for name, volume in volumes.items():
        cleaned(admin if name == "admin" else member, volume)


@pytest.fixture
def service():
    """The account that may make volumes into images, and owns the volumes that are some."""
    return Connection(config=OpenStackConfig(config_files=[str(LAB / "clouds.yaml")]).get_one(cloud="lab-service"))


@pytest.fixture
def file_volume(lab, mountpoint):
    """A volume in a file."""
    storage = {"driver": "file", "mountpoints": [str(mountpoint)]}
    lab.run("volume_from_image", image="guest-qcow2", name="web", storage=dict(storage, format="raw"))
    return {"volume": "web", "storage": storage}


def task(lab, **options):
    return dict({"name": lab.prefix, "timeout": 150}, **options)


def the_image(lab):
    """The only image there is."""
    found = lab.images()
    assert len(found) == 1, found
    return lab.admin.image.get("/images/%s" % found[0].id).json()


def assert_forgotten(connection, volume_id):
    """Nothing of ours is left on the volume, and nobody is at it."""
    volume = connection.block_storage.get_volume(volume_id)
    assert volume.status == "available"
    assert [key for key in volume.metadata if key.startswith("bootable_")] == []


def assert_nothing_left(lab, volume_id=None):
    assert lab.images() == []
    if volume_id:
        assert_forgotten(lab.member, volume_id)


def assert_converged(lab, result, where, how=None, **options):
    """One image, whole and where it belongs, and a further run changes nothing."""
    assert not result.get("failed"), result["msg"]
    image = the_image(lab)
    assert image["status"] == "active" and image["id"] == result["image"]["id"]
    assert sorted(image["stores"].split(",")) == where
    assert image.get("bootable_state") is None
    if how:
        assert result["how"] == how
    again = lab.run("image_from_volume", **task(lab, **options))
    assert not again.get("failed"), again["msg"]
    assert (again["changed"], again["how"], again["image"]["id"]) == (False, "unchanged", image["id"])
    return image


def killed_at(lab, proxy, moment, **options):
    """Start a run, and kill it at a moment: (which request, before or after it, the how manieth)."""
    when, hook, number = moment
    passed, killed = [], []

    def kill(method, path):
        passed.append(path)
        if len(passed) == number:
            killed.append(path)
            run.kill()

    proxy.faults.append(Fault(when=when, times=1000, **{hook: kill}))
    run = lab.start("image_from_volume", **task(lab, **options))
    run.process.wait(180)
    proxy.faults.clear()
    assert killed, "the moment never came: %s %s" % (lab.cinder.requests, lab.glance.requests)


def is_request(method, path):
    return method == "POST" and path.endswith("/action")


def is_forgetting(method, path):
    return method == "DELETE" and "/metadata/" in path


def is_mark(method, path):
    return method == "PATCH"


def is_look(method, path):
    return method == "GET" and "/v2/images/" in path


def is_sending(method, path):
    return method == "PUT"


def is_import(method, path):
    return method == "POST" and path.endswith("/import")


def is_removal(method, path):
    return method == "DELETE"


# --- Cinder makes the image ---


MOMENTS = {
    "when it remembers": ("cinder", (is_request, "before", 1)),
    "when it was asked for": ("cinder", (is_request, "after", 1)),
    "before the image is marked": ("glance", (is_mark, "before", 1)),
    "while waiting": ("glance", (is_look, "after", 3)),
    "before the volume forgets": ("cinder", (is_forgetting, "before", 1)),
    "when it has forgotten": ("cinder", (is_forgetting, "after", 1)),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_cinder_clones(lab, sources, moment):
    proxy, when = MOMENTS[moment]
    options = {"volume": sources["rbd"], "tags": ["a-tag"]}
    killed_at(lab, getattr(lab, proxy), when, **options)
    result = lab.run("image_from_volume", **task(lab, **options))
    image = assert_converged(lab, result, ["cinder"], **options)
    assert result["method_used"] == "clone" and image["tags"] == ["a-tag"]
    assert_forgotten(lab.member, sources["rbd"])


@pytest.mark.parametrize("moment", ["when it was asked for", "while waiting"])
def test_killed_while_cinder_uploads(lab, sources, moment):
    proxy, when = MOMENTS[moment]
    options = {"volume": sources["nfs"], "disk_format": "qcow2"}
    killed_at(lab, getattr(lab, proxy), when, **options)
    result = lab.run("image_from_volume", **task(lab, **options))
    assert_converged(lab, result, ["file"], how="adopted", **options)
    assert result["method_used"] == "upload"
    assert_forgotten(lab.member, sources["nfs"])


@pytest.mark.parametrize("moment", [(is_import, "before", 1), (is_import, "after", 1), (is_removal, "before", 1)],
                         ids=["before the copy", "during the copy", "before the first one is removed"])
def test_killed_between_upload_and_the_right_stores(lab, sources, moment):
    options = {"cloud": lab.admin_cloud, "volume": sources["admin"], "disk_format": "qcow2", "stores": ["rbd"]}
    killed_at(lab, lab.glance, moment, **options)
    result = lab.run("image_from_volume", **task(lab, **options))
    assert_converged(lab, result, ["rbd"], **options)
    assert_forgotten(lab.admin, sources["admin"])


def test_two_runs_at_once_make_one_image(lab, sources):
    options = {"volume": sources["rbd"], "disk_format": "qcow2"}
    runs = [lab.start("image_from_volume", **task(lab, **options)) for dummy in range(2)]
    results = [run.result() for run in runs]
    for result in results:
        assert_converged(lab, result, ["file"], **options)
    assert_forgotten(lab.member, sources["rbd"])


def test_too_late_destroys_nothing_and_is_adopted(lab, sources):
    options = {"volume": sources["nfs"]}
    result = lab.run("image_from_volume", **task(lab, **dict(options, timeout=2)))
    image = the_image(lab)
    assert result["failed"] and "timed out after 2 s" in result["msg"]
    assert result["unfinished"] == {lab.prefix: {"id": image["id"], "status": image["status"]}} and image["status"] in ("queued", "saving")
    result = lab.run("image_from_volume", **task(lab, **options))
    assert assert_converged(lab, result, ["file"], how="adopted", **options)["id"] == image["id"]
    assert_forgotten(lab.member, sources["nfs"])


def test_an_upload_that_fails_is_told_of_in_cinders_words(lab, sources):
    """Cinder 29 asks qemu-img about a format called ploop, of which it knows nothing."""
    for dummy in range(2):
        result = lab.run("image_from_volume", **task(lab, volume=sources["nfs"], disk_format="ploop", is_protected=True))
        assert result["failed"] and not result.get("changed")
        assert "Cinder could not make image %s" % lab.prefix in result["msg"] and "Failed to upload volume to image at backend" in result["msg"]
        assert result["messages"]
        assert_nothing_left(lab, sources["nfs"])


def test_an_image_that_vanishes_is_made_once_more(lab, sources):
    """Here since somebody else removes it; where Glance forgets that it was about to take the bytes in, it ends in the same way."""
    gone, options = [], {"volume": sources["nfs"]}

    def vanish(method, path):
        gone.append(path.rpartition("/")[2])
        lab.member.image.delete("/images/%s" % gone[-1])

    lab.glance.faults.append(Fault(when=is_mark, after=vanish))
    result = lab.run("image_from_volume", **task(lab, **options))
    assert [assert_converged(lab, result, ["file"], **options)["id"]] != gone and len(gone) == 1
    assert_forgotten(lab.member, sources["nfs"])


def test_no_rights_to_copy(lab, sources):
    options = {"volume": sources["rbd"], "disk_format": "qcow2", "stores": ["rbd", "file"]}
    results = [lab.run("image_from_volume", **task(lab, **options)) for dummy in range(2)]
    for result in results:
        assert result["failed"] and "policy copy_image" in result["msg"]
        assert result["stores"]["rbd"]["state"] == "denied" and result["stores"]["file"]["state"] == "present"
    assert results[0]["changed"] and not results[1]["changed"]
    assert the_image(lab)["stores"] == "file"
    # what the cloud's default would have been is no error
    options["stores"] = ["file"]
    result = lab.run("image_from_volume", **task(lab, **options))
    assert not result.get("failed") and not result["changed"]


def test_check_mode_only_looks(lab, sources):
    result = lab.start("image_from_volume", check=True, **task(lab, volume=sources["rbd"])).result()
    assert result["changed"] and result["how"] == "create" and result["image"] is None
    assert lab.cinder.requests and lab.cinder.writes == [] and lab.glance.writes == []
    assert_nothing_left(lab, sources["rbd"])


# --- services that are away ---


@pytest.mark.parametrize("away", ["cinder", "glance"])
def test_a_service_is_away_before(lab, sources, away):
    getattr(lab, away).faults.append(Fault(when=lambda method, path: True, times=1000, status=503))
    result = lab.run("image_from_volume", **task(lab, volume=sources["rbd"]))
    assert result["failed"] and "503" in result["msg"] and not result.get("changed")
    assert lab.cinder.writes == [] and lab.glance.writes == []


@pytest.mark.parametrize("away, fault", [("cinder", {"cut_after": 0}), ("glance", {"status": 503})], ids=["cinder", "glance"])
def test_a_service_is_away_during(lab, sources, away, fault):
    """It answers nothing for a while once the image is marked."""
    options = {"volume": sources["rbd"], "disk_format": "qcow2"}
    marked = []
    getattr(lab, away).faults.append(Fault(when=lambda method, path: method == "GET" and bool(marked), times=3, **fault))
    lab.glance.faults.append(Fault(when=is_mark, after=lambda method, path: marked.append(path)))
    result = lab.run("image_from_volume", **task(lab, **options))
    assert marked
    assert_converged(lab, result, ["file"], how="created", **options)
    assert_forgotten(lab.member, sources["rbd"])


@pytest.mark.parametrize("moment", ["asked", "marked", "settled"])
def test_a_service_is_away_after(lab, sources, moment):
    """What was asked of it was done, or not, and the answer is lost: the next run finds out."""
    options = {"volume": sources["rbd"], "tags": ["a-tag"]}
    if moment == "asked":
        lab.cinder.faults.append(Fault(when=is_request, cut_after=0))
    elif moment == "marked":
        lab.glance.faults.append(Fault(when=is_mark, status=503))
    else:
        lab.cinder.faults.append(Fault(when=is_forgetting, status=503))
    result = lab.run("image_from_volume", **task(lab, **options))
    if result.get("failed"):
        result = lab.run("image_from_volume", **task(lab, **options))
    image = assert_converged(lab, result, ["cinder"], **options)
    assert image["tags"] == ["a-tag"]
    assert_forgotten(lab.member, sources["rbd"])


# --- the bytes are sent ---


@pytest.mark.parametrize("sent", [SENT // 2, SENT])
def test_killed_while_sending(lab, file_volume, sent):
    killed = []

    def kill(so_far):
        if so_far >= sent and not killed:
            killed.append(so_far)
            run.kill()

    lab.glance.faults.append(Fault(when=is_sending, sending=kill))
    run = lab.start("image_from_volume", **task(lab, **file_volume))
    run.process.wait(180)
    assert killed
    result = lab.run("image_from_volume", **task(lab, **file_volume))
    assert_converged(lab, result, ["file"], how="adopted", **file_volume)
    assert result["method_used"] == "upload"


def test_killed_before_what_arrived_was_compared(lab, file_volume):
    killed_at(lab, lab.glance, (is_sending, "after", 1), **file_volume)
    result = lab.run("image_from_volume", **task(lab, **file_volume))
    assert_converged(lab, result, ["file"], how="adopted", **file_volume)


@pytest.mark.parametrize("fault, words", [
    ({"cut_sent_after": 3 * MIB}, "take the bytes of image"),
    ({"garble_sent": True}, "Glance has not what was sent"),
    ({"status": 410, "body": b"the store is read-only"}, "410"),
    ({"status": 413, "body": b"the store is full"}, "413"),
], ids=["cut", "garbled", "read-only", "full"])
def test_an_upload_that_fails_leaves_nothing(lab, file_volume, fault, words):
    lab.glance.faults.append(Fault(when=is_sending, **fault))
    result = lab.run("image_from_volume", **task(lab, **file_volume))
    assert result["failed"] and words in result["msg"], result["msg"]
    assert_nothing_left(lab)
    assert_converged(lab, lab.run("image_from_volume", **task(lab, **file_volume)), ["file"], how="created", **file_volume)


def test_a_store_that_refuses(lab, file_volume):
    """The file store takes no image whose file is there already."""
    in_the_way = []

    def obstruct(method, path):
        in_the_way.append(FILES / path.split("/")[-2])
        in_the_way[0].write_bytes(b"")

    options = dict(file_volume, cloud=lab.admin_cloud, stores=["rbd", "file"])
    lab.glance.faults.append(Fault(when=is_import, before=obstruct))
    result = lab.run("image_from_volume", **task(lab, **options))
    in_the_way[0].unlink()
    assert result["failed"] and result["changed"] and "not in all its stores: file" in result["msg"]
    assert {store: each["state"] for store, each in result["stores"].items()} == {"rbd": "present", "file": "failed"}
    assert the_image(lab)["stores"] == "rbd"
    assert_converged(lab, lab.run("image_from_volume", **task(lab, **options)), ["file", "rbd"], how="updated", **options)


def test_two_runs_at_once_send_one_image(lab, file_volume):
    runs = [lab.start("image_from_volume", **task(lab, **file_volume)) for dummy in range(2)]
    for result in [run.result() for run in runs]:
        assert_converged(lab, result, ["file"], **file_volume)


def test_the_image_has_the_volumes_bytes(lab, file_volume, tmp_path):
    result = lab.run("image_from_volume", **task(lab, disk_format="qcow2", **file_volume))
    image = assert_converged(lab, result, ["file"], disk_format="qcow2", **file_volume)
    arrived = tmp_path / "arrived"
    arrived.write_bytes(lab.admin.image.get("/images/%s/file" % image["id"]).content)
    original = next((tmp_path / "mnt").rglob("web"))
    subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", original, arrived], check=True, stdout=subprocess.PIPE)
    said = subprocess.run(["qemu-img", "check", "-f", "qcow2", "--output", "json", arrived], check=True, stdout=subprocess.PIPE).stdout
    assert json.loads(said)["check-errors"] == 0


# --- the volume is the image ---


def is_announcing(method, path):
    return method == "POST" and path.endswith("/v2/images")


def is_referring(method, path):
    return method == "POST" and path.endswith("/locations")


@pytest.mark.parametrize("proxy, moment", [
    ("glance", (is_announcing, "after", 1)), ("glance", (is_referring, "before", 1)), ("glance", (is_referring, "after", 1)),
], ids=["when it is announced", "before it refers to the volume", "when it does"])
def test_killed_while_a_volume_becomes_an_image(lab, service, proxy, moment):
    volume = made(service, "rbd")
    options = {"cloud": lab.behind("lab-service", service), "volume": volume.id, "method": "register"}
    try:
        killed_at(lab, getattr(lab, proxy), moment, **options)
        result = lab.run("image_from_volume", **task(lab, **options))
        image = assert_converged(lab, result, ["cinder"], **options)
        assert image["bootable_method"] == "register"
        there = service.block_storage.get_volume(volume.id)
        assert there.metadata["glance_image_id"] == image["id"] and there.metadata["readonly"] == "True"
    finally:
        for each in lab.images():
            lab.admin.image.delete_image(each)
        time.sleep(1)
        service.block_storage.delete_volume(volume.id, ignore_missing=True)
