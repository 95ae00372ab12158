# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen import notes
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.notes import Claim
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Vdi
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import dead_signature

IMAGE = Record(READY, "glance", image_id="i", image_name="golden", checksum="md5:0")


def vdi(uuid: str = "u", record: t.Optional[str] = None, **more: t.Any) -> Vdi:
    """A disk; ``record`` is the state that it remembers, ``of`` the disk that it says it is."""
    config = dict(more.pop("config", {}))
    if record:
        config[notes.RECORD] = json.dumps(Record(record, "glance", image_id="i").as_dict())
    if "of" in more:
        config[notes.SELF] = more.pop("of")
    fields: t.Dict[str, t.Any] = dict(
        ref="ref:" + uuid, uuid=uuid, name="v", description="", size=1, allocated=0, sr="sr", type="user", managed=True, read_only=False, sharable=False,
        is_snapshot=False, snapshot_of="", missing=False, other_config=config, sm_config={}, vbds=(), operations=())
    return Vdi(**dict(fields, **more))


# --- what a disk remembers ---


def test_a_record_is_written_and_read() -> None:
    for blank, grows in ((True, True), (False, False)):
        noted = notes.notes_for(IMAGE, "u", blank=blank, grows=grows)
        assert noted[notes.BLANK] is noted[notes.GROWS] is None, "what is ready is neither"
        assert notes.record_of(vdi(config={key: value for key, value in noted.items() if value})) == IMAGE
        filling = notes.notes_for(Record(FILLING, "file"), blank=blank, grows=grows)
        assert (filling[notes.BLANK] is not None, filling[notes.GROWS] is not None, filling[notes.SELF]) == (blank, grows, None)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "1", '"x"', '{"origin": "x"}'])
def test_what_makes_no_sense_is_no_record(text: str) -> None:
    assert notes.record_of(vdi(config={notes.RECORD: text})) is None


def test_a_copy_remembers_what_its_original_holds_but_not_that_somebody_was_at_it() -> None:
    assert notes.record_of(vdi(record=READY, of="another")) is not None
    assert notes.record_of(vdi(record=FILLING, of="another")) is None
    assert notes.record_of(vdi(record=FILLING, of="u")) is not None


# --- who is at it ---


def test_a_claim_is_over_when_its_run_or_its_time_is() -> None:
    mine = Claim.mine("web-1", Deadline(10))
    assert Claim.parse(mine.text()) == mine and mine.run == liveness.signature() and not mine.over
    assert mine.until > time.time() + 10
    assert Claim("x", dead_signature(), time.time() + 1000).over
    assert Claim("x", "other-host/1/1/1", time.time() - 1).over
    assert not Claim("x", "other-host/1/1/1", time.time() + 1000).over


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": "x", "run": "y", "until": "soon"}'])
def test_a_claim_that_makes_no_sense_is_nobodys(text: str) -> None:
    assert Claim.parse(text).over


# --- which is meant ---

OTHER = {"snapshot": {"is_snapshot": True}, "layer": {"managed": False}, "suspended": {"type": "suspend"}}


@pytest.mark.parametrize("there, chosen, strays", [
    ([], None, []),
    ([vdi("a")], "a", []),
    ([vdi("a", READY, of="a")], "a", []),
    ([vdi("a", READY)], "a", []),
    ([vdi("a", FILLING)], "a", []),
    ([vdi("b", FILLING), vdi("a", READY, of="a")], "a", ["b"]),
    ([vdi("b", FILLING), vdi("a", FILLING)], "a", ["b"]),
    ([vdi("a", READY, of="a"), vdi("b", READY, of="a")], "a", []),
    ([vdi("b", READY, of="a")], "b", []),
    ([vdi("a", READY, of="a"), vdi("c", READY, of="a", config={notes.CLONING + "1": ""})], "a", []),
    ([vdi("c", READY, of="a", config={notes.CLONING + "1": ""})], None, []),
    ([vdi("a", READY, of="a", config={notes.CLONING + "1": ""})], "a", []),
    *[([vdi("a", READY, of="a"), vdi("b", READY, of="a", **fields)], "a", []) for fields in OTHER.values()],
    *[([vdi("b", READY, **fields)], None, []) for fields in OTHER.values()],
])
def test_one_of_a_name_is_meant(there: t.List[Vdi], chosen: t.Optional[str], strays: t.List[str]) -> None:
    found, left = notes.choose("v", there)
    assert (found and found.uuid, [each.uuid for each in left]) == (chosen, strays)


@pytest.mark.parametrize("there", [
    [vdi("a"), vdi("b")],
    [vdi("a", READY, of="a"), vdi("b")],
    [vdi("a", READY, of="a"), vdi("b", READY, of="b")],
    [vdi("a", FILLING), vdi("b")],
    [vdi("b", READY, of="a"), vdi("c", READY, of="a")],
])
def test_several_that_could_be_meant_are_refused(there: t.List[Vdi]) -> None:
    with pytest.raises(Ambiguous, match="2 disks .* called 'v': .*; rename or remove all but one"):
        notes.choose("v", there)
