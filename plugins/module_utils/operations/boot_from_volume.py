# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""N servers of a project, each booting from its own volume of one image."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import Gathering, run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import ACTIVE, SHUTOFF, Server
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume
from ansible_collections.bootable.volumes.plugins.module_utils.operations import server_wishes as wishes
from ansible_collections.bootable.volumes.plugins.module_utils.operations.comparison import FAIL, Wanted, all_steps
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result, image_result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.root_volumes import HOW
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_making import Equipment, Maker, data_disks, encoded
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_removal import Remover
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_volumes import ServerVolumes
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_watch import Seen, ServerWatch, WaitFor
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_wishes import DataVolume, Found, Wish
from ansible_collections.bootable.volumes.plugins.module_utils.operations.servers import THINGS, check_limits, look_all, server_result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import raise_troubles
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import metadata_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, record_of

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud


@dataclass(frozen=True)
class Options:
    """What the task says of its servers; nothing of it was looked up yet.

    :param names: Of the servers.
    :param volumes: Names or ids of volumes that are there already, one for each server.
    :param networks: ``none``, ``auto``, or networks and ports by name or id.
    :param group: A server group, by name or id.
    :param size: Bytes of each volume to boot from; None for the least that holds the image.
    """

    names: t.Tuple[str, ...]
    state: str = wishes.STARTED
    flavor: t.Optional[str] = None
    volumes: t.Optional[t.Tuple[str, ...]] = None
    size: t.Optional[int] = None
    networks: t.Tuple[t.Any, ...] = ("auto",)
    group: t.Optional[str] = None
    equipment: Equipment = Equipment()
    metadata: t.Mapping[str, str] = field(default_factory=dict)
    data: t.Tuple[DataVolume, ...] = ()
    wait_for: WaitFor = WaitFor()
    on_drift: str = FAIL

    def check(self) -> None:
        """Refuse what cannot be.

        :raises InvalidInput: naming the option.
        """
        wishes.check_names(self.names)
        if self.volumes is not None and len(self.volumes) != len(self.names):
            raise InvalidInput("volumes: %d are named for %d servers; each server boots from its own" % (len(self.volumes), len(self.names)))
        if self.volumes is not None and len(set(self.volumes)) < len(self.volumes):
            raise InvalidInput("volumes: no two servers can boot from one volume; name each once")
        for each in self.data:
            if (each.size is None) == (each.volume is None):
                raise InvalidInput("data_volumes: give each a size, to have it made, or a volume that is there; and not both")
            if each.volume is not None and len(self.names) > 1 and "{name}" not in each.volume:
                raise InvalidInput("data_volumes: '%s' would be in %d servers at once; put {name} into it, for example '{name}-%s'" % (
                    each.volume, len(self.names), each.volume))
        encoded(self.equipment.user_data)
        if any(key.startswith("bootable_") for key in self.metadata):
            raise InvalidInput("metadata: keys that begin with bootable_ are this collection's own; rename them")


@dataclass
class _Outcome:
    """What has become of each server so far.

    :param seen: Those that were looked at after the last that was done to them.
    """

    servers: t.Dict[str, Server] = field(default_factory=dict)
    how: t.Dict[str, str] = field(default_factory=dict)
    seconds: t.Dict[str, float] = field(default_factory=dict)
    troubles: t.Dict[str, Exception] = field(default_factory=dict)
    shown: t.Dict[str, str] = field(default_factory=dict)
    new: t.List[str] = field(default_factory=list)
    seen: t.Set[str] = field(default_factory=set)
    fan_out: t.Optional[Result] = None

    def note(self, name: str, server: Server, how: str, began: float) -> None:
        """A server that was made and then started was made; one that was changed and then started was changed."""
        self.servers[name] = server
        self.how.setdefault(name, how)
        self.seen.discard(name)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began


