# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that is wanted, and the steps that lead to it from what is there. Pure: looks at data, asks nobody.

**What a server remembers** stands in its metadata: ``bootable_volume``, the id of the volume that it was made to boot from, and of the
image on that volume what a volume remembers of it. That tells this collection's servers from others, and the servers of one request
from each other: Nova lets no two servers boot from one volume, so that there is never more than one that came to something.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, Drift, Foreign, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Step
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import ACTIVE, BUILD, ERROR, SHUTOFF, Flavor, Server
from ansible_collections.bootable.volumes.plugins.module_utils.operations.comparison import FAIL, IGNORE, REPLACE, Wanted, drift_of, reason_of, shown
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Difference, Volume

# state
STARTED, PRESENT, STOPPED, ABSENT = "started", "present", "stopped", "absent"

# on_drift beside those of volumes: change in place what can be
UPDATE = "update"

# What mends a difference beside REPLACE: a change of what is there, when on_drift allows it (UPDATE), or in any case.
ANYTIME = "anytime"

VOLUME = "bootable_volume"
_PREFIX = "bootable_"


@dataclass(frozen=True)
class DataVolume:
    """A volume that every server has beside the one it boots from.

    :param size: Bytes of a new, empty one; None for one that is there.
    :param volume: Name or id of one that is there; ``{name}`` stands for the server's name.
    """

    size: t.Optional[int] = None
    volume: t.Optional[str] = None
    volume_type: t.Optional[str] = None
    bus: t.Optional[str] = None
    type: t.Optional[str] = None
    tag: t.Optional[str] = None
    delete: bool = False


@dataclass(frozen=True)
class Wish:
    """What every server of the task shall be; None stands for what the task does not say: it is not compared.

    :param wanted: Of the volumes to boot from; None where they are there already, or no image is named.
    :param volumes: By server: the volumes that are there already and are to be booted from.
    :param metadata: Keys that every server shall have; others are left alone.
    """

    flavor: t.Optional[Flavor] = None
    wanted: t.Optional[Wanted] = None
    volumes: t.Mapping[str, Volume] = field(default_factory=dict)
    zone: t.Optional[str] = None
    metadata: t.Mapping[str, str] = field(default_factory=dict)

    def can_make(self, name: str) -> bool:
        """Whether the task says enough to make that server."""
        return self.flavor is not None and (self.wanted is not None or name in self.volumes)


@dataclass(frozen=True)
class Found:
    """What is there under a name.

    :param doubles: Servers of that name that never came to anything beside one that did.
    :param root: The volume that the server boots from; None if it is gone.
    :param root_differs: Where that volume is not what the storage options ask for.
    :param data: By place in the task's list: the data volumes that are there.
    """

    server: t.Optional[Server] = None
    doubles: t.Tuple[Server, ...] = ()
    root: t.Optional[Volume] = None
    root_differs: t.Tuple[Difference, ...] = ()
    data: t.Tuple[t.Optional[Volume], ...] = ()


def is_ours(server: Server) -> bool:
    """Whether this collection made it."""
    return VOLUME in server.metadata


def came_to_nothing(server: Server) -> bool:
    """Whether it is the remains of a request that failed: it never ran."""
    return server.status == ERROR and not server.launched


def is_going(server: Server) -> bool:
    """Whether Nova is deleting it."""
    return server.task == "deleting" or server.status in ("DELETED", "SOFT_DELETED")


def own_metadata(server: Server) -> t.Dict[str, str]:
    """Its metadata without this collection's own."""
    return {key: value for key, value in server.metadata.items() if not key.startswith(_PREFIX)}


