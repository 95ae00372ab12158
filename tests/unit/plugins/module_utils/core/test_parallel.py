# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading

from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import Gathering, run_all


def test_results_and_errors_come_in_the_order_of_the_subjects():
    def call(number):
        if number % 3 == 0:
            raise ValueError(number)
        return number * 2

    done, failed = run_all(call, [3, 2, 1, 6], at_once=2)
    assert done == [(2, 4), (1, 2)]
    assert [(subject, type(error)) for subject, error in failed] == [(3, ValueError), (6, ValueError)]


def test_never_more_than_at_once():
    lock, running, most = threading.Lock(), [0], [0]

    def call(dummy):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(0.005)
        with lock:
            running[0] -= 1

    run_all(call, list(range(20)), at_once=3)
    assert 1 <= most[0] <= 3


def test_nothing_to_do_and_who_is_told():
    assert run_all(str, [], at_once=4) == ([], [])
    told = []
    run_all(str, [1, 2], at_once=1, tell=told.append)
    assert told == [1, 2]


def test_subjects_that_come_one_after_the_other():
    done, told = threading.Event(), []

    def call(number):
        if number == 1:
            return done.wait(10)
        done.set()
        raise ValueError(number)

    with Gathering(call, at_once=2) as gathering:
        gathering.begin(1)
        gathering.begin(2)
        assert done.wait(10), "the second runs beside the first"
        results, errors = gathering.finish(told.append)
    assert results == [(1, True)] and [subject for subject, dummy in errors] == [2] and sorted(told) == [1, 2]


def test_nothing_runs_any_more_when_it_ends():
    ended = []
    try:
        with Gathering(ended.append, at_once=1) as gathering:
            gathering.begin(1)
            raise KeyError
    except KeyError:
        pass
    assert ended == [1]
