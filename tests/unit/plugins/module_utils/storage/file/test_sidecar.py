# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.sidecar import Sidecar
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record

RECORD = Record(READY, "glance", image_id="i", image_name="n", checksum="sha512:ab")


@pytest.mark.parametrize("sidecar", [
    Sidecar("raw", RECORD, 5),
    Sidecar("qcow2", Record(READY, "blank"), 5, exact=False, inode=7, moved_from=("/a/b", 9)),
])
def test_it_comes_back_as_it_was(folder: pathlib.Path, sidecar: Sidecar) -> None:
    path = str(folder / "x.json")
    sidecar.save(path)
    assert Sidecar.load(path) == sidecar
    assert os.listdir(folder) == ["x.json"]


def test_there_may_be_none(folder: pathlib.Path) -> None:
    assert Sidecar.load(str(folder / "none")) is None
    (folder / "link").symlink_to("/etc/passwd")
    assert Sidecar.load(str(folder / "link")) is None


@pytest.mark.parametrize("content", [
    "", "{", "[]", "null", "{}", '{"version": 1}', '{"version": 1, "format": "raw", "size": 1, "record": {}}',
    '{"version": 1, "format": 3, "size": 1, "record": {"state": "ready", "origin": "file"}}',
    '{"version": 1, "format": "raw", "size": "1", "record": {"state": "ready", "origin": "file"}}',
    '{"version": 1, "format": "raw", "size": 1, "record": {"state": "ready", "origin": "file"}, "moved_from": []}',
    "\udcff",
])
def test_damage_is_told_of(folder: pathlib.Path, content: str) -> None:
    (folder / "x").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BackendError, match="damaged.*file_volume"):
        Sidecar.load(str(folder / "x"))


def test_a_later_version_is_not_guessed_at(folder: pathlib.Path) -> None:
    (folder / "x").write_text('{"version": 2}')
    with pytest.raises(BackendError, match="later version"):
        Sidecar.load(str(folder / "x"))


def test_fields_of_later_versions_are_passed_over(folder: pathlib.Path) -> None:
    path = folder / "x"
    Sidecar("raw", RECORD, 5).save(str(path))
    data: t.Dict[str, t.Any] = json.loads(path.read_text())
    path.write_text(json.dumps(dict(data, colour="red", record=dict(data["record"], smell="sweet"))))
    assert Sidecar.load(str(path)) == Sidecar("raw", RECORD, 5)
