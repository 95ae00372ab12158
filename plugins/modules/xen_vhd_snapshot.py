#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_vhd_snapshot
short_description: Make images of the disks of a XenServer or XCP-ng machine
version_added: 0.3.0
description:
  - Makes images in Glance of the disks of a machine, running or halted, all as they were at one moment.
  - A snapshot is taken, its disks are exported, and what the pool exports goes to Glance while it arrives, without being stored on the way.
    The snapshot is always removed in the end; what a run that was killed has left is removed by the next one.
  - An image is one flat VHD, or an archive with a chain of VHDs in which each holds what differs from the next. Both boot with
    M(bootable.volumes.xen_vhd_boot).
  - The hash of what was sent is compared with the one that Glance computed of what arrived. An image that is not whole is never taken for one
    that is.
  - An image remembers the machine and the disk it was made of. A rerun leaves it alone, and does not ask whether the disk has changed since.
    For the machine's new content give a new name, or remove the old image.
author:
  - The bootable.volumes authors (@bootable)
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.openstack.beside_a_pool
  - bootable.volumes.waiting
  - bootable.volumes.xen
options:
  machine:
    description:
      - The machine, by name or UUID.
      - Required with O(state=present).
    type: str
  name:
    description:
      - The name of the image. V({device}) in it stands for the device, as in V(web-1-{device}).
      - Where several O(disks) are asked for and there is no V({device}), the image of the first has the name, those of the others the name
        followed by C(-) and the device, as in C(web-1-xvdb).
      - With O(state=absent) also the ID of an image.
      - Only images of the task's own project are looked at.
    type: str
    required: true
  disks:
    description:
      - The devices whose disks become images, by number or by what a guest calls them, as in V([0, xvdb]). One image is made of each.
      - By default the one that the machine boots from.
    type: list
    elements: str
  layout:
    description:
      - V(flat) makes one dynamic VHD of a disk, in a bare container.
      - V(chain) makes an archive of C(0.vhd), the newest, to C(n.vhd), which holds the rest, in the container C(ovf). Each snapshot that the disk
        descends from, as far as it is still there, is one of them, at most sixteen in all. What adds nothing is left out.
      - The pool exports what differs between two disks only where they are kept as VHDs.
    type: str
    choices: [flat, chain]
    default: flat
  base:
    description:
      - For O(layout=chain), the name or UUID of another disk, or of a snapshot's disk, in the same storage repository.
      - The chain has two VHDs then, C(1.vhd) with the content of this one, and C(0.vhd) with what differs from it.
      - No running machine may have it writable.
    type: str
  compress:
    description:
      - Whether the archive of O(layout=chain) is compressed with gzip.
    type: bool
    default: true
  stores:
    description:
      - The stores that shall hold the images, by their IDs, as in V([fast, slow]); V([all]) for all that can be written to; V([base]) for
        those of the image from which the machine's disk was made.
      - By default a new image goes to the stores of the image from which the disk was made, else to the default store.
      - Copies between stores need the right to C(copy-image), which by default only administrators have.
    type: list
    elements: str
  visibility:
    description:
      - Who sees the images. It is so from the first moment on.
      - By default a new image is private, and an existing one stays what it is.
      - V(public) is for administrators.
    type: str
    choices: [private, shared, community, public]
  is_protected:
    description:
      - Whether the images are protected from deletion. By default a new image is not, and an existing one stays what it is.
    type: bool
    aliases: [protected]
  tags:
    description:
      - The tags of the images, all of them. By default they are left as they are.
    type: list
    elements: str
  min_disk:
    description:
      - The least size, in GiB, of a disk that is made of an image. By default a new image has the size of its disk, rounded up.
    type: int
  properties:
    description:
      - Properties that the images shall have. Others are left as they are.
      - A new image of the disk that the machine boots from also says what the pool knows, as C(vm_mode) (C(hvm) or C(xen)), C(hw_firmware_type),
        C(os_secure_boot), and if the tools in the guest tell it C(os_type) and C(os_distro).
      - All images of one snapshot have the same C(xen_snapshot_time).
    type: dict
    default: {}
  on_drift:
    description:
      - What to do if an image of this name was not made of this disk, or has the other layout.
      - V(fail) changes nothing and says what differs.
      - V(ignore) leaves it as it is.
      - V(replace) makes the new image and then removes the other one.
    type: str
    choices: [fail, ignore, replace]
    default: fail
  state:
    description:
      - V(present) makes the images; V(absent) removes them, whatever has become of the machine. No pool is needed for that.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: bootable.volumes.xen_vhd_boot
  - module: bootable.volumes.image_from_volume
  - module: bootable.volumes.image_stores
"""

EXAMPLES = r"""
- name: An image of a running machine
  bootable.volumes.xen_vhd_snapshot:
    hostname: xen1.example.com
    password: "{{ xen_password }}"
    ca_path: /etc/ssl/xen-pool.pem
    cloud: production
    machine: golden
    name: golden-2026.11

- name: A published base image, in all stores
  bootable.volumes.xen_vhd_snapshot:
    hostname: xen1.example.com
    password: "{{ xen_password }}"
    cloud: production-admin
    machine: golden
    name: debian-13-vhd
    stores: [all]
    visibility: public
    is_protected: true
    properties:
      os_distro: debian

- name: Two disks of one moment, with the chains of their snapshots
  bootable.volumes.xen_vhd_snapshot:
    hostname: xen1.example.com
    password: "{{ xen_password }}"
    cloud: production
    machine: db-1
    name: db-1-{{ ansible_date_time.date }}-{device}
    disks: [0, xvdb]
    layout: chain

- name: They go
  bootable.volumes.xen_vhd_snapshot:
    cloud: production
    name: db-1-2026-10-28-{device}
    disks: [0, xvdb]
    state: absent
