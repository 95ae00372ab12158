"""The lvm driver on a real device mapper: the contract of volume drivers, and what goes wrong in life.

Needs root, device mapper, LVM's commands and loop devices, and is skipped without; it needs nothing of the lab.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".cache" / "collections"))

TESTS = "ansible_collections.bootable.volumes.tests.unit."
UTILS = "ansible_collections.bootable.volumes.plugins.module_utils."
contract = importlib.import_module(TESTS + "plugins.module_utils.storage.contract")
disks = importlib.import_module(TESTS + "fakes.disks")
host = importlib.import_module(TESTS + "fakes.host")
web = importlib.import_module(TESTS + "fakes.web")
runs = importlib.import_module(TESTS + "plugins.faults.runs")
errors = importlib.import_module(UTILS + "core.errors")
drivers = importlib.import_module(UTILS + "storage.driver")
driver_lvm = importlib.import_module(UTILS + "storage.lvm.driver")

MIB = 1 << 20
SIZE = 12 * MIB
DISK = disks.raw_disk().ljust(SIZE, b"\0")
NAMES = ["a", "b", "c"]


def call(*command: str) -> str:
    """A command that has to succeed; what it printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def rubbish(length: int) -> bytes:
    """Bytes without a hole."""
    return random.Random(length).randbytes(length)


def has_device_mapper() -> bool:
    """Whether the kernel has it; that its device is there says nothing."""
    return subprocess.run(["dmsetup", "targets"], capture_output=True, check=False).returncode == 0


class Group:
    """A volume group on a loop device, whose free extents are full of rubbish."""

    def __init__(self, folder: Path, size: int = 240 * MIB) -> None:
        self.name = "bootable-%s" % uuid.uuid4().hex[:8]
        self.disk = folder / "disk"
        with open(self.disk, "wb") as file:
            file.write(bytes(MIB))
            for dummy in range(63):
                file.write(b"\xa5" * MIB)
            file.truncate(size)
        self.device = call("losetup", "--find", "--show", str(self.disk)).strip()
        call("vgcreate", "--yes", self.name, self.device)

    def add_pool(self, *how: str, size: str = "128m") -> None:
        """A thin pool called ``pool``."""
        call("lvcreate", "--yes", "--type", "thin-pool", "--name", "pool", "--size", size, *how, self.name)

    def volumes(self) -> list:
        """Names of all logical volumes but the pool."""
        return sorted(name for name in call("lvs", "--noheadings", "--options", "lv_name", self.name).split() if name != "pool")

    def clear(self) -> None:
        """Remove everything in it; what was written stays in its extents."""
        subprocess.run(["lvremove", "--force", "--yes", self.name], capture_output=True, check=False)

    def remove(self) -> None:
        subprocess.run(["vgremove", "--force", "--force", "--yes", self.name], capture_output=True, check=False)
        subprocess.run(["pvremove", "--force", "--force", "--yes", self.device], capture_output=True, check=False)
        call("losetup", "--detach", self.device)


@pytest.fixture(scope="module")
def whole_group(tmp_path_factory):
    if os.getuid() != 0 or not shutil.which("lvcreate") or not has_device_mapper():
        pytest.skip("needs root, device mapper and LVM")
    found = Group(tmp_path_factory.mktemp("group"))
    yield found
    found.remove()


@pytest.fixture
def group(whole_group):
    yield whole_group
    whole_group.clear()


class TestThick(contract.DriverContract):
    pool = None

    @pytest.fixture
    def again(self, group):
        return lambda: driver_lvm.LvmDriver.from_options({"vg": group.name, "thin_pool": self.pool}, host.surroundings())

    @pytest.fixture
    def driver(self, again):
        return again()

    @pytest.fixture(autouse=True)
    def nothing_is_left_open(self, group):
        yield
        assert "o" not in {line.strip()[5] for line in call("lvs", "--noheadings", "--options", "lv_attr", group.name).splitlines() if line.strip()[0] != "t"}


class TestThin(TestThick):
    pool = "pool"

    @pytest.fixture
    def group(self, group):
        group.add_pool()
        return group


class TestThinInAPoolThatNeitherZeroesNorDiscards(TestThin):
    @pytest.fixture
    def group(self, group):
        group.add_pool("--zero", "n", "--discards", "ignore", "--chunksize", "1m")
        return group


# --- runs ---


@pytest.fixture
def site():
    with web.serving() as found:
        found.files["/disk.raw"] = disks.raw_disk()
        yield found


@pytest.fixture(params=[None, "pool"], ids=["thick", "thin"])
def task(request, group, site):
    """One task that makes three volumes."""
    if request.param:
        group.add_pool()
    storage = {"driver": "lvm", "vg": group.name, **({"thin_pool": request.param} if request.param else {})}
    return runs.Runs({
        "url": site.url + "/disk.raw", "format": "raw", "checksum": "sha256:" + hashlib.sha256(site.files["/disk.raw"]).hexdigest(),
        "names": NAMES, "size": SIZE, "storage": storage})


def driver_of(task):
    """Another driver on the same storage."""
    return driver_lvm.LvmDriver.from_options({key: value for key, value in task.order["storage"].items() if key != "driver"}, host.surroundings())


