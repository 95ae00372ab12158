# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oslo_config, killed and crowded."""

from __future__ import annotations

import os
import pathlib
import signal
import typing as t

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.ownership import Asked
from ansible_collections.bootable.volumes.plugins.module_utils.host.replacement import ReplaceableFile
from ansible_collections.bootable.volumes.plugins.module_utils.operations.oslo_config import OsloConfig, Wish
from ansible_collections.bootable.volumes.tests.unit.fakes import oslo

OLD = "[DEFAULT]\n" + "".join("#option_%d = 0\n" % number for number in range(2000))
OPTIONS = {"option_%d" % number: str(number) for number in range(0, 2000, 50)}


def perform(path: pathlib.Path, options: t.Mapping[str, t.Any], *, backup: bool = False) -> None:
    """One run, as the module does it."""
    operation = OsloConfig(file=ReplaceableFile(str(path)), wish=Wish.from_params({"DEFAULT": options}, {}), ownership=Asked(), create=True,
                           backup=backup, validator=None, warn=print, job=Job(Deadline(60)))
    with operation.exclusive():
        plan = operation.plan()
        if plan.changed:
            operation.apply(plan)


def in_a_process(work: t.Callable[[], None]) -> int:
    """Its process ID; it ends with 0 only when the work was done."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dying_at(call: str, turn: int, work: t.Callable[[], None]) -> t.Callable[[], None]:
    """The work, in a process that is killed just before one of its system calls."""
    def until() -> None:
        real = getattr(os, call)
        left = [turn]

        def dying(*arguments: t.Any, **more: t.Any) -> t.Any:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*arguments, **more)

        setattr(os, call, dying)
        work()

    return until


@pytest.mark.parametrize("call, turn", [("pwrite", 0), ("fchmod", 0), ("fsync", 0), ("pwrite", 1), ("fsync", 1), ("replace", 0), ("fsync", 2)])
def test_killed_it_leaves_the_old_file_or_the_new_one(folder: pathlib.Path, call: str, turn: int) -> None:
    path = folder / "x.conf"
    path.write_text(OLD)
    assert ended(in_a_process(dying_at(call, turn, lambda: perform(path, OPTIONS, backup=True)))) == -signal.SIGKILL
    found = oslo.read(path.read_text())["DEFAULT"] if path.read_text() != OLD else None
    assert found in (None, {name: [value] for name, value in OPTIONS.items()})
    perform(path, OPTIONS)
    assert oslo.read(path.read_text())["DEFAULT"] == {name: [value] for name, value in OPTIONS.items()}
    assert [each.name for each in folder.iterdir() if not each.name.endswith("~")] == ["x.conf"]


def test_whoever_runs_at_the_same_time_loses_nothing(folder: pathlib.Path) -> None:
    path = folder / "x.conf"
    path.write_text(OLD)
    names = ["option_%d" % number for number in range(1, 9)]
    children = [in_a_process(lambda name=name: perform(path, {name: "mine"})) for name in names]  # type: ignore[misc]
    assert [ended(child) for child in children] == [0] * len(names)
    assert oslo.read(path.read_text())["DEFAULT"] == {name: ["mine"] for name in names}
    assert os.listdir(folder) == ["x.conf"]
