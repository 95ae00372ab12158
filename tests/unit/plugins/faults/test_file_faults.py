# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong in life, done to the file side for real: killed processes, cut lines, full disks, two runs at once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import shutil
import struct
import subprocess
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, IntegrityError, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event, Listener
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.images.url import UrlImage
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Request
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.changes import REFLINK, FileChanges
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.content import Shape
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import Place
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import pattern, qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, make_job
from ansible_collections.bootable.volumes.tests.unit.fakes.volumes import make_driver, names_in, whole
from ansible_collections.bootable.volumes.tests.unit.fakes.web import Site, serving
from ansible_collections.bootable.volumes.tests.unit.plugins.faults.runs import Runs

NAMES = ["a", "b", "c"]
SIZE = 6 * MIB
DISK = raw_disk().ljust(SIZE, b"\0")


@pytest.fixture
def site() -> t.Iterator[Site]:
    with serving() as site:
        site.files["/disk.raw"] = raw_disk()
        site.files["/disk.qcow2"] = qcow2(raw_disk())
        yield site


class FileRuns(Runs):
    """That make files."""

    def __init__(self, site: Site, folder: pathlib.Path, image: str, format: str) -> None:
        super().__init__({
            "url": site.url + image, "format": image.rpartition(".")[2], "checksum": "sha512:" + hashlib.sha512(site.files[image]).hexdigest(),
            "names": NAMES, "size": SIZE, "storage": {"mountpoints": [str(folder)], "format": format, "allow_unmounted": True},
        })
        self.folder = folder
        self.format = format

    def expect_whole(self) -> None:
        """All volumes, each with the image in it, and nothing else."""
        assert names_in(self.folder) == whole(*NAMES)
        driver = make_driver(self.folder, format=self.format)
        for name in NAMES:
            volume = driver.find(name)
            assert volume and volume.state == "available"
            with driver.open(volume, "r") as handle:
                assert handle.read(0, SIZE) == DISK


@pytest.mark.parametrize("image, format, kill", [
    ("/disk.raw", "raw", ("event", "download", 1)),
    ("/disk.raw", "raw", ("event", "download", 4)),
    ("/disk.raw", "raw", ("event", "copy", 2)),
    ("/disk.raw", "raw", ("event", "publish", 1)),
    ("/disk.raw", "raw", ("event", "publish", 3)),
    ("/disk.qcow2", "qcow2", ("event", "download", 3)),
    ("/disk.qcow2", "qcow2", ("event", "inspect", 1)),
    ("/disk.qcow2", "qcow2", ("event", "convert", 1)),
    ("/disk.qcow2", "qcow2", ("command", "convert", 1)),
    ("/disk.qcow2", "raw", ("command", "convert", 1)),
    ("/disk.qcow2", "qcow2", ("event", "convert", 2)),
    ("/disk.qcow2", "qcow2", ("event", "publish", 2)),
    ("/disk.qcow2", "qcow2", ("call", "rename", 0)),
    ("/disk.qcow2", "qcow2", ("call", "rename", 2)),
    ("/disk.raw", "raw", ("call", "replace", 4)),
    ("/disk.raw", "raw", ("call", "fsync", 9)),
    ("/disk.raw", "raw", ("call", "unlink", 7)),
], ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)))
def test_killed_and_run_again_it_ends_well(site: Site, one: pathlib.Path, image: str, format: str, kill: t.Sequence[t.Any]) -> None:
    runs = FileRuns(site, one, image, format)
    runs.run_and_die(kill)
    running = subprocess.run(["pgrep", "-f", "qemu-img convert.*%s" % one], capture_output=True, text=True, check=False).stdout
    assert running == "", "no command outlives its run"
    assert set(runs.run()) == set(NAMES)
    runs.expect_whole()
    assert runs.run() == dict.fromkeys(NAMES, "unchanged")


def test_two_runs_at_once_make_n_volumes(site: Site, one: pathlib.Path) -> None:
    runs = FileRuns(site, one, "/disk.qcow2", "raw")
    results = runs.run_twice_at_once()
    assert sorted(how for result in results for how in result.values() if how == "unchanged") == ["unchanged"] * 3
    runs.expect_whole()


