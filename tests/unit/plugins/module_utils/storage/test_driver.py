# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The defaults of the contract, at work in a driver that has nothing else."""

from __future__ import annotations

import hashlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, IntegrityError, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import HALF_DONE, Request, Volume, VolumeDriver
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, NoCommands, make_job, surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.memory import CloningMemoryDriver, MemoryDriver
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract import DriverContract


class TestMemory(DriverContract):
    @pytest.fixture
    def driver(self) -> MemoryDriver:
        return MemoryDriver(surroundings())

    @pytest.fixture
    def again(self, driver: VolumeDriver) -> t.Callable[[], VolumeDriver]:
        return lambda: type(t.cast(MemoryDriver, driver))(surroundings(), t.cast(MemoryDriver, driver).disks)


class TestMemoryThatClones(TestMemory):
    @pytest.fixture
    def driver(self) -> MemoryDriver:
        return CloningMemoryDriver(surroundings())

    def test_one_is_filled_and_the_others_are_cloned(self, driver: MemoryDriver) -> None:
        filled = self.fill(driver, BytesImage(raw_disk()), make_job(), "a", "b", "c")
        assert (filled.method, [made.how for made in filled.made]) == ("clone", ["copied", "cloned", "cloned"])


def test_the_image_is_read_once_for_all_volumes() -> None:
    image = BytesImage(raw_disk())
    driver = MemoryDriver(surroundings(NoCommands()))
    driver.fill_new(image, [Request(name, 8 * MIB) for name in "abc"], "auto", make_job())
    assert image.opened == [0]


def test_holes_are_not_written_to_new_volumes() -> None:
    driver = MemoryDriver(surroundings(NoCommands()))
    driver.fill_new(BytesImage(raw_disk()), [Request("v", 8 * MIB)], "auto", make_job())
    assert 0 < driver.written < MIB


def test_an_image_of_another_format_is_converted_on_the_way() -> None:
    driver = MemoryDriver(surroundings())
    driver.fill_new(BytesImage(qcow2(raw_disk()), format="qcow2"), [Request("v", 8 * MIB)], "auto", make_job())
    assert bytes(driver.disks["v"][0]) == raw_disk().ljust(8 * MIB, b"\0")


def test_a_broken_promise_leaves_the_volumes_half_done() -> None:
    driver = MemoryDriver(surroundings(NoCommands()))
    with pytest.raises(IntegrityError):
        driver.fill_new(BytesImage(raw_disk(), checksums={"sha512": hashlib.sha512(b"").hexdigest()}), [Request("v", 8 * MIB)], "auto", make_job())
    assert t.cast(Volume, driver.find("v")).state == HALF_DONE


@pytest.mark.parametrize("data", [qcow2(), b""])
def test_an_image_that_is_refused_is_not_written_at_all(data: bytes) -> None:
    driver = MemoryDriver(surroundings(NoCommands()))
    with pytest.raises(UnsafeImage):
        driver.fill_new(BytesImage(data), [Request("v", 8 * MIB)], "auto", make_job())
    assert driver.written == 0


def test_a_volume_that_is_too_small_is_refused() -> None:
    driver = MemoryDriver(surroundings())
    for image in (BytesImage(raw_disk()), BytesImage(qcow2(raw_disk()), format="qcow2")):
        with pytest.raises(InvalidInput, match="larger size"):
            driver.fill_new(image, [Request("v-%s" % image.describe().format, 2 * MIB)], "auto", make_job())
