# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the block driver's part of the ``storage`` option: storage/block/."""

from __future__ import annotations


class ModuleDocFragment:
    """Volumes on block devices that are there already."""

    DOCUMENTATION = r"""
options:
  devices:
    description:
      - Which volume is which block device, on the host where the module runs. The keys are names of volumes, the values paths such as
        C(/dev/disk/by-id/wwn-0x5002538e40b1c2d3), C(/dev/mapper/mpatha) or C(/dev/sdb1).
      - A volume is a whole device, whatever size is asked for; a device that is too small is refused.
      - A device counts as free if its first and its last MiB are zeroes. One that holds anything else which this collection did not put
        there is only overwritten with O(bootable.volumes.volume_from_image#module:on_drift=refill) or
        O(bootable.volumes.volume_from_image#module:on_drift=replace), and never removed.
      - A device that something uses is refused. This means mounts, swap space, LVM, RAID, multipath, partitions of it in use,
        and processes that have it open.
    type: dict
  state_dir:
    description:
      - The folder in which is kept what is on which device, by the device's own identity, such as its WWN or serial number.
      - It belongs to the host. Without it the devices are taken for somebody else's.
      - By default C(/var/lib/bootable.volumes/block).
    type: path
  wipe:
    description:
      - What becomes zeroes when a volume is removed. The device itself stays.
      - V(ends) wipes its first and its last MiB, so that it holds no partition table and no file system any more, and is free for the
        next volume. This is the default.
      - V(all) wipes all of it, which may take long on devices that cannot do it by themselves.
      - V(nothing) only forgets that it is a volume.
    type: str
    choices: [ends, all, nothing]
"""
