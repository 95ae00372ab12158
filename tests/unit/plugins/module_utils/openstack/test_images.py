# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    Ambiguous, BackendError, IntegrityError, InUse, InvalidInput, NotFound,
)
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import require_readable
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request

NOWHERE = "99999999-0000-4000-8000-000000000000"


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


# --- looking ---


def test_found_by_id_and_by_name(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", b"x" * 10, owner_specified="yes", stores="file,rbd")
    for word in (image_id, "debian"):
        image = cloud.images.find(word)
        assert (image.id, image.name, image.size, image.stores) == (image_id, "debian", 10, ("file", "rbd"))
        assert image.properties == {"owner_specified": "yes"}


def test_an_image_may_have_another_ones_id_for_a_name(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add(NOWHERE)
    assert cloud.images.find(NOWHERE).id == image_id


def test_names_are_refused_that_several_have(cloud: FakeCloud) -> None:
    ids = [cloud.glance.add("debian"), cloud.glance.add("debian")]
    with pytest.raises(Ambiguous) as caught:
        cloud.images.find("debian")
    assert all(each in caught.value.message for each in ids)
    assert caught.value.details["ids"] == ids


@pytest.mark.parametrize("word", ["nix", NOWHERE])
def test_no_such_image(cloud: FakeCloud, word: str) -> None:
    with pytest.raises(NotFound, match="no image with the name or id '%s'" % word):
        cloud.images.find(word)


def test_hidden_images_are_found_when_there_is_no_other(cloud: FakeCloud) -> None:
    hidden = cloud.glance.add("debian", os_hidden=True)
    assert cloud.images.find("debian").id == hidden
    shown = cloud.glance.add("debian")
    assert cloud.images.find("debian").id == shown


@pytest.mark.parametrize("name", ["debian:13", "a,b:c", 'say "x:y"', "back\\slash:1", "in:x", "eq:5", "plain, with comma", "x\"y"])
def test_names_may_hold_what_glance_takes_for_operators(cloud: FakeCloud, name: str) -> None:
    for each in ("debian", "13", "a", "x", name):
        cloud.glance.add(each)
    assert cloud.images.find(name).name == name
    assert [image.name for image in cloud.images.list(name=name)] == [name]


def test_listing_turns_pages(cloud: FakeCloud) -> None:
    cloud.glance.page = 2
    for number in range(5):
        cloud.glance.add("image-%d" % number)
    assert len(cloud.images.list()) == 5


@pytest.mark.parametrize("status, words", [
    ("queued", "no data yet"), ("saving", "being uploaded"), ("importing", "imported"), ("deactivated", "administrator"), ("killed", "cannot be read"),
])
def test_images_that_cannot_be_read(cloud: FakeCloud, status: str, words: str) -> None:
    image = cloud.images.get(cloud.glance.add("debian", status=status))
    with pytest.raises(InvalidInput, match="is %s: .*%s" % (status, words)):
        require_readable(image)


# --- reading ---


def read_all(cloud: FakeCloud, image_id: str, offset: int = 0) -> bytes:
    """Everything from an offset on."""
    download = cloud.images.read(image_id, offset)
    pieces = []
    while True:
        piece = download.read(7)
        if not piece:
            break
        pieces.append(piece)
    download.close()
    download.close()
    return b"".join(pieces)


def test_bytes_from_the_beginning_and_from_an_offset(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", bytes(range(100)))
    assert read_all(cloud, image_id) == bytes(range(100))
    assert read_all(cloud, image_id, 60) == bytes(range(60, 100))


def test_a_server_that_knows_no_ranges(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", bytes(range(100)))
    cloud.glance.ranges = False
    with pytest.raises(BackendError, match="from byte 60 on"):
        cloud.images.read(image_id, 60)


def test_a_download_that_breaks_off_is_noticed(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", bytes(range(100)))
    cloud.glance.cut = 50
    with pytest.raises(BackendError, match="send image %s to its end" % image_id):
        read_all(cloud, image_id)


def test_a_locked_image(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", status="deactivated")
    with pytest.raises(Denied, match="has been deactivated"):
        cloud.images.read(image_id)


# --- writing ---


def test_uploads_from_pieces(cloud: FakeCloud) -> None:
    image = cloud.images.create("mine", iter([b"abc", b"def"]), disk_format="qcow2", size=6, properties={"os_type": "linux"}, tags=["a-tag"])
    assert (image.status, image.size, image.disk_format, image.visibility) == ("active", 6, "qcow2", "private")
    assert cloud.glance.data[image.id] == b"abcdef"
    assert image.properties == {"os_type": "linux"}
    assert [each.id for each in cloud.images.list(tag="a-tag")] == [image.id]


@pytest.mark.parametrize("error", [IntegrityError("wrong bytes"), OSError(5, "Input/output error")])
def test_an_error_of_the_reader_comes_out_and_no_image_is_left(cloud: FakeCloud, error: Exception) -> None:
    def broken() -> t.Iterator[bytes]:
        yield b"abc"
        raise error

    with pytest.raises(type(error)) as caught:
        cloud.images.create("mine", broken(), disk_format="raw")
    assert caught.value is error
    assert cloud.glance.images == {}


def test_an_upload_is_sent_once_even_if_the_connection_is_lost(cloud: FakeCloud) -> None:
    def cut(request: Request) -> None:
        if request.method == "PUT":
            raise ConnectionResetError("Connection reset by peer")

    cloud.glance.interrupt = cut
    with pytest.raises(BackendError, match="take the bytes of image mine"):
        cloud.images.create("mine", iter([b"abc"]), disk_format="raw")
    assert cloud.glance.images == {}


def test_an_upload_that_is_not_allowed_leaves_no_image(cloud: FakeCloud) -> None:
    def refuse(request: Request) -> None:
        if request.method == "PUT":
            raise Refused(401, "Authentication required")

    cloud.glance.interrupt = refuse
    with pytest.raises(Denied):
        cloud.images.create("mine", iter([b"abc"]), disk_format="raw")
    assert cloud.glance.images == {}
    assert [line.split()[0] for line in cloud.glance.sent] == ["POST", "DELETE"]


def test_properties_are_added_and_replaced(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", one="1", two="2")
    cloud.images.set_properties(image_id, {"two": "3", "four": "4"})
    assert cloud.images.get(image_id).properties == {"one": "1", "two": "3", "four": "4"}


def test_deleting(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    cloud.images.delete(image_id)
    cloud.images.delete(image_id)
    assert cloud.glance.images == {}


def stumbling(cloud: FakeCloud, image_id: str) -> t.Callable[[Request], None]:
    """A Glance that computes the image's checksum until it is told to delete it, and then stumbles and writes it back."""
    stumbled: t.List[Request] = []

    def stumble(request: Request) -> None:
        if request.method == "DELETE" and not stumbled:
            stumbled.append(request)
            cloud.glance.images[image_id]["protected"] = True
            raise Refused(500, "This Session's transaction has been rolled back")

    return stumble


def test_an_image_that_is_being_hashed_is_discarded(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian", protected=True)
    image = cloud.images.get(image_id)
    cloud.glance.interrupt = stumbling(cloud, image_id)
    cloud.images.discard(image)
    assert cloud.glance.images == {}


def test_what_somebody_protects_is_not_deleted_whatever_glance_stumbles_over(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    cloud.glance.interrupt = stumbling(cloud, image_id)
    with pytest.raises(Denied, match="is protected"):
        cloud.images.delete(image_id)
    assert list(cloud.glance.images) == [image_id]


def test_an_image_in_use_is_not_deleted(cloud: FakeCloud) -> None:
    image_id = cloud.glance.add("debian")
    cloud.glance.depended_on.add(image_id)
    with pytest.raises(InUse, match="could not be deleted because it is in use"):
        cloud.images.delete(image_id)
