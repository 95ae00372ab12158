# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, Foreign, InUse, InvalidInput, NotFound, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host import files
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Request, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.changes import COPY, MOVE, REFLINK, FileChanges, Incoming, check_fits
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.content import Shape
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import Place
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, NoCommands, make_job
from ansible_collections.bootable.volumes.tests.unit.fakes.volumes import make_driver, names_in, whole


class Killed(BaseException):
    """Nothing runs after this, not even a clean-up."""


@pytest.fixture
def driver(one: pathlib.Path, two: pathlib.Path) -> FileDriver:
    return make_driver(one, two)


@pytest.fixture
def changes(driver: FileDriver) -> FileChanges:
    return FileChanges(driver, make_job())


@pytest.fixture
def image(folder: pathlib.Path) -> pathlib.Path:
    """A qcow2 that waits to be taken in."""
    path = folder / "in.qcow2"
    path.write_bytes(qcow2(raw_disk()))
    return path


def content(driver: FileDriver, volume: Volume) -> bytes:
    """All that a guest would read."""
    with driver.open(volume, "r") as handle:
        return handle.read(0, volume.size)


def fill(driver: FileDriver, at: pathlib.Path, name: str = "v") -> Volume:
    """A volume with a disk in it, on one of the mount points."""
    pinned = make_driver(*map(pathlib.Path, driver.layout.mountpoints), mountpoint=str(at), format=driver.format)
    with pinned.exclusive([name], make_job()):
        return pinned.fill_new(BytesImage(raw_disk()), [Request(name, 6 * MIB)], "auto", make_job()).made[0].volume


# --- taking in ---


@pytest.mark.parametrize("mode", [COPY, MOVE])
@pytest.mark.parametrize("format, size", [("qcow2", 4 * MIB), ("qcow2", 8 * MIB), ("raw", 8 * MIB), ("vmdk", 4 * MIB)])
def test_a_file_becomes_a_volume(driver: FileDriver, changes: FileChanges, one: pathlib.Path, image: pathlib.Path, mode: str, format: str, size: int) -> None:
    incoming = changes.look_at(str(image), "qcow2", mode)
    assert incoming.size == 4 * MIB
    with driver.exclusive(["v"], make_job()):
        volume = changes.take_in(incoming, Place(str(one), "v"), Shape(format, size), mode)
    assert (volume.size, volume.details["format"], volume.state) == (size, format, "available")
    assert volume.record == Record(READY, "file", image_name=str(image))
    assert content(driver, volume) == raw_disk().ljust(size, b"\0")
    assert image.exists() is (mode == COPY)
    assert names_in(one) == whole("v")


def test_a_move_in_one_file_system_is_a_renaming(driver: FileDriver, changes: FileChanges, one: pathlib.Path, image: pathlib.Path) -> None:
    inode = image.stat().st_ino
    incoming = changes.look_at(str(image), "qcow2", MOVE)
    with driver.exclusive(["v"], make_job()):
        changes.take_in(incoming, Place(str(one), "v"), Shape("qcow2", incoming.size), MOVE)
    assert (one / "v").stat().st_ino == inode


def test_a_copy_is_sparse(driver: FileDriver, changes: FileChanges, one: pathlib.Path, folder: pathlib.Path) -> None:
    with open(folder / "big.raw", "wb") as file:
        file.truncate(1 << 34)
        file.write(b"x")
    incoming = changes.look_at(str(folder / "big.raw"), "raw", COPY)
    with driver.exclusive(["v"], make_job()):
        volume = changes.take_in(incoming, Place(str(one), "v"), Shape("raw", incoming.size), COPY)
    assert (volume.size, volume.details["allocated"] < MIB) == (1 << 34, True)


def test_blocks_that_cannot_be_shared(driver: FileDriver, changes: FileChanges, one: pathlib.Path, image: pathlib.Path,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "reflink", lambda *dummy: False)
    incoming = changes.look_at(str(image), "qcow2", REFLINK)
    with driver.exclusive(["v"], make_job()):
        for format, word in (("qcow2", "cannot share blocks"), ("raw", "cannot share its blocks with a raw volume")):
            with pytest.raises(InvalidInput, match=word):
                changes.take_in(incoming, Place(str(one), "v"), Shape(format, 4 * MIB), REFLINK)
    assert names_in(one) == []
    assert image.exists()


def test_what_is_not_taken_in(changes: FileChanges, folder: pathlib.Path, image: pathlib.Path) -> None:
    with pytest.raises(NotFound, match="import_from: there is no file"):
        changes.look_at(str(folder / "none"), "raw", COPY)
    (folder / "link").symlink_to(image)
    for path in (folder / "link", folder):
        with pytest.raises(Foreign, match="not a regular file"):
            changes.look_at(str(path), "qcow2", COPY)
    os.link(image, folder / "second")
    with pytest.raises(Foreign, match="2 names"):
        changes.look_at(str(image), "qcow2", MOVE)
    changes.look_at(str(image), "qcow2", COPY)


