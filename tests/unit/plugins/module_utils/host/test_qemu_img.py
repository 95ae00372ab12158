# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NoRoom, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner, Completed, Limits
from ansible_collections.bootable.volumes.plugins.module_utils.host import qemu_img
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import FORMATS, INFO_LIMITS, RESIZABLE, QemuImg, preallocations
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import Answers, FastClock, HostRunner

DEADLINE = Deadline(60, clock=FastClock())


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_made_at_its_exact_size_and_told(folder: pathlib.Path, format: str) -> None:
    qemu, path = QemuImg(HostRunner()), str(folder / "a,b=c:d")
    qemu.create(path, format, 5 * MIB + 512)
    info = qemu.info(path, format)
    assert (info.virtual_size, info.refers_to, info.encrypted) == (5 * MIB + 512, (), False)


@pytest.mark.parametrize("format", FORMATS)
def test_a_disk_survives_the_way_there_and_back(folder: pathlib.Path, format: str) -> None:
    qemu = QemuImg(HostRunner())
    raw, other, back = (str(folder / name) for name in ("raw", "a,other", "back"))
    (folder / "raw").write_bytes(raw_disk())
    qemu.create(other, format, 6 * MIB)
    qemu.convert_into(raw, "raw", other, format, deadline=DEADLINE, what="x")
    qemu.create(back, "raw", 6 * MIB)
    qemu.convert_into(other, format, back, "raw", deadline=DEADLINE, what="x")
    assert (folder / "back").read_bytes() == raw_disk().ljust(6 * MIB, b"\0")


@pytest.mark.parametrize("format", RESIZABLE)
def test_it_grows_in_place(folder: pathlib.Path, format: str) -> None:
    qemu, path = QemuImg(HostRunner()), str(folder / "x")
    qemu.create(path, format, MIB)
    qemu.resize(path, format, 3 * MIB)
    assert qemu.info(path, format).virtual_size == 3 * MIB


def test_formats_that_cannot_grow_are_not_tried() -> None:
    with pytest.raises(InvalidInput, match="vmdk"):
        QemuImg(Answers()).resize("/x", "vmdk", 1)
    with pytest.raises(InvalidInput, match="floppy"):
        QemuImg(Answers()).info("/x", "floppy")


def test_the_format_is_always_named() -> None:
    runner = Answers(stdout='{"virtual-size": 1, "required": 1}')
    qemu = QemuImg(runner)
    qemu.info("/x", "qcow2")
    qemu.create("/x", "qcow2", 1)
    qemu.resize("/x", "raw", 1)
    qemu.measure("/x", "qcow2", "vmdk")
    qemu.convert_into("/x", "qcow2", "/y", "raw", deadline=DEADLINE, what="x")
    assert all("-f" in command for command in runner.commands)
    qemu.info("/x", "vhd")
    assert "driver=vpc,force_size_calc=current_size" in runner.commands[-1][-1]


@pytest.mark.parametrize("lasting, format, direct, expected", [
    (True, "raw", True, True), (True, "raw", False, False), (True, "qcow2", True, False), (False, "raw", True, False),
])
def test_what_lasts_is_written_past_the_cache(lasting: bool, format: str, direct: bool, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu_img, "takes_direct_io", lambda path: direct)
    runner = Answers()
    QemuImg(runner).convert_into("/x", "qcow2", "/y", format, deadline=DEADLINE, what="x", lasting=lasting)
    assert (runner.commands[0][4:6] == ["-t", "none"]) is expected


def test_looking_at_an_image_is_limited() -> None:
    class Limited(CommandRunner):
        def run(self, args: t.Sequence[str], *, limits: t.Optional[Limits] = None, timeout: t.Optional[float] = None) -> Completed:
            assert limits is not None and limits == INFO_LIMITS
            return Completed(0, '{"virtual-size": 1}', "")

    assert QemuImg(Limited()).info("/x", "raw").virtual_size == 1


def test_an_image_that_refers_to_others_says_so() -> None:
    answer = '{"virtual-size": 1, "backing-filename": "a", "format-specific": {"data": {"data-file": "b", "extents": [{"filename": "c"}, {"filename": "d"}]}}}'
    assert QemuImg(Answers(stdout=answer)).info("/x", "vmdk").refers_to == ("a", "b", "d")


def test_what_an_image_takes(folder: pathlib.Path) -> None:
    (folder / "raw").write_bytes(raw_disk())
    qemu = QemuImg(HostRunner())
    assert 0 < qemu.measure(str(folder / "raw"), "raw", "qcow2") < 6 * MIB
    assert qemu.measure(str(folder / "raw"), "raw", "vdi") == qemu.measure(str(folder / "raw"), "raw", "qcow2")


@pytest.mark.parametrize("format, known", [("raw", True), ("qcow2", True), ("vmdk", False)])
def test_what_can_be_preallocated(format: str, known: bool) -> None:
    assert ("falloc" in preallocations(format)) is known
    assert "off" in preallocations(format)


@pytest.mark.parametrize("rc, stderr, kind, word", [
    (1, "qemu-img: error while writing: No space left on device", NoRoom, "full"),
    (127, "setpriv: failed to execute qemu-img: No such file or directory", BackendError, "not installed"),
    (1, "qemu-img: Could not open 'x'", BackendError, "Could not open"),
])
def test_failures_say_what_to_do(rc: int, stderr: str, kind: t.Type[Exception], word: str) -> None:
    with pytest.raises(kind, match=word):
        QemuImg(Answers(rc, "", stderr)).create("/x", "raw", 1)


def test_an_answer_that_makes_no_sense() -> None:
    for call in (lambda qemu: qemu.info("/x", "raw"), lambda qemu: qemu.measure("/x", "raw", "raw")):
        with pytest.raises(BackendError, match="makes sense"):
            call(QemuImg(Answers(stdout="[]")))


def test_a_conversion_ends_with_the_deadline() -> None:
    clock = FastClock()
    deadline = Deadline(10, clock=clock)

    class Slow(CommandRunner):
        def run(self, args: t.Sequence[str], *, limits: t.Optional[Limits] = None, timeout: t.Optional[float] = None) -> Completed:
            assert timeout == 10
            clock.sleep(11)
            return Completed(137, "", "")

    with pytest.raises(TimedOut, match="x to be converted"):
        QemuImg(Slow()).convert_into("/x", "qcow2", "/y", "raw", deadline=deadline, what="x to be converted")
