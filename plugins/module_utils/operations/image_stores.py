# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which stores hold an image; for any number of images at once."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.images.copies import CHANGES, DENIED, PRESENT, Brought, bring
from ansible_collections.bootable.volumes.plugins.module_utils.images.placement import Placement, place, spread
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image, require_readable
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import kind_of

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud

# What a store is to an image before anything is done.
MISSING, SURPLUS = "missing", "surplus"


@dataclass(frozen=True)
class _Way:
    """What is between an image and its stores."""

    image: Image
    missing: t.Tuple[str, ...]
    surplus: t.Tuple[str, ...]


class ImageStores(Operation):
    """Copies each image to the stores that miss it.

    :param names: Of images, or their ids.
    :param asked: Ids of stores, or ``all``.
    :param only: Remove the images from all other stores afterwards.
    """

    def __init__(self, *, cloud: t.Callable[[], Cloud], names: t.Sequence[str], asked: t.Union[str, t.Sequence[str]], only: bool, job: Job) -> None:
        self._cloud = cloud
        self._names = names
        self._asked = asked
        self._only = only
        self._job = job
        self._placement: t.Optional[Placement] = None

    # --- planning ---

    def plan(self) -> Plan:
        if not self._names:
            raise InvalidInput("images: an empty list; name at least one image")
        placement = self._place()
        images = self._find()
        labels = _labels(images)
        return Plan(tuple(self._step(labels[image.id], image, placement) for image in images))

    def _place(self) -> Placement:
        if self._placement is None:
            self._placement = place(asked=self._asked, offered=self._cloud().stores.list())
        return self._placement

    def _find(self) -> t.List[Image]:
        """The images, in the order in which they were asked for.

        :raises VolumesError: naming all that were not found, not one per run.
        :raises InvalidInput: one is named twice.
        """
        found, errors = run_all(self._cloud().images.find, self._names, at_once=self._job.at_once)
        if errors:
            raise kind_of(error for dummy, error in errors)(". ".join(str(error) for dummy, error in errors))
        named: t.Dict[str, str] = {}
        for name, image in found:
            if image.id in named:
                raise InvalidInput("images: '%s' and '%s' are the same image (%s); name it once" % (named[image.id], name, image.id))
            named[image.id] = name
        return [image for dummy, image in found]

    def _step(self, label: str, image: Image, placement: Placement) -> Step:
        missing, surplus = spread(image, placement, only=self._only)
        way = _Way(image, missing, surplus)
        if not missing and not surplus:
            return Step("keep", label, placement.reason if not placement.stores else "it is where it belongs", data=way)
        require_readable(image)
        reasons = []
        if missing:
            reasons.append("it is not in %s" % ", ".join(missing))
        if surplus:
            reasons.append("it shall not be in %s" % ", ".join(surplus))
        if missing and image.import_task and set(missing) <= set(image.importing_to):
            action = "adopt"
            reasons.insert(0, "an import is under way")
        else:
            action = "copy" if not surplus else "move" if missing else "remove"
        after = [store for store in (*dict.fromkeys(image.stores), *missing) if store not in surplus]
        return Step(action, label, "; ".join(reasons), before={"stores": sorted(set(image.stores))}, after={"stores": sorted(after)}, data=way)

    # --- applying ---

    def apply(self, plan: Plan) -> Result:
        def work(step: Step) -> Brought:
            way: _Way = step.data
            return bring(way.image.id, missing=way.missing, surplus=way.surplus, images=cloud.images, stores=cloud.stores, job=self._job)

        cloud = self._cloud()
        steps = [step for step in plan.steps if step.changes]
        results = {step.subject: self._preview(step) for step in plan.steps}
        troubles: t.Dict[str, Exception] = {}
        done, errors = run_all(work, steps, at_once=self._job.at_once)
        for step, brought in done:
            results[step.subject] = self._merged(results[step.subject], brought.as_dict())
            if brought.troubles:
                troubles[step.subject] = _trouble(brought)
        for step, error in errors:
            troubles[step.subject] = error
            if isinstance(error, VolumesError) and "image" in error.details:
                results[step.subject] = self._merged(results[step.subject], error.details["image"])
        self._raise(troubles, list(results.values()))
        return self._result(list(results.values()))

    @staticmethod
    def _merged(before: Result, now: Result) -> Result:
        """What was planned for an image, and what has become of that."""
        return dict(now, report=dict(before["report"], **now["report"]))

    def _raise(self, troubles: t.Mapping[str, Exception], images: t.List[Result]) -> None:
        """One error for all ``troubles``, which keeps what has succeeded; nothing when there are none."""
        if not troubles:
            return
        failures = {label: str(error) for label, error in troubles.items()}
        each = "; ".join("%s: %s" % item for item in failures.items())
        changed = any(outcome["state"] in CHANGES for image in images for outcome in image["report"].values())
        raise kind_of(troubles.values())(
            "%d of %d images could not be brought to their stores: %s" % (len(troubles), len(images), each),
            changed=changed, failures=failures, **self._result(images))

    # --- telling ---

    def preview(self, plan: Plan) -> Result:
        return self._result([self._preview(step) for step in plan.steps])

    def _preview(self, step: Step) -> Result:
        way: _Way = step.data
        report = {store: {"state": PRESENT, "reason": ""} for store in self._place().stores}
        report.update({store: {"state": MISSING, "reason": "to be copied there"} for store in way.missing})
        report.update({store: {"state": SURPLUS, "reason": "to be removed from there"} for store in way.surplus})
        return {"id": way.image.id, "name": way.image.name, "stores": list(way.image.stores), "report": report}

    def _result(self, images: t.List[Result]) -> Result:
        return {"images": images, "placement": self._place().as_dict()}


def _labels(images: t.Sequence[Image]) -> t.Dict[str, str]:
    """By id, what each image is called in a plan: its name, unless others have it, too."""
    names = [image.name for image in images]
    return {image.id: image.name if image.name and names.count(image.name) == 1 else "%s (%s)" % (image.name, image.id) for image in images}


def _trouble(brought: Brought) -> Exception:
    """The stores that an image could not be brought to, as an error."""
    states = {outcome.state for outcome in brought.troubles.values()}
    kind = Denied if states == {DENIED} else BackendError
    return kind("; ".join(brought.complaints))
