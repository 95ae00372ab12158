#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: xen_vhd_boot
short_description: Boot XenServer or XCP-ng machines from an image
version_added: 0.3.0
description:
  - Makes any number of machines in a pool, each with its own disk that holds one image, starts them, and proves that they booted.
  - A VHD, or an archive with a chain of VHDs, is sent into the storage repository as it arrives, without being stored on the way.
    Several machines of one image get it imported once and cloned.
  - A machine remembers the image it was made of. A rerun leaves machines of that image alone, finishes or removes what
    another run began, and reports what differs as drift.
  - A machine that was not made by this module is never touched, even if it has the name.
  - Killed at any point, or out of time, it leaves nothing half-done behind that a rerun does not finish or remove.
author:
  - The bootable.volumes authors (@bootable)
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.image_source
  - bootable.volumes.naming.machines
  - bootable.volumes.openstack.beside_a_pool
  - bootable.volumes.waiting
  - bootable.volumes.xen
options:
  state:
    description:
      - V(started) makes machines that do not exist, starts those that do not run, and waits until they have booted.
      - V(present) makes machines that do not exist, and leaves their power alone.
      - V(stopped) makes machines that do not exist, and shuts down those that run.
      - V(absent) removes exactly the machines named, with the disks that were made for them. Other disks that they have stay.
      - An image is needed only to make machines; without one, the others states are for machines that are there.
    type: str
    choices: [started, present, stopped, absent]
    default: started
  sr:
    description:
      - The storage repository for the disks, by name or UUID. By default the pool's default one.
      - An existing machine whose disk is in another one than the one named is drift that only O(on_drift=replace) mends.
    type: str
  size:
    description:
      - The size of the disk to boot from. A number counts GiB; V(512M) or V(1.5T) are powers of 1024.
      - By default the least that holds the image. The disk of a halted machine is grown. None is ever shrunk.
    type: str
  template:
    description:
      - The template to make machines of, by name or UUID. Its settings count; disks and networks that it has or would make do not.
      - Existing machines are not compared with it.
    type: str
    default: Other install media
  vcpus:
    description:
      - How many virtual processors a machine has. By default as many as the template has.
    type: int
  memory:
    description:
      - How much memory a machine has. A number counts GiB; V(512M) or V(1.5G) are powers of 1024. By default as much as the template has.
    type: str
  networks:
    description:
      - The network cards that a machine has, in the order of their devices, and no others.
      - By default a new machine has none, and those of an existing one are left alone.
    type: list
    elements: dict
    suboptions:
      network:
        description: The network, by name or UUID.
        type: str
        required: true
      mac:
        description: The card's MAC address, for a single machine. By default the pool makes one up.
        type: str
  boot_mode:
    description:
      - V(hvm) starts a machine as hardware does, V(pv) reads the kernel from its disk (pygrub), which recent pools cannot any more.
      - By default what the image's property C(vm_mode) says (C(hvm) or C(xen)), else what the template does.
    type: str
    choices: [hvm, pv]
  pv_args:
    description:
      - Arguments for the kernel of a machine with O(boot_mode=pv).
    type: str
  firmware:
    description:
      - The firmware that starts the machine. By default what the image's property C(hw_firmware_type) says, else what the template has.
      - A disk that was installed with the one does not boot with the other.
    type: str
    choices: [bios, uefi]
  secure_boot:
    description:
      - Whether the firmware, which is V(uefi) then, starts nothing but what is signed. By default as the template has it.
    type: bool
  boot_order:
    description:
      - What the firmware tries, in this order; V(c) is the disk, V(d) the CD, V(n) the network. By default as the template has it.
    type: str
  affinity:
    description:
      - The host that machines shall run on if it can, by name or UUID. An empty text takes that away. By default any.
    type: str
  description:
    description:
      - The description of the machines.
    type: str
  on_drift:
    description:
      - What to do with an existing machine that is not what was asked for, where that cannot be changed in place.
      - What can be changed is changed - the description and affinity at any time, and of a machine that is halted,
        or is to be with O(state=stopped), also processors, memory, firmware, boot order, networks, and the size upwards.
      - V(fail) changes nothing and says what differs.
      - V(ignore) leaves what cannot be changed as it is.
      - V(replace) removes the machine with the disk that was made for it, and makes it anew.
    type: str
    choices: [fail, ignore, replace]
    default: fail
  fan_out:
    description:
      - How the disks of several new machines get their content.
      - V(copy) sends the image into each of them, V(clone) into one that the others are cloned from. V(auto) clones.
    type: str
    choices: [auto, copy, clone]
    default: auto
  force:
    description:
      - Switch machines off where they have to be halted. By default their guests are asked to shut down, which takes tools in the guest.
    type: bool
    default: false
  wait_for:
    description:
      - What shows that a machine has booted, with O(state=started).
      - V(running) is that it runs, and still does after five seconds.
      - V(guest_tools) is that the tools in its guest report.
      - V(ip) is that they report an address. It needs a network.
    type: str
    choices: [running, guest_tools, ip]
    default: running
  concurrency:
    description:
      - How many requests are under way at the same time.
    type: int
    default: 8
