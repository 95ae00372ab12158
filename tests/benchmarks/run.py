"""The benchmarks of scripts/bench: the collection against what people use today, on the lab, both sides in one run."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import yaml
from hosts import Hosts
from measuring import PeakMemory, Side, compare, run
from pools import imports
from servers import HALTING, boots

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = ROOT / ".venv" / "bin"
LAB = Path(os.environ.get("BOOTABLE_LAB") or ROOT / ".lab")
CLOUD, ADMIN = "lab-alpha", "lab-admin"
GIB = 1024**3
MOST_MEMORY = 150 * 1024**2


class Bench:
    """What the cases share.

    :param work: A folder on the file system under test; emptied at the end.
    :param peers: A virtual environment with the ``ansible`` package and an openstacksdk that its modules work with.
    """

    def __init__(self, work: Path, peers: Path, volumes: int, rounds: int) -> None:
        self.work = work
        self.peers = peers
        self.volumes = volumes
        self.rounds = rounds
        self.peak = 0

    def ours(self, **options: object) -> None:
        """One task of ours."""
        self._watched("volume_from_image", "ours.yml", dict(options, cloud=CLOUD))

    def _watched(self, module: str, playbook: str, options: dict[str, object]) -> int:
        """Run a playbook; the most memory that the module took, in bytes."""
        with PeakMemory(module) as memory:
            self._play(BIN, playbook, options)
        self.peak = max(self.peak, memory.bytes)
        return memory.bytes

    def peer(self, **options: object) -> None:
        """The peer's loop."""
        self._play(self.peers / "bin", "peer.yml", dict(options, cloud=CLOUD))

    @staticmethod
    def _play(path: Path, playbook: str, options: dict[str, object]) -> None:
        options = {"ansible_python_interpreter": str(path / "python"), **options}
        run(path / "ansible-playbook", "-i", "localhost,", "-c", "local", HERE / "playbooks" / playbook, "-e", json.dumps(options))

    @staticmethod
    def openstack(*arguments: str | Path, cloud: str = CLOUD) -> None:
        """The OpenStack CLI, by default as a member of the lab's first project."""
        run(BIN / "openstack", "--os-cloud", cloud, *arguments)

    @staticmethod
    def _shown(kind: str, name: str, column: str) -> str:
        """What the OpenStack CLI shows of something."""
        command = [BIN / "openstack", "--os-cloud", CLOUD, kind, "show", name, "-f", "value", "-c", column]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def no_volumes(self, prefix: str) -> None:
        """Remove the Cinder volumes whose names begin with ``prefix``."""
        listing = subprocess.run([BIN / "openstack", "--os-cloud", CLOUD, "volume", "list", "-f", "json"], capture_output=True, check=True)
        names = [volume["Name"] for volume in json.loads(listing.stdout) if volume["Name"].startswith(prefix)]
        if names:
            self._module("volume_from_image", cloud=CLOUD, names=names, state="absent")

    @staticmethod
    def _module(module: str, **options: object) -> None:
        """A task of ours that is not measured."""
        run(BIN / "ansible", "localhost", "-m", "bootable.volumes." + module, "-a", json.dumps(options),
            "-e", "ansible_python_interpreter=%s" % (BIN / "python"))

    # --- the cases ---

    def rerun(self) -> bool:
        """(a) 20 volumes are there already."""
        for prefix in ("bench-ours", "bench-peer"):
            self.no_volumes(prefix)
            self.ours(image="guest-raw", name_pattern=prefix + "-{index}", volumes=self.volumes, size="1", storage={"volume_type": "rbd"})
        good = compare(
            "(a) a rerun over %d existing volumes" % self.volumes,
            Side("one task", lambda: self.ours(
                image="guest-raw", name_pattern="bench-ours-{index}", volumes=self.volumes, size="1", storage={"volume_type": "rbd"})),
            [(Side("a loop of openstack.cloud.volume", lambda: self.peer(
                image="guest-raw", prefix="bench-peer", volumes=self.volumes, size=1, volume_type="rbd")), 1 / 10)],
            self.rounds)
        for prefix in ("bench-ours", "bench-peer"):
            self.no_volumes(prefix)
        return good

    def create(self) -> bool:
        """(b) 20 new volumes of one image."""
        good = compare(
            "(b) %d new volumes of one image" % self.volumes,
            Side("one task", lambda: self.ours(
                image="guest-raw", name_pattern="bench-ours-{index}", volumes=self.volumes, size="1", storage={"volume_type": "rbd"}),
                reset=lambda: self.no_volumes("bench-ours")),
            [(Side("a loop of openstack.cloud.volume", lambda: self.peer(
                image="guest-raw", prefix="bench-peer", volumes=self.volumes, size=1, volume_type="rbd"),
                reset=lambda: self.no_volumes("bench-peer")), 1 / 4)],
            self.rounds)
        for prefix in ("bench-ours", "bench-peer"):
            self.no_volumes(prefix)
        return good

    def _publish(self, name: str, disk_format: str, path: Path, cloud: str = CLOUD) -> None:
        self.openstack("image", "create", "--disk-format", disk_format, "--container-format", "bare", "--file", path, name, cloud=cloud)

    def _publish_in_ceph(self, name: str, disk_format: str, path: Path) -> None:
        """To the store where a cloud on Ceph has its images, so that its volumes can be clones of them."""
        self._publish(name, disk_format, path)
        self._module("image_stores", cloud=ADMIN, image=self._shown("image", name, "id"), stores=["rbd"], exclusive=True)

    def _withdraw(self, name: str, cloud: str = CLOUD) -> None:
        subprocess.run([BIN / "openstack", "--os-cloud", cloud, "image", "delete", name], capture_output=True, check=False)

    def _big_image(self, disk_format: str) -> str:
        """A GiB without a hole in it, which no side can skip, in Glance; returns its name."""
        name = "bench-%s" % disk_format
        self._withdraw(name)
        raw, image = self.work / "random", self.work / "image"
        with open(raw, "wb") as file:
            for dummy in range(256):
                file.write(os.urandom(GIB // 256))
        run("qemu-img", "convert", "-f", "raw", "-O", disk_format, raw, image)
        self._publish(name, disk_format, image)
        raw.unlink()
        image.unlink()
        return name

    def _empty(self) -> None:
        for path in self.work.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        os.sync()

    def _files(self, image: str, count: int) -> None:
        self.ours(image=image, name_pattern="bench-{index}", volumes=count,
                  storage={"driver": "file", "mountpoints": [str(self.work)], "format": "raw"})

    def download(self) -> bool:
        """(c) One GiB from Glance to a file volume, verified."""
        image = self._big_image("raw")
        shown = self._shown("image", image, "id")
        endpoint = subprocess.run([BIN / "openstack", "--os-cloud", CLOUD, "catalog", "show", "image", "-f", "json"],
                                  capture_output=True, text=True, check=True).stdout
        url = next(each["url"] for each in json.loads(endpoint)["endpoints"] if each["interface"] == "public").rstrip("/")
        token = subprocess.run([BIN / "openstack", "--os-cloud", CLOUD, "token", "issue", "-f", "value", "-c", "id"],
                               capture_output=True, text=True, check=True).stdout.strip()
        good = compare(
            "(c) a raw image of 1 GiB from Glance to a file volume, verified",
            Side("one task", lambda: self._files(image, 1), reset=self._empty),
            [(Side("openstack image save", lambda: self.openstack("image", "save", "--file", self.work / "saved", image), reset=self._empty), 1 / 2),
             (Side("curl, nothing verified", lambda: run(
                 "curl", "-sf", "-o", self.work / "curled", "-H", "X-Auth-Token: " + token, "%s/v2/images/%s/file" % (url, shown)),
                 reset=self._empty), 1.3)],
            self.rounds)
        self._withdraw(image)
        self._empty()
        return good

    def fan_out(self) -> bool:
        """(d) One GiB of qcow2 from Glance to five raw volumes."""
        image = self._big_image("qcow2")

        def peer() -> None:
            self.openstack("image", "save", "--file", self.work / "saved", image)
            for number in range(5):
                run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.work / "saved", self.work / ("converted-%d" % number))

        good = compare(
            "(d) a qcow2 image of 1 GiB from Glance to five raw file volumes",
            Side("one task", lambda: self._files(image, 5), reset=self._empty),
            [(Side("openstack image save and 5 x qemu-img convert", peer, reset=self._empty), 1 / 3)],
            self.rounds)
        self._withdraw(image)
        self._empty()
        return good

    def settings(self) -> bool:
        """(e) 40 options of a file that oslo-config-generator made."""
        sample, ours, peers = (self.work / name for name in ("cinder.conf", "ours.conf", "peers.conf"))
        run(LAB / "venv" / "bin" / "oslo-config-generator", "--namespace", "cinder", "--output-file", sample)
        defaults = re.findall(r"^#(\w+) = ", sample.read_text().partition("\n[")[0], re.MULTILINE)
        options = {name: "measured" for name in defaults[::len(defaults) // 40][:40]}

        def anew(path: Path) -> Callable[[], None]:
            def copy() -> None:
                shutil.copyfile(sample, path)

            return copy

        def one_task() -> None:
            self._watched("oslo_config", "settings.yml", {"path": str(ours), "settings": options})

        def loop() -> None:
            self._play(self.peers / "bin", "settings_peer.yml", {"path": str(peers), "settings": options})

        good = compare("(e) %d options of a cinder.conf" % len(options), Side("one task", one_task, reset=anew(ours)),
                       [(Side("a loop of community.general.ini_file", loop, reset=anew(peers)), 1 / 10)], self.rounds)
        good &= compare("(e) the same once more, with nothing to do", Side("one task", one_task),
                        [(Side("a loop of community.general.ini_file", loop), 1 / 10)], self.rounds)
        self._empty()
        return good

    # --- images in several stores ---

    def copies(self) -> bool:
        """(f) six images to one more store; the peer starts them one after the other and looks every second."""
        auth = yaml.safe_load((LAB / "clouds.yaml").read_text())["clouds"][ADMIN]["auth"]
        environment = {"OS_" + name.upper(): value for name, value in auth.items()}
        names = ["bench-stores-%d" % (number + 1) for number in range(6)]
        data = self.work / "random"
        with open(data, "wb") as file:
            for dummy in range(96):
                file.write(os.urandom(1024**2))
        for name in names:
            self._withdraw(name, ADMIN)
            self._publish(name, "raw", data, ADMIN)
        data.unlink()
        listing = subprocess.run([BIN / "openstack", "--os-cloud", ADMIN, "image", "list", "-f", "json"], capture_output=True, check=True)
        ids = [image["ID"] for image in json.loads(listing.stdout) if image["Name"] in names]

        def reset() -> None:
            self._module("image_stores", cloud=ADMIN, images=ids, stores=["file"], exclusive=True)

        def one_task() -> None:
            self._watched("image_stores", "stores.yml", {"images": ids, "stores": ["rbd"], "cloud": ADMIN})

        def loop() -> None:
            for each in ids:
                run(BIN / "glance", "image-import", "--import-method", "copy-image", "--stores", "rbd", each, **environment)
                while True:
                    shown = subprocess.run(
                        [BIN / "glance", "image-show", each], env=dict(os.environ, **environment), capture_output=True, text=True, check=True)
                    if "os_glance_import_task" not in shown.stdout:
                        break
                    time.sleep(1)

        good = compare("(f) %d images of 96 MiB from the file store to Ceph" % len(ids), Side("one task", one_task, reset=reset),
                       [(Side("a loop of glance image-import and image-show", loop, reset=reset), 1 / 2)], self.rounds)
        for name in names:
            self._withdraw(name, ADMIN)
        return good

    # --- images of volumes ---

    def images(self) -> bool:
        """(g) One GiB on Ceph becomes an image: cloned by Cinder, which the peer gets, too, or uploaded by it, as where it cannot clone."""
        source = self._big_image("raw")
        # a type that names a store keeps Cinder 29 from cloning (docs/volume-backed-images.md)
        self.openstack("volume", "type", "create", "--property", "volume_backend_name=rbd", "--property", "image_service:store_id=file",
                       "bench-upload", cloud=ADMIN)
        for volume_type, volume in [("rbd", "bench-cloned"), ("bench-upload", "bench-uploaded")]:
            self._module("volume_from_image", cloud=CLOUD, image=source, name=volume, storage={"volume_type": volume_type})
        self._withdraw(source)

        def one_task(volume: str) -> None:
            self._watched("image_from_volume", "image.yml", {"volume": volume, "image": "bench-image", "cloud": CLOUD})

        def peer() -> None:
            self.openstack("image", "create", "--volume", "bench-cloned", "bench-image")
            while self._shown("image", "bench-image", "status") != "active":
                time.sleep(1)

        def reset() -> None:
            self._module("image_from_volume", cloud=CLOUD, name="bench-image", state="absent")

        good = compare(
            "(g) a volume of 1 GiB on Ceph to an image, as a clone",
            Side("one task", lambda: one_task("bench-cloned"), reset=reset),
            [(Side("openstack image create --volume, until it is active", peer, reset=reset), 1.5),
             (Side("the same task where Cinder uploads", lambda: one_task("bench-uploaded"), reset=reset), 1 / 3)],
            self.rounds)
        reset()
        self.no_volumes("bench-")
        self.openstack("volume", "type", "delete", "bench-upload", cloud=ADMIN)
        self._empty()
        return good

    # --- hosts ---

    def _hosts(self) -> Hosts:
        return Hosts(self.work, LAB, ours=self.ours, openstack=self.openstack, published=self._publish, withdrawn=self._withdraw, rounds=self.rounds)

    def block(self) -> bool:
        """(i) One GiB from Glance to a block device."""
        return self._hosts().block()

    def ceph(self) -> bool:
        """(j) One GiB from Glance to Ceph."""
        return self._hosts().ceph()

    def ten_on_ceph(self) -> bool:
        """(k) Ten volumes of one file on Ceph."""
        return self._hosts().ten()

    # --- servers ---

    def servers(self) -> bool:
        """(l) five new servers on volumes of one image, until Nova says that they run."""
        run(ROOT / "scripts" / "lab", "up", "--with", "nova")
        good = boots(
            self.work, ours=lambda options: self._watched("boot_from_volume", "servers.yml", dict(options, cloud=CLOUD)),
            peer=lambda options: self._play(self.peers / "bin", "servers_peer.yml", dict(options, cloud=CLOUD)),
            openstack=self.openstack, published=self._publish_in_ceph, withdrawn=self._withdraw, rounds=self.rounds)
        self.no_volumes("bench-")
        self._withdraw(HALTING)
        return good

    # --- XenServer ---

    def pool(self) -> bool:
        """(h) One GiB in a chain of three VHDs into a storage repository."""
        good = imports(self.work, self._watched, self.rounds)
        self._empty()
        return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("cases", nargs="*", help="a, b, c, d, e, f, g, h, i, j, k, l; all by default")
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--peers", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--volumes", type=int, default=20, help="in (a) and (b)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    options = parser.parse_args()
    bench = Bench(options.work, options.peers, options.volumes, options.rounds)
    cases = {"a": bench.rerun, "b": bench.create, "c": bench.download, "d": bench.fan_out, "e": bench.settings, "f": bench.copies,
             "g": bench.images, "h": bench.pool, "i": bench.block, "j": bench.ceph, "k": bench.ten_on_ceph, "l": bench.servers}
    unknown = set(options.cases) - set(cases)
    if unknown:
        parser.error("no such case: %s" % ", ".join(sorted(unknown)))
    good = [cases[each]() for each in options.cases or cases]
    fits = bench.peak <= MOST_MEMORY
    print("\npeak memory of our module with its children: %d MiB (expected at most %d) %s" % (
        bench.peak // 1024**2, MOST_MEMORY // 1024**2, "ok" if fits else "MISSED"))
    return 0 if all(good) and fits else 1


if __name__ == "__main__":
    sys.exit(main())
