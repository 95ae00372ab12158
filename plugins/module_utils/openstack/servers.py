# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Port to Nova (Compute API v2.1), over keystoneauth. Nothing above sees a request or an answer."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, InvalidInput, NoRoom, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied, translated

if t.TYPE_CHECKING:
    from keystoneauth1.session import Session

Microversion = t.Tuple[int, int]

# What the API can do from which microversion on (api/openstack/compute/rest_api_version_history.rst in Nova): networks can be none from
# 2.37 on, block devices have tags from 2.42 on, and a server tells its flavor's name from 2.47 (Pike) on.
OLDEST: Microversion = (2, 47)
DELETE_WITH_SERVER: Microversion = (2, 79)
_NEWEST_KNOWN: Microversion = (2, 79)

# How long user data may be once it is encoded (maxLength in api/openstack/compute/schemas/servers.py).
LONGEST_USER_DATA = 65535

ACTIVE, BUILD, ERROR, SHUTOFF = "ACTIVE", "BUILD", "ERROR", "SHUTOFF"


@dataclass(frozen=True)
class Server:
    """A server as Nova has it.

    :param task: What Nova is at: ``spawning``, ``deleting``, ...; None if nothing.
    :param flavor: The flavor's name.
    :param launched: Whether it ever ran; one that is in ERROR and did not is nothing but the remains of a request.
    :param fault: What went wrong with it, in Nova's words; empty if nothing did.
    :param volumes: Ids of the volumes that it has: each with whether it goes when the server goes.
    """

    id: str
    name: str
    status: str
    task: t.Optional[str] = None
    flavor: str = ""
    zone: str = ""
    launched: bool = False
    fault: str = ""
    created_at: str = ""
    description: t.Optional[str] = None
    key: t.Optional[str] = None
    metadata: t.Mapping[str, str] = field(default_factory=dict)
    addresses: t.Mapping[str, t.Any] = field(default_factory=dict)
    volumes: t.Mapping[str, bool] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: t.Mapping[str, t.Any]) -> Server:
        """From what the API says of a server."""
        return cls(
            id=data["id"], name=data["name"], status=data["status"], task=data.get("OS-EXT-STS:task_state"),
            flavor=data["flavor"].get("original_name") or "", zone=data.get("OS-EXT-AZ:availability_zone") or "",
            launched=bool(data.get("OS-SRV-USG:launched_at")), fault=(data.get("fault") or {}).get("message") or "",
            created_at=data.get("created") or "", description=data.get("description"), key=data.get("key_name"),
            metadata=data.get("metadata") or {}, addresses=data.get("addresses") or {},
            volumes={each["id"]: bool(each.get("delete_on_termination")) for each in data.get("os-extended-volumes:volumes_attached") or ()})


@dataclass(frozen=True)
class Flavor:
    """A flavor.

    :param memory: MiB.
    """

    id: str
    name: str
    vcpus: int
    memory: int


@dataclass(frozen=True)
class Disk:
    """A volume that a new server has.

    :param boot: It boots from this one.
    :param bus: ``virtio``, ``scsi``, ...; None for Nova's, or the image's, choice.
    :param type: ``disk``, ``cdrom``, ``lun``.
    :param tag: Under which the guest finds it in its metadata.
    :param delete: It goes when the server goes.
    """

    volume: str
    boot: bool = False
    bus: t.Optional[str] = None
    type: t.Optional[str] = None
    tag: t.Optional[str] = None
    delete: bool = False

    def as_json(self) -> t.Dict[str, t.Any]:
        """As a block device mapping."""
        given = {"disk_bus": self.bus, "device_type": self.type, "tag": self.tag}
        return dict(
            {name: value for name, value in given.items() if value is not None},
            uuid=self.volume, source_type="volume", destination_type="volume", boot_index=0 if self.boot else -1, delete_on_termination=self.delete)


