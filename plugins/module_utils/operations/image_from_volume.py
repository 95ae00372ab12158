# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image made of a volume, in exactly the stores that it belongs in."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    Ambiguous, BackendError, Drift, InUse, NotFound, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import UNCHANGED, Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.images.copies import Brought, bring
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import CLONE, REGISTER, UPLOAD, Origin, method_of, origin_of, stale_keys
from ansible_collections.bootable.volumes.plugins.module_utils.images.placement import SINGLE, Placement, place, spread
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import AUTO, ImageWish, differing, is_locked
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import ACTIVE, Image
from ansible_collections.bootable.volumes.plugins.module_utils.operations.comparison import FAIL, IGNORE, REPLACE
from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_removal import named, refuse_removal
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result, stored_image_result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_results import volume_result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import ADOPTED, AVAILABLE, UPDATED, WORKING, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.imaging import Imaged, Imaging, Originals, Route, is_begun

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud

CREATED, REPLACED = "created", "replaced"

# The rule for an image that refers to a volume and that no task asked to be anywhere: it lies where the volume does.
LOCATION = "location"

# How often the plan is made anew because another run was making an image of the same volume.
_ROUNDS = 3


@dataclass
class _Outcome:
    """What has come of it so far.

    :param how: CREATED, ADOPTED, UPDATED, REPLACED or UNCHANGED.
    """

    image: t.Optional[Image] = None
    how: str = UNCHANGED
    method: t.Optional[str] = None
    reason: str = ""
    placement: t.Optional[Placement] = None
    brought: t.Optional[Brought] = None


@dataclass(frozen=True)
class Filled:
    """Where an image stands that has its bytes, if it needed any.

    :param volume: As it was when they were read.
    :param started: When it was begun, in seconds.
    :param imaged: The image that was made, or that another run had begun.
    :param fresh: Whether this run gave it its bytes.
    """

    plan: Plan
    volume: Volume
    started: float
    how: str = UNCHANGED
    imaged: t.Optional[Imaged] = None
    fresh: bool = False


