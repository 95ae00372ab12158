# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool through the ``rbd`` and ``rados`` commands (ceph-common), for hosts whose Python has no bindings of Ceph."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner, Completed, redirected
from ansible_collections.bootable.volumes.plugins.module_utils.host.liveness import is_dead
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Handle
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import (
    LOCK, RECORD_KEY, Busy, Exists, Gone, Image, Needed, Parent, Place, Pool, Users, room_in,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.stream import StreamHandle

# Seconds for a command, where no deadline is known.
_PATIENCE = 300.0

# What a command may take beyond the deadline, so that it ends by itself rather than half-way.
_GRACE = 30.0

# The same as in bindings.py, and for the same reasons.
_SETTINGS = ["--rbd-default-clone-format=2", "--rbd-skip-partial-discard=false"]

# A command's exit code is the error's number.
_KINDS: t.Dict[int, t.Type[VolumesError]] = {2: Gone, 16: Busy, 17: Exists, 39: Needed}
_INVALID, _KILLED = 22, 137


class CommandPool(Pool):
    """The adapter over the commands."""

    def __init__(self, place: Place, runner: CommandRunner) -> None:
        self.place = place
        self._runner = runner

    # --- running ---

    def _base(self, command: str) -> t.List[str]:
        place = self.place
        base = [command] + (["--conf", place.conf] if place.conf else []) + (["--cluster", place.cluster] if place.cluster else [])
        return base + (["--id", place.user] if place.user else [])

    def _within(self, command: str) -> t.List[str]:
        return self._base(command) + ["--pool", self.place.pool] + (["--namespace", self.place.namespace] if self.place.namespace else [])

    def _run(self, args: t.Sequence[str], **how: t.Any) -> Completed:
        timeout = _PATIENCE if self.deadline is None else self.deadline.remaining() + _GRACE
        done = self._runner.run(args, timeout=timeout, **how)
        if done.rc == _KILLED and self.deadline is not None:
            self.deadline.check("%s to end" % " ".join(args[:1]))
        return done

    def _rbd(self, *args: str, what: t.Optional[str] = None, **how: t.Any) -> str:
        """Run ``rbd`` in this pool.

        :param what: For messages.
        :raises Gone: there is no such image.
        """
        done = self._run(self._within("rbd") + list(args), **how)
        if done.rc == 0:
            return done.stdout
        raise self._error(done, what or "rbd %s in %s" % (" ".join(args[:2]), self.place.path))

    def _error(self, done: Completed, what: str) -> VolumesError:
        words = done.stderr or done.stdout
        if "error opening pool" in words or "error opening default pool" in words:
            return InvalidInput("%s: Ceph has no pool %s: %s" % (self.place.option, self.place.pool, _last(words)))
        if "namespace" in words and "does not exist" in words:
            return InvalidInput("namespace: the pool %s has no namespace %s; make it with: rbd namespace create %s" % (
                self.place.pool, self.place.namespace, self.place.path))
        if "connect to the cluster" in words:
            return BackendError("Ceph cannot be reached: %s; check storage.ceph_conf (%s) and storage.ceph_user (%s)" % (
                _last(words), self.place.conf or "Ceph's default", self.place.user or "Ceph's default"))
        message = "%s: %s" % (what, _last(words) or "it ended with exit code %d" % done.rc)
        return _KINDS.get(done.rc, BackendError)(message, rc=done.rc)

    def _json(self, *args: str, nothing: t.Any = None) -> t.Any:
        """What a command answers; ``nothing`` for one that says nothing where there is nothing."""
        text = self._rbd(*args, "--format", "json")
        try:
            return nothing if nothing is not None and not text.strip() else json.loads(text)
        except ValueError as error:
            raise BackendError("rbd %s gave no answer that makes sense: %s" % (args[0], text[:200])) from error

    # --- looking ---

    def names(self) -> t.List[str]:
        return sorted({str(name) for name in self._json("ls")})

    def look(self, name: str) -> t.Optional[Image]:
        try:
            found = self._json("info", "--image=%s" % name)
            record = self._json("image-meta", "list", "--image=%s" % name, nothing={}).get(RECORD_KEY)
        except Gone:
            return None
        parent = found.get("parent")
        return Image(
            name, str(found["id"]), int(found["size"]), tuple(found["features"]), record,
            Parent(_spec(parent["pool"], parent.get("pool_namespace"), parent["image"]), parent["image"], parent["snapshot"]) if parent else None,
            found.get("data_pool"),
        )

    def users(self, name: str) -> Users:
        watchers = self._json("status", "--image=%s" % name)["watchers"]
        snapshots = self._json("snap", "ls", "--image=%s" % name)
        clones = self._json("children", "--all", "--image=%s" % name)
        return Users(
            tuple(sorted(str(each["address"]) for each in watchers)),
            tuple(sorted(str(each["name"]) for each in snapshots)),
            tuple(sorted(_spec(each["pool"], each.get("pool_namespace"), each["image"]) for each in clones)),
        )

    def room(self) -> t.Optional[int]:
        done = self._run(self._base("ceph") + ["df", "--format", "json"])
        return room_in(done.stdout, self.place) if done.rc == 0 else None

    # --- making and unmaking ---

    def create(self, name: str, size: int) -> None:
        self._rbd("create", "--image=%s" % name, "--size", "%dB" % size, *self._shape(), what="%s cannot be created" % self.place.spec(name))

    def _shape(self) -> t.List[str]:
        shape = [part for feature in self.place.features for part in ("--image-feature", feature)]
        return shape + (["--data-pool", self.place.data_pool] if self.place.data_pool else [])

    def remove(self, name: str) -> None:
        try:
            self._rbd("rm", "--no-progress", "--image=%s" % name, what="%s cannot be removed" % self.place.spec(name))
        except Gone:
            pass

    def remember(self, name: str, record: str) -> None:
        self._rbd("image-meta", "set", "--image=%s" % name, RECORD_KEY, record)

    def resize(self, name: str, size: int) -> None:
        self._rbd("resize", "--no-progress", "--allow-shrink", "--image=%s" % name, "--size", "%dB" % size)

    # --- clones ---

    def snapshot(self, name: str, snapshot: str) -> None:
        self._rbd("snap", "create", "--no-progress", "--image=%s" % name, "--snap=%s" % snapshot)

    def drop_snapshot(self, name: str, snapshot: str) -> None:
        try:
            self._rbd("snap", "rm", "--no-progress", "--image=%s" % name, "--snap=%s" % snapshot)
        except Gone:
            if self.look(name) is None:
                raise

    def clone(self, name: str, snapshot: str, child: str) -> None:
        there = ["--dest-pool", self.place.pool] + (["--dest-namespace", self.place.namespace] if self.place.namespace else []) + ["--dest=%s" % child]
        self._rbd(*_SETTINGS, "clone", "--image=%s" % name, "--snap=%s" % snapshot, *there, *self._shape(),
                  what="%s cannot be cloned from %s" % (self.place.spec(child), self.place.spec(name)))

    def flatten(self, name: str) -> None:
        try:
            self._rbd("flatten", "--no-progress", "--image=%s" % name)
        except BackendError as error:
            if error.details.get("rc") != _INVALID:
                raise

    # --- the trash ---

    def trash(self, name: str) -> None:
        try:
            self._rbd("trash", "mv", "--image=%s" % name)
        except Gone:
            pass

    def trashed(self) -> t.Dict[str, str]:
        return {str(each["id"]): str(each["name"]) for each in self._json("trash", "ls", "--all")}

    def purge(self, id: str) -> bool:
        if not self._drop_trashed_snapshots(id):
            return False
        try:
            self._rbd("trash", "rm", "--no-progress", "--image-id", id)
        except Needed:
            return False
        except Gone:
            pass
        return True

    def _drop_trashed_snapshots(self, id: str) -> bool:
        try:
            for snapshot in self._json("snap", "ls", "--all", "--image-id", id):
                if snapshot["namespace"]["type"] == "trash":
                    self._rbd("snap", "rm", "--image-id", id, "--snap-id", str(snapshot["id"]))
        except Busy:
            return False
        except Gone:
            pass  # of a removal that was broken off
        return True

    # --- locks ---

    def lock(self, name: str, cookie: str, seconds: float) -> bool:
        wanted = [name, LOCK, "--lock-cookie", cookie, "--lock-duration", "%d" % seconds]
        done = self._run(self._within("rados") + ["lock", "get"] + wanted)
        if done.rc == 0:
            return True
        if "(16)" not in done.stderr:
            raise self._error(done, "the lock %s in %s" % (name, self.place.path))
        for locker in self._lockers(name):
            if is_dead(str(locker["cookie"]).rpartition("/")[0]):
                self._run(self._within("rados") + ["lock", "break", name, LOCK, str(locker["name"]), "--lock-cookie", str(locker["cookie"])])
        return False

    def _lockers(self, name: str) -> t.List[t.Mapping[str, t.Any]]:
        done = self._run(self._within("rados") + ["lock", "info", name, LOCK, "--format", "json"])
        if done.rc != 0:
            if "(2)" in done.stderr:
                return []
            raise self._error(done, "the lock %s in %s" % (name, self.place.path))
        return t.cast(t.List[t.Mapping[str, t.Any]], json.loads(done.stdout)["lockers"])

    def unlock(self, name: str) -> None:
        self._run(self._within("rados") + ["rm", name])

    def is_locked(self, name: str) -> bool:
        return any(not is_dead(str(locker["cookie"]).rpartition("/")[0]) for locker in self._lockers(name))

    # --- bytes ---

    def open(self, name: str, size: int, *, write: bool) -> Handle:
        return StreamHandle(size, importing=self._importing(name) if write else None, exporting=self._exporting(name))

    def _importing(self, name: str) -> t.Callable[[int], str]:
        def transfer(fd: int) -> str:
            return self._rbd(*_SETTINGS, "import-diff", "--no-progress", "--image=%s" % name, "--path", "/dev/fd/%d" % fd, files=(fd,))
        return transfer

    def _exporting(self, name: str) -> t.Callable[[int], str]:
        def transfer(fd: int) -> str:
            done = self._run(redirected(self._within("rbd") + ["export-diff", "--no-progress", "--image=%s" % name, "--path", "-"], stdout=fd), files=(fd,))
            if done.rc != 0:
                raise self._error(done, "rbd export-diff of %s" % self.place.spec(name))
            return ""
        return transfer


def _spec(pool: str, namespace: t.Optional[str], image: str) -> str:
    return "/".join(part for part in (pool, namespace, image) if part)


def _last(words: str) -> str:
    """The last line that says something; what librbd logs comes before it."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else ""
