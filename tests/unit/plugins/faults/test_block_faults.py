# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong in life, done to real block devices: killed processes, a back end that is full, two runs at once."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.storage.block.driver import BlockDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import HALF_DONE, Volume
from ansible_collections.bootable.volumes.tests.unit.fakes.devices import Loops, loops, used_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import qcow2, raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import surroundings
from ansible_collections.bootable.volumes.tests.unit.fakes.web import Site, serving
from ansible_collections.bootable.volumes.tests.unit.plugins.faults.runs import Runs

SIZE = 6 * MIB
DISK = raw_disk().ljust(SIZE, b"\0")
NAMES = ["a", "b"]


@pytest.fixture
def site() -> t.Iterator[Site]:
    with serving() as site:
        site.files["/disk.raw"] = raw_disk()
        site.files["/disk.qcow2"] = qcow2(raw_disk())
        yield site


@pytest.fixture
def real(tmp_path: pathlib.Path) -> t.Iterator[Loops]:
    with loops(tmp_path) as found:
        yield found


class BlockRuns(Runs):
    """That fill two devices."""

    def __init__(self, site: Site, paths: t.Mapping[str, str], state: pathlib.Path, image: str = "/disk.raw") -> None:
        super().__init__({
            "url": site.url + image, "format": image.rpartition(".")[2], "checksum": "sha512:" + hashlib.sha512(site.files[image]).hexdigest(),
            "names": sorted(paths), "size": None, "storage": {"driver": "block", "devices": dict(paths), "state_dir": str(state)},
        })
        self.paths = paths
        self.state = state

    def driver(self) -> BlockDriver:
        return BlockDriver.from_options({key: value for key, value in self.order["storage"].items() if key != "driver"}, surroundings())

    def expect_whole(self) -> None:
        """All volumes, each with the image in it, and nothing else in the state's folder."""
        assert len(os.listdir(self.state)) == len(self.paths)
        for name in self.paths:
            volume = t.cast(Volume, self.driver().find(name))
            assert volume.state == "available"
            with self.driver().open(volume, "r") as handle:
                assert handle.read(0, SIZE) == DISK


@pytest.mark.parametrize("image, kill", [
    ("/disk.raw", ("call", "replace", 0)),
    ("/disk.raw", ("call", "replace", 1)),
    ("/disk.raw", ("event", "download", 1)),
    ("/disk.raw", ("event", "download", 3)),
    ("/disk.raw", ("call", "pwrite", 4)),
    ("/disk.raw", ("call", "fsync", 4)),
    ("/disk.raw", ("call", "replace", 2)),
    ("/disk.raw", ("call", "replace", 3)),
    ("/disk.qcow2", ("event", "inspect", 1)),
    ("/disk.qcow2", ("event", "convert", 1)),
    ("/disk.qcow2", ("command", "convert", 1)),
    ("/disk.qcow2", ("event", "copy", 2)),
], ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)))
def test_killed_and_run_again_it_ends_well(site: Site, real: Loops, tmp_path: pathlib.Path, image: str, kill: t.Sequence[t.Any]) -> None:
    runs = BlockRuns(site, {name: real.add(name, used_disk(SIZE)) for name in NAMES}, tmp_path / "state", image)
    runs.run_and_die(kill)
    assert set(runs.run().values()) <= {"copied", "adopted", "unchanged"}
    runs.expect_whole()
    assert runs.run() == dict.fromkeys(NAMES, "unchanged")


def test_two_runs_at_once(site: Site, real: Loops, tmp_path: pathlib.Path) -> None:
    runs = BlockRuns(site, {name: real.add(name, used_disk(SIZE)) for name in NAMES}, tmp_path / "state")
    results = runs.run_twice_at_once()
    assert sorted(how for result in results for how in result.values()) == ["copied"] * 2 + ["unchanged"] * 2
    runs.expect_whole()


def test_what_is_behind_the_device_becomes_full(site: Site, tmp_path: pathlib.Path, real: Loops) -> None:
    """As a thin LUN does: the device promises more than there is."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192k", "bootable-test", str(small)], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        real.folder = small
        path = real.add("a", b"")
        os.truncate(small / "a.disk", SIZE)
        real.enlarge(path, b"")
        runs = BlockRuns(site, {"a": path}, tmp_path / "state")
        with pytest.raises((BackendError, NoRoom), match="nothing was published|full"):
            runs.run()
        assert t.cast(Volume, runs.driver().find("a")).state == HALF_DONE
        subprocess.run(["mount", "-o", "remount,size=16m", str(small)], check=True)
        assert runs.run() == {"a": "adopted"}
        runs.expect_whole()
    finally:
        real.detach()
        subprocess.run(["umount", str(small)], check=True)


def test_a_device_that_something_holds(site: Site, real: Loops, tmp_path: pathlib.Path) -> None:
    """A mounted file system, one in a partition, a process, another claim: all are seen, or the kernel refuses."""
    path = real.add("a", used_disk(SIZE))
    runs = BlockRuns(site, {"a": path}, tmp_path / "state")
    with open(path, "rb") as file, subprocess.Popen(["sleep", "60"], stdin=file) as process:
        try:
            with pytest.raises(InUse, match=r"process \d+ \(sleep\)"):
                runs.run()
        finally:
            process.kill()
    claim = os.open(path, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(InUse, match="the kernel does not give it away"):
            runs.run()
    finally:
        os.close(claim)
    assert runs.run() == {"a": "copied"}
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True)
    (tmp_path / "mounted").mkdir()
    if subprocess.run(["mount", path, str(tmp_path / "mounted")], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        assert runs.driver().holders(t.cast(Volume, runs.driver().find("a"))) == ["mounted on %s" % (tmp_path / "mounted")]
        with pytest.raises(InUse, match="mounted on"):
            runs.driver().open(t.cast(Volume, runs.driver().find("a")), "w")
    finally:
        subprocess.run(["umount", str(tmp_path / "mounted")], check=True)
