# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the file driver's part of the ``storage`` option: storage/file.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Volumes as files on mounted storage."""

    DOCUMENTATION = r"""
options:
  mountpoints:
    description:
      - The mount points on which volumes live, on the host where the module runs.
      - A volume is the file of its name in one of them. What it was filled with is in a hidden file beside it.
      - A new volume goes to the one with most room, unless O(mountpoint) says otherwise.
    type: list
    elements: path
  mountpoint:
    description:
      - The one of O(mountpoints) that the volume has to be on. Alone, it stands for O(mountpoints), too.
    type: path
  format:
    description:
      - The format of the volume's file. By default V(raw), or what an existing volume has.
    type: str
    choices: [raw, qcow2, vhd, vhdx, vmdk, vdi]
  preallocation:
    description:
      - How space is set aside when a volume is made.
      - V(off) lets the file grow as it is written to. This is the default.
      - V(metadata) lays out the mapping of a V(qcow2) volume.
      - V(falloc) gives a V(raw) or V(qcow2) volume all its blocks, and V(full) writes to all of them.
      - Existing volumes keep what they have.
    type: str
    choices: ['off', metadata, falloc, full]
  reserve:
    description:
      - What has to stay free on each mount point, as a size such as V(20G), or a percentage of the file system such as V(5%).
      - By default nothing.
    type: str
  filesystems:
    description:
      - The types of file systems that are expected on the mount points. Any other is taken for a mistake.
      - By default V(nfs), V(nfs4), V(ocfs2), V(gfs2), V(ext4), V(xfs), V(btrfs), V(zfs), V(ceph), V(glusterfs), V(fuse.glusterfs),
        V(fuse.ceph-fuse), V(lustre), V(beegfs) and V(gpfs).
    type: list
    elements: str
  allow_unmounted:
    description:
      - Allow plain folders in O(mountpoints), on which nothing is mounted, on any file system. By default they are refused.
    type: bool
"""
