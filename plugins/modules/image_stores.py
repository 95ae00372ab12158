#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_stores
short_description: Say which of Glance's stores hold an image
version_added: 0.2.0
description:
  - Copies images to the stores that miss them, with Glance's C(copy-image) import, and can remove them from all other stores.
  - Any number of images is brought to the same stores in one task, several at a time.
  - A store that refuses, or rights that are missing, stop no other store and no other image. The task then fails, with a report
    of what has become of each store.
  - A copy that another run began, or one that was killed or out of time, is adopted.
author:
  - The bootable.volumes authors (@bootable)
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.openstack
  - bootable.volumes.waiting
options:
  image:
    description:
      - The name or id of an image. A name that several images have is refused.
      - Mutually exclusive with O(images).
    type: str
  images:
    description:
      - The names or ids of several images.
      - Mutually exclusive with O(image).
    type: list
    elements: str
  stores:
    description:
      - The ids of the stores that shall hold the images, or V(all) for every store that can be written to.
      - M(bootable.volumes.image_store_info) lists them.
    type: list
    elements: str
    required: true
  exclusive:
    description:
      - Whether to remove the images from all stores that O(stores) does not name.
      - That is done when an image is in every store that it does, and never to the last store that holds it.
      - Bytes that something depends on are kept, such as those that a volume was cloned from; the task then fails.
    type: bool
    default: false
  concurrency:
    description:
      - How many images are being copied at the same time. Glance copies each to one store after the other.
    type: int
    default: 8
notes:
  - Copying needs Glance's policy C(copy_image), removing C(delete_image_location) and C(get_image_location). By default the first two are
    for administrators.
  - Glance must have C(copy-image) among its C(enabled_import_methods), as it does by default, and several stores (C(enabled_backends)).
seealso:
  - module: bootable.volumes.image_store_info
  - module: bootable.volumes.volume_type_store
"""

EXAMPLES = r"""
- name: The image is on Ceph, too
  bootable.volumes.image_stores:
    cloud: production
    image: debian-13
    stores: [ceph]

- name: These images are on Ceph and nowhere else
  bootable.volumes.image_stores:
    cloud: production
    images: [debian-12, debian-13, ubuntu-24.04]
    stores: [ceph]
    exclusive: true

- name: An image is everywhere; Glance may take its time
  bootable.volumes.image_stores:
    cloud: production
    image: rescue
    stores: all
    wait: false
"""

RETURN = r"""
images:
  description: The images, in the order in which they were named. In check mode, as they are now.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The image's id.
      type: str
      returned: always
      sample: d0f1b2a4-6a0c-4f0e-9f7e-3b0c8a7d5e21
    name:
      description: The image's name.
      type: str
      returned: always
      sample: debian-13
    stores:
      description: The stores that hold it.
      type: list
      elements: str
      returned: always
      sample: [file, ceph]
    report:
      description:
        - For each store that shall or shall not hold it, the C(state) and, where there is something to say, the C(reason).
        - V(present), V(copied), V(removed), and V(pending) where Glance is still at it.
        - V(failed), V(denied), V(read_only) and V(unknown) fail the task.
        - V(missing) and V(surplus) where nothing was done yet, as in check mode.
      type: dict
      returned: always
      sample: {"ceph": {"state": "copied", "reason": ""}, "file": {"state": "present", "reason": ""}}
placement:
  description:
    - The stores that shall hold the images, and the C(rule) that says so; V(explicit), V(all), or V(single) for a Glance whose only store has no name.
    - RV(placement.skipped) tells which stores were left out, and why.
  returned: always
  type: dict
  sample: {"stores": ["ceph"], "rule": "explicit", "reason": "these stores were asked for", "skipped": {}}
  contains:
    skipped:
      description: Stores that cannot be written to.
      type: dict
      returned: always
      sample: {"web": "it is read-only"}
plan:
  description: What was done, or in check mode would be done, to each image.
  returned: success
  type: list
  elements: dict
  sample: [{"action": "copy", "name": "debian-13", "reason": "it is not in ceph"}]
failures:
  description: For each image that could not be brought to its stores, the reason.
  returned: when some images failed
  type: dict
  sample: {"debian-13": "ceph: Glance could not write it there, or not read it where it is, and does not say why; its log has more"}
"""

from ansible_collections.bootable.volumes.plugins.module_utils import cloud_task
from ansible_collections.bootable.volumes.plugins.module_utils.images.placement import ALL
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import openstack_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_stores import ImageStores
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation


def build(wiring: cloud_task.Wiring) -> Operation:
    params = wiring.params
    return ImageStores(
        cloud=wiring.cloud,
        names=params["images"] if params["image"] is None else [params["image"]],
        asked=ALL if params["stores"] == [ALL] else params["stores"],
        only=params["exclusive"],
        job=wiring.job,
    )


def main() -> None:
    spec = cloud_task.compose(
        openstack_spec(), cloud_task.waiting_spec(),
        {
            "image": {"type": "str"},
            "images": {"type": "list", "elements": "str"},
            "stores": {"type": "list", "elements": "str", "required": True},
            "exclusive": {"type": "bool", "default": False},
            "concurrency": {"type": "int", "default": 8},
        },
    )
    cloud_task.run(build, spec, mutually_exclusive=[("image", "images")], required_one_of=[("image", "images")])


if __name__ == "__main__":
    main()
