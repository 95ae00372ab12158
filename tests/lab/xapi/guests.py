"""Machines that run: in QEMU, so that "booted" means that a guest said so, or as a stand-in for quick tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from .disks import Disks
from .ports import Guest, GuestDisk, GuestEvent, Report

MARKER = "BOOTABLE-GUEST-UP"
FIRMWARE = ("/usr/share/ovmf/OVMF.fd", "/usr/share/qemu/OVMF.fd")
MIB = 1 << 20
MEMORY = (128 * MIB, 1024 * MIB)  # what a guest gets at least and at most, whatever it is told it has
PATIENCE_OF_FIRMWARE = 3000  # milliseconds after which a machine that found nothing to boot is switched off
ENDING = 10.0  # seconds


def order(guest: Guest) -> list[GuestDisk]:
    """The disks that the firmware tries, in that order."""
    disks = sorted(guest.disks, key=lambda disk: disk.device)
    if not guest.hvm:
        return [disk for disk in disks if disk.bootable and not disk.cd][:1]
    found: list[GuestDisk] = []
    for letter in guest.boot_order.lower():
        if letter == "c":
            found += [disk for disk in disks if not disk.cd][:1]
        elif letter == "d":
            found += [disk for disk in disks if disk.cd]
    return found


class InstantGuests:
    """A machine boots at once if the first disk it tries has the signature of a boot sector, else it ends at once.

    :ivar mute: Machines run and are never heard of again: no tools, no address.
    :ivar started: Every start, by the machine's uuid and what it was started with.
    """

    def __init__(self, disks: Disks) -> None:
        self.mute = False
        self.started: list[tuple[str, Guest]] = []
        self._disks = disks
        self._running: dict[str, list[str]] = {}
        self._threads: list[threading.Thread] = []

    def start(self, vm: str, guest: Guest, report: Report) -> None:
        """Raises OSError for a disk that is not there."""
        used = []
        for disk in guest.disks:
            self._disks.layer_of(disk.vdi)
            used.append(disk.vdi)
        self.started.append((vm, guest))
        tried = order(guest)
        boots = any(self._disks.read(disk.vdi, 510, 2) == b"\x55\xaa" for disk in tried)
        self._running[vm] = used

        def tell() -> None:
            if not boots:
                self._running.pop(vm, None)
            report(GuestEvent.BOOTED if boots else GuestEvent.ENDED)

        if not (boots and self.mute):
            thread = threading.Thread(target=tell, daemon=True)
            self._threads = [*(other for other in self._threads if other.is_alive()), thread]
            thread.start()

    def stop(self, vm: str) -> None:
        """At once."""
        self._running.pop(vm, None)

    def running(self, vm: str) -> bool:
        """Whether it has not ended."""
        return vm in self._running

    def close(self) -> None:
        """Waits for what is still being told."""
        for thread in self._threads:
            thread.join(ENDING)


class Machine:
    """One QEMU, begun anew when the guest reboots."""

    def __init__(self, vm: str, guest: Guest, disks: Disks, folder: Path, report: Report) -> None:
        self.vm, self.guest, self.report = vm, guest, report
        self.console = folder / f"{vm}.console"
        self._disks = disks
        self._folder = folder
        self._lock = threading.Lock()
        self._attached: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False

    def start(self) -> None:
        """Raises OSError."""
        try:
            command = self._command()
            serial = self._launch(command)
        except OSError:
            self._let_go()
            raise
        threading.Thread(target=self._watch, args=(command, serial), daemon=True).start()

    def stop(self) -> None:
        """Ended when this returns, and its disks are let go."""
        with self._lock:
            self._over = True
            process = self._process
        if process:
            process.kill()
            process.wait()
        self._let_go()

    @property
    def running(self) -> bool:
        """Whether it has not ended by itself."""
        return not self._over

    @contextlib.contextmanager
    def frozen(self, vdi: str) -> Iterator[None]:
        """Nothing is written meanwhile, if the disk is one of its own."""
        process = self._process
        if vdi not in self._attached or process is None or process.poll() is not None:
            yield
            return
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def _let_go(self) -> None:
        with self._lock:  # whoever comes second waits until the first is done
            attached, self._attached = self._attached, []
            for vdi in attached:
                self._disks.detach(vdi)

    # --- QEMU ---

    def _command(self) -> list[str]:
        """Software emulation: it is there on every machine, and KVM inside a virtual machine often is not."""
        memory = min(max(self.guest.memory, MEMORY[0]), MEMORY[1]) // MIB
        words = [
            "qemu-system-x86_64", "-name", self.guest.name.replace(",", ",,") or "guest", "-machine", "pc", "-accel", "tcg", "-cpu", "max",
            "-m", str(memory), "-smp", str(min(max(self.guest.vcpus, 1), 2)), "-no-user-config", "-nodefaults", "-display", "none",
            "-boot", f"strict=on,reboot-timeout={PATIENCE_OF_FIRMWARE}", "-no-reboot", "-qmp", "stdio",
        ]
        if self.guest.firmware == "uefi":
            code = next((path for path in FIRMWARE if os.path.exists(path)), None)
            # Without that firmware nothing boots, but the machine runs for as long as one with nothing to boot does.
            words += ["-bios", code] if code else []
        tried = order(self.guest)
        if self.guest.firmware == "uefi" and "-bios" not in words:
            tried = []
        # QEMU's firmware is strict about its list only if that is not empty: a machine that tries nothing gets no disk.
        for disk in sorted(self.guest.disks if tried else (), key=lambda disk: disk.device):
            path = self._disks.attach(disk.vdi)
            self._attached.append(disk.vdi)
            words += self._disk(disk, path, tried.index(disk) if disk in tried else None)
        for number, mac in enumerate(self.guest.macs):
            words += ["-netdev", f"hubport,id=n{number},hubid={number}", "-device", f"virtio-net-pci,netdev=n{number},mac={mac},romfile="]
        return words

    @staticmethod
    def _disk(disk: GuestDisk, path: Path, place: int | None) -> list[str]:
        name = f"d{disk.device}"
        file = str(path).replace(",", ",,")
        index = "" if place is None else f",bootindex={place}"
        read_only = "on" if disk.read_only or disk.cd else "off"
        drive = f"file={file},format=raw,if=none,id={name},read-only={read_only},file.locking=off,cache=writeback,discard=ignore"
        device = f"ide-cd,drive={name}" if disk.cd else f"virtio-blk-pci,drive={name},serial={disk.vdi[:20]}"
        return ["-drive", drive, "-device", device + index]

    def _launch(self, command: list[str]) -> int:
        """Starts QEMU; gives the end of the pipe that its serial console comes out of."""
        reading, writing = os.pipe()
        try:
            console = ["-chardev", f"file,id=console,path=/dev/fd/{writing}", "-serial", "chardev:console"]
            with self._lock, (self._folder / f"{self.vm}.log").open("ab") as log:
                if self._over:
                    raise OSError("stopped meanwhile")
                self._process = subprocess.Popen(
                    [*command, *console], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, pass_fds=[writing])
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return reading

    def _watch(self, command: list[str], serial: int) -> None:
        """Tells what the guest does, until it ends."""
        while True:
            listener = threading.Thread(target=self._listen, args=(serial,), daemon=True)
            listener.start()
            reason = self._monitor()
            listener.join()
            # What ends before it was up is firmware that found nothing to boot.
            if reason != "guest-reset" or not self._up or self._over:
                break
            self.report(GuestEvent.REBOOTED)
            try:
                serial = self._launch(command)
            except OSError:
                break
        with self._lock:
            told, self._over = self._over, True
        self._let_go()
        if not told:
            self.report(GuestEvent.ENDED)

    _up = False

    def _listen(self, serial: int) -> None:
        """Reads the console, and reports the marker."""
        self._up = False
        line = b""
        with open(serial, "rb", buffering=0) as source, self.console.open("ab", buffering=0) as log:
            while data := source.read(65536):
                log.write(data)
                line = (line + data)[-4096:]
                if not self._up and MARKER.encode() in line:
                    self._up = True
                    self.report(GuestEvent.BOOTED)

    def _monitor(self) -> str:
        """Waits for the end of QEMU; gives the reason it told, if any."""
        process = self._process
        assert process and process.stdin and process.stdout
        reason = ""
        with contextlib.suppress(OSError, ValueError):
            process.stdin.write(b'{"execute": "qmp_capabilities"}\n')
            process.stdin.flush()
            for line in process.stdout:
                event = json.loads(line)
                if event.get("event") == "SHUTDOWN":
                    reason = event["data"].get("reason", "")
        process.wait()
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        return reason


class QemuGuests:
    """Machines in QEMU. `folder` takes what their consoles say."""

    def __init__(self, disks: Disks, folder: Path) -> None:
        self._disks = disks
        self._folder = folder
        self._machines: dict[str, Machine] = {}
        folder.mkdir(parents=True, exist_ok=True)
        disks.freeze = self._frozen

    def start(self, vm: str, guest: Guest, report: Report) -> None:
        """Raises OSError."""
        machine = Machine(vm, guest, self._disks, self._folder, report)
        machine.start()
        self._machines[vm] = machine

    def stop(self, vm: str) -> None:
        """Ended when this returns."""
        machine = self._machines.pop(vm, None)
        if machine:
            machine.stop()

    def running(self, vm: str) -> bool:
        """Whether it has not ended."""
        return vm in self._machines and self._machines[vm].running

    def console(self, vm: str) -> str:
        """All that a machine's serial consoles have said."""
        path = self._folder / f"{vm}.console"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    @contextlib.contextmanager
    def _frozen(self, vdi: str) -> Iterator[None]:
        with contextlib.ExitStack() as still:
            for machine in list(self._machines.values()):
                still.enter_context(machine.frozen(vdi))
            yield

    def close(self) -> None:
        """Ends all."""
        for vm in list(self._machines):
            self.stop(vm)
