# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of how Ceph is reached: storage/rbd/access.py. Two drivers take these options."""

from __future__ import annotations


class ModuleDocFragment:
    """How Ceph is reached."""

    DOCUMENTATION = r"""
options:
  ceph_conf:
    description:
      - Ceph's configuration file on the host where the module runs. By default what Ceph finds by itself, such as V(/etc/ceph/ceph.conf).
    type: path
  ceph_user:
    description:
      - The user of Ceph, without V(client.). It needs the profile V(rbd) for the monitors and the pool. By default V(admin).
    type: str
  ceph_cluster:
    description:
      - The name of the cluster. By default V(ceph).
    type: str
"""
