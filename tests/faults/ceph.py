"""Namespaces in the lab's Ceph for one test each, and Ceph's bindings for an interpreter that has none."""

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys
import sysconfig
import time
import uuid
from pathlib import Path

import pytest

LAB = Path(os.environ.get("BOOTABLE_LAB", Path(__file__).resolve().parents[2] / ".lab"))
CONF = LAB / "etc" / "ceph" / "ceph.conf"
POOL = "scratch"


def link_bindings(folder: Path) -> bool:
    """The distribution's rados and rbd in a folder of their own; False where they are for another Python."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for module in ("rados", "rbd"):
        found = glob.glob("/usr/lib/python3/dist-packages/%s%s" % (module, suffix))
        if not found:
            return False
        (folder / Path(found[0]).name).symlink_to(found[0])
    return True


def bindings_load() -> bool:
    """Whether this interpreter has them, or has been given them."""
    return subprocess.run([sys.executable, "-c", "import rados, rbd"], check=False, stderr=subprocess.DEVNULL).returncode == 0


def reached_by(way: str, tmp_path: Path) -> list:
    """What has to lie on a module's path for it to reach Ceph in one of two ways, ``bindings`` or ``commands``; skips where there is but one."""
    folder = tmp_path / way
    folder.mkdir()
    if way == "bindings" and not bindings_load() and not link_bindings(folder):
        pytest.skip("Ceph's bindings are for another Python")
    if way == "commands" and bindings_load():
        for module in ("rados", "rbd"):  # as on a host without them
            (folder / ("%s.py" % module)).write_text("raise ImportError\n")
    return [str(folder)]


class Namespace:
    """A namespace that only one test uses."""

    def __init__(self) -> None:
        self.name = "test-%s" % uuid.uuid4().hex[:8]
        self.storage = {"driver": "rbd", "pool": POOL, "namespace": self.name, "ceph_conf": str(CONF)}
        self._run("rbd", "namespace", "create", "--namespace", self.name)

    def _run(self, command: str, *args: str) -> str:
        done = subprocess.run([command, "--conf", CONF, "--pool", POOL, *args], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return done.stdout

    def rbd(self, *args: str) -> str:
        """Run ``rbd`` in this namespace."""
        return self._run("rbd", "--namespace", self.name, *args)

    def rados(self, *args: str) -> str:
        """Run ``rados`` in it."""
        return self._run("rados", "--namespace", self.name, *args)

    def images(self) -> list:
        """What everybody sees."""
        return sorted(json.loads(self.rbd("ls", "--format", "json")))

    def trash(self) -> list:
        """The names of what is in the trash."""
        return sorted(each["name"] for each in json.loads(self.rbd("trash", "ls", "--all", "--format", "json")))

    def objects(self) -> list:
        """Objects that are there as long as an image is, by name; those of removed snapshots go a little later."""
        for dummy in range(60):
            found = sorted(name for name in self.rados("ls").split() if name not in ("rbd_directory", "rbd_info", "rbd_children", "rbd_trash"))
            if not found or any("rbd_data" not in name for name in found):
                break
            time.sleep(1)
        return found

    def content(self, name: str) -> bytes:
        """All bytes of an image."""
        done = subprocess.run(["rbd", "--conf", CONF, "--pool", POOL, "--namespace", self.name, "export", "--no-progress", "--image", name, "--path", "-"],
                              check=True, stdout=subprocess.PIPE)
        return done.stdout

    def remove_images(self) -> None:
        """All that there are, and what is in the trash."""
        for name in self.images():
            self.rbd("snap", "purge", "--no-progress", "--image", name)
            self.rbd("rm", "--no-progress", "--image", name)
        for each in json.loads(self.rbd("trash", "ls", "--all", "--format", "json")):
            self.rbd("trash", "rm", "--no-progress", "--image-id", each["id"])

    def remove(self) -> None:
        """With all that is in it."""
        self.remove_images()
        self._run("rbd", "namespace", "remove", "--namespace", self.name)
