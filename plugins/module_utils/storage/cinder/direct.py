# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cinder volumes that are images of a Ceph which this host reaches: read and written there, without Glance between.

A volume is kept from everybody else meanwhile: holds.py. What is filled here is the content of another volume. An image gets
into volumes as ever, by way of Glance: there the back end clones, and Cinder takes note of the image.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, NotFound, TimedOut, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, human
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock, Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.fill import Content, Filler
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.holds import Hold, is_left_behind
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CinderOptions, metadata_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.via import ready
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.watch import Watch
from ansible_collections.bootable.volumes.plugins.module_utils.storage.content import VOLUME
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import ADOPTED, Filled, Handle, Request, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd import access
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.golden import patiently
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import Busy, Place, Pool
from ansible_collections.bootable.volumes.plugins.module_utils.transfer import pipeline

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Volumes

# Where the back end is; the other options are those of the driver rbd.
OPTIONS: t.Mapping[str, t.Mapping[str, t.Any]] = {"ceph_pool": {"type": "str"}, **access.OPTIONS}

# Seconds that a volume is open at most, where no deadline is known.
_LONG = 86400.0


def pool_of(options: t.Mapping[str, t.Any], runner: CommandRunner) -> t.Optional[Pool]:
    """The pool that the options name, or None.

    :raises InvalidInput: they tell how to reach Ceph, but not which pool.
    """
    if options.get("ceph_pool"):
        return access.pool_at(Place(
            pool=options["ceph_pool"], conf=options.get("ceph_conf"), user=options.get("ceph_user"), cluster=options.get("ceph_cluster"),
            option="ceph_pool"), runner)
    stray = sorted(name for name in access.OPTIONS if options.get(name))
    if stray:
        raise InvalidInput("%s: it is of use with storage.ceph_pool only, which names the pool of Cinder's back end" % ", ".join(stray))
    return None


def is_direct(image: ImageDescription) -> bool:
    """Whether volumes are filled with it here, and not by way of Glance."""
    return image.origin == VOLUME


