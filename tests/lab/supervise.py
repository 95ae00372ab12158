"""Starts, watches and stops the lab's processes: a supervisor small enough to read.

    supervise.py LAB start JSON       start one service unless it already runs as described; prints what changed
    supervise.py LAB stop [NAME...]   stop them, or all, the youngest first
    supervise.py LAB status [NAME...] a table of them, or of all; exit code 1 if one is down

A service is described by a JSON object:

    name     also the name of its log, LAB/log/NAME.log
    argv     the command, which must stay in the foreground
    env      variables added to the environment (optional)
    port     the TCP port on 127.0.0.1 that answers once it is ready (optional)
    url      an address that answers without a server error once it is ready (optional)
    command  a command that succeeds once it is ready (optional)
    watch    files: when one changes the service is restarted (optional)
    timeout  seconds it may take to get ready (default 60)

What was started is remembered in LAB/run/NAME.json. A process is known by its id, its start time and the boot it
belongs to, so a stale record never points at a stranger. It leads a session of its own and carries
BOOTABLE_LAB_PROCESS in its environment: stopping ends the session and all that carry the mark.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MARK = "BOOTABLE_LAB_PROCESS"
PATIENCE = 20.0  # seconds a process gets between SIGTERM and SIGKILL


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def fields(pid: int) -> list[str]:
    """What /proc/PID/stat says from the state on; nothing if the process is gone or a zombie."""
    try:
        found = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [] if found[0] in "ZX" else found


def start_time(pid: int) -> str | None:
    """Clock ticks after boot at which the process began; None if it is gone."""
    found = fields(pid)
    return found[19] if found else None


def environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def serves(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


@dataclass
class Service:
    lab: Path
    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    port: int | None = None
    url: str | None = None
    command: list[str] | None = None
    watch: list[str] = field(default_factory=list)
    timeout: float = 60.0
    pid: int = 0
    began: str = ""
    boot: str = ""
    fingerprint: str = ""

    @property
    def record(self) -> Path:
        return self.lab / "run" / f"{self.name}.json"

    @property
    def log(self) -> Path:
        return self.lab / "log" / f"{self.name}.log"

    @property
    def mark(self) -> str:
        return f"{self.lab}:{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.env, MARK: self.mark}

    @property
    def running(self) -> bool:
        return bool(self.pid) and self.boot == boot_id() and start_time(self.pid) == self.began

    def processes(self) -> list[int]:
        """All live processes of the service: its session, and those that left it but still carry the mark."""
        mark = f"{MARK}={self.mark}".encode()
        leader = start_time(self.pid) if self.pid else None
        session = str(self.pid) if self.pid and self.boot == boot_id() and leader in (None, self.began) else None
        return [
            pid
            for pid in (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
            if (found := fields(pid)) and (found[3] == session or mark in environment_of(pid))
        ]

    @property
    def ready(self) -> bool:
        """Runs, and answers wherever it should."""
        if not self.running or (self.port and not answers(self.port)) or (self.url and not serves(self.url)):
            return False
        if not self.command:
            return True
        done = subprocess.run(self.command, env=self.environment, capture_output=True, check=False)
        return done.returncode == 0

    def wanted_fingerprint(self) -> str:
        """Changes with the command, its environment and the files it reads."""
        digest = hashlib.sha256(json.dumps([self.argv, self.env]).encode())
        for path in self.watch:
            digest.update(Path(path).read_bytes())
        return digest.hexdigest()

    def start(self) -> None:
        if self.port and answers(self.port):
            sys.exit(f"{self.name}: something else listens on port {self.port} of 127.0.0.1 (BOOTABLE_LAB_PORTS moves the lab)")
        self.record.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.argv, env=self.environment, cwd=self.lab, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )
        self.pid, self.began, self.boot = process.pid, start_time(process.pid) or "", boot_id()
        self.fingerprint = self.wanted_fingerprint()
        saved = {key: value for key, value in vars(self).items() if key != "lab"}
        self.record.write_text(json.dumps(saved, indent=1), encoding="utf-8")
        self.wait(process)

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.timeout
        while True:
            if process.poll() is not None:
                self.fail(f"ended with exit code {process.returncode}")
            if self.ready:
                return
            if time.monotonic() > deadline:
                self.fail(f"was not ready after {self.timeout:.0f} s")
            time.sleep(0.1)

    def fail(self, what: str) -> None:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
        sys.exit("\n".join([f"{self.name} {what}. The end of {self.log}:", *lines]))

    def stop(self) -> bool:
        """Ends the process and all that it left behind; True if there was anything to end."""
        if not self.processes():
            return False
        send([self.pid] if self.running else self.processes(), signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < deadline:
            if not self.running:
                send(left, signal.SIGTERM)
            time.sleep(0.1)
        send(self.processes(), signal.SIGKILL)
        return True


def load(lab: Path) -> list[Service]:
    """All services ever started here, the oldest first."""
    records = (json.loads(path.read_text(encoding="utf-8")) for path in (lab / "run").glob("*.json"))
    return sorted((Service(lab=lab, **record) for record in records), key=lambda service: int(service.began or 0))


def start(lab: Path, description: dict[str, Any]) -> int:
    for key in ("argv", "command"):
        if description.get(key):
            description[key] = [str(word) for word in description[key]]
    description["env"] = {name: str(value) for name, value in description.get("env", {}).items()}
    service = Service(lab=lab, **description)
    if service.record.exists():
        known = json.loads(service.record.read_text(encoding="utf-8"))
        for key in ("pid", "began", "boot", "fingerprint"):
            setattr(service, key, known[key])
        if service.fingerprint == service.wanted_fingerprint() and service.ready:
            return 0
    verb = "restarted" if service.stop() else "started"
    before = time.monotonic()
    service.start()
    print(f"{verb} {service.name} as process {service.pid}, ready after {time.monotonic() - before:.1f} s")
    return 0


def stop(lab: Path, names: list[str]) -> int:
    for service in reversed(load(lab)):
        if (not names or service.name in names) and service.stop():
            print(f"stopped {service.name}")
    return 0


def status(lab: Path, names: list[str]) -> int:
    services = [service for service in load(lab) if not names or service.name in names]
    missing = sorted(set(names).difference(service.name for service in services))
    if missing or not services:
        print(f"never started in {lab}: {', '.join(missing) or 'anything'}")
        return 1
    down = 0
    row = "{:<18} {:>6} {:>8}  {:<10} {}"
    print(row.format("SERVICE", "PORT", "PID", "STATE", "LOG"))
    for service in services:
        state = "up" if service.ready else "not ready" if service.running else "down"
        down += state != "up"
        print(row.format(service.name, service.port or "-", service.pid if service.running else "-", state, service.log))
    return 1 if down else 0


def main() -> int:
    match sys.argv[1:]:
        case [lab, "start", description]:
            return start(Path(lab).resolve(), json.loads(description))
        case [lab, "stop", *names]:
            return stop(Path(lab).resolve(), names)
        case [lab, "status", *names]:
            return status(Path(lab).resolve(), names)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
