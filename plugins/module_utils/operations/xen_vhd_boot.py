# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""N machines of a pool, each booting from its own disk of one image."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Foreign, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import round_up
from ansible_collections.bootable.volumes.plugins.module_utils.images.dispatch import adapter_for
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.operations import xen_machine_wishes as wishes
from ansible_collections.bootable.volumes.plugins.module_utils.operations.comparison import FAIL, all_steps
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import root_name
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result, image_result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.root_volumes import HOW
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import raise_troubles
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_boot import IP, BootWatch
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_making import Maker, Outcome, update
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_removal import Remover
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_wishes import Card, Found, Wish
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machines import THINGS, Registry, Storage, exclusive
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machine_records import Hardware
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Machine

DEFAULT_TEMPLATE = "Other install media"


@dataclass(frozen=True)
class Options:
    """What the task says of its machines; nothing of it was looked up yet.

    :param names: Of the machines.
    :param size: Bytes of the disk to boot from; None for the least that holds the image.
    :param sr: Name or uuid; None for the pool's default one.
    :param networks: ``{"network": name or uuid, "mac": ...}`` by device; None leaves a machine's networks alone.
    :param affinity: The host that machines are to run on if it can, by name or uuid; empty for none.
    """

    names: t.Tuple[str, ...]
    state: str = wishes.STARTED
    hardware: Hardware = Hardware()
    template: str = DEFAULT_TEMPLATE
    size: t.Optional[int] = None
    sr: t.Optional[str] = None
    networks: t.Optional[t.Tuple[t.Mapping[str, t.Any], ...]] = None
    affinity: t.Optional[str] = None
    wait_for: str = "running"
    on_drift: str = FAIL
    fan_out: str = "auto"
    force: bool = False

    def check(self) -> None:
        """Refuse what cannot be.

        :raises InvalidInput: naming the option.
        """
        macs = [card["mac"].lower() for card in self.networks or () if card.get("mac")]
        wishes.check(self.hardware, macs, len(self.names))
        if self.state == wishes.STARTED and self.wait_for == IP and self.networks == ():
            raise InvalidInput("wait_for: ip needs a network, and networks is an empty list; name one")


