# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import struct
import subprocess
import typing as t
import zlib

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, Foreign, InUse, InvalidInput, NoRoom, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_removal import VolumeRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.storage.block.driver import BlockDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.block.ledger import Ledger
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    AVAILABLE, BROKEN, HALF_DONE, WORKING, Filled, Request, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record
from ansible_collections.bootable.volumes.tests.unit.fakes.devices import SIZE, FakeDevices, Loops, loops, used_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import pattern, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, make_job, surroundings
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract import DriverContract

Again = t.Callable[..., BlockDriver]
Plugs = t.Union[FakeDevices, Loops]


class TestBlock(DriverContract):
    @pytest.fixture
    def devices(self, one: pathlib.Path) -> t.Iterator[Plugs]:
        """The host's; more can be plugged in."""
        yield FakeDevices(one)

    @pytest.fixture
    def again(self, devices: Plugs, two: pathlib.Path) -> Again:
        paths = {name: devices.add(name, used_disk(SIZE)) for name in "abcvw"}
        return lambda **how: BlockDriver(paths, devices, Ledger(str(two / "state")), surroundings(), **how)

    @pytest.fixture
    def driver(self, again: Again) -> VolumeDriver:
        return again()

    def fill(self, driver: VolumeDriver, source: ImageSource, job: Job, *names: str, fan_out: str = "auto") -> Filled:
        filled = super().fill(driver, source, job, *names, fan_out=fan_out)
        if self.growing is not None:  # what grows first is the device
            self.growing.enlarge(filled.made[0].volume.details["path"], b"\xa5" * MIB)
        return filled

    growing: t.Optional[Plugs] = None

    @pytest.fixture(autouse=True)
    def grow_devices(self, request: pytest.FixtureRequest, devices: Plugs) -> None:
        """Only for the test in which volumes grow."""
        if "grown" in request.node.name:
            self.growing = devices


class TestBlockOnLoopDevices(TestBlock):
    """The same with real ones."""

    @pytest.fixture
    def devices(self, one: pathlib.Path) -> t.Iterator[Plugs]:
        with loops(one) as found:
            yield found


# --- one device ---


@pytest.fixture
def devices(one: pathlib.Path) -> FakeDevices:
    return FakeDevices(one)


@pytest.fixture
def path(devices: FakeDevices) -> str:
    return devices.add("disk", used_disk(SIZE))


@pytest.fixture
def again(devices: FakeDevices, path: str, two: pathlib.Path) -> Again:
    return lambda paths=None, **how: BlockDriver(paths or {"v": path}, devices, Ledger(str(two / "state")), surroundings(), **how)


SOURCE = BytesImage(raw_disk(), name="first")
OTHER = BytesImage(pattern(MIB), name="other")


def run(driver: BlockDriver, *names: str, source: ImageSource = SOURCE, on_drift: str = "fail", size: t.Optional[int] = None,
        check: bool = False) -> t.Dict[str, t.Any]:
    """One run of volume_from_image."""
    operation = VolumeFromImage(driver=driver, source=source, names=names or ["v"], size=size, on_drift=on_drift, fan_out="auto", job=make_job())
    if check:
        return operation.preview(operation.plan())
    with operation.exclusive():
        plan = operation.plan()
        return operation.apply(plan) if plan.changed else operation.preview(plan)


def remove(driver: BlockDriver, *names: str) -> bool:
    """One run with state: absent; whether it changed anything."""
    operation = VolumeRemoval(driver=driver, names=names or ["v"], job=make_job())
    with operation.exclusive():
        plan = operation.plan()
        operation.apply(plan)
        return plan.changed


def how(result: t.Mapping[str, t.Any]) -> t.List[str]:
    """How each volume came to be."""
    return [volume["how"] for volume in result["volumes"]]


def content(path: str) -> bytes:
    return pathlib.Path(path).read_bytes()


def test_a_rerun_changes_nothing_with_a_size_or_without(again: Again) -> None:
    assert how(run(again())) == ["copied"]
    assert how(run(again())) == how(run(again(), size=3 * MIB + MIB)) == ["unchanged"]


def test_the_volume_is_the_whole_device_whatever_size_is_asked_for(again: Again, path: str) -> None:
    run(again(), source=OTHER, size=2 * MIB)
    assert t.cast(Volume, again().find("v")).size == SIZE
    assert content(path) == pattern(MIB).ljust(SIZE, b"\0")


def test_check_mode_writes_nothing(again: Again, path: str, two: pathlib.Path) -> None:
    assert how(run(again(), check=True)) == ["create"]
    assert content(path) == used_disk(SIZE) and not os.listdir(two)


