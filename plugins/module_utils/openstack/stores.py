# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Port to Glance's stores: which there are, and which of them hold an image. Over glanceclient."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied, translated
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import connect

if t.TYPE_CHECKING:
    from keystoneauth1.session import Session

COPY_IMAGE = "copy-image"
# The type of the tasks in which Glance imports, copies among them.
IMPORT = "api_image_import"


@dataclass(frozen=True)
class Store:
    """A store that Glance offers.

    :param type: ``file``, ``rbd``, ``cinder``, ...; None where Glance does not tell, which it does only to administrators and services.
    :param default: Where an image goes when no store is asked for.
    :param read_only: Nothing can be written to it: the http store.
    :param weight: The store with the highest is read first; None where Glance does not tell.
    :param properties: What else Glance tells of it, such as ``pool`` or ``volume_type``.
    """

    id: str
    type: t.Optional[str] = None
    default: bool = False
    read_only: bool = False
    description: t.Optional[str] = None
    weight: t.Optional[int] = None
    properties: t.Mapping[str, t.Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> Store:
        """From what the API says of a store; truth is a string there."""
        return cls(
            id=data["id"], type=data.get("type"), default=_is_true(data.get("default")), read_only=_is_true(data.get("read-only")),
            description=data.get("description"), weight=data.get("weight"), properties=data.get("properties") or {})


def _is_true(value: t.Any) -> bool:
    return str(value).lower() == "true"


@dataclass(frozen=True)
class ImportTask:
    """Work of Glance's on an image, as Glance keeps book of it.

    :param status: ``pending``, ``processing``, ``success`` or ``failure``.
    :param message: What Glance says of it; often nothing.
    :param updated_at: Its last sign of life, by Glance's clock, ISO 8601 (UTC).
    """

    id: str
    type: str
    status: str
    message: str = ""
    updated_at: str = ""


class Stores:
    """The stores of one Glance."""

    def __init__(self, client: t.Any) -> None:
        self._client = client

    @classmethod
    def connect(cls, session: Session, endpoint: str, retries: int) -> Stores:
        """Over an authenticated session.

        :param endpoint: Glance's address without a version.
        :raises MissingPackage: glanceclient is not installed on this host.
        """
        return cls(connect(session, endpoint, retries))

    def list(self) -> t.List[Store]:
        """The stores, in Glance's order, with all that Glance tells this account of them; empty where there is only one, without a name."""
        try:
            return self._list("/v2/info/stores/detail")
        except (Denied, NotFound):  # members may not see them; before Yoga nobody could
            pass
        except BackendError as error:
            if error.details.get("http_status") != 500:  # what it answers if one of them is of a type it has no details of, such as vmware
                raise
        try:
            return self._list("/v2/info/stores")
        except NotFound:
            return []

    def _list(self, path: str) -> t.List[Store]:
        with translated("Glance", "list its stores"):
            dummy, found = self._client.http_client.get(path)
        return [Store.from_json(each) for each in found["stores"]]

    def import_methods(self) -> t.List[str]:
        """The ways in which this Glance takes an image's bytes from elsewhere: ``copy-image`` brings it from store to store."""
        with translated("Glance", "list its import methods"):
            dummy, found = self._client.http_client.get("/v2/info/import")
        return list(found["import-methods"]["value"])

    def copy(self, image_id: str, stores: t.Sequence[str]) -> None:
        """Ask for an image to be copied to more stores. Glance does so one after the other; one that refuses does not undo the others.

        The image is locked by the import when this returns: see ``Image.import_task``.

        :param stores: None of which may hold the image already: Glance then copies to none of them.
        :raises InvalidInput: one of them does, or this Glance does not copy images.
        :raises InUse: an import has the image locked, the image is not active, or there is no such store.
        :raises Denied: for everybody whom the policy ``copy_image`` does not name: by default all but administrators.
        """
        wish = {"method": {"name": COPY_IMAGE}, "stores": list(stores), "all_stores_must_succeed": False}
        with translated("Glance", "copy image %s to %s" % (image_id, ", ".join(stores))):
            self._client.http_client.post("/v2/images/%s/import" % image_id, data=wish)

    def remove(self, image_id: str, store_id: str) -> None:
        """Delete an image's bytes from one store.

        :raises NotFound: they are not there, or there is no such image.
        :raises Denied: no other store has them; or for everybody whom the policy ``delete_image_location`` does not name: by default all but administrators.
        :raises InUse: something there depends on them, such as a volume cloned from them; or there is no such store.
        """
        with translated("Glance", "remove image %s from store %s" % (image_id, store_id)):
            self._client.http_client.delete("/v2/stores/%s/%s" % (store_id, image_id))

    def tasks(self, image_id: str) -> t.List[ImportTask]:
        """What Glance has done to an image, oldest first; nothing where it does not tell this account, or not at all (before Wallaby)."""
        try:
            with translated("Glance", "list the tasks of image %s" % image_id):
                dummy, found = self._client.http_client.get("/v2/images/%s/tasks" % image_id)
        except (Denied, NotFound):
            return []
        tasks = sorted(found["tasks"], key=lambda each: each.get("created_at") or "")
        return [ImportTask(each["id"], each["type"], each["status"], each.get("message") or "", each.get("updated_at") or "") for each in tasks]
