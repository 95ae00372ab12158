# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bootable.volumes.plugins.module_utils import cloud_task, module, task
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Drift, MissingPackage
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation


class Doing(Operation):
    """Notes what is called."""

    def __init__(self, steps=(Step("create", "a", "it is not there", after={"size": 1}),), error=None):
        self.calls = []
        self.steps = steps
        self.error = error

    @contextlib.contextmanager
    def exclusive(self):
        self.calls.append("lock")
        yield
        self.calls.append("unlock")

    def plan(self):
        self.calls.append("plan")
        if self.error:
            raise self.error
        return Plan(tuple(self.steps))

    def apply(self, plan):
        self.calls.append("apply")
        return {"volumes": ["a"]}

    def preview(self, plan):
        self.calls.append("preview")
        return {"volumes": []}


def run(capsys, operation, **args):
    with patch_module_args(args):
        with pytest.raises(SystemExit):
            module.run(lambda wiring: operation, module.compose(module.waiting_spec(), {"concurrency": {"type": "int", "default": 8}}))
    return json.loads(capsys.readouterr().out)


def test_planned_and_applied_under_the_lock(capsys):
    operation = Doing()
    result = run(capsys, operation)
    assert operation.calls == ["lock", "plan", "apply", "unlock"]
    assert result["changed"] and result["volumes"] == ["a"]
    assert result["plan"] == [{"action": "create", "name": "a", "reason": "it is not there"}]
    assert "diff" not in result


def test_check_mode_takes_no_lock_and_applies_nothing(capsys):
    operation = Doing()
    result = run(capsys, operation, _ansible_check_mode=True, _ansible_diff=True)
    assert operation.calls == ["plan", "preview"]
    assert result["changed"] and result["diff"] == {"before": {}, "after": {"a": {"size": 1}}}


def test_nothing_to_do(capsys):
    operation = Doing([Step("keep", "a")])
    result = run(capsys, operation, _ansible_diff=True)
    assert operation.calls == ["lock", "plan", "preview", "unlock"]
    assert result["changed"] is False and "diff" not in result


def test_errors_end_the_module_with_their_details(capsys):
    result = run(capsys, Doing(error=Drift("a is not what was asked for", drift={"a": []})))
    assert result["failed"] and result["msg"] == "a is not what was asked for" and result["drift"] == {"a": []}


@pytest.mark.parametrize("path", ["/srv/nfs/.v.partial", None])
def test_storage_that_is_out_of_order_is_no_bug(capsys, path):
    result = run(capsys, Doing(error=OSError(errno.EIO, "Input/output error", path)))
    assert result["failed"] and "Input/output error; see to what it lies on" in result["msg"] and (path or "files") in result["msg"]


def test_any_other_error_of_the_system_is_one(capsys):
    with pytest.raises(OSError), patch_module_args({}):
        module.run(lambda wiring: Doing(error=OSError(errno.EBADF, "Bad file descriptor")), module.waiting_spec())


def test_a_missing_library_is_named_with_the_interpreter(capsys):
    result = run(capsys, Doing(error=MissingPackage("openstacksdk", "Traceback")))
    assert result["failed"] and "openstacksdk" in result["msg"] and "Python" in result["msg"]


@pytest.mark.parametrize("option", ["timeout", "concurrency"])
def test_a_time_or_a_number_below_one_is_refused(capsys, option):
    result = run(capsys, Doing(), **{option: 0})
    assert result["failed"] and option in result["msg"] and "0" in result["msg"]


@pytest.mark.parametrize("error", [None, Drift("not what was asked for"), RuntimeError("a bug")])
def test_what_was_opened_is_closed_however_the_task_ends(capsys, error):
    closed = []

    def build(wiring):
        wiring.closing.callback(closed.append, "closed")
        assert wiring.surroundings.closing is wiring.closing
        return Doing(error=error)

    with patch_module_args({}):
        with pytest.raises(SystemExit if not isinstance(error, RuntimeError) else RuntimeError):
            module.run(build, module.waiting_spec())
    assert closed == ["closed"]


def test_a_module_with_a_pool_and_a_cloud_keeps_their_options_apart(monkeypatch):
    spec = module.pool_and_cloud_spec()
    assert spec["validate_certs"]["default"] is True and "auth" in spec
    asked = []
    monkeypatch.setattr(cloud_task.Cloud, "connect", asked.append)
    wiring = object.__new__(module.Wiring)
    wiring.params, wiring._cloud = {"hostname": "xen1", "validate_certs": False, "api_timeout": 5, "cloud": {"auth": {}}}, None
    wiring.cloud()
    assert asked == [{"hostname": "xen1", "cloud": {"auth": {}}}]


def test_an_option_given_twice_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="timeout"):
        module.compose(module.waiting_spec(), module.waiting_spec())


class Log:
    def __init__(self):
        self.lines = []

    def log(self, line):
        self.lines.append(line)


class Clock:
    time = 0.0

    def now(self):
        return self.time


def test_progress_is_logged_at_each_change_then_now_and_then_and_at_the_end():
    log, clock = Log(), Clock()
    listener = task.LogListener(log, clock)
    for done in range(0, 110, 10):
        listener.hear(Event("download", "debian", done, 100))
        clock.time += 1
    listener.hear(Event("clone", "web-2"))
    assert log.lines == [
        "download debian 0 of 100 bytes", "download debian 50 of 100 bytes", "download debian 100 of 100 bytes", "clone web-2"]
