# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing an image that is there to the stores it belongs in, and out of those it does not.

Glance copies for one import at a time: while it works, the image is locked, and whoever else wants something waits. Here such an
import, be it another run's, an earlier run's that was killed, or Glance's own hashing, is waited for and what it did is taken as done.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    InUse, InvalidInput, NoRoom, NotFound, TimedOut, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image, require_readable
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.outages import through_outages
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.stores import COPY_IMAGE, IMPORT, ImportTask

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Images
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.stores import Stores

# What has become of a store.
PRESENT, COPIED, REMOVED, PENDING = "present", "copied", "removed", "pending"
FAILED, DENIED, READ_ONLY, UNKNOWN = "failed", "denied", "read_only", "unknown"

# Those in which something was written, or is being written.
CHANGES = frozenset((COPIED, REMOVED, PENDING))

# Those in which the store is not as it was wished.
TROUBLES = frozenset((FAILED, DENIED, READ_ONLY, UNKNOWN))

# Seconds after its task's last sign of life, or since it should have begun, for which Glance keeps an image locked (glance/api/v2/images.py).
EXPIRES = 3600.0
EXPIRES_UNBEGUN = 7200.0

# Seconds after which a lock that is still there is put to Glance again: it alone knows whether the lock has expired, and then passes it
# on to who asks for a copy.
ASK_AGAIN = 60.0

# Seconds between two looks at the task that has an image locked; one that has ended lets go at once, or never.
GRACE = 30.0
ENDED = ("success", "failure")

# How often something is tried that Glance refuses without a reason that can be seen.
TRIES = 3


@dataclass(frozen=True)
class Outcome:
    """What has become of the image in one store.

    :param state: ``present``, ``copied``, ``removed``, ``pending``, or one of ``TROUBLES``.
    :param reason: Why, to read; Glance's own where it gives one. Empty where nothing needs saying.
    """

    state: str
    reason: str = ""


@dataclass(frozen=True)
class Brought:
    """An image afterwards.

    :param image: As it is now.
    :param stores: What has become of each store that was named.
    """

    image: Image
    stores: t.Mapping[str, Outcome]

    @property
    def changed(self) -> bool:
        """Whether anything was written, or is being written."""
        return any(outcome.state in CHANGES for outcome in self.stores.values())

    @property
    def troubles(self) -> t.Dict[str, Outcome]:
        """The stores that are not as they were wished."""
        return {store: outcome for store, outcome in self.stores.items() if outcome.state in TROUBLES}

    @property
    def complaints(self) -> t.List[str]:
        """The same to read: stores with what went wrong there, those with the same trouble together."""
        by_reason: t.Dict[str, t.List[str]] = {}
        for store, outcome in self.troubles.items():
            by_reason.setdefault(outcome.reason, []).append(store)
        return ["%s: %s" % (" and ".join(stores), reason) for reason, stores in by_reason.items()]

    def as_dict(self) -> t.Dict[str, t.Any]:
        """As tasks' results show it."""
        report = {store: {"state": outcome.state, "reason": outcome.reason} for store, outcome in self.stores.items()}
        return {"id": self.image.id, "name": self.image.name, "stores": list(self.image.stores), "report": report}


def bring(image_id: str, *, missing: t.Sequence[str], surplus: t.Sequence[str] = (), images: Images, stores: Stores, job: Job) -> Brought:
    """Copy an image to the stores that miss it, and when it is in all of them, remove it from those where it is too many.

    A store that refuses, or rights that are missing, stop no other store: they are told of as outcomes. With ``job.wait`` False the
    copies are left to Glance and nothing is removed; an import that brings it elsewhere must end all the same before ours can begin.
    Every error's details have as ``image`` how far it has got: what ``Brought.as_dict`` gives.

    :param missing: Stores that shall hold it; those that do already are fine.
    :param surplus: Stores that shall not; kept as long as it is not everywhere it is missing, or would then be nowhere.
    :raises InvalidInput: the image has no data to copy.
    :raises NotFound: it is gone.
    :raises InUse: an import that has ended has not let go of it.
    :raises TimedOut: nothing is undone; the next run adopts the import.
    :raises BackendError: Glance does not answer.
    """
    work = _Work(image_id, images, stores, job)
    try:
        work.copy(missing)
        if surplus:
            work.remove(surplus)
    except VolumesError as error:
        error.details["image"] = work.brought.as_dict()
        raise
    return work.brought


