# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import json
import os
import pathlib
import struct
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    Ambiguous, BackendError, Foreign, IntegrityError, InUse, InvalidInput, NoRoom, UnsafeImage,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host import files, locks
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import FORMATS
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import BROKEN, HALF_DONE, WORKING, Request, Volume, VolumeDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import Place
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.sidecar import Sidecar
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, Ear, NoCommands, make_job, surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.volumes import make_driver, names_in, whole
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract import BLANK, DriverContract


# One whose bytes are the file's, one that grows in place, and one that has to be made anew to grow.
@pytest.mark.parametrize("format", ["raw", "qcow2", "vhdx"])
class TestContract(DriverContract):
    @pytest.fixture
    def driver(self, one: pathlib.Path, two: pathlib.Path, format: str) -> FileDriver:
        return make_driver(one, two, format=format)

    @pytest.fixture
    def again(self, one: pathlib.Path, two: pathlib.Path, format: str) -> t.Callable[[], VolumeDriver]:
        return lambda: make_driver(one, two, format=format)

    @pytest.fixture(autouse=True)
    def no_litter(self, one: pathlib.Path, two: pathlib.Path) -> t.Iterator[None]:
        """Whatever a test does, only volumes and their sidecars remain."""
        yield
        for place in (one, two):
            volumes = [name for name in names_in(place) if not name.startswith(".")]
            assert names_in(place) == whole(*volumes)


# --- options ---


@pytest.mark.parametrize("options, words", [
    ({"mountpoints": []}, "mountpoints"),
    ({"mountpoints": ["relative"]}, "absolute"),
    ({"mountpoints": ["/a"], "mountpoint": "/b"}, "mountpoint: /b"),
    ({"mountpoints": ["/a"], "preallocation": "metadata"}, "preallocation: a raw volume"),
    ({"mountpoints": ["/a"], "format": "vmdk", "preallocation": "full"}, "preallocation: a vmdk volume can have off"),
    ({"mountpoints": ["/a"], "reserve": "much"}, "reserve"),
])
def test_options_that_make_no_sense(options: t.Dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        FileDriver.from_options(options, surroundings(NoCommands()))


def test_a_pinned_mount_point_alone_will_do(one: pathlib.Path) -> None:
    assert FileDriver.from_options({"mountpoint": str(one) + "/"}, surroundings(NoCommands())).layout.mountpoints == [str(one)]


# --- what is there ---


def test_a_file_of_somebody_else_is_never_touched(one: pathlib.Path) -> None:
    (one / "v").write_bytes(b"mine")
    driver = make_driver(one)
    with pytest.raises(Foreign, match="foreign.*import_from"):
        driver.find("v")
    with driver.exclusive(["v"], make_job()), pytest.raises(Foreign):
        driver.create(Request("v", MIB), BLANK)
    assert driver.list() == []
    assert names_in(one) == ["v"]
    assert (one / "v").read_bytes() == b"mine"


def test_links_and_folders_are_no_volumes(one: pathlib.Path, folder: pathlib.Path) -> None:
    (folder / "outside").write_bytes(bytes(512))
    (one / "link").symlink_to(folder / "outside")
    (one / "dangling").symlink_to(folder / "nowhere")
    (one / "folder").mkdir()
    driver = make_driver(one)
    for name, words in (("link", "a link"), ("dangling", "a link"), ("folder", "a directory")):
        with pytest.raises(Foreign, match=words):
            driver.find(name)


def test_a_volume_that_became_a_link_is_refused(one: pathlib.Path, folder: pathlib.Path) -> None:
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()):
        volume = driver.create(Request("v", MIB), BLANK)
    os.rename(one / "v", folder / "outside")
    (one / "v").symlink_to(folder / "outside")
    with pytest.raises(Foreign):
        driver.open(volume, "w")
    with pytest.raises(Foreign):
        driver.grow(volume, 2 * MIB, make_job())


def test_a_damaged_sidecar_is_told_of_and_hides_no_other_volume(one: pathlib.Path) -> None:
    driver = make_driver(one)
    with driver.exclusive(["a", "b"], make_job()):
        for name in "ab":
            driver.create(Request(name, MIB), BLANK)
    (one / ".a.volume.json").write_text("{")
    with pytest.raises(BackendError, match="damaged"):
        driver.find("a")
    assert [(volume.name, volume.state) for volume in driver.list()] == [("a", BROKEN), ("b", "available")]


