# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the Cinder driver's part of the ``storage`` option: storage/cinder/."""

from __future__ import annotations

from ansible_collections.bootable.volumes.plugins.doc_fragments import storage_ceph


class ModuleDocFragment:
    """Volumes in OpenStack's Block Storage."""

    DOCUMENTATION: str = r"""
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
  ceph_pool:
    description:
      - The pool of Ceph in which Cinder's back end keeps its volumes, where the host that the module runs on reaches that cluster as the driver
        V(rbd) does; O(ceph_conf), O(ceph_user) and O(ceph_cluster) tell how.
      - The content of volumes is then read from Ceph, and written to it, where it would travel by way of a private image in Glance otherwise. That is
        what M(bootable.volumes.volume_migrate) does. Images get into volumes, and volumes into images, by way of Cinder and Glance as ever.
      - Meanwhile the volume is reserved in Cinder (status C(attaching)), so that nobody attaches or deletes it. What a run that was killed has left
        reserved is seen and used by the next one with this option. The account needs the right to reserve volumes, which members have by default.
      - The pool has to be that of the volumes' type. Encrypted volumes are refused.
    type: str
    version_added: 0.4.0
%s""" % storage_ceph.ModuleDocFragment.DOCUMENTATION.partition("options:\n")[2]