class ImageFromVolume(Operation):
    """``state: present``.

    :param driver: What has the volume.
    :param volume: The volume's name, or its id.
    :param asked: Stores: their ids, ``all``, ``base``, or None for what the specification says (images/placement.py).
    :param on_drift: ``fail``, ``ignore`` or ``replace``.
    :param warn: Told of stores that the default names and that could not be reached.
    """

    def __init__(self, *, driver: Originals, volume: str, wish: ImageWish, asked: t.Union[None, str, t.Sequence[str]], on_drift: str,
                 cloud: t.Callable[[], Cloud], warn: t.Callable[[str], None], job: Job) -> None:
        self._driver = driver
        self._name = volume
        self._wish = wish
        self._asked = asked
        self._on_drift = on_drift
        self._cloud = cloud
        self._warn = warn
        self._job = job

    @property
    def _imaging(self) -> Imaging:
        return self._driver.imaging(self._cloud().images)

    def exclusive(self) -> t.ContextManager[None]:
        return self._driver.exclusive([self._name], self._job)

    # --- planning ---

    def plan(self) -> Plan:
        self._wish.check()
        volume = self._volume()
        ours, others = self._sorted(volume)
        if ours is None:
            return Plan(tuple(self._creation(volume, others)))
        if self._is_begun(volume, ours) and not self._contradicts(ours):
            return Plan((Step("adopt", self._wish.name, "it is %s" % ours.status, self._state(ours), self._wanted(), ours), *self._removals(others)))
        return Plan(tuple(self._changes(volume, ours, others)))

    def _volume(self) -> Volume:
        volume = self._driver.look_up(self._name)
        if volume is None:
            raise NotFound("volume: there is no volume '%s' in this storage; check volume and storage" % self._name)
        return volume

    def _sorted(self, volume: Volume) -> t.Tuple[t.Optional[Image], t.List[Image]]:
        """The image of that name that was made of the volume, and the others of that name.

        :raises Ambiguous: several were made of it.
        """
        there = named(self._cloud(), self._wish.name)
        ours = [image for image in there if (origin_of(image) or Origin("")).volume == volume.id]
        if not ours:
            imaging = self._imaging
            ours = [image for image in there if origin_of(image) is None and imaging.claims(volume, image)]
        if len(ours) > 1:
            raise Ambiguous("%d images called '%s' were made of volume %s: %s; remove or rename all but one" % (
                len(ours), self._wish.name, volume.name, ", ".join(image.id for image in ours)), ids=[image.id for image in ours])
        return (ours[0] if ours else None), [image for image in there if image not in ours]

    def _is_begun(self, volume: Volume, image: Image) -> bool:
        """Whether another run has, or had, not finished an image of the volume."""
        return is_begun(image, origin_of(image) or Origin(volume.id)) or self._imaging.claims(volume, image)

    def _contradicts(self, image: Image) -> bool:
        """Whether it is to be a volume as it is and shall not, or the other way round: then it cannot be brought to the end that was asked for."""
        return self._wish.method != AUTO and (self._wish.method == REGISTER) != (method_of(image) == REGISTER)

    def _creation(self, volume: Volume, others: t.List[Image]) -> t.List[Step]:
        if others and self._on_drift == IGNORE:
            return [Step("keep", self._wish.name, "drift ignored: image %s was not made of volume %s" % (others[0].id, volume.name), data=others[0])]
        if others and self._on_drift == FAIL:
            raise Drift("image %s (%s) exists, but was not made of volume %s (%s) by this collection; give another name, leave it with on_drift: ignore, "
                        "or let on_drift: replace make the new image and then remove that one" % (self._wish.name, others[0].id, volume.name, volume.id),
                        drift={self._wish.name: [{"what": "volume", "found": (origin_of(others[0]) or Origin("unknown")).volume, "wanted": volume.id}]})
        self._check(volume)
        placement = self._placement(volume)
        after = dict(self._wanted(), volume=volume.id, disk_format=self._wish.disk_format, container_format=self._wish.container_format)
        if placement.stores:
            after["stores"] = sorted(placement.stores)
        return [Step("create", self._wish.name, "it does not exist", after=after, data=placement), *self._removals(others)]

    def _check(self, volume: Volume) -> None:
        """
        :raises InUse: the volume cannot be read as it is; one that somebody works on will be waited for.
        """
        if volume.state not in (AVAILABLE, WORKING):
            raise InUse("volume %s (%s) is %s; an image is made only of one that is whole" % (volume.name, volume.id, volume.status))
        self._imaging.check(volume, self._wish)

    def _changes(self, volume: Volume, image: Image, others: t.List[Image]) -> t.List[Step]:
        """What an image that is there still needs."""
        drift = self._drift(image)
        if drift and self._on_drift == FAIL:
            raise Drift("image %s (%s) exists, but %s; let on_drift: replace make it anew, or leave it with ignore" % (
                image.name, image.id, "; ".join("%s is %s, not %s" % each for each in drift)),
                drift={image.name: [dict(zip(("what", "found", "wanted"), each)) for each in drift]})
        if drift and self._on_drift == REPLACE:
            self._check(volume)
            return [Step("create", self._wish.name, "; ".join("%s is %s, not %s" % each for each in drift), self._state(image),
                         dict(self._wanted(), **{what: wanted for what, dummy, wanted in drift}), self._placement(volume)),
                    *self._removals([image] + others)]
        steps = []
        mending = differing(image, self._wish)
        if mending:
            steps.append(Step("update", image.name, ", ".join(mending), {name: has for name, (has, dummy) in mending.items()},
                              {name: wanted for name, (dummy, wanted) in mending.items()}, image))
        placement, missing, surplus = self._misplaced(volume, image)
        if missing or surplus:
            steps.append(Step("place", image.name, placement.reason, {"stores": sorted(image.stores)}, {"stores": sorted(placement.stores)}, image))
        elif placement.rule not in (LOCATION, SINGLE) and self._asked is None and (origin_of(image) or Origin("")).stores is None:
            steps.append(Step("adopt", image.name, "a run broke off before it was settled where it lies", self._state(image), self._wanted(), image))
        return [*(steps or [Step("keep", image.name, "it is what was asked for", data=image)]), *self._removals(others)]

    def _removals(self, others: t.Sequence[Image]) -> t.List[Step]:
        """What goes when the new image is there."""
        if self._on_drift != REPLACE:
            return []
        for image in others:
            refuse_removal(image, self._wish.force)
        return [Step("remove", "%s (%s)" % (image.name, image.id), "another image of this name takes its place", self._state(image), data=image)
                for image in others]

    def _drift(self, image: Image) -> t.List[t.Tuple[str, t.Any, t.Any]]:
        """(what, is, shall be) of all that cannot be changed on an image."""
        wish = self._wish
        pairs = [("status", image.status, ACTIVE), ("disk_format", image.disk_format, wish.disk_format),
                 ("container_format", image.container_format, wish.container_format)]
        if wish.method != AUTO and image.status == ACTIVE or self._contradicts(image):
            pairs.append(("method", method_of(image), wish.method))
        return [(what, found, wanted) for what, found, wanted in pairs if found != wanted]

    def _misplaced(self, volume: Volume, image: Image) -> t.Tuple[Placement, t.Sequence[str], t.Sequence[str]]:
        """Where an existing image belongs; the stores that miss it, and those where it is too many.

        What no task named was settled when the image was made: it is not asked again.
        """
        origin, method = origin_of(image) or Origin(volume.id), method_of(image)
        if self._asked is None and (method != UPLOAD or origin.stores is not None):
            return Placement(image.stores, LOCATION, "it was settled when the image was made"), (), ()
        placement = self._placement(volume)
        return (placement, *spread(image, placement))

    def _placement(self, volume: Volume, type_store: t.Optional[str] = None) -> Placement:
        imaging = self._imaging
        base_id = imaging.base_of(volume)
        base = None
        if base_id:
            try:
                base = self._cloud().images.get(base_id)
            except NotFound:
                pass
        return place(asked=self._asked, offered=self._cloud().stores.list(), type_store=type_store or imaging.store_of(volume),
                     bootable=base_id is not None, base=base, base_id=base_id, typed=imaging.typed)

    def _state(self, image: Image) -> t.Dict[str, t.Any]:
        """An image for diffs."""
        return {"id": image.id, "status": image.status, "disk_format": image.disk_format, "stores": sorted(image.stores),
                **{name: has for name, (has, dummy) in differing(image, self._wish).items()}}

    def _wanted(self) -> t.Dict[str, t.Any]:
        """The wish for diffs."""
        return dict(self._wish.attributes(), status=ACTIVE)

    # --- applying ---

    def apply(self, plan: Plan) -> Result:
        return self.complete(self.fill(plan))

    def fill(self, plan: Plan) -> Filled:
        """The first half of ``apply``: an image that has to be made gets its bytes. Nothing that was there before is changed."""
        started = time.monotonic()
        volume = self._volume()
        for attempt in range(_ROUNDS):
            if attempt or volume.state == WORKING and plan.having("create"):  # another run makes an image of it: perhaps the very one
                volume = self._free(volume)
                plan = self.plan()
            if not plan.having("create"):
                break
            try:
                imaged = self._imaging.make(volume, self._wish, self._route(volume, plan.having("create")[0].data), self._job)
            except InUse:
                volume = self._volume()
                if volume.state != WORKING or attempt == _ROUNDS - 1:
                    raise
                continue
            return Filled(plan, volume, started, REPLACED if plan.having("remove") else CREATED, imaged, fresh=True)
        for step in plan.having("adopt"):
            return self._adopted(Filled(plan, volume, started, ADOPTED), step.data)
        return Filled(plan, volume, started)

    def complete(self, filled: Filled) -> Result:
        """The second half: an image that has its bytes becomes all that was asked for, and what it replaces goes."""
        volume, outcome = filled.volume, _Outcome(how=filled.how)
        if filled.imaged:
            self._complete(volume, filled.imaged, outcome)
        for step in filled.plan.having("update") + filled.plan.having("place"):
            self._mend(volume, step.data, outcome)
        for step in filled.plan.having("keep"):
            outcome.image = step.data
        self._remove(filled.plan.having("remove"), outcome)
        return dict(self._result(volume, outcome), seconds=round(time.monotonic() - filled.started, 3))

    def discard(self, filled: Filled) -> None:
        """In place of the second half: the image goes again, if the first half made it."""
        if filled.imaged and filled.fresh:
            self._cloud().images.discard(filled.imaged.image)

    def _free(self, volume: Volume) -> Volume:
        """The volume when no other run makes an image of it any more."""
        def poll() -> t.Optional[Volume]:
            now = self._volume()
            return now if now.state != WORKING else None

        return volume if volume.state != WORKING else self._job.deadline.wait(poll, "volume %s, which is %s" % (volume.name, volume.status))

    def _route(self, volume: Volume, placement: Placement) -> Route:
        first = next(iter(placement.stores), None)
        if self._wish.method == REGISTER:
            # Glance finds the store of the volume's type by itself; a task that names one store means that one
            return Route(first if self._asked is not None and len(placement.stores) == 1 else None)
        return Route(first, self._imaging.base_of(volume))

    def _adopted(self, filled: Filled, image: Image) -> Filled:
        volume = filled.volume
        if not self._is_begun(volume, image):
            return replace(filled, imaged=Imaged(image, method_of(image), "another run made it"))
        route = self._route(volume, self._placement(volume))
        return replace(filled, imaged=self._imaging.finish(volume, image, self._wish, route, self._job), fresh=True)

    def _mend(self, volume: Volume, image: Image, outcome: _Outcome) -> None:
        if outcome.image is None:
            self._complete(volume, Imaged(image, method_of(image), "it was made so before"), outcome)
            outcome.how = UPDATED

    def _complete(self, volume: Volume, imaged: Imaged, outcome: _Outcome) -> None:
        """Bring an image that has its bytes to its stores, and let it have all that was asked for."""
        outcome.image, outcome.method, outcome.reason = imaged.image, imaged.method, imaged.reason
        if not imaged.finished:
            return
        by_clone = self._wish.method == UPLOAD and imaged.method == CLONE
        stores = (origin_of(imaged.image) or Origin("")).stores
        if self._asked is None and not by_clone and imaged.method != UPLOAD:
            outcome.placement = Placement(imaged.image.stores, LOCATION, "an image that refers to a volume lies in the store of that volume")
        elif self._asked is not None or stores is None:
            outcome.placement = self._placement(volume, imaged.type_store)
            missing, surplus = spread(imaged.image, outcome.placement)
            if missing or surplus:
                self._bring(imaged, missing, surplus, outcome)
            if by_clone:
                self._expect_uploaded(imaged, outcome)
        complaints = outcome.brought.complaints if outcome.brought else []
        failed = bool(complaints) and self._asked is not None
        if outcome.placement and outcome.method == UPLOAD and self._job.wait and not failed:
            stores = outcome.image.stores
        outcome.image = self._settled(outcome.image, Origin(volume.id, outcome.method, stores=stores))
        if outcome.brought and failed:
            changed = outcome.how != UNCHANGED or outcome.brought.changed or outcome.image != outcome.brought.image
            raise BackendError("image %s (%s) is there, but not in all its stores: %s" % (
                imaged.image.name, imaged.image.id, "; ".join(complaints)), changed=changed, **self._result(volume, outcome))
        for each in complaints:
            self._warn("stores: %s" % each)

    def _bring(self, imaged: Imaged, missing: t.Sequence[str], surplus: t.Sequence[str], outcome: _Outcome) -> None:
        cloud = self._cloud()
        outcome.brought = bring(imaged.image.id, missing=missing, surplus=surplus, images=cloud.images, stores=cloud.stores, job=self._job)
        outcome.image = outcome.brought.image

    def _expect_uploaded(self, imaged: Imaged, outcome: _Outcome) -> None:
        """An upload was asked for and Cinder cloned: the bytes must have been copied, and the clone be gone.

        :raises BackendError: they are not; then the image is removed, for it is not what was asked for.
        """
        image = t.cast(Image, outcome.image)
        complaints = outcome.brought.complaints if outcome.brought else []
        if outcome.brought and not complaints and not set(image.stores) & set(imaged.image.stores):
            outcome.method, outcome.reason = UPLOAD, "Cinder cloned the volume, so Glance copied the bytes and the clone was removed"
            return
        self._cloud().images.discard(image)
        raise BackendError("method: upload was asked for, but this back end makes images as clones (image_upload_use_cinder_backend), and the bytes "
                           "could not be copied out of the clone%s. The image %s was removed; use method: auto, or another disk_format, which is always "
                           "uploaded" % ("".join("; %s" % each for each in complaints), image.id))

    def _settled(self, image: Image, origin: Origin) -> Image:
        """The image with all that was asked for, and with the marks of a finished one.

        What Glance would lose (``is_locked``) is written when it can be no longer.
        """
        images = self._cloud().images

        def poll() -> t.Optional[Image]:
            now = images.get(image.id)
            changes = {name: wanted for name, (dummy, wanted) in differing(now, self._wish).items()}
            changes.update({key: value for key, value in origin.properties(image.id).items() if now.properties.get(key) != value})
            without = stale_keys(now, origin)
            if not changes and not without:
                return now
            return None if is_locked(now) else images.change(image.id, changes, without)

        return self._job.deadline.wait(poll, "Glance to be done with image %s (%s)" % (image.name, image.id))

    def _remove(self, steps: t.Sequence[Step], outcome: _Outcome) -> None:
        for step in steps:
            try:
                self._cloud().images.delete(step.data.id)
            except VolumesError as error:
                raise type(error)("the new image is there, but the old one stays: %s" % error.message, **dict(
                    error.details, changed=True, image=stored_image_result(t.cast(Image, outcome.image)))) from error

    # --- telling ---

    def preview(self, plan: Plan) -> Result:
        volume, outcome = self._volume(), _Outcome()
        for step in plan.steps:
            if step.action == "create":
                outcome.how, outcome.placement = step.action, step.data
            elif step.action in ("adopt", "update", "place", "keep"):
                outcome.image, outcome.how = step.data, UNCHANGED if step.action == "keep" else step.action
        return dict(self._result(volume, outcome), seconds=0.0)

    def _result(self, volume: Volume, outcome: _Outcome) -> Result:
        image, placement = outcome.image, outcome.placement
        if image is not None and image.status == ACTIVE:
            locations = image.locations or self._cloud().images.locations(image)
            image = replace(image, locations=locations)
            outcome.method = outcome.method or method_of(image)
            outcome.reason = outcome.reason or "it was made so before"
        report = {store: {"state": "present", "reason": ""} for store in (image.stores if image else ())}
        if outcome.brought:
            report.update(outcome.brought.as_dict()["report"])
        return {
            "image": stored_image_result(image) if image else None,
            "volume": volume_result(volume),
            "how": outcome.how,
            "method_used": outcome.method if image and image.status == ACTIVE else None,
            "method_reason": outcome.reason,
            "placement": placement.as_dict() if placement else None,
            "stores": report,
        }
