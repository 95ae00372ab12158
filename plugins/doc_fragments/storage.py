# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the ``storage`` option: storage/registry.py. Each driver documents its own part in a fragment of its own."""

from __future__ import annotations

import re

from ansible_collections.bootable.volumes.plugins.doc_fragments import (
    storage_block, storage_cinder, storage_file, storage_lvm, storage_rbd, storage_sheepdog, storage_xen,
)


def _part(text: str, later: str) -> str:
    """A driver's options as suboptions; where they refer to each other, they now do so as parts of ``storage``.

    :param later: What follows: an option that another driver has, too, stands there.
    """
    body = text.partition("options:\n")[2].rstrip("\n")
    names = re.findall(r"^  (\w+):$", body, re.MULTILINE)
    for name in names:
        body = re.sub(r"O\(%s\b" % name, "O(storage.%s" % name, body)
    for name in set(names) & set(re.findall(r"^  (\w+):$", later, re.MULTILINE)):
        body = re.sub(r"^  %s:\n(    .*\n?)+" % name, "", body, flags=re.MULTILINE)
    return re.sub(r"^(?=.)", "    ", body.rstrip("\n"), flags=re.MULTILINE)


_PARTS = [each.ModuleDocFragment.DOCUMENTATION for each in (
    storage_block, storage_cinder, storage_file, storage_lvm, storage_rbd, storage_sheepdog, storage_xen)]


class ModuleDocFragment:
    """Where volumes live."""

    DOCUMENTATION: str = r"""
options:
  storage:
    description:
      - Where the volumes live. An inventory can name its storages once, and a task picks one.
    type: dict
    default: {}
    suboptions:
      driver:
        description:
          - The kind of storage. The other options belong to one driver each, and are refused with another one, but for those that tell how to
            reach Ceph, which two drivers take.
          - V(block) fills block devices that are there already. It takes those from O(storage.devices) to O(storage.wipe).
          - V(cinder) is OpenStack's Block Storage. It takes those from O(storage.volume_type) to O(storage.ceph_pool), and with that
            one O(storage.ceph_conf), O(storage.ceph_user) and O(storage.ceph_cluster).
          - V(file) keeps volumes as files on mounted storage. It takes those from O(storage.mountpoints) to O(storage.allow_unmounted).
          - V(lvm) makes logical volumes. It takes O(storage.vg) and O(storage.thin_pool).
          - V(rbd) keeps volumes as images of Ceph, without OpenStack. It takes those from O(storage.pool) to O(storage.features).
          - V(sheepdog) is for clusters of Sheepdog that are still there. It takes O(storage.sheepdog_address) and O(storage.sheepdog_port).
          - V(xen) keeps volumes as virtual disks in a storage repository of a XenServer or XCP-ng pool. It takes those from
            O(storage.hostname) to O(storage.sr).
        type: str
        choices: [block, cinder, file, lvm, rbd, sheepdog, xen]
        default: cinder
%s
requirements:
  - XenAPI >= 23.8 (for volumes in a XenServer or XCP-ng pool)
""" % "\n".join(_part(text, "".join(_PARTS[number:])) for number, text in enumerate(_PARTS, 1))

    CINDER: str = r"""
options:
  storage:
    description:
      - Where in OpenStack's Block Storage the volumes live. An inventory can name its storages once, and a task picks one.
    type: dict
    default: {}
    suboptions:
      driver:
        description:
          - The kind of storage. Servers boot from volumes of Cinder and no others.
        type: str
        choices: [cinder]
        default: cinder
%s
""" % _part(storage_cinder.ModuleDocFragment.DOCUMENTATION, "")
