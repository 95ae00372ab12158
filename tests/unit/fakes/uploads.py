# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images that a Cinder in memory makes of volumes: as clones where it can, else as uploads, and without a word which it was."""

from __future__ import annotations

import typing as t
import uuid

from ansible_collections.bootable.volumes.tests.unit.fakes.glance import FakeGlance
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused

GIB = 1024 ** 3

# What Cinder knows of a volume's image by itself; all else are the image's properties (glance_core_properties in cinder/volume/api.py).
CORE = frozenset(("checksum", "container_format", "disk_format", "image_name", "image_id", "min_disk", "min_ram", "name", "size"))

Volume = t.Dict[str, t.Any]


class FakeUploads:
    """What a Cinder needs to make images.

    :ivar image_clones: The types whose back ends make images as clones (``image_upload_use_cinder_backend``).
    :ivar image_volumes: The volumes that images refer to; they belong to the internal tenant. Their sizes and bytes.
    :ivar force_upload: ``enable_force_upload``.
    :ivar cloning: Seconds until a volume is cloned.
    :ivar uploading: Seconds until its bytes are sent.
    :ivar letting_go: Seconds after either, until the volume is at rest again.
    :ivar failing_images: Names of images that come to nothing, and what Cinder says of it (None: nothing).
    """

    volumes: t.Dict[str, Volume]
    types: t.Dict[str, str]
    specs: t.Dict[str, t.Dict[str, str]]
    messages: t.List[t.Dict[str, str]]
    admin: bool

    def __init__(self, glance: FakeGlance) -> None:
        self._glance = glance
        self.image_clones: t.Set[str] = set()
        self.image_volumes: t.Dict[str, t.Tuple[int, bytes]] = {}
        self.force_upload = False
        self.cloning = 0.7
        self.uploading = 3.0
        self.letting_go = 0.3
        self.failing_images: t.Dict[str, t.Optional[str]] = {}
        glance.volumes = self._bytes_of
        glance.remove_volume = self._remove

    def _later(self, volume: Volume, seconds: float, change: t.Callable[[Volume], None]) -> None:
        raise NotImplementedError

    def _stamp(self) -> str:
        raise NotImplementedError

    def _bytes_of(self, volume_id: str) -> t.Optional[t.Tuple[int, bytes]]:
        volume = self.volumes.get(volume_id)
        return (volume["size"] * GIB, volume["_data"]) if volume else self.image_volumes.get(volume_id)

    def _remove(self, volume_id: str) -> None:
        for there in (self.image_volumes, self.volumes):
            there.pop(volume_id, None)  # type: ignore[attr-defined]

    def make_image(self, volume: Volume, wish: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
        """Begin; what the API answers."""
        plain = wish["disk_format"] == "raw" and wish["container_format"] == "bare"
        if volume["encrypted"] and not plain:
            raise Refused(400, "An encrypted volume uploaded as an image must use 'raw' disk_format and 'bare' container_format")
        if wish["visibility"] == "public" and not self.admin:
            raise Refused(403, "Policy doesn't allow volume_extension:volume_actions:upload_public to be performed.")
        allowed = ("available", "in-use") if wish["force"] and self.force_upload else ("available",)
        if volume["status"] not in allowed:
            raise Refused(400, "Invalid volume: Volume %s status must be %s" % (volume["id"], " or ".join(allowed)))
        properties = {key: value for key, value in volume["_image"].items() if key not in CORE and not key.startswith("os_glance")}
        image = self._glance.announce(dict(
            properties, name=wish["image_name"], disk_format=wish["disk_format"], container_format=wish["container_format"],
            visibility=wish["visibility"], protected=wish["protected"]))
        before, volume["status"] = volume["status"], "uploading"
        specs = self.specs[self.types[volume["volume_type"]]]
        store = specs.get("image_service:store_id")
        if image["name"] in self.failing_images:
            self._fail(volume, image, self.cloning)
            done = self.cloning
        elif plain and volume["volume_type"] in self.image_clones and not store:
            self._clone(volume, image)
            done = self.cloning
        else:
            self._upload(volume, image, store)
            done = self.uploading
        # the image is there, or gone, a moment before Cinder lets go of the volume
        self._later(volume, done + self.letting_go, lambda each: each.update(status=before))
        return {"id": volume["id"], "status": "uploading", "size": volume["size"], "image_id": image["id"], "image_name": image["name"],
                "volume_type": {"name": volume["volume_type"], "extra_specs": dict(specs)}}

    def _clone(self, volume: Volume, image: t.Dict[str, t.Any]) -> None:
        def clone(each: Volume) -> None:
            if image["id"] in self._glance.images:
                image_volume = str(uuid.uuid4())
                self.image_volumes[image_volume] = each["size"] * GIB, each["_data"]
                self._glance.refer(image, "cinder://%s" % image_volume)

        self._later(volume, self.cloning, clone)

    def _upload(self, volume: Volume, image: t.Dict[str, t.Any], store: t.Optional[str]) -> None:
        def send(each: Volume) -> None:
            if image["status"] == "queued":  # somebody wrote it back as it was before: what the bytes are for is no more
                self.messages.append({"id": str(uuid.uuid4()), "resource_uuid": each["id"], "created_at": self._stamp(),
                                      "user_message": "copy volume to image:Failed to upload volume to image at backend."})
                self._glance.drop(image["id"])
            if image["id"] in self._glance.images:
                self._glance.fill(image, each["_data"], store)
                image.update(size=each["size"] * GIB, virtual_size=each["size"] * GIB)

        self._later(volume, 0.5, lambda each: image.update(status="saving"))
        self._later(volume, self.uploading, send)

    def _fail(self, volume: Volume, image: t.Dict[str, t.Any], seconds: float) -> None:
        said = self.failing_images[image["name"]]

        def fail(each: Volume) -> None:
            if said:
                self.messages.append({"id": str(uuid.uuid4()), "resource_uuid": each["id"], "user_message": said, "created_at": self._stamp()})
            if not image["protected"] and image["status"] in ("queued", "saving"):
                self._glance.drop(image["id"])

        self._later(volume, seconds, fail)
