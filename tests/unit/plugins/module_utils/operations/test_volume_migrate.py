# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Drift, IntegrityError, InUse, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_migrate import VolumeMigrate
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record
from ansible_collections.bootable.volumes.tests.unit.fakes.host import make_job, surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.memory import MemoryDriver

UNKNOWN = Record(READY, "unknown")
PAGE = MemoryDriver.capabilities.granularity
RECORD = Record(READY, "glance", image_id="i-1", image_name="debian", checksum="sha512:00")
DATA = bytes(PAGE) + os.urandom(2 * PAGE)


class Driver(MemoryDriver):
    """Does what a test tells it."""

    def __init__(self, disks=None):
        super().__init__(surroundings(), disks)
        self.held = []
        self.broken = None
        self.calls = 0

    def holders(self, volume):
        return self.held

    def find(self, name):
        """Under an id that no other storage has, and with nothing known of what was marked so."""
        volume = super().find(name)
        if volume is None:
            return None
        return replace(volume, id="memory:%d:%s" % (id(self.disks), name), record=None if volume.record == UNKNOWN else volume.record)

    def _count(self, what):
        self.calls += 1
        if self.broken == self.calls:
            raise KeyboardInterrupt(what)

    def create(self, request, record):
        self._count("create")
        made = super().create(request, record)
        self._count("created")
        return made

    def mark(self, volume, record):
        self._count("mark")
        made = super().mark(volume, record)
        self._count("marked")
        return made

    def remove(self, volume, job):
        self._count("remove")
        super().remove(volume, job)
        self._count("removed")

    def open(self, volume, mode):
        self._count("open")
        return super().open(volume, mode)


def driver_with(data=DATA, record=RECORD, name="v"):
    driver = Driver()
    driver.disks[name] = bytearray(data), record
    return driver


def operation(source, destination, **options):
    options = {"name": "v", "new_name": "v", "size": None, "keep_source": False, "cloud": None, "job": make_job(), **options}
    return VolumeMigrate(source=source, destination=destination, **options)


def run(source, destination, **options):
    moving = operation(source, destination, **options)
    plan = moving.plan()
    return plan, moving.apply(plan) if plan.changed else moving.preview(plan)


@pytest.fixture
def source():
    return driver_with()


@pytest.fixture
def destination():
    return Driver()


def test_it_moves_with_content_size_and_identity(source, destination):
    plan, result = run(source, destination)
    assert [step.action for step in plan.steps] == ["migrate"]
    assert destination.disks["v"] == (bytearray(DATA), RECORD)
    assert source.disks == {}
    assert result["checksum"] == "sha512:" + hashlib.sha512(DATA).hexdigest()
    assert result["volume"]["image"]["image_id"] == "i-1"


def test_holes_are_not_written(source, destination):
    source.disks["v"] = bytearray(bytes(1 << 20) + os.urandom(1 << 16) + bytes(1 << 20)), RECORD
    run(source, destination)
    assert destination.written == 1 << 16


def test_a_second_run_changes_nothing(source, destination):
    run(source, destination)
    plan, result = run(source, destination)
    assert not plan.changed
    assert result["volume"]["name"] == "v" and result["source"] is None


def test_a_kept_source_stays_and_a_second_run_changes_nothing(source, destination):
    run(source, destination, keep_source=True)
    assert source.disks["v"] == destination.disks["v"]
    assert not run(source, destination, keep_source=True)[0].changed


def test_what_nothing_is_known_of_remembers_where_it_was(destination):
    source = driver_with(record=UNKNOWN)
    run(source, destination, keep_source=True)
    found = destination.disks["v"][1]
    assert (found.state, found.origin, found.image_name) == (READY, "volume", source.find("v").id)
    assert found.checksum == "sha512:" + hashlib.sha512(DATA).hexdigest()
    assert not run(source, destination, keep_source=True)[0].changed


def test_a_new_name_and_a_larger_size(source, destination):
    run(source, destination, new_name="w", size=len(DATA) + PAGE)
    assert destination.disks["w"][0] == DATA + bytes(PAGE)


