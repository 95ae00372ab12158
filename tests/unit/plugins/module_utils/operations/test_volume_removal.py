# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_info import VolumeInfo
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_removal import VolumeRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Request
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record
from ansible_collections.bootable.volumes.tests.unit.fakes.host import make_job, surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.memory import MemoryDriver


class Driver(MemoryDriver):
    held = {}
    stuck = set()

    def holders(self, volume):
        return self.held.get(volume.name, [])

    def remove(self, volume, job):
        if volume.name in self.stuck:
            raise BackendError("it is stuck")
        super().remove(volume, job)


@pytest.fixture
def driver():
    driver = Driver(surroundings())
    for name in "abc":
        driver.create(Request(name, 4096), Record(READY, "blank"))
    return driver


def run(driver, names):
    operation = VolumeRemoval(driver=driver, names=names, job=make_job())
    plan = operation.plan()
    return plan, operation.apply(plan)


def test_exactly_the_ones_named(driver):
    plan, result = run(driver, ["a", "x", "c"])
    assert [(step.subject, step.action) for step in plan.steps] == [("a", "remove"), ("x", "keep"), ("c", "remove")]
    assert [volume["name"] for volume in result["volumes"]] == ["a", "c"]
    assert list(driver.disks) == ["b"]
    assert not run(driver, ["a", "c"])[0].changed


def test_one_that_is_held_keeps_all_of_them(driver):
    driver.held = {"b": ["snapshot 7", "server 9"]}
    with pytest.raises(InUse) as refused:
        run(driver, ["a", "b"])
    assert "b is held by snapshot 7, server 9" in str(refused.value)
    assert refused.value.details["holders"] == {"b": ["snapshot 7", "server 9"]}
    assert set(driver.disks) == {"a", "b", "c"}


def test_one_that_is_stuck_does_not_stop_the_others(driver):
    driver.stuck = {"b"}
    with pytest.raises(BackendError) as broken:
        run(driver, ["a", "b", "c"])
    assert broken.value.details["failures"] == {"b": "it is stuck"} and broken.value.details["changed"]
    assert list(driver.disks) == ["b"]


def test_what_is_there_is_listed(driver):
    def names(name):
        operation = VolumeInfo(driver=driver, name=name)
        return [volume["name"] for volume in operation.apply(operation.plan())["volumes"]]

    assert names(None) == ["a", "b", "c"]
    assert names("b") == ["b"]
    assert names("x") == []
    assert not VolumeInfo(driver=driver, name=None).plan().changed
