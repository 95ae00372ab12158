# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record
from ansible_collections.bootable.volumes.plugins.module_utils.storage.lvm import tags

# lvm(8)
LEGAL = re.compile(r"[A-Za-z0-9_+./=!:&#][A-Za-z0-9_+./=!:&#-]{0,1023}")


@pytest.mark.parametrize("record", [
    Record(READY, "blank"),
    Record(FILLING, "glance", image_id="2f7d", image_name="Debian 13, \"trixie\" (größe) 100%!", checksum="sha512:" + "ab" * 64),
    Record(READY, "file", image_name="/srv/" + "ä" * 2000),
    Record(READY, "file", image_name="/srv/\udcff"),
    Record(READY, "url", image_name=""),
])
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    found = tags.tags_of(record)
    assert all(LEGAL.fullmatch(tag) for tag in found)
    assert tags.record_in(found | {"somebody=else", "bootable.grown_from=5"}) == record


def test_they_can_be_read_by_people() -> None:
    assert tags.tags_of(Record(READY, "glance", image_name="debian 13")) == {
        "bootable.state=ready", "bootable.origin=glance", "bootable.image_name=debian!2013"}


@pytest.mark.parametrize("found", [set(), {"backup"}, {"bootable.state=ready"}, {"bootable.origin=glance"}])
def test_without_all_of_them_nothing_is_known(found: "set[str]") -> None:
    assert tags.record_in(found) is None


def test_how_far_a_volume_had_grown() -> None:
    assert tags.grown_from({"bootable.grown_from=4096", "x"}) == 4096
    assert tags.grown_from({"x"}) is None
