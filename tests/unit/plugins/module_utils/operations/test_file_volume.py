# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    Drift, Foreign, InUse, InvalidInput, NoRoom, NotFound, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.operations.file_volume import FileVolume, FileVolumeRemoval, Import
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import Place
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.sidecar import Sidecar
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, Record
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import make_job
from ansible_collections.bootable.volumes.tests.unit.fakes.volumes import make_driver, names_in, whole


class World:
    """Two mount points, and the module as it is run on them."""

    def __init__(self, one: pathlib.Path, two: pathlib.Path) -> None:
        self.one, self.two = one, two

    def snapshot(self) -> t.Dict[str, t.Any]:
        """Everything that a write would change."""
        return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_size, path.lstat().st_mode)
                for folder in (self.one, self.two) for path in [folder] + sorted(folder.iterdir())}

    def operation(self, *, check: bool = False, name: str = "v", size: t.Optional[int] = None, incoming: t.Optional[Import] = None, convert: bool = False,
                  absent: bool = False, **options: t.Any) -> t.Union[FileVolume, FileVolumeRemoval]:
        driver = make_driver(self.one, self.two, check=check, **options)
        job = make_job(check=check)
        if absent:
            return FileVolumeRemoval(driver=driver, names=[name], job=job)
        return FileVolume(driver=driver, name=name, size=size, incoming=incoming, convert=convert, job=job)

    def run(self, **asked: t.Any) -> t.Tuple[t.List[str], t.Dict[str, t.Any]]:
        """First in check mode, which must foresee what is then done and write nothing; then for real.

        :returns: The actions, and the volume in the result.
        """
        before = self.snapshot()
        checked = self.operation(check=True, **asked)
        foreseen = checked.plan()
        checked.preview(foreseen)
        assert self.snapshot() == before
        operation = self.operation(**asked)
        with operation.exclusive():
            plan = operation.plan()
            result = operation.apply(plan) if plan.changed else operation.preview(plan)
        assert (foreseen.summary(), foreseen.diff()) == (plan.summary(), plan.diff())
        return [step.action for step in plan.steps], result["volume"]

    def refused(self, kind: t.Type[VolumesError], match: str, **asked: t.Any) -> None:
        """In check mode as for real, and nothing is changed."""
        for check in (True, False):
            before = self.snapshot()
            operation = self.operation(check=check, **asked)
            with pytest.raises(kind, match=match):
                if check:
                    operation.plan()
                else:
                    with operation.exclusive():
                        operation.apply(operation.plan())
            after = self.snapshot()
            for folder in (self.one, self.two):  # a lock changes the time of the folder
                before.pop(str(folder)), after.pop(str(folder))
            assert after == before


@pytest.fixture
def world(one: pathlib.Path, two: pathlib.Path) -> World:
    return World(one, two)


@pytest.fixture
def image(folder: pathlib.Path) -> pathlib.Path:
    (folder / "in.qcow2").write_bytes(qcow2(raw_disk()))
    return folder / "in.qcow2"


def test_a_volume_lives(world: World) -> None:
    """Made, left alone, grown, converted, moved, removed; each once, and then no more."""
    pinned = str(world.two)
    for actions, asked in (
        (["create"], {"size": 2 * MIB, "mountpoint": str(world.one)}),
        (["grow"], {"size": 3 * MIB}),
        (["convert"], {"size": 3 * MIB, "format": "qcow2", "convert": True}),
        (["move"], {"format": "qcow2", "mountpoint": pinned}),
        (["move", "convert", "grow"], {"size": 4 * MIB, "format": "vdi", "convert": True, "mountpoint": str(world.one)}),
    ):
        done, volume = world.run(**asked)
        assert done == actions
        assert volume["size"] == asked.get("size", volume["size"])
        again, same = world.run(**asked)
        assert (again, same) == (["keep"], volume)
    assert volume["details"]["format"] == "vdi"
    assert world.run()[0] == ["keep"]
    assert world.run(absent=True)[0] == ["remove"]
    assert world.run(absent=True) == (["keep"], None)
    assert names_in(world.one) + names_in(world.two) == []


def test_a_new_volume_needs_a_size_and_room(world: World) -> None:
    world.refused(InvalidInput, "size is needed")
    world.refused(NoRoom, "v needs 1024 TiB", size=1 << 50)


