# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Ceph in memory, as strict as the real one (16.2) was seen to be; ceph_bindings.py and ceph_commands.py are two ways to it."""

from __future__ import annotations

import itertools
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.tests.unit.fakes.host import FastClock

# errno
NOT_THERE, IN_USE, THERE, INVALID, NOT_EMPTY = 2, 16, 17, 22, 39

DEFAULT_FEATURES = ("layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten")

# What is smaller, or not aligned to it, is not discarded unless rbd_skip_partial_discard is off.
DISCARD_UNIT = 64 * 1024

# Seconds for which a client that was killed is taken for alive.
WATCH_TIMEOUT = 30


class Refused(Exception):
    """What Ceph says no to, with its number."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(words)
        self.number = number


@dataclass
class Snap:
    """A snapshot; removed while clones need it, it stays under another name."""

    name: str
    data: bytes
    meta: t.Dict[str, str]
    trashed: bool = False


@dataclass
class Disk:
    """An image. Clones have their own bytes here, but know their parents; one that was emptied does not tell any more, but still counts."""

    id: str
    name: str
    data: bytearray
    features: t.Tuple[str, ...]
    data_pool: t.Optional[str] = None
    meta: t.Dict[str, str] = field(default_factory=dict)
    snaps: t.List[Snap] = field(default_factory=list)
    parent: t.Optional[t.Tuple[Disk, Snap]] = None
    emptied: bool = False
    watchers: t.Dict[int, t.Optional[float]] = field(default_factory=dict)


@dataclass
class Space:
    """A pool's namespace."""

    images: t.Dict[str, Disk] = field(default_factory=dict)
    ghosts: t.Set[str] = field(default_factory=set)
    trash: t.Dict[str, Disk] = field(default_factory=dict)
    objects: t.Dict[str, t.Dict[str, t.Tuple[int, str, float]]] = field(default_factory=dict)

    # --- images ---

    def disk(self, name: str) -> Disk:
        """An image that is there."""
        if name not in self.images:
            raise Refused(NOT_THERE, "error opening image %s: (2) No such file or directory" % name)
        return self.images[name]


