# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of Cinder's volumes: made by Cinder, or a volume as it is made an image.

**Which way it went.** Cinder is asked for an image and decides by itself. A back end with ``image_upload_use_cinder_backend``
clones the volume, and the image refers to the clone; where it cannot, or Glance refuses, Cinder sends the bytes and says nothing.
So it is the image that is asked how it came to be: ``images.origin.method_of``.

**What a killed run leaves.** Cinder's answer names the image, so for a moment there is one that nobody has marked. Therefore the
volume remembers the image's name in its metadata, from before the request until the image is there: meanwhile Cinder lets nobody
change a volume's metadata.
"""

from __future__ import annotations

import contextlib
import typing as t
import uuid
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, NotFound, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import (
    CLONE, REGISTER, UPLOAD, Origin, origin_of, shown_method, stale_keys,
)
from ansible_collections.bootable.volumes.plugins.module_utils.images.placement import TYPE_STORE
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish, is_locked
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import ACTIVE, Image, Images
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.outages import through_outages
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import AFTER, IMAGE_OF, REQUEST, is_busy
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.imaging import Imaged, Imaging, Route

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume, Volumes

# What Cinder can make of a volume (cinder/api/schemas/volume_actions.py, and container_format in its parameter_types.py).
DISK_FORMATS = ("raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "ploop")
CONTAINER_FORMATS = ("bare", "ovf", "ova", "docker", "compressed")

# Seconds that an image may stay without data after Cinder is done with the volume: Glance takes a location in at its leisure.
_PATIENCE = 60.0

_WHY_UPLOADED = (
    "Cinder sent the bytes: its back end does not make images as clones (image_upload_use_cinder_backend is off, or its driver cannot, as NFS), "
    "or Glance refused to refer to the clone; cinder-volume's log says which")


class _Failed(BackendError):
    """Cinder gave up on an image, and nothing is left of it.

    :ivar unseen: Nobody saw Glance take its bytes in.
    """

    unseen = False


@dataclass
class _Look:
    """What was seen of an image in the making."""

    image: t.Optional[Image] = None
    at_rest: t.Optional[float] = None
    taken_in: bool = False


class CinderImaging(Imaging):
    """For one project."""

    def __init__(self, volumes: Volumes, images: Images) -> None:
        self._volumes = volumes
        self._images = images

    # --- looking ---

    def check(self, volume: Volume, wish: ImageWish) -> None:
        plain = wish.disk_format == "raw" and wish.container_format == "bare"
        if wish.disk_format not in DISK_FORMATS:
            raise InvalidInput("disk_format: Cinder makes %s of a volume, not %s" % (", ".join(DISK_FORMATS), wish.disk_format))
        if wish.container_format not in CONTAINER_FORMATS:
            raise InvalidInput("container_format: Cinder knows %s, not %s" % (", ".join(CONTAINER_FORMATS), wish.container_format))
        if wish.method in (CLONE, REGISTER) and not plain:
            raise InvalidInput("method: %s makes an image of disk_format raw and container_format bare; found %s and %s" % (
                wish.method, wish.disk_format, wish.container_format))
        if volume.details["encrypted"] and not plain:
            raise InvalidInput("disk_format: volume %s is encrypted; Cinder makes of it only raw images in a bare container" % volume.name)
        if wish.method == REGISTER and IMAGE_OF in volume.details["metadata"]:
            raise InUse("volume %s (%s) is the image %s already" % (volume.name, volume.id, volume.details["metadata"][IMAGE_OF]))
        if volume.state == AVAILABLE and volume.status != "available":
            self._check_held(volume, wish)

    @staticmethod
    def _check_held(volume: Volume, wish: ImageWish) -> None:
        held = "volume %s (%s) is %s" % (volume.name, volume.id, volume.status)
        if wish.method == REGISTER:
            raise InUse("%s; a volume becomes an image only when nothing uses it any more: detach it first" % held)
        if volume.status != "in-use" or not wish.force:
            raise InUse("%s; detach it, or set force: true for an image of what is on its disk at this moment" % held)

    def base_of(self, volume: Volume) -> t.Optional[str]:
        return super().base_of(volume) if volume.details["bootable"] else None

    def store_of(self, volume: Volume) -> t.Optional[str]:
        with contextlib.suppress(NotFound, Denied):  # of a type that is not for this project any more, or of no type at all
            return self._volumes.type_specs(volume.location).get(TYPE_STORE)
        return None

    def claims(self, volume: Volume, image: Image) -> bool:
        request = self._volumes.get(volume.id).metadata
        return request.get(REQUEST) == image.name and image.created_at > request.get(AFTER, "") and not image.hidden

    # --- making ---

    def make(self, volume: Volume, wish: ImageWish, route: Route, job: Job) -> Imaged:
        if wish.method == REGISTER:
            return self._register(volume, wish, route, job)
        try:
            return self._made(volume, wish, job, mark=True)
        except _Failed as error:
            if not error.unseen:
                raise
            # Perhaps our mark made Glance forget that it was about to take the bytes in (see _mark). Without it that cannot be.
            self._wait_a_second(job)
            return self._made(volume, wish, job, mark=False)

    def _made(self, volume: Volume, wish: ImageWish, job: Job, *, mark: bool) -> Imaged:
        try:
            self._volumes.set_metadata(volume.id, self._request(wish.name))
            upload = self._volumes.upload_to_image(
                volume.id, wish.name, disk_format=wish.disk_format, container_format=wish.container_format,
                visibility=wish.visibility or "private", force=wish.force)
        except VolumesError as error:
            raise self._refused(volume, wish, error) from error
        image = Image(upload.image_id, wish.name, "queued")
        try:
            image = self._images.get(image.id)
            if mark:
                image = self._mark(volume, image, wish)
        except NotFound:
            raise self._failed(volume, _Look(image), "removed its image", job) from None
        return self._follow(volume, image, wish, job, upload.type_specs.get(TYPE_STORE))

    def _request(self, name: str) -> t.Dict[str, str]:
        """What the volume remembers of an image that is about to be made, so that none that has the name already is taken for it."""
        there = self._images.list(name=name)
        return dict({REQUEST: name}, **({AFTER: max(image.created_at for image in there)} if there else {}))

    def finish(self, volume: Volume, image: Image, wish: ImageWish, route: Route, job: Job) -> Imaged:
        origin = origin_of(image)
        if origin is not None and origin.method == REGISTER:
            return self._refer(volume, image, route, job)
        try:  # not marked now: what is written while Glance takes the bytes in undoes that, and the volume remembers
            return self._follow(volume, image, wish, job, self.store_of(volume))
        except (NotFound, _Failed):  # whoever was at it is gone, and so is the image: it is made anew
            self._wait_a_second(job)
            return self.make(volume, wish, route, job)

    @staticmethod
    def _wait_a_second(job: Job) -> None:
        """Lest what Cinder said of one image be taken for the next one's: it notes whole seconds."""
        job.deadline.clock.sleep(1)

    def _refused(self, volume: Volume, wish: ImageWish, error: VolumesError) -> VolumesError:
        """Why Cinder did not begin, in words that help; the volume forgets the request unless another run has one."""
        now = self._volumes.get(volume.id)
        if now.status == "uploading":
            return InUse("volume %s (%s) is uploading: another run makes an image of it; run the task again to wait for that one" % (volume.name, volume.id))
        self._drop_request(now)
        if now.status == "in-use" and isinstance(error, InvalidInput):
            return InUse("%s; this cloud makes no images of attached volumes (enable_force_upload is off in cinder.conf): detach %s first" % (
                error.message, volume.name))
        if isinstance(error, Denied) and wish.visibility == "public":
            return Denied("%s; public images are for administrators (policy volume_extension:volume_actions:upload_public)" % error.message)
        return error

    def _mark(self, volume: Volume, image: Image, wish: ImageWish) -> Image:
        """Write down on an image all that it shall have, at once: before Cinder has come to send it anything, since Glance writes an image
        back as it read it, status and all, whoever else has changed it meanwhile. That goes for its hashing (``images.wanted.is_locked``), which for a
        clone begins as soon as Cinder has made it; and for us: should Cinder come at this very moment, the image is queued again, and Glance refuses
        its bytes when they are there (410).

        How it gets its bytes is a guess then, which stands as long as the volume remembers the request.
        """
        plain = wish.disk_format == "raw" and wish.container_format == "bare"
        origin = Origin(volume.id, CLONE if plain and wish.method != UPLOAD else UPLOAD)
        return self._images.change(image.id, dict(wish.attributes(), **origin.properties(image.id)), stale_keys(image, origin))

    def _follow(self, volume: Volume, image: Image, wish: ImageWish, job: Job, type_store: t.Optional[str]) -> Imaged:
        """Wait for an image that Cinder makes, and find out how it did."""
        if not job.wait:
            return Imaged(image, wish.method, "Cinder is at it", type_store, finished=False)
        image = self._until_active(volume, image, job)
        method = shown_method(image)
        image = self._noted(image, Origin(volume.id, UPLOAD if wish.method == UPLOAD else method), job)
        self._forget(volume, job)
        if method == CLONE:
            reason = "Cinder cloned the volume, and the image refers to the clone"
        elif wish.disk_format != "raw" or wish.container_format != "bare":
            reason = "Cinder clones only for raw images in a bare container, so it converted and sent the bytes"
        elif type_store:
            reason = "%s; the volume type names the store %s, with which newer releases cannot clone: leave %s off such types" % (
                _WHY_UPLOADED, type_store, TYPE_STORE)
        else:
            reason = _WHY_UPLOADED
        if wish.method == CLONE and method != CLONE:
            self._images.discard(image)
            raise BackendError("method: clone was asked for, but %s. The image %s was removed; method: auto would keep it" % (reason, image.id))
        return Imaged(image, method, reason, type_store)

    def _until_active(self, volume: Volume, image: Image, job: Job) -> Image:
        """Wait until an image is there.

        :raises BackendError: Cinder gave up on it, in its own words; nothing is left of the image.
        """
        seen, clock = _Look(image), job.deadline.clock

        def poll() -> t.Optional[Image]:
            try:
                seen.image = through_outages(lambda: self._images.get(image.id), job.deadline)
            except NotFound:  # Cinder removes the image of an upload that failed
                raise self._failed(volume, seen, "removed its image", job) from None
            seen.taken_in = seen.taken_in or seen.image.status == "saving"
            if seen.image.status == ACTIVE:
                return seen.image
            if seen.image.status in ("killed", "deleted", "pending_delete"):
                self._images.discard(image)
                raise self._failed(volume, seen, "left its image %s" % seen.image.status, job)
            if through_outages(lambda: self._is_at_rest(volume), job.deadline):
                seen.at_rest = clock.now() if seen.at_rest is None else seen.at_rest
                if self._volumes.messages(volume.id, image.created_at) or clock.now() - seen.at_rest > _PATIENCE:
                    self._images.discard(image)
                    raise self._failed(volume, seen, "left its image %s" % seen.image.status, job)
            job.listener.hear(Event("wait", image.name))
            return None

        return job.deadline.wait(
            poll, "image %s (%s) to become active" % (image.name, image.id),
            details=lambda: {"unfinished": {image.name: {"id": image.id, "status": (seen.image or image).status}}})

    def _is_at_rest(self, volume: Volume) -> bool:
        try:
            return not is_busy(self._volumes.get(volume.id))
        except NotFound:
            return True

    def _noted(self, image: Image, origin: Origin, job: Job) -> Image:
        """The image with what is known now, where the guess was wrong, or whoever should have written it down was killed."""
        if origin_of(image) == origin:
            return image

        def poll() -> t.Optional[Image]:
            now = through_outages(lambda: self._images.get(image.id), job.deadline)
            return None if is_locked(now) else now

        now = job.deadline.wait(poll, "Glance to be done with image %s (%s)" % (image.name, image.id))
        return self._images.change(now.id, origin.properties(now.id), stale_keys(now, origin))

    def _forget(self, volume: Volume, job: Job) -> None:
        """The volume no longer remembers the request. Cinder lets go of it a moment after the image is there, or gone."""
        job.deadline.wait(lambda: through_outages(lambda: self._is_at_rest(volume), job.deadline) or None, "Cinder to be done with volume %s" % volume.name)
        with contextlib.suppress(NotFound):
            self._drop_request(self._volumes.get(volume.id))

    def _drop_request(self, now: CinderVolume) -> None:
        for key in (REQUEST, AFTER):
            if key in now.metadata:
                self._volumes.delete_metadata(now.id, key)

    def _failed(self, volume: Volume, seen: _Look, what: str, job: Job) -> _Failed:
        image = t.cast(Image, seen.image)
        with contextlib.suppress(VolumesError):
            self._forget(volume, job)
        said = self._volumes.messages(volume.id, image.created_at)  # which is there when Cinder is done with the volume
        error = _Failed(
            "Cinder could not make image %s of volume %s (%s) and %s: %s"
            % (image.name, volume.name, volume.id, what, said[0] if said else "it gives no reason; cinder-volume's log has more"),
            id=volume.id, messages=said)
        error.unseen = not seen.taken_in
        return error

    # --- registering ---

    def _register(self, volume: Volume, wish: ImageWish, route: Route, job: Job) -> Imaged:
        """Make the volume itself the image's bytes."""
        image_id = str(uuid.uuid4())
        attributes = dict(wish.attributes(), **Origin(volume.id, REGISTER).properties(image_id))
        attributes.setdefault("visibility", "private")
        image = self._images.announce(dict(attributes, id=image_id, name=wish.name, disk_format="raw", container_format="bare"))
        return self._refer(volume, image, route, job)

    def _refer(self, volume: Volume, image: Image, route: Route, job: Job) -> Imaged:
        """Let a queued image refer to the volume, and the volume be what Cinder expects of an image's volume.

        Cinder clones such a volume, instead of reading it through Glance, for whom the image's owner is noted on it
        (``_clone_image_volume`` in cinder/volume/flows/manager/create_volume.py).
        """
        if image.status == "queued":
            try:
                self._volumes.set_metadata(volume.id, {IMAGE_OF: image.id, "image_owner": image.owner or self._volumes.project})
                self._volumes.set_readonly(volume.id, True)
                self._images.add_location(image.id, "cinder://%s%s" % (route.store + "/" if route.store else "", volume.id))
            except InUse:  # it refers to the volume already, or is about to: an earlier request was heard
                pass
            except (Denied, InvalidInput, NotFound) as error:
                self._take_back(volume, image)
                raise self._not_registered(error) from error
            # whatever else goes wrong, nobody knows whether Glance has heard: the image stays, for the volume might go with it
        if job.wait and image.status != ACTIVE:
            image = self._until_referring(volume, image, job)
        return Imaged(image, REGISTER, "the volume itself is the image's bytes", finished=image.status == ACTIVE)

    def _take_back(self, volume: Volume, image: Image) -> None:
        """The volume is no image's, and the image, which refers to nothing, goes."""
        self._images.discard(image)
        with contextlib.suppress(VolumesError):
            self._volumes.set_readonly(volume.id, False)
            for key in (IMAGE_OF, "image_owner"):
                self._volumes.delete_metadata(volume.id, key)

    @staticmethod
    def _not_registered(error: VolumesError) -> VolumesError:
        if not isinstance(error, Denied):
            return error
        return Denied(
            "%s; Glance lets an account refer to a volume that has the role service (Glance 29 and later), or any member where "
            "show_multiple_locations is on: name such a cloud, or use method: clone" % error.message)

    def _until_referring(self, volume: Volume, image: Image, job: Job) -> Image:
        """Wait until Glance has taken the location in. Whatever happens, the image is not removed: the volume might go with it."""
        started = job.deadline.clock.now()

        def poll() -> t.Optional[Image]:
            now = through_outages(lambda: self._images.get(image.id), job.deadline)
            if now.status == "queued" and job.deadline.clock.now() - started > _PATIENCE:
                raise BackendError("Glance did not take volume %s (%s) for image %s, which is still queued; its log says why" % (
                    volume.name, volume.id, image.id), id=image.id)
            return now if now.status == ACTIVE else None

        return job.deadline.wait(poll, "image %s (%s) to refer to volume %s" % (image.name, image.id, volume.name),
                                 details=lambda: {"unfinished": {image.name: {"id": image.id}}})
