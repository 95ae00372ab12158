# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.storage.lvm.handles import VolumeHandle


@pytest.fixture
def done() -> t.List[str]:
    return []


@pytest.fixture
def file(folder: pathlib.Path) -> RawFile:
    (folder / "disk").write_bytes(b"abc")
    return RawFile.open(str(folder / "disk"), write=True)


def test_what_is_left_to_do_is_done_once_and_last(file: RawFile, done: t.List[str]) -> None:
    handle = VolumeHandle(file, 3, keep=lambda: done.append("kept"), after=lambda: done.append("rested"))
    assert handle.read(0, 3) == b"abc"
    handle.close()
    handle.close()
    assert done == ["kept", "rested"]


def test_and_whatever_goes_wrong(file: RawFile, done: t.List[str]) -> None:
    def fail() -> None:
        raise BackendError("the device is full")

    handle = VolumeHandle(file, 3, keep=fail, after=lambda: done.append("rested"))
    with pytest.raises(BackendError):
        handle.close()
    with pytest.raises(KeyError), VolumeHandle(file, 3, keep=fail, after=lambda: done.append("rested")):
        raise KeyError
    assert done == ["rested", "rested"]


def test_a_full_pool_is_named_whenever_that_is_found_out(file: RawFile, done: t.List[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*dummy: t.Any) -> None:
        raise NoRoom("the device took no more")

    for verb in ("write", "zero", "flush"):
        monkeypatch.setattr(file, verb, full)
    handle = VolumeHandle(file, 3, keep=full, after=lambda: done.append("rested"), pool="vg/pool")
    for attempt in (lambda: handle.write(0, b"x"), lambda: handle.zero(0, 1), handle.flush, handle.close):
        with pytest.raises(NoRoom, match="the thin pool vg/pool became full.*lvextend"):
            attempt()
    assert done == ["rested"]


def test_where_there_is_no_pool_none_is_named(file: RawFile) -> None:
    def full() -> None:
        raise NoRoom("the device took no more")

    with pytest.raises(NoRoom, match="the device took no more"):
        VolumeHandle(file, 3, keep=full, after=lambda: None).close()
