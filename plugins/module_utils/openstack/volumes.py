# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Port to Cinder (Block Storage API v3), over cinderclient. Nothing above sees a class of the client."""

from __future__ import annotations

import contextlib
import traceback
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, MissingPackage, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import translated

if t.TYPE_CHECKING:
    from keystoneauth1.session import Session

Microversion = t.Tuple[int, int]

# What the API can do from which microversion on (api/openstack/rest_api_version_history.rst in Cinder).
MESSAGES: Microversion = (3, 5)
ATTACHMENTS: Microversion = (3, 27)
EXTEND_IN_USE: Microversion = (3, 42)
FILTER_BY_TIME: Microversion = (3, 60)
REIMAGE: Microversion = (3, 68)
# Cinder 24 (2024.1), the first that reimages safely, has no microversion of its own for that; this came with it.
REIMAGE_IS_SAFE: Microversion = (3, 71)
_NEWEST_KNOWN: Microversion = (3, 71)


@dataclass(frozen=True)
class Attachment:
    """What a volume is attached to.

    :param server: Nova's id, or None for an attachment without a server.
    :param device: As ``/dev/vda``, or None.
    """

    id: str
    server: t.Optional[str]
    device: t.Optional[str]
    host: t.Optional[str] = None


@dataclass(frozen=True)
class CinderVolume:
    """A volume as Cinder has it.

    :param size: GiB.
    :param type: The volume type's name.
    :param created_at: Cinder's clock, ISO 8601 without a zone (UTC).
    :param image: ``volume_image_metadata``: all strings; empty for a volume that was not made from an image.
    :param name_id: What the back end calls it by, where Cinder has migrated it and left it under another id; only administrators see that.
    """

    id: str
    name: str
    size: int
    status: str
    type: t.Optional[str] = None
    zone: t.Optional[str] = None
    bootable: bool = False
    description: t.Optional[str] = None
    created_at: str = ""
    encrypted: bool = False
    source_volume: t.Optional[str] = None
    metadata: t.Mapping[str, str] = field(default_factory=dict)
    image: t.Mapping[str, str] = field(default_factory=dict)
    attachments: t.Tuple[Attachment, ...] = ()
    name_id: t.Optional[str] = None

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> CinderVolume:
        """From what the API says of a volume: in a listing, alone, or just created."""
        return cls(
            id=data["id"], name=data.get("name") or "", size=data["size"], status=data["status"],
            type=data.get("volume_type"), zone=data.get("availability_zone"),
            bootable=str(data.get("bootable")).lower() == "true",  # Cinder sends a string
            description=data.get("description"), created_at=data.get("created_at") or "", encrypted=bool(data.get("encrypted")),
            source_volume=data.get("source_volid"), name_id=data.get("os-vol-mig-status-attr:name_id"),
            metadata=data.get("metadata") or {}, image=data.get("volume_image_metadata") or {},
            attachments=tuple(
                Attachment(each.get("attachment_id") or each["id"], each.get("server_id"), each.get("device"), each.get("host_name"))
                for each in data.get("attachments") or ()
            ),
        )


@dataclass(frozen=True)
class Wish:
    """A volume to be created. At most one of ``image`` and ``source_volume``.

    :param size: GiB.
    """

    name: str
    size: int
    type: t.Optional[str] = None
    zone: t.Optional[str] = None
    description: t.Optional[str] = None
    metadata: t.Mapping[str, str] = field(default_factory=dict)
    image: t.Optional[str] = None
    source_volume: t.Optional[str] = None


@dataclass(frozen=True)
class Upload:
    """An image that Cinder has begun to make.

    :param type_specs: The extra specs of the volume's type, of which Cinder here shows more than a member sees elsewhere.
    """

    image_id: str
    type_specs: t.Mapping[str, str]


@dataclass(frozen=True)
class Quota:
    """One of a project's quotas.

    :param limit: -1 for none.
    :param used: In use and reserved.
    """

    limit: int
    used: int


