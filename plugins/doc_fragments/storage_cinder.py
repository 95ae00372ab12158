# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the Cinder driver's part of the ``storage`` option: storage/cinder.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Volumes in OpenStack's Block Storage."""

    DOCUMENTATION = r"""
options:
  volume_type:
    description:
      - The volume type, by name or ID. By default Cinder's own default.
      - An existing volume of another type is drift that only O(bootable.volumes.volume_from_image#module:on_drift=replace) mends.
    type: str
  availability_zone:
    description:
      - The availability zone. By default Cinder's own default.
      - An existing volume in another zone is drift that only O(bootable.volumes.volume_from_image#module:on_drift=replace) mends.
    type: str
  description:
    description:
      - The volume's description. Set on existing volumes, too.
    type: str
  metadata:
    description:
      - Keys and values that the volume shall have. Set on existing volumes, too; other keys are left alone.
      - Keys that begin with C(bootable_) are the collection's own.
    type: dict
  bootable:
    description:
      - Whether servers may boot from the volume. Set on existing volumes, too. By default they may.
    type: bool
  force_refill:
    description:
      - Let O(bootable.volumes.volume_from_image#module:on_drift=refill) refill volumes even on Cinder before 24 (2024.1).
      - There old data can remain in a refilled volume, and a failure can leave it in status C(downloading) for ever.
    type: bool
"""