@dataclass(frozen=True)
class ServerWish:
    """A server to be created.

    :param networks: ``none``, ``auto``, or Nova's own list of networks and ports.
    :param user_data: Encoded already.
    :param hints: For the scheduler.
    """

    name: str
    flavor: str
    disks: t.Tuple[Disk, ...]
    networks: t.Any = "auto"
    metadata: t.Mapping[str, str] = field(default_factory=dict)
    key: t.Optional[str] = None
    security_groups: t.Optional[t.Tuple[str, ...]] = None
    user_data: t.Optional[str] = None
    config_drive: t.Optional[bool] = None
    zone: t.Optional[str] = None
    description: t.Optional[str] = None
    hints: t.Mapping[str, t.Any] = field(default_factory=dict)

    def as_json(self) -> t.Dict[str, t.Any]:
        """As the body of the request."""
        given = {
            "key_name": self.key, "user_data": self.user_data, "config_drive": self.config_drive, "availability_zone": self.zone,
            "description": self.description, "metadata": dict(self.metadata) or None,
            "security_groups": None if self.security_groups is None else [{"name": name} for name in self.security_groups],
        }
        server = dict({name: value for name, value in given.items() if value is not None}, name=self.name, flavorRef=self.flavor,
                      networks=self.networks, block_device_mapping_v2=[disk.as_json() for disk in self.disks])
        return dict({"server": server}, **({"os:scheduler_hints": dict(self.hints)} if self.hints else {}))


