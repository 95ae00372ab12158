# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan: what will be done, as data. Shown in check mode and as a diff, then applied."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

State = t.Dict[str, t.Any]

# How results call a subject at which nothing was done.
UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Step:
    """One thing to do to one subject.

    :param action: ``create``, ``refill``, ``replace``, ``grow``, ``update``, ``adopt``, ``remove``, ``keep``, ...
    :param subject: The name of what it is done to.
    :param reason: Why, to read: ``it does not exist``.
    :param before: The subject as it is, where it differs; empty if it does not exist.
    :param after: The subject as it will be; empty if it will be gone.
    :param data: What apply needs and the diff does not show.
    """

    action: str
    subject: str
    reason: str = ""
    before: State = field(default_factory=dict)
    after: State = field(default_factory=dict)
    data: t.Any = None

    @property
    def changes(self) -> bool:
        """Whether anything is written. ``keep`` is the action that writes nothing."""
        return self.action != "keep"


@dataclass(frozen=True)
class Plan:
    """The steps, in the order in which they are applied."""

    steps: t.Tuple[Step, ...] = ()

    @property
    def changed(self) -> bool:
        """What the task reports as ``changed``, in check mode and out of it."""
        return any(step.changes for step in self.steps)

    def diff(self) -> t.Dict[str, t.Any]:
        """The plan as Ansible's diff: subjects with what they are and will be."""
        before: t.Dict[str, State] = {}
        after: t.Dict[str, State] = {}
        for step in self.steps:
            if step.changes and step.before:
                before.setdefault(step.subject, {}).update(step.before)
            if step.changes and step.after:
                after.setdefault(step.subject, {}).update(step.after)
        return {"before": before, "after": after}

    def having(self, action: str) -> t.List[Step]:
        """The steps of one kind."""
        return [step for step in self.steps if step.action == action]

    def summary(self) -> t.List[t.Dict[str, str]]:
        """The steps as the task's result shows them."""
        return [{"action": step.action, "name": step.subject, "reason": step.reason} for step in self.steps]
