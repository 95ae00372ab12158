# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Glance in memory, behind its REST API."""

from __future__ import annotations

import hashlib
import re
import typing as t
import uuid

from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request, Service, Stream
from ansible_collections.bootable.volumes.tests.unit.fakes.stores import FakeStores, page


class FakeGlance(FakeStores, Service):
    """Images with their bytes.

    :ivar cut: Bytes after which the next download breaks off.
    :ivar ranges: Whether it can start at an offset.
    """

    ROUTES = (
        ("GET", r"/v2/images", "list_images"),
        ("POST", r"/v2/images", "create"),
        ("GET", r"/v2/images/(?P<id>[^/]+)", "show"),
        ("PATCH", r"/v2/images/(?P<id>[^/]+)", "change"),
        ("DELETE", r"/v2/images/(?P<id>[^/]+)", "delete"),
        ("GET", r"/v2/images/(?P<id>[^/]+)/file", "download"),
        ("PUT", r"/v2/images/(?P<id>[^/]+)/file", "upload"),
        *FakeStores.STORE_ROUTES,
    )

    def __init__(self, now: t.Callable[[], float] = lambda: 0.0) -> None:
        FakeStores.__init__(self, now)
        Service.__init__(self, "http://glance", "could not be found")
        self.images: t.Dict[str, t.Dict[str, t.Any]] = {}
        self.data: t.Dict[str, bytes] = {}
        self.cut: t.Optional[int] = None
        self.ranges = True
        self.page = 25

    def before(self, request: Request) -> None:
        super().before(request)
        self.advance()

    def add(self, name: str, data: bytes = b"\0" * 1024, **attributes: t.Any) -> str:
        """An active image; its id."""
        image_id = str(uuid.uuid4())
        self.images[image_id] = dict({
            "id": image_id, "name": name, "status": "queued", "visibility": "private", "os_hidden": False, "tags": [], "disk_format": "raw",
            "container_format": "bare", "min_disk": 0, "min_ram": 0, "size": None, "virtual_size": None, "checksum": None,
            "os_hash_algo": None, "os_hash_value": None,
        }, **attributes)
        self._store(image_id, data)
        self.images[image_id].update(attributes)
        return image_id

    def _store(self, image_id: str, data: bytes) -> None:
        image = self.images[image_id]
        self.data[image_id] = data
        image.update(
            status="active", size=len(data), checksum=hashlib.md5(data).hexdigest(), os_hash_algo="sha512",
            os_hash_value=hashlib.sha512(data).hexdigest(), virtual_size=len(data) if image["disk_format"] == "raw" else None)
        if self.offered:
            image["stores"] = self.default_store

    def _image(self, image_id: str) -> t.Dict[str, t.Any]:
        if image_id not in self.images:
            raise Refused(404, "No image found with ID %s" % image_id)
        return self.images[image_id]

    def list_images(self, request: Request) -> t.Any:
        query = dict(request.query)
        query.pop("limit", None)
        marker, hidden, tag = query.pop("marker", None), query.pop("os_hidden", "false") == "true", query.pop("tag", None)
        found = [image for image in self.images.values() if image["os_hidden"] is hidden and (tag is None or tag in image["tags"])]
        found = [image for image in found if all(image.get(key) == value for key, value in query.items())]
        if marker:
            ids = [image["id"] for image in found]
            found = found[ids.index(marker) + 1:]
        answer: t.Dict[str, t.Any] = {"images": found[:self.page]}
        if len(found) > self.page:
            answer["next"] = "/v2/images?marker=%s" % found[self.page - 1]["id"]
        return 200, answer

    def show(self, request: Request, id: str) -> t.Any:
        return 200, self._image(id)

    def create(self, request: Request) -> t.Any:
        wish = request.json
        for key, value in wish.items():
            if key != "tags" and not isinstance(value, str):
                raise Refused(400, "Provided object does not match schema 'image': %r is not of type 'string'" % value)
        image_id = self.add(wish["name"])
        self.images[image_id].update(wish, status="queued", size=None, checksum=None, os_hash_algo=None, os_hash_value=None)
        del self.data[image_id]
        return 201, self.images[image_id]

    def change(self, request: Request, id: str) -> t.Any:
        if request.headers["Content-Type"] not in (b"application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.1-json-patch"):
            raise Refused(400, "Unsupported Media Type")
        for each in request.json:
            self._image(id)[each["path"][1:]] = each["value"]
        return 200, self._image(id)

    def delete(self, request: Request, id: str) -> t.Any:
        self._image(id)
        if id in self.depended_on:
            return page(409, "Image %s could not be deleted because it is in use: The image cannot be deleted because it has snapshot(s)." % id)
        del self.images[id]
        self.data.pop(id, None)
        return 204, None

    def upload(self, request: Request, id: str) -> t.Any:
        image = self._image(id)
        if image["status"] != "queued":
            raise Refused(409, "Image status transition from %s to saving is not allowed" % image["status"])
        if request.headers["Content-Type"] != "application/octet-stream":
            raise Refused(415, "Unsupported Media Type")
        self._store(id, request.body)
        return 204, None

    def download(self, request: Request, id: str) -> t.Any:
        image = self._image(id)
        if image["status"] == "deactivated":
            raise Refused(403, "The requested image has been deactivated. Image data download is forbidden.")
        if id not in self.data:
            return 204, None
        data, cut = self.data[id], self.cut
        self.cut = None
        wanted = re.match(r"bytes=(\d+)-$", request.headers.get("Range", ""))
        if wanted and self.ranges:
            offset = int(wanted.group(1))
            if offset >= len(data):
                raise Refused(416, "Requested range not satisfiable")
            return 206, Stream(data[offset:], {"Content-Range": "bytes %d-%d/%d" % (offset, len(data) - 1, len(data))}, cut)
        return 200, Stream(data, cut=cut)
