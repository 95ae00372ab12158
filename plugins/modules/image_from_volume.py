#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image_from_volume
short_description: Make an image of a volume, in exactly the stores it belongs in
version_added: 0.2.0
description:
  - Makes an image in Glance of one volume, of any storage.
  - Cinder clones the volume where its back end can, so that no byte is moved; else it uploads, and says nothing.
    Here the result is looked at, and RV(method_used) says which it was, and why.
  - Volumes of other storages are read, converted if need be, and sent; the hash of what was sent is compared with Glance's.
  - The image ends in the stores that O(stores) or the cloud's own rules name, and in no others.
  - An image remembers the volume it was made of. A rerun leaves it alone, finishes one that another run began,
    and reports another image of that name as drift. It does not ask whether the volume has changed since.
author:
  - The bootable.volumes authors (@bootable)
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.openstack
  - bootable.volumes.storage
  - bootable.volumes.waiting
options:
  name:
    description:
      - The name of the image. With O(state=absent) also its ID.
      - Only images of the task's own project are looked at.
    type: str
    required: true
  volume:
    description:
      - The name or ID of the volume.
      - Required with O(state=present).
    type: str
  method:
    description:
      - How the image gets its bytes.
      - V(auto) leaves it to the storage, and tells in RV(method_used) what came of it.
      - V(clone) wants an image that refers to a clone of the volume. Where Cinder uploaded instead, the image is removed and the task fails.
      - V(upload) wants an image with bytes of its own. Where Cinder cloned instead, Glance copies the bytes to the stores and the clone goes,
        which only administrators may; for others the image is removed and the task fails. A O(disk_format) other than V(raw) is always uploaded.
      - V(register) makes the volume itself the image. It is read-only from then on, and goes when the image goes. Glance allows that to accounts
        with the role C(service), or to all where C(show_multiple_locations) is on. The volume should belong to the project that owns the volumes of
        Glance's store.
    type: str
    choices: [auto, clone, upload, register]
    default: auto
  stores:
    description:
      - The stores that shall hold the image, by their IDs, as in V([fast, slow]); V([all]) for all that can be written to; V([base]) for
        those of the image from which the volume was made.
      - By default a new image goes where the specification of Cinder says. To the store that the volume's type names
        (C(image_service:store_id)), else, if one can boot from the volume, to the stores of the image from which it was made, else to the default store.
        An image that refers to a clone lies in the store of that volume.
      - Copies between stores need the right to C(copy-image), which by default only administrators have. Stores that were asked for and could not
        be reached fail the task; those of the default are warned of.
      - What was settled by default is not asked again in later runs.
    type: list
    elements: str
  disk_format:
    description:
      - The format of the image.
    type: str
    choices: [raw, qcow2, vhd, vhdx, vmdk, vdi, ploop]
    default: raw
  container_format:
    description:
      - The container of the image; anything but V(bare) is for volumes of Cinder.
    type: str
    choices: [bare, ovf, ova, docker, compressed]
    default: bare
  visibility:
    description:
      - Who sees the image. It is so from the first moment on.
      - By default a new image is private, and an existing one stays what it is.
      - V(public) is for administrators.
    type: str
    choices: [private, shared, community, public]
  is_protected:
    description:
      - Whether the image is protected from deletion. By default a new image is not, and an existing one stays what it is.
    type: bool
    aliases: [protected]
  tags:
    description:
      - The tags of the image, all of them. By default they are left as they are.
    type: list
    elements: str
  min_disk:
    description:
      - The least size, in GiB, of a disk that is made of the image.
    type: int
  properties:
    description:
      - Properties that the image shall have, such as C(os_type) or C(hw_disk_bus). Others are left as they are.
      - Cinder gives an image all properties of the image that the volume was made from.
    type: dict
    default: {}
  force:
    description:
      - Make an image of a volume in Cinder even if it is attached; of what is on its disk at that moment. A cloud may forbid that.
      - With O(state=absent), remove even an image that was made with O(method=register), and its volume with it.
    type: bool
    default: false
  on_drift:
    description:
      - What to do if an image of this name was not made of this volume, or not in this format or way.
      - V(fail) changes nothing and says what differs.
      - V(ignore) leaves it as it is.
      - V(replace) makes the new image and then removes the other one.
    type: str
    choices: [fail, ignore, replace]
    default: fail
  state:
    description:
      - V(present) makes the image; V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: bootable.volumes.image_stores
  - module: bootable.volumes.volume_from_image
"""

EXAMPLES = r"""
- name: An image of a volume, cloned where the back end can
  bootable.volumes.image_from_volume:
    cloud: production
    volume: golden
    name: golden-2026.11
    properties:
      os_distro: debian

- name: The same, public, in the stores of the image that the volume came from
  bootable.volumes.image_from_volume:
    cloud: production-admin
    volume: golden
    name: golden-2026.11
    method: upload
    stores: [base]
    visibility: public
    is_protected: true

- name: A small download of it
  bootable.volumes.image_from_volume:
    cloud: production
    volume: golden
    name: golden-2026.11-qcow2
    disk_format: qcow2

- name: A file on NFS becomes an image
  bootable.volumes.image_from_volume:
    cloud: production
    volume: build-a
    name: build-a
    stores: [fast]
    storage:
      driver: file
      mountpoints: [/srv/nfs1, /srv/nfs2]

- name: A volume that is the image from now on
  bootable.volumes.image_from_volume:
    cloud: production-service
    volume: golden
    name: golden
    method: register
    visibility: public