def ours(name: str, there: t.Iterable[Server]) -> t.Tuple[t.Optional[Server], t.List[Server]]:
    """The one server of a name that is ours to touch, and its doubles.

    :raises Foreign: somebody else made the server.
    :raises Ambiguous: several have the name.
    """
    found = [server for server in there if server.name == name]
    mine = [server for server in found if is_ours(server)]
    if len(mine) < len(found):
        raise Foreign("a server %s (%s) is there, and it was not made by this collection; choose another name" % (
            name, ", ".join(sorted(server.id for server in found if not is_ours(server)))))
    mine.sort(key=lambda server: (is_going(server), came_to_nothing(server), server.created_at, server.id))
    well = [server for server in mine if not came_to_nothing(server) and not is_going(server)]
    if len(well) > 1:
        raise Ambiguous("%d servers are called %s: %s; rename or remove all but one" % (len(well), name, ", ".join(sorted(each.id for each in well))))
    return (mine[0], mine[1:]) if mine else (None, [])


def check_names(names: t.Sequence[str]) -> None:
    """Refuse what is no name for a server, and for its volumes.

    :raises InvalidInput: naming the first such name.
    """
    for name in names:
        if len(name) > 240 or name != name.strip() or not re.fullmatch(r"[^\x00-\x1f]+", name):
            raise InvalidInput("name: '%s' is no name for a server: at most 240 characters, without spaces around them" % name)


def differences(found: Found, wish: Wish, data: t.Sequence[DataVolume]) -> t.List[Difference]:
    """Where a server is not what is wanted, and what mends it. Whether it runs is not looked at."""
    server = t.cast(Server, found.server)
    list_of: t.List[Difference] = []
    if server.status == ERROR:
        list_of.append(Difference("status", "ERROR (%s)" % (server.fault or "Nova gives no reason"), ACTIVE, REPLACE))
    if wish.flavor is not None and server.flavor != wish.flavor.name:
        list_of.append(Difference("flavor", server.flavor, wish.flavor.name, REPLACE))
    if wish.zone is not None and server.zone and server.zone != wish.zone.partition(":")[0]:
        list_of.append(Difference("availability_zone", server.zone, wish.zone, REPLACE))
    list_of += _root_differences(found, wish)
    for number, (volume, wanted) in enumerate(zip(found.data or (None,) * len(data), data), 1):
        if volume is None or volume.id not in server.volumes:
            list_of.append(Difference("data_volumes", "no volume %d" % number, wanted.volume or human(wanted.size or 0), UPDATE))
    has = own_metadata(server)
    if any(has.get(key) != value for key, value in wish.metadata.items()):
        list_of.append(Difference("metadata", {key: has[key] for key in wish.metadata if key in has}, dict(wish.metadata), ANYTIME))
    return list_of


def _root_differences(found: Found, wish: Wish) -> t.List[Difference]:
    """Of the volume that it boots from. What mends a volume's content makes the server anew: nothing is refilled under a running guest."""
    server = t.cast(Server, found.server)
    root, given = found.root, wish.volumes.get(server.name)
    if root is None or root.id not in server.volumes:
        return [Difference("volume", "%s, which is gone" % server.metadata[VOLUME], given.id if given else "a volume", REPLACE)]
    if given is not None:
        return [] if given.id == root.id else [Difference("volume", root.id, given.id, REPLACE)]
    if wish.wanted is None:
        return []
    drift = [Difference(each.what, each.found, each.wanted, REPLACE) for each in drift_of(root, wish.wanted, found.root_differs)]
    if wish.wanted.size_given and wish.wanted.size > root.size:
        drift.append(Difference("size", human(root.size), human(wish.wanted.size), ANYTIME))
    return drift + [Difference(each.what, each.found, each.wanted, ANYTIME) for each in found.root_differs if each.mend != REPLACE]


