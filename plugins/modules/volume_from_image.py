#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_from_image
short_description: Create volumes that are filled with an image
version_added: 0.1.0
description:
  - Makes any number of volumes, each holding the content of one image, in one task.
  - The volumes live in O(storage); Cinder by default, or files on mounted storage.
  - A volume remembers the image it was filled with. A rerun leaves volumes of that image alone, finishes what
    another run began, and reports volumes that hold something else as drift.
  - Killed at any point, or out of time, it leaves nothing half-done behind that a rerun does not finish or remove.
author:
  - The bootable.volumes authors (@bootable)
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.image_source
  - bootable.volumes.naming
  - bootable.volumes.openstack
  - bootable.volumes.storage
  - bootable.volumes.waiting
options:
  size:
    description:
      - The size of each volume. A number counts GiB; V(512M) or V(1.5T) are powers of 1024.
      - By default the least that holds the image, and any larger size an existing volume has.
      - An existing smaller volume is grown. None is ever shrunk.
    type: str
  on_drift:
    description:
      - What to do with an existing volume that is not what was asked for, such as one filled with another image, or in error.
      - V(fail) changes nothing and says what differs.
      - V(ignore) leaves such volumes as they are.
      - V(refill) replaces the content and keeps the volume. What cannot be changed in place fails.
      - V(replace) removes the volume and makes it anew.
      - Neither is done to a volume that something holds.
    type: str
    choices: [fail, ignore, refill, replace]
    default: fail
  fan_out:
    description:
      - How several new volumes get their content.
      - V(copy) writes the image to each of them.
      - V(clone) fills one and lets the back end clone the others from it.
      - V(auto) finds out which is faster, and says why in RV(fan_out).
    type: str
    choices: [auto, copy, clone]
    default: auto
  concurrency:
    description:
      - How many requests, or copies, are under way at the same time.
    type: int
    default: 8
  state:
    description:
      - V(present) makes the volumes; V(absent) removes exactly the volumes named.
      - A volume that is attached, has snapshots or is in use is never removed; the message names what holds it.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: bootable.volumes.volume_info
  - module: bootable.volumes.file_volume
"""

EXAMPLES = r"""
- name: Three volumes on Ceph, all with the same image
  bootable.volumes.volume_from_image:
    cloud: production
    image: debian-13
    name: web-{index}
    count: 3
    size: 20G
    storage:
      volume_type: rbd

- name: Two qcow2 files, on whichever mount point has most room
  bootable.volumes.volume_from_image:
    cloud: production
    image: debian-13
    names: [build-a, build-b]
    storage:
      driver: file
      mountpoints: [/srv/nfs1, /srv/nfs2]
      format: qcow2

- name: A volume from a published image, verified
  bootable.volumes.volume_from_image:
    image_url: https://images.example.com/debian-13.qcow2
    image_checksum: sha256:https://images.example.com/SHA256SUMS
    name: golden
    storage:
      driver: file
      mountpoints: [/srv/volumes]

- name: New content for an existing volume
  bootable.volumes.volume_from_image:
    cloud: production
    image: debian-13.1
    name: web-1
    on_drift: refill

- name: These two go, and no other
  bootable.volumes.volume_from_image:
    cloud: production
    names: [web-1, web-2]
    state: absent
"""

RETURN = r"""
volumes:
  description:
    - The volumes, in the order in which they were named. With O(state=absent), those that were removed.
    - In check mode, volumes that do not exist yet have only RV(volumes[].name), RV(volumes[].size) and RV(volumes[].how).
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
      returned: when it exists
      sample: 5c4a37ee-27a1-4d5b-9d6c-6c0f5b1a4b8e
    size:
      description: Its size in bytes, as a guest sees it.
      type: int
      returned: always
      sample: 21474836480
    state:
      description: V(available), V(working), V(half_done) or V(broken).
      type: str
      returned: when it exists
      sample: available
    status:
      description: The same in the back end's own words.
      type: str
      returned: when it exists
      sample: in-use
    location:
      description: Where it lives.
      type: str
      returned: when it exists
      sample: rbd
    image:
      description: What it was filled with; null if that is not known.
      type: dict
      returned: when it exists
      sample: {"state": "ready", "origin": "glance", "image_id": "d0f1…", "image_name": "debian-13", "checksum": "md5:4f1c…"}
    details:
      description: What else the driver tells of it.
      type: dict
      returned: when it exists
      sample: {"volume_type": "rbd", "bootable": true}
    how:
      description:
        - How it came to be what it is, one of V(cloned), V(copied), V(adopted), V(unchanged), V(refilled), V(grown), V(updated).
        - In check mode what would be done, such as V(create).
      type: str
      returned: when O(state=present)
      sample: cloned
    seconds:
      description: How long that took.
      type: float
      returned: when O(state=present)
      sample: 1.42
image:
  description: The image; sizes in bytes, C(min_disk) in GiB.
  returned: when O(state=present)
  type: dict
  sample: {"name": "debian-13", "id": "d0f1…", "origin": "glance", "format": "qcow2", "size": 335544320, "virtual_size": 3221225472,
    "min_disk": 0, "checksums": {"sha512": "e3b0…"}}
fan_out:
  description: How new volumes got their content, and why so; null if none was made.
  returned: when O(state=present)
  type: dict
  sample: {"method": "clone", "reason": "the back end copies the image's bytes, so one was filled and the others cloned from it"}
plan:
  description: What was done, or in check mode would be done, to each volume.
  returned: success
  type: list
  elements: dict
  sample: [{"action": "create", "name": "web-1", "reason": "it does not exist"}]
drift:
  description: For each volume that is not what was asked for, what differs.
  returned: when O(on_drift) forbids the change
  type: dict
  sample: {"web-1": [{"what": "image", "found": "11d2…", "wanted": "d0f1…"}]}
failures:
  description: For each volume that could not be brought to the image, the reason.
  returned: when some volumes failed
  type: dict
  sample: {"web-3": "No valid backend was found"}
"""

from ansible_collections.bootable.volumes.plugins.module_utils import module
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import parse_size
from ansible_collections.bootable.volumes.plugins.module_utils.images.selection import KINDS, image_spec, make_source
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import openstack_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import expand_names, naming_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_removal import VolumeRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.storage.registry import make_driver, storage_option


def build(wiring: module.Wiring) -> Operation:
    params = wiring.params
    driver = make_driver(params["storage"], wiring.surroundings)
    names = expand_names(name=params["name"], names=params["names"], count=params["count"])
    if params["state"] == "absent":
        return VolumeRemoval(driver=driver, names=names, job=wiring.job)
    return VolumeFromImage(
        driver=driver,
        source=make_source(params, wiring.cloud),
        names=names,
        size=None if params["size"] is None else parse_size(params["size"]),
        on_drift=params["on_drift"],
        fan_out=params["fan_out"],
        job=wiring.job,
    )


def main() -> None:
    spec = module.compose(
        openstack_spec(), image_spec(), naming_spec(), storage_option(), module.waiting_spec(),
        {
            "size": {"type": "str"},
            "on_drift": {"type": "str", "choices": ["fail", "ignore", "refill", "replace"], "default": "fail"},
            "fan_out": {"type": "str", "choices": ["auto", "copy", "clone"], "default": "auto"},
            "concurrency": {"type": "int", "default": 8},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    )
    module.run(
        build, spec,
        mutually_exclusive=[("name", "names"), KINDS],
        required_one_of=[("name", "names")],
        required_if=[("state", "present", KINDS, True)],
        required_by={"image_url": "image_checksum"},
    )


if __name__ == "__main__":
    main()
