# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import pathlib
import threading
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NotFound, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import locks
from ansible_collections.bootable.volumes.tests.unit.fakes.host import FastClock


@pytest.fixture
def deadline() -> Deadline:
    return Deadline(10, clock=FastClock())


def test_only_one_has_it_and_no_file_stays(folder: pathlib.Path, deadline: Deadline) -> None:
    path = str(folder / "lock")
    with locks.held([path, path], deadline):
        assert locks.is_held(path)
        with pytest.raises(TimedOut, match="another run"), locks.held([path], deadline):
            pass
        assert locks.is_held(path)
    assert not locks.is_held(path)
    assert os.listdir(folder) == []


def test_those_taken_are_let_go_when_one_cannot_be_had(folder: pathlib.Path, deadline: Deadline) -> None:
    with locks.held([str(folder / "b")], deadline), pytest.raises(TimedOut), locks.held([str(folder / "a"), str(folder / "b")], deadline):
        pass
    assert os.listdir(folder) == []


def test_one_that_a_killed_process_left_is_taken_over(folder: pathlib.Path, deadline: Deadline) -> None:
    (folder / "lock").touch()
    assert not locks.is_held(str(folder / "lock"))
    with locks.held([str(folder / "lock")], deadline):
        pass
    assert os.listdir(folder) == []


def test_a_lock_whose_file_was_removed_is_none(folder: pathlib.Path, deadline: Deadline) -> None:
    """Who waited on a file that the holder then removed must not think that it has the lock."""
    path = str(folder / "lock")
    with locks.held([path], deadline):
        os.unlink(path)
        with locks.held([path], deadline):
            assert locks.is_held(path)


def test_where_no_lock_can_be_made(folder: pathlib.Path, deadline: Deadline) -> None:
    with pytest.raises(BackendError, match="cannot be taken"), locks.held([str(folder / "none" / "lock")], deadline):
        pass


def test_many_at_once(folder: pathlib.Path) -> None:
    inside: t.List[int] = []
    most: t.List[int] = []

    def work() -> None:
        for dummy in range(20):
            with locks.held([str(folder / "a"), str(folder / "b")], Deadline(60)):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for dummy in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80 and max(most) == 1
    assert os.listdir(folder) == []


def test_a_folder_is_held_without_a_trace(folder: pathlib.Path, deadline: Deadline) -> None:
    before = folder.stat().st_mtime_ns
    with locks.folder_held(str(folder), deadline):
        with pytest.raises(TimedOut, match="another run"), locks.folder_held(str(folder), deadline):
            pass
    with locks.folder_held(str(folder), Deadline(10, clock=FastClock())):
        assert os.listdir(folder) == [] and folder.stat().st_mtime_ns == before


def test_a_folder_that_is_none(folder: pathlib.Path, deadline: Deadline) -> None:
    (folder / "file").touch()
    for name in ("none", "file"):
        with pytest.raises(NotFound, match="no folder .*%s; make it first" % name), locks.folder_held(str(folder / name), deadline):
            pass


def test_a_file_system_that_is_out_of_order_does_not_hide_what_went_wrong(folder: pathlib.Path, deadline: Deadline, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> None:
        raise OSError(errno.EIO, "Input/output error", path)

    with pytest.raises(BackendError, match="the copy"), monkeypatch.context() as patch, locks.held([str(folder / "lock")], deadline):
        patch.setattr(os, "unlink", fail)
        raise BackendError("the copy was not good")
    with locks.held([str(folder / "lock")], deadline):
        pass
    assert os.listdir(folder) == []