# --- the line ---


def image_at(site: Site, path: str, digest: t.Optional[str] = None) -> UrlImage:
    """An image of the site, with its own checksum or another one."""
    return UrlImage(site.url + path, checksum="sha256:" + (digest or hashlib.sha256(site.files[path]).hexdigest()))


@pytest.mark.parametrize("path", ["/disk.raw", "/disk.qcow2"])
def test_a_cut_line_is_taken_up_again(site: Site, one: pathlib.Path, path: str) -> None:
    image = image_at(site, path)
    size = image.describe().size
    site.cut_after, site.cuts = 100_000, 3
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()):
        made, = driver.fill_new(image, [Request("v", SIZE)], "auto", make_job()).made
    assert (one / "v").read_bytes() == DISK
    assert [asked for dummy, asked in site.asked[1:]] == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]
    assert made.volume.state == "available" and size == len(site.files[path])


@pytest.mark.parametrize("cut, ranges, word", [(100_000, True, "broke off 6 times"), (0, True, "broke off 6 times"), (100_000, False, "knows no ranges")])
def test_a_line_that_is_always_cut_leaves_nothing(site: Site, one: pathlib.Path, cut: int, ranges: bool, word: str) -> None:
    image = image_at(site, "/disk.raw")
    image.describe()
    site.cut_after, site.ranges = cut, ranges
    driver = make_driver(one)
    with driver.exclusive(["v"], make_job()), pytest.raises(BackendError, match=word):
        driver.fill_new(image, [Request("v", SIZE)], "auto", make_job())
    assert names_in(one) == []


def test_a_wrong_checksum_publishes_nothing(site: Site, one: pathlib.Path) -> None:
    driver = make_driver(one)
    for path in ("/disk.raw", "/disk.qcow2"):
        with driver.exclusive(NAMES, make_job()), pytest.raises(IntegrityError, match="nothing was published"):
            driver.fill_new(image_at(site, path, "0" * 64), [Request(name, SIZE) for name in NAMES], "auto", make_job())
        assert names_in(one) == []


# --- file systems ---

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")