def test_it_never_shrinks(source, destination):
    with pytest.raises(InvalidInput, match="shrinks"):
        operation(source, destination, size=PAGE).plan()


def test_it_is_in_neither(destination):
    with pytest.raises(NotFound, match="neither"):
        operation(Driver(), destination).plan()


def test_what_is_held_is_refused(source, destination):
    source.held = ["attached to server s"]
    with pytest.raises(InUse, match="server s"):
        operation(source, destination).plan()


def test_source_and_destination_are_the_same(source):
    with pytest.raises(InvalidInput, match="the same"):
        operation(source, Driver(source.disks)).plan()


def test_the_lock_of_one_place_is_not_taken_twice(source):
    """What is refused, or done already, takes none: a second run would wait for itself."""
    taken = []
    for driver in (source, Driver(source.disks)):
        driver.exclusive = lambda names, job: taken.append(names)
    with pytest.raises(InvalidInput, match="the same"):
        with operation(source, Driver(source.disks)).exclusive():
            pass
    with operation(Driver(), source).exclusive():
        pass
    assert not taken


def test_another_volume_of_that_name_is_left_alone(source):
    destination = driver_with(os.urandom(PAGE), Record(READY, "glance", image_id="other"))
    with pytest.raises(Drift, match="another new_name"):
        operation(source, destination).plan()


def test_a_volume_that_is_still_filled_is_not_moved(destination):
    with pytest.raises(Drift, match="whole"):
        operation(driver_with(record=Record(FILLING, "glance", image_id="i")), destination).plan()


def test_the_same_image_with_other_content_is_not_taken_for_the_moved_one(source):
    """Both were once filled with the same image; whatever was written since must not get lost."""
    destination = driver_with(bytes(len(DATA)), RECORD)
    with pytest.raises(IntegrityError, match="left as they are"):
        run(source, destination)
    assert source.disks["v"][0] == DATA


def test_what_arrives_garbled_is_not_published(source, destination):
    write = destination.open

    def garbled(volume, mode):
        handle = write(volume, mode)
        if mode == "w":
            put = handle.write
            handle.write = lambda offset, data: put(offset, data[:-1] + bytes([data[-1] ^ 1]))
        return handle

    destination.open = garbled
    with pytest.raises(IntegrityError):
        run(source, destination)
    assert source.disks["v"] == (bytearray(DATA), RECORD)
    destination.open = write
    run(source, destination)
    assert destination.disks["v"] == (bytearray(DATA), RECORD)
    assert source.disks == {}


def test_a_removal_that_broke_off_is_finished(destination):
    """Some storages mark a volume before they remove it: it may have lost bytes, and is not compared."""
    run(driver_with(), destination)
    source = driver_with(bytes(len(DATA)), replace(RECORD, state=FILLING))
    with pytest.raises(Drift):
        operation(source, destination, keep_source=True).plan()
    plan, result = run(source, destination)
    assert [step.action for step in plan.steps] == ["remove"]
    assert source.disks == {}
    assert result["checksum"] is None and result["volume"]["name"] == "v"
    assert destination.disks["v"] == (bytearray(DATA), RECORD)


def moments():
    """How many calls of both drivers there are."""
    source, destination = driver_with(), Driver()
    run(source, destination)
    return [("source", number + 1) for number in range(source.calls)] + [("destination", number + 1) for number in range(destination.calls)]


@pytest.mark.parametrize("side, number", moments())
def test_killed_at_any_moment_and_run_again(side, number):
    source, destination = driver_with(), Driver()
    {"source": source, "destination": destination}[side].broken = number
    with pytest.raises(KeyboardInterrupt):
        run(source, destination)
    assert "v" in source.disks or destination.disks["v"] == (bytearray(DATA), RECORD), "the volume is nowhere"
    run(source, destination)
    assert destination.disks == {"v": (bytearray(DATA), RECORD)}
    assert source.disks == {}
    assert not run(source, destination)[0].changed
