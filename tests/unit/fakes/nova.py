# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Nova in memory, behind its REST API, as strict as the real one where that has bitten: schemas, volumes that are reserved before it answers,
servers that come to nothing, quotas."""

from __future__ import annotations

import base64
import re
import typing as t
import urllib.parse
import uuid

from ansible_collections.bootable.volumes.tests.unit.fakes.cinder import FakeCinder
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request, Service

# From api/openstack/compute/schemas/servers.py (34.0.0), as far as it is of use here.
SERVER_KEYS = frozenset(("name", "flavorRef", "networks", "block_device_mapping_v2", "metadata", "key_name", "security_groups", "user_data", "config_drive",
                         "availability_zone", "description"))
DEVICE_KEYS = frozenset(("uuid", "source_type", "destination_type", "boot_index", "delete_on_termination", "disk_bus", "device_type", "tag"))
BUSES = ("virtio", "scsi", "ide", "usb", "sata", "fdc", "lxc", "uml", "xen")

Server = t.Dict[str, t.Any]


class FakeNova(Service):
    """One project's servers.

    :ivar seconds: How long a server is built, or deleted.
    :ivar failing: Names of servers that come to nothing, and what Nova says of it.
    :ivar unanswered: Names that are created without an answer: the connection breaks.
    :ivar lost: Names whose request never arrives: the connection breaks before.
    :ivar consoles: What servers write, by name, each time they boot; by default what the guest of the lab does.
    """

    ROUTES = (
        ("GET", r"/servers/detail", "list_servers"),
        ("GET", r"/servers", "list_names"),
        ("POST", r"/servers", "create"),
        ("GET", r"/servers/(?P<id>[^/]+)", "show"),
        ("DELETE", r"/servers/(?P<id>[^/]+)", "delete"),
        ("POST", r"/servers/(?P<id>[^/]+)/action", "act"),
        ("POST", r"/servers/(?P<id>[^/]+)/metadata", "set_metadata"),
        ("POST", r"/servers/(?P<id>[^/]+)/os-volume_attachments", "attach"),
        ("GET", r"/flavors/detail", "list_flavors"),
        ("GET", r"/os-server-groups", "list_groups"),
        ("GET", r"/limits", "show_limits"),
    )

    def __init__(self, clock: t.Any, cinder: FakeCinder) -> None:
        super().__init__("http://nova/v2.1", "could not be found")
        self._clock = clock
        self._cinder = cinder
        self.servers: t.Dict[str, Server] = {}
        self.flavors = {"tiny": {"id": "1", "name": "tiny", "vcpus": 1, "ram": 128}, "small": {"id": "2", "name": "small", "vcpus": 2, "ram": 512}}
        self.groups: t.List[t.Dict[str, str]] = [{"id": "g1", "name": "apart"}]
        self.keys = ("operator",)
        self.limits = {"maxTotalInstances": 10, "maxTotalCores": 20, "maxTotalRAMSize": 51200}
        self.seconds = 2.0
        self.failing: t.Dict[str, str] = {}
        self.unanswered: t.Set[str] = set()
        self.lost: t.Set[str] = set()
        self.undeletable: t.Set[str] = set()
        self.consoles: t.Dict[str, str] = {}
        self.wishes: t.List[t.Dict[str, t.Any]] = []
        self.page = 1000
        cinder.advance_others.append(self.advance)

    # --- time passes ---

    def before(self, request: Request) -> None:
        super().before(request)
        if request.headers.get("OpenStack-API-Version") != "compute 2.79":
            raise Refused(406, "Version %s is not supported by the API." % request.headers.get("OpenStack-API-Version"))
        self._cinder.advance()

    def advance(self) -> None:
        """Let the computes get on with their work."""
        for server in list(self.servers.values()):
            for due, change in list(server["_later"]):
                if self._clock.now() >= due:
                    server["_later"].remove((due, change))
                    change(server)

    def _later(self, server: Server, change: t.Callable[[Server], None]) -> None:
        server["_later"].append((self._clock.now() + self.seconds, change))

    # --- looking ---

    def _server(self, server_id: str) -> Server:
        if server_id not in self.servers:
            raise Refused(404, "Instance %s could not be found." % server_id)
        return self.servers[server_id]

    @staticmethod
    def _shown(server: Server) -> Server:
        return {
            **{key: value for key, value in server.items() if not key.startswith("_")},
            "os-extended-volumes:volumes_attached": [{"id": each["uuid"], "delete_on_termination": each["delete_on_termination"]} for each in server["_disks"]],
            "OS-EXT-STS:task_state": server["_task"], "OS-SRV-USG:launched_at": server["_launched"], "metadata": dict(server["metadata"]),
        }

    def list_servers(self, request: Request) -> t.Any:
        return self._page(request, "/servers/detail", self._shown)

    def list_names(self, request: Request) -> t.Any:
        return self._page(request, "/servers", lambda server: {"id": server["id"], "name": server["name"], "links": []})

    def _page(self, request: Request, path: str, shown: t.Callable[[Server], Server]) -> t.Any:
        if request.query.keys() - {"marker", "status"}:
            raise Refused(400, "Invalid input for query parameters %s." % ", ".join(sorted(request.query)))
        found = sorted(self.servers.values(), key=lambda server: (server["created"], server["id"]), reverse=True)
        found = [server for server in found if server["status"] == request.query.get("status", server["status"])]
        if "marker" in request.query:
            found = found[[server["id"] for server in found].index(request.query["marker"]) + 1:]
        answer: t.Dict[str, t.Any] = {"servers": [shown(server) for server in found[:self.page]]}
        if len(found) > self.page:
            following = urllib.parse.urlencode(dict(request.query, marker=found[self.page - 1]["id"]))
            answer["servers_links"] = [{"rel": "next", "href": "%s%s?%s" % (self.url, path, following)}]
        return 200, answer

    def show(self, request: Request, id: str) -> t.Any:
        return 200, {"server": self._shown(self._server(id))}

    def list_flavors(self, request: Request) -> t.Any:
        return 200, {"flavors": list(self.flavors.values())}

    def list_groups(self, request: Request) -> t.Any:
        return 200, {"server_groups": self.groups}

    def _used(self) -> t.Dict[str, int]:
        flavors = [self.flavors[server["flavor"]["original_name"]] for server in self.servers.values()]
        return {"totalInstancesUsed": len(flavors), "totalCoresUsed": sum(t.cast(int, each["vcpus"]) for each in flavors),
                "totalRAMUsed": sum(t.cast(int, each["ram"]) for each in flavors)}

    def show_limits(self, request: Request) -> t.Any:
        return 200, {"limits": {"rate": [], "absolute": dict(self.limits, **self._used())}}

    # --- making ---

    def create(self, request: Request) -> t.Any:
        body = request.json
        wish = body["server"]
        if wish["name"] in self.lost:
            self.lost.discard(wish["name"])
            raise ConnectionResetError("Connection reset by peer")
        self._check(wish)
        flavor = next((each for each in self.flavors.values() if each["id"] == wish["flavorRef"]), None)
        if flavor is None:
            raise Refused(400, "Invalid flavorRef provided.")
        if wish.get("key_name") not in (None, *self.keys):
            raise Refused(400, "Invalid key_name provided.")
        if wish.get("availability_zone") not in (None, "nova", "nova:host"):
            raise Refused(400, "The requested availability zone is not available")
        if len(self.servers) + 1 > self.limits["maxTotalInstances"]:
            raise Refused(403, "Quota exceeded for instances: Requested 1, but already used %d of %d instances" % (
                len(self.servers), self.limits["maxTotalInstances"]))
        server: Server = {
            "id": str(uuid.uuid4()), "name": wish["name"], "status": "BUILD", "metadata": dict(wish.get("metadata") or {}), "created": self._stamp(),
            "flavor": {"original_name": flavor["name"], "vcpus": flavor["vcpus"], "ram": flavor["ram"]}, "addresses": {}, "image": "",
            "key_name": wish.get("key_name"), "description": wish.get("description"), "OS-EXT-AZ:availability_zone": "",
            "_task": "scheduling", "_launched": None, "_disks": [], "_later": [], "_console": "", "_deleting": False,
        }
        for device in wish["block_device_mapping_v2"]:
            self._reserve(device, server)
        server["_disks"] = wish["block_device_mapping_v2"]
        self.servers[server["id"]] = server
        self.wishes.append(body)
        self._later(server, self._spawn)
        if wish["name"] in self.unanswered:
            self.unanswered.discard(wish["name"])
            raise ConnectionResetError("Connection reset by peer")
        return 202, {"server": {"id": server["id"], "links": [], "adminPass": "secret"}}

    def _stamp(self) -> str:
        seconds = int(self._clock.now())
        return "2026-01-01T%02d:%02d:%02dZ" % (seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)

    @staticmethod
    def _check(wish: t.Dict[str, t.Any]) -> None:
        unknown = wish.keys() - SERVER_KEYS
        if unknown:
            raise Refused(400, "Invalid input for field/attribute server. Additional properties are not allowed (%s was unexpected)" % (
                ", ".join(sorted(unknown))))
        if "networks" not in wish:
            raise Refused(400, "Invalid input for field/attribute server. 'networks' is a required property")
        if wish["networks"] not in ("none", "auto") and not all(each.keys() <= {"uuid", "port", "fixed_ip", "tag"} for each in wish["networks"]):
            raise Refused(400, "Invalid input for field/attribute networks.")
        for key, value in (wish.get("metadata") or {}).items():
            if not isinstance(value, str) or not re.fullmatch(r"[a-zA-Z0-9-_:. ]{1,255}", key) or len(value) > 255:
                raise Refused(400, "Invalid input for field/attribute %s." % key)
        if wish.get("user_data") is not None:
            base64.b64decode(wish["user_data"], validate=True)
            if len(wish["user_data"]) > 65535:
                raise Refused(400, "Invalid input for field/attribute user_data.")
        for device in wish["block_device_mapping_v2"]:
            if device.keys() - DEVICE_KEYS or device.get("disk_bus") not in (None, *BUSES):
                raise Refused(400, "Invalid input for field/attribute block_device_mapping_v2.")
        if [device["boot_index"] for device in wish["block_device_mapping_v2"]].count(0) != 1:
            raise Refused(400, "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is not valid.")

    def _reserve(self, device: t.Dict[str, t.Any], server: Server) -> None:
        volume = self._cinder.volumes.get(device["uuid"])
        if volume is None:
            raise Refused(400, "Block Device Mapping is Invalid: failed to get volume %s." % device["uuid"])
        if device["boot_index"] == 0 and not volume["bootable"]:
            raise Refused(400, "Block Device %s is not bootable." % device["uuid"])
        if volume["status"] != "available":
            raise Refused(400, "Invalid volume: volume '%s' status must be 'available'. Currently in '%s'" % (volume["id"], volume["status"]))
        volume["status"] = "reserved"
        volume["_for"] = server["id"]

    def _spawn(self, server: Server) -> None:
        server["_task"] = None
        if server["name"] in self.failing:
            server.update(status="ERROR", fault={"code": 500, "message": self.failing[server["name"]], "created": self._stamp()})
            return
        for number, device in enumerate(server["_disks"]):
            self._connect(server, device, number)
        server.update({"status": "ACTIVE", "_launched": self._stamp(), "OS-EXT-AZ:availability_zone": "nova"})
        self._boot(server)

    def _connect(self, server: Server, device: t.Dict[str, t.Any], number: int) -> None:
        volume = self._cinder.volumes[device["uuid"]]
        volume.update(status="in-use", attachments=[{
            "attachment_id": str(uuid.uuid4()), "id": volume["id"], "server_id": server["id"], "device": "/dev/vd%s" % "abcdefgh"[number], "host_name": None}])

    def _boot(self, server: Server) -> None:
        server["_console"] = self.consoles.get(server["name"], "BOOTABLE-GUEST-UP serial=%s\n" % server["_disks"][0]["uuid"][:20])

    # --- changing ---

    def delete(self, request: Request, id: str) -> t.Any:
        server = self._server(id)
        if not server["_deleting"]:
            server.update(_deleting=True, _task="deleting")
            self._later(server, self._gone)
        return 204, None

    def _gone(self, server: Server) -> None:
        if server["name"] in self.undeletable:
            server.update(status="ERROR", _task=None, fault={"code": 500, "message": "the host does not answer"})
            return
        del self.servers[server["id"]]
        for device in server["_disks"]:
            volume = self._cinder.volumes.get(device["uuid"])
            if volume is not None:
                volume.update(status="detaching", attachments=[])
                if device["delete_on_termination"]:
                    self._cinder.volumes.pop(device["uuid"])
                else:
                    self._cinder._later(volume, 1.0, lambda each: each.update(status="available"))

    def act(self, request: Request, id: str) -> t.Any:
        server = self._server(id)
        (action, body), = request.json.items()
        if action == "os-getConsoleOutput":
            if not server["_launched"]:
                raise Refused(404, "Guest does not have a console available.")
            return 200, {"output": server["_console"]}
        wanted, becomes = {"os-start": ("SHUTOFF", "ACTIVE"), "os-stop": ("ACTIVE", "SHUTOFF")}[action]
        if server["status"] != wanted or server["_task"]:
            raise Refused(409, "Cannot '%s' instance %s while it is in vm_state %s" % (action[3:], id, server["status"].lower()))
        server["_task"] = "powering-on" if becomes == "ACTIVE" else "powering-off"

        def change(each: Server) -> None:
            each.update(status=becomes, _task=None)
            if becomes == "ACTIVE":
                self._boot(each)

        self._later(server, change)
        return 202, None

    def set_metadata(self, request: Request, id: str) -> t.Any:
        self._server(id)["metadata"].update(request.json["metadata"])
        return 200, {"metadata": self._server(id)["metadata"]}

    def attach(self, request: Request, id: str) -> t.Any:
        server, wish = self._server(id), request.json["volumeAttachment"]
        if wish.keys() - {"volumeId", "tag", "delete_on_termination"}:
            raise Refused(400, "Invalid input for field/attribute volumeAttachment.")
        device = {"uuid": wish["volumeId"], "boot_index": None, "delete_on_termination": wish.get("delete_on_termination", False)}
        self._reserve(device, server)
        server["_disks"].append(device)
        self._connect(server, device, len(server["_disks"]) - 1)
        return 200, {"volumeAttachment": {"id": wish["volumeId"], "serverId": id, "volumeId": wish["volumeId"], "device": "/dev/vdb"}}


class FakeNeutron(Service):
    """Networks and ports by name."""

    ROUTES = (("GET", r"/v2.0/(?P<kind>networks|ports)", "list_them"),)

    def __init__(self) -> None:
        super().__init__("http://neutron", "could not be found")
        self.there = {"networks": {"n1": "front", "n2": "back", "n3": "twice", "n4": "twice"}, "ports": {"p1": "web-1-port"}}

    def list_them(self, request: Request, kind: str) -> t.Any:
        wanted = [request.query.get("id"), request.query.get("name")]
        return 200, {kind: [{"id": each} for each, name in self.there[kind].items() if each == wanted[0] or name == wanted[1]]}
