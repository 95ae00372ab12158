# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool through Ceph's Python bindings (python3-rados, python3-rbd): one connection, no processes, bytes at any offset."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Handle
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import (
    FEATURES, LOCK, RECORD_KEY, Busy, Exists, Gone, Image, Needed, Parent, Place, Pool, Users, check_within, room_in,
)

try:
    import rados
    import rbd
except ImportError:
    HAS_BINDINGS = False
else:
    HAS_BINDINGS = True

# Seconds for a monitor to answer.
_PATIENCE = 30

# Seconds after which a lock of a run that was killed ends.
_LEASE = 30.0

# LIBRADOS_LOCK_FLAG_MAY_RENEW of rados/librados.h
_MAY_RENEW = 1

_SETTINGS = {
    # Clones whose parent may go to the trash; all of Ceph since 2018 has them, and a cluster may still have been set up for older clients.
    "rbd_default_clone_format": "2",
    # By default what is not a whole 64 KiB is not discarded, and reads as what it was.
    "rbd_skip_partial_discard": "false",
    "rados_mon_op_timeout": str(_PATIENCE),
    "client_mount_timeout": str(_PATIENCE),
}


@contextlib.contextmanager
def _told(what: str) -> t.Iterator[None]:
    """Ceph's exceptions as ours."""
    try:
        yield
    except (rbd.ImageNotFound, rados.ObjectNotFound) as error:
        raise Gone("%s: %s" % (what, error)) from error
    except rbd.ImageExists as error:
        raise Exists("%s: %s" % (what, error)) from error
    except rbd.ImageBusy as error:
        raise Busy("%s: %s" % (what, error)) from error
    except rbd.ImageHasSnapshots as error:
        raise Needed("%s: %s" % (what, error)) from error
    except (rados.Error, rbd.Error) as error:
        raise BackendError("%s: %s" % (what, error)) from error


