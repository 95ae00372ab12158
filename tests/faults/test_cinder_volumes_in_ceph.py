"""Cinder volumes that are read and written in Ceph directly: in both ways to reach it, under another id, killed while they are held, and run again;
Glance is never asked."""

from __future__ import annotations

import json
import subprocess
import uuid

import pytest
from faults.ceph import CONF, Namespace, reached_by
from faults.conftest import LAB
from faults.proxy import Fault

IN_CINDER = {"volume_type": "rbd", "ceph_pool": "volumes", "ceph_conf": str(CONF)}
GUEST = LAB / "guest" / "guest.raw"

# Which request for an action on a volume is the run's last one, and whether Cinder hears of it: the volume is reserved then, and its run dead.
MOMENTS = {
    "when it is reserved to be read": ("there", 1, "after"),
    "when it is written": ("back", 2, "before"),
    "when it is reserved to be compared": ("back", 4, "after"),
}

# With the lab's Python, which knows Cinder's database.
IN_DATABASE = """
import configparser, sys
import sqlalchemy

settings = configparser.RawConfigParser(strict=False)
settings.read(sys.argv[1])
with sqlalchemy.create_engine(settings["database"]["connection"]).begin() as connection:
    connection.exec_driver_sql(sys.argv[2], tuple(sys.argv[3:]))
"""


@pytest.fixture
def elsewhere():
    namespace = Namespace()
    yield namespace
    namespace.remove()


def is_action(method, path):
    return method == "POST" and path.endswith("/action")


def task(lab, elsewhere, direction):
    sides = [IN_CINDER, elsewhere.storage]
    source, destination = sides if direction == "there" else sides[::-1]
    return {"name": lab.prefix, "source": source, "destination": destination, "timeout": 170}


def begun(lab, elsewhere, direction):
    """The volume where it is before it is moved. What is made in Cinder here is made without the module."""
    if direction == "back":
        made = lab.run("volume_from_image", image_file=str(GUEST), name=lab.prefix, storage=elsewhere.storage)
        assert not made.get("failed"), made["msg"]
        return
    image = lab.member.image.find_image("guest-raw")
    volume = lab.member.block_storage.create_volume(name=lab.prefix, size=1, image_id=image.id, volume_type="rbd")
    lab.member.block_storage.wait_for_status(volume, "available", wait=120)


def assert_same(pool, namespace, image):
    place = "driver=raw,file.driver=rbd,file.pool=%s,file.image=%s,file.conf=%s%s" % (
        pool, image, CONF, ",file.namespace=%s" % namespace if namespace else "")
    subprocess.run(["qemu-img", "compare", "--image-opts", "driver=raw,file.filename=%s" % GUEST, place], check=True, stdout=subprocess.PIPE)


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_run_again(lab, elsewhere, moment):
    direction, number, hook = MOMENTS[moment]
    begun(lab, elsewhere, direction)
    seen = []

    def is_the_one(method, path):
        if is_action(method, path):
            seen.append(path)
            return len(seen) == number
        return False

    # with a status it does not get as far as Cinder
    lab.cinder.faults.append(Fault(when=is_the_one, status=503 if hook == "before" else None, **{hook: lambda method, path: run.kill()}))
    run = lab.start("volume_migrate", **task(lab, elsewhere, direction))
    run.process.wait(180)
    lab.cinder.faults.clear()
    assert len(seen) >= number, "the moment never came: %s" % lab.cinder.requests
    (held,) = lab.volumes()
    assert held.status == "attaching"
    assert [key for key in held.metadata if key.startswith("bootable_hold_")]

    result = lab.run("volume_migrate", **task(lab, elsewhere, direction))
    assert not result.get("failed"), result["msg"]
    if direction == "there":
        assert lab.volumes() == []
        assert elsewhere.images() == [lab.prefix]
        assert_same("scratch", elsewhere.name, lab.prefix)
    else:
        (volume,) = lab.volumes()
        assert volume.status == "available" and volume.is_bootable
        assert not [key for key in volume.metadata if key.startswith(("bootable_hold", "bootable_state", "bootable_claim"))], volume.metadata
        assert elsewhere.images() == []
        assert_same("volumes", "", "volume-%s" % volume.id)
    again = lab.run("volume_migrate", **task(lab, elsewhere, direction))
    assert again["changed"] is False, json.dumps(again)
    assert lab.glance.requests == []


@pytest.fixture(params=["bindings", "commands"])
def reaching(request, lab, tmp_path):
    lab.python_path = reached_by(request.param, tmp_path)
    return lab


def test_there_and_back_again(reaching, elsewhere):
    begun(reaching, elsewhere, "there")
    for direction in ("there", "back"):
        result = reaching.run("volume_migrate", **task(reaching, elsewhere, direction))
        assert not result.get("failed"), result["msg"]
        assert result["changed"]
    (volume,) = reaching.volumes()
    assert volume.status == "available" and volume.is_bootable
    assert_same("volumes", "", "volume-%s" % volume.id)
    assert elsewhere.images() == [] and reaching.glance.requests == []


def test_a_volume_that_cinder_has_left_under_another_id(reaching, elsewhere):
    """As Cinder does it where it cannot rename what it has migrated; only administrators are told."""
    storage, other = reaching.admin.block_storage, str(uuid.uuid4())
    image = reaching.admin.image.find_image("guest-raw")
    volume = storage.create_volume(name=reaching.prefix, size=1, image_id=image.id, volume_type="rbd")
    try:
        storage.wait_for_status(volume, "available", wait=120)
        subprocess.run(["rbd", "--conf", CONF, "mv", "volumes/volume-%s" % volume.id, "volumes/volume-%s" % other], check=True)
        in_cinders_database("UPDATE volumes SET _name_id = %s WHERE id = %s", other, volume.id)
        result = reaching.run("volume_migrate", **task(reaching, elsewhere, "there"), cloud=reaching.admin_cloud)
        assert not result.get("failed"), result["msg"]
        assert_same("scratch", elsewhere.name, reaching.prefix)
        assert storage.find_volume(volume.id) is None
        listed = subprocess.run(["rbd", "--conf", CONF, "ls", "--pool", "volumes"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        assert not {"volume-%s" % volume.id, "volume-%s" % other} & set(listed)
    finally:
        storage.delete_volume(volume.id, ignore_missing=True)


def in_cinders_database(statement, *values):
    """What no API does."""
    subprocess.run([LAB / "venv" / "bin" / "python", "-c", IN_DATABASE, LAB / "etc" / "cinder" / "cinder.conf", statement, *values], check=True)
