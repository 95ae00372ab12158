# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the LVM driver's part of the ``storage`` option: storage/lvm/."""

from __future__ import annotations


class ModuleDocFragment:
    """Logical volumes."""

    DOCUMENTATION = r"""
options:
  vg:
    description:
      - The volume group in which volumes live, on the host where the module runs.
      - A volume is the logical volume of its name. What it was filled with is in its tags, which begin with C(bootable.).
      - A logical volume without such tags is somebody else's. It is only overwritten with
        O(bootable.volumes.volume_from_image#module:on_drift=refill) or O(bootable.volumes.volume_from_image#module:on_drift=replace),
        and never removed.
      - Sizes are rounded up to whole extents of the group.
    type: str
  thin_pool:
    description:
      - The thin pool of O(vg) that new volumes go into. N volumes of one image are then one that is filled, and snapshots of it.
      - By default volumes are thick. All of a thick volume is written, with zeroes where the image has none.
      - An existing volume outside of this pool is drift that only O(bootable.volumes.volume_from_image#module:on_drift=replace) mends.
    type: str
"""