class BootFromVolume(Operation):
    """``state: started``, ``present`` and ``stopped``.

    :param source: The image; None where the volumes are there, or servers that are there are to be started, stopped or changed.
    """

    def __init__(self, *, cloud: t.Callable[[], Cloud], volumes: ServerVolumes, source: t.Optional[ImageSource], options: Options, job: Job) -> None:
        self._cloud = cloud
        self._volumes = volumes
        self._source = source
        self._options = options
        self._job = job
        self._wish: t.Optional[Wish] = None
        self._networks: t.Any = None
        self._group: t.Optional[str] = None

    # --- planning ---

    def plan(self) -> Plan:
        self._options.check()
        wish = self._wanted()
        servers, there = self._cloud().servers.list(), self._volumes.listed()
        found = look_all(self._options.names, servers, there, self._volumes)
        plan = Plan(tuple(self._steps(found, wish)))
        new = [step.subject for step in plan.having("create")]
        anew = [step.subject for step in plan.having("replace")]
        if new or anew:
            self._look_up_equipment()
        self._check_volumes(new, anew, found, there, wish)
        if new and wish.flavor is not None:
            check_limits(wish.flavor, len(new), self._cloud().servers.limits())
        return plan

    def _wanted(self) -> Wish:
        """The options with everything in them looked up; once."""
        if self._wish is None:
            options = self._options
            self._wish = Wish(
                flavor=self._cloud().servers.find_flavor(options.flavor) if options.flavor else None,
                wanted=self._wanted_volume(),
                volumes={name: self._volumes.given(volume) for name, volume in zip(options.names, options.volumes or ())},
                zone=options.equipment.zone, metadata=options.metadata)
        return self._wish

    def _wanted_volume(self) -> t.Optional[Wanted]:
        if self._source is None:
            return None
        driver, image = self._volumes.driver, self._source.describe()
        driver.check_image(image)
        least = driver.least_size(image)
        if self._options.size is None:
            return Wanted(image, least, size_given=False)
        size = round_up(self._options.size, driver.capabilities.granularity)
        if size < least:
            raise InvalidInput("size: %s is too small for the image %s, which needs %s" % (human(size), image.name, human(least)))
        return Wanted(image, size, size_given=True)

    def _steps(self, found: t.Mapping[str, Found], wish: Wish) -> t.List[Step]:
        """The steps for every server.

        :raises Drift: for servers that may not be changed.
        """
        def of(name: str) -> t.List[Step]:
            return wishes.steps_for(name, found[name], wish, self._options.data, self._options.state, self._options.on_drift)

        return all_steps(self._options.names, of)

    def _look_up_equipment(self) -> None:
        """What new servers get, by id."""
        self._networks = self._networks or self._nets()
        if self._options.group and self._group is None:
            self._group = self._cloud().servers.find_group(self._options.group)

    def _nets(self) -> t.Any:
        given = self._options.networks
        if given in ((), ("none",)):
            return "none"
        if given == ("auto",):
            return "auto"
        found = []
        for each in given:
            card = dict(each) if isinstance(each, dict) else {"network": each}
            unknown = sorted(card.keys() - {"network", "port", "fixed_ip", "tag"})
            if unknown or ("network" in card) == ("port" in card) or card.get("network") in ("none", "auto"):
                raise InvalidInput(
                    "networks: %s is none; give a name, or a dict with network or port, and fixed_ip and tag if you like; or none, or auto, alone" % (each,))
            kind = "network" if "network" in card else "port"
            net = {"uuid" if kind == "network" else "port": self._cloud().networks.find(kind, str(card[kind]))}
            found.append(dict(net, **{key: str(card[key]) for key in ("fixed_ip", "tag") if card.get(key)}))
        return found

    def _check_volumes(self, new: t.Sequence[str], anew: t.Sequence[str], found: t.Mapping[str, Found], there: t.Mapping[str, CinderVolume],
                       wish: Wish) -> None:
        """Refuse, before the first write, volumes that do not fit, are not what was asked for, or are had by others."""
        going = {server.id: server for name in anew for server in (found[name].server, *found[name].doubles) if server}
        self._volumes.refuse_taken([volume for name in (*new, *anew) for volume in (wish.volumes.get(name), *found[name].data)], going)
        sizes: t.List[int] = []
        if new and wish.wanted is not None:
            plan = self._volumes.roots(new, wishes.volumes_on_drift(self._options.on_drift)).plan()
            self._volumes.refuse_taken([step.data for step in plan.steps], {})
            sizes = [wish.wanted.size for dummy in plan.having("create")]
        self._volumes.check_room(sizes, [*new, *anew], there)

    # --- applying ---

    def apply(self, plan: Plan) -> Result:
        wish, outcome = self._wanted(), _Outcome()
        for step in plan.steps:
            if step.action in ("keep", "tidy", "adopt"):
                outcome.servers[step.subject] = step.data.server
                outcome.how.setdefault(step.subject, HOW[step.action])
        outcome.new += [step.subject for step in plan.having("adopt")]
        self._remove(plan, outcome)
        self._make(plan, wish, outcome)
        self._boot(plan, outcome)
        self._each(plan, "update", outcome, self._update)
        self._stop(plan, outcome)
        results = self._results([name for name in self._options.names if name in outcome.servers and name not in outcome.troubles], outcome)
        raise_troubles(outcome.troubles, "brought to what was asked for", results, things=THINGS)
        return self._told(results, outcome.fan_out)

    def _remove(self, plan: Plan, outcome: _Outcome) -> None:
        """What is to be made anew goes first; so do doubles of what stays. Their volumes stay."""
        servers = [step.data.server for step in plan.having("replace")]
        doubles = {double.id: double for step in plan.steps if isinstance(step.data, Found) for double in step.data.doubles}
        if servers or doubles:
            outcome.troubles.update(Remover(self._cloud().servers, self._volumes, self._job).remove([*servers, *doubles.values()]))

    def _make(self, plan: Plan, wish: Wish, outcome: _Outcome) -> None:
        steps = {step.subject: step for step in plan.steps if step.action in ("create", "replace") and step.subject not in outcome.troubles}
        if not steps:
            return
        began = time.monotonic()
        roots: t.Dict[str, str] = {}
        maker = self._maker(wish)
        there = self._volumes.listed() if self._options.data else {}

        def make(name: str) -> t.Tuple[Server, bool]:
            return maker.make(name, roots[name], data_disks(self._options.data, self._volumes.provide_data(name, there)))

        with Gathering(make, at_once=self._job.at_once) as making:
            def ready(name: str, volume: str) -> None:
                if name not in roots:
                    roots[name] = volume
                    making.begin(name)

            for name in steps:
                if name in wish.volumes:
                    ready(name, wish.volumes[name].id)
            filled = self._volumes.fill([name for name in steps if name not in roots], wishes.volumes_on_drift(self._options.on_drift), ready)
            for name, volume in filled.ids.items():
                ready(name, volume)
            done, troubles = making.finish()
        outcome.fan_out = filled.fan_out
        outcome.troubles.update({**filled.errors, **dict(troubles)})
        for name, (server, adopted) in done:
            outcome.note(name, server, "adopted" if adopted else HOW[steps[name].action], began)
            outcome.new.append(name)

    def _maker(self, wish: Wish) -> Maker:
        self._look_up_equipment()
        flavor = wish.flavor
        if flavor is None:
            raise InvalidInput("flavor: there is none to make servers of; name one")
        equipment = replace(self._options.equipment, networks=self._networks,
                            hints=dict(self._options.equipment.hints, **({"group": self._group} if self._group else {})))
        marks = metadata_of(record_of(wish.wanted.image, READY)) if wish.wanted else {}
        return Maker(self._cloud().servers, flavor=flavor.id, equipment=equipment, metadata=self._options.metadata, marks=marks, job=self._job)

    def _boot(self, plan: Plan, outcome: _Outcome) -> None:
        """Start what does not run, and wait for that and for what is new."""
        self._each(plan, "start", outcome, lambda step: self._cloud().servers.start(step.data.server.id))
        outcome.new += [step.subject for step in plan.having("start") if step.subject not in outcome.troubles]
        stopping = self._options.state == wishes.STOPPED  # a server can only be stopped when it has come up
        self._wait(outcome, WaitFor() if stopping else self._options.wait_for)

    def _wait(self, outcome: _Outcome, wait_for: WaitFor) -> None:
        """Until what is new has booted; what ran before may still have to write what is waited for."""
        if not self._job.wait or self._job.check:
            return
        new = [outcome.servers[name] for name in dict.fromkeys(outcome.new) if name not in outcome.troubles]
        running = [server for name, server in outcome.servers.items() if name not in outcome.new and server.status == ACTIVE]
        began = time.monotonic()
        seen = ServerWatch(self._cloud().servers, self._job).until_booted(new, [] if self._options.state != wishes.STARTED else running, wait_for)
        self._take(seen, outcome)
        for server in new:
            outcome.seconds[server.name] = outcome.seconds.get(server.name, 0.0) + time.monotonic() - began

    @staticmethod
    def _take(seen: Seen, outcome: _Outcome) -> None:
        outcome.servers.update(seen.servers)
        outcome.seen.update(seen.servers)
        outcome.shown.update(seen.shown)
        outcome.troubles.update(seen.troubles)

    def _stop(self, plan: Plan, outcome: _Outcome) -> None:
        """Shut down what is to be: what ran, and what is new."""
        self._each(plan, "stop", outcome, lambda step: self._cloud().servers.stop(step.data.server.id))
        stopping = [step.subject for step in plan.having("stop") if step.subject not in outcome.troubles]
        if self._options.state == wishes.STOPPED and self._job.wait:
            made = [name for name in outcome.new if name not in outcome.troubles and name not in stopping and outcome.servers[name].status == ACTIVE]
            dummy, troubles = run_all(lambda name: self._cloud().servers.stop(outcome.servers[name].id), made, at_once=self._job.at_once)
            outcome.troubles.update(dict(troubles))
            stopping += [name for name in made if name not in outcome.troubles]
        if self._job.wait:
            self._take(ServerWatch(self._cloud().servers, self._job).until_status([outcome.servers[name] for name in stopping], SHUTOFF), outcome)

    def _update(self, step: Step) -> None:
        """Change what can be changed in place."""
        found, servers = step.data, self._cloud().servers
        for name in step.after:
            if name == "metadata":
                servers.set_metadata(found.server.id, self._options.metadata)
            elif name == "data_volumes":
                for disk in data_disks(self._options.data, self._volumes.provide_data(step.subject, self._volumes.listed())):
                    if disk.volume not in found.server.volumes:
                        servers.attach(found.server.id, disk)
            elif name == "size":
                self._volumes.driver.grow(found.root, t.cast(Wanted, self._wanted().wanted).size, self._job)
            else:
                self._volumes.driver.update(found.root, found.root_differs, self._job)

    def _each(self, plan: Plan, action: str, outcome: _Outcome, call: t.Callable[[Step], None]) -> None:
        """One kind of step for all servers that need it."""
        def one(step: Step) -> None:
            began = time.monotonic()
            call(step)
            outcome.note(step.subject, outcome.servers.get(step.subject) or step.data.server, HOW[action], began)

        steps = [step for step in plan.having(action) if step.subject not in outcome.troubles]
        dummy, troubles = run_all(one, steps, at_once=self._job.at_once)
        outcome.troubles.update({step.subject: error for step, error in troubles})

    # --- telling ---

    def preview(self, plan: Plan) -> Result:
        """In check mode, what would be; else nothing is to be done but to wait for what runs already."""
        outcome = _Outcome()
        for step in plan.steps:
            if isinstance(step.data, Found) and step.data.server:
                outcome.servers.setdefault(step.subject, step.data.server)
            outcome.how.setdefault(step.subject, "unchanged" if step.action == "keep" else step.action)
        if not self._job.check and self._options.state == wishes.STARTED:
            self._wait(outcome, self._options.wait_for)
            raise_troubles(outcome.troubles, "found to have booted", (), things=THINGS)
        return self._told(self._results(self._options.names, outcome), None)

    def _results(self, names: t.Sequence[str], outcome: _Outcome) -> t.List[Result]:
        """The servers and their volumes, as they are now."""
        there = self._volumes.listed() if outcome.servers else {}
        unseen = [] if self._job.check else [server.id for name, server in outcome.servers.items() if name not in outcome.seen]
        now = ServerWatch(self._cloud().servers, self._job).look(unseen) if unseen else {}
        results = []
        for name in names:
            server = outcome.servers.get(name)
            server = (now.get(server.id) or server) if server else None
            shown: Result = {"name": name} if server is None else server_result(server, there.get(server.metadata[wishes.VOLUME]))
            if name in outcome.shown:
                shown["console"] = outcome.shown[name]
            results.append(dict(shown, how=outcome.how.get(name, "unchanged"), seconds=round(outcome.seconds.get(name, 0.0), 3)))
        return results

    def _told(self, servers: t.Sequence[Result], fan_out: t.Optional[Result]) -> Result:
        wanted = self._wanted().wanted
        return {THINGS: list(servers), "image": image_result(wanted.image) if wanted else None, "fan_out": fan_out}
