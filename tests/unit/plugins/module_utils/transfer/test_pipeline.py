# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import threading

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, IntegrityError, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import QemuImg
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.transfer import pipeline
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.writer import Target
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, Ear, HostRunner, NoCommands, make_job

SIZE = 6 * MIB


@pytest.mark.parametrize("image", [BytesImage(raw_disk()), BytesImage(qcow2(raw_disk()), format="qcow2")], ids=["raw", "qcow2"])
@pytest.mark.parametrize("fresh", [True, False])
def test_volumes_get_the_disk(folder: pathlib.Path, image: BytesImage, fresh: bool) -> None:
    ear = Ear()
    with RawFile.create(str(folder / "a")) as one, RawFile.create(str(folder / "b")) as two:
        for file in (one, two):
            file.write(0, bytes(SIZE) if fresh else b"\xff" * SIZE)
        pipeline.copy_image(image, [("a", SIZE, one), ("b", SIZE, two)], make_job(listener=ear), fresh=fresh, runner=HostRunner())
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes() == raw_disk().ljust(SIZE, b"\0")
    assert set(ear.phases()) == ({"download"} if image.describe().format == "raw" else {"download", "inspect", "convert", "copy"})


def test_a_refused_image_reaches_no_volume_and_no_converter(folder: pathlib.Path) -> None:
    with RawFile.create(str(folder / "a")) as file:
        for image in (BytesImage(qcow2(backing=b"/etc/passwd"), format="qcow2"), BytesImage(qcow2(raw_disk()), format="raw")):
            with pytest.raises(UnsafeImage):
                pipeline.copy_image(image, [("a", SIZE, file)], make_job(), fresh=True, runner=NoCommands())
        assert file.size == 0


def test_other_bytes_than_promised_reach_no_converter(folder: pathlib.Path) -> None:
    image = BytesImage(qcow2(raw_disk()), format="qcow2", checksums={"md5": "0" * 32})
    with RawFile.create(str(folder / "a")) as file, pytest.raises(IntegrityError):
        pipeline.copy_image(image, [("a", SIZE, file)], make_job(), fresh=True, runner=NoCommands())


def test_a_storage_without_commands_takes_raw_images_only(folder: pathlib.Path) -> None:
    with RawFile.create(str(folder / "a")) as file:
        with pytest.raises(InvalidInput, match="raw images only"):
            pipeline.copy_image(BytesImage(qcow2(), format="qcow2"), [("a", SIZE, file)], make_job(), fresh=True)


def test_no_thread_is_left_however_it_ends(folder: pathlib.Path) -> None:
    before = threading.active_count()
    with RawFile.create(str(folder / "a")) as file:
        for image in (BytesImage(raw_disk()), BytesImage(raw_disk(), cuts=[5] * 50), BytesImage(raw_disk(), checksums={"md5": "0" * 32})):
            try:
                pipeline.copy_image(image, [("a", SIZE, file), ("b", SIZE, file)], make_job(), fresh=True)
            except Exception:
                pass
    assert threading.active_count() == before


def test_a_staged_image_says_how_large_its_disk_is() -> None:
    with RawFile.nameless() as file:
        assert pipeline.stage(BytesImage(qcow2(raw_disk()), format="qcow2"), file, QemuImg(HostRunner()), make_job()) == 4 * MIB
        assert pipeline.receive(BytesImage(b"x" * 100), [Target("v", None, file)], make_job(), fresh=True) == 100


def test_holes_of_a_disk_are_not_read(folder: pathlib.Path) -> None:
    with RawFile.create(str(folder / "disk")) as disk, RawFile.create(str(folder / "a")) as file:
        disk.resize(1 << 40)
        disk.write(1 << 39, b"x")
        file.resize(1 << 40)
        pipeline.spread(disk, [Target("a", 1 << 40, file)], make_job(), fresh=True)
        assert file.read(1 << 39, 2) == b"x\0"
