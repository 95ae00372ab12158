#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_store_info
short_description: List Glance's stores
version_added: 0.2.0
description:
  - Tells which stores Glance offers, which of them is the default, and how images can be imported.
  - Writes nothing. A Glance whose only store has no name gives an empty list and no failure.
author:
  - The bootable.volumes authors (@bootable)
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.attributes.info_module
  - bootable.volumes.openstack
notes:
  - Glance tells the type, weight and properties of its stores only to administrators and services (policy C(stores_info_detail)).
seealso:
  - module: bootable.volumes.image_stores
  - module: bootable.volumes.volume_type_store
"""

EXAMPLES = r"""
- name: Which stores are there?
  bootable.volumes.image_store_info:
    cloud: production
  register: glance

- name: An image goes to all of them but the default
  bootable.volumes.image_stores:
    cloud: production
    image: debian-13
    stores: "{{ glance.stores | rejectattr('default') | rejectattr('read_only') | map(attribute='id') | list }}"
"""

RETURN = r"""
stores:
  description: The stores, in Glance's order.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The store's id.
      type: str
      returned: always
      sample: ceph
    type:
      description: The store's type; null where Glance does not tell.
      type: str
      returned: always
      sample: rbd
    default:
      description: Whether images go there when no store is asked for.
      type: bool
      returned: always
      sample: false
    read_only:
      description: Whether nothing can be written to it, as to a store of type V(http).
      type: bool
      returned: always
      sample: false
    description:
      description: What its operator says of it; null for nothing.
      type: str
      returned: always
      sample: fast disks
    weight:
      description: The store with the highest weight is read first; null where Glance does not tell.
      type: int
      returned: always
      sample: 0
    properties:
      description: What else Glance tells of it; it depends on the type.
      type: dict
      returned: always
      sample: {"pool": "images", "chunk_size": 8388608}
default_store:
  description: The id of the default store; null where the only store has no name.
  returned: always
  type: str
  sample: file
import_methods:
  description: The ways in which images can be imported. Copying between stores needs V(copy-image).
  returned: always
  type: list
  elements: str
  sample: [glance-direct, web-download, copy-image]
plan:
  description: Always empty; this module changes nothing.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from ansible_collections.bootable.volumes.plugins.module_utils import cloud_task
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import openstack_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_store_info import ImageStoreInfo
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation


def build(wiring: cloud_task.Wiring) -> Operation:
    return ImageStoreInfo(cloud=wiring.cloud)


def main() -> None:
    cloud_task.run(build, openstack_spec())


if __name__ == "__main__":
    main()
