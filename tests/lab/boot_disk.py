"""Proves that a disk boots: starts it in QEMU and waits until the guest writes its sign of life on the serial console.

    boot_disk.py guest.qcow2 --format qcow2
    boot_disk.py rbd:volumes/volume-1234:conf=/etc/ceph/ceph.conf:id=openstack --serial 1234

The disk is not changed: what the guest writes goes to a temporary file. Exits with 0 and prints the guest's line, or
with 1 and prints the end of its console.
"""

from __future__ import annotations

import argparse
import os
import selectors
import subprocess
import sys
import time

MARKER = "BOOTABLE-GUEST-UP"
INTERFACES = {
    "virtio": ["-device", "virtio-blk-pci,drive=disk,bootindex=0{serial}"],
    "scsi": ["-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=disk,bootindex=0{serial}"],
    "ide": ["-device", "ide-hd,drive=disk,bus=ide.0,bootindex=0{serial}"],
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("disk", help="a file, a block device, or anything else that QEMU opens")
    parser.add_argument("--format", default="raw", help="raw, qcow2, vpc, ... (default: raw)")
    parser.add_argument("--timeout", type=float, default=120, help="seconds (default: 120)")
    parser.add_argument("--interface", choices=INTERFACES, default="virtio", help="what the disk hangs on")
    parser.add_argument("--serial", default="", help="serial number of the disk, which the guest reports (virtio only)")
    parser.add_argument("--marker", default=MARKER, help=f"what to wait for (default: {MARKER})")
    return parser.parse_args()


def command(options: argparse.Namespace) -> list[str]:
    """Software emulation: it is there on every machine, and KVM inside a virtual machine often is not."""
    disk = options.disk.replace(",", ",,")
    serial = f",serial={options.serial[:20]}" if options.serial else ""
    return [
        "qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-cpu", "max", "-m", "256",
        "-no-user-config", "-nodefaults", "-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot",
        "-serial", "stdio",
        "-drive", f"file={disk},format={options.format},if=none,id=disk,snapshot=on,file.locking=off"
        if os.path.exists(options.disk)
        else f"file={disk},format={options.format},if=none,id=disk,snapshot=on",
        *(word.format(serial=serial) for word in INTERFACES[options.interface]),
    ]


def watch(process: subprocess.Popen[bytes], marker: str, timeout: float) -> tuple[str | None, bytes]:
    """The guest's line that holds the marker, or None when time is up or QEMU has ended; and all the console said."""
    assert process.stdout
    console = b""
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                break
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                break
            console += data
            for line in console.decode("utf-8", "replace").split("\n")[:-1]:
                if marker in line:
                    return line[line.index(marker):].strip(), console
    return None, console


def main() -> int:
    options = arguments()
    began = time.monotonic()
    process = subprocess.Popen(
        command(options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        line, console = watch(process, options.marker, options.timeout)
    finally:
        process.kill()
        process.wait()
    seconds = time.monotonic() - began
    if line:
        print(f"{line} ({seconds:.1f} s)")
        return 0
    text = console.decode("utf-8", "replace")
    print(f"no {options.marker} within {seconds:.0f} s; the console's end:\n{text[-2000:]}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
