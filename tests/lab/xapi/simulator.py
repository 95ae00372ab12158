"""The whole of it: a pool, its disks and guests, and a server for each host."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import tls as certificates
from .disks import BLOCK, Disks
from .guests import InstantGuests, QemuGuests
from .pool import Pool
from .server import HostServer
from .sessions import User

USER = "root"


class Simulator:
    """Listens on the loopback interface from `start` to `stop`, or for the length of a `with`.

    :ivar pool: The inside: objects, faults, the log of the calls.
    :ivar address: The master's, with its scheme: https://127.0.0.1:19041. `addresses` has every host's.
    :ivar ca_file: The authority to trust; None without TLS.
    """

    def __init__(
        self, folder: Path, *, tls: bool = False, ports: tuple[int, ...] = (0, 0), password: str = "xenroot",
        guests: Callable[[Disks], InstantGuests | QemuGuests] = InstantGuests,
    ) -> None:
        self.folder = folder
        self.user, self.password = USER, password
        self.disks = Disks(folder / "disks")
        self.guests = guests(self.disks)
        users = {USER: User(password, "pool-admin"), "operator": User("operator", "vm-operator"), "reader": User("reader", "read-only")}
        self.pool = Pool(self.disks, self.guests, users=users)
        made = certificates.make(folder / "tls") if tls else None
        self.ca_file = made.authority if made else None
        self.servers = [
            HostServer(self.pool, host.uuid, self.disks, port=port, context=made.context() if made else None, more=self.command)
            for host, port in zip(self.pool.hosts(), ports, strict=True)
        ]
        self.addresses = [f"{server.scheme}://{server.address}" for server in self.servers]
        self.address = self.addresses[0]
        self._threads: list[threading.Thread] = []

    def start(self) -> Simulator:
        """From now on it answers."""
        for server in self.servers:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        """Guests end, connections end, disks go."""
        self.pool.close()
        for server in self.servers:
            server.stop()
        for thread in self._threads:
            thread.join()
        self.guests.close()
        self.disks.close()
        shutil.rmtree(self.folder / "disks", ignore_errors=True)

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    # --- for tests ---

    def call(self, method: str, *params: Any) -> Any:
        """One call on the master, in a session of its own. Raises XapiError."""
        host = self.pool.master
        session = self.pool.call(host, None, "session.login_with_password", [self.user, self.password, "1.0", "tests"])
        try:
            return self.pool.call(host, session, method, list(params))
        finally:
            self.pool.call(host, session, "session.logout", [])

    def disk_bytes(self, vdi: str) -> bytes:
        """The whole content of a VDI (uuid)."""
        with self.disks.freeze(vdi):
            return self.disks.read(vdi, 0, self.disks.size(vdi))

    def write_disk(self, vdi: str, offset: int, data: bytes) -> None:
        """As a guest would write."""
        self.disks.write(vdi, offset, data)

    def sha256(self, vdi: str) -> str:
        """Of the whole content of a VDI (uuid)."""
        digest = hashlib.sha256()
        with self.disks.freeze(vdi):
            for offset in range(0, self.disks.size(vdi), BLOCK):
                digest.update(self.disks.read(vdi, offset, min(BLOCK, self.disks.size(vdi) - offset)))
        return digest.hexdigest()

    def command(self, request: dict[str, Any]) -> Any:
        """What POST /simulator asks: for bytes and consoles here, for the rest see faults.py. Raises ValueError."""
        match request:
            case {"do": "sha256", "vdi": str(vdi)}:
                return self.sha256(vdi)
            case {"do": "console", "vm": str(vm)}:
                return self.guests.console(vm) if isinstance(self.guests, QemuGuests) else ""
            case _:
                return self.pool.faults.command(request)


def ask(url: str, request: dict[str, Any]) -> Any:
    """POST /simulator, from another process. Raises ValueError."""
    sent = urllib.request.Request(url, json.dumps(request).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(sent, timeout=60) as reply:
        answer = json.load(reply)
    if "error" in answer:
        raise ValueError(answer["error"])
    return answer["result"]