def test_the_same_name_on_two_mount_points_is_ambiguous(one: pathlib.Path, two: pathlib.Path) -> None:
    for folder in (one, two):
        driver = make_driver(folder)
        with driver.exclusive(["v"], make_job()):
            driver.create(Request("v", MIB), BLANK)
    with pytest.raises(Ambiguous, match="one/v.*two/v"):
        make_driver(one, two).find("v")


def test_a_file_that_is_not_of_its_format_is_broken(one: pathlib.Path) -> None:
    driver = make_driver(one, format="qcow2")
    with driver.exclusive(["v"], make_job()):
        driver.create(Request("v", MIB), BLANK)
    (one / "v").write_bytes(bytes(1024))
    found = t.cast(Volume, driver.find("v"))
    assert (found.state, found.size) == (BROKEN, MIB)
    assert "not readable as qcow2" in found.status


def test_looking_writes_nothing(one: pathlib.Path) -> None:
    """Not even what a killed run left is cleaned up, by those who only look."""
    place = Place(str(one), "v")
    place.begin(Sidecar("raw", Record(FILLING, "glance"), MIB))
    pathlib.Path(place.partial).write_bytes(b"half")
    before = {name: (one / name).stat() for name in names_in(one)}
    driver = make_driver(one, check=True, runner=NoCommands())
    assert t.cast(Volume, driver.find("v")).state == HALF_DONE
    assert [volume.state for volume in driver.list()] == [HALF_DONE]
    driver.check_room([Request("w", MIB)], BytesImage(raw_disk()))
    assert {name: (one / name).stat() for name in names_in(one)} == before


def test_what_another_run_is_at_is_being_worked_on(one: pathlib.Path) -> None:
    place = Place(str(one), "v")
    place.begin(Sidecar("raw", Record(FILLING, "glance"), MIB))
    with locks.held([place.lock], make_job().deadline):
        assert t.cast(Volume, make_driver(one).find("v")).state == WORKING
    assert t.cast(Volume, make_driver(one).find("v")).state == HALF_DONE


@pytest.mark.parametrize("wanted, found", [({}, []), ({"format": "qcow2"}, [("format", "raw", "qcow2")]), ({"pin": True}, [("mountpoint", "one", "two")])])
def test_only_what_was_asked_for_can_differ(one: pathlib.Path, two: pathlib.Path, wanted: t.Dict[str, t.Any], found: t.List[t.Tuple[str, str, str]]) -> None:
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()):
        volume = driver.create(Request("v", MIB), BLANK)
    options = {"mountpoint": str(two)} if wanted.pop("pin", False) else wanted
    differences = make_driver(one, two, **options).differences(volume)
    assert [(each.what, os.path.basename(each.found), os.path.basename(each.wanted)) for each in differences] == found
    assert all(each.mend == "replace" for each in differences)


# --- use ---


def test_a_lock_as_qemu_has_it_keeps_everybody_away(one: pathlib.Path) -> None:
    driver = make_driver(one)
    job = make_job()
    with driver.exclusive(["v"], job):
        volume = driver.create(Request("v", MIB), BLANK)
    with open(one / "v", "rb") as qemu:  # shared locks on single bytes from 100 on, by the open file description: block/file-posix.c
        fcntl.fcntl(qemu, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 100, 1, 0))
        assert driver.holders(volume)
        for change in (
            lambda: driver.remove(volume, job),
            lambda: driver.grow(volume, 2 * MIB, job),
            lambda: driver.refill(BytesImage(raw_disk(MIB)), volume, job),
            lambda: driver.open(volume, "w"),
            lambda: driver.file_of(volume),
            lambda: driver.clone(volume, Request("w", MIB), BLANK, job),
        ):
            with pytest.raises(InUse, match="in use by"):
                change()
    driver.remove(volume, job)


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_the_file_that_holds_a_volume(one: pathlib.Path, format: str) -> None:
    driver = make_driver(one, format=format)
    with driver.exclusive(["v"], make_job()):
        volume = driver.create(Request("v", MIB), BLANK)
    assert make_driver(one).file_of(volume) == (str(one / "v"), format)
    driver.remove(volume, make_job())
    with pytest.raises(BackendError, match="is not there any more"):
        driver.file_of(volume)


