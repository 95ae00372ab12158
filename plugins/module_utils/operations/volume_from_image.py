# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""N volumes, each filled with one image, in any storage."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import UNCHANGED, Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.operations.comparison import Wanted, all_steps, steps_for
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result, image_result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import raise_troubles
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_removal import refuse_held
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_results import made_result, volume_result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    GROWN, UPDATED, Filled, Made, Request, Volume, VolumeDriver,
)


class VolumeFromImage(Operation):
    """``state: present``.

    :param size: Bytes for every volume, or None for the least that holds the image.
    """

    def __init__(self, *, driver: VolumeDriver, source: ImageSource, names: t.Sequence[str], size: t.Optional[int],
                 on_drift: str, fan_out: str, job: Job) -> None:
        self._driver = driver
        self._source = source
        self._names = names
        self._size = size
        self._on_drift = on_drift
        self._fan_out = fan_out
        self._job = job

    def exclusive(self) -> t.ContextManager[None]:
        return self._driver.exclusive(self._names, self._job)

    # --- planning ---

    def plan(self) -> Plan:
        self._driver.check_names(self._names)
        wanted = self._wanted()
        steps = self._steps(self._driver.find_all(self._names), wanted)
        plan = Plan(tuple(steps))
        requests = self._requests(plan.having("create"), wanted)
        if requests:
            self._driver.check_room(requests, self._source)
        return plan

    def _wanted(self) -> Wanted:
        image = self._source.describe()
        self._driver.check_image(image)
        least = self._driver.least_size(image)
        if self._size is None:
            return Wanted(image, least, size_given=False)
        size = round_up(self._size, self._driver.capabilities.granularity)
        if size < least:
            raise InvalidInput("size: %s is too small for the image %s, which needs %s" % (human(size), image.name, human(least)))
        return Wanted(image, size, size_given=self._driver.capabilities.sized)

    def _steps(self, found: t.Mapping[str, t.Optional[Volume]], wanted: Wanted) -> t.List[Step]:
        """The steps for every volume.

        :raises Drift: for volumes that may not be changed.
        :raises InUse: for volumes that would lose their content while something holds them.
        """
        def of(name: str) -> t.List[Step]:
            volume = found[name]
            return steps_for(name, volume, wanted, self._driver.differences(volume) if volume else [], self._on_drift)

        steps = all_steps(found, of)
        endangered = [step.data for step in steps if step.action in ("refill", "replace")]
        refuse_held(self._driver, endangered, "changed", self._job)
        return steps

    @staticmethod
    def _requests(steps: t.Sequence[Step], wanted: Wanted) -> t.List[Request]:
        return [Request(step.subject, wanted.size, exact=wanted.size_given) for step in steps]

    # --- applying ---

    def apply(self, plan: Plan) -> Result:
        wanted = self._wanted()
        outcome = _Outcome(self._names)
        plan = self._adopt(plan, wanted, outcome)
        for step in plan.having("keep"):
            outcome.add(Made(step.data, UNCHANGED, 0.0))
        self._mend(plan, outcome)
        filled = self._create(plan, wanted, outcome)
        raise_troubles(outcome.troubles, "brought to the image", outcome.results())
        return self._result(wanted.image, outcome.results(), filled)

    def _create(self, plan: Plan, wanted: Wanted, outcome: _Outcome) -> t.Optional[Filled]:
        replaced = plan.having("replace")
        self._each(replaced, outcome, lambda step: self._driver.remove(step.data, self._job))
        steps = [step for step in plan.steps if step.action in ("create", "replace") and step.subject not in outcome.troubles]
        if not steps:
            return None
        filled = self._driver.fill_new(self._source, self._requests(steps, wanted), self._fan_out, self._job)
        for made in filled.made:
            outcome.add(made)
        outcome.troubles.update(filled.errors)
        return filled

    def _adopt(self, plan: Plan, wanted: Wanted, outcome: _Outcome) -> Plan:
        """Finish what other runs began; only then can it be seen whether it is what is wanted.

        :returns: The plan with, in place of each adoption, the steps that its volume still needs.
        """
        steps = [step for step in plan.steps if step.action != "adopt"]
        for step, made in self._each(plan.having("adopt"), outcome, lambda step: self._driver.adopt(self._source, step.data, self._job)):
            outcome.add(made)
            if not self._job.wait:
                continue
            try:
                steps += self._steps({step.subject: made.volume}, wanted)
            except VolumesError as error:
                outcome.troubles[step.subject] = error
        return Plan(tuple(steps))

    def _mend(self, plan: Plan, outcome: _Outcome) -> None:
        """Grow, refill and update what exists: in this order for each volume, several volumes at once."""
        def mend(steps: t.List[Step]) -> Made:
            volume, how, started = steps[0].data, UNCHANGED, time.monotonic()
            for step in steps:
                if step.action == "grow":
                    volume, how = self._driver.grow(volume, step.after["size"], self._job), GROWN
                elif step.action == "refill":
                    made = self._driver.refill(self._source, volume, self._job)
                    volume, how = made.volume, made.how
                else:
                    volume = self._driver.update(volume, self._driver.differences(volume), self._job)
                    how = UPDATED if how == UNCHANGED else how
            return Made(volume, how, time.monotonic() - started)

        by_volume: t.Dict[str, t.List[Step]] = {}
        for step in plan.steps:
            if step.action in ("grow", "refill", "update"):
                by_volume.setdefault(step.subject, []).append(step)
        done, troubles = run_all(mend, list(by_volume.values()), at_once=self._job.at_once)
        for dummy, made in done:
            outcome.add(made)
        outcome.troubles.update({steps[0].subject: error for steps, error in troubles})

    def _each(self, steps: t.Sequence[Step], outcome: _Outcome, call: t.Callable[[Step], t.Any]) -> t.List[t.Tuple[Step, t.Any]]:
        done, troubles = run_all(call, steps, at_once=self._job.at_once)
        outcome.troubles.update({step.subject: error for step, error in troubles})
        return done

    # --- telling ---

    def preview(self, plan: Plan) -> Result:
        image = self._source.describe()
        shown = {}
        for step in plan.steps:
            how = UNCHANGED if step.action == "keep" else step.action
            if step.data is None:
                shown[step.subject] = {"name": step.subject, "size": step.after["size"], "how": how}
            else:
                shown[step.subject] = dict(volume_result(step.data), how=how, seconds=0.0)
        return self._result(image, [shown[name] for name in self._names], None)

    @staticmethod
    def _result(image: ImageDescription, volumes: t.Sequence[Result], filled: t.Optional[Filled]) -> Result:
        fan_out = {"method": filled.method, "reason": filled.reason} if filled else None
        return {"image": image_result(image), "volumes": list(volumes), "fan_out": fan_out}


class _Outcome:
    """What has become of each volume so far."""

    def __init__(self, names: t.Sequence[str]) -> None:
        self._names = names
        self._made: t.Dict[str, Made] = {}
        self.troubles: t.Dict[str, Exception] = {}

    def add(self, made: Made) -> None:
        """Take note; an adopted volume that was mended afterwards is still an adopted one."""
        before = self._made.get(made.volume.name)
        if before is not None:
            made = Made(made.volume, before.how, before.seconds + made.seconds)
        self._made[made.volume.name] = made

    def results(self) -> t.List[Result]:
        """Those that are as they should be, in the order in which they were asked for."""
        return [made_result(self._made[name]) for name in self._names if name in self._made and name not in self.troubles]
