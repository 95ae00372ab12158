#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_migrate
short_description: Move a volume from one storage to another, of whatever drivers
version_added: 0.3.0
description:
  - Copies a volume from O(source) to O(destination), reads it back, compares both by their hash, and only then removes it from the source.
  - Any driver to any driver. What a host can open is read and written through the host where the module runs. Volumes of Cinder are never attached;
    they travel by way of a private image in Glance, which is removed in the end. Where the host reaches the Ceph that they are in, O(source.ceph_pool)
    and O(destination.ceph_pool) have them read and written there, without Glance.
  - The moved volume remembers the image that the old one was filled with.
  - What is a hole in the volume stays one where the destination can have holes.
  - Killed at any point, or out of time, a rerun goes on. The source is never touched before the destination is complete.
  - A volume that something holds is refused.
author:
  - The bootable.volumes authors (@bootable)
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.openstack
  - bootable.volumes.storage_sides
  - bootable.volumes.waiting
options:
  name:
    description:
      - The name of the volume in O(source).
    type: str
    required: true
  new_name:
    description:
      - The name of the volume in O(destination). By default the same.
    type: str
  size:
    description:
      - The size of the volume in O(destination), not less than in O(source). A number counts GiB; V(512M) or V(1.5T) are powers of 1024.
      - By default as large as in O(source), in the units that the destination counts in.
    type: str
  keep_source:
    description:
      - Leave the volume in O(source), too. A rerun then finds both and changes nothing.
    type: bool
    default: false
seealso:
  - module: bootable.volumes.volume_from_image
  - module: bootable.volumes.file_volume
"""

EXAMPLES = r"""
- name: From NFS to Ceph, through Cinder
  bootable.volumes.volume_migrate:
    cloud: production
    name: build-a
    source:
      driver: file
      mountpoints: [/srv/nfs1, /srv/nfs2]
    destination:
      volume_type: rbd

- name: Out of Cinder onto this host, and the volume stays where it is, too
  bootable.volumes.volume_migrate:
    cloud: production
    name: golden
    new_name: golden-copy
    source: {}
    destination:
      driver: file
      mountpoint: /srv/volumes
      format: qcow2
    keep_source: true

- name: Between Cinder's pool and another one of the same Ceph, without an image in Glance
  bootable.volumes.volume_migrate:
    cloud: production
    name: build-a
    source:
      driver: rbd
      pool: vms
      ceph_user: migration
    destination:
      volume_type: rbd
      ceph_pool: volumes
      ceph_user: migration
"""

RETURN = r"""
volume:
  description:
    - The volume in the destination, as RV(bootable.volumes.volume_info#module:volumes) has it.
    - Null in check mode if it is not there yet.
  returned: always
  type: dict
  sample: {"name": "build-a", "id": "5c4a…", "size": 21474836480, "state": "available"}
source:
  description: The volume in the source as it was; null if it was not there any more.
  returned: always
  type: dict
  sample: {"name": "build-a", "id": "/srv/nfs1/build-a", "size": 21474836480, "state": "available"}
checksum:
  description: The hash of the content, which was the same on both sides; null if nothing was moved.
  returned: always
  type: str
  sample: sha512:e3b0c442…
seconds:
  description: How long it took.
  returned: always
  type: float
  sample: 14.2
plan:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: dict
  sample: [{"action": "migrate", "name": "build-a", "reason": "it is not in the destination"}]
drift:
  description: What differs, if the destination has another volume of that name.
  returned: when that is so
  type: dict
  sample: {"build-a": [{"what": "image", "found": "11d2…", "wanted": "d0f1…"}]}
"""

from ansible_collections.bootable.volumes.plugins.module_utils import module
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import parse_size
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import openstack_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_migrate import VolumeMigrate
from ansible_collections.bootable.volumes.plugins.module_utils.storage.registry import make_driver, storage_option


def build(wiring: module.Wiring) -> Operation:
    params = wiring.params
    return VolumeMigrate(
        name=params["name"],
        new_name=params["new_name"] or params["name"],
        source=make_driver(params["source"], wiring.surroundings, option="source"),
        destination=make_driver(params["destination"], wiring.surroundings, option="destination"),
        size=None if params["size"] is None else parse_size(params["size"]),
        keep_source=params["keep_source"],
        cloud=wiring.cloud,
        job=wiring.job,
    )


def main() -> None:
    spec = module.compose(
        openstack_spec(), module.waiting_spec(), storage_option("source", required=True), storage_option("destination", required=True),
        {
            "name": {"type": "str", "required": True},
            "new_name": {"type": "str"},
            "size": {"type": "str"},
            "keep_source": {"type": "bool", "default": False},
        },
    )
    module.run(build, spec)


if __name__ == "__main__":
    main()
