# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, Drift, IntegrityError, InUse, InvalidInput, NoRoom,
)
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import WORKING, Difference, Request
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record, record_of
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, make_job, surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.memory import CloningMemoryDriver, MemoryDriver

PAGE = MemoryDriver.capabilities.granularity
DATA = os.urandom(3 * PAGE + 100)
OTHER = os.urandom(PAGE)


class Driver(CloningMemoryDriver):
    """Does what a test tells it, and notes what is asked of it."""

    def __init__(self, disks=None):
        super().__init__(surroundings(), disks)
        self.held = {}
        self.wrong = {}
        self.refuse_room = False
        self.fail_clones = set()
        self.states = {}

    def find(self, name):
        volume = super().find(name)
        if volume and name in self.states:
            volume = type(volume)(**dict(volume.__dict__, state=self.states[name]))
        return volume

    def holders(self, volume):
        return self.held.get(volume.name, [])

    def differences(self, volume):
        return self.wrong.get(volume.name, [])

    def update(self, volume, differences, job):
        self.wrong[volume.name] = []
        return volume

    def check_room(self, requests, source):
        if self.refuse_room:
            raise NoRoom("no room for %d" % len(requests))

    def clone(self, origin, request, record, job):
        if request.name in self.fail_clones:
            raise BackendError("the back end is tired")
        return super().clone(origin, request, record, job)

    def adopt(self, source, volume, job):
        self.states.pop(volume.name, None)
        return super().adopt(source, volume, job)


def operation(driver, names=("a", "b", "c"), data=DATA, **options):
    options = dict({"size": None, "on_drift": "fail", "fan_out": "auto", "job": make_job()}, **options)
    return VolumeFromImage(driver=driver, source=BytesImage(data), names=list(names), **options)


def run(*args, **options):
    it = operation(*args, **options)
    with it.exclusive():
        plan = it.plan()
        return plan, (it.apply(plan) if plan.changed else it.preview(plan))


def hows(result):
    return [(volume["name"], volume["how"]) for volume in result["volumes"]]


def content(driver, name):
    return bytes(driver.disks[name][0])


def test_n_volumes_and_then_nothing_to_do():
    driver = Driver()
    plan, result = run(driver)
    assert [step.action for step in plan.steps] == ["create"] * 3
    assert hows(result) == [("a", "copied"), ("b", "cloned"), ("c", "cloned")]
    assert result["fan_out"]["method"] == "clone" and result["image"]["size"] == len(DATA)
    assert all(content(driver, name) == DATA.ljust(4 * PAGE, b"\0") for name in "abc")
    assert driver.written == len(DATA), "the image was written more than once"

    plan, result = run(driver)
    assert not plan.changed
    assert hows(result) == [(name, "unchanged") for name in "abc"] and result["fan_out"] is None


def test_the_preview_tells_what_would_be_done_and_does_nothing():
    driver = Driver()
    driver.create(Request("b", PAGE), record_of(BytesImage(OTHER).describe(), READY))
    it = operation(driver, size=8 * PAGE, on_drift="replace")
    result = it.preview(it.plan())
    assert hows(result) == [("a", "create"), ("b", "replace"), ("c", "create")]
    assert result["volumes"][0] == {"name": "a", "size": 8 * PAGE, "how": "create"}
    assert list(driver.disks) == ["b"] and driver.written == 0


def test_a_size_is_rounded_up_to_what_the_storage_can_and_must_hold_the_image():
    driver = Driver()
    run(driver, ["a"], size=5 * PAGE + 1)
    assert len(driver.disks["a"][0]) == 6 * PAGE
    with pytest.raises(InvalidInput, match="too small"):
        run(driver, ["b"], size=PAGE)


