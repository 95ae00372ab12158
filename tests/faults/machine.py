"""Test machines (scripts/lab machine) as the fault tests see them: commands, modules as a user runs them, and what happens to their hardware."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import random
import socket
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = Path(os.environ.get("BOOTABLE_LAB", ROOT / ".lab"))
MACHINES = LAB / "machines"
INVENTORIES = [ROOT / "extensions" / "molecule" / "inventory.yml", ROOT / "extensions" / "molecule" / "machines" / "inventory" / "hosts.yml"]
PORTS = {"alder": 15, "birch": 16}
# What a machine may need under software emulation, on a machine that has other things to do.
LIMIT = 900
# This machine, as a guest sees it: QEMU's user network.
HOST = "10.0.2.2"


class Run:
    """A module at work on a machine, by Ansible over ssh."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        """Ansible ends; of the module its machine knows better."""
        self._process.kill()
        self._process.communicate()

    def result(self) -> dict:
        """What the module returned."""
        output, errors = self._process.communicate(timeout=LIMIT)
        assert "=> {" in output, output + errors
        return dict(json.loads(output[output.index("=> {") + 3:]), failed=" FAILED! => {" in output)


class Machine:
    """One machine, which runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._port = int(os.environ.get("BOOTABLE_LAB_PORTS", "19000")) + PORTS[name]

    # --- from inside ---

    def try_call(self, script: str) -> subprocess.CompletedProcess:
        """A script for bash, and how it went."""
        return subprocess.run(
            ["ssh", "-F", "none", "-i", MACHINES / "key", "-p", str(self._port), "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o",
             "KexAlgorithms=curve25519-sha256", "-o", "ServerAliveInterval=20", "-o", "UserKnownHostsFile=%s" % (MACHINES / self.name / "known_hosts"),
             "root@127.0.0.1", "bash -e -o pipefail -s"], input=script, capture_output=True, text=True, timeout=LIMIT, check=False)

    def call(self, script: str) -> str:
        """A script that has to succeed; what it printed."""
        done = self.try_call(script)
        assert done.returncode == 0, "%s on %s: %s%s" % (script, self.name, done.stdout, done.stderr)
        return done.stdout

    def wait_for(self, script: str) -> None:
        """Until a script succeeds."""
        deadline = time.monotonic() + LIMIT
        while (done := self.try_call(script)).returncode:
            assert time.monotonic() < deadline, "%s on %s: %s%s" % (script, self.name, done.stdout, done.stderr)
            time.sleep(1)

    def start(self, module: str, **options: object) -> Run:
        """Start a module and return at once."""
        inventories = [word for path in INVENTORIES for word in ("-i", str(path))]
        environment = dict(
            os.environ, ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".cache" / "collections"), MOLECULE_PROJECT_DIRECTORY=str(ROOT), BOOTABLE_LAB=str(LAB),
            ANSIBLE_PIPELINING="1", ANSIBLE_NOCOLOR="1", ANSIBLE_CALLBACK_RESULT_FORMAT="json", ANSIBLE_DEPRECATION_WARNINGS="0")
        return Run(subprocess.Popen(["ansible", *inventories, self.name, "-m", "bootable.volumes." + module, "-a", json.dumps(options)], env=environment,
                                    text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    def run(self, module: str, **options: object) -> dict:
        """Run a module to its end."""
        return self.start(module, **options).result()

    # --- from outside ---

    def order(self, command: str, **arguments: object) -> None:
        """An order to QEMU, which is the machine's hardware. https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html"""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(60)
            monitor.connect(os.path.relpath(MACHINES / self.name / "qmp"))
            with monitor.makefile("rw") as lines:
                lines.readline()
                for execute, given in (("qmp_capabilities", {}), (command, arguments)):
                    lines.write(json.dumps({"execute": execute, "arguments": given}) + "\n")
                    lines.flush()
                    while "return" not in (answer := json.loads(lines.readline())):
                        assert "error" not in answer, answer

    def unplug(self, disk: str) -> None:
        """A disk on SCSI is gone at once, whatever uses it."""
        self.order("device_del", id=disk)

    def plug(self, disk: str) -> None:
        """It is back, with what is on it."""
        self.order("device_add", driver="scsi-hd", bus="scsi.0", id=disk, drive=disk, device_id=disk, serial=disk)

    def reset(self) -> None:
        """As the button does it; returns when the machine can be worked with again."""
        before = self.call("cat /proc/sys/kernel/random/boot_id")
        self.order("system_reset")
        self.wait_for('[ "$(cat /proc/sys/kernel/random/boot_id)" != "%s" ]' % before.strip())


class Image:
    """An image on a web server, of which half arrives before ``release``.

    :ivar released: Whether all of it may go.
    """

    def __init__(self, size: int) -> None:
        self.content = random.Random(size).randbytes(size)
        self.released = threading.Event()
        self.url = ""

    def release(self) -> None:
        self.released.set()


@contextlib.contextmanager
def serving(size: int):
    """Serve an image for the length of a ``with``; it is released at its end at the latest."""
    image = Image(size)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            with contextlib.suppress(OSError):  # who asked may be gone
                self.wfile.write(image.content[:size // 2])
                self.wfile.flush()
                image.released.wait(LIMIT)
                self.wfile.write(image.content[size // 2:])

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    image.url = "http://%s:%d/disk.raw" % (HOST, server.server_address[1])
    try:
        yield image
    finally:
        image.release()
        server.shutdown()
        server.server_close()
        thread.join()