def expect_whole(task, group, size=SIZE):
    """All volumes, each with the image in it, and no other."""
    assert group.volumes() == NAMES
    driver = driver_of(task)
    for name in NAMES:
        volume = driver.find(name)
        assert (volume.state, volume.size) == ("available", size)
        with driver.open(volume, "r") as handle:
            assert handle.read(0, size) == DISK.ljust(size, b"\0")


@pytest.mark.parametrize("kill", [
    ("command", "lvcreate", 1), ("command", "lvcreate", 2), ("event", "download", 2), ("call", "pwrite", 2), ("call", "fsync", 0),
    ("command", "lvchange", 1), ("command", "lvchange", 2),
], ids=lambda kill: "-".join(map(str, kill)))
def test_killed_and_run_again_it_ends_well(task, group, kill):
    process = task.start(kill)
    process.communicate(timeout=600)
    assert set(task.run()) == set(NAMES)
    expect_whole(task, group)
    assert task.run() == dict.fromkeys(NAMES, "unchanged")


@pytest.mark.parametrize("kill", [("command", "lvchange", 1), ("command", "lvextend", 1), ("command", "lvextend", 2), ("command", "lvchange", 2)],
                         ids=lambda kill: "-".join(map(str, kill)))
def test_killed_while_they_grow(task, group, kill):
    task.run()
    task.order["size"] = SIZE + 8 * MIB
    task.start(kill).communicate(timeout=600)
    task.run()
    expect_whole(task, group, SIZE + 8 * MIB)


def test_two_runs_at_once(task, group):
    results = task.run_twice_at_once()
    assert sorted(how for result in results for how in result.values() if how == "unchanged") == ["unchanged"] * 3
    expect_whole(task, group)


def test_a_thin_pool_that_becomes_full(group, site):
    """Nothing is published; with room in the pool the next run brings it to its end."""
    group.add_pool(size="8m")
    call("lvchange", "--errorwhenfull", "y", "%s/pool" % group.name)  # lvcreate of Debian 12 does not take it
    site.files["/disk.raw"] = rubbish(16 * MIB)
    source = {"url": site.url + "/disk.raw", "format": "raw", "checksum": "sha256:" + hashlib.sha256(site.files["/disk.raw"]).hexdigest()}
    task = runs.Runs(dict(source, names=["a"], size=16 * MIB, storage={"driver": "lvm", "vg": group.name, "thin_pool": "pool"}))
    with pytest.raises(errors.NoRoom, match="the thin pool .* is 8 MiB"):
        task.run()
    assert group.volumes() == []
    driver = driver_of(task)
    with pytest.raises(errors.NoRoom, match="the thin pool .* became full"):
        driver.fill_new(host.BytesImage(site.files["/disk.raw"]), [drivers.Request("a", 16 * MIB)], "auto", host.make_job())
    assert group.volumes() == []
    call("lvextend", "--size", "64m", "%s/pool" % group.name)
    assert task.run() == {"a": "copied"}
    with driver.open(driver.find("a"), "r") as handle:
        assert handle.read(0, 16 * MIB) == site.files["/disk.raw"]


def test_a_mounted_volume_and_one_in_use(task, group, tmp_path):
    task.run()
    driver = driver_of(task)
    path = driver.find("a").details["path"]
    call("mkfs.ext4", "-q", "-F", path)
    (tmp_path / "mounted").mkdir()
    call("mount", path, str(tmp_path / "mounted"))
    try:
        assert driver.holders(driver.find("a")) == ["mounted on %s" % (tmp_path / "mounted")]
        for attempt in (lambda: driver.open(driver.find("a"), "w"), lambda: driver.remove(driver.find("a"), host.make_job())):
            with pytest.raises(errors.InUse, match="mounted on"):
                attempt()
    finally:
        call("umount", str(tmp_path / "mounted"))
    call("dmsetup", "create", group.name + "-user", "--table", "0 8 linear %s 0" % path)
    try:
        assert any("%s-user" % group.name in holder for holder in driver.holders(driver.find("a")))
    finally:
        call("dmsetup", "remove", "--retry", group.name + "-user")
    call("lvcreate", "--yes", "--snapshot", "--name", "a-backup", "--size", "8m", "%s/a" % group.name)
    assert "its snapshot a-backup" in driver.holders(driver.find("a"))


def test_a_thin_refill_gives_back_what_it_does_not_need(group):
    group.add_pool()
    driver = driver_lvm.LvmDriver.from_options({"vg": group.name, "thin_pool": "pool"}, host.surroundings())
    full, small = host.BytesImage(rubbish(64 * MIB)), host.BytesImage(disks.raw_disk())
    driver.fill_new(full, [drivers.Request("a", 64 * MIB)], "auto", host.make_job())
    assert float(call("lvs", "--noheadings", "--options", "data_percent", "%s/a" % group.name)) > 99
    driver.refill(small, driver.find("a"), host.make_job())
    assert float(call("lvs", "--noheadings", "--options", "data_percent", "%s/a" % group.name)) < 5
    with driver.open(driver.find("a"), "r") as handle:
        assert handle.read(0, 64 * MIB) == disks.raw_disk().ljust(64 * MIB, b"\0")