def test_a_file_with_two_names_is_not_written_to(one: pathlib.Path) -> None:
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()):
        volume = driver.create(Request("v", MIB), BLANK)
    os.link(one / "v", one / "another")
    with pytest.raises(Foreign, match="2 names"):
        driver.grow(volume, 2 * MIB, make_job())
    with pytest.raises(Foreign, match="2 names"):
        driver.open(volume, "w")


def test_no_volume_is_shrunk(one: pathlib.Path) -> None:
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()):
        volume = driver.create(Request("v", 2 * MIB), BLANK)
    with pytest.raises(InvalidInput, match="cannot be shrunk"):
        driver.grow(volume, MIB, make_job())


def test_a_guest_that_writes_a_qcow2_header_into_its_raw_disk_gains_nothing(one: pathlib.Path) -> None:
    """The raw resize trap: without a named format qemu-img would follow the header."""
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()):
        volume = driver.create(Request("v", 2 * MIB), BLANK)
        with driver.open(volume, "w") as handle:
            handle.write(0, qcow2(backing=b"/etc/passwd"))
        grown = driver.grow(volume, 3 * MIB, make_job())
    assert (grown.size, (one / "v").stat().st_size) == (3 * MIB, 3 * MIB)


def test_what_replaces_a_volume_has_its_owner_and_mode(one: pathlib.Path) -> None:
    driver = make_driver(one, format="vdi")
    with driver.exclusive(["v"], make_job()):
        volume = driver.create(Request("v", 2 * MIB), BLANK)
        assert (one / "v").stat().st_mode & 0o777 == 0o600
        os.chmod(one / "v", 0o640)
        os.chown(one / "v", 12, 34) if os.getuid() == 0 else None
        before = (one / "v").stat()
        driver.grow(volume, 3 * MIB, make_job())
        driver.refill(BytesImage(raw_disk(MIB)), t.cast(Volume, driver.find("v")), make_job())
    after = (one / "v").stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert after.st_ino != before.st_ino


# --- filling ---


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_becomes_every_format(one: pathlib.Path, format: str) -> None:
    driver = make_driver(one, format="vhdx")
    qemu = driver.qemu
    (one / "disk").write_bytes(raw_disk())
    with RawFile.create(str(one / "image")):
        qemu.create(str(one / "image"), format, 4 * MIB)
    qemu.convert_into(str(one / "disk"), "raw", str(one / "image"), format, deadline=make_job().deadline, what="")
    image = BytesImage((one / "image").read_bytes(), format=format)
    for wanted in FORMATS:
        driver = make_driver(one, format=wanted)
        with driver.exclusive([wanted], make_job()):
            made, = driver.fill_new(image, [Request(wanted, 6 * MIB)], "auto", make_job()).made
        assert made.volume.size == qemu.info(made.volume.id, wanted).virtual_size == 6 * MIB
        with driver.open(made.volume, "r") as handle:
            assert handle.read(0, 6 * MIB) == raw_disk().ljust(6 * MIB, b"\0")


@pytest.mark.parametrize("format", ["raw", "qcow2"])
@pytest.mark.parametrize("image", [
    BytesImage(qcow2(backing=b"/etc/passwd"), format="qcow2"),
    BytesImage(qcow2(raw_disk()), format="raw"),
    BytesImage(raw_disk(), checksums={"sha256": "0" * 64}),
    BytesImage(qcow2(raw_disk()), format="qcow2", checksums={"sha256": "0" * 64}),
], ids=["backing file", "not what it says", "wrong checksum", "wrong checksum, qcow2"])
def test_what_is_refused_leaves_nothing_behind(one: pathlib.Path, image: BytesImage, format: str) -> None:
    driver = make_driver(one, format=format, runner=NoCommands() if format == "raw" else None)
    with driver.exclusive(["v", "w"], make_job()), pytest.raises((UnsafeImage, IntegrityError)):
        driver.fill_new(image, [Request(name, 8 * MIB) for name in "vw"], "auto", make_job())
    assert names_in(one) == []


