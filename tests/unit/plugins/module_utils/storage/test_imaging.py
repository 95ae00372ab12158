# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of volumes whose bytes have to be sent."""

from __future__ import annotations

import hashlib
import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, IntegrityError, InUse, InvalidInput, TimedOut, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Capabilities, Request
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import NAME
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import run as run_on
from ansible_collections.bootable.volumes.tests.unit.fakes.host import surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Request as Asked
from ansible_collections.bootable.volumes.tests.unit.fakes.memory import MemoryDriver


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def driver(record: Record = Record(READY, "file"), data: bytes = raw_disk()) -> MemoryDriver:
    """A storage with the volume golden."""
    made = MemoryDriver(surroundings())
    made.create(Request("golden", len(data)), record)
    made.disks["golden"][0][:] = data
    return made


def run(cloud: FakeCloud, **how: t.Any) -> t.Dict[str, t.Any]:
    """A run of the task."""
    how.setdefault("driver", driver())
    return run_on(cloud, **how)


def only(cloud: FakeCloud) -> t.Dict[str, t.Any]:
    """The one image."""
    (image,) = [image for image in cloud.glance.images.values() if image["name"] == NAME]
    return image


@pytest.mark.parametrize("algorithm", ["sha512", "sha256", None])
def test_the_bytes_arrive_and_are_compared(cloud: FakeCloud, algorithm: t.Optional[str]) -> None:
    cloud.glance.algorithm = algorithm
    result = run(cloud)
    assert (result["how"], result["method_used"]) == ("created", "upload")
    assert result["method_reason"] == "the bytes of a volume of the driver memory have to be sent"
    assert cloud.glance.data[only(cloud)["id"]] == raw_disk()
    assert result["image"]["checksum"] == hashlib.md5(raw_disk()).hexdigest()
    assert "bootable_state" not in only(cloud) and only(cloud)["bootable_volume"] == "memory:golden"
    assert run(cloud)["actions"] == ["keep"]


@pytest.mark.parametrize("algorithm", ["sha512", "sha256", None])
def test_other_bytes_than_were_sent(cloud: FakeCloud, algorithm: t.Optional[str]) -> None:
    cloud.glance.algorithm, cloud.glance.spoil = algorithm, lambda data: b"x" + data[1:]
    with pytest.raises(IntegrityError, match="Glance has not what was sent: .* the image was removed") as caught:
        run(cloud, protected=True)
    assert caught.value.details["found"] != caught.value.details["promised"]
    assert cloud.glance.images == {}


def test_fewer_bytes_than_were_sent(cloud: FakeCloud) -> None:
    cloud.glance.spoil = lambda data: data[:-1]
    with pytest.raises(IntegrityError, match="with %d bytes" % (len(raw_disk()) - 1)):
        run(cloud)
    assert cloud.glance.images == {}


def put(error: BaseException) -> t.Callable[[Asked], None]:
    """An upload goes wrong."""
    def interrupt(request: Asked) -> None:
        if request.method == "PUT":
            raise error
    return interrupt


@pytest.mark.parametrize("error, kind", [
    (ConnectionResetError("Connection reset by peer"), BackendError), (Refused(413, "quota"), VolumesError), (Refused(503, "down"), BackendError),
    (Refused(410, "read-only"), BackendError), (KeyboardInterrupt(), KeyboardInterrupt)])
def test_whatever_goes_wrong_no_image_is_left(cloud: FakeCloud, error: BaseException, kind: t.Type[BaseException]) -> None:
    cloud.glance.interrupt = put(error)
    with pytest.raises(kind):
        run(cloud, protected=True)
    assert cloud.glance.images == {}


def test_out_of_time(cloud: FakeCloud) -> None:
    clock = cloud.clock
    cloud.glance.interrupt = lambda request: clock.sleep(60) if request.line == "POST /v2/images" else None
    with pytest.raises(TimedOut, match="golden to be sent"):
        run(cloud, seconds=30)
    assert cloud.glance.images == {}


@pytest.mark.parametrize("protected", [True, None])
def test_killed_while_it_was_sent_and_made_anew(cloud: FakeCloud, protected: t.Optional[bool]) -> None:
    """A process that is killed cleans nothing up: as if its last requests had never been heard."""
    old: t.List[str] = []

    def interrupt(request: Asked) -> None:
        if request.method == "PUT":
            old.append(only(cloud)["id"])
        if old:
            raise ConnectionResetError

    cloud.glance.interrupt = interrupt
    with pytest.raises(BackendError):
        run(cloud, protected=protected)
    assert only(cloud)["bootable_state"] == "filling" and not only(cloud)["protected"]
    cloud.glance.interrupt = lambda request: None
    result = run(cloud, protected=protected)
    assert result["how"] == "adopted" and result["image"]["id"] != old[0] and only(cloud)["protected"] is bool(protected)
    assert run(cloud, protected=protected)["actions"] == ["keep"]