class _Work:
    """One image on its way."""

    def __init__(self, image_id: str, images: Images, stores: Stores, job: Job) -> None:
        self._id = image_id
        self._images = images
        self._stores = stores
        self._job = job
        self._outcomes: t.Dict[str, Outcome] = {}
        self._refusals = 0
        # the import that had ended when Glance was last asked for the one that has the image locked, and when to ask again
        self._ended = ""
        self._ask_lock_at = job.deadline.clock.now() + GRACE
        self._image = self._look()

    @property
    def brought(self) -> Brought:
        """How far it has got."""
        return Brought(self._image, dict(self._outcomes))

    def _look(self) -> Image:
        self._image = through_outages(lambda: self._images.get(self._id), self._job.deadline)
        return self._image

    def _settle(self, stores: t.Iterable[str], state: str, reason: str = "") -> None:
        self._outcomes.update({store: Outcome(state, reason) for store in stores})

    def _unsettled(self, stores: t.Sequence[str]) -> t.List[str]:
        return [store for store in stores if store not in self._outcomes]

    def _pause(self) -> None:
        self._job.deadline.clock.sleep(1)

    # --- copying ---

    def copy(self, missing: t.Sequence[str]) -> None:
        """Bring the image to these stores, and settle each of them."""
        self._settle((store for store in missing if store in self._image.stores), PRESENT)
        wanted = self._possible([store for store in missing if store not in self._image.stores])
        if not wanted:
            return
        require_readable(self._image)
        self._job.listener.hear(Event("copy", self._image.name or self._id))
        while wanted:
            self._settle((store for store in wanted if store in self._image.stores), COPIED, "by an import that was under way already")
            if not self._job.wait:
                self._settle((store for store in wanted if store in self._arriving()), PENDING, "an import that was under way already brings it")
            wanted = self._unsettled(wanted)
            if wanted:
                self._ask(wanted)
                wanted = self._unsettled(wanted)

    def _arriving(self) -> t.Tuple[str, ...]:
        """The stores that an import is bringing it to. One that failed as a whole leaves its stores listed, and only lets go of the image."""
        return self._image.importing_to if self._image.import_task else ()

    def _ask(self, wanted: t.Sequence[str]) -> None:
        """Ask for the copies, and settle the stores if the answer is final."""
        try:
            self._stores.copy(self._id, wanted)
        except VolumesError as error:
            image = self._look()
            if set(wanted) & set(image.stores):  # it has just arrived there, which makes Glance refuse the others, too
                return
            if image.import_task and (set(wanted) & set(self._arriving()) or not isinstance(error, Denied)):
                self._until_free(wanted, ASK_AGAIN)
                return
            self._refusals += 1
            self._refused(error, wanted, last=self._refusals == TRIES)
            if self._unsettled(wanted):
                self._pause()
        else:
            self._settle(wanted, PENDING, "Glance is copying it")
            task_id = self._look().import_task
            if self._job.wait:
                self._until_free(wanted)
                self._judge(wanted, task_id)

    def _possible(self, wanted: t.Sequence[str]) -> t.List[str]:
        """Those that are no reason for Glance to refuse the others, too; settles the rest."""
        offered = {store.id: store for store in self._stores.list()} if wanted else {}
        names = ", ".join(offered) or "only one, without a name"
        self._settle((store for store in wanted if store not in offered), UNKNOWN, "Glance does not have this store; there are: %s" % names)
        self._settle((store for store in wanted if store in offered and offered[store].read_only), READ_ONLY, "nothing can be written to it")
        return self._unsettled(wanted)

    def _refused(self, error: VolumesError, wanted: t.Sequence[str], *, last: bool) -> None:
        """Settle what Glance refused, if its answer is final; it may also have been of a state that has passed.

        :raises VolumesError: what is wrong lies with more than these stores.
        """
        require_readable(self._image)
        if isinstance(error, Denied) and error.details.get("http_status") == 403:
            self._settle(wanted, DENIED, "%s. Copying an image to another store needs the policy copy_image, which by default is for "
                                         "administrators" % error.message)
        elif isinstance(error, InvalidInput):
            allowed = COPY_IMAGE in self._stores.import_methods()
            self._settle(wanted, FAILED, error.message + ("" if allowed else ". Its enabled_import_methods lack %s" % COPY_IMAGE))
        elif isinstance(error, NoRoom) or (last and isinstance(error, InUse)):
            self._settle(wanted, FAILED, error.message)
        elif last or isinstance(error, (Denied, NotFound)):
            raise error

    def _judge(self, wanted: t.Sequence[str], task_id: t.Optional[str]) -> None:
        """Settle the stores that an import of ours was to bring the image to."""
        there = [store for store in wanted if store in self._image.stores]
        self._settle(there, COPIED)
        if len(there) < len(wanted):
            self._settle((store for store in wanted if store not in there), FAILED, self._reason(task_id))

    def _reason(self, task_id: t.Optional[str]) -> str:
        """What Glance says of an import that did not reach every store; it speaks up only if the whole of it failed.

        :param task_id: None for one that was over before it could be seen: then it is the last that failed.
        """
        for task in reversed(self._stores.tasks(self._id)):
            if task.status == "failure" and task.message and (task.id == task_id or task_id is None and task.type == IMPORT):
                return "Glance's import %s failed: %s" % (task.id, task.message)
        return "Glance could not write it there, or not read it where it is, and does not say why; its log has more"

    # --- removing ---

    def remove(self, surplus: t.Sequence[str]) -> None:
        """Remove the image from these stores, if it can be spared there, and settle each of them."""
        lacking = sorted(store for store, outcome in self._outcomes.items() if outcome.state not in (PRESENT, COPIED))
        if lacking:
            pending = all(self._outcomes[store].state == PENDING for store in lacking)
            self._settle(surplus, PENDING if pending else PRESENT, "kept until it is in %s" % ", ".join(lacking))
            return
        for store in surplus:
            # what is changed while an import is at an image is undone when that ends
            self._until_free([store])
            require_readable(self._image)
            if store not in self._image.stores:
                self._settle([store], REMOVED, "by somebody else")
            elif set(self._image.stores) <= set(surplus):
                self._settle([store], FAILED, "kept, because no store holds it that shall")
            else:
                self._remove(store)

    def _remove(self, store: str) -> None:
        for number in range(1, TRIES + 1):
            error: t.Optional[VolumesError] = None
            try:
                self._stores.remove(self._id, store)
            except VolumesError as caught:
                error = caught
            if store not in self._look().stores:
                return self._settle([store], REMOVED)
            if isinstance(error, Denied) and error.details.get("http_status") == 403:
                return self._settle([store], DENIED, "%s. Removing an image from a store needs the policy delete_image_location, which by default "
                                                     "is for administrators" % error.message)
            if number == TRIES or isinstance(error, InUse):
                return self._settle([store], FAILED, error.message if error else "Glance said that it did, and still has it there")
            self._pause()

    # --- waiting ---

    def _until_free(self, wanted: t.Sequence[str], seconds: float = float("inf")) -> None:
        """Wait until no import has the image locked, or one had for so many seconds.

        :raises InUse: one that has ended still has, and will have beyond the deadline.
        """
        clock = self._job.deadline.clock
        end = clock.now() + seconds

        def is_over() -> bool:
            if self._look().import_task is None or clock.now() >= end:
                return True
            self._refuse_stale()
            return False

        self._wait(is_over, "an import of image %s to end" % self._id, wanted)

    def _refuse_stale(self) -> None:
        """Refuse to wait for an import that has ended without letting go of the image: its worker was stopped in between."""
        now = self._job.deadline.clock.now()
        if now < self._ask_lock_at:
            return
        self._ask_lock_at = now + GRACE
        task = self._lock()
        ended = task.id if task and task.status in ENDED else ""
        if ended and ended == self._ended and self._job.deadline.remaining() < EXPIRES:
            raise InUse("image %s (%s) stays locked%s. Run the task again then, or now with a timeout that is longer than that" % (
                self._image.name, self._id, self._advice()))
        self._ended = ended

    def _wait(self, is_over: t.Callable[[], bool], what: str, wanted: t.Sequence[str]) -> None:
        try:
            self._job.deadline.wait(lambda: is_over() or None, what, longest=2.0)
        except TimedOut as error:
            self._settle((store for store in wanted if store in self._arriving()), PENDING, "the time was over before Glance was through")
            raise TimedOut(error.message + self._advice()) from error

    def _lock(self) -> t.Optional[ImportTask]:
        """The task that has the image locked, as far as Glance tells of it."""
        return next((task for task in self._stores.tasks(self._id) if task.id == self._image.import_task), None)

    def _advice(self) -> str:
        """What is known of the lock, should it be stale."""
        if self._image.import_task is None:
            return ""
        task = self._lock()
        heard = " (%s; last heard of at %s UTC)" % (task.status, task.updated_at) if task else ""
        return ". The import %s%s has it locked; should the Glance worker that runs it have died, Glance gives the image free %d minutes after its last " \
               "sign of life" % (self._image.import_task, heard, (EXPIRES_UNBEGUN if task and task.status == "pending" else EXPIRES) // 60)
