# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="Linux tells, others do not")


def test_this_process_lives() -> None:
    assert liveness.signature().split("/")[2] == str(os.getpid())
    assert not liveness.is_dead(liveness.signature())


def test_a_process_that_ended_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        left = liveness.signature(other.pid)
        assert not liveness.is_dead(left)
        other.communicate(b"\n")
    assert liveness.is_dead(left)


def test_a_number_that_was_given_again_is_another_process() -> None:
    boot, namespace, pid, began = liveness.signature().split("/")
    assert liveness.is_dead("/".join((boot, namespace, pid, str(int(began) + 1))))


@pytest.mark.parametrize("change", [("boot", 0), ("namespace", 1)])
def test_of_other_hosts_and_containers_nothing_is_certain(change: "tuple[str, int]") -> None:
    parts = liveness.signature().split("/")
    parts[change[1]] = "another"
    parts[3] = "1"
    assert not liveness.is_dead("/".join(parts))


@pytest.mark.parametrize("text", ["", "nonsense", "a/b/c/d", "///"])
def test_nonsense_is_not_dead(text: str) -> None:
    assert not liveness.is_dead(text)


def test_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    left = liveness.signature()
    monkeypatch.setattr(liveness, "PROC", "/nowhere")
    assert liveness.signature() == ""
    assert not liveness.is_dead(left)