class Servers:
    """Nova, for one project.

    :param newest: The highest microversion that the service and this code both know.
    """

    def __init__(self, adapter: t.Any, *, newest: Microversion) -> None:
        self._adapter = adapter
        self._newest = newest

    @classmethod
    def connect(cls, session: Session, endpoint: str, *, newest: Microversion, retries: int) -> Servers:
        """Over an authenticated session.

        :param newest: What the service offers.
        :raises InvalidInput: it is too old.
        """
        from keystoneauth1.adapter import Adapter

        agreed = min(newest, _NEWEST_KNOWN)
        if agreed < OLDEST:
            raise InvalidInput("this Nova is too old to boot servers with: it offers microversion %d.%d, and %d.%d (Pike) is needed" % (newest + OLDEST))
        adapter = Adapter(session=session, service_type="compute", endpoint_override=endpoint.rstrip("/"), connect_retries=retries,
                          default_microversion="%d.%d" % agreed)
        return cls(adapter, newest=agreed)

    def supports(self, microversion: Microversion) -> bool:
        """Whether this Nova has what came with a microversion."""
        return self._newest >= microversion

    # --- looking ---

    def get(self, server_id: str) -> Server:
        """The server of that id.

        :raises NotFound: it is gone.
        """
        with translated("Nova", "show server %s" % server_id):
            return Server.from_json(self._adapter.get("/servers/%s" % server_id).json()["server"])

    def list(self) -> t.List[Server]:
        """The project's servers with all their details, in one request per thousand."""
        return [Server.from_json(each) for each in self._pages("/servers/detail", "servers", "list servers")]

    def building(self) -> t.Set[str]:
        """The ids of the project's servers that Nova is building; without their details, which cost it several times as much."""
        return {str(each["id"]) for each in self._pages("/servers", "servers", "list servers", status=BUILD)}

    def _pages(self, path: str, what: str, doing: str, **filters: str) -> t.List[t.Dict[str, t.Any]]:
        found: t.List[t.Dict[str, t.Any]] = []
        params = dict(filters)
        with translated("Nova", doing):
            while True:
                body = self._adapter.get(path, params=params).json()
                found += body[what]
                if not body[what] or not any(link["rel"] == "next" for link in body.get(what + "_links") or ()):
                    return found
                params = dict(filters, marker=found[-1]["id"])

    def console(self, server_id: str) -> str:
        """What the server has written on its console, as far back as Nova keeps it; empty before there is one."""
        try:
            with translated("Nova", "show the console of server %s" % server_id):
                return self._action(server_id, "os-getConsoleOutput", {}).json()["output"] or ""
        except NotFound:  # Nova says so as long as the server has no host
            self.get(server_id)
            return ""

    def find_flavor(self, name_or_id: str) -> Flavor:
        """A flavor.

        :raises NotFound: naming those there are.
        """
        there = [Flavor(each["id"], each["name"], each["vcpus"], each["ram"]) for each in self._pages("/flavors/detail", "flavors", "list flavors")]
        for attribute in ("name", "id"):
            for flavor in there:
                if getattr(flavor, attribute) == name_or_id:
                    return flavor
        raise NotFound("there is no flavor '%s'; this project may use: %s" % (name_or_id, ", ".join(sorted(each.name for each in there)) or "none"))

    def find_group(self, name_or_id: str) -> str:
        """The id of a server group.

        :raises NotFound: naming those there are.
        :raises Ambiguous: several have that name.
        """
        with translated("Nova", "list server groups"):
            there = self._adapter.get("/os-server-groups").json()["server_groups"]
        found = [each["id"] for each in there if each["id"] == name_or_id] or [each["id"] for each in there if each["name"] == name_or_id]
        if not found:
            raise NotFound("there is no server group '%s'; this project has: %s" % (name_or_id, ", ".join(sorted(each["name"] for each in there)) or "none"))
        if len(found) > 1:
            raise Ambiguous("%d server groups are called '%s'; name one by its ID: %s" % (len(found), name_or_id, ", ".join(sorted(found))))
        return str(found[0])

    def limits(self) -> t.Dict[str, int]:
        """What the project may have, and has: ``maxTotalInstances``, ``totalInstancesUsed``, ...; -1 stands for no limit."""
        with translated("Nova", "show the limits"):
            return dict(self._adapter.get("/limits").json()["limits"]["absolute"])

    # --- making and unmaking ---

    def create(self, wish: ServerWish) -> str:
        """Ask for a server; it is ``BUILD`` when this returns. Never asked twice by itself: who does not get the answer looks what became of it.

        :returns: Its id.
        :raises InvalidInput: a volume is not available, or not bootable; no such key, zone, ...
        :raises NoRoom: a quota is used up.
        """
        try:
            with translated("Nova", "create server %s" % wish.name):
                return str(self._adapter.post("/servers", json=wish.as_json(), connect_retries=0).json()["server"]["id"])
        except Denied as error:
            if "quota exceeded" in error.message.lower():
                raise NoRoom(error.message, **error.details) from error
            raise

    def delete(self, server_id: str) -> None:
        """Ask for a server to be deleted; one that is gone already is no error."""
        with contextlib.suppress(NotFound), translated("Nova", "delete server %s" % server_id):
            self._adapter.delete("/servers/%s" % server_id)

    def start(self, server_id: str) -> None:
        """Ask for a server to be started.

        :raises InUse: its status forbids that.
        """
        with translated("Nova", "start server %s" % server_id):
            self._action(server_id, "os-start", None)

    def stop(self, server_id: str) -> None:
        """Ask for a server to be shut down; Nova switches it off when its guest does not do so in time.

        :raises InUse: its status forbids that.
        """
        with translated("Nova", "stop server %s" % server_id):
            self._action(server_id, "os-stop", None)

    def attach(self, server_id: str, disk: Disk) -> None:
        """Give a server one more volume.

        :raises InvalidInput: the volume is not available.
        :raises InUse: the server's status forbids that.
        """
        wish: t.Dict[str, t.Any] = {"volumeId": disk.volume}
        if disk.tag:  # came with 2.49
            wish["tag"] = disk.tag
        if disk.delete and self.supports(DELETE_WITH_SERVER):
            wish["delete_on_termination"] = True
        with translated("Nova", "attach volume %s to server %s" % (disk.volume, server_id)):
            self._adapter.post("/servers/%s/os-volume_attachments" % server_id, json={"volumeAttachment": wish})

    def set_metadata(self, server_id: str, metadata: t.Mapping[str, str]) -> None:
        """Add or replace these keys, and leave the others."""
        with translated("Nova", "set the metadata of server %s" % server_id):
            self._adapter.post("/servers/%s/metadata" % server_id, json={"metadata": dict(metadata)})

    def _action(self, server_id: str, action: str, body: t.Any) -> t.Any:
        return self._adapter.post("/servers/%s/action" % server_id, json={action: body})
