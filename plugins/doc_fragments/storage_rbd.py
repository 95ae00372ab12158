# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the rbd driver's part of the ``storage`` option: storage/rbd/driver.py."""

from __future__ import annotations

from ansible_collections.bootable.volumes.plugins.doc_fragments import storage_ceph


class ModuleDocFragment:
    """Volumes as images of Ceph's block storage."""

    DOCUMENTATION: str = r"""
options:
  pool:
    description:
      - The pool of Ceph in which volumes live. A volume is the image of its name; what it was filled with is in the image's metadata.
      - The host where the module runs needs Ceph's Python bindings (C(python3-rados) and C(python3-rbd)) for the interpreter that Ansible
        uses there, or else the commands C(rbd) and C(rados) (C(ceph-common)).
    type: str
  namespace:
    description:
      - The namespace within O(pool). It has to exist. By default the pool's own.
    type: str
%s  data_pool:
    description:
      - The pool that takes the data of new volumes where O(pool) takes only what is known about them, as an erasure-coded one.
      - An existing volume with its data in another pool is drift that only O(bootable.volumes.volume_from_image#module:on_drift=replace) mends.
    type: str
  features:
    description:
      - The features of new images. By default what the configuration of Ceph says. Existing volumes keep what they have.
      - Without V(layering) volumes cannot be cloned, and each gets its own copy.
    type: list
    elements: str
    choices: [layering, exclusive-lock, object-map, fast-diff, deep-flatten, journaling]
""" % storage_ceph.ModuleDocFragment.DOCUMENTATION.partition("options:\n")[2]