class XenVhdBoot(Operation):
    """``state: started``, ``present`` and ``stopped``.

    :param source: The image; None where machines that are there are to be started, stopped or changed.
    """

    def __init__(self, *, registry: Registry, storage: Storage, source: t.Optional[ImageSource],
                 options: Options, job: Job) -> None:
        self._registry = registry
        self._storage = storage
        self._driver = storage(options.sr)
        self._source = source
        self._options = options
        self._job = job
        self._remover = Remover(registry, job, force=options.force)
        self._wish: t.Optional[Wish] = None
        self._template: t.Optional[t.Mapping[str, t.Any]] = None

    def exclusive(self) -> t.ContextManager[None]:
        self._options.check()
        return exclusive(self._registry, self._storage, self._options.names, self._options.sr, self._job)

    # --- planning ---

    def plan(self) -> Plan:
        self._options.check()
        self._driver.check_names([root_name(name) for name in self._options.names])
        wish = self._wanted()
        found = self._registry.look_all(self._options.names, self._job)
        plan = Plan(tuple(self._steps(found, wish)))
        new = [step.subject for step in plan.having("create")]
        if new or plan.having("replace"):
            self._template_record()
        if new:
            self._refuse_taken(new)
            self._maker(wish).disks(new).plan()  # says what does not fit, before anything is made
        return plan

    def _wanted(self) -> Wish:
        """The options with everything in them looked up; once."""
        if self._wish is None:
            options, machines = self._options, self._registry.machines
            image = self._source.describe() if self._source else None
            hardware = options.hardware
            if image is not None:
                adapter_for(image)
                hardware = wishes.from_image(hardware, image)
            if options.affinity is not None:
                hardware = replace(hardware, affinity=machines.host(options.affinity) if options.affinity else records.NULL)
            self._wish = Wish(
                hardware=hardware,
                image=image,
                size=None if options.size is None else round_up(options.size, self._driver.capabilities.granularity),
                sr=self._registry.disks.find_sr(options.sr).uuid if options.sr else None,
                cards=None if options.networks is None else tuple(
                    Card(machines.network(card["network"]), (card.get("mac") or "").lower()) for card in options.networks),
            )
        return self._wish

    def _steps(self, found: t.Mapping[str, Found], wish: Wish) -> t.List[Step]:
        """The steps for every machine.

        :raises Drift: for machines that may not be changed.
        """
        def of(name: str) -> t.List[Step]:
            return wishes.steps_for(name, found[name], wish, self._options.state, self._options.on_drift)

        return all_steps(self._options.names, of)

    def _refuse_taken(self, names: t.Sequence[str]) -> None:
        """Refuse to make a machine whose disk's name is taken: that disk may hold what somebody wants to keep.

        :raises Foreign: naming the disks.
        """
        there = self._driver.find_all([root_name(name) for name in names])
        taken = ["%s (%s)" % (name, volume.id) for name, volume in there.items() if volume]
        if taken:
            raise Foreign("the disk %s is there, but no machine that it was made for; if nobody needs it, remove it with volume_from_image (state: absent), "
                          "or choose another name for the machine" % ", ".join(taken))

    def _maker(self, wish: Wish) -> Maker:
        if self._source is None:
            raise InvalidInput("there is no image to make machines of; name one: image, image_file or image_url")
        sr = wish.sr or self._registry.disks.find_sr().uuid
        return Maker(registry=self._registry, driver=self._driver, sr=sr, template=self._template_record, source=self._source, wish=wish,
                     fan_out=self._options.fan_out, discard=lambda machine: self._remover.remove(Found(machine)), job=self._job)

    def _template_record(self) -> t.Mapping[str, t.Any]:
        if self._template is None:
            self._template = self._registry.machines.template(self._options.template)
        return self._template

    # --- applying ---

    def apply(self, plan: Plan) -> Result:
        wish, outcome = self._wanted(), Outcome()
        for step in plan.having("keep") + plan.having("tidy"):
            outcome.machines[step.subject] = step.data.machine
            outcome.how[step.subject] = HOW[step.action]
        self._remove(plan, outcome)
        self._make(plan, wish, outcome)
        self._each(plan, "stop", outcome, lambda machine: self._registry.machines.stop(machine, self._job.deadline, force=self._options.force))
        self._each(plan, "update", outcome, lambda machine: update(self._registry, machine, wish, self._job))
        self._start(plan, outcome)
        results = [self._result(name, outcome) for name in self._options.names if name in outcome.machines and name not in outcome.troubles]
        raise_troubles(outcome.troubles, "brought to what was asked for", results, things=THINGS)
        return self._told(results, outcome.fan_out)

    def _remove(self, plan: Plan, outcome: Outcome) -> None:
        """What is to be made anew goes first; so do doubles of what stays."""
        steps = plan.having("replace")
        doubles = [Step("remove", step.subject, data=Found(doubles=step.data.doubles)) for step in plan.steps
                   if step.action != "replace" and isinstance(step.data, Found) and step.data.doubles]
        dummy, troubles = run_all(lambda step: self._remover.remove(step.data), steps + doubles, at_once=self._job.at_once)
        outcome.troubles.update({step.subject: error for step, error in troubles})

    def _make(self, plan: Plan, wish: Wish, outcome: Outcome) -> None:
        started = time.monotonic()
        steps = [step for step in plan.steps if step.action in ("create", "replace", "adopt") and step.subject not in outcome.troubles]
        if not steps:
            return
        self._maker(wish).make(
            [step.subject for step in steps if step.action != "adopt"],
            {step.subject: step.data.machine for step in steps if step.action == "adopt"}, outcome)
        for step in steps:
            outcome.how[step.subject] = HOW[step.action]
            outcome.seconds[step.subject] = time.monotonic() - started

    def _each(self, plan: Plan, action: str, outcome: Outcome, call: t.Callable[[Machine], None]) -> None:
        """One kind of step for all machines that need it."""
        def one(step: Step) -> t.Tuple[Machine, float]:
            started = time.monotonic()
            machine = self._again(step.data.machine)
            call(machine)
            return self._again(machine), time.monotonic() - started

        steps = [step for step in plan.having(action) if step.subject not in outcome.troubles]
        done, troubles = run_all(one, steps, at_once=self._job.at_once)
        outcome.troubles.update({step.subject: error for step, error in troubles})
        for step, (machine, seconds) in done:
            self._note(outcome, step.subject, machine, HOW[action], seconds)

    def _start(self, plan: Plan, outcome: Outcome) -> None:
        """Start what is to run, and wait until it has booted."""
        if self._options.state != wishes.STARTED:
            return
        names = [step.subject for step in plan.steps if step.action in ("create", "replace", "adopt", "start") and step.subject not in outcome.troubles]
        found = {step.subject: step.data.machine for step in plan.having("start")}

        def start(name: str) -> t.Tuple[Machine, float]:
            began = time.monotonic()
            machine = self._again(outcome.machines.get(name) or found[name])
            self._registry.machines.start(machine, self._job.deadline)
            return self._again(machine), time.monotonic() - began

        done, troubles = run_all(start, names, at_once=self._job.at_once)
        outcome.troubles.update(dict(troubles))
        for name, (machine, seconds) in done:
            self._note(outcome, name, machine, "started", seconds)
        self._wait([machine for dummy, (machine, dummy_) in done], outcome)

    def _wait(self, started: t.Sequence[Machine], outcome: Outcome) -> None:
        """Until they have booted; those that ran before may still have to show what is waited for."""
        if not self._job.wait or self._options.state != wishes.STARTED:
            return
        names = {machine.name for machine in started}
        running = [machine for name, machine in outcome.machines.items() if name not in names and machine.power == records.RUNNING]
        began = time.monotonic()
        outcome.troubles.update(BootWatch(self._registry.machines, self._job, self._options.wait_for).wait(started, running))
        for machine in started:
            outcome.seconds[machine.name] = outcome.seconds.get(machine.name, 0.0) + time.monotonic() - began

    def _again(self, machine: Machine) -> Machine:
        now = self._registry.machines.again(machine)
        return machine if now is None else now

    @staticmethod
    def _note(outcome: Outcome, name: str, machine: Machine, how: str, seconds: float) -> None:
        """A machine that was made and then started was made; one that was changed and then started was changed."""
        outcome.machines[name] = machine
        outcome.how.setdefault(name, how)
        outcome.seconds[name] = outcome.seconds.get(name, 0.0) + seconds

    # --- telling ---

    def preview(self, plan: Plan) -> Result:
        """In check mode, what would be; else nothing is to be done but to wait for what runs already."""
        outcome = Outcome()
        for step in plan.steps:
            if isinstance(step.data, Found) and step.data.machine:
                outcome.machines.setdefault(step.subject, step.data.machine)
            outcome.how.setdefault(step.subject, "unchanged" if step.action == "keep" else step.action)
        if not self._job.check:
            self._wait((), outcome)
            raise_troubles(outcome.troubles, "found to have booted", (), things=THINGS)
        return self._told([self._result(name, outcome) for name in self._options.names], None)

    def _result(self, name: str, outcome: Outcome) -> Result:
        machine = outcome.machines.get(name)
        shown: Result = {"name": name} if machine is None else self._registry.result(self._again(machine))
        return dict(shown, how=outcome.how.get(name, "unchanged"), seconds=round(outcome.seconds.get(name, 0.0), 3))

    def _told(self, machines: t.Sequence[Result], fan_out: t.Optional[Result]) -> Result:
        image = self._wanted().image
        return {THINGS: list(machines), "image": image_result(image) if image else None, "fan_out": fan_out}
