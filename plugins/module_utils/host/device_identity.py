# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tells a block device from all others, across reboots and whatever name the kernel gives it today."""

from __future__ import annotations

import os
import typing as t

# What udev keeps of each device, as text: E:PROPERTY=value, S:link below /dev. man 7 udev.
UDEV = "/run/udev/data"

# Links in /dev/disk/by-id, best first: those that come from the medium itself, then those from the vendor's names.
_LINKS = ("dm-uuid-", "md-uuid-", "wwn-", "nvme-eui.", "nvme-uuid.", "nvme-", "scsi-", "virtio-", "ata-", "usb-", "")

# Attributes of a disk in sysfs that come from the medium, best first.
# https://www.kernel.org/doc/Documentation/ABI/stable/sysfs-block
_ATTRIBUTES = ("wwid", "device/wwid", "serial", "device/serial", "device/cid", "md/uuid")


def identity_of(sysfs: str, number: str) -> t.Optional[str]:
    """The identity of a block device, or None if it has none.

    Where neither the medium nor udev knows one, as of a virtual disk without a serial number, the place at which the disk is
    plugged in has to do.

    :param sysfs: Its folder in sysfs, such as ``/sys/dev/block/8:16``.
    :param number: ``major:minor``.

    >>> identity_of("/sys/dev/block/8:17", "8:17")  # doctest: +SKIP
    'naa.5002538e40b1c2d3/part1@2048'
    """
    folder = os.path.realpath(sysfs)
    if os.path.exists(os.path.join(folder, "partition")):
        parent = os.path.dirname(folder)
        whole = identity_of(parent, read(parent, "dev"))
        return whole and "%s/part%s@%s" % (whole, read(folder, "partition"), read(folder, "start"))
    return _of_mapping(folder) or _of_loop(folder) or _of_medium(folder) or _of_udev(number) or _of_place(folder)


def read(folder: str, attribute: str) -> str:
    """An attribute in sysfs; empty where there is none."""
    try:
        with open(os.path.join(folder, attribute), encoding="utf-8", errors="replace") as file:
            return " ".join(file.read().split())
    except OSError:
        return ""


def _of_mapping(folder: str) -> t.Optional[str]:
    """Device mapper: multipath, LVM, LUKS."""
    uuid, name = read(folder, "dm/uuid"), read(folder, "dm/name")
    return "dm-%s" % (uuid or name) if uuid or name else None


def _of_loop(folder: str) -> t.Optional[str]:
    """A loop device is the file behind it, and the part of it that it shows."""
    path = read(folder, "loop/backing_file")
    if not path:
        return None
    try:
        return "loop-%d@%s-%s" % (os.stat(path).st_ino, read(folder, "loop/offset"), path)
    except OSError:
        return None  # the file has lost its name: nobody will ever find it again


def _of_medium(folder: str) -> t.Optional[str]:
    return next((value for value in (read(folder, attribute) for attribute in _ATTRIBUTES) if value), None)


def _of_udev(number: str) -> t.Optional[str]:
    try:
        with open(os.path.join(UDEV, "b" + number), encoding="utf-8", errors="replace") as file:
            names = [line[len("S:disk/by-id/"):].strip() for line in file if line.startswith("S:disk/by-id/")]
    except OSError:
        return None
    return min(names, key=lambda name: (next(rank for rank, start in enumerate(_LINKS) if name.startswith(start)), name)) if names else None


def _of_place(folder: str) -> t.Optional[str]:
    device = os.path.join(folder, "device")
    if read(folder, "loop/offset") or not os.path.exists(device):
        return None
    return "at-" + os.path.realpath(device).partition("/devices/")[2].replace("/", "-")