class FakeCeph:
    """One cluster.

    :ivar clock: By which locks end and dead clients are forgotten.
    :ivar dying: Whoever makes a clone one no more is killed before it has removed the snapshot that was kept for the clone.
    :ivar calls: What was asked of it that changes something, in order.
    """

    def __init__(self, *pools: str, free: int = 1 << 40) -> None:
        self.clock = FastClock()
        self.free = free
        self.dying = False
        self.pools = {pool: {"": Space()} for pool in pools or ("p",)}
        self.calls: t.List[t.Tuple[str, ...]] = []
        self._ids = itertools.count(0x10000)
        self._clients = itertools.count(4100)

    def client(self) -> int:
        """A number for somebody new."""
        return next(self._clients)

    def space(self, pool: str = "p", namespace: str = "") -> Space:
        """Where images are."""
        if pool not in self.pools:
            raise Refused(NOT_THERE, "error opening pool '%s': (2) No such file or directory" % pool)
        if namespace not in self.pools[pool]:
            raise Refused(NOT_THERE, "namespace '%s' does not exist." % namespace)
        return self.pools[pool][namespace]

    def where(self, disk: Disk) -> t.Tuple[str, str, bool]:
        """(pool, namespace, whether in the trash) of an image."""
        return next((pool, name, disk.id in space.trash) for pool, spaces in self.pools.items() for name, space in spaces.items()
                    if any(each is disk for each in [*space.images.values(), *space.trash.values()]))

    def create(self, space: Space, name: str, size: int, features: t.Sequence[str], data_pool: t.Optional[str]) -> Disk:
        self.calls.append(("create", name))
        if name in space.images or name in space.ghosts:
            raise Refused(THERE, "create error: (17) File exists")
        if data_pool and data_pool not in self.pools:
            raise Refused(NOT_THERE, "data pool does not exist")
        chosen = tuple(features) or DEFAULT_FEATURES
        if "object-map" in chosen and "exclusive-lock" not in chosen:
            raise Refused(INVALID, "cannot use object map without exclusive lock")
        space.images[name] = Disk("%x" % next(self._ids), name, bytearray(size), chosen, data_pool)
        return space.images[name]

    def remove(self, space: Space, name: str) -> None:
        self.calls.append(("remove", name))
        if name in space.ghosts:
            space.ghosts.remove(name)
            return
        disk = space.disk(name)
        self._refuse_removal(disk)
        del space.images[name]
        self.detach(disk)

    def _refuse_removal(self, disk: Disk) -> None:
        if disk.snaps and all(snap.trashed and not self._clones_of(snap) for snap in disk.snaps):
            raise AssertionError("librbd 16 may leave the objects of such an image behind: its snapshots have to go first")
        if disk.snaps:
            raise Refused(NOT_EMPTY, "image has snapshots - these must be deleted with 'rbd snap purge' before the image can be removed.")
        if self.watchers(disk):
            raise Refused(IN_USE, "error: image still has watchers")

    def detach(self, disk: Disk) -> None:
        """It is no clone any more: a snapshot that was kept for it alone goes."""
        if disk.parent is None:
            return
        (origin, snap), disk.parent = disk.parent, None
        if snap.trashed and not self._clones_of(snap) and not self.dying:
            origin.snaps.remove(snap)

    def drop_trashed(self, disk: Disk, snap: Snap) -> None:
        """Remove a snapshot that was kept for clones."""
        self.calls.append(("drop", disk.name))
        if self._clones_of(snap):
            raise Refused(IN_USE, "failed to remove snapshot: (16) Device or resource busy")
        disk.snaps.remove(snap)

    def _clones_of(self, snap: Snap) -> t.List[Disk]:
        return [disk for spaces in self.pools.values() for space in spaces.values() for disk in [*space.images.values(), *space.trash.values()]
                if disk.parent is not None and disk.parent[1] is snap]

    def clones(self, disk: Disk) -> t.List[Disk]:
        """All clones of an image's snapshots."""
        return [clone for snap in disk.snaps for clone in self._clones_of(snap)]

    def resize(self, disk: Disk, size: int) -> None:
        self.calls.append(("resize", disk.name))
        if not size:
            disk.emptied = True
        del disk.data[size:]
        disk.data.extend(bytes(size - len(disk.data)))

    # --- clones ---

    def snapshot(self, disk: Disk, name: str) -> None:
        self.calls.append(("snapshot", disk.name))
        if any(snap.name == name for snap in disk.snaps):
            raise Refused(THERE, "failed to create snapshot: (17) File exists")
        disk.snaps.append(Snap(name, bytes(disk.data), dict(disk.meta)))

    def drop(self, disk: Disk, name: str) -> None:
        self.calls.append(("drop", disk.name))
        snap = next((snap for snap in disk.snaps if snap.name == name and not snap.trashed), None)
        if snap is None:
            raise Refused(NOT_THERE, "failed to remove snapshot: (2) No such file or directory")
        if self._clones_of(snap):
            snap.trashed, snap.name = True, "%08x-uuid" % next(self._ids)
        else:
            disk.snaps.remove(snap)

    def clone(self, origin: Disk, snapshot: str, space: Space, name: str, features: t.Sequence[str], data_pool: t.Optional[str], *, format: str) -> None:
        self.calls.append(("clone", name))
        snap = next((snap for snap in origin.snaps if snap.name == snapshot), None)
        if snap is None or name in space.images or "layering" not in (tuple(features) or origin.features):
            raise AssertionError("librbd 16 crashes after a clone that it refuses: never ask for one")
        if format != "2":
            raise Refused(INVALID, "clone error: (22) Invalid argument: parent snapshot must be protected")
        disk = self.create(space, name, len(snap.data), tuple(features) or origin.features, data_pool)
        disk.data[:] = snap.data
        disk.meta = dict(snap.meta)
        disk.parent = (origin, snap)

    def flatten(self, disk: Disk) -> None:
        self.calls.append(("flatten", disk.name))
        if disk.parent is None:
            raise Refused(INVALID, "flatten error: (22) Invalid argument: image has no parent")
        self.detach(disk)

    # --- the trash ---

    def trash(self, space: Space, name: str) -> None:
        self.calls.append(("trash", name))
        disk = space.disk(name)
        space.trash[disk.id] = space.images.pop(name)

    def purge(self, space: Space, id: str) -> None:
        self.calls.append(("purge", id))
        if id not in space.trash:
            raise Refused(NOT_THERE, "remove error: (2) No such file or directory")
        self._refuse_removal(space.trash[id])
        self.detach(space.trash.pop(id))

    # --- clients ---

    def watchers(self, disk: Disk) -> t.List[int]:
        """Clients that have an image open, as Ceph believes."""
        disk.watchers = {client: end for client, end in disk.watchers.items() if end is None or end > self.clock.now()}
        return sorted(disk.watchers)

    def killed(self) -> None:
        """All clients were killed; Ceph does not know yet."""
        for spaces in self.pools.values():
            for space in spaces.values():
                for disk in [*space.images.values(), *space.trash.values()]:
                    disk.watchers = {client: end if end is not None else self.clock.now() + WATCH_TIMEOUT for client, end in disk.watchers.items()}

    def lock(self, space: Space, object: str, name: str, client: int, cookie: str, seconds: int, *, renew: bool) -> None:
        lockers = self.lockers(space, object)
        mine = lockers.get(name)
        if mine and mine[:2] == (client, cookie):
            if not renew:
                raise Refused(THERE, "(17) File exists")
        elif mine:
            raise Refused(IN_USE, "ERROR: failed locking: (16) Device or resource busy")
        space.objects.setdefault(object, {})[name] = (client, cookie, self.clock.now() + seconds)

    def lockers(self, space: Space, object: str) -> t.Dict[str, t.Tuple[int, str, float]]:
        """Who has the locks of an object, by the locks' names."""
        if object not in space.objects:
            return {}
        space.objects[object] = {name: each for name, each in space.objects[object].items() if each[2] > self.clock.now()}
        return space.objects[object]

    @staticmethod
    def forget_object(space: Space, object: str) -> None:
        if object not in space.objects:
            raise Refused(NOT_THERE, "error removing %s: (2) No such file or directory" % object)
        del space.objects[object]


def discard(disk: Disk, offset: int, length: int, *, skip_partial: bool) -> None:
    """Whole blocks become zeroes; the rest only if nobody skips it."""
    if skip_partial:
        end = (offset + length) // DISCARD_UNIT * DISCARD_UNIT
        offset = -(-offset // DISCARD_UNIT) * DISCARD_UNIT
        length = max(0, end - offset)
    disk.data[offset:offset + length] = bytes(length)
