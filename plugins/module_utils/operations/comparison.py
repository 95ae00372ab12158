# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is against what shall be: the steps that one volume needs. Pure: looks at data, asks nobody."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Drift
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Step
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import BROKEN, HALF_DONE, WORKING, Difference, Volume

# on_drift
FAIL, IGNORE, REFILL, REPLACE = "fail", "ignore", "refill", "replace"


@dataclass(frozen=True)
class Wanted:
    """What every volume of the task shall be.

    :param size: Bytes, whatever it was found from.
    :param size_given: Whether the task named it; if it did not, a larger volume is as good.
    """

    image: ImageDescription
    size: int
    size_given: bool

    def as_state(self) -> t.Dict[str, t.Any]:
        """For diffs."""
        return {"image": self.image.id or self.image.name, "size": self.size}


def state_of(volume: Volume) -> t.Dict[str, t.Any]:
    """A volume for diffs."""
    record = volume.record
    return {"image": (record.image_id or record.image_name or record.origin) if record else None, "size": volume.size}


def reason_of(drift: t.Iterable[Difference]) -> str:
    """What differs, to read."""
    return "; ".join("%s is %s, not %s" % (each.what, each.found, each.wanted) for each in drift)


def shown(drift: t.Iterable[Difference]) -> t.List[t.Dict[str, t.Any]]:
    """What differs, as results show it."""
    return [{"what": each.what, "found": each.found, "wanted": each.wanted} for each in drift]


def all_steps(names: t.Iterable[str], steps_of: t.Callable[[str], t.List[Step]]) -> t.List[Step]:
    """The steps of everything that a task names. All drift is told of at once, not one thing per run.

    :param steps_of: The steps of one of them; raises Drift where it may not be changed.
    :raises Drift: for all that may not be changed.
    """
    steps: t.List[Step] = []
    drifted: t.List[Drift] = []
    for name in names:
        try:
            steps += steps_of(name)
        except Drift as error:
            drifted.append(error)
    if drifted:
        drift = {name: each for error in drifted for name, each in error.details["drift"].items()}
        raise Drift(". ".join(error.message for error in drifted), drift=drift)
    return steps


def drift_of(volume: Volume, wanted: Wanted, differences: t.Sequence[Difference]) -> t.List[Difference]:
    """Where the volume is something else than asked for, beyond what ``grow`` and ``update`` mend in place."""
    drift = [difference for difference in differences if difference.mend == REPLACE]
    if volume.state == BROKEN:
        drift.append(Difference("status", volume.status, "available", REFILL))
    elif volume.record is None or not volume.record.is_of(wanted.image):
        state = state_of(volume)
        drift.append(Difference("image", state["image"] or volume.details.get("content") or "nothing known", wanted.image.id or wanted.image.name, REFILL))
    if wanted.size_given and wanted.size < volume.size:
        drift.append(Difference("size", human(volume.size), human(wanted.size), REPLACE))
    return drift


def steps_for(name: str, volume: t.Optional[Volume], wanted: Wanted, differences: t.Sequence[Difference], on_drift: str) -> t.List[Step]:
    """The steps that turn what is there under a name into what is wanted; a single ``keep`` when it is that already.

    :param differences: What the driver sees, for a volume that exists.
    :raises Drift: when it is something else and ``on_drift`` does not allow changing it.
    """
    after = wanted.as_state()
    if volume is None:
        return [Step("create", name, "it does not exist", after=after)]
    before = state_of(volume)
    if volume.state == WORKING:
        return [Step("adopt", name, "it is %s" % volume.status, before, after, volume)]
    if volume.state == HALF_DONE:
        return [Step("adopt", name, "a run broke off before it was filled", before, after, volume)]

    drift = drift_of(volume, wanted, differences)
    if drift:
        reason = reason_of(drift)
        if on_drift == IGNORE:
            return [Step("keep", name, "drift ignored: " + reason, data=volume)]
        if on_drift == REPLACE:
            return [Step("replace", name, reason, before, after, volume)]
        beyond = [each.what for each in drift if each.mend == REPLACE]
        if on_drift == FAIL or beyond:
            raise Drift(_explain(name, volume, reason, beyond if on_drift != FAIL else None), drift={name: shown(drift)})

    steps = []
    if wanted.size > volume.size:
        steps.append(Step("grow", name, "%s is less than %s" % (human(volume.size), human(wanted.size)), {"size": volume.size}, {"size": wanted.size}, volume))
    if drift:
        steps.append(Step("refill", name, reason, before, after, volume))
    updates = [each for each in differences if each.mend == "update"]
    if updates:
        steps.append(Step(
            "update", name, ", ".join(each.what for each in updates),
            {each.what: each.found for each in updates}, {each.what: each.wanted for each in updates}, volume,
        ))
    return steps or [Step("keep", name, "it is what was asked for", data=volume)]


def _explain(name: str, volume: Volume, reason: str, beyond: t.Optional[t.List[str]]) -> str:
    if beyond:
        advice = "on_drift: refill cannot change %s; on_drift: replace removes the volume and makes it anew" % " and ".join(beyond)
    else:
        advice = "allow a change with on_drift: refill (same volume, new content) or replace (removed and made anew), or leave it with ignore"
    return "%s (%s) exists but %s; %s" % (name, volume.id, reason, advice)
