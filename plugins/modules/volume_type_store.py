#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_type_store
short_description: Say in which of Glance's stores images of a volume type's volumes are kept
version_added: 0.2.0
description:
  - Sets, changes or removes the extra spec C(image_service:store_id) of a volume type.
  - Cinder uploads an image of such a volume to that store. Without the extra spec it goes to Glance's default store.
  - Cinder changes no extra spec of a type that has volumes; the task then fails and says so.
author:
  - The bootable.volumes authors (@bootable)
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.openstack
options:
  volume_type:
    description:
      - The name or id of the volume type.
    type: str
    required: true
  store:
    description:
      - The id of a store that can be written to. M(bootable.volumes.image_store_info) lists them.
      - An empty string or null removes the extra spec.
    type: str
    required: true
notes:
  - Leave it out for types whose volumes become images by cloning (C(image_upload_use_cinder_backend)). With a store on the type
    Glance 29.0.0 (2024.2) and later refuses the location that Cinder 26.3.0 and later give it, and Cinder silently uploads the bytes instead.
  - Only administrators can change volume types. Members do not even see this extra spec, so for them it always looks absent.
seealso:
  - module: bootable.volumes.image_store_info
  - module: bootable.volumes.image_stores
"""

EXAMPLES = r"""
- name: Images of fast volumes are kept on Ceph
  bootable.volumes.volume_type_store:
    cloud: production-admin
    volume_type: fast
    store: ceph

- name: Images of slow volumes go to the default store
  bootable.volumes.volume_type_store:
    cloud: production-admin
    volume_type: slow
    store: ""
"""

RETURN = r"""
volume_type:
  description: The name of the volume type.
  returned: success
  type: str
  sample: fast
store:
  description: The store that it names; null for none. In check mode, the one that it would name.
  returned: success
  type: str
  sample: ceph
plan:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: dict
  sample: [{"action": "update", "name": "fast", "reason": "it names no store"}]
"""

from ansible_collections.bootable.volumes.plugins.module_utils import cloud_task
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import openstack_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_type_store import VolumeTypeStore


def build(wiring: cloud_task.Wiring) -> Operation:
    return VolumeTypeStore(cloud=wiring.cloud, volume_type=wiring.params["volume_type"], store=wiring.params["store"] or None)


def main() -> None:
    spec = cloud_task.compose(openstack_spec(), {"volume_type": {"type": "str", "required": True}, "store": {"type": "str", "required": True}})
    cloud_task.run(build, spec)


if __name__ == "__main__":
    main()
