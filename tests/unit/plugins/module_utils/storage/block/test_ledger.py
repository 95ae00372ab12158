# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.storage.block.ledger import Entry, Ledger
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record

ENTRY = Entry("naa.5", "/dev/sdb", "v", 512, Record(READY, "glance", image_id="i", image_name="größe"))


@pytest.fixture
def ledger(folder: pathlib.Path) -> Ledger:
    return Ledger(str(folder / "a" / "b"))


@pytest.mark.parametrize("identity", ["naa.5", "loop-1@0-/srv/" + "x" * 4000, "../../etc/passwd", "ä \udcff"])
def test_an_entry_comes_back_as_it_was(ledger: Ledger, identity: str) -> None:
    entry = Entry(identity, "/dev/sdb", "v", 512, ENTRY.record)
    ledger.save(entry)
    assert ledger.load(identity) == entry
    assert len(os.listdir(ledger.folder)) == 1
    ledger.forget(identity)
    ledger.forget(identity)
    assert ledger.load(identity) is None and os.listdir(ledger.folder) == []


def test_there_may_be_none(ledger: Ledger) -> None:
    assert ledger.load("naa.5") is None
    assert not os.path.exists(ledger.folder)


@pytest.mark.parametrize("change", [
    {"identity": "naa.6"}, {"size": "512"}, {"name": None}, {"record": {}}, {"record": None}, {"version": None},
])
def test_damage_is_told_of(ledger: Ledger, change: "dict[str, object]") -> None:
    ledger.save(ENTRY)
    with open(ledger.path("naa.5"), encoding="utf-8") as file:
        data = json.load(file)
    with open(ledger.path("naa.5"), "w", encoding="utf-8") as file:
        json.dump(dict(data, **change), file)
    with pytest.raises(BackendError, match="damaged"):
        ledger.load("naa.5")


def test_a_later_version_is_not_guessed_at(ledger: Ledger) -> None:
    ledger.save(ENTRY)
    with open(ledger.path("naa.5"), "w", encoding="utf-8") as file:
        file.write('{"version": 2}')
    with pytest.raises(BackendError, match="later version"):
        ledger.load("naa.5")


def test_a_folder_that_cannot_be(folder: pathlib.Path) -> None:
    (folder / "file").touch()
    with pytest.raises(BackendError, match="state_dir"):
        Ledger(str(folder / "file" / "x")).save(ENTRY)
    with pytest.raises(BackendError, match="cannot be read"):
        Ledger(str(folder / "file")).load("naa.5")