@pytest.mark.parametrize("wipe, left", [
    ("ends", bytes(MIB) + raw_disk().ljust(SIZE, b"\0")[MIB:-MIB] + bytes(MIB)),
    ("all", bytes(SIZE)),
    ("nothing", raw_disk().ljust(SIZE, b"\0")),
])
def test_what_a_removed_volume_leaves(again: Again, path: str, wipe: str, left: bytes) -> None:
    run(again())
    assert remove(again(wipe=wipe))
    assert content(path) == left
    found = again().find("v")
    assert (found is None) == (wipe != "nothing")
    if found is None:
        assert not remove(again())
        assert how(run(again())) == ["copied"]


def test_it_is_known_by_what_it_is_not_by_what_it_is_called(again: Again, devices: FakeDevices, path: str) -> None:
    run(again())
    os.rename(path, path + "2")
    devices.identities[path + "2"] = "serial-of-disk"
    with pytest.raises(NotFound, match="there is no device"):
        again().find("v")
    assert again().list()[0].state == BROKEN
    assert how(run(again({"v": path + "2"}))) == ["unchanged"]
    devices.identities[path + "2"] = "another"
    assert t.cast(Volume, again({"v": path + "2"}).find("v")).record is None


def test_links_are_followed(again: Again, path: str, two: pathlib.Path) -> None:
    (two / "by-id").symlink_to(path)
    run(again({"v": str(two / "by-id")}))
    found = t.cast(Volume, again().find("v"))
    assert (found.state, found.details["path"]) == (AVAILABLE, path)


# --- what is somebody else's ---


FOREIGN = b"?" * SIZE


def test_a_device_with_something_on_it_is_left_alone(again: Again, path: str) -> None:
    pathlib.Path(path).write_bytes(FOREIGN)
    with pytest.raises(Exception, match="image is data of an unknown kind, not first.*on_drift: refill"):
        run(again())
    with pytest.raises(Foreign, match="did not put there"):
        remove(again())
    with pytest.raises(Foreign, match="unknown kind; nothing was changed"):
        again().begin(Request("v", MIB), Record(FILLING, "blank"))
    assert content(path) == FOREIGN


@pytest.mark.parametrize("on_drift, became", [("refill", "refilled"), ("replace", "copied")])
@pytest.mark.parametrize("wipe", ["ends", "nothing"])
def test_unless_it_is_asked_for(again: Again, path: str, on_drift: str, became: str, wipe: str) -> None:
    pathlib.Path(path).write_bytes(FOREIGN)
    assert how(run(again(wipe=wipe), on_drift=on_drift)) == [became]
    assert content(path) == raw_disk().ljust(SIZE, b"\0")
    assert how(run(again())) == ["unchanged"]


def test_it_can_be_read_all_the_same(again: Again, path: str) -> None:
    pathlib.Path(path).write_bytes(FOREIGN)
    volume = t.cast(Volume, again().find("v"))
    assert (volume.record, volume.details["content"]) == (None, "data of an unknown kind")
    with again().open(volume, "r") as handle:
        assert handle.read(0, SIZE) == FOREIGN


def lvm_label() -> bytes:
    """The second sector of a physical volume, with the checksum that blkid wants to see."""
    rest = struct.pack("<I8s32s", 32, b"LVM2 001", b"0" * 32).ljust(512 - 20, b"\0")
    checksum = ~zlib.crc32(rest, ~0xF597A6CF & 0xFFFFFFFF) & 0xFFFFFFFF  # without the inversions that zlib adds
    return struct.pack("<8sQI", b"LABELONE", 1, checksum) + rest


def test_a_member_of_something_larger_is_held_by_it(again: Again, path: str) -> None:
    subprocess.run(["mkfs.ext4", "-q", "-L", "root", path], check=True)
    assert t.cast(Volume, again().find("v")).details["content"] == "ext4 file system (root)"
    assert again().holders(t.cast(Volume, again().find("v"))) == []
    pathlib.Path(path).write_bytes(bytes(512) + lvm_label() + bytes(SIZE - 1024))
    assert t.cast(Volume, again().find("v")).details["content"] == "a signature of LVM2_member"
    with pytest.raises(InUse, match="LVM2_member"):
        run(again(), on_drift="refill")


def test_what_becomes_foreign_between_looking_and_taking(again: Again, path: str) -> None:
    driver = again()
    driver.check_room([Request("v", MIB)], None)
    pathlib.Path(path).write_bytes(FOREIGN)
    with pytest.raises(Foreign):
        driver.fill_new(SOURCE, [Request("v", SIZE)], "auto", make_job())


# --- what is refused ---


def test_a_device_in_use(again: Again, devices: FakeDevices, path: str) -> None:
    devices.users[path] = ["mounted on /srv"]
    with pytest.raises(InUse, match="is in use: mounted on /srv"):
        run(again())
    del devices.users[path]
    run(again())
    devices.users[path] = ["process 7 (qemu-system-x86)"]
    volume = t.cast(Volume, again().find("v"))
    assert again().holders(volume) == ["process 7 (qemu-system-x86)"]
    for attempt in (lambda: run(again(), source=OTHER, on_drift="refill"), lambda: remove(again()), lambda: again().open(volume, "r"),
                    lambda: again().file_of(volume), lambda: again().remove(volume, make_job()), lambda: again().grow(volume, SIZE, make_job())):
        with pytest.raises(InUse):
            attempt()
    assert how(run(again())) == ["unchanged"]


