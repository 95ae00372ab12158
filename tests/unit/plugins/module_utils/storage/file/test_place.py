# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run may be killed between any two system calls; what it leaves must tell the next one what to do."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.host import files
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import Place
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.sidecar import Sidecar
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record

OLD = Sidecar("raw", Record(READY, "glance", image_id="old"), 3)
NEW = Sidecar("raw", Record(READY, "glance", image_id="new"), 3)


class Killed(BaseException):
    """Nothing runs after this, not even a clean-up."""


@pytest.fixture
def place(one: pathlib.Path) -> Place:
    return Place(str(one), "v")


def publish(place: Place, sidecar: Sidecar, content: bytes) -> None:
    """A whole publication."""
    with open(place.begin(sidecar), "wb") as file:
        file.write(content)
    place.publish(sidecar)


def names(place: Place) -> t.List[str]:
    """Everything in the folder."""
    return sorted(os.listdir(place.mountpoint))


WHOLE = [".v.volume.json", "v"]
CALLS = ("rename", "replace", "unlink", "fsync", "ftruncate", "pwrite")


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> t.List[str]:
    """From now on the ``number``-th of the calls that write does not happen any more."""
    seen: t.List[str] = []

    def counting(name: str) -> t.Callable[..., t.Any]:
        real = getattr(os, name)

        def call(*args: t.Any, **how: t.Any) -> t.Any:
            if len(seen) == number:
                raise Killed
            seen.append(name)
            return real(*args, **how)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, counting(name))
    return seen


@pytest.mark.parametrize("first", [True, False], ids=["a new volume", "in place of an old one"])
def test_killed_at_every_step_of_a_publication(one: pathlib.Path, first: bool) -> None:
    for number in range(100):
        place = Place(str(one), "v")
        if not first:
            publish(place, OLD, b"old")
        with pytest.MonkeyPatch.context() as patch:
            seen = kill_at(patch, number)
            try:
                publish(place, NEW, b"new")
                over = True
            except Killed:
                over = False
        before = place.look()
        listed = names(place)
        assert names(place) == listed, "looking writes nothing"
        place.settle()
        found = place.look()
        if found is not None and not found.promised:
            with open(str(found.path), "rb") as file:
                content = file.read()
            assert content == {"new": b"new", "old": b"old"}[str(found.sidecar.record.image_id)]
            assert before is not None and before.sidecar.record == found.sidecar.record, "settling changes nothing that was seen"
            assert names(place) == WHOLE
        else:
            assert first, "an old volume is never lost"
            assert names(place) in ([], [".v.partial", ".v.partial.json"], [".v.partial.json"])
        place.clear()
        assert names(place) == []
        if over:
            assert number > 10 and len(seen) == number
            return
    raise AssertionError("it never ended")


def test_killed_at_every_step_of_a_removal(one: pathlib.Path) -> None:
    for number in range(50):
        place = Place(str(one), "v")
        publish(place, OLD, b"old")
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, number)
            try:
                place.clear()
                over = True
            except Killed:
                over = False
        place.settle()
        found = place.look()
        assert names(place) == (WHOLE if found else [])
        place.clear()
        if over:
            return
    raise AssertionError("it never ended")


def test_a_promise_without_bytes_is_half_done(place: Place) -> None:
    place.begin(NEW)
    found = place.look()
    assert found and found.promised and found.sidecar == NEW
    place.settle()
    assert place.look() == found


def test_a_broken_off_refill_is_forgotten(place: Place) -> None:
    publish(place, OLD, b"old")
    files.write_atomically(place.begin(NEW), b"ne")
    found = place.look()
    assert found and found.sidecar == OLD
    place.settle()
    assert names(place) == WHOLE


def test_a_lone_sidecar_is_nothing(place: Place) -> None:
    OLD.save(place.sidecar)
    assert place.look() is None
    place.settle()
    assert names(place) == []


def test_a_partial_file_that_nobody_promised_goes(place: Place) -> None:
    files.write_atomically(place.partial, b"?")
    assert place.look() is None
    place.settle()
    assert names(place) == []


def test_a_file_from_elsewhere_can_be_published(place: Place, folder: pathlib.Path) -> None:
    (folder / "outside").write_bytes(b"out")
    place.begin(NEW)
    place.publish(NEW, file=str(folder / "outside"))
    assert names(place) == WHOLE
    assert not (folder / "outside").exists()


def test_a_stale_promise_of_a_file_that_never_came_is_nothing(place: Place) -> None:
    Sidecar("raw", NEW.record, 3, inode=1).save(place.promise)
    assert place.look() is None
    place.settle()
    assert names(place) == []


def test_an_image_that_a_dead_host_left_goes_with_the_next_run(place: Place) -> None:
    place.begin(NEW)
    pathlib.Path(place.stored).write_bytes(b"half of it")
    place.begin(NEW)
    assert names(place) == [".v.partial.json"]
