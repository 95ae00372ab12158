# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NoRoom, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import FORMATS, QemuImg
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.content import Content, Shape
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, Ear, HostRunner, NoCommands, make_job


@pytest.fixture
def content() -> Content:
    return Content(QemuImg(HostRunner()))


@pytest.mark.parametrize("needed, size, exact, fitted", [
    (100, 1024, True, 1024), (1000, 512, False, 1024), (1024, 1024, True, 1024), (1025, 1024, False, 1536),
])
def test_a_size_fits(needed: int, size: int, exact: bool, fitted: int) -> None:
    assert Shape("raw", size, exact).fitted(needed, "x") == fitted


def test_a_size_does_not_fit() -> None:
    with pytest.raises(InvalidInput, match="larger size"):
        Shape("raw", 512).fitted(513, "x")


@pytest.mark.parametrize("format", FORMATS)
def test_a_blank_file_is_private_and_of_its_size(folder: pathlib.Path, content: Content, format: str) -> None:
    path = folder / "v"
    content.blank(str(path), Shape(format, 3 * MIB))
    assert content.size_of(str(path), format) == 3 * MIB
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_raw_image_for_a_raw_volume_needs_no_command_and_no_second_copy(folder: pathlib.Path) -> None:
    content = Content(QemuImg(NoCommands()))
    size = content.from_image(BytesImage(raw_disk() + b"x"), str(folder / "v"), Shape("raw", 512, False), make_job(), room=lambda: 0)
    assert size == len(raw_disk()) + 512 == (folder / "v").stat().st_size
    assert (folder / "v").read_bytes() == raw_disk() + b"x" + bytes(511)


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_an_archive_of_vhds_is_merged_and_tells_the_size(folder: pathlib.Path, content: Content, format: str) -> None:
    layers = [vhds.scattered(seed, 5 * MIB, 4) for seed in (1, 2)]
    image = BytesImage(vhds.archive(vhds.chain(5 * MIB, *layers), gz=True), format="vhd", container="ovf")
    path = str(folder / "v")
    assert content.from_image(image, path, Shape(format, 512, False), make_job(), room=lambda: 64 * MIB) == 5 * MIB
    content.convert(path, format, path + ".raw", Shape("raw", 5 * MIB), "x", make_job())
    assert (folder / "v.raw").read_bytes() == vhds.disk(5 * MIB, *layers)
    with pytest.raises(InvalidInput, match="holds a disk of 5 MiB, which does not fit"):
        content.from_image(image, path + "2", Shape(format, MIB), make_job(), room=lambda: 64 * MIB)


@pytest.mark.parametrize("image", [BytesImage(raw_disk()), BytesImage(qcow2(raw_disk()), format="qcow2")], ids=["raw", "qcow2"])
def test_what_will_not_fit_is_not_begun(folder: pathlib.Path, content: Content, image: BytesImage) -> None:
    with pytest.raises(NoRoom, match="free"):
        content.from_image(image, str(folder / "v"), Shape("qcow2", 8 * MIB), make_job(), room=lambda: 100)
    assert os.listdir(folder) == []


def test_a_duplicate_is_the_same_and_told_of(folder: pathlib.Path, content: Content) -> None:
    (folder / "a").write_bytes(raw_disk())
    ear = Ear()
    content.duplicate(str(folder / "a"), str(folder / "b"), share=True, preallocation="off", job=make_job(listener=ear))
    content.compare(str(folder / "a"), str(folder / "b"), make_job())
    assert all(event.phase == "copy" and event.total == len(raw_disk()) for event in ear.events)
    with open(folder / "b", "r+b") as file:
        file.write(b"y")
    with pytest.raises(BackendError, match="not the same"):
        content.compare(str(folder / "a"), str(folder / "b"), make_job())


def test_a_copy_ends_with_the_deadline(folder: pathlib.Path, content: Content) -> None:
    (folder / "a").write_bytes(raw_disk())
    job = make_job(1)
    job.deadline.clock.sleep(2)
    with pytest.raises(TimedOut, match="b to be copied"):
        content.duplicate(str(folder / "a"), str(folder / "b"), share=False, preallocation="off", job=job)


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_it_grows(folder: pathlib.Path, content: Content, format: str) -> None:
    path = str(folder / "v")
    content.blank(path, Shape(format, MIB))
    assert content.grows_in_place(format)
    content.enlarge(path, format, 2 * MIB)
    assert content.size_of(path, format) == 2 * MIB
