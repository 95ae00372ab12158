# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Driver ``rbd``: volumes as images of Ceph's block storage (RBD), without OpenStack."""

from __future__ import annotations

import contextlib
import json
import time
import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, Foreign, InUse, InvalidInput, NoRoom, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB, human
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    ADOPTED, AVAILABLE, BROKEN, HALF_DONE, REFILLED, WORKING, Capabilities, Difference, Filled, Handle, Made, Request, Surroundings, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.filling import HIDDEN, Filling, check_names, put
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd import access, lease
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.golden import SNAPSHOT, Golden, patiently
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import (
    FEATURES, Busy, Exists, Gone, Image, Needed, Place, Pool, Users, check_features,
)

# Ceph takes longer names in most places, but not in all of them; ours add some characters.
_LONGEST_NAME = 200

# An image whose making was broken off before it could remember whose it is: it was made with no bytes, and nothing can be lost with it.
_NEWBORN = 0


class RbdDriver(VolumeDriver):
    """A volume named NAME is the image NAME of the pool; what it was filled with is in the image's metadata.

    A volume's ``id`` is the image as the ``rbd`` command names it. Its ``details``: ``pool``, ``namespace``, ``image_id``, ``features``,
    ``data_pool``, and ``parent``, the image that it is a clone of.
    """

    name = "rbd"
    capabilities = Capabilities(handles=True, clone=True, grow=True, granularity=MIB)
    options: t.ClassVar[t.Mapping[str, t.Mapping[str, t.Any]]] = {
        "pool": {"type": "str"},
        "namespace": {"type": "str"},
        **access.OPTIONS,
        "data_pool": {"type": "str"},
        "features": {"type": "list", "elements": "str", "choices": list(FEATURES)},
    }

    def __init__(self, pool: Pool, surroundings: Surroundings) -> None:
        self.pool = pool
        self.runner = surroundings.runner
        self._golden = Golden(pool)
        self._lease: t.Optional[lease.Lease] = None
        self._held: t.Set[str] = set()

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any], surroundings: Surroundings) -> RbdDriver:
        if not options.get("pool"):
            raise InvalidInput("pool: the driver rbd needs to know the pool of Ceph in which volumes live; name it in storage.pool")
        place = Place(
            pool=options["pool"], namespace=options.get("namespace") or "", conf=options.get("ceph_conf"), user=options.get("ceph_user"),
            cluster=options.get("ceph_cluster"), data_pool=options.get("data_pool"), features=check_features(options.get("features") or ()),
        )
        return cls(access.pool_at(place, surroundings.runner), surroundings)

    # --- looking ---

    def check_names(self, names: t.Sequence[str]) -> None:
        check_names(names, kind="an RBD", longest=_LONGEST_NAME, own=lambda name: (
            "Ceph keeps / and @ for pools and snapshots; the pool is chosen with storage.pool" if set("/@") & set(name) else None))

    def find(self, name: str) -> t.Optional[Volume]:
        image = self.pool.look(name)
        if image is None:
            return None
        volume = self._volume(image)
        if volume.record is None and volume.state != HALF_DONE:
            if image.size == _NEWBORN:
                return None
            raise Foreign(
                "%s is foreign: this collection did not make it, and never touches it. Take another name, or remove it with: rbd rm %s" % (
                    volume.id, volume.id), image=volume.id)
        return volume

    def look_up(self, name_or_id: str) -> t.Optional[Volume]:
        """Also an image that this collection did not make: it is only looked at, or read."""
        prefix = self.pool.place.spec("")
        image = self.pool.look(name_or_id[len(prefix):] if name_or_id.startswith(prefix) else name_or_id)
        return self._volume(image) if image else None

    def list(self) -> t.List[Volume]:
        names = [name for name in self.pool.names() if not name.startswith(HIDDEN)]
        found, troubles = run_all(self._listed, names, at_once=Job.at_once)
        for dummy, error in troubles:
            raise error
        return [volume for dummy, volume in found if volume]

    def _listed(self, name: str) -> t.Optional[Volume]:
        """As ``find``, but one that makes trouble does not hide the others."""
        try:
            return self.find(name)
        except Foreign:
            return None
        except VolumesError as error:
            return Volume(name, self.pool.place.spec(name), 0, BROKEN, error.message, self.pool.place.path)

    def find_all(self, names: t.Sequence[str]) -> t.Dict[str, t.Optional[Volume]]:
        found, troubles = run_all(self.find, list(names), at_once=Job.at_once)
        for dummy, error in troubles:
            raise error
        return dict(found)

    def _volume(self, image: Image) -> Volume:
        record, promised = _read(image.record, self.pool.place.spec(image.name))
        state, status = AVAILABLE, "available"
        begun = promised > image.size or record is None and image.parent is not None and image.parent.is_golden
        if begun or record is not None and record.state == FILLING:
            state, status = HALF_DONE, "half done"
            if image.name not in self._held and self.pool.is_locked(lease.lock_name(image.name)):
                state, status = WORKING, "being worked on by another run"
        return Volume(
            name=image.name, id=self.pool.place.spec(image.name), size=max(image.size, promised), state=state, status=status,
            location=self.pool.place.path, record=record,
            details={
                "pool": self.pool.place.pool, "namespace": self.pool.place.namespace, "image_id": image.id, "features": list(image.features),
                "data_pool": image.data_pool, "parent": image.parent.spec if image.parent else None,
            },
        )

    def differences(self, volume: Volume) -> t.List[Difference]:
        wanted = self.pool.place.data_pool
        if wanted and wanted != volume.details["data_pool"]:
            return [Difference("data_pool", volume.details["data_pool"], wanted, "replace")]
        return []

    def holders(self, volume: Volume) -> t.List[str]:
        try:
            return self._holders(volume, self.pool.users(volume.name))
        except Gone:
            return []

    @staticmethod
    def _holders(volume: Volume, users: Users) -> t.List[str]:
        # a half-done volume may still count the client of the run that was killed; whoever changes it waits for that to be forgotten
        watchers = () if volume.state == HALF_DONE else users.watchers
        found = ["client %s (one that was killed counts for half a minute)" % each for each in watchers]
        found += ["its snapshot %s" % each for each in users.snapshots if not each.startswith(HIDDEN)]
        return found + ["its clone %s" % each for each in users.clones]

    def check_room(self, requests: t.Sequence[Request], source: t.Optional[ImageSource]) -> None:
        stored = (source.describe().size or 0) if source else 0
        room = self.pool.room() if stored else None
        if room is not None and stored > room:
            raise NoRoom("the image %s takes up to %s, but only %s can be written to the pool %s; make room" % (
                t.cast(ImageSource, source).describe().name, human(stored), human(room), self.pool.place.data_pool or self.pool.place.pool),
                needed=stored, available=room)

    # --- one at a time ---

    @contextlib.contextmanager
    def exclusive(self, names: t.Sequence[str], job: Job) -> t.Iterator[None]:
        self.check_names(names)
        self.pool.deadline = job.deadline
        with lease.held(self.pool, names, job.deadline) as self._lease:
            self._held.update(names)
            try:
                self._settle(names, job)
                yield
            finally:
                self._held.difference_update(names)

    def _settle(self, names: t.Sequence[str], job: Job) -> None:
        """Finish, or remove, what killed runs left of the making and unmaking of these volumes."""
        present = set(self.pool.names())
        self._golden.settle(names, present, job)
        for name in names:
            if name not in present:
                continue
            image = self.pool.look(name)
            if image is None or (image.size == _NEWBORN and image.record is None):
                self._remove(name, job)
            elif image.parent is not None and image.parent.snapshot == _cloning(name):
                self._sever(image.parent.image, name)

    def _remove(self, name: str, job: Job) -> None:
        patiently(lambda: self.pool.remove(name), "the clients of %s to be forgotten by Ceph" % self.pool.place.spec(name), job)

    def _expect_mine(self, name: str) -> None:
        """:raises BackendError: the lock was lost."""
        if self._lease is not None:
            self._lease.check(name)

    # --- making and unmaking ---

    def create(self, request: Request, record: Record) -> Volume:
        self.make(request.name, request.size, record)
        return t.cast(Volume, self.find(request.name))

    def make(self, name: str, size: int, record: Record) -> None:
        """A new image. It has no bytes before it has its record: whatever ends this process, it is seen whose it was."""
        try:
            self.pool.create(name, _NEWBORN)
        except Exists:
            if self.pool.look(name) is not None:
                raise
            self.pool.remove(name)  # only its name was left
            self.pool.create(name, _NEWBORN)
        try:
            self.pool.remember(name, _written(record, size))
            self.pool.resize(name, size)
        except BaseException:
            with contextlib.suppress(VolumesError):
                self.pool.remove(name)
            raise

    def remove(self, volume: Volume, job: Job) -> None:
        users = self._refuse_use(volume)
        image = self.pool.look(volume.name)
        if image is None:
            self.pool.remove(volume.name)
            return
        for snapshot in users.snapshots:
            self.pool.drop_snapshot(volume.name, snapshot)  # only those that a killed run made on the way to a clone have passed
        if volume.record is not None and volume.record.state == READY:
            self.mark(volume, replace(volume.record, state=FILLING))  # a removal that is broken off leaves holes
        try:
            if volume.state == HALF_DONE:
                self._remove(volume.name, job)
            else:
                self.pool.remove(volume.name)
        except (Busy, Needed):
            if volume.record is not None:
                self.mark(volume, volume.record)
            raise
        self._let_go(image, volume)

    def _let_go(self, image: Image, volume: Volume) -> None:
        """See to the parent of which a volume is no clone any more. One that was emptied does not tell whose clone it was."""
        if image.parent is not None and image.parent.is_golden:
            self._golden.let_go(image.parent.image)
        elif image.parent is None and volume.state == HALF_DONE:
            self._golden.let_go(None)

    def mark(self, volume: Volume, record: Record) -> Volume:
        return self.publish(volume.name, record)

    def grow(self, volume: Volume, size: int, job: Job) -> Volume:
        image = self._there(volume)
        if size < image.size:
            raise InvalidInput("%s has %s and cannot be shrunk to %s: the end of its disk would be lost" % (volume.id, human(image.size), human(size)))
        if size > image.size:
            self.pool.resize(volume.name, size)
        return t.cast(Volume, self.find(volume.name))

    def clone(self, origin: Volume, request: Request, record: Record, job: Job) -> Volume:
        """A clone that is given its own blocks, for it shall not keep the origin from being removed."""
        self._refuse_use(origin)
        if self.pool.look(request.name) is not None:
            raise BackendError("%s exists already; nothing was changed" % self.pool.place.spec(request.name))
        snapshot = _cloning(request.name)
        self.pool.drop_snapshot(origin.name, snapshot)
        self.pool.snapshot(origin.name, snapshot)
        try:
            self.pool.clone(origin.name, snapshot, request.name)
            if request.size > origin.size:
                self.pool.resize(request.name, request.size)
        finally:
            self._sever(origin.name, request.name)
        self.pool.remember(request.name, _written(record))
        return t.cast(Volume, self.find(request.name))

    def _sever(self, origin: str, clone: str) -> None:
        with contextlib.suppress(Gone):
            self.pool.flatten(clone)
        with contextlib.suppress(Gone):
            self.pool.drop_snapshot(origin, _cloning(clone))

    def _there(self, volume: Volume) -> Image:
        image = self.pool.look(volume.name)
        if image is None:
            raise BackendError("%s is not there any more; something else removed it, run the task again" % volume.id)
        return image

    def _refuse_use(self, volume: Volume) -> Users:
        """What may use the volume all the same.

        :raises InUse: something holds it.
        """
        try:
            users = self.pool.users(volume.name)
        except Gone:
            return Users()
        holders = self._holders(volume, users)
        if holders:
            raise InUse("%s is in use by %s; stop that first" % (volume.id, ", ".join(holders)), holders={volume.name: holders})
        return users

    # --- bytes ---

    def open(self, volume: Volume, mode: str) -> Handle:
        self._refuse_use(volume)
        return self.pool.open(volume.name, volume.size, write=mode == "w")

    # --- filling ---

    def fill_new(self, source: ImageSource, requests: t.Sequence[Request], fan_out: str, job: Job) -> Filled:
        features = self.pool.place.features
        clones = not features or "layering" in features
        if fan_out == "clone" and not clones:
            raise InvalidInput("fan_out: clone needs images with the feature layering; name it in storage.features")
        filling = Filling(source, store=self, runner=self.runner, job=job, place="in Ceph")
        if len(requests) > 1 and clones and fan_out != "copy":
            return filling.cloned(requests)
        return filling.copied(requests)

    def publish(self, name: str, record: Record) -> Volume:
        """Make an image remember a record, under its lock."""
        self._expect_mine(name)
        self.pool.remember(name, _written(record))
        return t.cast(Volume, self.find(name))

    def discard(self, name: str) -> None:
        """Remove an image of ours."""
        self.pool.remove(name)

    def resize(self, name: str, size: int) -> None:
        """Make an image larger."""
        self.pool.resize(name, size)

    def handle(self, name: str, size: int) -> Handle:
        """Open an image for writing."""
        return self.pool.open(name, size, write=True)

    def seal(self, parent: str, names: t.Sequence[str]) -> None:
        """Freeze a filled parent."""
        self._golden.seal(parent)

    def clone_of(self, parent: str, name: str) -> None:
        """A clone inherits its parent's record, so it is half done until it is published."""
        self.pool.clone(parent, SNAPSHOT, name)

    def retire(self, parent: str, job: Job) -> None:
        """A parent goes, or waits in the trash for its last clone."""
        self._golden.retire(parent, job)

    def refill(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        started = time.monotonic()
        self._refuse_use(volume)
        image = self._there(volume)
        self._await_idle(volume, job)
        self._expect_mine(volume.name)
        self.pool.remember(volume.name, _written(record_of(source.describe(), FILLING), volume.size))
        self.pool.resize(volume.name, 0)  # nothing of the old content remains, and what was shared with a parent is given back
        self.pool.flatten(volume.name)
        self._let_go(image, volume)
        self.pool.resize(volume.name, volume.size)
        put(source, self, [Request(volume.name, volume.size)], job, self.runner)
        return Made(self.publish(volume.name, record_of(source.describe(), READY)), REFILLED, time.monotonic() - started)

    def adopt(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        made = self.refill(source, volume, job)
        return Made(made.volume, ADOPTED, made.seconds)

    def _await_idle(self, volume: Volume, job: Job) -> None:
        """Let Ceph forget the client of a run that was killed while it filled the volume: it would hold the image's own lock."""
        def look() -> None:
            watchers = self.pool.users(volume.name).watchers
            if watchers:
                raise Busy("%s is in use by client %s; stop that first" % (volume.id, ", ".join(watchers)), holders={volume.name: list(watchers)})

        patiently(look, "the clients of %s to be forgotten by Ceph" % volume.id, job)


def _cloning(name: str) -> str:
    """The snapshot from which a clone of this name is being made."""
    return "%sclone.%s" % (HIDDEN, name)


def _written(record: Record, promised: int = 0) -> str:
    """A record as metadata.

    :param promised: The size that the image will have when what is being done to it is done.
    """
    return json.dumps(dict(record.as_dict(), **({"promised": promised} if promised else {})), sort_keys=True)


def _read(text: t.Optional[str], spec: str) -> t.Tuple[t.Optional[Record], int]:
    """A record, and the promised size or 0.

    :raises BackendError: what the metadata holds is not what this collection writes.
    """
    if text is None:
        return None, 0
    try:
        data = json.loads(text)
        return Record.from_dict(data), int(data.get("promised", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise BackendError("the metadata bootable.record of %s is damaged, so it is not known what the image holds; remove the key with"
                           " `rbd image-meta remove %s bootable.record`, or the image" % (spec, spec)) from error
