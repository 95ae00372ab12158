# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock, Deadline


class TurnedClock(Clock):
    """Time passes only while somebody sleeps."""

    def __init__(self):
        self.time = 100.0
        self.naps = []

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.naps.append(seconds)
        self.time += seconds


def test_wait_returns_what_poll_found():
    answers = iter([None, None, "done"])
    clock = TurnedClock()
    assert Deadline(60, clock=clock).wait(lambda: next(answers), "it") == "done"
    assert len(clock.naps) == 2


def test_pauses_are_a_tenth_of_the_time_waited_within_bounds():
    clock = TurnedClock()
    with pytest.raises(TimedOut):
        Deadline(60, clock=clock).wait(lambda: None, "it", first=1, longest=4)
    assert clock.naps[:11] == [1] * 11
    assert clock.naps[11:13] == pytest.approx([1.1, 1.21])
    assert max(clock.naps) == 4


def test_no_pause_goes_beyond_the_deadline():
    clock = TurnedClock()
    Deadline(3, clock=clock).pause(clock.now() - 100)
    assert clock.naps == [3]


def test_time_out_says_what_for_and_how_long_and_carries_the_details():
    with pytest.raises(TimedOut) as late:
        Deadline(5, clock=TurnedClock()).wait(lambda: None, "volume x", details=lambda: {"volumes": {"x": "creating"}})
    assert "5 s" in str(late.value) and "volume x" in str(late.value)
    assert late.value.details == {"volumes": {"x": "creating"}}


def test_something_that_is_there_is_found_even_after_the_deadline():
    clock = TurnedClock()
    deadline = Deadline(1, clock=clock)
    clock.time += 10
    assert deadline.wait(lambda: "there", "it") == "there"
    assert deadline.remaining() == 0


def test_a_deadline_is_shared_by_all_steps():
    clock = TurnedClock()
    deadline = Deadline(10, clock=clock)
    clock.sleep(8)
    assert deadline.remaining() == 2
    deadline.check("it")
    clock.sleep(2)
    with pytest.raises(TimedOut):
        deadline.check("it")
