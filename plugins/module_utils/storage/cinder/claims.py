# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One volume per name, although Cinder would make any number of the same name.

Cinder has no unique names and no locks. Two runs of a task that start together both find nothing, and both create.
They sort it out afterwards, through the volumes themselves:

* Every volume is created with a *claim* in its metadata: ``bootable_claim=<the run's id>``.
* When a run has created all its volumes it lists the project's volumes *once more*. Whichever of two runs lists
  later sees the other's volume, because each lists only after it has created. For each name it finds

  - **no rival**: it removes its claim. The volume is *settled*.
  - **a settled rival** (another volume of that name, without a claim): it *gives way*: it marks its own volume
    ``bootable_claim=yielded``, which every run overlooks from then on, adopts the rival, and deletes its own as soon
    as Cinder allows that (a volume that is being created cannot be deleted).
  - **a rival that claims, too**: both have seen each other, so the ids decide. The one with a higher id gives way at
    once. The one with the lowest id waits until the others have given way or are gone, and settles.

* Nobody waits for ever: a run that holds its claim longer than PATIENCE seconds has been killed, or is stuck. Whoever
  waits for it *settles its volume* and gives way to it. No run deletes a volume that another one may still count on.

What a killed run leaves behind is found by the next one. A single volume with a claim is adopted: the claim is removed,
and Cinder, which needs nobody's help to finish it, is waited for. Of several claimed ones of a name the most advanced
is kept, once PATIENCE is over; the others, and those that had yielded, are removed. Until then the volume counts as
*working*, so that a run that only looks changes nothing.
"""

from __future__ import annotations

import contextlib
import typing as t
import uuid
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, BackendError, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume, Volumes
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CLAIM, YIELDED, claim_of, is_broken, is_busy, is_going

# Seconds that a claim may stand while another run waits for it.
PATIENCE = 10.0

# Between two looks at the rivals; the time from creating to settling is a few requests.
_PAUSE = 0.3


@dataclass
class Settled:
    """What the runs have agreed on.

    :param ours: By name, our volumes that stay.
    :param adopted: By name, the volumes of other runs that stay in place of ours.
    :param yielded: Ids of our volumes that must be removed.
    :param errors: By name, why there is no volume.
    """

    ours: t.Dict[str, CinderVolume] = field(default_factory=dict)
    adopted: t.Dict[str, CinderVolume] = field(default_factory=dict)
    yielded: t.List[str] = field(default_factory=list)
    errors: t.Dict[str, Exception] = field(default_factory=dict)

    def get(self, name: str) -> t.Optional[CinderVolume]:
        """The volume of that name, whoever made it; None where there is none."""
        return self.ours.get(name) or self.adopted.get(name)


def choose(name: str, volumes: t.Iterable[CinderVolume]) -> t.Tuple[t.Optional[CinderVolume], t.List[str]]:
    """Which of the project's volumes is *the* volume of a name, and which are strays: left over by runs that broke off.

    :raises Ambiguous: several are settled; people, or other tools, made them.
    """
    there = [volume for volume in volumes if volume.name == name and volume.status not in ("deleting", "deleted")]
    settled = [volume for volume in there if not claim_of(volume)]
    claimed = sorted((volume for volume in there if claim_of(volume) and not is_going(volume)), key=_advancement)
    if len(settled) > 1:
        each = ", ".join("%s (%s)" % (volume.id, volume.status) for volume in settled)
        raise Ambiguous("%d volumes have the name '%s': %s; rename or remove all but one" % (len(settled), name, each), ids=[volume.id for volume in settled])
    chosen = next(iter(settled + claimed), None)
    return chosen, [volume.id for volume in there if chosen is not None and volume.id != chosen.id]


def _advancement(volume: CinderVolume) -> t.Tuple[int, str]:
    """The further Cinder has got, the less; then the lower id."""
    order = {"available": 0, "in-use": 0, "downloading": 1, "creating": 2}
    return (9 if is_broken(volume) else order.get(volume.status, 3)), volume.id


class Claims:
    """The claims of one run."""

    def __init__(self, volumes: Volumes, job: Job, *, run: t.Optional[str] = None) -> None:
        self._volumes = volumes
        self._job = job
        self._clock = job.deadline.clock
        self.run = run or uuid.uuid4().hex

    @property
    def mark(self) -> t.Dict[str, str]:
        """The metadata with which this run creates its volumes."""
        return {CLAIM: self.run}

    # --- after creating ---

    def settle(self, created: t.Mapping[str, CinderVolume], failed: t.Mapping[str, Exception]) -> Settled:
        """Agree with the other runs on one volume per name, after all of ours were created.

        :param created: Our volumes by name.
        :param failed: Names that Cinder refused, or did not answer for; it, or another run, may have created them all the same.
        """
        settled = Settled()
        own = {name: volume.id for name, volume in created.items()}
        undecided = set(own) | set(failed)
        gave_way: t.Set[str] = set()
        patient_until = self._clock.now() + PATIENCE
        while undecided:
            by_name = self._by_name(undecided)
            for name, there in by_name.items():
                settled.yielded += self._recover(name, there, own)
            patient = self._clock.now() < patient_until and self._job.deadline.remaining() > 0

            def decide(name: str) -> t.Tuple[t.Optional[CinderVolume], bool]:
                return self._decide(name, own.get(name), by_name[name], name in gave_way, patient, failed.get(name))

            decisions, errors = run_all(decide, sorted(undecided), at_once=self._job.at_once)
            for name, error in errors:
                settled.errors[name] = error
                undecided.discard(name)
            for name, (volume, given) in decisions:
                if given and name not in gave_way:
                    gave_way.add(name)
                    settled.yielded += [own[name]] if name in own else []
                if volume is not None:
                    (settled.ours if volume.id == own.get(name) else settled.adopted)[name] = volume
                    undecided.discard(name)
            if undecided:
                self._clock.sleep(_PAUSE)
        return settled

    def _by_name(self, names: t.Collection[str]) -> t.Dict[str, t.List[CinderVolume]]:
        found: t.Dict[str, t.List[CinderVolume]] = {name: [] for name in names}
        for volume in self._volumes.list(name=next(iter(names)) if len(names) == 1 else None):
            if volume.name in found and volume.status not in ("deleting", "deleted"):
                found[volume.name].append(volume)
        return found

    def _recover(self, name: str, there: t.Sequence[CinderVolume], own: t.Dict[str, str]) -> t.List[str]:
        """Take note of a volume of ours that Cinder created although we never got its answer.

        :returns: Ids of volumes to be removed: a second one of ours, and those that an earlier run was killed over.
        """
        surplus = []
        for volume in there:
            if claim_of(volume) == self.run and own.setdefault(name, volume.id) != volume.id:
                self._give_way(volume.id)
                surplus.append(volume.id)
            elif claim_of(volume) == YIELDED and volume.id != own.get(name) and not is_busy(volume):
                surplus.append(volume.id)
        return surplus

    def _decide(self, name: str, own: t.Optional[str], there: t.Sequence[CinderVolume], gave_way: bool, patient: bool,
                failure: t.Optional[Exception]) -> t.Tuple[t.Optional[CinderVolume], bool]:
        """One look at one name: (the volume that all agree on, or None to look again; whether we have given way)."""
        mine = next((volume for volume in there if volume.id == own and not is_going(volume)), None)
        rivals = sorted((volume for volume in there if volume.id != own and claim_of(volume) not in (self.run, YIELDED)), key=lambda volume: volume.id)
        winner = next((volume for volume in rivals if not claim_of(volume)), None)
        if winner is not None:
            return winner, gave_way or self._give_way(own)
        if not rivals:
            if mine is None or own is None:
                raise failure if failure is not None and own is None else BackendError(
                    "volume %s was removed by somebody else as soon as it was made; run the task once more" % name)
            self._remove_claim(own)
            return mine, False
        first = rivals[0]
        if not patient:
            given = gave_way or self._give_way(own)
            self._remove_claim(first.id)
            return first, given
        if gave_way or mine is None or first.id < mine.id:
            return None, gave_way or self._give_way(own)
        return None, False

    def _give_way(self, own: t.Optional[str]) -> bool:
        if own is not None:
            with contextlib.suppress(NotFound):
                self._volumes.set_metadata(own, {CLAIM: YIELDED})
        return True

    def _remove_claim(self, volume_id: str) -> None:
        with contextlib.suppress(NotFound):
            self._volumes.delete_metadata(volume_id, CLAIM)

    # --- finding what others left ---

    def take_over(self, name: str) -> t.Tuple[CinderVolume, t.List[str]]:
        """Settle a name that other runs hold claims on: (the volume that stays, ids of those to be removed).

        :raises BackendError: there is no volume of that name any more.
        :raises Ambiguous: several are settled by now.
        """
        patient_until = self._clock.now() + PATIENCE
        while True:
            there = self._by_name([name])[name]
            chosen, strays = choose(name, there)
            if chosen is None:
                raise BackendError("volume %s vanished while it was to be adopted; somebody else deleted it" % name)
            claiming = [volume for volume in there if claim_of(volume) and not is_going(volume)]
            clear = not claim_of(chosen) or len(claiming) == 1
            if clear or self._clock.now() >= patient_until or self._job.deadline.remaining() <= 0:
                if claim_of(chosen):
                    self._remove_claim(chosen.id)
                return chosen, strays
            self._clock.sleep(_PAUSE)
