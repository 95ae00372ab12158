# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Cinder in memory, behind its REST API, as strict as the real one where that has bitten: statuses, quotas, strings."""

from __future__ import annotations

import math
import re
import typing as t
import urllib.parse
import uuid

from ansible_collections.bootable.volumes.tests.unit.fakes.glance import IMAGE_ATTRIBUTES, FakeGlance
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request, Service
from ansible_collections.bootable.volumes.tests.unit.fakes.uploads import GIB, FakeUploads

# From cinder/policies/type_extra_specs.py: what members see of a type.
VISIBLE_SPECS = ("RESKEY:availability_zones", "multiattach", "replication_enabled")

# From cinder/volume/api.py (29.0.0).
DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")
FROZEN_METADATA = ("maintenance", "uploading")


class FakeCinder(FakeUploads, Service):
    """One project's volumes.

    :ivar clones_images: The back end clones raw images by itself, as Ceph does; else they are downloaded.
    :ivar attachments: Ids to those of volumes; of attachments that are reserved or under way, too.
    :ivar seconds: How long the back end takes for a volume.
    :ivar slow: By name, how long it takes to make those that take longer.
    :ivar failing: Names whose making fails, and what Cinder says of it (None: nothing).
    :ivar unanswered: Names that are created without an answer: the connection breaks.
    """

    ROUTES = (
        ("GET", r"/volumes/detail", "list_volumes"),
        ("POST", r"/volumes", "create"),
        ("GET", r"/volumes/(?P<id>[^/]+)", "show"),
        ("PUT", r"/volumes/(?P<id>[^/]+)", "update"),
        ("DELETE", r"/volumes/(?P<id>[^/]+)", "delete"),
        ("POST", r"/volumes/(?P<id>[^/]+)/action", "act"),
        ("POST", r"/volumes/(?P<id>[^/]+)/metadata", "set_metadata"),
        ("DELETE", r"/volumes/(?P<id>[^/]+)/metadata/(?P<key>[^/]+)", "delete_metadata"),
        ("GET", r"/snapshots", "list_snapshots"),
        ("GET", r"/attachments", "list_attachments"),
        ("GET", r"/messages", "list_messages"),
        ("GET", r"/types", "list_types"),
        ("GET", r"/types/default", "default_type"),
        ("GET", r"/types/(?P<id>[^/]+)/extra_specs", "type_specs"),
        ("POST", r"/types/(?P<id>[^/]+)/extra_specs", "set_type_specs"),
        ("DELETE", r"/types/(?P<id>[^/]+)/extra_specs/(?P<key>[^/]+)", "unset_type_spec"),
        ("GET", r"/os-quota-sets/(?P<project>[^/]+)", "quotas"),
    )

    def __init__(self, clock: t.Any, glance: FakeGlance) -> None:
        FakeUploads.__init__(self, glance)
        Service.__init__(self, "http://cinder/v3", "is unknown")
        self._clock = clock
        self._images = glance.images.get
        self.volumes: t.Dict[str, t.Dict[str, t.Any]] = {}
        self.snapshots: t.Dict[str, str] = {}
        self.attachments: t.Dict[str, str] = {}
        self.messages: t.List[t.Dict[str, str]] = []
        self.types = {"rbd": "11111111-0000-4000-8000-000000000001", "nfs": "11111111-0000-4000-8000-000000000002"}
        self.specs: t.Dict[str, t.Dict[str, str]] = {type_id: {"volume_backend_name": name} for name, type_id in self.types.items()}
        self.limits = {"volumes": 100, "gigabytes": 1000, "per_volume_gigabytes": -1}
        self.clones_images = True
        self.seconds = 3.0
        self.slow: t.Dict[str, float] = {}
        self.failing: t.Dict[str, t.Optional[str]] = {}
        self.unanswered: t.Set[str] = set()
        self.undeletable: t.Set[str] = set()
        self.admin = False
        self.stores = ("file", "rbd", "cinder")
        self.newest = (3, 71)
        self.page = 1000
        self.advance_others: t.List[t.Callable[[], None]] = []

    # --- time passes ---

    def before(self, request: Request) -> None:
        super().before(request)
        version = re.match(r"volume (\d+)\.(\d+)", request.headers.get("OpenStack-API-Version", "volume 3.0"))
        if version and (int(version.group(1)), int(version.group(2))) > self.newest:
            raise Refused(406, "Version is not supported by the API")
        self.advance()

    def advance(self) -> None:
        """Let the back end get on with its work, and those that use it with theirs."""
        for advance in self.advance_others:
            advance()
        for volume in list(self.volumes.values()):
            for due, change in list(volume["_later"]):
                if self._clock.now() >= due:
                    volume["_later"].remove((due, change))
                    change(volume)

    def _later(self, volume: t.Dict[str, t.Any], seconds: float, change: t.Callable[[t.Dict[str, t.Any]], None]) -> None:
        volume["_later"].append((self._clock.now() + seconds, change))

    def _stamp(self) -> str:
        seconds = int(self._clock.now())
        return "2026-01-01T%02d:%02d:%02d.000000" % (seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)

    # --- looking ---

    def _volume(self, volume_id: str) -> t.Dict[str, t.Any]:
        if volume_id not in self.volumes:
            raise Refused(404, "Volume %s could not be found." % volume_id)
        return self.volumes[volume_id]

    @staticmethod
    def _shown(volume: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
        shown = {key: value for key, value in volume.items() if not key.startswith("_")}
        shown["metadata"] = dict(volume["metadata"])
        shown["bootable"] = "true" if volume["bootable"] else "false"
        if volume["_image"]:
            shown["volume_image_metadata"] = dict(volume["_image"])
        return shown

    def list_volumes(self, request: Request) -> t.Any:
        found = sorted(self.volumes.values(), key=lambda volume: (volume["created_at"], volume["id"]), reverse=True)
        query = request.query
        unknown = query.keys() - {"name", "created_at", "marker", "limit"}
        if unknown:
            raise Refused(400, "Invalid filters %s are found in query options." % ", ".join(sorted(unknown)))
        if "name" in query:
            found = [volume for volume in found if volume["name"] == query["name"]]
        if "created_at" in query:
            operator, dummy, stamp = query["created_at"].partition(":")
            if operator != "gte":
                raise Refused(400, "Invalid filter")
            found = [volume for volume in found if volume["created_at"] >= stamp]
        if "marker" in query:
            ids = [volume["id"] for volume in found]
            found = found[ids.index(query["marker"]) + 1:]
        answer: t.Dict[str, t.Any] = {"volumes": [self._shown(volume) for volume in found[:self.page]]}
        if len(found) > self.page:
            following = dict(query, marker=found[self.page - 1]["id"])
            answer["volumes_links"] = [{"rel": "next", "href": "%s/volumes/detail?%s" % (self.url, urllib.parse.urlencode(following))}]
        return 200, answer

    def show(self, request: Request, id: str) -> t.Any:
        return 200, {"volume": self._shown(self._volume(id))}

    def list_snapshots(self, request: Request) -> t.Any:
        return 200, {"snapshots": [{"id": each} for each, volume in self.snapshots.items() if volume == request.query["volume_id"]]}

    def list_attachments(self, request: Request) -> t.Any:
        if request.query.keys() != {"volume_id"}:
            raise AssertionError("all attachments of the project were asked for")
        return 200, {"attachments": [{"id": each, "volume_id": volume} for each, volume in self.attachments.items() if volume == request.query["volume_id"]]}

    def list_messages(self, request: Request) -> t.Any:
        return 200, {"messages": [each for each in self.messages if each["resource_uuid"] == request.query["resource_uuid"]]}

    def list_types(self, request: Request) -> t.Any:
        return 200, {"volume_types": [{"id": each, "name": name} for name, each in self.types.items()]}

    def default_type(self, request: Request) -> t.Any:
        return 200, {"volume_type": {"id": self.types["rbd"], "name": "rbd"}}

    def _type_specs(self, type_id: str) -> t.Dict[str, str]:
        if type_id not in self.specs:
            raise Refused(404, "Volume type %s could not be found." % type_id)
        return self.specs[type_id]

    def type_specs(self, request: Request, id: str) -> t.Any:
        return 200, {"extra_specs": {key: value for key, value in self._type_specs(id).items() if self.admin or key in VISIBLE_SPECS}}

    def _changeable_specs(self, type_id: str, action: str) -> t.Dict[str, str]:
        if not self.admin:
            raise Refused(403, "Policy doesn't allow volume_extension:types_extra_specs:%s to be performed." % action)
        if any(self.types[volume["volume_type"]] == type_id for volume in self.volumes.values()):
            raise Refused(400, "Volume Type is currently in use.")
        return self._type_specs(type_id)

    def set_type_specs(self, request: Request, id: str) -> t.Any:
        specs, wish = self._changeable_specs(id, "create"), request.json["extra_specs"]
        store = wish.get("image_service:store_id")
        if store is not None and store not in self.stores:
            raise Refused(404, "Image store %s could not be found." % store)
        specs.update(wish)
        return 200, {"extra_specs": wish}

    def unset_type_spec(self, request: Request, id: str, key: str) -> t.Any:
        specs = self._changeable_specs(id, "delete")
        if key not in specs:
            raise Refused(404, "Volume Type %s has no extra specs with key %s." % (id, key))
        del specs[key]
        return 202, None

    def _used(self) -> t.Dict[str, int]:
        used: t.Dict[str, int] = {}
        for volume in self.volumes.values():
            for name, amount in (("volumes", 1), ("gigabytes", volume["size"])):
                for key in (name, "%s_%s" % (name, volume["volume_type"])):
                    used[key] = used.get(key, 0) + amount
        return used

    def quotas(self, request: Request, project: str) -> t.Any:
        used = self._used()
        names = set(self.limits) | {"%s_%s" % (name, each) for name in ("volumes", "gigabytes") for each in self.types}
        quota: t.Dict[str, t.Any] = {
            name: {"limit": self.limits.get(name, -1), "in_use": used.get(name, 0), "reserved": 0, "allocated": 0} for name in names}
        return 200, {"quota_set": dict(quota, id=project)}

    # --- making ---

    def create(self, request: Request) -> t.Any:
        wish = request.json["volume"]
        if wish.get("imageRef") and wish.get("source_volid"):
            raise Refused(400, "May specify only one of snapshot, imageRef or source volume")
        type_name = next((name for name, each in self.types.items() if wish["volume_type"] in (name, each)), None) if wish.get("volume_type") else "rbd"
        if type_name is None:
            raise Refused(404, "Volume type with name %s could not be found." % wish["volume_type"])
        if wish.get("availability_zone") not in (None, "nova"):
            raise Refused(400, "Availability zone '%s' is invalid." % wish["availability_zone"])
        for key, value in wish["metadata"].items():
            if not isinstance(value, str) or not 0 < len(key) <= 255 or len(value) > 255:
                raise Refused(400, "Invalid input for field/attribute %s" % key)
        image, origin = self._image(wish), None
        if wish.get("source_volid"):
            origin = self._volume(wish["source_volid"])
            if origin["status"] not in ("available", "in-use"):
                raise Refused(400, "Invalid source volume: status must be available, in-use but is %s" % origin["status"])
            if wish["size"] < origin["size"]:
                raise Refused(400, "Invalid input received: Volume size '%dGB' cannot be smaller than original volume size %dGB." % (
                    wish["size"], origin["size"]))
        self._reserve(type_name, wish["size"])
        volume = {
            "id": str(uuid.uuid4()), "name": wish["name"], "description": wish.get("description"), "size": wish["size"], "status": "creating",
            "volume_type": type_name, "availability_zone": "nova", "bootable": False, "metadata": dict(wish["metadata"]), "attachments": [],
            "created_at": self._stamp(), "encrypted": False, "source_volid": wish.get("source_volid"), "_image": {}, "_later": [],
            "_data": origin["_data"] if origin else b"",
        }
        self.volumes[volume["id"]] = volume
        if image:
            self._fill(volume, image, clone=self.clones_images and image["disk_format"] == "raw" and type_name == "rbd")
        else:
            self._later(volume, self._needed(volume), lambda each: self._finish(each, origin["_image"] if origin else {}, bool(origin and origin["bootable"])))
        if volume["name"] in self.unanswered:
            self.unanswered.discard(volume["name"])
            raise ConnectionResetError("Connection reset by peer")
        return 202, {"volume": dict(self._shown(volume), status="creating")}

    def _image(self, wish: t.Dict[str, t.Any]) -> t.Optional[t.Dict[str, t.Any]]:
        if not wish.get("imageRef"):
            return None
        image = self._images(wish["imageRef"])
        if image is None:
            raise Refused(400, "Invalid image identifier or unable to access requested image.")
        if image["status"] != "active":
            raise Refused(400, "Invalid input received: Image %s is not active." % image["id"])
        if max(image["size"] / GIB, image["min_disk"]) > wish["size"]:
            raise Refused(400, "Invalid input received: Size of specified image %dGB is larger than volume size %dGB." % (
                math.ceil(image["size"] / GIB), wish["size"]))
        return image

    def _reserve(self, type_name: str, size: int) -> None:
        used = self._used()
        for name, amount in (("volumes", 1), ("gigabytes", size)):
            for key in (name, "%s_%s" % (name, type_name)):
                limit = self.limits.get(key, -1)
                if 0 <= limit < used.get(key, 0) + amount:
                    if name == "volumes":
                        raise Refused(413, "VolumeLimitExceeded: Maximum number of volumes allowed (%d) exceeded for quota '%s'." % (limit, key))
                    raise Refused(413, "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed %s quota. Requested %dG, "
                                       "quota is %dG and %dG has been consumed." % (key, size, limit, used.get(key, 0)))

    def _fill(self, volume: t.Dict[str, t.Any], image: t.Dict[str, t.Any], *, clone: bool) -> None:
        if not clone:
            self._later(volume, self.seconds / 3, lambda each: each.update(status="downloading"))
        metadata = {"image_id": image["id"], "image_name": image["name"], "checksum": str(image["checksum"]), "disk_format": image["disk_format"],
                    "container_format": image["container_format"], "min_disk": str(image["min_disk"]), "min_ram": "0", "size": str(image["size"])}
        metadata.update({key: str(value) for key, value in image.items() if key not in IMAGE_ATTRIBUTES and not key.startswith("os_glance_")})
        if not clone:
            metadata["signature_verified"] = "False"
        data = self._glance.data[image["id"]]
        self._later(volume, self._needed(volume), lambda each: self._finish(each, metadata, True, data))

    def _needed(self, volume: t.Dict[str, t.Any]) -> float:
        return self.slow.get(volume["name"], self.seconds)

    def _finish(self, volume: t.Dict[str, t.Any], image: t.Dict[str, str], bootable: bool, data: t.Optional[bytes] = None) -> None:
        if volume["name"] in self.failing:
            volume["status"] = "error"
            said = self.failing[volume["name"]]
            if said:
                self.messages.append({"id": str(uuid.uuid4()), "resource_uuid": volume["id"], "user_message": said, "created_at": self._stamp()})
            return
        volume.update(status=volume.pop("_back_to", None) or "available", _image=dict(image), bootable=bootable)
        if data is not None:
            volume["_data"] = data

    # --- changing ---

    def update(self, request: Request, id: str) -> t.Any:
        volume = self._volume(id)
        volume.update(request.json["volume"])
        return 200, {"volume": self._shown(volume)}

    def delete(self, request: Request, id: str) -> t.Any:
        volume = self._volume(id)
        if volume["status"] not in DELETABLE or volume["attachments"] or id in self.snapshots.values():
            raise Refused(400, "Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing "
                               "and must not be migrating, attached, belong to a group, have snapshots or be disassociated from snapshots.")
        before = volume["status"]
        volume["status"] = "deleting"
        if id in self.undeletable:
            self._later(volume, self.seconds / 3, lambda each: each.update(status=before))
        else:
            self._later(volume, self.seconds / 3, self._gone)
        return 202, None

    def _gone(self, volume: t.Dict[str, t.Any]) -> None:
        del self.volumes[volume["id"]]

    def set_metadata(self, request: Request, id: str) -> t.Any:
        volume = self._volume(id)
        self._check_metadata(volume)
        volume["metadata"].update(request.json["metadata"])
        return 200, {"metadata": volume["metadata"]}

    def delete_metadata(self, request: Request, id: str, key: str) -> t.Any:
        volume = self._volume(id)
        self._check_metadata(volume)
        if key not in volume["metadata"]:
            raise Refused(404, "Volume %s has no metadata with key %s." % (id, key))
        del volume["metadata"][key]
        return 200, None

    @staticmethod
    def _check_metadata(volume: t.Dict[str, t.Any]) -> None:
        if volume["status"] in FROZEN_METADATA:
            raise Refused(400, "Invalid volume: Updating volume metadata is not allowed for volumes in %s status." % volume["status"])

    def act(self, request: Request, id: str) -> t.Any:
        volume = self._volume(id)
        (action, body), = request.json.items()
        if action == "os-extend":
            self._extend(volume, body["new_size"])
        elif action == "os-set_bootable":
            volume["bootable"] = body["bootable"]
        elif action == "os-reset_status":
            if not self.admin:
                raise Refused(403, "Policy doesn't allow volume_extension:volume_admin_actions:reset_status to be performed.")
            volume["status"] = body["status"]
        elif action == "os-reserve":
            if volume["status"] not in (("available", "in-use") if volume.get("multiattach") else ("available",)):
                raise Refused(400, "Invalid volume: Volume status must be available to reserve, but the status is %s." % volume["status"])
            volume["status"] = "attaching"
        elif action == "os-unreserve":
            if volume["status"] == "attaching":  # anything else is passed over without a word
                volume["status"] = "in-use" if volume["attachments"] else "available"
        elif action == "os-reimage":
            self._reimage(volume, body["image_id"])
        elif action == "os-volume_upload_image":
            return 202, {action: self.make_image(volume, body)}
        elif action == "os-update_readonly_flag":
            volume["metadata"]["readonly"] = str(body["readonly"])
        else:
            raise Refused(400, "There is no such action: %s" % action)
        return 202, None

    def _extend(self, volume: t.Dict[str, t.Any], size: int) -> None:
        if volume["status"] not in ("available", "in-use"):
            raise Refused(400, "Invalid volume: Volume %s status must be available or in-use to extend" % volume["id"])
        if size <= volume["size"]:
            raise Refused(400, "Invalid input received: New size for extend must be greater than current size.")
        before = volume["status"]
        volume["status"] = "extending"
        if volume["name"] in self.failing:
            self._later(volume, self.seconds, lambda each: each.update(status="error_extending"))
        else:
            self._later(volume, self.seconds, lambda each: self._grown(each, before, size))

    def _grown(self, volume: t.Dict[str, t.Any], status: str, size: int) -> None:
        volume.update(status=status, size=size)

    def _reimage(self, volume: t.Dict[str, t.Any], image_id: str) -> None:
        if volume["status"] not in ("available", "error"):
            raise Refused(400, "Invalid volume: Volume %s status must be available or error, but current status is: %s." % (
                volume["id"], volume["status"]))
        image = self._image({"imageRef": image_id, "size": volume["size"]})
        before = volume["status"]
        volume["status"] = "downloading"
        if before == "error":  # real Cinder puts it back to error even though it was filled
            volume["_back_to"] = "error"
        self._fill(volume, t.cast(t.Dict[str, t.Any], image), clone=False)