def test_a_file_in_use_is_not_taken_in(changes: FileChanges, image: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.bootable.volumes.plugins.module_utils.host.usage.users_of", lambda path: ["process 1 (init)"])
    with pytest.raises(InUse, match="in use by process 1"):
        changes.look_at(str(image), "qcow2", COPY)


def test_a_hostile_file_is_not_taken_in(one: pathlib.Path, image: pathlib.Path) -> None:
    image.write_bytes(qcow2(backing=b"/etc/passwd"))
    with pytest.raises(UnsafeImage, match="backing"):
        FileChanges(make_driver(one, runner=NoCommands()), make_job()).look_at(str(image), "qcow2", COPY)


@pytest.mark.parametrize("format", ["qcow2", "raw"])
def test_a_file_that_turns_hostile_after_it_was_looked_at_is_refused(driver: FileDriver, changes: FileChanges, one: pathlib.Path, image: pathlib.Path,
                                                                     format: str) -> None:
    incoming = changes.look_at(str(image), "qcow2", COPY)
    image.write_bytes(qcow2(backing=b"/etc/passwd"))
    with driver.exclusive(["v"], make_job()), pytest.raises(UnsafeImage):
        changes.take_in(incoming, Place(str(one), "v"), Shape(format, 4 * MIB), COPY)
    assert names_in(one) == []


def test_a_file_that_lies_there_is_adopted(driver: FileDriver, changes: FileChanges, one: pathlib.Path) -> None:
    (one / "v").write_bytes(qcow2(raw_disk()))
    before = (one / "v").stat()
    volume = changes.adopt(changes.look_at(str(one / "v"), "qcow2", COPY))
    assert (volume.size, volume.details["format"], volume.state) == (4 * MIB, "qcow2", "available")
    now = (one / "v").stat()
    assert (now[:7], now[8:]) == (before[:7], before[8:]), "more than the time of the last access has changed"
    assert names_in(one) == whole("v")


def test_a_disk_is_never_shrunk() -> None:
    check_fits(Incoming("/x", "raw", 5), 5)
    with pytest.raises(InvalidInput, match="never shrunk"):
        check_fits(Incoming("/x", "raw", 6), 5)


# --- moving ---


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_a_volume_moves(one: pathlib.Path, two: pathlib.Path, format: str) -> None:
    driver = make_driver(one, two, format=format)
    volume = fill(driver, one)
    os.chmod(one / "v", 0o640)
    with driver.exclusive(["v"], make_job()):
        moved = FileChanges(driver, make_job()).move(volume, str(two))
    assert (moved.location, moved.size, moved.record) == (str(two), volume.size, volume.record)
    assert content(driver, moved) == raw_disk().ljust(6 * MIB, b"\0")
    assert (names_in(one), names_in(two)) == ([], whole("v"))
    assert (two / "v").stat().st_mode & 0o777 == 0o640
    assert "moved_from" not in (two / ".v.volume.json").read_text()


def test_a_copy_that_went_wrong_loses_nothing(driver: FileDriver, changes: FileChanges, one: pathlib.Path, two: pathlib.Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    volume = fill(driver, one)
    monkeypatch.setattr(files, "same_content", lambda *dummy, **how: False)
    with driver.exclusive(["v"], make_job()), pytest.raises(BackendError, match="not the same"):
        changes.move(volume, str(two))
    assert (names_in(one), names_in(two)) == (whole("v"), [])
    assert driver.find("v") == volume


def killed_after(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """From now on the ``number``-th call that renames or removes does not happen."""
    seen: t.List[str] = []

    def counting(name: str) -> t.Callable[..., t.Any]:
        real = getattr(os, name)

        def call(*args: t.Any, **how: t.Any) -> t.Any:
            if len(seen) >= number:
                raise Killed
            seen.append(name)
            return real(*args, **how)

        return call

    for name in ("rename", "replace", "unlink"):
        monkeypatch.setattr(os, name, counting(name))


@pytest.mark.parametrize("what", ["move", "take in"])
def test_killed_anywhere_there_is_one_volume_afterwards(driver: FileDriver, one: pathlib.Path, two: pathlib.Path, folder: pathlib.Path, what: str) -> None:
    for number in range(60):
        if what == "move":
            volume = fill(driver, one)
        else:
            (folder / "in.raw").write_bytes(raw_disk(6 * MIB))
        over = False
        with pytest.MonkeyPatch.context() as patch:
            killed_after(patch, number)
            try:
                changes = FileChanges(driver, make_job())
                if what == "move":
                    changes.move(volume, str(two))
                else:  # to another format, so that it is copied
                    changes.take_in(changes.look_at(str(folder / "in.raw"), "raw", MOVE), Place(str(two), "v"), Shape("qcow2", 6 * MIB), MOVE)
                over = True
            except Killed:
                pass
        rerun = make_driver(one, two)
        with rerun.exclusive(["v"], make_job()):
            found = rerun.find("v")
            if found is None or found.state == "half_done":
                assert what == "take in" and (folder / "in.raw").exists(), "nothing is lost at %d" % number
                found and rerun.remove(found, make_job())
            else:
                assert content(rerun, found)[64 * KIB:192 * KIB] == raw_disk()[64 * KIB:192 * KIB]
                assert sorted(name for name in names_in(one) + names_in(two) if name != ".v.lock") == whole("v")
                assert what == "move" or not (folder / "in.raw").exists()
                rerun.remove(found, make_job())
        assert names_in(one) + names_in(two) == []
        if over:
            assert number > 5
            return
    raise AssertionError("it never ended")


# --- converting ---


def test_a_volume_changes_its_format(driver: FileDriver, changes: FileChanges, one: pathlib.Path) -> None:
    volume = fill(driver, one)
    with driver.exclusive(["v"], make_job()):
        for format in ("qcow2", "vmdk", "raw"):
            volume = changes.convert(volume, Shape(format, volume.size))
            assert volume.details["format"] == format
            assert content(driver, volume) == raw_disk().ljust(6 * MIB, b"\0")
    assert names_in(one) == whole("v")