"""

RETURN = r"""
images:
  description:
    - The images; sizes in bytes, C(min_disk) in GiB. With O(state=absent), those that were removed.
    - In check mode without those that do not exist yet.
  returned: always
  type: list
  elements: dict
  sample: [{"id": "d0f1…", "name": "golden-2026.11", "status": "active", "disk_format": "vhd", "container_format": "bare", "size": 1342249984,
    "virtual_size": null, "min_disk": 20, "visibility": "private", "is_protected": false, "owner": "a514…", "tags": [], "stores": ["fast"],
    "locations": [], "checksum": "9c2e…", "hash_algo": "sha512", "hash_value": "4f1c…",
    "properties": {"vm_mode": "hvm", "hw_firmware_type": "uefi", "os_type": "linux", "xen_snapshot_time": "2026-11-28T13:09:42Z"},
    "created_at": "2026-11-28T13:09:42Z"}]
machine:
  description: The machine.
  returned: when O(state=present)
  type: dict
  sample: {"name": "golden", "uuid": "7a1d…", "power_state": "running"}
disks:
  description: The disks, in the order in which they were asked for.
  returned: when O(state=present)
  type: list
  elements: dict
  contains:
    device:
      description: What a guest calls the device.
      type: str
      returned: always
      sample: xvda
    number:
      description: The number of the device.
      type: str
      returned: always
      sample: "0"
    vdi:
      description: The UUID of the disk.
      type: str
      returned: always
      sample: 77c2a1b8-3e1f-4c39-8d9e-0f4cf7a50b11
    size:
      description: Bytes of the disk.
      type: int
      returned: always
      sample: 21474836480
    image:
      description: The name of its image.
      type: str
      returned: always
      sample: golden-2026.11
    image_id:
      description: The ID of its image; null in check mode if it does not exist yet.
      type: str
      returned: always
      sample: d0f1b0b0-5cc3-4a6c-9c57-3a1f6f0e2d11
    how:
      description:
        - How the image came to be what it is, one of V(created), V(adopted), V(updated), V(replaced), V(unchanged).
        - In check mode what would be done, such as V(create).
      type: str
      returned: always
      sample: created
    sent:
      description: Bytes that this task sent to Glance.
      type: int
      returned: always
      sample: 1342249984
    members:
      description: Of how many VHDs.
      type: int
      returned: always
      sample: 1
    placement:
      description: Where the image belongs and why, as RV(bootable.volumes.image_from_volume#module:placement) has it.
      type: dict
      returned: always
      sample: {"rule": "default", "reason": "the volume was not made from an image: so it is Glance's default store", "stores": ["fast"], "skipped": {}}
    stores:
      description: What has become of each store, as RV(bootable.volumes.image_from_volume#module:stores) has it.
      type: dict
      returned: always
      sample: {"fast": {"state": "present", "reason": ""}}
layout:
  description: The layout that was asked for.
  returned: when O(state=present)
  type: str
  sample: flat
seconds:
  description: How long it took.
  returned: when O(state=present)
  type: float
  sample: 31.42
plan:
  description: What was done, or in check mode would be done. V(sweep) removes a snapshot that a run which was killed has left.
  returned: success
  type: list
  elements: dict
  sample: [{"action": "create", "name": "golden-2026.11", "reason": "it does not exist"}]
drift:
  description: What differs in an image that is not what was asked for.
  returned: when O(on_drift) forbids the change
  type: dict
  sample: {"golden-2026.11": [{"what": "container_format", "found": "bare", "wanted": "ovf"}]}
"""

from ansible_collections.bootable.volumes.plugins.module_utils import module
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_vhd_snapshot import Wanted, XenSnapshotRemoval, XenVhdSnapshot


def build(wiring: module.Wiring) -> Operation:
    params = wiring.params
    if params["state"] == "absent":
        return XenSnapshotRemoval(cloud=wiring.cloud, name=params["name"], devices=params["disks"])
    stores = params["stores"]
    return XenVhdSnapshot(
        pool=wiring.pool,
        cloud=wiring.cloud,
        wanted=Wanted(
            machine=params["machine"],
            devices=params["disks"],
            wish=ImageWish(
                name=params["name"],
                disk_format="vhd",
                container_format="ovf" if params["layout"] == "chain" else "bare",
                visibility=params["visibility"],
                protected=params["is_protected"],
                tags=None if params["tags"] is None else tuple(params["tags"]),
                min_disk=params["min_disk"],
                properties={str(key): str(value) for key, value in params["properties"].items()},
            ),
            layout=params["layout"],
            base=params["base"],
            compress=params["compress"],
            asked=stores[0] if stores in (["all"], ["base"]) else stores,
            on_drift=params["on_drift"],
        ),
        warn=wiring.warn,
        job=wiring.job,
    )


def main() -> None:
    spec = module.compose(
        module.pool_and_cloud_spec(), module.waiting_spec(),
        {
            "machine": {"type": "str"},
            "name": {"type": "str", "required": True},
            "disks": {"type": "list", "elements": "str"},
            "layout": {"type": "str", "choices": ["flat", "chain"], "default": "flat"},
            "base": {"type": "str"},
            "compress": {"type": "bool", "default": True},
            "stores": {"type": "list", "elements": "str"},
            "visibility": {"type": "str", "choices": ["private", "shared", "community", "public"]},
            "is_protected": {"type": "bool", "aliases": ["protected"]},
            "tags": {"type": "list", "elements": "str"},
            "min_disk": {"type": "int"},
            "properties": {"type": "dict", "default": {}},
            "on_drift": {"type": "str", "choices": ["fail", "ignore", "replace"], "default": "fail"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    )
    module.run(build, spec, required_if=[("state", "present", ("machine",))])


if __name__ == "__main__":
    main()
