# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress: the port that long work reports to."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Where a piece of work stands.

    :param phase: What is being done: ``download``, ``inspect``, ``convert``, ``copy``, ``clone``, ``publish``, ``wait``.
    :param subject: The volume or image it is done to.
    :param done: Bytes done; ``total`` of them is the end. Zero where the work has no bytes to count.
    :param total: Bytes in all, or None where it is not known beforehand.
    """

    phase: str
    subject: str
    done: int = 0
    total: t.Optional[int] = None


class Listener:
    """Hears events. This one ignores them; modules log them, tests collect them.

    ``hear`` may be called from any thread and often: it must be quick and must not raise.
    """

    def hear(self, event: Event) -> None:
        """Take note of one event."""
