# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the sheepdog driver's part of the ``storage`` option: storage/sheepdog/driver.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Volumes as VDIs of a Sheepdog cluster."""

    DOCUMENTATION = r"""
options:
  sheepdog_address:
    description:
      - The address of a node of the Sheepdog cluster. By default the host where the module runs, which needs the command C(dog) in any case.
      - Sheepdog's last release is of 2016. This driver is tested against a stand-in for the command, not against a cluster.
    type: str
  sheepdog_port:
    description:
      - The port of that node. By default V(7000).
    type: int
"""