def mounted(folder: pathlib.Path, *arguments: str) -> t.Iterator[pathlib.Path]:
    """A file system for as long as a fixture lives."""
    point = folder / "mounted"
    point.mkdir()
    done = subprocess.run(["mount"] + list(arguments) + [str(point)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("cannot mount here: %s" % done.stderr.strip())
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


@pytest.fixture
def small(folder: pathlib.Path) -> t.Iterator[pathlib.Path]:
    """8 MiB."""
    yield from mounted(folder, "-t", "tmpfs", "-o", "size=8m", "none")


@pytest.fixture(params=["xfs", "btrfs"])
def sharing(request: pytest.FixtureRequest, folder: pathlib.Path) -> t.Iterator[pathlib.Path]:
    """A file system whose files can share blocks."""
    if not shutil.which("mkfs." + request.param):
        pytest.skip("no mkfs.%s here" % request.param)
    with open(folder / "device", "wb") as device:
        device.truncate(512 * MIB)
    subprocess.run(["mkfs." + request.param, "-q", str(folder / "device")], check=True, capture_output=True)
    yield from mounted(folder, "-o", "loop", str(folder / "device"))


@needs_root
@pytest.mark.parametrize("format, image", [
    ("raw", BytesImage(pattern(6 * MIB))),
    ("qcow2", BytesImage(pattern(6 * MIB))),
    ("raw", BytesImage(qcow2(pattern(4 * MIB)), format="qcow2")),
    ("qcow2", BytesImage(qcow2(pattern(4 * MIB)), format="qcow2")),
], ids=["raw", "raw to qcow2", "qcow2 to raw", "qcow2"])
def test_a_file_system_that_fills_up_is_left_as_it_was(small: pathlib.Path, format: str, image: BytesImage) -> None:
    class Other(Listener):
        """Somebody else takes the room, after it was looked at."""

        def hear(self, event: Event) -> None:
            if not (small / "other").exists():
                (small / "other").write_bytes(bytes(5 * MIB))

    driver = make_driver(small, filesystems=["tmpfs"], allow_unmounted=False)
    driver.format = format
    object.__setattr__(image.describe(), "size", None)
    job = make_job(listener=Other())
    with driver.exclusive(["v"], job), pytest.raises(NoRoom, match="full|free"):
        driver.fill_new(image, [Request("v", 6 * MIB)], "auto", job)
    assert names_in(small) == ["other"]


@needs_root
def test_too_much_is_refused_before_the_first_byte(small: pathlib.Path) -> None:
    image = BytesImage(raw_disk())
    driver = make_driver(small, filesystems=["tmpfs"], allow_unmounted=False)
    with driver.exclusive(NAMES, make_job()), pytest.raises(NoRoom, match="b needs 6 MiB"):
        driver.fill_new(image, [Request(name, SIZE) for name in NAMES], "auto", make_job())
    assert image.opened == []
    assert names_in(small) == []


def extents_of(path: str) -> t.Tuple[int, int]:
    """How many extents with data in them a file shares with others, and how many it has, as linux/fiemap.h tells."""
    fs_ioc_fiemap, flag_sync, extent_unwritten, extent_shared, room = 0xC020660B, 1, 0x800, 0x2000, 64
    answer = bytearray(struct.pack("=QQLLLL", 0, os.stat(path).st_size, flag_sync, 0, room, 0) + bytes(56 * room))
    with open(path, "rb") as file:
        fcntl.ioctl(file, fs_ioc_fiemap, answer)
    count = struct.unpack_from("=L", answer, 20)[0]
    flags = [struct.unpack_from("=L", answer, 32 + 56 * number + 40)[0] for number in range(count)]
    written = [each for each in flags if not each & extent_unwritten]
    return sum(bool(each & extent_shared) for each in written), len(written)


@needs_root
@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_files_share_blocks_where_they_can(sharing: pathlib.Path, folder: pathlib.Path, format: str) -> None:
    driver = make_driver(sharing, format=format, allow_unmounted=False)
    with driver.exclusive(NAMES, make_job()):
        filled = driver.fill_new(BytesImage(pattern(32 * MIB)), [Request(name, 64 * MIB) for name in NAMES], "clone", make_job())
    assert (filled.method, [made.how for made in filled.made]) == ("clone", ["copied", "cloned", "cloned"])
    for made in filled.made:
        shared, everything = extents_of(made.volume.id)
        assert everything and shared == everything
        with driver.open(made.volume, "r") as handle:
            assert handle.read(0, 64 * MIB) == pattern(32 * MIB).ljust(64 * MIB, b"\0")


@needs_root
def test_an_import_shares_the_files_blocks(sharing: pathlib.Path) -> None:
    (sharing / "in.raw").write_bytes(pattern(4 * MIB))
    driver = make_driver(sharing, allow_unmounted=False)
    changes = FileChanges(driver, make_job())
    with driver.exclusive(["v"], make_job()):
        incoming = changes.look_at(str(sharing / "in.raw"), "raw", REFLINK)
        changes.take_in(incoming, Place(str(sharing), "v"), Shape("raw", 6 * MIB), REFLINK)
    assert (sharing / "v").read_bytes() == pattern(4 * MIB).ljust(6 * MIB, b"\0")


@needs_root
@pytest.mark.parametrize("sharing", ["xfs"], indirect=True)
def test_a_volume_moves_to_another_file_system(sharing: pathlib.Path, one: pathlib.Path) -> None:
    driver = make_driver(one, sharing, mountpoint=str(one))
    with driver.exclusive(["v"], make_job()):
        made, = driver.fill_new(BytesImage(raw_disk()), [Request("v", 256 * MIB)], "auto", make_job()).made
        moved = FileChanges(driver, make_job()).move(made.volume, str(sharing))
    assert moved.details["allocated"] < 2 * MIB
    assert (sharing / "v").read_bytes()[:4 * MIB] == raw_disk()
    assert names_in(one) == []
