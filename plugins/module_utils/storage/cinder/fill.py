# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making Cinder volumes: submitted together, settled with other runs, watched together.

**How several volumes get one image.** Cinder makes a volume from an image in one of two ways, and does not tell which
it will be: the back end clones the image by itself (Ceph, when Glance keeps it there in raw), or the bytes are
downloaded, converted and written, and the volume is seen in status ``downloading`` meanwhile. In the first case every
volume is best made from the image; in the second the others are better cloned from the first one.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import TimedOut, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import in_gib
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume, Volumes, Wish
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.claims import Claims, Settled
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CinderOptions, view
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.watch import Sighting, Watch
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import ADOPTED, CLONED, COPIED, Filled, Made, Request, Volume


@dataclass(frozen=True)
class Content:
    """What new volumes shall hold: an image, another volume's content, or nothing.

    :param raw: The image is stored as the volume will hold it, so that a back end may clone it.
    :param metadata: What they shall remember of it beyond what Cinder remembers.
    """

    image: t.Optional[str] = None
    source_volume: t.Optional[str] = None
    raw: bool = True
    metadata: t.Mapping[str, str] = field(default_factory=dict)


@dataclass
class Batch:
    """What became of the volumes that were submitted together."""

    made: t.Dict[str, Made]
    errors: t.Dict[str, Exception]
    downloading: bool = False