def steps_for(name: str, found: Found, wish: Wish, data: t.Sequence[DataVolume], state: str, on_drift: str) -> t.List[Step]:
    """The steps that one server needs; a single ``keep`` when it is what is wanted.

    :raises Drift: it is something else, and nobody allowed changing it.
    :raises InvalidInput: it has to be made, and the task does not say of what.
    """
    server = found.server
    after = _after(name, wish, state)
    if server is None:
        _must_make(name, wish, "does not exist")
        return [Step("create", name, "it does not exist", after=after)]
    before = {"status": server.status, "flavor": server.flavor, "image": _image_of(found.root)}
    if is_going(server):
        _must_make(name, wish, "is being removed")
        return [Step("replace", name, "it is being removed", before, after, found)]
    if came_to_nothing(server):
        _must_make(name, wish, "came to nothing (%s)" % (server.fault or "Nova gives no reason"))
        return [Step("replace", name, "the request to make it came to nothing: %s" % (server.fault or "Nova gives no reason"), before, after, found)]

    differ = differences(found, wish, data)
    drift = [each for each in differ if each.mend == REPLACE or each.mend == UPDATE and on_drift != UPDATE]
    if drift and on_drift == REPLACE:
        if any(each.mend == REPLACE for each in drift):
            _must_make(name, wish, "has to be made anew")
            return [Step("replace", name, reason_of(drift), before, after, found)]
        drift = []  # nothing that needs a new server
    _refuse_drift(server, drift, on_drift)
    steps = _small_steps(name, found, [each for each in differ if each not in drift], state)
    if found.doubles and not steps:
        return [Step("tidy", name, "requests to make it came to nothing", {"servers": 1 + len(found.doubles)}, {"servers": 1}, found)]
    return steps or [Step("keep", name, "drift ignored: " + reason_of(drift) if drift else "it is what was asked for", data=found)]


def _small_steps(name: str, found: Found, updates: t.Sequence[Difference], state: str) -> t.List[Step]:
    """Adopt, update, start or stop: in the order in which they can be done."""
    server = t.cast(Server, found.server)
    status = {"status": server.status}
    steps = []
    if server.status == BUILD:
        steps.append(Step("adopt", name, "another run has asked for it", status, {"status": ACTIVE}, found))
    if updates:
        steps.append(Step("update", name, ", ".join(each.what for each in updates), {each.what: each.found for each in updates},
                          {each.what: each.wanted for each in updates}, found))
    if state == STARTED and server.status == SHUTOFF:
        steps.append(Step("start", name, "it is SHUTOFF", status, {"status": ACTIVE}, found))
    if state == STOPPED and server.status in (ACTIVE, BUILD):
        steps.append(Step("stop", name, "it is %s" % server.status, status, {"status": SHUTOFF}, found))
    return steps


def _must_make(name: str, wish: Wish, why: str) -> None:
    if not wish.can_make(name):
        missing = "flavor" if wish.flavor is None else "image, image_file, image_url or volumes"
        raise InvalidInput("the server %s %s; say what to make it of: %s" % (name, why, missing))


def _refuse_drift(server: Server, drift: t.Sequence[Difference], on_drift: str) -> None:
    if not drift or on_drift in (IGNORE, REPLACE):
        return
    advice = "on_drift: replace removes the server and makes it anew"
    if any(each.mend == UPDATE for each in drift):
        advice = "on_drift: update attaches what is missing, " + advice[len("on_drift: "):]
    if on_drift == UPDATE:
        advice = "on_drift: update cannot change that; replace removes the server and makes it anew"
    raise Drift("%s (%s) exists but %s; %s, ignore leaves it" % (server.name, server.id, reason_of(drift), advice),
                drift={server.name: shown(drift)})


def volumes_on_drift(on_drift: str) -> str:
    """What may become of volumes that are not what was asked for, and that no server has yet: nothing boots from what was not asked for."""
    return REPLACE if on_drift == REPLACE else FAIL


def _after(name: str, wish: Wish, state: str) -> t.Dict[str, t.Any]:
    given = wish.volumes.get(name)
    what: t.Dict[str, t.Any] = wish.wanted.as_state() if wish.wanted else {"volume": given.id if given else None}
    return dict(what, status=SHUTOFF if state == STOPPED else ACTIVE, flavor=wish.flavor.name if wish.flavor else None)


def _image_of(root: t.Optional[Volume]) -> t.Optional[str]:
    record = root.record if root else None
    return (record.image_id or record.image_name) if record else None