seealso:
  - module: bootable.volumes.volume_from_image
"""

EXAMPLES = r"""
- name: A machine from a published image, until it has an address
  bootable.volumes.xen_vhd_boot:
    hostname: xen1.example.com
    password: "{{ xen_password }}"
    ca_path: /etc/ssl/xen-pool.pem
    cloud: production
    image: debian-13-vhd
    name: web-1
    vcpus: 2
    memory: 2G
    size: 20G
    networks:
      - network: Pool-wide network associated with eth0
    wait_for: ip

- name: Three machines that are cloned from one import
  bootable.volumes.xen_vhd_boot:
    hostname: xen1.example.com
    password: "{{ xen_password }}"
    image_url: https://images.example.com/debian-13.vhd
    image_checksum: sha256:https://images.example.com/SHA256SUMS
    name: build-{index}
    count: 3
    sr: Fast
    firmware: uefi

- name: More memory, which needs a halted machine
  bootable.volumes.xen_vhd_boot:
    hostname: xen1.example.com
    password: "{{ xen_password }}"
    name: web-1
    memory: 4G
    state: stopped

- name: The machine goes, with its disk
  bootable.volumes.xen_vhd_boot:
    hostname: xen1.example.com
    password: "{{ xen_password }}"
    name: web-1
    state: absent
"""

RETURN = r"""
machines:
  description:
    - The machines, in the order in which they were named. With O(state=absent), those that were removed, as they were.
    - In check mode, machines that do not exist yet have only RV(machines[].name) and RV(machines[].how).
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The machine's name.
      type: str
      returned: always
      sample: web-1
    uuid:
      description: What the pool calls it.
      type: str
      returned: when it exists
      sample: 0b2c5f7e-6f0c-4b0e-9d6f-1f4f3f3c3a11
    power_state:
      description: V(running), V(halted), V(paused) or V(suspended).
      type: str
      returned: when it exists
      sample: running
    vcpus:
      description: Its virtual processors.
      type: int
      returned: when it exists
      sample: 2
    memory:
      description: Its memory in bytes.
      type: int
      returned: when it exists
      sample: 2147483648
    firmware:
      description: V(bios) or V(uefi); null for a machine that boots as V(pv).
      type: str
      returned: when it exists
      sample: uefi
    boot_mode:
      description: V(hvm) or V(pv).
      type: str
      returned: when it exists
      sample: hvm
    host:
      description: The host that it runs on; null while it is halted.
      type: str
      returned: when it exists
      sample: xen2
    disks:
      description: Its disks, by device; sizes in bytes.
      type: list
      elements: dict
      returned: when it exists
      sample: [{"device": "0", "name": "web-1-root", "vdi": "77c2…", "size": 21474836480, "sr": "Fast", "sr_uuid": "9a1e…", "bootable": true}]
    networks:
      description: Its network cards, by device, with the addresses that the guest's tools tell of.
      type: list
      elements: dict
      returned: when it exists
      sample: [{"device": "0", "mac": "02:51:3a:8e:00:01", "network": "Pool-wide network associated with eth0", "ips": ["192.0.2.17"]}]
    guest_tools:
      description: Whether the tools in its guest report.
      type: bool
      returned: when it exists
      sample: true
    image:
      description: What its disk was filled with.
      type: dict
      returned: when it exists
      sample: {"state": "ready", "origin": "glance", "image_id": "d0f1…", "image_name": "debian-13-vhd", "checksum": "sha512:4f1c…"}
    how:
      description:
        - How it came to be what it is, one of V(created), V(adopted), V(replaced), V(updated), V(started), V(stopped), V(unchanged).
        - In check mode what would be done, such as V(create).
      type: str
      returned: when O(state) is not V(absent)
      sample: created
    seconds:
      description: How long that took.
      type: float
      returned: when O(state) is not V(absent)
      sample: 14.2
image:
  description: The image; sizes in bytes, C(min_disk) in GiB. Null if none was named.
  returned: when O(state) is not V(absent)
  type: dict
  sample: {"name": "debian-13-vhd", "id": "d0f1…", "origin": "glance", "format": "vhd", "size": 335544320, "virtual_size": null,
    "min_disk": 3, "checksums": {"sha512": "e3b0…"}}
