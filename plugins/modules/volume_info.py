#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_info
short_description: List volumes and the images they came from
version_added: 0.1.0
description:
  - Tells which volumes are in O(storage), in what state they are, and which image each was filled with.
  - Writes nothing. No volume of that name, or none at all, is an empty list and no failure.
author:
  - The bootable.volumes authors (@bootable)
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.attributes.info_module
  - bootable.volumes.openstack
  - bootable.volumes.storage
options:
  name:
    description:
      - Only the volume of this name. A name that several volumes have is refused.
    type: str
seealso:
  - module: bootable.volumes.volume_from_image
"""

EXAMPLES = r"""
- name: All volumes of the project
  bootable.volumes.volume_info:
    cloud: production
  register: found

- name: Which image is each volume made from?
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ (item.image or {}).image_name | default('not known', true) }}"
  loop: "{{ found.volumes }}"
  loop_control:
    label: "{{ item.id }}"

- name: A file volume
  bootable.volumes.volume_info:
    name: build-a
    storage:
      driver: file
      mountpoints: [/srv/nfs1, /srv/nfs2]
"""

RETURN = r"""
volumes:
  description: The volumes, by name.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The volume's name.
      type: str
      returned: always
      sample: web-1
    id:
      description: What the back end calls it; a UUID, or a path.
      type: str
      returned: always
      sample: /srv/nfs1/build-a
    size:
      description: Its size in bytes, as a guest sees it.
      type: int
      returned: always
      sample: 21474836480
    state:
      description: V(available), V(working), V(half_done) or V(broken).
      type: str
      returned: always
      sample: available
    status:
      description: The same in the back end's own words.
      type: str
      returned: always
      sample: available
    location:
      description: Where it lives.
      type: str
      returned: always
      sample: /srv/nfs1
    image:
      description: What it was filled with; null if that is not known.
      type: dict
      returned: always
      sample: {"state": "ready", "origin": "glance", "image_id": "d0f1…", "image_name": "debian-13", "checksum": "sha512:e3b0…"}
    details:
      description: What else the driver tells of it.
      type: dict
      returned: always
      sample: {"format": "qcow2"}
plan:
  description: Always empty; this module changes nothing.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from ansible_collections.bootable.volumes.plugins.module_utils import module
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import openstack_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_info import VolumeInfo
from ansible_collections.bootable.volumes.plugins.module_utils.storage.registry import make_driver, storage_option


def build(wiring: module.Wiring) -> Operation:
    return VolumeInfo(driver=make_driver(wiring.params["storage"], wiring.surroundings), name=wiring.params["name"])


def main() -> None:
    module.run(build, module.compose(openstack_spec(), storage_option(), {"name": {"type": "str"}}))


if __name__ == "__main__":
    main()