def test_a_refused_refill_leaves_the_old_content(one: pathlib.Path) -> None:
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()):
        made, = driver.fill_new(BytesImage(raw_disk()), [Request("v", 8 * MIB)], "auto", make_job()).made
        with pytest.raises(IntegrityError):
            driver.refill(BytesImage(raw_disk(MIB), checksums={"md5": "0" * 32}), made.volume, make_job())
    assert driver.find("v") == made.volume
    assert (one / "v").read_bytes() == raw_disk().ljust(8 * MIB, b"\0")
    assert names_in(one) == whole("v")


def test_one_that_fails_does_not_keep_the_others(one: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = make_driver(one)
    duplicate = driver.content.duplicate

    def fails_for_b(source: str, path: str, **how: t.Any) -> bool:
        if path.endswith(".b.partial"):
            raise NoRoom("full")
        return duplicate(source, path, **how)

    monkeypatch.setattr(driver.content, "duplicate", fails_for_b)
    with driver.exclusive(["a", "b", "c"], make_job()):
        filled = driver.fill_new(BytesImage(raw_disk()), [Request(name, 8 * MIB) for name in "abc"], "auto", make_job())
    assert [made.volume.name for made in filled.made] == ["a", "c"]
    assert [(name, str(error)) for name, error in filled.errors.items()] == [("b", "full")]
    assert names_in(one) == whole("a", "c")


def test_the_size_follows_the_image_unless_it_was_asked_for(one: pathlib.Path) -> None:
    image = BytesImage(qcow2(size=32 * MIB), format="qcow2")
    driver = make_driver(one)
    with driver.exclusive(["v", "w"], make_job()):
        filled = driver.fill_new(image, [Request(name, MIB, exact=False) for name in "vw"], "auto", make_job())
        assert [made.volume.size for made in filled.made] == [32 * MIB, 32 * MIB]
    with driver.exclusive(["x"], make_job()), pytest.raises(InvalidInput, match="larger size"):
        driver.fill_new(image, [Request("x", MIB)], "auto", make_job())


def test_volumes_of_different_sizes_of_one_image(one: pathlib.Path) -> None:
    for format in ("raw", "vhdx"):
        driver = make_driver(one, format=format)
        names = [format + "-s", format + "-l"]
        with driver.exclusive(names, make_job()):
            filled = driver.fill_new(BytesImage(raw_disk()), [Request(names[0], 4 * MIB), Request(names[1], 8 * MIB)], "auto", make_job())
        assert [made.volume.size for made in filled.made] == [4 * MIB, 8 * MIB]
        with driver.open(filled.made[1].volume, "r") as handle:
            assert handle.read(0, 8 * MIB) == raw_disk().ljust(8 * MIB, b"\0")


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_holes_stay_holes_in_every_volume(one: pathlib.Path, format: str) -> None:
    driver = make_driver(one, format=format)
    size = 256 * MIB
    with driver.exclusive(["v", "w"], make_job()):
        filled = driver.fill_new(BytesImage(raw_disk(64 * MIB)), [Request(name, size) for name in "vw"], "auto", make_job())
    for made in filled.made:
        assert made.volume.details["allocated"] < 2 * MIB


@pytest.mark.parametrize("format, preallocation, least", [
    ("raw", "falloc", 8 * MIB), ("raw", "full", 8 * MIB), ("qcow2", "falloc", 8 * MIB), ("qcow2", "full", 8 * MIB), ("qcow2", "metadata", 0),
])
def test_space_is_set_aside(one: pathlib.Path, format: str, preallocation: str, least: int) -> None:
    driver = make_driver(one, format=format, preallocation=preallocation)
    with driver.exclusive(["v", "w", "x"], make_job()):
        filled = driver.fill_new(BytesImage(raw_disk()), [Request(name, 8 * MIB) for name in "vw"], "auto", make_job())
        blank = driver.create(Request("x", 8 * MIB), BLANK)
    for volume in [made.volume for made in filled.made] + [blank]:
        assert volume.details["allocated"] >= least
    with driver.open(filled.made[1].volume, "r") as handle:
        assert handle.read(0, 8 * MIB) == raw_disk().ljust(8 * MIB, b"\0")


def test_progress_is_told(one: pathlib.Path) -> None:
    ear = Ear()
    job = make_job(listener=ear)
    driver = make_driver(one)
    with driver.exclusive(["v", "w"], job):
        driver.fill_new(BytesImage(qcow2(raw_disk()), format="qcow2"), [Request(name, 8 * MIB) for name in "vw"], "auto", job)
    assert ear.phases() == ["download", "inspect", "convert", "copy", "publish"]
    arrived = [event for event in ear.events if event.phase == "download"]
    assert arrived[-1].done == arrived[-1].total


def test_volumes_go_where_most_room_is_left(one: pathlib.Path) -> None:
    """Both folders are in one file system here, so the first is as good as the second."""
    driver = make_driver(one)
    with pytest.raises(NoRoom) as refused:
        driver.check_room([Request("v", 1 << 60)], None)
    assert refused.value.details["needed"] == 1 << 60
    assert list(refused.value.details["available"]) == [str(one)]


def test_fan_out_clone_is_refused_before_anything_is_read_where_blocks_cannot_be_shared(one: pathlib.Path) -> None:
    if one.stat().st_dev != os.stat("/dev/shm").st_dev and _can_share(one):
        pytest.skip("this file system shares blocks")
    image = BytesImage(raw_disk())
    driver = make_driver(one)
    with driver.exclusive(["v", "w"], make_job()), pytest.raises(InvalidInput, match="fan_out: clone"):
        driver.fill_new(image, [Request(name, 8 * MIB) for name in "vw"], "clone", make_job())
    assert image.opened == []
    assert names_in(one) == []


def _can_share(folder: pathlib.Path) -> bool:
    with RawFile.nameless(str(folder)) as left, RawFile.nameless(str(folder)) as right:
        left.write(0, bytes(4 * KIB))
        return files.reflink(left.fd, right.fd)


# --- two at once, and what was left ---


def test_a_second_run_waits_and_then_finds_the_volume(one: pathlib.Path) -> None:
    first, second = make_driver(one), make_driver(one)
    with first.exclusive(["v"], make_job()):
        with pytest.raises(Exception, match="another run"), second.exclusive(["v"], make_job(1)):
            pass
        first.create(Request("v", MIB), BLANK)
    with second.exclusive(["v"], make_job()):
        assert second.find("v") is not None
    assert names_in(one) == whole("v")


def test_a_half_done_volume_is_filled_with_what_is_wanted_now(one: pathlib.Path) -> None:
    place = Place(str(one), "v")
    place.begin(Sidecar("qcow2", Record(FILLING, "glance"), MIB, exact=False))
    pathlib.Path(place.partial).write_bytes(b"half")
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()):
        made = driver.adopt(BytesImage(raw_disk()), t.cast(Volume, driver.find("v")), make_job())
    assert (made.how, made.volume.size, made.volume.details["format"]) == ("adopted", 4 * MIB, "raw")
    assert names_in(one) == whole("v")


