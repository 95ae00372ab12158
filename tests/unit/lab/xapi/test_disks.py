# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simulator's disks against bytes in memory."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab.xapi.disks import BLOCK, Disks

SIZE = 3 * BLOCK


@pytest.fixture
def disks(tmp_path: pathlib.Path) -> t.Iterator[Disks]:
    found = Disks(tmp_path / "disks")
    yield found
    found.close()
    assert not list((tmp_path / "disks").iterdir())


def content(disks: Disks, uuid: str) -> bytes:
    return disks.read(uuid, 0, disks.size(uuid))


def test_a_new_disk_is_zeroes_and_takes_no_room(disks: Disks) -> None:
    disks.create("a", SIZE)
    assert content(disks, "a") == bytes(SIZE)
    assert disks.allocated("a") == 0
    assert disks.blocks("a") == []


def test_a_write_past_the_end_is_refused(disks: Disks) -> None:
    disks.create("a", SIZE)
    disks.write("a", SIZE - 1, b"x")
    with pytest.raises(OSError, match="past the end"):
        disks.write("a", SIZE - 1, b"xy")
    assert disks.blocks("a") == [2]


def test_room_is_asked_for_once_a_block(disks: Disks) -> None:
    asked: t.List[int] = []
    disks.create("a", SIZE)
    disks.write("a", BLOCK - 1, b"xy", asked.append)
    disks.write("a", BLOCK - 1, b"xy", asked.append)
    assert asked == [BLOCK, BLOCK]


def test_a_snapshot_keeps_what_was(disks: Disks) -> None:
    disks.create("leaf", SIZE)
    disks.write("leaf", 10, b"old")
    disks.layer("leaf", "snapshot", "base")
    disks.write("leaf", 11, b"new")
    assert disks.read("leaf", 10, 4) == b"onew"
    assert disks.read("snapshot", 10, 4) == disks.read("base", 10, 4) == b"old\0"
    assert (disks.allocated("leaf"), disks.allocated("snapshot"), disks.allocated("base")) == (BLOCK, 0, BLOCK)
    with pytest.raises(OSError, match="children"):
        disks.write("base", 0, b"x")


def test_a_delta_is_what_only_one_of_two_disks_has(disks: Disks) -> None:
    disks.create("leaf", SIZE)
    disks.write("leaf", 0, b"first")
    disks.layer("leaf", "one", "base one")
    disks.write("leaf", BLOCK, b"second")
    disks.layer("leaf", "two", "base two")
    disks.write("leaf", 2 * BLOCK, b"third")
    assert disks.blocks("two") == [0, 1]
    assert disks.blocks("two", "one") == disks.blocks("one", "two") == [1]
    assert disks.blocks("leaf", "one") == [1, 2]
    assert disks.blocks("one", "one") == []


def test_layers_go_when_nothing_needs_them(disks: Disks, tmp_path: pathlib.Path) -> None:
    disks.create("leaf", SIZE)
    disks.layer("leaf", "snapshot", "base")
    disks.destroy("base")
    disks.destroy("snapshot")
    assert len(list((tmp_path / "disks").iterdir())) == 2
    disks.destroy("leaf")
    disks.destroy("leaf")
    assert not list((tmp_path / "disks").iterdir())


def test_a_larger_disk_has_zeroes_behind(disks: Disks) -> None:
    disks.create("a", BLOCK)
    disks.write("a", 0, b"x" * BLOCK)
    disks.layer("a", None, "base")
    disks.resize("a", SIZE)
    assert content(disks, "a") == b"x" * BLOCK + bytes(SIZE - BLOCK)


def test_what_a_guest_writes_is_found(disks: Disks) -> None:
    disks.create("a", SIZE)
    disks.write("a", 5, b"below")
    disks.layer("a", "snapshot", "base")
    file = disks.attach("a")
    assert file.read_bytes()[5:10] == b"below"
    with file.open("r+b") as guest:
        guest.seek(BLOCK)
        guest.write(b"by the guest")
        guest.flush()
        assert disks.read("a", BLOCK, 12) == b"by the guest"
        disks.layer("a", "second", "base two")
        assert disks.blocks("second", "snapshot") == [1]
        guest.seek(0)
        guest.write(b"later")
    assert disks.read("second", 0, 10) == b"\0\0\0\0\0below"
    disks.detach("a")
    assert disks.blocks("a", "second") == [0]
    assert disks.read("a", 0, 10) == b"laterbelow"


def test_zeroes_that_a_guest_writes_over_what_was_below_count(disks: Disks) -> None:
    disks.create("a", SIZE)
    disks.write("a", 0, b"x" * BLOCK)
    disks.layer("a", "snapshot", "base")
    with disks.attach("a").open("r+b") as guest:
        guest.write(bytes(BLOCK))
    disks.detach("a")
    assert content(disks, "a") == bytes(SIZE)
    assert disks.blocks("a", "snapshot") == [0]


WRITES = st.tuples(st.just("write"), st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=700))
STEPS = st.lists(st.one_of(
    WRITES, st.tuples(st.just("guest"), st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=700)),
    st.tuples(st.just("layer")), st.tuples(st.just("copy")), st.tuples(st.just("attach")), st.tuples(st.just("forget"))), max_size=14)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_history_reads_as_it_should(steps: t.List[t.Tuple[t.Any, ...]], tmp_path: pathlib.Path) -> None:
    """A leaf that is written to, by us and by a guest, layered, copied; and all that was split off from it."""
    disks = Disks(tmp_path / "disks")
    disks.create("leaf", SIZE)
    model = bytearray(SIZE)
    kept: t.Dict[str, bytes] = {}
    file: t.Optional[pathlib.Path] = None
    for number, step in enumerate(steps):
        if step[0] in ("write", "guest"):
            data = step[2][:SIZE - step[1]]
            if step[0] == "write" and not file:
                disks.write("leaf", step[1], data)
            elif step[0] == "guest" and file:
                with file.open("r+b") as guest:
                    os.pwrite(guest.fileno(), data, step[1])
            else:
                continue
            model[step[1]:step[1] + len(data)] = data
        elif step[0] == "layer":
            disks.layer("leaf", "twin %d" % number, "base %d" % number)
            kept["twin %d" % number] = kept["base %d" % number] = bytes(model)
        elif step[0] == "copy":
            disks.copy("leaf", "copy %d" % number)
            kept["copy %d" % number] = bytes(model)
        elif step[0] == "attach":
            if file:
                disks.detach("leaf")
            file = None if file else disks.attach("leaf")
        elif kept:
            name = sorted(kept)[0]
            del kept[name]
            disks.destroy(name)
    assert content(disks, "leaf") == model
    for name, wanted in kept.items():
        assert content(disks, name) == wanted
        delta = set(disks.blocks("leaf", name))
        for block in set(range(SIZE // BLOCK)) - delta:
            assert model[block * BLOCK:(block + 1) * BLOCK] == wanted[block * BLOCK:(block + 1) * BLOCK]
    disks.close()
