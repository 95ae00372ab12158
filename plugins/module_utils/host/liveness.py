# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a process that left something behind, somewhere else, is still there."""

from __future__ import annotations

import os
import re

# Where Linux tells of processes; proc(5).
PROC = "/proc"


def signature(pid: int = 0) -> str:
    """What tells a process from all others, ever: the boot, the process namespace, the number, and when it began.

    :param pid: By default this process.
    :returns: As ``<boot id>/<namespace>/<pid>/<ticks since boot>``; empty where the system does not tell.
    """
    pid = pid or os.getpid()
    try:
        with open(os.path.join(PROC, "sys/kernel/random/boot_id"), encoding="ascii") as file:
            boot = file.read().strip()
        namespace = re.sub(r"\D", "", os.readlink(os.path.join(PROC, "self/ns/pid")))
        with open(os.path.join(PROC, str(pid), "stat"), encoding="utf-8", errors="replace") as file:
            # the name, in parentheses, may hold anything; the start is the 22nd field of all, the 20th after it
            began = file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return "/".join((boot, namespace, str(pid), began))


def is_dead(left_by: str) -> bool:
    """Whether the process with this signature has certainly ended. Of other hosts and containers nothing is certain."""
    here, parts = signature().split("/"), left_by.split("/")
    if len(here) != 4 or len(parts) != 4 or parts[:2] != here[:2] or not parts[2].isdigit():
        return False
    return signature(int(parts[2])) != left_by
