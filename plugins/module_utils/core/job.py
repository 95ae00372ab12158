# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job: what one task may spend, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Listener
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline


@dataclass(frozen=True)
class Job:
    """Handed down from the module to everything that works for it.

    :param deadline: One for the whole task.
    :param listener: Hears progress.
    :param at_once: How many requests, or copies, may be under way together.
    :param wait: False returns as soon as the work is under way, where the back end can go on by itself.
    :param check: True where nothing may be written, not even a probe or a lock.
    """

    deadline: Deadline
    listener: Listener = field(default_factory=Listener)
    at_once: int = 8
    wait: bool = True
    check: bool = False
