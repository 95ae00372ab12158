# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options that bound a task's time: module.py."""

from __future__ import annotations


class ModuleDocFragment:
    """One deadline for everything that a task does."""

    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait until the work is done.
      - With V(false) the task ends as soon as the back end can go on by itself, where it can; a later run sees what became of it.
    type: bool
    default: true
  timeout:
    description:
      - Seconds for the whole task.
      - When they are over nothing is undone. The next run goes on with what this one began.
    type: int
    default: 3600
"""

    TIMEOUT = r"""
options:
  timeout:
    description:
      - Seconds for the whole task.
      - When they are over no volume is lost. The next run goes on with what this one began.
    type: int
    default: 3600
"""