class Volumes:
    """Cinder, for one project.

    :param newest: The highest microversion that the service and this code both know.
    :param project: The project's id.
    """

    def __init__(self, client: t.Any, *, newest: Microversion, project: str) -> None:
        self._client = client
        self._newest = newest
        self.project = project

    @classmethod
    def connect(cls, session: Session, endpoint: str, *, newest: Microversion, project: str, retries: int) -> Volumes:
        """Over an authenticated session.

        :param newest: What the service offers.
        :raises MissingPackage: cinderclient is not installed on this host.
        """
        try:
            from cinderclient import api_versions
            from cinderclient.v3.client import Client
        except ImportError as error:
            raise MissingPackage("python-cinderclient", traceback.format_exc()) from error
        agreed = min(newest, _NEWEST_KNOWN)
        client = Client(
            session=session, endpoint_override=endpoint, service_type="block-storage", connect_retries=retries,
            api_version=api_versions.APIVersion("%d.%d" % agreed))
        return cls(client, newest=agreed, project=project)

    def supports(self, microversion: Microversion) -> bool:
        """Whether this Cinder has what came with a microversion."""
        return self._newest >= microversion

    # --- looking ---

    def get(self, volume_id: str) -> CinderVolume:
        """The volume of that id.

        :raises NotFound: it is gone.
        """
        with translated("Cinder", "show volume %s" % volume_id):
            return _volume(self._client.volumes.get(volume_id))

    def list(self, *, name: t.Optional[str] = None, since: t.Optional[str] = None) -> t.List[CinderVolume]:
        """The project's volumes with all their details, in one request per thousand.

        :param name: Only those of this name.
        :param since: Only those created at this time, in Cinder's words, or later; all where it cannot be asked that.
        """
        filters: t.Dict[str, str] = {"name": name} if name else {}
        if since and self.supports(FILTER_BY_TIME):
            try:
                return self._list(dict(filters, created_at="gte:%s" % since))
            except InvalidInput:  # an operator can take filters away
                pass
        return self._list(filters)

    def _list(self, filters: t.Mapping[str, str]) -> t.List[CinderVolume]:
        with translated("Cinder", "list volumes"):
            return [_volume(each) for each in self._client.volumes.list(detailed=True, search_opts=dict(filters))]

    def snapshots(self, volume_id: str) -> t.List[str]:
        """The ids of a volume's snapshots."""
        with translated("Cinder", "list the snapshots of volume %s" % volume_id):
            return [each.id for each in self._client.volume_snapshots.list(detailed=False, search_opts={"volume_id": volume_id})]

    def attachments(self, volume_id: str) -> t.List[str]:
        """The ids of a volume's attachments, those, too, that are only reserved or under way; none where Cinder is too old to tell."""
        if not self.supports(ATTACHMENTS):
            return []
        with translated("Cinder", "list the attachments of volume %s" % volume_id):
            return [each.id for each in self._client.attachments.list(detailed=False, search_opts={"volume_id": volume_id})]

    def messages(self, volume_id: str, since: str = "") -> t.List[str]:
        """What Cinder has to say of a volume that went wrong, newest first; often nothing.

        :param since: Only what it said at this time, ISO 8601 (UTC), or later.
        """
        if not self.supports(MESSAGES):
            return []
        with translated("Cinder", "list messages"):
            found = self._client.messages.list(search_opts={"resource_uuid": volume_id})
        recent = [each for each in found if each.created_at[:19] >= since[:19]]
        return [each.user_message for each in sorted(recent, key=lambda each: each.created_at, reverse=True)]

    def types(self) -> t.Dict[str, str]:
        """The volume types that the project may use: names to ids."""
        with translated("Cinder", "list volume types"):
            return {each.name: each.id for each in self._client.volume_types.list()}

    def find_type(self, name_or_id: str) -> str:
        """The name of a volume type.

        :raises NotFound: naming those there are.
        """
        types = self.types()
        for name, type_id in types.items():
            if name_or_id in (name, type_id):
                return name
        raise NotFound("there is no volume type '%s'; this project may use: %s" % (name_or_id, ", ".join(sorted(types)) or "none"))

    def default_type(self) -> t.Optional[str]:
        """The name of the type that a volume gets when none is asked for; None if Cinder does not tell."""
        with contextlib.suppress(NotFound), translated("Cinder", "show the default volume type"):
            return self._client.volume_types.default().name
        return None

    def type_specs(self, name_or_id: str) -> t.Dict[str, str]:
        """The extra specs of a volume type, as far as this account may see them: to members Cinder shows only a few, without a word.

        :raises NotFound: there is no such type; naming those there are.
        """
        return self._type(name_or_id)[1]

    def set_type_spec(self, name_or_id: str, key: str, value: str) -> None:
        """Add or replace one extra spec of a volume type, and leave the others.

        :raises Denied: for all but administrators.
        :raises InvalidInput: there are volumes of that type, or Cinder does not like the value.
        """
        type_id, dummy = self._type(name_or_id)
        with translated("Cinder", "set %s of volume type %s" % (key, name_or_id)):
            self._client.client.post("/types/%s/extra_specs" % type_id, body={"extra_specs": {key: value}})

    def unset_type_spec(self, name_or_id: str, key: str) -> None:
        """Remove one extra spec of a volume type; one that is not there is no error.

        :raises Denied: for all but administrators.
        :raises InvalidInput: there are volumes of that type.
        """
        type_id, specs = self._type(name_or_id)
        if key in specs:
            with translated("Cinder", "remove %s of volume type %s" % (key, name_or_id)):
                self._client.client.delete("/types/%s/extra_specs/%s" % (type_id, key))

    def _type(self, name_or_id: str) -> t.Tuple[str, t.Dict[str, str]]:
        """A type's id, and its extra specs."""
        type_id = self.types()[self.find_type(name_or_id)]
        with translated("Cinder", "show the extra specs of volume type %s" % name_or_id):
            dummy, found = self._client.client.get("/types/%s/extra_specs" % type_id)
        return type_id, found["extra_specs"]

    def quotas(self) -> t.Dict[str, Quota]:
        """The project's quotas: ``volumes``, ``gigabytes``, ``per_volume_gigabytes``, and per type as ``volumes_rbd``."""
        with translated("Cinder", "show the quotas"):
            found = self._client.quotas.get(self.project, usage=True)
        return {
            name: Quota(limit=value["limit"], used=value.get("in_use", 0) + value.get("reserved", 0))
            for name, value in found.to_dict().items() if isinstance(value, dict) and "limit" in value
        }

    # --- making and unmaking ---

    def create(self, wish: Wish) -> CinderVolume:
        """Ask for a volume; it is ``creating`` when this returns.

        :raises InvalidInput: too small for the image, the image is not active, no such zone.
        :raises NotFound: no such type, image or source volume.
        :raises NoRoom: a quota is used up.
        """
        with translated("Cinder", "create volume %s" % wish.name):
            return _volume(self._client.volumes.create(
                wish.size, name=wish.name, description=wish.description, volume_type=wish.type, availability_zone=wish.zone,
                metadata=dict(wish.metadata), imageRef=wish.image, source_volid=wish.source_volume))

    def delete(self, volume_id: str) -> None:
        """Ask for a volume to be deleted; one that is gone already is no error.

        :raises InvalidInput: its status forbids that, or something depends on it.
        """
        with contextlib.suppress(NotFound), translated("Cinder", "delete volume %s" % volume_id):
            self._client.volumes.delete(volume_id)

    def extend(self, volume_id: str, size: int, *, in_use: bool) -> None:
        """Ask for a larger volume: ``size`` GiB.

        :param in_use: It is attached.
        :raises InvalidInput: it is attached and this Cinder extends only volumes that are not.
        """
        if in_use and not self.supports(EXTEND_IN_USE):
            raise InvalidInput("this Cinder cannot extend an attached volume (that came with microversion 3.42); detach %s first" % volume_id)
        with translated("Cinder", "extend volume %s to %d GiB" % (volume_id, size)):
            self._client.volumes.extend(volume_id, size)

    def set_bootable(self, volume_id: str, bootable: bool) -> None:
        """Say whether a server can boot from it."""
        with translated("Cinder", "make volume %s %sbootable" % (volume_id, "" if bootable else "not ")):
            self._client.volumes.set_bootable(volume_id, bootable)

    def set_metadata(self, volume_id: str, metadata: t.Mapping[str, str]) -> None:
        """Add or replace these keys, and leave the others."""
        with translated("Cinder", "set the metadata of volume %s" % volume_id):
            self._client.volumes.set_metadata(volume_id, dict(metadata))

    def delete_metadata(self, volume_id: str, key: str) -> None:
        """Remove one key; one that is not there is no error.

        :raises NotFound: the volume is gone.
        """
        with translated("Cinder", "remove metadata of volume %s" % volume_id):
            try:
                # not client.volumes.delete_metadata, which replaces all of it in two requests
                self._client.client.delete("/volumes/%s/metadata/%s" % (volume_id, key))
            except Exception as error:
                if getattr(error, "code", None) != 404:
                    raise
                self._client.volumes.get(volume_id)

    def describe(self, volume_id: str, description: str) -> None:
        """Set the description."""
        with translated("Cinder", "describe volume %s" % volume_id):
            self._client.volumes.update(volume_id, description=description)

    def upload_to_image(self, volume_id: str, name: str, *, disk_format: str, container_format: str, visibility: str, force: bool) -> Upload:
        """Ask for an image of a volume; the volume is ``uploading`` and the image ``queued`` when this returns.

        :param force: Even while it is attached; a cloud may ignore that (``enable_force_upload``).
        :raises InvalidInput: the volume's status forbids that.
        :raises Denied: this account may not, or not with this visibility.
        """
        with translated("Cinder", "make an image of volume %s" % volume_id):
            # visibility came with microversion 3.1, which every Cinder that is still run has
            dummy, body = self._client.volumes.upload_to_image(volume_id, force, name, container_format, disk_format, visibility, False)
        said = body["os-volume_upload_image"]
        return Upload(said["image_id"], dict((said.get("volume_type") or {}).get("extra_specs") or {}))

    def set_readonly(self, volume_id: str, readonly: bool) -> None:
        """Say whether a volume can be written to."""
        with translated("Cinder", "make volume %s %s" % (volume_id, "read-only" if readonly else "writable")):
            self._client.volumes.update_readonly_flag(volume_id, readonly)

    def reserve(self, volume_id: str) -> None:
        """Keep an available volume, which is ``attaching`` from then on, from being attached, deleted or changed by others.

        :raises InvalidInput: its status forbids that.
        """
        with translated("Cinder", "reserve volume %s" % volume_id):
            self._client.volumes.reserve(volume_id)

    def unreserve(self, volume_id: str) -> None:
        """Let go of a volume that is ``attaching``; it is ``available`` again. Any other stays as it is, without a word."""
        with translated("Cinder", "let go of volume %s" % volume_id):
            self._client.volumes.unreserve(volume_id)

    def reimage(self, volume_id: str, image_id: str) -> None:
        """Ask for a volume's content to be replaced by an image; it is ``downloading`` when this returns.

        :raises InvalidInput: this Cinder cannot do that, or the volume's status forbids it.
        """
        if not self.supports(REIMAGE):
            raise InvalidInput("this Cinder cannot refill a volume (that came with Zed, microversion 3.68); use on_drift: replace")
        with translated("Cinder", "refill volume %s" % volume_id):
            self._client.volumes.reimage(volume_id, image_id)

    def reset_state(self, volume_id: str, state: str) -> None:
        """Overrule Cinder's idea of a volume's status; administrators only.

        :raises Denied: for everybody else.
        """
        with translated("Cinder", "reset the state of volume %s" % volume_id):
            self._client.volumes.reset_state(volume_id, state)


def _volume(resource: t.Any) -> CinderVolume:
    return CinderVolume.from_json(resource.to_dict())
