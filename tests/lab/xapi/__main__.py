"""The simulator by itself, with guests in QEMU: python -m lab.xapi FOLDER --port 19041

Listens on 127.0.0.1: the master on the port, the other host on the one after it. In the folder are env.sh (sourced, the
modules find the pool) and xapi.yml (the same as variables, and where faults are asked for), written once it answers.
Whatever else is there is gone when it ends: a pool begins afresh each time.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import threading
from pathlib import Path

from .disks import Disks
from .guests import QemuGuests
from .simulator import Simulator

ENVIRONMENT = """\
# Sourced: the collection's modules for XenServer then find the simulated pool. Certificates: ca_path={ca_path}
export XENSERVER_HOST={hostname}
export XENSERVER_USER={username}
export XENSERVER_PASSWORD={password}
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where its state lies")
    parser.add_argument("--port", type=int, default=0, help="the master's port (default: two that are free)")
    parser.add_argument("--plain", action="store_true", help="HTTP instead of HTTPS")
    return parser.parse_args()


def write(path: Path, text: str) -> None:
    """For our own eyes: there is a password in it."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def announce(simulator: Simulator) -> None:
    """What clients need to know. The file that is written last tells that it is ready."""
    access = {
        "hostname": simulator.address, "username": simulator.user, "password": simulator.password,
        "ca_path": str(simulator.ca_file or ""), "admin_url": f"{simulator.address}/simulator", "hosts": simulator.addresses,
    }
    write(simulator.folder / "env.sh", ENVIRONMENT.format(**access))
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in access.items()]
    write(simulator.folder / "xapi.yml", "---\n# How to reach the simulated pool.\n" + "".join(lines))


def main() -> None:
    options = arguments()
    folder = options.folder.resolve()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    for name in ("env.sh", "xapi.yml"):
        (folder / name).unlink(missing_ok=True)
    ports = (options.port, options.port + 1) if options.port else (0, 0)
    simulator = Simulator(
        folder, tls=not options.plain, ports=ports, password=secrets.token_hex(12), guests=lambda disks: guests(disks, folder))
    simulator.pool.faults.login_delay = 5.0  # what a wrong password costs with XAPI
    with simulator:
        announce(simulator)
        print(f"the pool answers at {' and '.join(simulator.addresses)}", flush=True)
        stopped.wait()
    for name in ("env.sh", "xapi.yml"):
        (folder / name).unlink(missing_ok=True)


def guests(disks: Disks, folder: Path) -> QemuGuests:
    """What their consoles say stays, to be looked at."""
    return QemuGuests(disks, folder / "guests")


if __name__ == "__main__":
    main()
