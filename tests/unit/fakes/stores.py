# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stores of a Glance in memory: imports that take time, locks, and policies, in the order in which Glance 33 looks at them."""

from __future__ import annotations

import html
import typing as t
import uuid

from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request

TASK, IMPORTING, FAILED = "os_glance_import_task", "os_glance_importing_to_stores", "os_glance_failed_import"
REASONS = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 500: "Internal Server Error"}

# Seconds after which a lock without a sign of life counts no more.
EXPIRY = 3600


def page(status: int, message: str) -> t.Tuple[int, str]:
    """As webob words a refusal: HTML with escapes."""
    title = "%d %s" % (status, REASONS[status])
    return status, "<html>\n <head>\n  <title>%s</title>\n </head>\n <body>\n  <h1>%s</h1>\n  %s<br /><br />\n\n\n\n </body>\n</html>" % (
        title, title, html.escape(message))


class FakeStores:
    """What a Glance needs to have stores.

    :ivar offered: The stores by id, as the API tells of them; none for a Glance whose only store has no name.
    :ivar admin: Whether the policies for administrators let the caller pass.
    :ivar seconds: How long a copy to one store takes.
    :ivar refusing: Stores that cannot be written to, which shows only when it is tried.
    :ivar unreadable: Ids of images whose bytes cannot be read where they are.
    :ivar dead: Whether the workers die at the beginning of what they are asked for.
    :ivar depended_on: Ids of images that a store will not let go: volumes are clones of them.
    """

    STORE_ROUTES = (
        ("GET", r"/v2/info/import", "methods"),
        ("GET", r"/v2/info/stores", "list_stores"),
        ("GET", r"/v2/info/stores/detail", "detail_stores"),
        ("POST", r"/v2/images/(?P<id>[^/]+)/import", "start_import"),
        ("GET", r"/v2/images/(?P<id>[^/]+)/tasks", "list_tasks"),
        ("DELETE", r"/v2/stores/(?P<store>[^/]+)/(?P<id>[^/]+)", "delete_from_store"),
    )

    def __init__(self, now: t.Callable[[], float]) -> None:
        self._now = now
        self.offered: t.Dict[str, t.Dict[str, t.Any]] = {
            "file": {"type": "file", "default": "true", "weight": 0, "properties": {"data_dir": "/images"}},
            "rbd": {"type": "rbd", "weight": 100, "properties": {"pool": "images"}},
            "cinder": {"type": "cinder", "weight": 0, "properties": {"volume_type": "rbd"}, "description": "as volumes"},
            "web": {"type": "http", "read-only": "true", "weight": 0, "properties": {}},
        }
        self.import_methods = ["glance-direct", "web-download", "copy-image"]
        self.admin = False
        self.seconds = 3.0
        self.refusing: t.Set[str] = set()
        self.unreadable: t.Set[str] = set()
        self.dead = False
        self.depended_on: t.Set[str] = set()
        self.tasks: t.Dict[str, t.Dict[str, t.Any]] = {}
        self._later: t.List[t.Tuple[float, t.Callable[[], None]]] = []

    def _image(self, image_id: str) -> t.Dict[str, t.Any]:
        raise NotImplementedError

    @property
    def default_store(self) -> t.Optional[str]:
        """Where an image goes when no store is asked for."""
        return next((store for store, each in self.offered.items() if each.get("default") == "true"), None)

    def advance(self) -> None:
        """Let the workers get on with what is due."""
        due = sorted((each for each in self._later if each[0] <= self._now()), key=lambda each: each[0])
        self._later = [each for each in self._later if each not in due]
        for dummy, change in due:
            change()

    # --- looking ---

    def methods(self, request: Request) -> t.Any:
        return 200, {"import-methods": {"description": "Import methods available.", "type": "array", "value": self.import_methods}}

    def list_stores(self, request: Request) -> t.Any:
        return self._stores("id", "default", "read-only", "description")

    def detail_stores(self, request: Request) -> t.Any:
        if self.offered and not self.admin:
            return page(403, "You are not authorized to complete stores_info_detail action.")
        return self._stores("id", "default", "read-only", "description", "type", "weight", "properties")

    def _stores(self, *keys: str) -> t.Any:
        if not self.offered:
            return page(404, "Multi backend is not supported at this site.")
        stores = [dict(each, id=store) for store, each in self.offered.items()]
        return 200, {"stores": [{key: each[key] for key in keys if key in each} for each in stores]}

    def list_tasks(self, request: Request, id: str) -> t.Any:
        self._image(id)
        # members see their own, and these are the administrators'
        return 200, {"tasks": [task for task in self.tasks.values() if task["image_id"] == id and self.admin]}

    # --- copying ---

    def start_import(self, request: Request, id: str) -> t.Any:
        wish = request.json
        if wish["method"]["name"] not in self.import_methods:
            return page(400, "Unknown import method name '%s'." % wish["method"]["name"])
        image = self._image(id)
        if image["status"] != "active":
            return page(409, "Only images with status active can be targeted for copying")
        if not self.admin:
            return page(403, "You are not authorized to complete copy_image action.")
        if TASK in image and not self._expired(image):
            return page(409, "Image has active task")
        for store in wish["stores"]:
            if self.offered and store not in self.offered:
                return page(409, "Store for identifier %s not found" % store)
        for store in image.get("stores", "").split(","):
            if store in wish["stores"]:
                return page(400, "Image is already present at store '%s'" % store)
        if not wish.get("all_stores_must_succeed", True) and not self.offered:
            return page(400, "All_stores_must_succeed can only be set with enabled_backends None")
        task = self.lock(id, "api_image_import")
        if not self.dead:
            self._in(0.1, lambda: self._begin(image, wish["stores"]))
            for number, store in enumerate(wish["stores"], 1):
                self._in(number * self.seconds, lambda store=store: self._arrive(image, store, task["id"]))  # type: ignore[misc]
            self._in(len(wish["stores"]) * self.seconds + 0.1, lambda: self._end(image, task["id"]))
        return 202, None

    def lock(self, image_id: str, kind: str) -> t.Dict[str, t.Any]:
        """Lock an image for a new task, which is under way then."""
        stamp = self._stamp()
        task = {"id": str(uuid.uuid4()), "type": kind, "status": "processing", "message": "", "image_id": image_id,
                "created_at": stamp, "updated_at": stamp, "_heard": self._now()}
        self.tasks[task["id"]] = task
        self._image(image_id)[TASK] = task["id"]
        return task

    def unlock(self, image_id: str, status: str = "success", message: str = "") -> None:
        """End the task that has an image locked."""
        self.tasks[self._image(image_id).pop(TASK)].update(status=status, message=message, updated_at=self._stamp())

    def _expired(self, image: t.Dict[str, t.Any]) -> bool:
        task = self.tasks[image[TASK]]
        if self._now() - task["_heard"] < EXPIRY:
            return False
        task.update(status="failure", message="Expired lock preempted")
        image.update({IMPORTING: "", FAILED: ""})
        return True

    def _stamp(self) -> str:
        seconds = int(self._now())
        return "2026-01-01T%02d:%02d:%02d.000000" % (seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)

    def _in(self, seconds: float, change: t.Callable[[], None]) -> None:
        self._later.append((self._now() + seconds, change))

    def _begin(self, image: t.Dict[str, t.Any], stores: t.Sequence[str]) -> None:
        image[IMPORTING] = _joined(image.get(IMPORTING), add=stores)
        image[FAILED] = _joined(image.get(FAILED), drop=stores)
        if image["id"] in self.unreadable:  # what was to be copied stays listed; only the lock goes
            self.unlock(image["id"], "failure", "Task failed due to Internal Error")

    def _arrive(self, image: t.Dict[str, t.Any], store: str, task_id: str) -> None:
        if image.get(TASK) != task_id:
            return
        image[IMPORTING] = _joined(image[IMPORTING], drop=[store])
        if store in self.refusing or self.offered[store].get("read-only"):
            image[FAILED] = _joined(image[FAILED], add=[store])
        else:
            image["stores"] = "%s,%s" % (image["stores"], store)

    def _end(self, image: t.Dict[str, t.Any], task_id: str) -> None:
        if image.get(TASK) == task_id:
            self.unlock(image["id"], message="Copied 1 MiB")

    # --- removing ---

    def delete_from_store(self, request: Request, store: str, id: str) -> t.Any:
        if not self.offered:
            return page(404, "The resource could not be found.")
        if store not in self.offered:
            return page(409, "The selected store %s is not available on this node." % store)
        image = self._image(id)
        if not self.admin:
            return page(403, "You are not authorized to complete delete_image_location action.")
        if image["status"] != "active":
            return page(409, "It's not allowed to remove image data from store if image status is not 'active'")
        stores = image["stores"].split(",")
        if len(stores) == 1:
            return page(403, "Cannot delete image data from the only store containing it. Consider deleting the image instead.")
        if store not in stores:
            return page(404, "Image %s is not stored in store %s." % (id, store))
        if id in self.depended_on:
            return page(409, "The data for Image %s could not be deleted because it is in use: The image cannot be deleted because it is in use "
                             "through the backend store outside of Glance" % id)
        if TASK in image:  # the import saves what it read when it began
            raise Refused(500, "a test removed what an import was about to put back")
        stores.remove(store)
        image["stores"] = ",".join(stores)
        return 204, None


def _joined(listed: t.Optional[str], add: t.Sequence[str] = (), drop: t.Sequence[str] = ()) -> str:
    return ",".join(sorted(({each for each in (listed or "").split(",") if each} | set(add)) - set(drop)))