class BindingsPool(Pool):
    """The adapter over librados and librbd. Threads may share it."""

    lease = _LEASE

    def __init__(self, place: Place) -> None:
        self.place = place
        self._connecting = threading.Lock()
        self._cluster: t.Any = None
        self._ioctx: t.Any = None
        self._rbd: t.Any = rbd.RBD()

    @property
    def _io(self) -> t.Any:
        with self._connecting:
            if self._ioctx is None:
                self._ioctx = self._connect()
            return self._ioctx

    def _connect(self) -> t.Any:
        place = self.place
        names = {key: value for key, value in (("rados_id", place.user), ("clustername", place.cluster)) if value}
        try:
            # an empty path is Ceph's own search
            self._cluster = rados.Rados(conffile=place.conf or "", conf=_SETTINGS, **names)
            self._cluster.connect()
        except (rados.Error, OSError) as error:
            raise BackendError("Ceph cannot be reached: %s; check storage.ceph_conf (%s) and storage.ceph_user (%s)" % (
                error, place.conf or "Ceph's default", place.user or "Ceph's default")) from error
        try:
            ioctx = self._cluster.open_ioctx(place.pool)
        except rados.ObjectNotFound as error:
            raise InvalidInput("%s: Ceph has no pool %s" % (place.option, place.pool)) from error
        except rados.Error as error:
            raise BackendError("%s: %s cannot be opened: %s" % (place.option, place.pool, error)) from error
        if place.namespace:
            if not self._rbd.namespace_exists(ioctx, place.namespace):
                raise InvalidInput("namespace: the pool %s has no namespace %s; make it with: rbd namespace create %s" % (
                    place.pool, place.namespace, place.path))
            ioctx.set_namespace(place.namespace)
        return ioctx

    @contextlib.contextmanager
    def _image(self, name: str, *, write: bool = False) -> t.Iterator[t.Any]:
        with _told(self.place.spec(name)):
            image = rbd.Image(self._io, name, read_only=not write)
            try:
                yield image
            finally:
                image.close()

    # --- looking ---

    def names(self) -> t.List[str]:
        with _told(self.place.path):
            return sorted(set(self._rbd.list(self._io)))

    def look(self, name: str) -> t.Optional[Image]:
        try:
            with self._image(name) as image:
                bits = image.features()
                data_pool = self._data_pool(image)
                return Image(
                    name, image.id(), image.size(), tuple(each for each in FEATURES if bits & _bit(each)), _record(image), _parent(image), data_pool)
        except Gone:
            return None

    def _data_pool(self, image: t.Any) -> t.Optional[str]:
        number = image.data_pool_id()
        if number in (-1, self._ioctx.get_pool_id()):
            return None
        return str(self._cluster.pool_reverse_lookup(number))

    def users(self, name: str) -> Users:
        with self._image(name) as image:
            mine = self._cluster.get_instance_id()
            watchers = [str(each["addr"]) for each in image.watchers_list() if each["id"] != mine]
            snapshots = [str(each["name"]) for each in image.list_snaps() if each.get("namespace", 0) == rbd.RBD_SNAP_NAMESPACE_TYPE_USER]
            clones = ["/".join(each[key] for key in ("pool", "pool_namespace", "image") if each.get(key)) for each in image.list_children2()]
        return Users(tuple(sorted(watchers)), tuple(sorted(snapshots)), tuple(sorted(clones)))

    def room(self) -> t.Optional[int]:
        with _told(self.place.path):
            dummy = self._io
            code, text, dummy = self._cluster.mon_command(json.dumps({"prefix": "df", "format": "json"}), b"")
        return room_in(text, self.place) if code == 0 else None

    # --- making and unmaking ---

    def create(self, name: str, size: int) -> None:
        with _told("%s cannot be created" % self.place.spec(name)):
            self._rbd.create(self._io, name, size, old_format=False, **self._shape())

    def _shape(self) -> t.Dict[str, t.Any]:
        shape: t.Dict[str, t.Any] = {}
        if self.place.features:
            shape["features"] = sum(_bit(each) for each in self.place.features)
        if self.place.data_pool:
            shape["data_pool"] = self.place.data_pool
        return shape

    def remove(self, name: str) -> None:
        try:
            with _told("%s cannot be removed" % self.place.spec(name)):
                self._rbd.remove(self._io, name)
        except Gone:
            pass

    def remember(self, name: str, record: str) -> None:
        with self._image(name, write=True) as image:
            image.metadata_set(RECORD_KEY, record)

    def resize(self, name: str, size: int) -> None:
        with self._image(name, write=True) as image:
            image.resize(size)

    # --- clones ---

    def snapshot(self, name: str, snapshot: str) -> None:
        with self._image(name, write=True) as image:
            image.create_snap(snapshot)

    def drop_snapshot(self, name: str, snapshot: str) -> None:
        with self._image(name, write=True) as image, contextlib.suppress(rbd.ImageNotFound):
            image.remove_snap(snapshot)

    def clone(self, name: str, snapshot: str, child: str) -> None:
        with _told("%s cannot be cloned from %s" % (self.place.spec(child), self.place.spec(name))):
            self._rbd.clone(self._io, name, snapshot, self._io, child, **self._shape())

    def flatten(self, name: str) -> None:
        # a clone that was emptied shows no parent any more, and is still counted among its clones: so that is not looked at
        with self._image(name, write=True) as image, contextlib.suppress(rbd.InvalidArgument):
            image.flatten()

    # --- the trash ---

    def trash(self, name: str) -> None:
        try:
            with _told("%s cannot be moved to the trash" % self.place.spec(name)):
                self._rbd.trash_move(self._io, name, 0)
        except Gone:
            pass

    def trashed(self) -> t.Dict[str, str]:
        with _told(self.place.path):
            return {str(each["id"]): str(each["name"]) for each in self._rbd.trash_list(self._io)}

    def purge(self, id: str) -> bool:
        what = "the image %s in the trash of %s" % (id, self.place.path)
        try:
            with _told(what):
                if not self._drop_trashed_snapshots(id):
                    return False
            with _told(what):
                self._rbd.trash_remove(self._io, id)
        except Needed:
            return False
        except Gone:
            pass
        return True

    def _drop_trashed_snapshots(self, id: str) -> bool:
        try:
            image = rbd.Image(self._io, image_id=id)
        except rbd.ImageNotFound:
            return True  # of a removal that was broken off
        try:
            for snapshot in image.list_snaps():
                if snapshot["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_TRASH:
                    image.remove_snap_by_id(snapshot["id"])
        except rbd.ImageBusy:
            return False
        finally:
            image.close()
        return True

    # --- locks ---

    def lock(self, name: str, cookie: str, seconds: float) -> bool:
        try:
            with _told("the lock %s in %s" % (name, self.place.path)):
                self._io.lock_exclusive(name, LOCK, cookie, duration=int(seconds), flags=_MAY_RENEW)
        except BackendError as error:
            if isinstance(error.__cause__, rados.ObjectBusy):
                return False
            raise
        return True

    def unlock(self, name: str) -> None:
        with contextlib.suppress(Gone), _told("the lock %s in %s" % (name, self.place.path)):
            self._io.remove_object(name)

    def is_locked(self, name: str) -> bool:
        # cls_lock_get_info_op and its reply (cls/lock/cls_lock_ops.h): after version, oldest version and length comes how many have the lock
        asked = struct.pack("<I", len(LOCK)) + LOCK.encode()
        try:
            with _told("the lock %s in %s" % (name, self.place.path)):
                dummy, reply = self._io.execute(name, "lock", "get_info", struct.pack("<BBI", 1, 1, len(asked)) + asked)
        except Gone:
            return False
        return bool(struct.unpack_from("<I", reply, 6)[0])

    # --- bytes ---

    def open(self, name: str, size: int, *, write: bool) -> Handle:
        with _told(self.place.spec(name)):
            return BindingsHandle(rbd.Image(self._io, name, read_only=not write), self.place.spec(name), size, write)


class BindingsHandle(Handle):
    """An image that librbd has open."""

    def __init__(self, image: t.Any, spec: str, size: int, write: bool) -> None:
        self._image = image
        self._spec = spec
        self._size = size
        self._write = write
        if write:
            image.flush()  # librbd gathers writes only once it has seen that its user knows how to flush (rbd_cache_writethrough_until_flush)

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self._size - offset))
        if not length:
            return b""
        with _told(self._spec):
            return bytes(self._open.read(offset, length))

    def write(self, offset: int, data: bytes) -> None:
        check_within(offset, len(data), self._size)
        with _told(self._spec):
            self._open.write(data, offset)

    def zero(self, offset: int, length: int) -> None:
        check_within(offset, length, self._size)
        with _told(self._spec):
            if length:
                self._open.discard(offset, length)

    def flush(self) -> None:
        with _told(self._spec):
            self._open.flush()

    def close(self) -> None:
        if self._image is None:
            return
        image, self._image = self._image, None
        with _told(self._spec):
            try:
                if self._write:
                    image.flush()
            finally:
                image.close()

    @property
    def _open(self) -> t.Any:
        if self._image is None:
            raise InvalidInput("the volume is not open any more")
        return self._image


def _bit(feature: str) -> int:
    return int(getattr(rbd, "RBD_FEATURE_" + feature.upper().replace("-", "_")))


def _record(image: t.Any) -> t.Optional[str]:
    try:
        return str(image.metadata_get(RECORD_KEY))
    except KeyError:
        return None


def _parent(image: t.Any) -> t.Optional[Parent]:
    try:
        found = image.get_parent_image_spec()
    except rbd.ImageNotFound:
        return None
    spec = "/".join(found[key] for key in ("pool_name", "pool_namespace", "image_name") if found.get(key))
    return Parent(spec, str(found["image_name"]), str(found["snap_name"]))