@pytest.mark.parametrize("on_drift, how", [("ignore", "unchanged"), ("refill", "refilled"), ("replace", "copied")])
def test_drift(on_drift, how):
    driver = Driver()
    driver.create(Request("a", 8 * PAGE), record_of(BytesImage(OTHER).describe(), READY))
    dummy, result = run(driver, on_drift=on_drift)
    assert hows(result)[0] == ("a", how)
    assert content(driver, "a").startswith(DATA) is (on_drift != "ignore")
    assert len(driver.disks["a"][0]) == (4 if on_drift == "replace" else 8) * PAGE


def test_all_drift_is_told_of_at_once_and_nothing_is_done():
    driver = Driver()
    for name in "ac":
        driver.create(Request(name, PAGE), Record(READY, "blank"))
    with pytest.raises(Drift) as refused:
        run(driver)
    assert set(refused.value.details["drift"]) == {"a", "c"}
    assert "a (memory:a)" in str(refused.value) and "c (memory:c)" in str(refused.value)
    assert set(driver.disks) == {"a", "c"}


@pytest.mark.parametrize("on_drift", ["refill", "replace"])
def test_a_volume_that_something_holds_keeps_its_content(on_drift):
    driver = Driver()
    driver.create(Request("a", 8 * PAGE), Record(READY, "blank"))
    driver.held["a"] = ["server 1"]
    with pytest.raises(InUse, match="server 1"):
        run(driver, on_drift=on_drift)
    assert list(driver.disks) == ["a"] and not driver.written


def test_growing_updating_and_creating_in_one_task():
    driver = Driver()
    run(driver, ["a", "b"])
    driver.wrong["b"] = [Difference("colour", "red", "green")]
    plan, result = run(driver, size=8 * PAGE)
    assert [(step.subject, step.action) for step in plan.steps] == [("a", "grow"), ("b", "grow"), ("b", "update"), ("c", "create")]
    assert hows(result) == [("a", "grown"), ("b", "grown"), ("c", "copied")]
    assert driver.wrong["b"] == [] and {len(driver.disks[name][0]) for name in "abc"} == {8 * PAGE}


def test_what_another_run_is_at_is_adopted():
    driver = Driver()
    driver.create(Request("a", 4 * PAGE), record_of(BytesImage(DATA).describe(), FILLING))
    driver.create(Request("b", 4 * PAGE), record_of(BytesImage(OTHER).describe(), READY))
    driver.states["b"] = WORKING
    dummy, result = run(driver, size=8 * PAGE)
    assert hows(result) == [("a", "adopted"), ("b", "adopted"), ("c", "copied")]
    assert content(driver, "a") == DATA.ljust(8 * PAGE, b"\0"), "what was adopted was not grown afterwards"


def test_no_room_is_found_out_before_anything_is_written():
    driver = Driver()
    driver.refuse_room = True
    with pytest.raises(NoRoom, match="3"):
        run(driver)
    assert not driver.disks
    run(Driver(), [])  # nothing to create, so nobody asks


def test_one_that_fails_does_not_stop_the_others_and_is_told_of():
    driver = Driver()
    driver.fail_clones = {"b"}
    with pytest.raises(BackendError) as broken:
        run(driver)
    assert "1 of 3" in str(broken.value) and "b: the back end is tired" in str(broken.value)
    assert broken.value.details["failures"] == {"b": "the back end is tired"}
    assert hows(broken.value.details) == [("a", "copied"), ("c", "cloned")] and broken.value.details["changed"]
    driver.fail_clones = set()
    assert hows(run(driver)[1]) == [("a", "unchanged"), ("b", "copied"), ("c", "unchanged")]


def test_wrong_bytes_leave_a_volume_that_is_known_to_be_half_done():
    driver = Driver()
    it = VolumeFromImage(driver=driver, source=BytesImage(DATA, checksums={"sha256": "0" * 64}), names=["a"], size=None,
                         on_drift="fail", fan_out="auto", job=make_job())
    with pytest.raises(IntegrityError):
        it.apply(it.plan())
    assert driver.find("a").record.state == FILLING
    assert hows(run(driver, ["a"])[1]) == [("a", "adopted")]
