# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images that refer to bytes in a store, in a Glance in memory: as Glance 33 has it, which hashes them afterwards, and as older ones do."""

from __future__ import annotations

import copy
import hashlib
import re
import typing as t

from ansible_collections.bootable.volumes.tests.unit.fakes.http import Request
from ansible_collections.bootable.volumes.tests.unit.fakes.stores import TASK, FakeStores, page


class FakeLocations(FakeStores):
    """What a Glance needs for images to be volumes.

    :ivar located: Where images' bytes lie, by the image's id.
    :ivar volumes: The volumes that can be referred to, and the bytes in them.
    :ivar remove_volume: Called with the id of a volume whose image has gone from its store.
    :ivar service: Whether the caller has the role ``service``.
    :ivar location_api: Whether it is Glance 29 or later.
    :ivar multiple_locations: ``show_multiple_locations``.
    :ivar taking_in: How long it takes to take a location in.
    :ivar hashing: And then, to hash what is there.
    """

    LOCATION_ROUTES = (
        ("GET", r"/v2/images/(?P<id>[^/]+)/locations", "list_locations"),
        ("POST", r"/v2/images/(?P<id>[^/]+)/locations", "add_location"),
    )

    def __init__(self, now: t.Callable[[], float]) -> None:
        super().__init__(now)
        self.located: t.Dict[str, t.List[str]] = {}
        self.volumes: t.Callable[[str], t.Optional[t.Tuple[int, bytes]]] = lambda volume_id: None
        self.remove_volume: t.Callable[[str], None] = lambda volume_id: None
        self.data: t.Dict[str, bytes] = {}
        self.service = False
        self.location_api = True
        self.multiple_locations = False
        self.taking_in = 1.0
        self.hashing = 4.0

    def shown(self, image: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
        """An image as the API tells of it."""
        if not self.multiple_locations:
            return image
        return dict(image, locations=[{"url": url, "metadata": {}} for url in self.located.get(image["id"], [])])

    def list_locations(self, request: Request, id: str) -> t.Any:
        self._image(id)
        if not self.location_api:
            return page(404, "The resource could not be found.")
        if not (self.admin or self.service):
            return page(403, "You are not authorized to complete fetch_image_location action.")
        return 200, [{"url": url, "metadata": {}} for url in self.located.get(id, [])]

    def add_location(self, request: Request, id: str) -> t.Any:
        image = self._image(id)
        if not self.location_api:
            return page(404, "The resource could not be found.")
        if image["status"] != "queued":
            return page(409, "It's not allowed to add locations if image status is %s." % image["status"])
        if not self.service:
            return page(403, "http store must be enabled to use location API by normal user.")
        if TASK in image:
            return page(409, "New operation on image '%s' is not permitted as prior operation is still in progress" % id)
        self.refer(image, request.json["url"])
        return 202, None

    def add_legacy_location(self, image: t.Dict[str, t.Any], url: str) -> t.Any:
        """PATCH of ``/locations/-``: at once, and without a checksum."""
        if not self.multiple_locations:
            return page(403, "It's not allowed to add locations if locations are invisible.")
        if image["status"] not in ("active", "queued"):
            return page(409, "It's not allowed to add locations if image status is %s." % image["status"])
        if not self._take_in(image, url):
            return page(400, "Invalid location")
        return 200, self.shown(image)

    def refer(self, image: t.Dict[str, t.Any], url: str) -> None:
        """Take a location in: the image is locked, then active, then hashed; in the end it is written back as it was when hashing began."""
        image_id = image["id"]
        self.lock(image_id, "location_import")
        read: t.Dict[str, t.Any] = {}

        def take_in() -> None:
            if self._is_there(image):
                if self._take_in(image, url):
                    image["os_hash_algo"] = "sha512"
                    read.update(copy.deepcopy(image))
                else:
                    self.unlock(image_id, "failure", "Invalid location")

        def write_back() -> None:
            if read and self._is_there(image):
                data = self.data[image_id]
                image.clear()
                image.update(read, checksum=hashlib.md5(data).hexdigest(), os_hash_value=hashlib.sha512(data).hexdigest())
                self.unlock(image_id)

        self._in(self.taking_in, take_in)
        self._in(self.taking_in + self.hashing, write_back)

    def _is_there(self, image: t.Dict[str, t.Any]) -> bool:
        raise NotImplementedError

    def _take_in(self, image: t.Dict[str, t.Any], url: str) -> bool:
        """Whether it could be done; then the image is active."""
        store, volume_id = t.cast(t.Any, re.match(r"cinder://(?:([^/]+)/)?([^/]+)$", url)).groups()
        store = store or next((each for each, what in self.offered.items() if what["type"] == "cinder"), None)
        found = self.volumes(volume_id)
        if found is None or self.offered and self.offered.get(store, {}).get("type") != "cinder":
            return False
        size, self.data[image["id"]] = found
        self.located[image["id"]] = ["cinder://%s%s" % (store + "/" if self.offered else "", volume_id)]
        image.update(status="active", size=size)
        if self.offered:
            image["stores"] = store
        return True

    def delete_from_store(self, request: Request, store: str, id: str) -> t.Any:
        status, answer = super().delete_from_store(request, store, id)
        if status == 204:
            self.let_go(id, "cinder://%s/" % store)
        return status, answer

    def let_go(self, image_id: str, prefix: str = "cinder://") -> None:
        """An image's bytes go from a store; if they are a volume, the volume goes."""
        for url in [url for url in self.located.get(image_id, []) if url.startswith(prefix)]:
            self.located[image_id].remove(url)
            self.remove_volume(url.rpartition("/")[2])
