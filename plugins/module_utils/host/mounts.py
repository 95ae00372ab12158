# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is mounted where, as the kernel tells it."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

# https://www.kernel.org/doc/html/latest/filesystems/proc.html, section 3.5
MOUNTINFO = "/proc/self/mountinfo"

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One mounted file system.

    :param point: Where it is mounted.
    :param type: Its type in the kernel's words: ``ext4``, ``nfs4``, ``fuse.glusterfs``.
    :param source: What is mounted: a device, an export.
    :param read_only: Whether the mount, or the file system in it, takes no writes.
    :param number: ``major:minor`` of the device; some file systems have a number of their own there.
    """

    point: str
    type: str
    source: str
    read_only: bool
    number: str = ""


class Mounts:
    """The mounts at one moment."""

    def __init__(self, mounts: t.Sequence[Mount]) -> None:
        self._by_point = {mount.point: mount for mount in mounts}  # of several at one point, the last one covers the others

    @classmethod
    def now(cls) -> Mounts:
        """As this process sees them."""
        with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as lines:
            return cls.parse(lines)

    @classmethod
    def parse(cls, lines: t.Iterable[str]) -> Mounts:
        """From the lines of mountinfo; lines that make no sense are passed over."""
        return cls([mount for mount in map(_mount, lines) if mount])

    def __iter__(self) -> t.Iterator[Mount]:
        return iter(self._by_point.values())

    def at(self, path: str) -> t.Optional[Mount]:
        """What is mounted exactly at ``path`` (an absolute path without links), or None."""
        return self._by_point.get(path)

    def holding(self, path: str) -> t.Optional[Mount]:
        """The mount that ``path`` lies in."""
        while path not in self._by_point and path != os.path.dirname(path):
            path = os.path.dirname(path)
        return self._by_point.get(path)


def _mount(line: str) -> t.Optional[Mount]:
    # 36 35 98:0 /root /mount\040point rw,noatime shared:1 - ext3 /dev/root rw,errors=continue
    before, dash, after = line.rstrip("\n").partition(" - ")
    left, right = before.split(" "), after.split(" ")
    if not dash or len(left) < 6 or len(right) < 3:
        return None
    options = left[5].split(",") + right[2].split(",")
    return Mount(point=_unescape(left[4]), type=right[0], source=_unescape(right[1]), read_only="ro" in options, number=left[2])


def _unescape(text: str) -> str:
    """Blanks, tabs, newlines and backslashes come as three octal digits."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text)
