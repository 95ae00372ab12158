# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for Cinder: many volumes, one listing per look, one deadline."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound, TimedOut, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.outages import through_outages
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume, Volumes
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import is_broken, is_busy, was_downloaded


@dataclass
class Sighting:
    """What was seen of a volume while it was watched.

    :param volume: As it was last seen; None if it is gone.
    :param downloading: Cinder copied the image's bytes; False for a clone, if it was made from an image.
    :param finished: The clock when it was first seen at rest; None if it still works.
    """

    volume: t.Optional[CinderVolume]
    downloading: bool = False
    finished: t.Optional[float] = None


class Watch:
    """Looks at volumes until Cinder is through with them."""

    def __init__(self, volumes: Volumes, job: Job) -> None:
        self._volumes = volumes
        self._job = job
        self.clock: Clock = job.deadline.clock

    def look(self, ids: t.Collection[str], since: t.Optional[str] = None) -> t.Dict[str, t.Optional[CinderVolume]]:
        """The volumes as they are now; None for those that are gone. One request, whatever their number.

        :param since: Cinder's time when the oldest of them was created, if known: then others need not be listed.
        :raises BackendError: Cinder has been away for too long.
        """
        return through_outages(lambda: self._look(ids, since), self._job.deadline)

    def _look(self, ids: t.Collection[str], since: t.Optional[str]) -> t.Dict[str, t.Optional[CinderVolume]]:
        if len(ids) == 1:
            only = next(iter(ids))
            try:
                return {only: self._volumes.get(only)}
            except NotFound:
                return {only: None}
        there = {volume.id: volume for volume in self._volumes.list(since=since)}
        return {each: there.get(each) for each in ids}

    def until_at_rest(self, volumes: t.Sequence[CinderVolume], tell: t.Optional[t.Callable[[Sighting], None]] = None) -> t.Dict[str, Sighting]:
        """Watch volumes until Cinder works on none of them, or the deadline has passed.

        :param tell: Told of each as it comes to rest, unless it is gone.
        :returns: By id; those whose ``finished`` is None were still at work at the deadline.
        """
        sightings = {volume.id: Sighting(volume) for volume in volumes}
        since = min((volume.created_at for volume in volumes), default="") or None
        started = self.clock.now()
        while True:
            for each, volume in self.look([each for each, seen in sightings.items() if seen.finished is None], since).items():
                seen = sightings[each]
                seen.volume = volume
                seen.downloading = seen.downloading or (volume is not None and was_downloaded(volume))
                if volume is None or not is_busy(volume):
                    seen.finished = self.clock.now()
                    self._hear(volume)
                    if tell and volume is not None:
                        tell(seen)
            if all(seen.finished is not None for seen in sightings.values()) or self._job.deadline.remaining() <= 0:
                return sightings
            self._job.deadline.pause(started)

    def until_done(self, volume: CinderVolume, what: str) -> CinderVolume:
        """Watch one volume until it is at rest and well.

        :param what: Was asked of Cinder, as in ``Cinder could not <fill it>``.
        :raises BackendError: Cinder gave up on it, or it is gone.
        :raises TimedOut: with its status.
        """
        seen = self.until_at_rest([volume])[volume.id]
        trouble = self.trouble(volume.name, volume.id, seen, what)
        if trouble:
            raise trouble
        return t.cast(CinderVolume, seen.volume)

    def trouble(self, name: str, volume_id: str, seen: Sighting, what: str) -> t.Optional[VolumesError]:
        """What went wrong with a volume that was watched; None if nothing did."""
        if seen.finished is None:
            volume = t.cast(CinderVolume, seen.volume)
            try:
                self._job.deadline.check("Cinder to %s volume %s (%s), which is %s" % (what, name, volume.id, volume.status),
                                         unfinished={name: {"id": volume.id, "status": volume.status}})
            except TimedOut as error:
                return error
        if seen.volume is None:
            return BackendError("volume %s (%s) vanished while Cinder was to %s it; somebody else deleted it" % (name, volume_id, what))
        if is_broken(seen.volume):
            said = self._volumes.messages(volume_id)
            reason = said[0] if said else "Cinder gives no reason; its log has more"
            return BackendError(
                "Cinder could not %s volume %s (%s), which is now in status %s: %s" % (what, name, volume_id, seen.volume.status, reason),
                id=volume_id, status=seen.volume.status, messages=said)
        return None

    def remove(self, ids: t.Sequence[str]) -> None:
        """Delete volumes as soon as their status allows, and return when they are gone.

        :raises BackendError: Cinder could not, or may not.
        :raises TimedOut: with ids and statuses.
        """
        asked: t.Set[str] = set()
        started = self.clock.now()
        while True:
            left = {each: volume for each, volume in self.look(ids).items() if volume is not None}
            for each, volume in left.items():
                if is_busy(volume):
                    continue
                if each in asked:  # it was deleting, and came back
                    said = self._volumes.messages(each)
                    raise BackendError("Cinder could not delete volume %s (%s), which is %s again: %s" % (
                        volume.name, each, volume.status, said[0] if said else "Cinder gives no reason; its log has more"), id=each, messages=said)
                self._delete(volume)
                asked.add(each)
            if not left:
                return
            states = {volume.name: {"id": volume.id, "status": volume.status} for volume in left.values()}
            self._job.deadline.check("volumes to be deleted: %s" % ", ".join(
                "%s (%s) is %s" % (name, each["id"], each["status"]) for name, each in states.items()), unfinished=states)
            self._job.deadline.pause(started)

    def _delete(self, volume: CinderVolume) -> None:
        try:
            self._volumes.delete(volume.id)
        except InvalidInput:
            # its status may have changed since we looked: then the next look finds it busy, or gone
            now = self.look([volume.id])[volume.id]
            if now is not None and not is_busy(now):
                raise

    def _hear(self, volume: t.Optional[CinderVolume]) -> None:
        if volume is not None:
            self._job.listener.hear(Event("wait", volume.name, 1, 1))
