# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of Cinder's imaging by themselves. How they work together is seen where the operation is tested."""

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import Origin, origin_of
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.imaging import CinderImaging
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import AFTER, REQUEST, view
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.imaging import Route
from ansible_collections.bootable.volumes.tests.unit.fakes.cinder import FakeCinder
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import NAME, Golden
from ansible_collections.bootable.volumes.tests.unit.fakes.host import Ear


@pytest.fixture
def cloud() -> Golden:
    return Golden()


def imaging(cloud: Golden) -> CinderImaging:
    return CinderImaging(cloud.volumes, cloud.images)


def golden(cloud: Golden, **changes: t.Any) -> Volume:
    """The volume, after these changes."""
    cloud.golden.update(changes)
    return view(cloud.volumes.get(cloud.id))


# --- looking ---


@pytest.mark.parametrize("changes, base", [({}, True), ({"bootable": False}, False), ({"_image": {}}, False), ({"status": "downloading"}, False)])
def test_the_image_that_a_volume_was_made_from(cloud: Golden, changes: t.Dict[str, t.Any], base: bool) -> None:
    assert imaging(cloud).base_of(golden(cloud, **changes)) == (cloud.base if base else None)


@pytest.mark.parametrize("admin, volume_type, store", [
    (True, "rbd", "file"), (False, "rbd", None), (True, "nfs", None), (True, "gone", None), (True, None, None)])
def test_the_store_that_the_type_names_as_far_as_it_shows(cloud: Golden, admin: bool, volume_type: t.Optional[str], store: t.Optional[str]) -> None:
    cloud.cinder.specs[cloud.cinder.types["rbd"]]["image_service:store_id"] = "file"
    cloud.cinder.admin = admin
    assert imaging(cloud).store_of(golden(cloud, volume_type=volume_type)) == store


@pytest.mark.parametrize("request_of, image, claimed", [
    ({}, {}, False),
    ({REQUEST: NAME}, {}, True),
    ({REQUEST: "another"}, {}, False),
    ({REQUEST: NAME}, {"hidden": True}, False),
    ({REQUEST: NAME, AFTER: "2026-01-01T00:00:01Z"}, {}, True),
    ({REQUEST: NAME, AFTER: "2026-01-01T00:00:02Z"}, {}, False),
], ids=["none", "its name", "another name", "hidden", "younger than those of its name", "one of those"])
def test_what_a_volume_claims(cloud: Golden, request_of: t.Dict[str, str], image: t.Dict[str, t.Any], claimed: bool) -> None:
    volume = golden(cloud, metadata=request_of)
    assert imaging(cloud).claims(volume, Image("i1", NAME, "queued", created_at="2026-01-01T00:00:02Z", **image)) is claimed
    assert REQUEST not in volume.details["metadata"], "results do not show it"


RAW, CLONE, REGISTER, QCOW2, OVA = (
    {}, {"method": "clone"}, {"method": "register"}, {"disk_format": "qcow2"}, {"container_format": "ova"})


@pytest.mark.parametrize("changes, wish, error", [
    ({}, RAW, None), ({}, CLONE, None), ({}, REGISTER, None), ({}, QCOW2, None), ({}, OVA, None),
    ({}, {"disk_format": "iso"}, InvalidInput), ({}, {"container_format": "aki"}, InvalidInput),
    ({}, dict(CLONE, **QCOW2), InvalidInput), ({}, dict(REGISTER, **OVA), InvalidInput),
    ({"encrypted": True}, RAW, None), ({"encrypted": True}, QCOW2, InvalidInput), ({"encrypted": True}, OVA, InvalidInput),
    ({"status": "in-use"}, RAW, InUse), ({"status": "in-use"}, {"force": True}, None), ({"status": "in-use"}, dict(REGISTER, force=True), InUse),
    ({"status": "reserved"}, {"force": True}, InUse), ({"status": "awaiting-transfer"}, RAW, InUse),
    ({"status": "uploading"}, RAW, None), ({"status": "uploading"}, REGISTER, None),
    ({"metadata": {"glance_image_id": "i1"}}, RAW, None), ({"metadata": {"glance_image_id": "i1"}}, REGISTER, InUse),
])
def test_what_can_be_made_of_a_volume(cloud: Golden, changes: t.Dict[str, t.Any], wish: t.Dict[str, t.Any], error: t.Optional[t.Type[VolumesError]]) -> None:
    volume, writes = golden(cloud, **changes), cloud.writes()
    if error is None:
        imaging(cloud).check(volume, ImageWish(NAME, **wish))
    else:
        with pytest.raises(error):
            imaging(cloud).check(volume, ImageWish(NAME, **wish))
    assert cloud.writes() == writes


# --- making ---


def test_the_volume_remembers_the_request_before_there_is_an_image(cloud: Golden) -> None:
    seen: t.List[t.Optional[str]] = []
    cloud.cinder.interrupt = lambda request: seen.append(
        cloud.golden["metadata"].get(REQUEST)) if b"os-volume_upload_image" in request.body else None
    ear = Ear()
    imaged = imaging(cloud).make(golden(cloud), ImageWish(NAME), Route(), cloud.job(listener=ear))
    assert seen == [NAME] and REQUEST not in cloud.golden["metadata"]
    assert origin_of(imaged.image) == Origin(cloud.id, "upload")
    assert imaged.finished and imaged.type_store is None and ear.phases() == ["wait"]


@pytest.mark.parametrize("clones, wish, noted", [
    (True, {}, "clone"), (False, {}, "clone"), (True, QCOW2, "upload"), (True, {"method": "upload"}, "upload")])
def test_a_guess_is_noted_at_once(clones: bool, wish: t.Dict[str, t.Any], noted: str) -> None:
    cloud = Golden(clones=clones)
    imaged = imaging(cloud).make(golden(cloud), ImageWish(NAME, tags=("a",), **wish), Route(), cloud.job(wait=False))
    assert not imaged.finished
    assert cloud.image.status == "queued" and cloud.image.tags == ("a",) and origin_of(cloud.image) == Origin(cloud.id, noted)


def test_a_cinder_that_does_not_answer(cloud: Golden) -> None:
    """Whether it has begun is not known: the volume goes on remembering the request."""
    def refuse(request: t.Any) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    def begin(volume: t.Dict[str, t.Any], wish: t.Dict[str, t.Any]) -> t.Any:
        FakeCinder.make_image(cloud.cinder, volume, wish)
        cloud.cinder.interrupt = refuse
        raise ConnectionResetError("Connection reset by peer")

    vars(cloud.cinder)["make_image"] = begin
    with pytest.raises(BackendError, match="Connection refused"):
        imaging(cloud).make(golden(cloud), ImageWish(NAME), Route(), cloud.job())
    cloud.cinder.interrupt = lambda request: None
    assert cloud.golden["metadata"][REQUEST] == NAME and cloud.image.name == NAME