fan_out:
  description: How new disks got their content, and why so; null if none was made.
  returned: when O(state) is not V(absent)
  type: dict
  sample: {"method": "clone", "reason": "the back end clones volumes"}
plan:
  description: What was done, or in check mode would be done, to each machine.
  returned: success
  type: list
  elements: dict
  sample: [{"action": "create", "name": "web-1", "reason": "it does not exist"}]
drift:
  description: For each machine that is not what was asked for, what differs.
  returned: when O(on_drift) forbids the change
  type: dict
  sample: {"web-1": [{"what": "image", "found": "11d2…", "wanted": "d0f1…"}]}
failures:
  description: For each machine that could not be brought to what was asked for, the reason.
  returned: when some machines failed
  type: dict
  sample: {"web-3": "no host can run the machine web-3: xen1: HOST_NOT_ENOUGH_FREE_MEMORY"}
waiting:
  description: The machines that had not booted when time was over, as they were then.
  returned: when the task ran out of time
  type: dict
  sample: {"web-1": {"uuid": "0b2c…", "power_state": "running", "guest_tools": false, "ips": []}}
"""

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils import module
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import parse_size
from ansible_collections.bootable.volumes.plugins.module_utils.images.selection import KINDS, image_spec, make_source
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import expand_names, naming_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_removal import MachineRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machines import Registry
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_vhd_boot import DEFAULT_TEMPLATE, Options, XenVhdBoot
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.driver import XenDriver
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machine_records import Hardware


def build(wiring: module.Wiring) -> Operation:
    params, pool = wiring.params, wiring.pool()
    names = tuple(expand_names(name=params["name"], names=params["names"], count=params["count"]))
    registry = Registry(pool)

    def storage(sr: t.Optional[str]) -> XenDriver:
        return XenDriver(pool, sr, runner=wiring.runner)

    if params["state"] == "absent":
        return MachineRemoval(registry=registry, storage=storage, names=names, sr=params["sr"], force=params["force"], job=wiring.job)
    return XenVhdBoot(
        registry=registry,
        storage=storage,
        source=make_source(params, wiring.cloud) if any(params[kind] for kind in KINDS) else None,
        options=Options(
            names=names,
            hardware=Hardware(
                memory=size_of(params, "memory"),
                mode=params["boot_mode"],
                **{name: params[name] for name in ("vcpus", "firmware", "secure_boot", "boot_order", "pv_args", "description")},
            ),
            size=size_of(params, "size"),
            networks=None if params["networks"] is None else tuple(params["networks"]),
            **{name: params[name] for name in ("state", "template", "sr", "affinity", "wait_for", "on_drift", "fan_out", "force")},
        ),
        job=wiring.job,
    )


def size_of(params: t.Mapping[str, t.Any], option: str) -> t.Optional[int]:
    """The bytes that an option stands for, if it was given."""
    return None if params[option] is None else parse_size(params[option], option=option)


def main() -> None:
    spec = module.compose(
        module.pool_and_cloud_spec(), image_spec(), naming_spec(), module.waiting_spec(),
        {
            "state": {"type": "str", "choices": ["started", "present", "stopped", "absent"], "default": "started"},
            "sr": {"type": "str"},
            "size": {"type": "str"},
            "template": {"type": "str", "default": DEFAULT_TEMPLATE},
            "vcpus": {"type": "int"},
            "memory": {"type": "str"},
            "networks": {"type": "list", "elements": "dict", "options": {"network": {"type": "str", "required": True}, "mac": {"type": "str"}}},
            "boot_mode": {"type": "str", "choices": ["hvm", "pv"]},
            "pv_args": {"type": "str"},
            "firmware": {"type": "str", "choices": ["bios", "uefi"]},
            "secure_boot": {"type": "bool"},
            "boot_order": {"type": "str"},
            "affinity": {"type": "str"},
            "description": {"type": "str"},
            "on_drift": {"type": "str", "choices": ["fail", "ignore", "replace"], "default": "fail"},
            "fan_out": {"type": "str", "choices": ["auto", "copy", "clone"], "default": "auto"},
            "force": {"type": "bool", "default": False},
            "wait_for": {"type": "str", "choices": ["running", "guest_tools", "ip"], "default": "running"},
            "concurrency": {"type": "int", "default": 8},
        },
    )
    module.run(
        build, spec,
        mutually_exclusive=[("name", "names"), KINDS],
        required_one_of=[("name", "names")],
        required_by={"image_url": "image_checksum"},
    )


if __name__ == "__main__":
    main()
