# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ceph's Python bindings over a Ceph in memory: as much of ``rados`` and ``rbd`` as the driver uses, with their exceptions."""

from __future__ import annotations

import contextlib
import json
import struct
import types
import typing as t

from ansible_collections.bootable.volumes.tests.unit.fakes import ceph
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph import Disk, FakeCeph, Refused, Space, discard

_BITS = {"layering": 1, "striping": 2, "exclusive-lock": 4, "object-map": 8, "fast-diff": 16, "deep-flatten": 32, "journaling": 64, "data-pool": 128}


class RadosError(Exception):
    """rados.Error"""


class ObjectNotFound(RadosError):
    """rados.ObjectNotFound"""


class ObjectBusy(RadosError):
    """rados.ObjectBusy"""


class ObjectExists(RadosError):
    """rados.ObjectExists"""


class RbdError(Exception):
    """rbd.Error"""


class ImageNotFound(RbdError):
    """rbd.ImageNotFound"""


class ImageExists(RbdError):
    """rbd.ImageExists"""


class ImageBusy(RbdError):
    """rbd.ImageBusy"""


class ImageHasSnapshots(RbdError):
    """rbd.ImageHasSnapshots"""


class InvalidArgument(RbdError):
    """rbd.InvalidArgument"""


_RADOS = {ceph.NOT_THERE: ObjectNotFound, ceph.IN_USE: ObjectBusy, ceph.THERE: ObjectExists}
_RBD = {ceph.NOT_THERE: ImageNotFound, ceph.THERE: ImageExists, ceph.IN_USE: ImageBusy, ceph.NOT_EMPTY: ImageHasSnapshots, ceph.INVALID: InvalidArgument}


@contextlib.contextmanager
def told(kinds: t.Mapping[int, t.Type[Exception]]) -> t.Iterator[None]:
    try:
        yield
    except Refused as error:
        raise kinds[error.number]("[errno %d] %s" % (error.number, error)) from None


class Ioctx:
    """rados.Ioctx"""

    def __init__(self, cluster: Rados, pool: str) -> None:
        self.cluster = cluster
        self.pool = pool
        self.namespace = ""

    @property
    def space(self) -> Space:
        return self.cluster.ceph.space(self.pool, self.namespace)

    def set_namespace(self, namespace: str) -> None:
        self.namespace = namespace

    def get_pool_id(self) -> int:
        return list(self.cluster.ceph.pools).index(self.pool)

    def lock_exclusive(self, key: str, name: str, cookie: str, desc: str = "", duration: t.Optional[int] = None, flags: int = 0) -> None:
        assert duration is not None, "a lock without an end outlives a run that is killed"
        with told(_RADOS):
            self.cluster.ceph.lock(self.space, key, name, self.cluster.get_instance_id(), cookie, duration, renew=bool(flags & 1))

    def remove_object(self, key: str) -> None:
        with told(_RADOS):
            self.cluster.ceph.forget_object(self.space, key)

    def execute(self, key: str, cls: str, method: str, data: bytes) -> t.Tuple[int, bytes]:
        assert (cls, method) == ("lock", "get_info")
        version, oldest, length = struct.unpack_from("<BBI", data)
        size, = struct.unpack_from("<I", data, 6)
        assert (version, oldest, length) == (1, 1, len(data) - 6) and size == length - 4
        if key not in self.space.objects:
            raise ObjectNotFound("[errno 2] RADOS object not found")
        count = int(data[10:].decode() in self.cluster.ceph.lockers(self.space, key))
        reply = struct.pack("<I", count) + b"whoever" * count
        return len(reply) + 6, struct.pack("<BBI", 1, 1, len(reply)) + reply


