# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A volume moves from one storage to another, of whatever drivers."""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Drift, IntegrityError, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.operations.comparison import state_of
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import raise_troubles
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_removal import refuse_held
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_results import volume_result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.content import ALGORITHM, VOLUME, Hashed, content_of, digest_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, BROKEN, HALF_DONE, WORKING, Request, Volume, VolumeDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud


class VolumeMigrate(Operation):
    """The volume is copied, compared by its hash on both sides, given the identity of the old one; only then the old one goes.

    What is under way remembers the volume it is filled from (``Record.origin`` is ``volume``), so that a rerun goes on.

    :param name: Of the volume in ``source``.
    :param new_name: Of the volume in ``destination``.
    :param size: Bytes in the destination, or None for as much as in the source.
    :param keep_source: The volume stays in the source, too.
    """

    def __init__(self, *, name: str, new_name: str, source: VolumeDriver, destination: VolumeDriver, size: t.Optional[int],
                 keep_source: bool, cloud: t.Callable[[], Cloud], job: Job) -> None:
        self._name = name
        self._new_name = new_name
        self._source = source
        self._destination = destination
        self._size = size
        self._keep_source = keep_source
        self._cloud = cloud
        self._job = job

    @contextlib.contextmanager
    def exclusive(self) -> t.Iterator[None]:
        """Two migrations in opposite directions must take the locks in the same order: that of the drivers' names, then the volumes'.

        Where there is nothing to do, or it is refused, none is taken: both sides may be the same place, whose lock is to be had once.
        """
        if not self.plan().changed:
            yield
            return
        sides = sorted([(self._source, self._name), (self._destination, self._new_name)], key=lambda side: (side[0].name, side[1]))
        with contextlib.ExitStack() as locks:
            for driver, name in sides:
                locks.enter_context(driver.exclusive([name], self._job))
            yield

    # --- planning ---

    def plan(self) -> Plan:
        self._source.check_names([self._name])
        self._destination.check_names([self._new_name])
        origin, there = self._source.find(self._name), self._destination.find(self._new_name)
        if origin is None:
            return self._settled(there)
        if there is not None and (there.id, there.location) == (origin.id, origin.location) and self._source.name == self._destination.name:
            raise InvalidInput("source and destination are the same: both name the volume %s (%s)" % (origin.name, origin.id))
        if there is not None and there.state == AVAILABLE and not _is_copy_under_way(there, origin):
            return self._published(origin, there)
        return Plan(tuple(self._copying(origin, there)))

    def _settled(self, there: t.Optional[Volume]) -> Plan:
        if there is None:
            raise NotFound("volume %s is neither in the source nor, as %s, in the destination; check name, source and destination" % (
                self._name, self._new_name))
        if there.state in (HALF_DONE, BROKEN):
            raise Drift("%s (%s) is %s, and there is no %s in the source any more to fill it from; look after it by hand" % (
                there.name, there.id, there.status, self._name))
        return Plan((Step("keep", self._new_name, "it is in the destination, and not in the source any more", data=there),))

    def _published(self, origin: Volume, there: Volume) -> Plan:
        """Both exist, and the one in the destination is complete, whoever made it."""
        if origin.state == HALF_DONE and origin.record and replace(origin.record, state=READY) == there.record and not self._keep_source:
            refuse_held(self._source, [origin], "removed", self._job)
            return Plan((Step("remove", self._name, "it is in the destination, and what is left of it in the source is not whole: its removal broke off",
                              before={"source": origin.id}, after={"source": None}, data=(origin, there)),))
        if there.record is None or there.record != self._identity(origin, there.record):
            raise Drift(
                "%s (%s) exists in the destination, and was not made of %s (%s); remove it, or give the volume another new_name"
                % (there.name, there.id, origin.name, origin.id),
                drift={there.name: [{"what": "image", "found": state_of(there)["image"], "wanted": state_of(origin)["image"]}]})
        if self._keep_source:
            return Plan((Step("keep", self._new_name, "it is in the destination, and stays in the source", data=there),))
        refuse_held(self._source, [origin], "removed", self._job)
        self._source.check_content(origin)
        self._destination.check_content(there)
        return Plan((Step("compare", self._new_name, "it is in the destination, too: it is compared, and then removed from the source",
                          before={"source": origin.id}, after={"source": None}, data=(origin, there)),))

    def _copying(self, origin: Volume, there: t.Optional[Volume]) -> t.List[Step]:
        if origin.state != AVAILABLE:
            raise Drift("%s (%s) is %s; only a volume that is whole is moved" % (origin.name, origin.id, origin.status))
        refuse_held(self._source, [origin], "moved", self._job)
        self._source.check_content(origin)
        size = self._wanted_size(origin)
        after = {"location": self._destination.name, "image": state_of(origin)["image"], "size": size}
        if there is None:
            self._destination.check_room([Request(self._new_name, size)], None)
            return [Step("migrate", self._new_name, "it is not in the destination", dict(state_of(origin), location=origin.location), after, (origin, None))]
        if not _is_copy_under_way(there, origin):
            raise Drift("%s (%s) in the destination is %s, and not of this migration; remove it first" % (there.name, there.id, there.status))
        if there.size < size:
            raise Drift("%s (%s), which another run began to fill, has only %s; remove it first" % (there.name, there.id, human(there.size)))
        return [Step("adopt", self._new_name, "another run broke off", state_of(there), after, (origin, there))]

    def _wanted_size(self, origin: Volume) -> int:
        size = round_up(max(self._size or 0, origin.size), self._destination.capabilities.granularity)
        if self._size is not None and self._size < origin.size:
            raise InvalidInput("size: %s is less than the %s of %s; a volume never shrinks" % (human(self._size), human(origin.size), origin.name))
        return size

    @staticmethod
    def _identity(origin: Volume, other: t.Optional[Record] = None) -> Record:
        """What the moved volume remembers: what the old one did, or that it was that one."""
        return origin.record or Record(READY, VOLUME, image_name=origin.id, checksum=other.checksum if other else None)

    # --- applying ---

    def apply(self, plan: Plan) -> Result:
        started = time.monotonic()
        step = plan.steps[0]
        origin, there = step.data
        if step.action == "remove":
            self._source.remove(origin, self._job)
            return self._result(origin, there, None, time.monotonic() - started)
        if step.action == "compare":
            with content_of(self._source, origin, self._cloud, self._job) as content:
                digest = digest_of(content, origin.size, self._job)
            moved = self._compared(origin, there, digest)
        else:
            moved, digest = self._copied(origin, there)
        if not self._keep_source:
            self._source.remove(origin, self._job)
        return self._result(origin, moved, digest, time.monotonic() - started)

    def _copied(self, origin: Volume, there: t.Optional[Volume]) -> t.Tuple[Volume, str]:
        with content_of(self._source, origin, self._cloud, self._job) as content:
            hashed = Hashed(content)
            moved = self._filled(hashed, origin, there)
            digest = hashed.digest or digest_of(content, origin.size, self._job)
        return self._compared(origin, moved, digest), digest

    def _filled(self, content: ImageSource, origin: Volume, there: t.Optional[Volume]) -> Volume:
        if there is not None:
            return self._destination.adopt(content, there, self._job).volume
        filled = self._destination.fill_new(content, [Request(self._new_name, self._wanted_size(origin))], "auto", self._job)
        raise_troubles(filled.errors, "made in the destination", ())
        return filled.made[0].volume

    def _compared(self, origin: Volume, moved: Volume, digest: str) -> Volume:
        """The moved volume with its identity, when its content has been read back and is the same.

        :raises IntegrityError: it is not; both volumes are left as they are.
        """
        with content_of(self._destination, moved, self._cloud, self._job) as content:
            found = digest_of(content, origin.size, self._job)
        if found != digest:
            raise IntegrityError(
                "%s in the destination does not hold what %s in the source does: the %s of its content is %s, not %s; both were left as they are"
                % (moved.name, origin.name, ALGORITHM, found, digest), found=found, promised=digest)
        identity = self._identity(origin, Record(READY, VOLUME, checksum="%s:%s" % (ALGORITHM, digest)))
        return moved if moved.record == identity else self._destination.mark(moved, identity)

    # --- telling ---

    def preview(self, plan: Plan) -> Result:
        step = plan.steps[0]
        origin, there = (None, step.data) if isinstance(step.data, Volume) else step.data
        return self._result(origin, there, None, 0.0)

    @staticmethod
    def _result(origin: t.Optional[Volume], moved: t.Optional[Volume], digest: t.Optional[str], seconds: float) -> Result:
        return {
            "volume": volume_result(moved) if moved else None,
            "source": volume_result(origin) if origin else None,
            "checksum": "%s:%s" % (ALGORITHM, digest) if digest else None,
            "seconds": round(seconds, 3),
        }


def _is_copy_under_way(there: Volume, origin: Volume) -> bool:
    """Whether a run has begun to fill it from the volume that is to be moved, and has not yet given it an identity."""
    record = there.record
    unmarked = record is not None and record.origin == VOLUME and record.image_name == origin.id and record.checksum is None
    return unmarked and there.state in (HALF_DONE, WORKING, AVAILABLE)
