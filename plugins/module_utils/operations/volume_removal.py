# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing volumes: exactly the ones named, and none that something holds."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InUse
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.operations.comparison import state_of
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import raise_troubles
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_results import volume_result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Volume, VolumeDriver


def refuse_held(driver: VolumeDriver, volumes: t.Sequence[Volume], purpose: str, job: Job) -> None:
    """Refuse to go on while anything holds one of the volumes.

    :param purpose: What they would be, as in ``web-1 cannot be <purpose>``.
    :raises InUse: naming every volume that is held, and its holders.
    """
    found, troubles = run_all(driver.holders, volumes, at_once=job.at_once)
    raise_troubles({volume.name: error for volume, error in troubles}, "looked at", ())
    held = {volume.name: holders for volume, holders in found if holders}
    if held:
        each = "; ".join("%s is held by %s" % (name, ", ".join(holders)) for name, holders in held.items())
        raise InUse("%s cannot be %s: %s. Detach, stop or remove the holders first" % (", ".join(held), purpose, each), holders=held)


class VolumeRemoval(Operation):
    """``state: absent`` for any driver."""

    def __init__(self, *, driver: VolumeDriver, names: t.Sequence[str], job: Job) -> None:
        self._driver = driver
        self._names = names
        self._job = job

    def exclusive(self) -> t.ContextManager[None]:
        return self._driver.exclusive(self._names, self._job)

    def plan(self) -> Plan:
        self._driver.check_names(self._names)
        found = self._driver.find_all(self._names)
        there = [volume for volume in found.values() if volume]
        for volume in there:
            self._driver.check_removable(volume)
        refuse_held(self._driver, there, "removed", self._job)
        return Plan(tuple(self._step(name, found[name]) for name in self._names))

    @staticmethod
    def _step(name: str, volume: t.Optional[Volume]) -> Step:
        if volume is None:
            return Step("keep", name, "it does not exist")
        return Step("remove", name, "state is absent", before=state_of(volume), data=volume)

    def apply(self, plan: Plan) -> Result:
        volumes = [step.data for step in plan.having("remove")]
        done, troubles = run_all(lambda volume: self._driver.remove(volume, self._job), volumes, at_once=self._job.at_once)
        raise_troubles({volume.name: error for volume, error in troubles}, "removed", [volume_result(volume) for volume, dummy in done])
        return self.preview(plan)

    def preview(self, plan: Plan) -> Result:
        return {"volumes": [volume_result(step.data) for step in plan.having("remove")]}
