# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_boot import SETTLING, BootWatch
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Machine, Machines
from ansible_collections.bootable.volumes.tests.unit.fakes.host import Ear, FastClock, make_job
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.xen.test_machine_records import record

State = t.Optional[t.Dict[str, t.Any]]


class Scripted(Machines):
    """Machines that do what a script says: a function of the time for each name."""

    def __init__(self, clock: FastClock, scripts: t.Mapping[str, t.Callable[[float], State]]) -> None:
        self._clock = clock
        self._scripts = scripts

    def named_now(self, name: str) -> t.Optional[Machine]:
        state = self._scripts[name](self._clock.now())
        if state is None:
            return None
        common = {"name_label": name, "uuid": "uuid-" + name, "power_state": "Running", "domid": "1", "guest_metrics": "m"}
        return Machine(name, record(**dict(common, **state)), None)

    def again(self, machine: Machine) -> t.Optional[Machine]:
        return self.named_now(machine.name)

    def guest(self, machine: Machine) -> t.Mapping[str, t.Any]:
        return t.cast(t.Mapping[str, t.Any], machine.record.get("guest", {}))

    def last_words(self, machine: Machine) -> t.List[str]:
        return ["VM_CRASHED"] if machine.name == "crashing" else []


def watch(wait_for: str, seconds: float = 60, running: t.Sequence[str] = (), **scripts: t.Callable[[float], State]) -> t.Tuple[t.Dict[str, t.Any], float]:
    """(what went wrong, when it was over)."""
    job = make_job(seconds, listener=Ear())
    clock = t.cast(FastClock, job.deadline.clock)
    machines = Scripted(clock, scripts)
    found = {name: t.cast(Machine, machines.named_now(name)) for name in scripts}
    troubles = BootWatch(machines, job, wait_for).wait(
        [machine for name, machine in found.items() if name not in running], [found[name] for name in running])
    return dict(troubles), clock.now()


def runs(now: float) -> State:
    return {}


def after(seconds: float, state: State, before: State = None) -> t.Callable[[float], State]:
    return lambda now: state if now >= seconds else before or {}


def test_a_machine_has_to_run_on() -> None:
    troubles, end = watch("running", a=runs, b=runs)
    assert not troubles and SETTLING <= end < SETTLING + 4
    assert watch("running", running=["a"], a=runs) == ({}, 0.0), "one that ran before need not"
    assert watch("running") == ({}, 0.0)


def test_one_that_begins_anew_has_to_run_on_from_then() -> None:
    troubles, end = watch("running", a=after(3, {"domid": "2"}))
    assert not troubles and end >= 3 + SETTLING
    troubles, end = watch("running", 30, a=lambda now: {"domid": str(now)})
    assert isinstance(troubles["a"], TimedOut)


def test_one_that_ends_is_told_of_and_the_others_are_waited_for() -> None:
    troubles, end = watch("running", a=runs, crashing=after(2, {"power_state": "Halted"}))
    assert list(troubles) == ["crashing"] and isinstance(troubles["crashing"], BackendError) and end >= SETTLING
    assert "VM_CRASHED" in str(troubles["crashing"]) and "bios" in str(troubles["crashing"])


def test_one_that_is_removed_is_told_of() -> None:
    assert "removed it" in str(watch("running", a=lambda now: {} if now == 0 else None)[0]["a"])


def test_one_that_is_paused_is_waited_for() -> None:
    troubles, end = watch("running", a=after(10, {}, {"power_state": "Paused"}))
    assert not troubles and end >= 10 + SETTLING


TOOLS = {"guest": {"PV_drivers_detected": True, "networks": {}}}
ADDRESS = {"guest": {"PV_drivers_detected": True, "networks": {"0/ip": "192.0.2.1"}}}


@pytest.mark.parametrize("wait_for, state", [("guest_tools", TOOLS), ("ip", ADDRESS)])
def test_what_the_guest_tells_is_enough(wait_for: str, state: State) -> None:
    troubles, end = watch(wait_for, running=["b"], a=after(20, state), b=after(8, state))
    assert not troubles and 20 <= end < 24


def test_who_is_late_is_told_of_as_it_was() -> None:
    troubles, end = watch("ip", 30, a=after(8, TOOLS), b=after(8, ADDRESS))
    assert list(troubles) == ["a"] and isinstance(troubles["a"], TimedOut) and end >= 30
    assert troubles["a"].details["waiting"] == {"a": {"uuid": "uuid-a", "power_state": "running", "guest_tools": True, "ips": []}}
    assert "an IP address" in str(troubles["a"])