def test_what_is_there_is_not_made_smaller_nor_converted_unasked(world: World) -> None:
    world.run(size=2 * MIB)
    world.refused(InvalidInput, "never made smaller", size=MIB)
    world.refused(Drift, "convert: true", format="qcow2")


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_file_is_imported_once(world: World, image: pathlib.Path, mode: str) -> None:
    asked = {"incoming": Import(str(image), mode), "size": 6 * MIB}
    done, volume = world.run(**asked)
    assert done == ["import"]
    assert (volume["size"], volume["details"]["format"], volume["image"]["image_name"]) == (6 * MIB, "qcow2", str(image))
    assert world.run(**asked)[0] == ["keep"]
    assert image.exists() is (mode == "copy")


def test_an_import_takes_the_files_size_and_the_wanted_format(world: World, image: pathlib.Path) -> None:
    dummy, volume = world.run(incoming=Import(str(image), "copy"), format="raw")
    assert (volume["size"], volume["details"]["format"]) == (4 * MIB, "raw")


def test_imports_that_are_refused(world: World, image: pathlib.Path, folder: pathlib.Path) -> None:
    world.refused(InvalidInput, "does not fit", incoming=Import(str(image), "copy"), size=MIB)
    world.refused(NotFound, "no file", incoming=Import(str(folder / "none.raw"), "copy"))
    image.rename(folder / "in")
    world.refused(InvalidInput, "import_format", incoming=Import(str(folder / "in"), "copy"))
    world.refused(VolumesError, "declared as vmdk", incoming=Import(str(folder / "in"), "copy", "vmdk"))
    world.run(size=MIB)
    world.refused(Drift, "was not imported from", incoming=Import(str(folder / "in"), "copy", "qcow2"))


def test_a_file_in_its_place_is_adopted(world: World) -> None:
    (world.one / "v").write_bytes(qcow2(raw_disk()))
    world.refused(Foreign, "foreign", size=MIB)
    world.refused(Foreign, "foreign", absent=True)
    asked = {"incoming": Import(str(world.one / "v"), "copy"), "format": "qcow2"}
    done, volume = world.run(**asked)
    assert (done, volume["size"]) == (["adopt"], 4 * MIB)
    assert world.run(**asked)[0] == ["keep"]
    assert names_in(world.one) == whole("v")


@pytest.mark.parametrize("link", [True, False])
def test_what_leads_out_is_not_adopted(world: World, image: pathlib.Path, link: bool) -> None:
    (world.one / "v").symlink_to(image) if link else (world.one / "v").mkdir()
    world.refused(Foreign, "not a regular file", incoming=Import(str(world.one / "v"), "copy", "qcow2"))


def test_what_was_broken_off_is_made_anew(world: World) -> None:
    place = Place(str(world.one), "v")
    place.begin(Sidecar("qcow2", Record(FILLING, "glance"), 5 * MIB))
    pathlib.Path(place.partial).write_bytes(b"half")
    done, volume = world.run(size=2 * MIB)
    assert (done, volume["size"], volume["details"]["format"]) == (["create"], 2 * MIB, "raw")
    assert sorted(names_in(world.one) + names_in(world.two)) == whole("v")


def test_a_volume_in_use_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(size=2 * MIB)
    monkeypatch.setattr("ansible_collections.bootable.volumes.plugins.module_utils.host.usage.users_of", lambda path: ["process 1 (qemu)"])
    for asked in ({"size": 3 * MIB}, {"absent": True}, {"format": "qcow2", "convert": True}):
        world.refused(InUse, "process 1", **asked)
    assert world.run(size=2 * MIB)[0] == ["keep"]


def test_a_damaged_volume_is_not_worked_on(world: World) -> None:
    world.run(size=2 * MIB, format="qcow2")
    place = next(folder for folder in (world.one, world.two) if (folder / "v").exists())
    os.truncate(place / "v", 50)
    world.refused(Drift, "not readable as qcow2", size=3 * MIB)
    (place / ".v.volume.json").write_text("{")
    world.refused(VolumesError, "damaged", size=3 * MIB)
    world.refused(VolumesError, "damaged", absent=True)


def test_names_that_are_no_names(world: World) -> None:
    world.refused(InvalidInput, "path", name="../v", size=MIB)
    world.refused(InvalidInput, "dot", name=".v", absent=True)