class Rados:
    """rados.Rados"""

    ceph: FakeCeph

    def __init__(self, conffile: str, conf: t.Mapping[str, str], rados_id: str = "admin", clustername: str = "ceph") -> None:
        if conffile == "/nowhere":
            raise ObjectNotFound("[errno 2] error calling conf_read_file")
        self.conf = conf
        self.user = rados_id
        self._client: t.Optional[int] = None

    def connect(self) -> None:
        if self.user == "nobody":
            raise ObjectNotFound("[errno 2] RADOS object not found (error connecting to the cluster)")
        self._client = self.ceph.client()

    def get_instance_id(self) -> int:
        assert self._client is not None, "not connected"
        return self._client

    def open_ioctx(self, pool: str) -> Ioctx:
        self.get_instance_id()
        if pool not in self.ceph.pools:
            raise ObjectNotFound("[errno 2] RADOS object not found (error opening pool '%s')" % pool)
        return Ioctx(self, pool)

    def pool_reverse_lookup(self, number: int) -> str:
        return list(self.ceph.pools)[number]

    def mon_command(self, command: str, data: bytes) -> t.Tuple[int, bytes, str]:
        assert json.loads(command)["prefix"] == "df"
        pools = [{"name": name, "stats": {"max_avail": self.ceph.free}} for name in self.ceph.pools]
        return 0, json.dumps({"pools": pools}).encode(), ""


class RBD:
    """rbd.RBD"""

    def namespace_exists(self, ioctx: Ioctx, name: str) -> bool:
        return name in ioctx.cluster.ceph.pools[ioctx.pool]

    def list(self, ioctx: Ioctx) -> t.List[str]:
        return [*ioctx.space.images, *ioctx.space.ghosts]

    def create(self, ioctx: Ioctx, name: str, size: int, old_format: bool = True, features: int = 0, data_pool: t.Optional[str] = None) -> None:
        assert not old_format
        with told(_RBD):
            ioctx.cluster.ceph.create(ioctx.space, name, size, _names(features), data_pool)

    def remove(self, ioctx: Ioctx, name: str) -> None:
        with told(_RBD):
            ioctx.cluster.ceph.remove(ioctx.space, name)

    def clone(self, origin: Ioctx, name: str, snapshot: str, ioctx: Ioctx, child: str, features: int = 0, data_pool: t.Optional[str] = None) -> None:
        with told(_RBD):
            disk = origin.space.disk(name)
            format = ioctx.cluster.conf.get("rbd_default_clone_format", "auto")
            ioctx.cluster.ceph.clone(disk, snapshot, ioctx.space, child, _names(features), data_pool, format=format)

    def trash_move(self, ioctx: Ioctx, name: str, delay: int) -> None:
        with told(_RBD):
            ioctx.cluster.ceph.trash(ioctx.space, name)

    def trash_list(self, ioctx: Ioctx) -> t.List[t.Dict[str, t.Any]]:
        return [{"id": disk.id, "name": disk.name, "source": "USER"} for disk in ioctx.space.trash.values()]

    def trash_remove(self, ioctx: Ioctx, id: str) -> None:
        with told(_RBD):
            ioctx.cluster.ceph.purge(ioctx.space, id)


