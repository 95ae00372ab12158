# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes in OpenStack's Block Storage, Cinder. The bytes never pass through this host, with one exception.

Its parts: view.py (what Cinder says, in common words), watch.py (waiting), claims.py (two runs at
once), fill.py (many volumes of one image), refill.py (new content for an existing one), room.py
(quotas), via.py (images that are not in Glance), imaging.py (images of volumes), direct.py and
holds.py (bytes of volumes in a Ceph that this host reaches, which then do pass through it).
"""

from __future__ import annotations

import contextlib
import functools
import time
import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InUse, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, in_gib
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock, Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.images.dispatch import is_archive
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import is_uuid
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder import direct
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder import view as cinder_view
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.claims import Claims, choose
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.fill import Content, Filler
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.imaging import CinderImaging
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.refill import refill
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.room import check_quotas
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.via import Shared, ready, sweep, through_glance
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CinderOptions, view
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.watch import Watch
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    ADOPTED, HALF_DONE, REFILLED, WORKING, Capabilities, Difference, Filled, Handle, Made, Request, Surroundings, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, Record, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.imaging import Imaging
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import Pool

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Images
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Volumes

# For create, which the contract gives no job: an empty volume takes seconds.
_QUICK = 300.0


class CinderDriver(VolumeDriver):
    """Volumes of one project. Their names are not Cinder's to keep apart, so it is done here: see claims.py.

    ``details`` of its volumes: ``volume_type``, ``availability_zone``, ``bootable``, ``encrypted``, ``description``,
    ``metadata`` (without our own keys), ``attachments`` (``server_id``, ``device``, ``host``), ``created_at``, and
    ``strays`` (ids) where runs that were killed left more volumes of the name.

    :param ready: Told by ``fill_new`` of volumes that may be used while it still makes the others; see ``Filler``.
    """

    name = "cinder"
    capabilities = Capabilities(handles=False, clone=True, grow=True, granularity=GIB)
    options = {
        "volume_type": {"type": "str"},
        "availability_zone": {"type": "str"},
        "description": {"type": "str"},
        "metadata": {"type": "dict"},
        "bootable": {"type": "bool"},
        "force_refill": {"type": "bool"},
        **direct.OPTIONS,
    }

    def __init__(self, cloud: t.Callable[[], Cloud], options: CinderOptions, *, clock: t.Optional[Clock] = None,
                 pool: t.Optional[Pool] = None, ready: t.Optional[t.Callable[[Volume], None]] = None) -> None:
        self._cloud = cloud
        self._ready = ready
        self._options = options
        self._clock = clock
        self._refilling = Shared()
        self._direct = direct.Direct(cloud, pool, clock=clock) if pool else None
        if pool:
            self.capabilities = replace(self.capabilities, handles=True)

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any], surroundings: Surroundings) -> CinderDriver:
        return cls(surroundings.cloud, cls.read(options), pool=direct.pool_of(options, surroundings.runner))

    @classmethod
    def read(cls, options: t.Mapping[str, t.Any]) -> CinderOptions:
        """What ``storage`` says.

        :raises InvalidInput: naming the option.
        """
        given = {name: value for name, value in options.items() if name in cls.options and name not in direct.OPTIONS and value is not None}
        metadata = {str(key): str(value) for key, value in (given.get("metadata") or {}).items()}
        ours = sorted(key for key in metadata if key.startswith(cinder_view.PREFIX))
        if ours:
            raise InvalidInput("storage.metadata: keys that begin with %s are this collection's own; rename %s" % (cinder_view.PREFIX, ", ".join(ours)))
        return CinderOptions(**dict(given, metadata=metadata))

    @property
    def _volumes(self) -> Volumes:
        return self._cloud().volumes

    @functools.cached_property
    def _type(self) -> t.Optional[str]:
        """The name of the volume type that the options ask for by name or id.

        :raises NotFound: there is none; those there are are named.
        """
        wanted = self._options.volume_type
        return self._volumes.find_type(wanted) if wanted else None

    # --- looking ---

    def find(self, name: str) -> t.Optional[Volume]:
        return self.choose(name, self._volumes.list(name=name))

    def list(self) -> t.List[Volume]:
        there = [volume for volume in self._volumes.list() if not cinder_view.is_going(volume)]
        if self._type:
            there = [volume for volume in there if volume.type == self._type]
        return [self._view(volume) for volume in sorted(there, key=lambda volume: (volume.name, volume.id))]

    def look_up(self, name_or_id: str) -> t.Optional[Volume]:
        if is_uuid(name_or_id):
            with contextlib.suppress(NotFound):
                return self._view(self._volumes.get(name_or_id))
        return self.find(name_or_id)

    def find_all(self, names: t.Sequence[str]) -> t.Dict[str, t.Optional[Volume]]:
        there = self._volumes.list(name=names[0] if len(names) == 1 else None)
        return {name: self.choose(name, there) for name in names}

    def choose(self, name: str, there: t.Sequence[CinderVolume]) -> t.Optional[Volume]:
        """As ``find``, among volumes that were listed already."""
        chosen, strays = choose(name, there)
        return self._view(chosen, strays) if chosen else None

    def _view(self, volume: CinderVolume, strays: t.Sequence[str] = ()) -> Volume:
        return view(self._direct.settled(volume) if self._direct else volume, strays)

    def differences(self, volume: Volume) -> t.List[Difference]:
        return cinder_view.differences_of(volume, self._options, self._type)

    def least_size(self, image: ImageDescription) -> int:
        # Cinder wants room for the image as it is stored, too, even if the disk inside is smaller
        return max(super().least_size(image), in_gib(image.size or 1) * GIB, in_gib(image.virtual_size or 1) * GIB)

    def holders(self, volume: Volume) -> t.List[str]:
        return cinder_view.holders_of(volume, self._volumes.snapshots(volume.id))

    def check_names(self, names: t.Sequence[str]) -> None:
        for name in names:
            if len(name) > 255 or name != name.strip():
                raise InvalidInput("name: '%s' is no name for a Cinder volume: at most 255 characters, without spaces around them" % name)

    def check_image(self, image: ImageDescription) -> None:
        if is_archive(image):
            raise InvalidInput(
                "the image %s is an archive of VHDs (container_format %s), of which Cinder cannot make a volume; fill a volume of another storage with it, "
                "or upload the disk alone, as a bare image" % (image.name, image.container))

    def check_content(self, volume: Volume) -> None:
        if self._direct:
            self._direct.check(self._volumes.get(volume.id))

    def check_room(self, requests: t.Sequence[Request], source: t.Optional[ImageSource]) -> None:
        if self._direct and source is None:
            self._direct.check_reachable()
        try:
            quotas = self._volumes.quotas()
        except Denied:  # a cloud may keep its quotas to itself; then Cinder refuses what is too much
            return
        volume_type = self._type or self._volumes.default_type()
        check_quotas([in_gib(request.size) for request in requests], volume_type, quotas)

    @contextlib.contextmanager
    def exclusive(self, names: t.Sequence[str], job: Job) -> t.Iterator[None]:
        if self._direct:
            self._direct.prepare(job.deadline)
        yield

    # --- making and unmaking ---

    def create(self, request: Request, record: Record) -> Volume:
        job = Job(Deadline(_QUICK, clock=self._clock))
        return self._one(request, Content(metadata=cinder_view.metadata_of(record)), job)

    def clone(self, origin: Volume, request: Request, record: Record, job: Job) -> Volume:
        made = self._one(request, Content(source_volume=origin.id), job)
        return made if made.record == record else self.mark(made, record)

    def _one(self, request: Request, content: Content, job: Job) -> Volume:
        batch = Filler(self._volumes, self._options, job).batch([request], content)
        for error in batch.errors.values():
            raise error
        return batch.made[request.name].volume

    def remove(self, volume: Volume, job: Job) -> None:
        self._free(volume)
        Watch(self._volumes, job).remove([volume.id] + volume.details.get("strays", []))

    def _free(self, volume: Volume) -> None:
        """Cinder does nothing with a volume that a killed run has left reserved."""
        if self._direct:
            self._direct.free(volume.id)

    def mark(self, volume: Volume, record: Record) -> Volume:
        wanted = cinder_view.metadata_of(record)
        there = self._volumes.get(volume.id).metadata
        for key in cinder_view.RECORD_KEYS:
            if key in there and key not in wanted:
                self._volumes.delete_metadata(volume.id, key)
        self._volumes.set_metadata(volume.id, wanted)
        return self._view(self._volumes.get(volume.id))

    def grow(self, volume: Volume, size: int, job: Job) -> Volume:
        self._free(volume)
        self._volumes.extend(volume.id, in_gib(size), in_use=volume.status == "in-use")
        return view(Watch(self._volumes, job).until_done(self._volumes.get(volume.id), "extend"))

    def update(self, volume: Volume, differences: t.Sequence[Difference], job: Job) -> Volume:
        for difference in differences:
            if difference.what == "metadata":
                self._volumes.set_metadata(volume.id, difference.wanted)
            elif difference.what == "bootable":
                self._volumes.set_bootable(volume.id, difference.wanted)
            elif difference.what == "description":
                self._volumes.describe(volume.id, difference.wanted)
        return view(self._volumes.get(volume.id))

    # --- bytes, where Ceph has them ---

    def open(self, volume: Volume, mode: str) -> Handle:
        return self._direct.open(volume.id, mode) if self._direct else super().open(volume, mode)

    # --- filling ---

    def fill_new(self, source: ImageSource, requests: t.Sequence[Request], fan_out: str, job: Job) -> Filled:
        image = source.describe()
        if image.id is not None:
            return Filler(self._volumes, self._options, job, self._ready).fill(requests, Content(image=image.id, raw=_is_raw(image)), fan_out)
        if self._direct and direct.is_direct(image):
            return self._direct.fill(source, requests, self._options, job)
        with through_glance(source, self._cloud(), job) as via:
            content = Content(image=via.image.id, raw=_is_raw(image), metadata=via.metadata)
            filled = Filler(self._volumes, self._options, via.job).fill(via.fitted(requests), content, fan_out)
        done = run_all(lambda made: replace(made, volume=ready(self._volumes, made.volume)), filled.made, at_once=job.at_once)
        return via.told(replace(
            filled, made=tuple(made for dummy, made in done[0]),
            errors=dict(filled.errors, **{made.volume.name: error for made, error in done[1]})))

    def copy_image(self, source: ImageSource, volumes: t.Sequence[Volume], job: Job, *, fresh: bool) -> None:
        troubles = run_all(lambda volume: self.refill(source, volume, job), volumes, at_once=job.at_once)[1]
        for volume, error in troubles:
            raise error

    def refill(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        if volume.details["attachments"]:
            raise InUse("volume %s (%s) is attached and cannot be refilled; detach it first" % (volume.name, volume.id))
        image = source.describe()
        if self._direct and direct.is_direct(image):
            started = time.monotonic()
            marked = self.mark(volume, record_of(image, FILLING))
            return Made(self._direct.refill(source, marked, self._options, job), REFILLED, time.monotonic() - started)
        self._free(volume)
        if image.id is not None:
            return refill(self._volumes, volume, image.id, {}, self._options, job)
        with self._refilling.through_glance(source, self._cloud(), job) as via:
            made = refill(self._volumes, volume, via.image.id, via.metadata, self._options, via.job)
        return replace(made, volume=via.noted(ready(self._volumes, made.volume)))

    def finish(self, volume: Volume, job: Job) -> Volume:
        """Wait for what Cinder, or another run, is at with a volume that nobody has to fill."""
        return view(self._volumes.get(self._take_over(volume, job)))

    def adopt(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        started = time.monotonic()
        now = self._volumes.get(self._take_over(volume, job) if volume.state == WORKING else volume.id)
        adopted = self._view(now)
        if adopted.state == HALF_DONE and cinder_view.is_filled_via(now):
            sweep(self._cloud())
            adopted = ready(self._volumes, adopted)
        elif adopted.state == HALF_DONE:
            adopted = self.refill(source, adopted, job).volume
        return Made(adopted, ADOPTED, time.monotonic() - started)

    def _take_over(self, volume: Volume, job: Job) -> str:
        """Wait for what Cinder, or another run, is at; the id of the volume that stays."""
        kept, strays = Claims(self._volumes, job).take_over(volume.name)
        watch = Watch(self._volumes, job)
        if strays:
            watch.remove(strays)
        if job.wait:
            watch.until_done(kept, "finish")
        return kept.id

    # --- making images ---

    def imaging(self, images: Images) -> Imaging:
        return CinderImaging(self._volumes, images)


def _is_raw(image: ImageDescription) -> bool:
    return image.format == "raw" and image.container == "bare"
