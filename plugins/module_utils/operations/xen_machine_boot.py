# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether machines that were started did boot: looked at until each has shown it, or time is over."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, TimedOut, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machines import ips_of, tools_in
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Machine, Machines

# wait_for
RUN, TOOLS, IP = "running", "guest_tools", "ip"

# Seconds that a machine has to run on before it counts: one whose disk does not boot, or whose kernel dies, ends before.
SETTLING = 5.0

_WORDS = {RUN: "run", TOOLS: "have its guest's tools report", IP: "have an IP address"}


class BootWatch:
    """Waits for any number of machines at once.

    :param wait_for: RUN, TOOLS or IP.
    """

    def __init__(self, machines: Machines, job: Job, wait_for: str) -> None:
        self._machines = machines
        self._job = job
        self._wait_for = wait_for

    def wait(self, started: t.Sequence[Machine], running: t.Sequence[Machine] = ()) -> t.Dict[str, VolumesError]:
        """Wait until all of them have booted.

        :param started: Those that have just been started.
        :param running: Those that ran before: that they do is enough for RUN.
        :returns: By name: why one has not.
        """
        looks = [_Look(machine, self._wait_for, settled=False) for machine in started]
        looks += [_Look(machine, self._wait_for, settled=True) for machine in running]
        waiting, troubles = looks, {}

        def poll() -> t.Optional[bool]:
            nonlocal waiting
            left = []
            for look in waiting:
                try:
                    if not self._has_booted(look):
                        left.append(look)
                except VolumesError as error:
                    troubles[look.machine.name] = error
            waiting = left
            return None if waiting else True

        for look in looks:
            self._job.listener.hear(Event("wait", look.machine.name))
        try:
            self._job.deadline.wait(poll, "machines to %s" % _WORDS[self._wait_for], first=0.5, longest=3.0)
        except TimedOut:
            troubles.update({look.machine.name: self._too_late(look) for look in waiting})
        return troubles

    def _has_booted(self, look: _Look) -> bool:
        """Look once more.

        :raises BackendError: it will not.
        """
        now = self._machines.again(look.machine)
        if now is None:
            raise BackendError("the machine %s is gone: somebody removed it" % look.machine.name)
        look.machine = now
        if now.power == records.HALTED:
            raise BackendError("the machine %s (%s) ended while it was waited for: %s" % (now.name, now.uuid, self._why(now)))
        if now.power != records.RUNNING:
            return False
        look.guest = {} if self._wait_for == RUN else self._machines.guest(now)
        return look.satisfied(self._job.deadline.clock.now())

    def _why(self, machine: Machine) -> str:
        said = self._machines.last_words(machine)
        how = " with ".join(filter(None, (machine.hardware.mode, machine.hardware.firmware)))
        return "%sits disk does not boot as %s, or its guest shut itself down" % (", ".join(said) + "; " if said else "", how)

    def _too_late(self, look: _Look) -> TimedOut:
        told = {"uuid": look.machine.uuid, "power_state": look.machine.power.lower(), "guest_tools": tools_in(look.guest), "ips": ips_of(look.guest)}
        return TimedOut("timed out after %d s waiting for the machine %s (%s) to %s; it is %s, and goes on: run the task again to wait on, or raise timeout" % (
            self._job.deadline.seconds, look.machine.name, look.machine.uuid, _WORDS[self._wait_for], look.machine.power.lower()),
            waiting={look.machine.name: told})


class _Look:
    """One machine that is waited for.

    :param settled: It need not show that it goes on running.
    """

    def __init__(self, machine: Machine, wait_for: str, *, settled: bool) -> None:
        self.machine = machine
        self.guest: t.Mapping[str, t.Any] = {}
        self._wait_for = wait_for
        self._settled = settled
        self._domain = ""
        self._since = 0.0

    def satisfied(self, now: float) -> bool:
        """Whether what was last seen is enough, at this time."""
        if self._wait_for == TOOLS:
            return tools_in(self.guest)
        if self._wait_for == IP:
            return bool(ips_of(self.guest))
        domain = str(self.machine.record["domid"])
        if domain != self._domain:  # another domain of the same machine: it began anew
            self._domain, self._since = domain, now
        return self._settled or now - self._since >= SETTLING