class Filler:
    """Makes volumes for one run.

    :param ready: Told of each new volume as soon as nothing is left to be done to it, or with it, while others are still being made;
        not of those that another run made, nor of any where the task does not wait.
    """

    def __init__(self, volumes: Volumes, options: CinderOptions, job: Job, ready: t.Optional[t.Callable[[Volume], None]] = None) -> None:
        self._volumes = volumes
        self._options = options
        self._job = job
        self._claims = Claims(volumes, job)
        self._watch = Watch(volumes, job)
        self._clock = job.deadline.clock
        self._ready = ready

    # --- several volumes of one image ---

    def fill(self, requests: t.Sequence[Request], content: Content, fan_out: str) -> Filled:
        """Volumes from an image, by the method asked for, or by the better one."""
        if fan_out == "copy" or len(requests) == 1:
            reason = "fan_out is copy" if fan_out == "copy" else "it is a single volume"
            return self._filled(requests, [self.batch(requests, content)], "copy", reason)
        if fan_out == "auto" and not self._job.wait:
            return self._filled(requests, [self.batch(requests, content)], "copy", "wait is false, so none can be cloned from another")
        started = self._clock.now()
        first = self._patiently(requests[:1], content)
        seconds = self._clock.now() - started
        if not first.made:
            rest = self._too_late(requests[1:]) if self._job.deadline.remaining() <= 0 else self.batch(requests[1:], content)
            return self._filled(requests, [first, rest], "copy", "the first could not be filled, so there was none to clone from")
        if fan_out == "auto" and content.raw and not first.downloading:
            self._tell(first)
            rest = self.batch(requests[1:], content)
            return self._filled(
                requests, [first, rest], "copy",
                "the back end clones the image by itself: the first volume was there after %.1f s without a download" % seconds)
        origin = next(iter(first.made.values())).volume.id
        rest = self.batch(requests[1:], replace(content, image=None, source_volume=origin))
        self._tell(first)  # only now: whoever boots from it writes to it
        if fan_out == "clone":
            reason = "fan_out is clone; the first volume took %.1f s" % seconds
        elif first.downloading:
            reason = "Cinder downloaded the image, which took %.1f s, so the others were cloned from the first volume" % seconds
        else:
            reason = "the image must be converted, which took %.1f s, so the others were cloned from the first volume" % seconds
        return self._filled(requests, [first, rest], "clone", reason)

    def _patiently(self, requests: t.Sequence[Request], content: Content) -> Batch:
        """One batch that is waited for even if the task does not wait: others are to be cloned from it."""
        waiting = Filler(self._volumes, self._options, replace(self._job, wait=True))
        waiting._claims = self._claims
        return waiting.batch(requests, content)

    def _tell(self, first: Batch) -> None:
        """Of the volume from which the others might have been cloned."""
        for made in first.made.values():
            if self._ready and self._job.wait and made.how != ADOPTED:
                self._ready(made.volume)

    def _too_late(self, requests: t.Sequence[Request]) -> Batch:
        """Volumes that are not even begun, since nobody could wait for them."""
        error = TimedOut("it was not begun, because the time of %d s was over; run the task again, or raise timeout" % self._job.deadline.seconds)
        return Batch({}, {request.name: error for request in requests})

    @staticmethod
    def _filled(requests: t.Sequence[Request], batches: t.Sequence[Batch], method: str, reason: str) -> Filled:
        made = {name: each for batch in batches for name, each in batch.made.items()}
        errors = {name: error for batch in batches for name, error in batch.errors.items()}
        return Filled(tuple(made[request.name] for request in requests if request.name in made), errors, method, reason)

    # --- one batch ---

    def batch(self, requests: t.Sequence[Request], content: Content) -> Batch:
        """Volumes that are submitted together; one that fails does not stop the others."""
        started = self._clock.now()
        created, refused = run_all(lambda request: self._volumes.create(self._wish(request, content)), requests, at_once=self._job.at_once)
        settled = self._claims.settle(
            {request.name: volume for request, volume in created}, {request.name: error for request, error in refused})
        batch = Batch({}, dict(settled.errors))
        wanted = [(request.name, t.cast(CinderVolume, settled.get(request.name))) for request in requests if settled.get(request.name)]
        sightings: t.Mapping[str, Sighting] = {}
        if self._job.wait:
            ours = {volume.id for name, volume in wanted if name not in settled.adopted}
            sightings = self._watch.until_at_rest([volume for dummy, volume in wanted], lambda seen: self._at_rest(seen, ours)) if wanted else {}
        else:
            now = self._watch.look([volume.id for dummy, volume in wanted]) if wanted else {}
            sightings = {volume.id: Sighting(now[volume.id] or volume, finished=self._clock.now()) for dummy, volume in wanted}
        batch.downloading = any(seen.downloading for seen in sightings.values())
        self._judge(wanted, settled, sightings, content, started, batch)
        self._clear(settled, batch)
        return batch

    def _wish(self, request: Request, content: Content) -> Wish:
        options = self._options
        return Wish(
            name=request.name, size=in_gib(request.size), type=options.volume_type, zone=options.availability_zone, description=options.description,
            metadata=dict(options.metadata, **options.marks, **content.metadata, **self._claims.mark),
            image=content.image, source_volume=content.source_volume)

    def _judge(self, wanted: t.Sequence[t.Tuple[str, CinderVolume]], settled: Settled, sightings: t.Mapping[str, Sighting], content: Content,
               started: float, batch: Batch) -> None:
        """Sort what was watched into what is made and what went wrong."""
        well: t.List[t.Tuple[str, Sighting]] = []
        for name, volume in wanted:
            seen = sightings[volume.id]
            trouble = self._watch.trouble(name, volume.id, seen, "make")
            if trouble is not None:
                batch.errors[name] = trouble
            else:
                well.append((name, seen))
        finished, troubles = run_all(lambda each: self._finish(t.cast(CinderVolume, each[1].volume)), well, at_once=self._job.at_once)
        batch.errors.update({name: error for (name, dummy), error in troubles})
        for (name, seen), volume in finished:
            if name in settled.adopted:
                how = ADOPTED
            elif content.source_volume or content.image and content.raw and not batch.downloading:
                how = CLONED
            else:
                how = COPIED
            batch.made[name] = Made(view(volume), how, t.cast(float, seen.finished) - started)

    def _at_rest(self, seen: Sighting, ours: t.Collection[str]) -> None:
        """Tell at once of a volume that is ready; what went wrong with one is told with all the others."""
        volume = t.cast(CinderVolume, seen.volume)
        if self._ready and volume.id in ours and volume.status == "available":
            with contextlib.suppress(VolumesError):
                seen.volume = self._finish(volume)
                self._ready(view(seen.volume))

    def _finish(self, volume: CinderVolume) -> CinderVolume:
        """Cinder makes a volume bootable that it fills from an image, and no other."""
        if volume.status != "available" or volume.bootable == self._options.bootable:
            return volume
        self._volumes.set_bootable(volume.id, self._options.bootable)
        return replace(volume, bootable=self._options.bootable)

    def _clear(self, settled: Settled, batch: Batch) -> None:
        """Remove the volumes with which we gave way to other runs."""
        if not settled.yielded:
            return
        try:
            self._watch.remove(sorted(set(settled.yielded)))
        except VolumesError as error:
            # they are marked, and the next run removes them; it must be told of, but the volumes asked for are there
            for name in settled.adopted:
                batch.errors.setdefault(name, error)
                batch.made.pop(name, None)