def test_killed_before_what_arrived_was_compared(cloud: FakeCloud) -> None:
    run(cloud)
    only(cloud)["bootable_state"] = "filling"
    old = only(cloud)["id"]
    result = run(cloud)
    assert result["how"] == "adopted" and only(cloud)["id"] == result["image"]["id"] != old


def test_where_it_goes_is_said_with_the_bytes(cloud: FakeCloud) -> None:
    base = cloud.glance.add("debian", stores="cinder")
    record = Record(READY, "glance", image_id=base)
    result = run(cloud, driver=driver(record))
    headers = cloud.glance.received[-1]
    assert headers["x-image-meta-store"] == "cinder" and headers["x-openstack-base-image-ref"] == base
    assert headers["x-openstack-image-size"] == str(len(raw_disk()))
    assert result["placement"]["rule"] == "base_image" and result["image"]["stores"] == ["cinder"]


@pytest.mark.parametrize("record, asked, store, rule", [
    (Record(READY, "file"), None, "file", "default"),
    (Record(READY, "glance", image_id="gone"), None, "file", "default"),
    (Record(READY, "file"), ["rbd"], "rbd", "explicit"),
])
def test_the_first_store(cloud: FakeCloud, record: Record, asked: t.Any, store: str, rule: str) -> None:
    result = run(cloud, driver=driver(record), asked=asked)
    assert cloud.glance.received[-1]["x-image-meta-store"] == store
    assert result["placement"]["rule"] == rule and result["image"]["stores"] == [store]


def test_a_glance_with_one_store(cloud: FakeCloud) -> None:
    cloud.glance.offered = {}
    assert run(cloud)["placement"]["rule"] == "single"
    assert "x-image-meta-store" not in cloud.glance.received[-1]


def test_several_stores_need_the_right_to_copy(cloud: FakeCloud) -> None:
    with pytest.raises(BackendError, match="is there, but not in all its stores: rbd"):
        run(cloud, asked=["cinder", "rbd"])
    cloud.glance.admin = True
    assert run(cloud, asked=["cinder", "rbd"])["image"]["stores"] == ["cinder", "rbd"]


@pytest.mark.parametrize("format", ["qcow2", "vhd"])
def test_it_is_converted(cloud: FakeCloud, format: str) -> None:
    result = run(cloud, disk_format=format)
    assert result["image"]["disk_format"] == format
    sent = cloud.glance.data[only(cloud)["id"]]
    assert sent.startswith({"qcow2": b"QFI\xfb", "vhd": b"conectix"}[format])
    assert run(cloud, disk_format=format)["actions"] == ["keep"]


@pytest.mark.parametrize("wish, words", [
    ({"method": "clone"}, "of the driver memory can only be uploaded; clone is for volumes of Cinder"),
    ({"method": "register"}, "can only be uploaded; register"),
    ({"container_format": "ova"}, "of the driver memory a bare image is made, not ova"),
])
def test_what_cannot_be_made(cloud: FakeCloud, wish: t.Dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        run(cloud, **wish)
    assert cloud.glance.images == {}


def test_a_storage_that_cannot_be_read(cloud: FakeCloud) -> None:
    closed = driver()
    closed.capabilities = Capabilities(handles=False)  # type: ignore[misc]
    with pytest.raises(InvalidInput, match="volumes of the driver memory cannot be read"):
        run(cloud, driver=closed)


def test_a_volume_that_is_half_done(cloud: FakeCloud) -> None:
    with pytest.raises(InUse, match="is half_done; an image is made only of one that is whole"):
        run(cloud, driver=driver(Record(FILLING, "file")))


def test_it_has_all_that_was_asked_for_and_is_private_until_then(cloud: FakeCloud) -> None:
    seen: t.Set[str] = set()
    cloud.glance.interrupt = lambda request: seen.update(image["visibility"] for image in cloud.glance.images.values())
    wish: t.Dict[str, t.Any] = {"protected": True, "tags": ("a",), "min_disk": 2, "properties": {"os_type": "linux"}}
    result = run(cloud, **wish)
    assert seen == {"private"}
    assert (result["image"]["is_protected"], result["image"]["tags"], result["image"]["min_disk"]) == (True, ["a"], 2)
    assert result["image"]["properties"] == {"os_type": "linux"}
    assert run(cloud, **wish)["actions"] == ["keep"]
    assert run(cloud, protected=False)["actions"] == ["update"] and not only(cloud)["protected"]


def test_public_images_are_for_administrators(cloud: FakeCloud) -> None:
    with pytest.raises(BackendError, match="not authorized to complete publicize_image"):
        run(cloud, visibility="public")
    assert cloud.glance.images == {}
