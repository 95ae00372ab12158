# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing servers: exactly the ones named, and the volumes that were made for them only where that is asked for."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Foreign, InUse, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import Server, Servers
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_volumes import ServerVolumes
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_watch import ServerWatch
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_wishes import VOLUME, is_ours
from ansible_collections.bootable.volumes.plugins.module_utils.operations.servers import THINGS, server_result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import raise_troubles
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_results import volume_result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import view


class Remover:
    """Takes servers away, and returns when their volumes are free."""

    def __init__(self, servers: Servers, volumes: ServerVolumes, job: Job) -> None:
        self._servers = servers
        self._volumes = volumes
        self._job = job

    def remove(self, servers: t.Sequence[Server]) -> t.Dict[str, Exception]:
        """Servers are gone; by name, why one is not."""
        asked, troubles = run_all(self._delete, servers, at_once=self._job.at_once)
        failed = {server.name: error for server, error in troubles}
        going = [server for server, dummy in asked]
        failed.update(ServerWatch(self._servers, self._job).until_gone(going))
        try:
            self._volumes.until_free([server for server in going if server.name not in failed])
        except VolumesError as error:
            failed.update({server.name: error for server in going if server.name not in failed})
        return failed

    def _delete(self, server: Server) -> None:
        self._job.listener.hear(Event("remove", server.name))
        self._servers.delete(server.id)


@dataclass(frozen=True)
class _Doomed:
    """What is there under a name, and is to go."""

    servers: t.Tuple[Server, ...]
    volumes: t.Tuple[CinderVolume, ...]
    root: t.Optional[CinderVolume]


class ServerRemoval(Operation):
    """``state: absent``.

    :param delete_volumes: The volumes that were made for the servers go, too.
    """

    def __init__(self, *, servers: t.Callable[[], Servers], volumes: ServerVolumes, names: t.Sequence[str], delete_volumes: bool, job: Job) -> None:
        self._servers = servers
        self._volumes = volumes
        self._names = names
        self._delete_volumes = delete_volumes
        self._job = job

    def plan(self) -> Plan:
        there, servers = self._volumes.listed(), self._servers().list()
        made_for = self._volumes.made_for(self._names, there) if self._delete_volumes else {}
        steps, foreign = [], []
        for name in self._names:
            named = tuple(server for server in servers if server.name == name)
            foreign += [server for server in named if not is_ours(server)]
            roots = [there[server.metadata[VOLUME]] for server in named if server.metadata.get(VOLUME) in there]
            steps.append(self._step(name, _Doomed(named, tuple(made_for.get(name, ())), roots[0] if roots else None)))
        if foreign:
            raise Foreign("servers that were not made by this collection are not removed: %s; choose other names" % ", ".join(
                "%s (%s)" % (server.name, server.id) for server in foreign))
        self._refuse_held(steps)
        return Plan(tuple(steps))

    @staticmethod
    def _step(name: str, doomed: _Doomed) -> Step:
        if not doomed.servers and not doomed.volumes:
            return Step("keep", name, "it does not exist")
        before: t.Dict[str, t.Any] = {"volumes": sorted(volume.name for volume in doomed.volumes)} if doomed.volumes else {}
        if doomed.servers:
            before["status"] = doomed.servers[0].status
        return Step("remove", name, "state is absent" if doomed.servers else "volumes that were made for it are left", before=before, data=doomed)

    def _refuse_held(self, steps: t.Sequence[Step]) -> None:
        """Refuse to remove volumes that others have as well, before anything is removed.

        :raises InUse: naming all of them.
        """
        doomed = [step.data for step in steps if step.data is not None]
        going = {server.id for each in doomed for server in each.servers}
        volumes = [view(volume) for each in doomed for volume in each.volumes]
        found, troubles = run_all(self._volumes.driver.holders, volumes, at_once=self._job.at_once)
        raise_troubles({volume.name: error for volume, error in troubles}, "looked at", ())
        held = {}
        for volume, holders in found:
            left = [holder for holder in holders if not any(server in holder for server in going) and "its status, reserved" not in holder]
            if left:
                held[volume.name] = left
        if held:
            raise InUse("%s cannot be removed: %s. Remove what holds them first, or leave delete_volumes out" % (
                ", ".join(held), "; ".join("%s is held by %s" % (name, ", ".join(each)) for name, each in held.items())), holders=held)

    def apply(self, plan: Plan) -> Result:
        result = self.preview(plan)  # while they are still there
        steps = plan.having("remove")
        failed = Remover(self._servers(), self._volumes, self._job).remove([server for step in steps for server in step.data.servers])
        whose = {volume.name: step.subject for step in steps for volume in step.data.volumes if step.subject not in failed}
        gone = self._volumes.remove([volume for step in steps for volume in step.data.volumes if step.subject not in failed])
        failed.update({whose[volume]: error for volume, error in gone.items()})
        raise_troubles(failed, "removed", [each for each in result[THINGS] if each["name"] not in failed], things=THINGS)
        return result

    def preview(self, plan: Plan) -> Result:
        steps = plan.having("remove")
        return {
            THINGS: [server_result(step.data.servers[0], step.data.root) for step in steps if step.data.servers],
            "volumes": [volume_result(view(volume)) for step in steps for volume in step.data.volumes],
        }