class Direct:
    """The images of one project's volumes in one pool.

    :ivar deadline: By when everything must be done, once that is known.
    """

    def __init__(self, cloud: t.Callable[[], Cloud], pool: Pool, *, clock: t.Optional[Clock] = None) -> None:
        self._cloud = cloud
        self._pool = pool
        self.deadline = Deadline(_LONG, clock=clock)

    @property
    def _volumes(self) -> Volumes:
        return self._cloud().volumes

    def prepare(self, deadline: Deadline) -> None:
        """Now it is known by when everything must be done."""
        self.deadline = self._pool.deadline = deadline

    # --- looking ---

    def settled(self, volume: CinderVolume) -> CinderVolume:
        """The volume as it is for this run: one that a killed run has left reserved is as good as available."""
        return replace(volume, status="available") if is_left_behind(volume) else volume

    def check_reachable(self) -> None:
        """:raises VolumesError: the pool cannot be reached, or there is none."""
        self._pool.look("volume-")

    def check(self, volume: CinderVolume) -> str:
        """Refuse what cannot be opened.

        :returns: The name of its image.
        """
        if volume.encrypted:
            raise InvalidInput(
                "volume %s (%s) is encrypted, and what Ceph has of it is of no use elsewhere; change it to a volume type without encryption first"
                % (volume.name, volume.id))
        name = "volume-%s" % (volume.name_id or volume.id)
        image, size = self._pool.look(name), volume.size * GIB
        if image is None:
            raise InvalidInput(
                "ceph_pool: %s has no image %s of volume %s (type %s); name the pool of that type's back end, or leave out storage.ceph_pool, "
                "and the volume travels by way of Glance. Of a volume that Cinder has migrated, only administrators see what the image is called"
                % (self._pool.place.pool, name, volume.name, volume.type))
        if image.size != size:
            raise BackendError("ceph_pool: the image %s has %s, but volume %s (%s) has %s; is it the pool of this Cinder's back end?" % (
                self._pool.place.spec(name), human(image.size), volume.name, volume.id, human(size)))
        return name

    # --- bytes ---

    def open(self, volume_id: str, mode: str) -> Handle:
        """Open a volume, and keep it from others until it is closed.

        :raises InUse: something else holds it.
        """
        hold = Hold(self._volumes, volume_id, self.deadline)
        volume = hold.take()
        try:
            name = self.check(volume)
            self._expect_idle(volume, name, patient=hold.taken_over)
            return _Held(self._pool.open(name, volume.size * GIB, write=mode == "w"), hold)
        except BaseException:
            hold.release()
            raise

    def free(self, volume_id: str) -> None:
        """Let go of a volume that a killed run has left reserved; any other stays as it is."""
        with contextlib.suppress(NotFound):
            if is_left_behind(self._volumes.get(volume_id)):
                hold = Hold(self._volumes, volume_id, self.deadline)
                hold.take()
                hold.release()

    def _expect_idle(self, volume: CinderVolume, name: str, *, patient: bool) -> None:
        """:raises Busy: somebody writes to the image, whatever Cinder thinks. Ceph takes the client of a run that was killed for alive for a while."""
        def look() -> None:
            watchers = self._pool.users(name).watchers
            if watchers:
                raise Busy("volume %s (%s) is open in Ceph for %s, although it is attached to nothing; stop that first" % (
                    volume.name, volume.id, ", ".join(watchers)), holders={volume.name: list(watchers)})

        if patient:
            patiently(look, "the clients of %s to be forgotten by Ceph" % self._pool.place.spec(name), Job(self.deadline))
        else:
            look()

    # --- filling ---

    def fill(self, source: ImageSource, requests: t.Sequence[Request], options: CinderOptions, job: Job) -> Filled:
        """New volumes with the content of another one, which is read once. They are bootable, and ready, when all of it is there."""
        started = time.monotonic()
        content = Content(metadata=metadata_of(record_of(source.describe(), FILLING)))
        batch = Filler(self._volumes, replace(options, bootable=False), replace(job, wait=True)).batch(requests, content)
        errors = dict(batch.errors)
        for name, made in list(batch.made.items()):
            if made.how == ADOPTED:
                errors[name] = InUse("volume %s (%s) is being made by another run; run the task again when that has ended" % (name, made.volume.id))
                del batch.made[name]
        if not batch.made:
            return Filled((), errors)
        volumes = [made.volume for made in batch.made.values()]
        try:
            self._write(source, volumes, job, fresh=True)
        except TimedOut:
            raise  # the next run finds them half done
        except Exception:
            with contextlib.suppress(VolumesError):
                Watch(self._volumes, job).remove([volume.id for volume in volumes])
            raise
        finished = tuple(replace(made, volume=self._publish(made.volume, options), seconds=time.monotonic() - started) for made in batch.made.values())
        return Filled(finished, errors, "copy", "the bytes are written to Ceph directly")

    def refill(self, source: ImageSource, volume: Volume, options: CinderOptions, job: Job) -> Volume:
        """The content of another volume into one that is marked as being filled."""
        self._write(source, [volume], job, fresh=False)
        return self._publish(volume, options)

    def _write(self, source: ImageSource, volumes: t.Sequence[Volume], job: Job, *, fresh: bool) -> None:
        with contextlib.ExitStack() as handles:
            targets = [(volume.name, volume.size, handles.enter_context(self.open(volume.id, "w"))) for volume in volumes]
            pipeline.copy_image(source, targets, job, fresh=fresh)

    def _publish(self, volume: Volume, options: CinderOptions) -> Volume:
        self._volumes.set_bootable(volume.id, options.bootable)
        return ready(self._volumes, volume)


class _Held(Handle):
    """An open image of a volume that is held as long."""

    def __init__(self, handle: Handle, hold: Hold) -> None:
        self._handle = handle
        self._hold: t.Optional[Hold] = hold

    def read(self, offset: int, length: int) -> bytes:
        return self._handle.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        self._handle.write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        self._handle.zero(offset, length)

    def flush(self) -> None:
        self._handle.flush()

    def close(self) -> None:
        try:
            self._handle.close()
        finally:
            self._release()

    def _release(self) -> None:
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.release()

    def __exit__(self, *exception: object) -> None:
        try:
            self._handle.__exit__(*exception)
        finally:
            self._release()
