"""Cases (i), (j) and (k): an image onto a block device and onto Ceph, against the commands that operators use for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measuring import Side, compare, run

MIB = 1024**2
SIZE = 1024 * MIB
POOL = "scratch"

# Loop devices are root's to make, and then this user's to write to.
AS_ROOT = [] if os.geteuid() == 0 else ["sudo"]

# What is written on both sides is synced, and read from memory.
BLOCK = "bs=4M"


class Hosts:
    """The cases.

    :param work: An empty folder on a file system with room for 5 GiB.
    :param lab: The lab's folder.
    :param ours: One task of ours, with the options of ``volume_from_image``, ``volumes`` for its ``count``.
    :param openstack: The OpenStack CLI.
    :param published: Puts a file into Glance, by name, format and path.
    """

    def __init__(self, work: Path, lab: Path, *, ours: Callable[..., None], openstack: Callable[..., None],
                 published: Callable[[str, str, Path], None], withdrawn: Callable[[str], None], rounds: int) -> None:
        self._work = work
        self._ours = ours
        self._openstack = openstack
        self._published = published
        self._withdrawn = withdrawn
        self._rounds = rounds
        self._raw = work / "half.raw"
        self._ceph_conf = lab / "etc" / "ceph" / "ceph.conf"
        self._python = lab / "venv" / "bin" / "python"
        self._rbd_command = ("rbd", "--conf", self._ceph_conf, "--pool", POOL)

    def _half_of_it_holes(self) -> None:
        """A GiB of which every other 4 MiB are empty."""
        with open(self._raw, "wb") as file:
            file.truncate(SIZE)
            for offset in range(0, SIZE, 8 * MIB):
                file.seek(offset)
                file.write(os.urandom(4 * MIB))

    @contextmanager
    def _image(self, disk_format: str) -> Iterator[str]:
        """That GiB in Glance; its name."""
        name = "bench-half-%s" % disk_format
        self._withdrawn(name)
        self._half_of_it_holes()
        image = self._raw
        if disk_format != "raw":
            image = self._work / "half.image"
            run("qemu-img", "convert", "-f", "raw", "-O", disk_format, self._raw, image)
        self._published(name, disk_format, image)
        try:
            yield name
        finally:
            self._withdrawn(name)
            for path in (image, self._raw):
                path.unlink(missing_ok=True)

    # --- a block device ---

    @contextmanager
    def _device(self) -> Iterator[str]:
        backing = self._work / "device"
        with open(backing, "wb") as file:
            file.truncate(SIZE)
        device = subprocess.run([*AS_ROOT, "losetup", "--find", "--show", backing], capture_output=True, text=True, check=True).stdout.strip()
        try:
            run(*AS_ROOT, "chown", str(os.geteuid()), device)
            yield device
        finally:
            run(*AS_ROOT, "chown", "root", device)
            run(*AS_ROOT, "losetup", "--detach", device)
            backing.unlink()

    def block(self) -> bool:
        """(i) one GiB from Glance onto a block device."""
        good = True
        saved, state, allocated = (self._work / name for name in ("saved", "state", "allocated"))
        with self._device() as device:
            def reset() -> None:
                run("blkdiscard", device)
                shutil.rmtree(state, ignore_errors=True)
                saved.unlink(missing_ok=True)
                os.sync()

            def one_task(image: str) -> None:
                self._ours(image=image, name_pattern="bench-{index}", volumes=1,
                           storage={"driver": "block", "devices": {"bench-1": device}, "state_dir": str(state)})

            def dd(source: Path) -> None:
                run("dd", "if=%s" % source, "of=%s" % device, BLOCK, "conv=fsync")

            def save_and_dd(image: str) -> None:
                self._openstack("image", "save", "--file", saved, image)
                dd(saved)

            def save_and_convert(image: str) -> None:
                self._openstack("image", "save", "--file", saved, image)
                run("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", saved, device)
                run("sync", device)

            with self._image("qcow2") as image:
                good &= compare("(i) a qcow2 image of 1 GiB, half of it holes, from Glance to a block device",
                                Side("one task", lambda: one_task(image), reset=reset),
                                [(Side("openstack image save and qemu-img convert", lambda: save_and_convert(image), reset=reset), 1 / 2)], self._rounds)
            with self._image("raw") as image:
                with open(allocated, "wb") as file:
                    for dummy in range(SIZE // 2 // (4 * MIB)):
                        file.write(os.urandom(4 * MIB))
                good &= compare("(i) a raw image of 1 GiB, half of it holes, from Glance to a block device",
                                Side("one task", lambda: one_task(image), reset=reset),
                                [(Side("openstack image save and dd", lambda: save_and_dd(image), reset=reset), 1 / 2),
                                 (Side("dd of what is allocated, from memory", lambda: dd(allocated), reset=reset), 1.25)], self._rounds)
            reset()
            allocated.unlink()
        return good

    # --- Ceph ---

    def _rbd(self, *arguments: str | Path) -> None:
        run(*self._rbd_command, *arguments)

    def _no_images(self) -> None:
        listed = subprocess.run([str(each) for each in (*self._rbd_command, "ls")], capture_output=True, text=True, check=True).stdout.split()
        for name in listed:
            if name.startswith("bench-"):
                self._rbd("rm", "--no-progress", name)

    def _task(self, **options: object) -> None:
        """One task of ours, in a Python that has Ceph's bindings."""
        self._ours(name_pattern="bench-{index}", storage={"driver": "rbd", "pool": POOL, "ceph_conf": str(self._ceph_conf)},
                   ansible_python_interpreter=str(self._python), **options)

    def ceph(self) -> bool:
        """(j) one GiB from Glance onto Ceph."""
        saved = self._work / "saved"

        def reset() -> None:
            self._no_images()
            saved.unlink(missing_ok=True)
            os.sync()

        with self._image("raw") as image:
            def save_and_import() -> None:
                self._openstack("image", "save", "--file", saved, image)
                self._rbd("import", "--no-progress", saved, "bench-peer")

            good = compare("(j) a raw image of 1 GiB, half of it holes, from Glance to Ceph",
                           Side("one task", lambda: self._task(image=image, volumes=1), reset=reset),
                           [(Side("openstack image save and rbd import", save_and_import, reset=reset), 1 / 2)], self._rounds)
            reset()
        return good

    def ten(self) -> bool:
        """(k) ten volumes of one file on Ceph."""
        self._half_of_it_holes()

        def imports() -> None:
            for number in range(10):
                self._rbd("import", "--no-progress", self._raw, "bench-peer-%d" % number)

        good = compare("(k) ten volumes of a raw file of 1 GiB, half of it holes, on Ceph",
                       Side("one task", lambda: self._task(image_file=str(self._raw), image_format="raw", volumes=10), reset=self._no_images),
                       [(Side("10 x rbd import", imports, reset=self._no_images), 1 / 8)], self._rounds)
        self._no_images()
        self._raw.unlink()
        return good