- name: It goes
  bootable.volumes.image_from_volume:
    cloud: production
    name: golden-2026.10
    state: absent
"""

RETURN = r"""
image:
  description:
    - The image; sizes in bytes, C(min_disk) in GiB. With O(state=absent), the one that was removed.
    - Null in check mode if it does not exist yet, and if there was none to remove.
  returned: always
  type: dict
  sample: {"id": "d0f1…", "name": "golden-2026.11", "status": "active", "disk_format": "raw", "container_format": "bare", "size": 21474836480,
    "virtual_size": null, "min_disk": 0, "visibility": "private", "is_protected": false, "owner": "a514…", "tags": [], "stores": ["vol"],
    "locations": ["cinder://vol/5c4a…"], "checksum": null, "hash_algo": null, "hash_value": null, "properties": {"os_distro": "debian"},
    "created_at": "2026-11-21T13:09:42Z"}
volume:
  description: The volume, as RV(bootable.volumes.volume_info#module:volumes) has it.
  returned: when O(state=present)
  type: dict
  sample: {"name": "golden", "id": "5c4a…", "size": 21474836480, "state": "available"}
how:
  description:
    - How the image came to be what it is, one of V(created), V(adopted), V(updated), V(replaced), V(unchanged).
    - In check mode what would be done, such as V(create).
  returned: when O(state=present)
  type: str
  sample: created
method_used:
  description: V(clone), V(upload) or V(register), as the image itself shows; null while it is not active.
  returned: when O(state=present)
  type: str
  sample: clone
method_reason:
  description: Why it was that one.
  returned: when O(state=present)
  type: str
  sample: Cinder cloned the volume, and the image refers to the clone
placement:
  description:
    - Where the image belongs, C(stores), and by which C(rule), V(explicit), V(all), V(volume_type), V(base_image), V(default), V(single) or V(location),
      and why that one applied. C(skipped) are stores that the rule names but that cannot be had, and why.
    - Null if it was settled before.
  returned: when O(state=present)
  type: dict
  sample: {"rule": "base_image", "reason": "the image d0f1… that the volume was made from is in fast, slow", "stores": ["fast", "slow"], "skipped": {}}
stores:
  description: What has become of each store, V(present), V(copied), V(removed), V(pending), V(failed), V(denied), V(read_only), V(unknown), and why.
  returned: when O(state=present)
  type: dict
  sample: {"fast": {"state": "copied", "reason": ""}, "slow": {"state": "denied", "reason": "…"}}
seconds:
  description: How long it took.
  returned: when O(state=present)
  type: float
  sample: 1.42
plan:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: dict
  sample: [{"action": "create", "name": "golden-2026.11", "reason": "it does not exist"}]
drift:
  description: What differs in an image that is not what was asked for.
  returned: when O(on_drift) forbids the change
  type: dict
  sample: {"golden": [{"what": "disk_format", "found": "qcow2", "wanted": "raw"}]}
unfinished:
  description: The image that was not ready in time, with its ID and status.
  returned: when the time ran out
  type: dict
  sample: {"golden": {"id": "d0f1…", "status": "saving"}}
"""

from ansible_collections.bootable.volumes.plugins.module_utils import module
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import openstack_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_from_volume import ImageFromVolume
from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_removal import ImageRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.storage.registry import make_driver, storage_option


def build(wiring: module.Wiring) -> Operation:
    params = wiring.params
    if params["state"] == "absent":
        return ImageRemoval(cloud=wiring.cloud, name=params["name"], force=params["force"])
    stores = params["stores"]
    return ImageFromVolume(
        driver=make_driver(params["storage"], wiring.surroundings),
        volume=params["volume"],
        wish=ImageWish(
            name=params["name"],
            disk_format=params["disk_format"],
            container_format=params["container_format"],
            method=params["method"],
            visibility=params["visibility"],
            protected=params["is_protected"],
            tags=None if params["tags"] is None else tuple(params["tags"]),
            min_disk=params["min_disk"],
            properties={str(key): str(value) for key, value in params["properties"].items()},
            force=params["force"],
        ),
        asked=stores[0] if stores in (["all"], ["base"]) else stores,
        on_drift=params["on_drift"],
        cloud=wiring.cloud,
        warn=wiring.warn,
        job=wiring.job,
    )


def main() -> None:
    spec = module.compose(
        openstack_spec(), storage_option(), module.waiting_spec(),
        {
            "name": {"type": "str", "required": True},
            "volume": {"type": "str"},
            "method": {"type": "str", "choices": ["auto", "clone", "upload", "register"], "default": "auto"},
            "stores": {"type": "list", "elements": "str"},
            "disk_format": {"type": "str", "choices": ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "ploop"], "default": "raw"},
            "container_format": {"type": "str", "choices": ["bare", "ovf", "ova", "docker", "compressed"], "default": "bare"},
            "visibility": {"type": "str", "choices": ["private", "shared", "community", "public"]},
            "is_protected": {"type": "bool", "aliases": ["protected"]},
            "tags": {"type": "list", "elements": "str"},
            "min_disk": {"type": "int"},
            "properties": {"type": "dict", "default": {}},
            "force": {"type": "bool", "default": False},
            "on_drift": {"type": "str", "choices": ["fail", "ignore", "replace"], "default": "fail"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    )
    module.run(build, spec, required_if=[("state", "present", ("volume",))])


if __name__ == "__main__":
    main()
