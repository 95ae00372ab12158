# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step


def test_a_plan_that_keeps_everything_changes_nothing():
    plan = Plan((Step("keep", "a"), Step("keep", "b")))
    assert not plan.changed
    assert plan.diff() == {"before": {}, "after": {}}


def test_the_diff_shows_what_changes_and_only_that():
    plan = Plan((
        Step("keep", "a", before={"size": 1}),
        Step("create", "b", after={"size": 2}),
        Step("remove", "c", before={"size": 3}),
    ))
    assert plan.changed
    assert plan.diff() == {"before": {"c": {"size": 3}}, "after": {"b": {"size": 2}}}


def test_several_steps_of_one_subject_are_one_entry_of_the_diff():
    plan = Plan((
        Step("grow", "a", before={"size": 1}, after={"size": 2}),
        Step("update", "a", before={"bootable": False}, after={"bootable": True}),
    ))
    assert plan.diff() == {"before": {"a": {"size": 1, "bootable": False}}, "after": {"a": {"size": 2, "bootable": True}}}
    assert plan.steps[0].after == {"size": 2}, "the diff must not write into the steps"


def test_having_and_summary():
    plan = Plan((Step("keep", "a", "it is there"), Step("create", "b", "it is not", data=object())))
    assert [step.subject for step in plan.having("create")] == ["b"]
    assert plan.summary() == [
        {"action": "keep", "name": "a", "reason": "it is there"},
        {"action": "create", "name": "b", "reason": "it is not"},
    ]
