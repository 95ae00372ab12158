# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Port to Glance (Image API v2), over glanceclient. Nothing above sees a class of the client."""

from __future__ import annotations

import contextlib
import json
import re
import traceback
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    Ambiguous, BackendError, InvalidInput, MissingPackage, NotFound, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied, translated

if t.TYPE_CHECKING:
    from keystoneauth1.session import Session

ACTIVE = "active"
_PATCH = "application/openstack-images-v2.1-json-patch"

_UUID_FORM = re.compile(r"^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$", re.IGNORECASE)


def is_uuid(name_or_id: str) -> bool:
    """Whether it can be an id; it may be a name all the same."""
    return _UUID_FORM.match(name_or_id) is not None


# Attributes of Glance's own; every other key of an image is a property that somebody gave it.
_OWN = frozenset((
    "id", "name", "status", "visibility", "protected", "owner", "tags", "created_at", "updated_at", "size", "virtual_size",
    "min_disk", "min_ram", "checksum", "os_hash_algo", "os_hash_value", "os_hidden", "disk_format", "container_format",
    "stores", "locations", "direct_url", "file", "schema", "self",
))


@dataclass(frozen=True)
class Image:
    """An image as Glance has it.

    :param size: Bytes as stored; None before there are any.
    :param virtual_size: Bytes of the disk inside, as Glance found out; None if it did not.
    :param min_disk: GiB.
    :param checksum: MD5 in hex, or None.
    :param owner: The project's id; None where Glance does not tell.
    :param created_at: Glance's clock, ISO 8601 (UTC).
    :param stores: Ids of the stores that hold it; empty where there is only one.
    :param locations: Where its bytes lie, as ``cinder://<store>/<volume>``; empty where Glance does not tell, which is the default.
    :param importing_to: The stores that an import has yet to bring it to.
    :param failed_import: The stores that an import could not bring it to.
    :param import_task: The import that has the image locked; None if there is none.
    :param properties: What people, and services, gave it beyond Glance's own attributes.
    """

    id: str
    name: str
    status: str
    disk_format: t.Optional[str] = None
    container_format: t.Optional[str] = None
    size: t.Optional[int] = None
    virtual_size: t.Optional[int] = None
    min_disk: int = 0
    checksum: t.Optional[str] = None
    hash_algo: t.Optional[str] = None
    hash_value: t.Optional[str] = None
    visibility: str = "private"
    protected: bool = False
    hidden: bool = False
    owner: t.Optional[str] = None
    created_at: str = ""
    tags: t.Tuple[str, ...] = ()
    stores: t.Tuple[str, ...] = ()
    locations: t.Tuple[str, ...] = ()
    importing_to: t.Tuple[str, ...] = ()
    failed_import: t.Tuple[str, ...] = ()
    import_task: t.Optional[str] = None
    properties: t.Mapping[str, t.Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> Image:
        """From what the API says of an image."""
        return cls(
            id=data["id"], name=data.get("name") or "", status=data["status"],
            disk_format=data.get("disk_format"), container_format=data.get("container_format"),
            size=data.get("size"), virtual_size=data.get("virtual_size"), min_disk=data.get("min_disk") or 0,
            checksum=data.get("checksum"), hash_algo=data.get("os_hash_algo"), hash_value=data.get("os_hash_value"),
            visibility=data.get("visibility", "private"), protected=bool(data.get("protected")), hidden=bool(data.get("os_hidden")),
            owner=data.get("owner"), created_at=data.get("created_at") or "", tags=tuple(sorted(data.get("tags") or ())),
            stores=_names(data.get("stores")),
            locations=tuple(each["url"] for each in data.get("locations") or ()) or ((data["direct_url"],) if data.get("direct_url") else ()),
            importing_to=_names(data.get("os_glance_importing_to_stores")), failed_import=_names(data.get("os_glance_failed_import")),
            import_task=data.get("os_glance_import_task") or None,
            # what begins with os_glance_ is Glance's note to itself
            properties={key: value for key, value in data.items() if key not in _OWN and not key.startswith("os_glance_")},
        )


def _names(listed: t.Optional[str]) -> t.Tuple[str, ...]:
    """Glance separates the names of stores with commas."""
    return tuple(each for each in (listed or "").split(",") if each)


class Download:
    """An image's bytes as they come, straight from the socket: no decoding, no copies in between."""

    def __init__(self, response: t.Any, image_id: str) -> None:
        self._response = response
        self._image_id = image_id

    def read(self, length: int) -> bytes:
        """At most ``length`` bytes; ``b""`` at the end.

        :raises BackendError: when the connection breaks, or ends before all has arrived.
        """
        with translated("Glance", "send image %s to its end" % self._image_id):
            return self._response.raw.read(length, decode_content=False)

    def close(self) -> None:
        """Let the connection go. May be called twice."""
        self._response.close()


def connect(session: Session, endpoint: str, retries: int) -> t.Any:
    """glanceclient, over an authenticated session.

    :param endpoint: Glance's address without a version.
    :raises MissingPackage: glanceclient is not installed on this host.
    """
    try:
        from glanceclient.v2.client import Client
    except ImportError as error:
        raise MissingPackage("python-glanceclient", traceback.format_exc()) from error
    return Client(session=session, endpoint_override=endpoint, connect_retries=retries)


class Images:
    """Glance, for one project."""

    def __init__(self, client: t.Any, session: Session, endpoint: str, retries: int) -> None:
        self._client = client
        self._session = session
        self._endpoint = endpoint.rstrip("/")
        self._retries = retries

    @classmethod
    def connect(cls, session: Session, endpoint: str, retries: int) -> Images:
        """Over an authenticated session.

        :param endpoint: Glance's address without a version.
        :raises MissingPackage: glanceclient is not installed on this host.
        """
        return cls(connect(session, endpoint, retries), session, endpoint, retries)

    def get(self, image_id: str) -> Image:
        """The image of that id.

        :raises NotFound: there is none, or not for this project.
        """
        with translated("Glance", "show image %s" % image_id):
            # not client.images.get, which would fetch and compile Glance's JSON schema first
            dummy, data = self._client.http_client.get("/v2/images/%s" % image_id)
        return Image.from_json(data)

    def list(self, **filters: str) -> t.List[Image]:
        """The images that the project sees, with exactly these attributes or properties."""
        path = "/v2/images"
        name = filters.get("name", "")
        if ":" in name:  # Glance takes what stands before it for an operator, and only a quoted list for a name that has one
            filters["name"] = 'in:"%s"' % name
            if '"' in name or "\\" in name:  # what is escaped stays escaped (split_filter_value_for_quotes in glance/common/utils.py)
                del filters["name"]
        params: t.Optional[t.Dict[str, str]] = dict(filters, limit="200")
        found: t.List[Image] = []
        with translated("Glance", "list images"):
            while path:
                dummy, page = self._client.http_client.get(path, params=params)
                found += [Image.from_json(data) for data in page["images"]]
                path, params = page.get("next"), None
        return [image for image in found if image.name == name] if name else found

    def find(self, name_or_id: str) -> Image:
        """The image of that id, or of that name.

        :raises NotFound: neither.
        :raises Ambiguous: several images have that name; their ids are listed.
        """
        if is_uuid(name_or_id):
            with contextlib.suppress(NotFound):
                return self.get(name_or_id)
        found = self.list(name=name_or_id)
        if not found:
            found = self.list(name=name_or_id, os_hidden="true")
        if not found:
            raise NotFound("Glance has no image with the name or id '%s' that this project may see; check image and cloud" % name_or_id)
        if len(found) > 1:
            ids = [image.id for image in found]
            each = ", ".join("%s (%s)" % (image.id, image.status) for image in found)
            raise Ambiguous("%d images have the name '%s': %s; name one of them by its id" % (len(found), name_or_id, each), ids=ids)
        return found[0]

    def read(self, image_id: str, offset: int = 0) -> Download:
        """The image's bytes from ``offset`` on.

        :raises BackendError: Glance does not send them, or cannot start there.
        """
        headers = {"Accept": "application/octet-stream", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = "bytes=%d-" % offset
        with translated("Glance", "send image %s" % image_id):
            response = self._session.get(self._file(image_id), headers=headers, stream=True, log=False, connect_retries=self._retries)
        if offset and response.status_code != 206:
            response.close()
            raise BackendError("Glance cannot send image %s from byte %d on; start again from the beginning" % (image_id, offset))
        return Download(response, image_id)

    def create(self, name: str, data: t.Iterable[bytes], *, disk_format: str, container_format: str = "bare", size: t.Optional[int] = None,
               properties: t.Optional[t.Mapping[str, str]] = None, tags: t.Sequence[str] = (), visibility: str = "private") -> Image:
        """A new image, filled with the pieces that ``data`` yields. Whatever goes wrong, no image is left behind.

        :param size: Bytes in all, if known.
        """
        image = self.announce(dict(
            properties or {}, name=name, disk_format=disk_format, container_format=container_format, tags=list(tags), visibility=visibility))
        try:
            return self.upload(image, data, size=size)
        except BaseException:
            self.discard(image)
            raise

    def announce(self, attributes: t.Mapping[str, t.Any]) -> Image:
        """A new image without data: ``queued``.

        :param attributes: In Glance's names, properties among them; ``id`` is a new UUID, where something has to know that beforehand.
        """
        with translated("Glance", "create image %s" % attributes["name"]):
            dummy, created = self._client.http_client.post("/v2/images", data=dict(attributes))
        return Image.from_json(created)

    def upload(self, image: Image, data: t.Iterable[bytes], *, size: t.Optional[int] = None, store: t.Optional[str] = None,
               base: t.Optional[str] = None) -> Image:
        """Fill a ``queued`` image with the pieces that ``data`` yields; they go to Glance one by one.

        An error that ``data`` raises comes out as it is. The bytes come only once, so nothing is sent a second time: not after
        a lost connection, not after a 401. Whatever goes wrong, the image stays, without data.

        :param size: Bytes in all, if known.
        :param store: Where they shall lie; None for the default store.
        :param base: The id of the image from which this one descends. No Glance up to 33 (2026.2) acts on it; one to come may.
        :raises InvalidInput: there is no such store.
        """
        broken: t.List[Exception] = []
        headers = {"Content-Type": "application/octet-stream"}
        if size is not None:
            headers["x-openstack-image-size"] = str(size)
        if store:
            headers["x-image-meta-store"] = store
        if base:
            headers["x-openstack-base-image-ref"] = base
        try:
            with translated("Glance", "take the bytes of image %s" % image.name):
                self._session.put(
                    self._file(image.id), data=_chunks(data, broken), headers=headers, log=False, redirect=False, connect_retries=0, allow_reauth=False)
            return self.get(image.id)
        except Exception as error:
            if broken:
                raise broken[0] from error
            raise

    def _file(self, image_id: str) -> str:
        return "%s/v2/images/%s/file" % (self._endpoint, image_id)

    def set_properties(self, image_id: str, properties: t.Mapping[str, str]) -> None:
        """Add or replace these properties, and leave the others."""
        self.change(image_id, properties)

    def change(self, image_id: str, values: t.Mapping[str, t.Any], without: t.Sequence[str] = ()) -> Image:
        """Add or replace attributes and properties, take others away, and leave the rest.

        :param values: In Glance's names: ``protected``, ``visibility``, ``tags`` (a list), ``min_disk`` (GiB), or any property.
        :param without: Properties that the image has, and shall not have any longer.
        """
        # "add" replaces, too: RFC 6902
        changes: t.List[t.Dict[str, t.Any]] = [{"op": "add", "path": _pointer(key), "value": value} for key, value in values.items()]
        changes += [{"op": "remove", "path": _pointer(key)} for key in without]
        with translated("Glance", "change image %s" % image_id):
            dummy, changed = self._client.http_client.patch("/v2/images/%s" % image_id, data=json.dumps(changes), headers={"Content-Type": _PATCH})
        return Image.from_json(changed)

    def add_location(self, image_id: str, url: str) -> None:
        """Make a ``queued`` image refer to bytes that are in a store already; Glance finishes that after this returns.

        Tried first is the location API of Glance 29 and later, for services; then the older one, which an operator may have
        opened with ``show_multiple_locations``.

        :param url: ``cinder://<volume>``, or ``cinder://<store>/<volume>``.
        :raises Denied: neither is open to this account.
        """
        with translated("Glance", "let image %s refer to %s" % (image_id, url)):
            try:
                self._client.http_client.post("/v2/images/%s/locations" % image_id, data={"url": url})
                return
            except Exception as error:
                if getattr(error, "code", None) not in (403, 404, 405):
                    raise
            change = [{"op": "add", "path": "/locations/-", "value": {"url": url, "metadata": {}}}]
            self._client.http_client.patch("/v2/images/%s" % image_id, data=json.dumps(change), headers={"Content-Type": _PATCH})

    def locations(self, image: Image) -> t.Tuple[str, ...]:
        """Where an image's bytes lie, as URLs; empty where Glance does not tell this account."""
        if image.locations:
            return image.locations
        try:
            with translated("Glance", "tell where image %s lies" % image.id):
                dummy, found = self._client.http_client.get("/v2/images/%s/locations" % image.id)
        except VolumesError:
            return ()
        return tuple(each["url"] for each in found or ())

    def delete(self, image_id: str) -> None:
        """Delete an image; one that is gone already is no error.

        :raises InUse: something in the store still depends on its bytes, such as a volume cloned from it.
        """
        with contextlib.suppress(NotFound):
            try:
                self._delete(image_id)
            except BackendError as error:
                if error.details.get("http_status") != 500:
                    raise
                # it was computing the checksum, which it gives up for the deletion, and may stumble over what that writes at its end
                self._delete(image_id)

    def _delete(self, image_id: str) -> None:
        with translated("Glance", "delete image %s" % image_id):
            self._client.images.delete(image_id)

    def discard(self, image: Image) -> None:
        """Delete an image that came to nothing, even a protected one. That it could not be deleted is no error: there is a worse one already."""
        with contextlib.suppress(VolumesError):
            try:
                self._unprotect(image)
                self.delete(image.id)
            except Denied:  # at the end of computing the checksum Glance writes an image back as it was: protected
                self._unprotect(self.get(image.id))
                self.delete(image.id)

    def _unprotect(self, image: Image) -> None:
        if image.protected:
            self.change(image.id, {"protected": False})


def _pointer(key: str) -> str:
    """A key in JSON's words: RFC 6901."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _chunks(data: t.Iterable[bytes], broken: t.List[Exception]) -> t.Iterator[bytes]:
    """What ``data`` yields; its error also goes into ``broken``, since the client would take it for a lost connection."""
    try:
        yield from data
    except Exception as error:
        broken.append(error)
        raise


def require_readable(image: Image) -> None:
    """Refuse an image that has no bytes to read yet, or no longer.

    :raises InvalidInput: with its status, and what to do.
    """
    if image.status == ACTIVE:
        return
    advice = {
        "queued": "it has no data yet; upload some first",
        "saving": "its data is being uploaded; wait for that",
        "importing": "its data is being imported; wait for that",
        "uploading": "its data is being uploaded; wait for that",
        "deactivated": "an administrator has locked its data; ask for it to be reactivated",
    }.get(image.status, "it cannot be read")
    raise InvalidInput("image %s (%s) is %s: %s" % (image.name, image.id, image.status, advice))
