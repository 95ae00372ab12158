# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, IntegrityError, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.reader import CHUNK, PAUSES, chunks
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import pattern
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, Ear, make_job

DATA = pattern(3 * MIB) + b"end"


def test_pieces_are_whole_whatever_comes_at_once() -> None:
    ear = Ear()
    found = list(chunks(BytesImage(DATA, piece=100 * KIB), make_job(listener=ear)))
    assert b"".join(found) == DATA
    assert [len(chunk) for chunk in found] == [CHUNK, CHUNK, CHUNK, 3]
    assert [(event.phase, event.done, event.total) for event in ear.events][-1] == ("download", len(DATA), len(DATA))


def test_a_broken_line_is_taken_up_where_it_broke() -> None:
    image = BytesImage(DATA, cuts=[5, MIB + 7])
    assert b"".join(chunks(image, make_job())) == DATA
    assert image.opened == [0, 5, MIB + 7]


def test_an_early_end_is_a_broken_line() -> None:
    image = BytesImage(DATA, size=len(DATA) + 1)
    with pytest.raises(BackendError, match="ended after %d of %d bytes" % (len(DATA), len(DATA) + 1)):
        list(chunks(image, make_job()))
    assert len(image.opened) == len(PAUSES) + 1


def test_a_line_that_always_breaks_is_given_up() -> None:
    image = BytesImage(DATA, cuts=[100] * 50)
    with pytest.raises(BackendError, match="broke off 6 times, last after 100 bytes: the line is dead; nothing was published"):
        list(chunks(image, make_job()))


def test_a_bad_line_that_brings_much_is_not_given_up() -> None:
    data = bytes(64 * MIB)
    cuts = [offset for offset in range(16 * MIB, 64 * MIB, 16 * MIB) for dummy in range(4)]
    assert sum(map(len, chunks(BytesImage(data, cuts=cuts), make_job()))) == len(data)


def test_more_than_was_promised_is_refused() -> None:
    with pytest.raises(IntegrityError, match="longer"):
        list(chunks(BytesImage(DATA, size=MIB), make_job()))


def test_an_unknown_size_ends_where_the_bytes_end() -> None:
    image = BytesImage(DATA)
    object.__setattr__(image.describe(), "size", None)
    assert b"".join(chunks(image, make_job())) == DATA


def test_time_runs_out() -> None:
    job = make_job(1)
    with pytest.raises(TimedOut, match="image to arrive"):
        for dummy in chunks(BytesImage(DATA), job):
            job.deadline.clock.sleep(2)
    with pytest.raises(TimedOut):
        list(chunks(BytesImage(DATA, cuts=[100] * 50), make_job(0.5)))