class Image:
    """rbd.Image; open for writing it is watched."""

    def __init__(self, ioctx: Ioctx, name: t.Optional[str] = None, read_only: bool = False, image_id: t.Optional[str] = None) -> None:
        self._ioctx = ioctx
        self._ceph = ioctx.cluster.ceph
        self._read_only = read_only
        if image_id is not None and image_id not in ioctx.space.trash:
            raise ImageNotFound("[errno 2] RBD image not found")
        with told(_RBD):
            self._disk: Disk = ioctx.space.trash[image_id] if image_id is not None else ioctx.space.disk(str(name))
        self._closed = False
        if not read_only:
            self._disk.watchers[ioctx.cluster.get_instance_id()] = None

    def close(self) -> None:
        self._closed = True
        if not self._read_only:
            self._disk.watchers.pop(self._ioctx.cluster.get_instance_id(), None)

    def _writable(self) -> Disk:
        assert not self._closed and not self._read_only
        return self._disk

    def id(self) -> str:
        return self._disk.id

    def size(self) -> int:
        return len(self._disk.data)

    def features(self) -> int:
        return sum(_BITS[name] for name in self._disk.features)

    def data_pool_id(self) -> int:
        return list(self._ceph.pools).index(self._disk.data_pool) if self._disk.data_pool else -1

    def metadata_get(self, key: str) -> str:
        if key not in self._disk.meta:
            raise KeyError("no metadata %s" % key)
        return self._disk.meta[key]

    def metadata_set(self, key: str, value: str) -> None:
        self._ceph.calls.append(("remember", self._disk.name))
        self._writable().meta[key] = value

    def get_parent_image_spec(self) -> t.Dict[str, str]:
        if self._disk.parent is None or self._disk.emptied:
            raise ImageNotFound("[errno 2] RBD image not found (error getting parent info)")
        disk, snap = self._disk.parent
        pool, namespace, dummy = self._ceph.where(disk)
        return {"pool_name": pool, "pool_namespace": namespace, "image_name": disk.name, "snap_name": snap.name}

    def watchers_list(self) -> t.Iterator[t.Dict[str, t.Any]]:
        return iter([{"addr": "127.0.0.1:0/%d" % client, "id": client, "cookie": 1} for client in self._ceph.watchers(self._disk)])

    def list_snaps(self) -> t.Iterator[t.Dict[str, t.Any]]:
        return iter([{"id": index, "name": snap.name, "size": len(snap.data), "namespace": 2 if snap.trashed else 0}
                     for index, snap in enumerate(self._disk.snaps)])

    def list_children2(self) -> t.Iterator[t.Dict[str, t.Any]]:
        found = []
        for clone in self._ceph.clones(self._disk):
            pool, namespace, trash = self._ceph.where(clone)
            found.append({"pool": pool, "pool_namespace": namespace, "image": clone.name, "id": clone.id, "trash": trash})
        return iter(found)

    def resize(self, size: int) -> None:
        self._ceph.resize(self._writable(), size)

    def create_snap(self, name: str) -> None:
        with told(_RBD):
            self._ceph.snapshot(self._writable(), name)

    def remove_snap(self, name: str) -> None:
        with told(_RBD):
            self._ceph.drop(self._writable(), name)

    def remove_snap_by_id(self, number: int) -> None:
        with told(_RBD):
            self._ceph.drop_trashed(self._writable(), self._disk.snaps[number])

    def flatten(self) -> None:
        with told(_RBD):
            self._ceph.flatten(self._writable())

    def read(self, offset: int, length: int) -> bytes:
        assert not self._closed
        if offset + length > len(self._disk.data):
            raise InvalidArgument("[errno 22] error reading")
        return bytes(self._disk.data[offset:offset + length])

    def write(self, data: bytes, offset: int) -> int:
        disk = self._writable()
        if offset + len(data) > len(disk.data):
            raise InvalidArgument("RBD incomplete write")
        self._ceph.calls.append(("write", disk.name))
        disk.data[offset:offset + len(data)] = data
        return len(data)

    def discard(self, offset: int, length: int) -> None:
        discard(self._writable(), offset, length, skip_partial=self._ioctx.cluster.conf.get("rbd_skip_partial_discard") != "false")

    def flush(self) -> None:
        assert not self._closed


def _names(bits: int) -> t.List[str]:
    return [name for name, bit in _BITS.items() if bits & bit]


def modules(cluster: FakeCeph) -> t.Tuple[t.Any, t.Any]:
    """``rados`` and ``rbd`` of a host that reaches this cluster."""
    rados = types.SimpleNamespace(
        Rados=type("Rados", (Rados,), {"ceph": cluster}), Error=RadosError, ObjectNotFound=ObjectNotFound, ObjectBusy=ObjectBusy, ObjectExists=ObjectExists)
    rbd = types.SimpleNamespace(
        RBD=RBD, Image=Image, Error=RbdError, ImageNotFound=ImageNotFound, ImageExists=ImageExists, ImageBusy=ImageBusy,
        ImageHasSnapshots=ImageHasSnapshots, InvalidArgument=InvalidArgument, RBD_SNAP_NAMESPACE_TYPE_USER=0, RBD_SNAP_NAMESPACE_TYPE_TRASH=2,
        **{"RBD_FEATURE_" + name.upper().replace("-", "_"): bit for name, bit in _BITS.items()})
    return rados, rbd
