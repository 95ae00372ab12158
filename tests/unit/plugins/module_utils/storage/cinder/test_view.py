# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Attachment, CinderVolume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import (
    CLAIM, YIELDED, CinderOptions, differences_of, holders_of, is_going, metadata_of, record_in, view, was_downloaded,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, BROKEN, HALF_DONE, WORKING
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record

GLANCE = {"image_id": "i1", "image_name": "debian", "checksum": "abc"}


def volume(status: str = "available", **attributes: t.Any) -> CinderVolume:
    """A volume, as the port has it."""
    return CinderVolume(**dict({"id": "v1", "name": "web-1", "size": 2, "status": status, "type": "rbd", "zone": "nova"}, **attributes))


# All statuses of cinder/objects/fields.py (29.0.0).
@pytest.mark.parametrize("status, state", [
    ("available", AVAILABLE), ("in-use", AVAILABLE), ("reserved", AVAILABLE), ("maintenance", AVAILABLE), ("awaiting-transfer", AVAILABLE),
    ("creating", WORKING), ("downloading", WORKING), ("uploading", WORKING), ("deleting", WORKING), ("extending", WORKING), ("attaching", WORKING),
    ("detaching", WORKING), ("managing", WORKING), ("restoring-backup", WORKING), ("backing-up", WORKING), ("retyping", WORKING),
    ("error", BROKEN), ("error_deleting", BROKEN), ("error_managing", BROKEN), ("error_restoring", BROKEN), ("error_backing-up", BROKEN),
    ("error_extending", BROKEN),
])
def test_every_status_is_a_state(status: str, state: str) -> None:
    assert view(volume(status)).state == state


def test_a_claimed_volume_is_being_worked_on() -> None:
    found = view(volume(metadata={CLAIM: "r1"}))
    assert (found.state, found.status) == (WORKING, "available, but claimed by a run that has not finished")
    assert view(volume("creating", metadata={CLAIM: "r1"})).status == "creating"
    assert view(volume("error", metadata={CLAIM: "r1"})).state == BROKEN


def test_strays_are_something_to_work_on() -> None:
    found = view(volume(), ["v2"])
    assert (found.state, found.details["strays"]) == (WORKING, ["v2"])


def test_what_is_going() -> None:
    assert is_going(volume("deleting")) and is_going(volume(metadata={CLAIM: YIELDED}))
    assert not is_going(volume(metadata={CLAIM: "r1"})) and not is_going(volume())


def test_results_show_nothing_of_ours() -> None:
    found = view(volume(metadata={"team": "a", CLAIM: "r1", "bootable_state": FILLING}, bootable=True, description="x"))
    assert found.details["metadata"] == {"team": "a"}
    assert (found.size, found.location, found.details["bootable"], found.details["description"]) == (2 * GIB, "rbd", True, "x")


@pytest.mark.parametrize("downloaded, attributes", [
    (True, {"status": "downloading"}), (True, {"image": dict(GLANCE, signature_verified="False")}), (False, {"image": GLANCE}), (False, {}),
])
def test_whether_bytes_were_copied(downloaded: bool, attributes: t.Any) -> None:
    assert was_downloaded(volume(**attributes)) is downloaded


# --- records ---


def test_the_record_that_cinder_keeps() -> None:
    assert record_in(volume(image=GLANCE)) == Record(READY, "glance", "i1", "debian", "md5:abc")
    assert record_in(volume()) is None


@pytest.mark.parametrize("checksum", ["None", "", None])
def test_an_image_without_a_checksum(checksum: t.Optional[str]) -> None:
    assert record_in(volume(image={"image_id": "i1", "checksum": checksum})) == Record(READY, "glance", "i1")


@pytest.mark.parametrize("record", [
    Record(READY, "file", None, "/srv/debian.raw", "sha256:12"),
    Record(READY, "url", None, "https://h/debian.qcow2", "sha512:12"),
    Record(FILLING, "glance", "i1", "debian", "sha512:12"),
    Record(READY, "blank"),
])
def test_a_record_comes_back_from_metadata(record: Record) -> None:
    assert record_in(volume(metadata=metadata_of(record))) == record


def test_half_done() -> None:
    assert view(volume(metadata=metadata_of(Record(FILLING, "file")))).state == HALF_DONE


def test_our_record_is_believed_while_cinder_names_the_image_it_came_by() -> None:
    ours = Record(READY, "file", None, "/srv/debian.raw", "sha256:12")
    metadata = metadata_of(ours, via="i1")
    assert record_in(volume(metadata=metadata, image=GLANCE)) == ours
    assert record_in(volume(metadata=metadata)) == ours


def test_our_record_is_stale_when_cinder_names_another_image() -> None:
    metadata = metadata_of(Record(READY, "file", None, "/srv/debian.raw", "sha256:12"), via="i0")
    assert record_in(volume(metadata=metadata, image=GLANCE)) == Record(READY, "glance", "i1", "debian", "md5:abc")


def test_metadata_fits_into_cinder() -> None:
    metadata = metadata_of(Record(READY, "file", None, "/" + "x" * 300, "sha512:" + "a" * 128))
    assert all(isinstance(value, str) and 0 < len(value) <= 255 for value in metadata.values())


# --- differences and holders ---


def differing(options: CinderOptions, **attributes: t.Any) -> t.Dict[str, str]:
    """What differs, and how it is mended."""
    return {each.what: each.mend for each in differences_of(view(volume(**attributes)), options, options.volume_type)}


@pytest.mark.parametrize("options, attributes, expected", [
    (CinderOptions(), {"bootable": True}, {}),
    (CinderOptions(), {"bootable": False}, {"bootable": "update"}),
    (CinderOptions(bootable=False), {"bootable": True}, {"bootable": "update"}),
    (CinderOptions(volume_type="rbd"), {"bootable": True}, {}),
    (CinderOptions(volume_type="nfs"), {"bootable": True}, {"volume_type": "replace"}),
    (CinderOptions(availability_zone="b"), {"bootable": True}, {"availability_zone": "replace"}),
    (CinderOptions(description="x"), {"bootable": True}, {"description": "update"}),
    (CinderOptions(metadata={"a": "1"}), {"bootable": True}, {"metadata": "update"}),
    (CinderOptions(metadata={"a": "1"}), {"bootable": True, "metadata": {"a": "2", "b": "3"}}, {"metadata": "update"}),
    (CinderOptions(metadata={"a": "1"}), {"bootable": True, "metadata": {"a": "1", "b": "3"}}, {}),
])
def test_differences(options: CinderOptions, attributes: t.Any, expected: t.Dict[str, str]) -> None:
    assert differing(options, **attributes) == expected


def test_holders() -> None:
    attached = volume("in-use", attachments=(Attachment("a1", "s1", "/dev/vda"), Attachment("a2", None, None, "host1")))
    assert holders_of(view(attached), ["snap1"]) == ["server s1 as /dev/vda", "host host1", "snapshot snap1"]
    assert holders_of(view(volume("awaiting-transfer")), []) == ["its status, awaiting-transfer"]
    assert holders_of(view(volume(metadata={"glance_image_id": "i1"})), []) == ["image i1, whose bytes it is"]
    assert holders_of(view(volume()), []) == []
