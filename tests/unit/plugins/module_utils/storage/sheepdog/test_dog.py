# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.storage.sheepdog.dog import Dog, Vdi
from ansible_collections.bootable.volumes.tests.unit.fakes.host import Answers, FastClock


@pytest.mark.parametrize("line, vdi", [
    ("= v 0 1073741824 4194304 0 1480000000 fd2 3 ", Vdi("v", "fd2", 1 << 30, 4194304, False, "")),
    ("= v 0 1073741824 4194304 0 1480000000 fd2 3  22", Vdi("v", "fd2", 1 << 30, 4194304, False, "")),
    ("c a\\ b\\\\ 1 512 0 4194304 1480000000 12 4:2 ", Vdi("a b\\", "12", 512, 0, False, "")),
    ("s v 1 512 0 0 1480000000 fd2 3 before the upgrade 22", Vdi("v", "fd2", 512, 0, True, "before the upgrade")),
    ("s v 1 512 0 0 1480000000 fd2 3  22", Vdi("v", "fd2", 512, 0, True, "")),
])
def test_lines_of_all_releases(line: str, vdi: Vdi) -> None:
    assert Dog(Answers(stdout=line + "\n")).vdis() == [vdi]


def test_a_line_that_makes_no_sense() -> None:
    with pytest.raises(BackendError, match="no sense: what"):
        Dog(Answers(stdout="what\n")).vdis()


def test_owners() -> None:
    text = (
        "  Name         Id  VDI id  Tag            Owner node(s)\n"
        "  v             0     fd2                 IPv4 ip:10.0.0.1 port:7000\n"
        "c a b           1      12  golden         IPv4 ip:10.0.0.2 port:7000 IPv6 ip:::1 port:7001(shared)\n"
    )
    dog = Dog(Answers(stdout=text))
    assert dog.owners(Vdi("v", "fd2", 1, 0, False, "")) == ["10.0.0.1:7000"]
    assert dog.owners(Vdi("a b", "12", 1, 0, False, "")) == ["10.0.0.2:7000", "::1:7001"]
    assert dog.owners(Vdi("w", "7", 1, 0, False, "")) == []


def test_releases_that_know_no_locks() -> None:
    assert Dog(Answers(rc=64, stderr="Invalid command")).owners(Vdi("v", "fd2", 1, 0, False, "")) == []


def test_what_there_is_not_is_told_from_what_goes_wrong() -> None:
    assert Dog(Answers(rc=5, stderr="Attribute 'x' not found")).get("v", "x") is None
    with pytest.raises(BackendError, match="dog vdi getattr failed with exit code 2: no cluster"):
        Dog(Answers(rc=2, stderr="no cluster\n")).get("v", "x")
    dog, clock = Dog(Answers(rc=137)), FastClock()
    dog.deadline = Deadline(10, clock=clock)
    clock.sleep(11)
    with pytest.raises(TimedOut, match="dog vdi create to end"):
        dog.create("v", 1)
