# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking Nova for servers, each on its own volume, so that no request makes two of them.

A volume is had by one server at a time, and Nova reserves it before it answers: a second request for the same volume is refused. So a
request whose answer got lost may be made again, and two runs at once make one server: whoever is refused finds the server by the id of its
volume, which stands in its metadata.
"""

from __future__ import annotations

import base64
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, NoRoom, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.outages import through_outages
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import BUILD, LONGEST_USER_DATA, Disk, Server, Servers, ServerWish
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_wishes import VOLUME, DataVolume, came_to_nothing, is_going

# Requests for one server, when Nova does not answer or the volume is had by somebody, and seconds between them.
TRIES, PAUSE = 3, 2.0


@dataclass(frozen=True)
class Equipment:
    """What new servers get; existing ones are not compared with it.

    :param networks: ``none``, ``auto``, or Nova's own list of networks and ports.
    :param user_data: As it was given.
    :param bus, type, tag: Of the device that it boots from.
    :param delete: The volume that it boots from goes when the server goes.
    """

    networks: t.Any = "auto"
    key: t.Optional[str] = None
    security_groups: t.Optional[t.Tuple[str, ...]] = None
    user_data: t.Optional[str] = None
    config_drive: t.Optional[bool] = None
    zone: t.Optional[str] = None
    description: t.Optional[str] = None
    hints: t.Mapping[str, t.Any] = field(default_factory=dict)
    bus: t.Optional[str] = None
    type: t.Optional[str] = None
    tag: t.Optional[str] = None
    delete: bool = False


def encoded(user_data: t.Optional[str]) -> t.Optional[str]:
    """User data as Nova takes them.

    :raises InvalidInput: they are too long.
    """
    if user_data is None:
        return None
    found = base64.b64encode(user_data.encode()).decode()
    if len(found) > LONGEST_USER_DATA:
        raise InvalidInput("user_data: %d bytes are too many: Nova takes %d; have the guest fetch the rest, for example with #include" % (
            len(user_data.encode()), LONGEST_USER_DATA // 4 * 3))
    return found


def data_disks(wanted: t.Sequence[DataVolume], ids: t.Sequence[str]) -> t.List[Disk]:
    """A server's data volumes as its devices."""
    return [Disk(volume, bus=each.bus, type=each.type, tag=each.tag, delete=each.delete) for each, volume in zip(wanted, ids)]


class Maker:
    """Makes servers.

    :param marks: What a server shall remember of the image that it boots from.
    """

    def __init__(self, servers: Servers, *, flavor: str, equipment: Equipment, metadata: t.Mapping[str, str], marks: t.Mapping[str, str], job: Job) -> None:
        self._servers = servers
        self._flavor = flavor
        self._equipment = equipment
        self._metadata = metadata
        self._marks = marks
        self._job = job

    def make(self, name: str, root: str, data: t.Sequence[Disk]) -> t.Tuple[Server, bool]:
        """A server that boots from a volume; (as far as it is known yet, whether another run made it).

        :raises VolumesError: in Nova's own words.
        """
        wish = self._wish(name, root, data)
        clock = self._job.deadline.clock
        self._job.listener.hear(Event("create", name))
        left = TRIES
        while True:
            left -= 1
            try:
                server_id = self._servers.create(wish)
            except (Denied, NoRoom):
                raise
            except VolumesError as error:
                there = self._of_volume(name, root)
                if there is not None:
                    return there, isinstance(error, (InvalidInput, InUse))
                # one that is refused because somebody has the volume may be refused for a server that Nova does not list yet
                if not left or not (_is_unanswered(error) or root in error.message) or self._job.deadline.remaining() <= 0:
                    raise
                clock.sleep(PAUSE)
            else:
                return Server(server_id, name, BUILD, metadata=wish.metadata), False

    def _of_volume(self, name: str, volume: str) -> t.Optional[Server]:
        """The server that was made to boot from a volume, by whomever; not what came to nothing."""
        for server in through_outages(self._servers.list, self._job.deadline):
            if server.name == name and server.metadata.get(VOLUME) == volume and not came_to_nothing(server) and not is_going(server):
                return server
        return None

    def _wish(self, name: str, root: str, data: t.Sequence[Disk]) -> ServerWish:
        given = self._equipment
        disk = Disk(root, boot=True, bus=given.bus, type=given.type, tag=given.tag, delete=given.delete)
        return ServerWish(
            name=name, flavor=self._flavor, disks=(disk, *data), networks=given.networks, metadata=dict(self._metadata, **self._marks, **{VOLUME: root}),
            key=given.key, security_groups=given.security_groups, user_data=encoded(given.user_data), config_drive=given.config_drive, zone=given.zone,
            description=given.description, hints=given.hints)


def _is_unanswered(error: VolumesError) -> bool:
    """Whether Nova may have done what it was asked all the same: the connection broke, or something on the way gave up."""
    return isinstance(error, BackendError) and error.details.get("http_status", 500) >= 500
