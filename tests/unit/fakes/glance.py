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
from ansible_collections.bootable.volumes.tests.unit.fakes.locations import FakeLocations
from ansible_collections.bootable.volumes.tests.unit.fakes.stores import page

# What the image schema says of attributes that are no strings, and those that nobody may set.
TYPES: t.Mapping[str, type] = {"protected": bool, "os_hidden": bool, "min_disk": int, "min_ram": int, "tags": list}
IMAGE_ATTRIBUTES = frozenset((
    "id", "name", "status", "visibility", "os_hidden", "tags", "disk_format", "container_format", "min_disk", "min_ram", "size", "virtual_size",
    "checksum", "os_hash_algo", "os_hash_value", "protected", "owner", "created_at", "updated_at", "stores"))
READ_ONLY = frozenset(("status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at", "stores"))


def _matches(found: t.Any, wanted: str) -> bool:
    """As Glance filters: what stands before a colon is an operator, and only names in quotes may have one in them."""
    operator, colon, value = wanted.partition(":")
    if not colon:
        return bool(found == wanted)
    if operator != "in":
        raise Refused(400, "Unable to filter by unknown operator '%s'" % operator)
    return bool(found in [quoted or plain for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)",?|([^,]+),?', value)])


class FakeGlance(FakeLocations, Service):
    """Images with their bytes.

    :ivar cut: Bytes after which the next download breaks off.
    :ivar ranges: Whether it can start at an offset.
    :ivar algorithm: What it hashes with; None if it is too old to.
    :ivar spoil: What becomes of the bytes that are sent to it.
    :ivar received: The headers of each upload.
    """

    ROUTES = (
        ("GET", r"/v2/images", "list_images"),
        ("POST", r"/v2/images", "create"),
        ("GET", r"/v2/images/(?P<id>[^/]+)", "show"),
        ("PATCH", r"/v2/images/(?P<id>[^/]+)", "change"),
        ("DELETE", r"/v2/images/(?P<id>[^/]+)", "delete"),
        ("GET", r"/v2/images/(?P<id>[^/]+)/file", "download"),
        ("PUT", r"/v2/images/(?P<id>[^/]+)/file", "upload"),
        *FakeLocations.STORE_ROUTES,
        *FakeLocations.LOCATION_ROUTES,
    )

    def __init__(self, now: t.Callable[[], float] = lambda: 0.0) -> None:
        FakeLocations.__init__(self, now)
        Service.__init__(self, "http://glance", "could not be found")
        self.images: t.Dict[str, t.Dict[str, t.Any]] = {}
        self.cut: t.Optional[int] = None
        self.ranges = True
        self.page = 25
        self.algorithm: t.Optional[str] = "sha512"
        self.spoil: t.Callable[[bytes], bytes] = lambda data: data
        self.received: t.List[t.Dict[str, str]] = []

    def before(self, request: Request) -> None:
        super().before(request)
        self.advance()

    def add(self, name: str, data: bytes = b"\0" * 1024, **attributes: t.Any) -> str:
        """An active image; its id."""
        image = self.announce(dict(attributes, name=name))
        self.fill(image, data)
        image.update(attributes)
        return t.cast(str, image["id"])

    def announce(self, wish: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
        """A queued image."""
        image = dict({
            "id": str(uuid.uuid4()), "status": "queued", "visibility": "private", "os_hidden": False, "tags": [], "disk_format": "raw",
            "container_format": "bare", "min_disk": 0, "min_ram": 0, "size": None, "virtual_size": None, "checksum": None,
            "os_hash_algo": None, "os_hash_value": None, "protected": False, "owner": "p1", "created_at": self._stamp()[:19] + "Z",
        }, **wish)
        self.images[image["id"]] = image
        return image

    def fill(self, image: t.Dict[str, t.Any], data: bytes, store: t.Optional[str] = None) -> None:
        """Its bytes have come."""
        self.data[image["id"]] = data
        image.update(
            status="active", size=len(data), checksum=hashlib.md5(data).hexdigest(), os_hash_algo=self.algorithm,
            os_hash_value=hashlib.new(self.algorithm, data).hexdigest() if self.algorithm else None,
            virtual_size=len(data) if image["disk_format"] == "raw" else None)
        if self.offered:
            image["stores"] = store or self.default_store

    def _is_there(self, image: t.Dict[str, t.Any]) -> bool:
        return image["id"] in self.images

    def _image(self, image_id: str) -> t.Dict[str, t.Any]:
        if image_id not in self.images:
            raise Refused(404, "No image found with ID %s" % image_id)
        return self.images[image_id]

    def list_images(self, request: Request) -> t.Any:
        query = dict(request.query)
        query.pop("limit", None)
        marker, hidden, tag = query.pop("marker", None), query.pop("os_hidden", "false") == "true", query.pop("tag", None)
        found = [image for image in self.images.values() if image["os_hidden"] is hidden and (tag is None or tag in image["tags"])]
        found = [image for image in found if all(_matches(image.get(key), value) for key, value in query.items())]
        if marker:
            ids = [image["id"] for image in found]
            found = found[ids.index(marker) + 1:]
        answer: t.Dict[str, t.Any] = {"images": found[:self.page]}
        if len(found) > self.page:
            answer["next"] = "/v2/images?marker=%s" % found[self.page - 1]["id"]
        return 200, answer

    def show(self, request: Request, id: str) -> t.Any:
        return 200, self.shown(self._image(id))

    def _check(self, wish: t.Mapping[str, t.Any]) -> None:
        """Refuse attributes that the schema, or a policy, does not allow."""
        for key, value in wish.items():
            if key in READ_ONLY:
                raise Refused(403, "Attribute '%s' is read-only." % key)
            if key.startswith("os_glance_"):
                raise Refused(403, "Attribute '%s' is reserved." % key)
            # a bool is an int to Python, and none to JSON's schema
            if not isinstance(value, TYPES.get(key, str)) or isinstance(value, bool) != (TYPES.get(key) is bool):
                raise Refused(400, "Provided object does not match schema 'image': %r is not of type '%s'" % (value, TYPES.get(key, str)))
        if wish.get("visibility") == "public" and not self.admin:
            raise Refused(403, "You are not authorized to complete publicize_image action.")

    def create(self, request: Request) -> t.Any:
        wish = request.json
        self._check(wish)
        if wish.get("id") in self.images:
            raise Refused(409, "Image ID %s already exists!" % wish["id"])
        return 201, self.shown(self.announce(wish))

    def change(self, request: Request, id: str) -> t.Any:
        if request.headers["Content-Type"] not in (b"application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.1-json-patch"):
            raise Refused(400, "Unsupported Media Type")
        image, changes = self._image(id), request.json
        if changes[0]["path"] == "/locations/-":
            return self.add_legacy_location(image, changes[0]["value"]["url"])
        if any("/" in each["path"][1:] for each in changes):
            raise Refused(400, "Invalid JSON pointer for this resource")
        changes = [(each["op"], each["path"][1:].replace("~1", "/").replace("~0", "~"), each.get("value")) for each in changes]
        self._check({key: value for op, key, value in changes if op != "remove"})
        for op, key, value in changes:
            if op == "remove" and key not in image:
                raise Refused(409, "Property %s does not exist." % key)
        for op, key, value in changes:
            if op == "remove":
                del image[key]
            else:
                image[key] = value
        return 200, self.shown(image)

    def delete(self, request: Request, id: str) -> t.Any:
        if self._image(id)["protected"]:
            return page(403, "Image %s is protected and cannot be deleted." % id)
        if id in self.depended_on:
            return page(409, "Image %s could not be deleted because it is in use: The image cannot be deleted because it has snapshot(s)." % id)
        self.drop(id)
        return 204, None

    def drop(self, image_id: str) -> None:
        """It goes, with its bytes."""
        del self.images[image_id]
        self.data.pop(image_id, None)
        self.let_go(image_id)

    def upload(self, request: Request, id: str) -> t.Any:
        image = self._image(id)
        if image["status"] != "queued":
            raise Refused(409, "Image status transition from %s to saving is not allowed" % image["status"])
        if request.headers["Content-Type"] != "application/octet-stream":
            raise Refused(415, "Unsupported Media Type")
        store = request.headers.get("x-image-meta-store")
        if self.offered and store and store not in self.offered:
            raise Refused(400, "Store for identifier %s not found" % store)
        if self.offered and store and self.offered[store].get("read-only"):
            raise Refused(410, "Error in store configuration. Adding images to store is disabled.")
        self.received.append(dict(request.headers))
        self.fill(image, self.spoil(request.body), store)
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
