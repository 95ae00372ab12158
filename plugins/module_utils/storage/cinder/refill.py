# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New content for an existing Cinder volume: the reimage API, and what it leaves undone."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import REIMAGE, REIMAGE_IS_SAFE, CinderVolume, Volumes
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import RECORD_KEYS, CinderOptions, view
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.watch import Watch
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import BROKEN, REFILLED, Made, Volume


def refill(volumes: Volumes, volume: Volume, image_id: str, metadata: t.Mapping[str, str], options: CinderOptions, job: Job) -> Made:
    """Let Cinder write an image over a volume that nothing holds.

    :param metadata: What the volume shall remember of it beyond what Cinder remembers.
    :raises InvalidInput: this Cinder cannot do it, or is known to do it unsafely.
    :raises BackendError: Cinder gave up, or has filled it with something else.
    """
    started = time.monotonic()
    check_can_refill(volumes, options)
    if volume.state == BROKEN:
        _clear_error(volumes, volume)
    for key in sorted(set(RECORD_KEYS) & volumes.get(volume.id).metadata.keys() - metadata.keys()):
        volumes.delete_metadata(volume.id, key)
    if metadata:
        volumes.set_metadata(volume.id, metadata)
    volumes.reimage(volume.id, image_id)
    watch = Watch(volumes, job)
    now = volumes.get(volume.id)
    if job.wait:
        now = watch.until_done(now, "refill")
        _verify(now, image_id)
        if now.bootable != options.bootable:
            volumes.set_bootable(now.id, options.bootable)
            now = volumes.get(now.id)
    return Made(view(now), REFILLED, time.monotonic() - started)


def check_can_refill(volumes: Volumes, options: CinderOptions) -> None:
    """Refuse what this Cinder cannot do, or does unsafely.

    Before Cinder 24 (2024.1) the holes of a sparse image are not written, so that old data shines through, and a
    failed check leaves the volume in ``downloading`` for ever.
    """
    if not volumes.supports(REIMAGE):
        raise InvalidInput("this Cinder cannot refill a volume (that came with Zed, microversion 3.68); use on_drift: replace")
    if not volumes.supports(REIMAGE_IS_SAFE) and not options.force_refill:
        raise InvalidInput(
            "this Cinder is older than 24 (2024.1): when it refills a volume, old data can remain in it, and a failure can leave it in "
            "downloading for ever. Use on_drift: replace, or accept that with storage.force_refill: true")


def _clear_error(volumes: Volumes, volume: Volume) -> None:
    """Cinder keeps a volume in error even after it has refilled it."""
    try:
        volumes.reset_state(volume.id, "available")
    except Denied as error:
        raise Denied(
            "volume %s (%s) is in status %s, and only an administrator may clear that so that it can be refilled; use on_drift: replace"
            % (volume.name, volume.id, volume.status), **error.details) from error


def _verify(volume: CinderVolume, image_id: str) -> None:
    found = volume.image.get("image_id")
    if found != image_id:
        raise BackendError("volume %s (%s) should have been refilled with image %s, but Cinder says it holds %s" % (
            volume.name, volume.id, image_id, found or "none"))
