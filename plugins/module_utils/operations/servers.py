# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers of a project as the operations look at them, and as results show them."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import NoRoom, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import Flavor, Server
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_volumes import ServerVolumes
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_wishes import VOLUME, Found, own_metadata, ours
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import raise_troubles
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_results import volume_result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import view

THINGS = "servers"


def look_all(names: t.Sequence[str], servers: t.Sequence[Server], there: t.Mapping[str, CinderVolume], volumes: ServerVolumes) -> t.Dict[str, Found]:
    """What is there under many names; what must not be touched is told of for all of them at once.

    :param servers: All the project's.
    :param there: All its volumes, by id.
    :raises Foreign, Ambiguous: some are not ours to touch.
    """
    found: t.Dict[str, Found] = {}
    troubles: t.Dict[str, Exception] = {}
    for name in names:
        try:
            server, doubles = ours(name, servers)
            root = there.get(server.metadata[VOLUME]) if server else None
            seen = view(root) if root else None
            found[name] = Found(server, tuple(doubles), seen, tuple(volumes.driver.differences(seen)) if seen else (), volumes.data_of(name, there))
        except VolumesError as error:
            troubles[name] = error
    raise_troubles(troubles, "looked at", (), things=THINGS)
    return found


def check_limits(flavor: Flavor, count: int, limits: t.Mapping[str, int]) -> None:
    """Refuse, before the first write, servers that do not fit into Nova's quotas.

    :param limits: As ``Servers.limits`` has them.
    :raises NoRoom: naming every quota that does not suffice: what is asked for, what is used, what is the limit.
    """
    asked = {
        "instances": (count, "maxTotalInstances", "totalInstancesUsed"), "cores": (count * flavor.vcpus, "maxTotalCores", "totalCoresUsed"),
        "ram": (count * flavor.memory, "maxTotalRAMSize", "totalRAMUsed"),
    }
    short = {
        name: {"asked": amount, "used": limits.get(used, 0), "limit": limits[limit]}
        for name, (amount, limit, used) in asked.items() if 0 <= limits.get(limit, -1) < limits.get(used, 0) + amount
    }
    if short:
        each = "; ".join("%s: %d asked for, %d of %d used" % (name, found["asked"], found["used"], found["limit"]) for name, found in short.items())
        raise NoRoom("the project's quota for servers does not suffice: %s. Remove servers, or have the quota raised; nothing was created" % each, quota=short)


def server_result(server: Server, root: t.Optional[CinderVolume]) -> Result:
    """A server; ``volume`` is the one it boots from."""
    return {
        "name": server.name,
        "id": server.id,
        "status": server.status,
        "flavor": server.flavor,
        "availability_zone": server.zone,
        "description": server.description,
        "key_name": server.key,
        "metadata": own_metadata(server),
        "addresses": dict(server.addresses),
        "ips": [each["addr"] for cards in server.addresses.values() for each in cards],
        "volume": volume_result(view(root)) if root else None,
        "volumes": [{"id": each, "delete_on_termination": delete} for each, delete in server.volumes.items()],
        "created_at": server.created_at,
    }
