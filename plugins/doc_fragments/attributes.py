# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what every module supports: module.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Check mode and diff mode come from the plan, so every module has both."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what would be changed, without writing anything, not even a lock.
    support: full
  diff_mode:
    description: Returns what has changed, or in C(check_mode) would change, when in diff mode.
    support: full
  platform:
    description: Where the module can run.
    support: full
    platforms: posix
"""

    INFO_MODULE = r"""
options: {}
attributes:
  diff_mode:
    description: This module changes nothing, so there is nothing to show.
    support: N/A
"""
