# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import tasks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure, XenInUse
from ansible_collections.bootable.volumes.tests.unit.fakes.host import FastClock

PENDING: t.Dict[str, t.Any] = {"status": "pending", "result": "", "error_info": []}
DONE = {"status": "success", "result": "<value>OpaqueRef:1</value>", "error_info": []}


class Calls:
    """A pool that gives these answers, the last one for ever."""

    def __init__(self, *answers: t.Any) -> None:
        self._answers = list(answers)
        self.called: t.List[t.Tuple[t.Any, ...]] = []

    def call(self, method: str, *args: t.Any) -> t.Any:
        self.called.append((method, *args))
        raise BackendError("gone")

    def read(self, method: str, *args: t.Any, within: t.Optional[Deadline] = None) -> t.Any:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def wait(*answers: t.Any, seconds: float = 1000) -> str:
    return tasks.wait(Calls(*answers), "task", Deadline(seconds, clock=FastClock()), "do it")


@pytest.mark.parametrize("result, value", [
    ("<value>OpaqueRef:1</value>", "OpaqueRef:1"), ("<value><string>a &lt;b&gt; &amp;amp;</string></value>", "a <b> &amp;"), ("", ""), ("plain", "plain"),
])
def test_a_result_is_what_xapi_wraps(result: str, value: str) -> None:
    assert tasks.value_of(result) == value


def test_it_is_waited_for() -> None:
    assert wait(PENDING, PENDING, DONE) == "OpaqueRef:1"


def test_a_failure_has_its_code() -> None:
    with pytest.raises(XenInUse, match=r"XAPI did not do it: the disk is in use \(VDI_IN_USE \[x, y\]\)"):
        wait(PENDING, {"status": "failure", "error_info": ["VDI_IN_USE", "x", "y"]})
    with pytest.raises(XenFailure, match="cancelled"):
        wait({"status": "cancelled", "error_info": []})


def test_a_pool_may_be_out_of_reach_for_a_while_but_not_for_ever() -> None:
    gone = BackendError("gone")
    assert wait(gone, gone, PENDING, gone, DONE) == "OpaqueRef:1"
    with pytest.raises(BackendError, match="gone"):
        wait(gone)
    with pytest.raises(XenFailure):
        wait(XenFailure("no such task", code="HANDLE_INVALID"))


def test_time_is_up() -> None:
    with pytest.raises(TimedOut, match="XAPI to do it"):
        wait(PENDING, seconds=10)


def test_a_task_is_gone_in_the_end_whatever_happens() -> None:
    calls = Calls(PENDING)
    with pytest.raises(ValueError), tasks.destroyed(calls, "task"):
        raise ValueError()
    assert calls.called == [("task.destroy", "task")]
