"""Case (h): a chain of VHDs into a storage repository of a simulated pool, against what a shell can do with the tools there are."""

from __future__ import annotations

import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import XenAPI
import yaml
from measuring import Side, compare, run

ROOT = Path(__file__).resolve().parent.parent.parent
MIB = 1024**2
BLOCK = 2 * MIB
SIZE = 1024 * MIB

# Blocks of each of the three layers, the oldest first; half of the disk is empty.
LAYERS = (range(0, 320, 2), range(384, 448), range(448, 480))

# Sent for each byte that is allocated: each block has a bitmap, and each layer a head and a foot.
MOST_SENT = 1.03
MOST_MEMORY = 100 * MIB


class Counter:
    """Passes bytes on to a server and counts those on their way there, while a ``with`` runs."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._target = (parts.hostname or "", parts.port or 0)
        self.sent = 0

    def __enter__(self) -> Counter:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.close()

    @property
    def address(self) -> str:
        """Where it listens."""
        return "http://127.0.0.1:%d" % self._listener.getsockname()[1]

    def _accept(self) -> None:
        while True:
            try:
                client, dummy = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            for source, sink, counted in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(source, sink, counted), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(MIB):
                if counted:
                    self.sent += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def chain(folder: Path) -> tuple[Path, Path]:
    """The archive of the chain, and the same disk as one VHD, which is all that qemu-img can read."""
    sys.path.insert(0, str(ROOT / ".cache" / "collections"))
    from ansible_collections.bootable.volumes.tests.unit.fakes import vhds

    dice = random.Random(1)
    layers = [{number * BLOCK: dice.randbytes(BLOCK) for number in numbers} for numbers in LAYERS]
    archive, flat, raw = folder / "chain.tar", folder / "flat.vhd", folder / "raw"
    archive.write_bytes(vhds.archive(vhds.chain(SIZE, *layers)))
    with open(raw, "wb") as file:
        file.truncate(SIZE)
        for writes in layers:
            for offset, data in writes.items():
                file.seek(offset)
                file.write(data)
    run("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "force_size=on", raw, flat)
    raw.unlink()
    return archive, flat


class Pool:
    """A simulated pool in a process of its own, for the length of a ``with``; and what is done to it that is not measured."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        access = folder / "xapi.yml"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.xapi", folder, "--plain"], env=dict(os.environ, PYTHONPATH=str(ROOT / "tests")), stdout=subprocess.DEVNULL)
        for dummy in range(100):
            if access.exists():
                break
            time.sleep(0.1)
        self.access: dict[str, str] = yaml.safe_load(access.read_text())
        session = XenAPI.Session(self.access["hostname"])
        session.xenapi.login_with_password(self.access["username"], self.access["password"], "1.0", "bench")
        self.session_id = session._session
        self.api = session.xenapi

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    def storage(self, address: str) -> dict[str, str]:
        """The option of our modules."""
        return {"driver": "xen", "hostname": address, "username": self.access["username"], "password": self.access["password"]}

    def new_disk(self) -> str:
        """As an operator makes one; its reference."""
        return self.api.VDI.create({
            "name_label": "bench-shell", "SR": self.api.pool.get_default_SR(self.api.pool.get_all()[0]), "virtual_size": str(SIZE), "type": "user",
            "sharable": False, "read_only": False, "other_config": {}})

    def _disks(self) -> dict[str, str]:
        return {ref: record["uuid"] for ref, record in self.api.VDI.get_all_records().items() if record["name_label"].startswith("bench-")}

    def empty(self) -> None:
        """All disks of the bench go."""
        for ref in self._disks():
            self.api.VDI.destroy(ref)

    def content(self) -> str:
        """The SHA-256 of the only disk there is."""
        (uuid,) = self._disks().values()
        request = json.dumps({"do": "sha256", "vdi": uuid}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.access["admin_url"], request), timeout=120) as answer:
            return str(json.load(answer)["result"])


def imports(work: Path, watched: Callable[[str, str, dict[str, object]], int], rounds: int) -> bool:
    """Run the case.

    :param watched: Runs a playbook for a module, and returns the most memory that it took, in bytes.
    """
    archive, flat = chain(work)
    # as Glance, or a publisher, tells it; it is verified on the way
    with open(archive, "rb") as file:
        checksum = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    peak = 0
    with Pool(work / "pool") as pool:
        def one_task(address: str = pool.access["hostname"]) -> None:
            nonlocal peak
            options = {"archive": str(archive), "checksum": checksum, "storage": pool.storage(address)}
            peak = max(peak, watched("volume_from_image", "pool.yml", options))

        def shell() -> None:
            """What an operator would write: the disk as raw, a VDI for it, and all of it sent by curl."""
            raw = work / "shell.raw"
            run("qemu-img", "convert", "-f", "vpc", "-O", "raw", flat, raw)
            query = urlencode({"session_id": pool.session_id, "vdi": pool.new_disk(), "format": "raw"})
            run("curl", "-sf", "-T", raw, "%s/import_raw_vdi?%s" % (pool.access["hostname"], query))
            raw.unlink()

        shell()
        wanted = pool.content()
        pool.empty()
        with Counter(pool.access["hostname"]) as counter:
            one_task(counter.address)
        if pool.content() != wanted:
            raise SystemExit("the two sides make different disks")
        good = compare("(h) a chain of three VHDs of a disk of 1 GiB, half of it empty, into a storage repository",
                       Side("one task", one_task, reset=pool.empty),
                       [(Side("qemu-img convert and curl, of one flat VHD", shell, reset=pool.empty), 1 / 2)], rounds)
    archive.unlink()
    flat.unlink()
    sent = counter.sent / (sum(len(numbers) for numbers in LAYERS) * BLOCK)
    print("  sent %.4f of the bytes that are allocated (expected at most %.2f) %s" % (sent, MOST_SENT, "ok" if sent <= MOST_SENT else "MISSED"))
    print("  peak memory %d MiB (expected at most %d) %s" % (peak // MIB, MOST_MEMORY // MIB, "ok" if peak <= MOST_MEMORY else "MISSED"))
    return good and sent <= MOST_SENT and peak <= MOST_MEMORY