def test_a_device_that_is_too_small(again: Again, path: str) -> None:
    with pytest.raises(NoRoom, match="v needs 6 MiB, but its device .*disk has only 5 MiB"):
        run(again(), size=6 * MIB)
    run(again())
    with pytest.raises(Exception, match="has only 5 MiB"):
        run(again(), size=6 * MIB)
    assert content(path) == raw_disk().ljust(SIZE, b"\0")


def test_a_device_that_has_shrunk_is_another_one(again: Again, path: str) -> None:
    run(again())
    os.truncate(path, 4 * MIB)
    assert t.cast(Volume, again().find("v")).record is None


def test_two_names_for_one_device(again: Again, devices: FakeDevices, path: str) -> None:
    with pytest.raises(InvalidInput, match="v and w are the same device"):
        run(again({"v": path, "w": path}))
    other = devices.add("other", used_disk(SIZE))
    devices.wholes[other] = path
    with pytest.raises(InvalidInput, match="one is a part of the other"):
        run(again({"v": path, "w": other}))


def test_another_name_for_the_volume(again: Again, path: str) -> None:
    run(again())
    with pytest.raises(Foreign, match="is the volume v, not w"):
        run(again({"w": path}), "w")


def test_a_name_without_a_device(again: Again) -> None:
    with pytest.raises(InvalidInput, match="no device is named for the volume x; named are v"):
        run(again(), "x")
    with pytest.raises(InvalidInput):
        again().find("x")


def test_clones_are_not_to_be_had(again: Again, devices: FakeDevices, path: str) -> None:
    paths = {"v": path, "w": devices.add("other", used_disk(SIZE))}
    with pytest.raises(InvalidInput, match="fan_out"):
        again(paths).fill_new(SOURCE, [Request("v", SIZE), Request("w", SIZE)], "clone", make_job())


# --- what was broken off ---


def test_a_broken_fill_is_half_done_and_is_taken_up(again: Again, path: str) -> None:
    with pytest.raises(Exception, match="checksum|sha256"):
        run(again(), source=BytesImage(raw_disk(), name="first", checksums={"sha256": "0" * 64}))
    assert t.cast(Volume, again().find("v")).state == HALF_DONE
    assert how(run(again())) == ["adopted"]
    assert content(path) == raw_disk().ljust(SIZE, b"\0")


def test_what_another_run_works_on(again: Again) -> None:
    driver = again()
    with driver.exclusive(["v"], make_job()):
        made = driver.create(Request("v", MIB), Record(FILLING, "blank"))
        assert made.state == HALF_DONE
        assert t.cast(Volume, again().find("v")).state == WORKING


def test_a_broken_removal_is_half_done(again: Again, devices: FakeDevices, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(again())
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "forget", lambda *dummy: (dummy for dummy in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            remove(again())
    assert t.cast(Volume, again().find("v")).state == HALF_DONE
    assert how(run(again())) == ["adopted"]
    assert content(path) == raw_disk().ljust(SIZE, b"\0")


def test_a_refilled_device_that_has_grown_is_taken_whole(again: Again, path: str) -> None:
    run(again())
    with open(path, "ab") as file:
        file.write(b"?" * MIB)
    assert t.cast(Volume, again().find("v")).size == SIZE
    run(again(), source=OTHER, on_drift="refill")
    assert t.cast(Volume, again().find("v")).size == SIZE + MIB
    assert content(path) == pattern(MIB).ljust(SIZE + MIB, b"\0")


# --- options ---


@pytest.mark.parametrize("options, words", [
    ({}, "devices: the driver block needs"),
    ({"devices": {"v": "sdb"}}, "'sdb' of v is not an absolute path"),
    ({"devices": {"v": None}}, "not an absolute path"),
    ({"devices": {"v": "/dev/sdb"}, "state_dir": "here"}, "state_dir"),
])
def test_options_that_make_no_sense(options: t.Dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        BlockDriver.from_options(options, surroundings())


def test_options_touch_nothing() -> None:
    assert BlockDriver.from_options({"devices": {"v": "/dev/none"}, "state_dir": "/none/of/this"}, surroundings()).name == "block"


def test_a_state_that_cannot_be_kept_is_told_before_anything_is_written(again: Again, path: str, two: pathlib.Path) -> None:
    (two / "state").write_text("a file")
    with pytest.raises(BackendError, match="state_dir"):
        run(again())
    assert content(path) == used_disk(SIZE)


def test_the_record_is_kept(again: Again) -> None:
    run(again())
    assert t.cast(Record, t.cast(Volume, again().find("v")).record).state == READY