def test_a_half_done_volume_can_be_removed(one: pathlib.Path) -> None:
    place = Place(str(one), "v")
    place.begin(Sidecar("raw", Record(FILLING, "glance"), MIB))
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()):
        driver.remove(t.cast(Volume, driver.find("v")), make_job())
    assert names_in(one) == []


def test_sidecars_say_what_they_are(one: pathlib.Path) -> None:
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()):
        driver.fill_new(BytesImage(raw_disk(), name="debian"), [Request("v", 8 * MIB)], "auto", make_job())
    data = json.loads((one / ".v.volume.json").read_text())
    assert data["version"] == 1
    assert data["format"] == "raw"
    assert data["record"]["state"] == READY
    assert data["record"]["image_name"] == "debian"
    assert "inode" not in data and "moved_from" not in data


def test_a_server_that_is_away_does_not_hide_what_went_wrong(one: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(path: str) -> bool:
        raise OSError(errno.EBUSY, "Device or resource busy", path)

    def write(path: str) -> None:
        pathlib.Path(path).write_bytes(b"half")
        patch.setattr(files, "remove_if_there", busy)
        raise OSError(errno.EIO, "Input/output error", path)

    driver = make_driver(one)
    place = Place(str(one), "v")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="Input/output error"):
        driver.make(place, Sidecar("raw", Record(READY, "blank"), MIB), write)
    assert t.cast(Volume, driver.find("v")).state == HALF_DONE
