#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: boot_from_volume
short_description: Boot servers, each from its own volume of one image
version_added: 0.4.0
description:
  - Makes any number of servers in OpenStack's Compute, Nova, each on its own volume that holds one image, in one task.
  - A volume is filled before Nova is asked for its server, as M(bootable.volumes.volume_from_image) fills it, so that Nova never waits for one.
    Servers whose volumes are ready are asked for while others are still being filled.
  - A server remembers its volume and the image. A rerun leaves servers of that image alone, finishes or removes what another run began, makes
    anew what came to nothing, and reports what differs as drift.
  - A server that was not made by this module is never touched, even if it has the name.
  - Killed at any point, or out of time, it leaves nothing half-done behind that a rerun does not finish or remove. Two runs of one task
    at the same time make each server once.
author:
  - The bootable.volumes authors (@bootable)
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.image_source
  - bootable.volumes.naming.servers
  - bootable.volumes.openstack
  - bootable.volumes.storage.cinder
  - bootable.volumes.waiting
options:
  state:
    description:
      - V(started) makes servers that do not exist, starts those that do not run, and waits until they have booted.
      - V(present) makes servers that do not exist, and leaves the power of others alone.
      - V(stopped) makes servers that do not exist, and shuts down those that run.
      - V(absent) removes exactly the servers named. Their volumes stay unless O(delete_volumes) says otherwise.
      - What to make servers of is needed only to make them; without it, the other states are for servers that are there.
    type: str
    choices: [started, present, stopped, absent]
    default: started
  volumes:
    description:
      - Volumes that are there already, by name or ID, in the order of the servers, one for each to boot from.
      - Mutually exclusive with O(image), O(image_file) and O(image_url).
    type: list
    elements: str
  size:
    description:
      - The size of the volume to boot from. A number counts GiB; V(512M) or V(1.5T) are powers of 1024.
      - By default the least that holds the image, and any larger size an existing volume has.
      - An existing smaller volume is grown, under a server that runs as well. None is ever shrunk.
    type: str
  fan_out:
    description:
      - How the volumes of several new servers get their content.
      - V(copy) writes the image to each of them, V(clone) fills one and lets the back end clone the others from it.
      - V(auto) finds out which is faster, and says why in RV(fan_out).
    type: str
    choices: [auto, copy, clone]
    default: auto
  root_device:
    description:
      - How a new server sees the volume that it boots from.
    type: dict
    suboptions:
      bus:
        description: What it is connected to, such as V(virtio), V(scsi), V(sata) or V(usb). By default what the image says, or Nova's choice.
        type: str
      type:
        description: What kind of device it is.
        type: str
        choices: [disk, cdrom, lun]
      tag:
        description: The name under which the guest finds it in its metadata.
        type: str
  data_volumes:
    description:
      - Further volumes that each server has. One that an existing server lacks is drift.
      - Those of an existing server that are not listed are left alone.
      - A volume that O(on_drift=update) attaches to an existing server gets the bus and the type that Nova chooses, for Nova attaches no other way;
        O(data_volumes[].delete_on_termination) is heeded there since its microversion 2.79 (Train).
    type: list
    elements: dict
    suboptions:
      size:
        description:
          - The size of a new, empty volume for each server. A number counts GiB; V(1T) is a power of 1024.
          - One that is there already under the name that it would get, such as C(web-1-data-1), is used.
        type: str
      volume:
        description: A volume that is there already, by name or ID; V({name}) stands for the server's name.
        type: str
      volume_type:
        description: The type of a new volume, by name or ID. By default the one in O(storage).
        type: str
      bus:
        description: As O(root_device.bus).
        type: str
      type:
        description: As O(root_device.type).
        type: str
        choices: [disk, cdrom, lun]
      tag:
        description: As O(root_device.tag).
        type: str
      delete_on_termination:
        description: Whether Nova removes the volume when the server goes.
        type: bool
        default: false
  delete_on_termination:
    description:
      - Whether Nova removes the volume that a new server boots from when the server goes, whoever removes it.
      - A server that comes to nothing takes it along, too; it is filled again then.
    type: bool
    default: false
  delete_volumes:
    description:
      - With O(state=absent), whether the volumes go that were made for the servers. Volumes that were there before stay in any case.
      - Volumes that an earlier run left behind without a server go, too.
    type: bool
    default: false
  flavor:
    description:
      - The flavor, by name or ID. Needed to make servers.
      - An existing server of another flavor is drift that only O(on_drift=replace) mends.
    type: str
  networks:
    description:
      - The networks that a new server is connected to. Existing servers are not compared with it.
      - Each is the name or ID of a network, or a dict with C(network) or C(port) (name or ID), and optionally C(fixed_ip) and C(tag).
      - V(none) alone connects it to none, V(auto) alone leaves it to Nova.
    type: list
    elements: raw
    default: [auto]
  key_name:
    description:
      - The key pair for a new server.
    type: str
  security_groups:
    description:
      - The security groups of a new server, by name or ID. By default the project's default one.
    type: list
    elements: str
  user_data:
    description:
      - What a new server's guest is told when it first boots, such as a script or C(#cloud-config), as text. At most 49149 bytes.
    type: str
    aliases: [userdata]
  config_drive:
    description:
      - Whether a new server gets its metadata on a drive. By default as Nova is set up.
    type: bool
  metadata:
    description:
      - Keys and values that the servers shall have. Set on existing servers, too; other keys are left alone.
      - Keys that begin with C(bootable_) are the collection's own.
    type: dict
    aliases: [meta]
  availability_zone:
    description:
      - The zone to run in. The volumes' zone is in O(storage).
      - An existing server in another zone is drift that only O(on_drift=replace) mends.
    type: str
  server_group:
    description:
      - The server group that a new server belongs to, by name or ID.
    type: str
  scheduler_hints:
    description:
      - What the scheduler is told of a new server.
    type: dict
  description:
    description:
      - The description of a new server.
    type: str
  on_drift:
    description:
      - What to do with an existing server that is not what was asked for - in error, of another flavor or in another zone, on a volume of another image,
        type or zone, or without a data volume.
      - V(fail) changes nothing and says what differs.
      - V(ignore) leaves such servers as they are.
      - V(update) attaches data volumes that are missing. What cannot be changed in place fails.
      - V(replace) removes the server and makes it anew. Its volume stays if it holds the image, and is made anew if not. Data volumes stay.
      - Metadata, and a larger O(size), are changed in any case. A server that never ran because the request for it failed is made anew in any case.
    type: str
    choices: [fail, ignore, update, replace]
    default: fail
  wait_for:
    description:
      - What shows that a server has booted, with O(state=started).
      - V(active) is that Nova says so.
      - 'C({console: PATTERN}), or the same as text, is that beyond that its console shows what matches a regular expression.'
      - A server that ran before, and whose console is so long that Nova does not show its beginning any more, need not show it.
    type: raw
    default: active
  concurrency:
    description:
      - How many requests are under way at the same time.
    type: int
    default: 8
seealso:
  - module: bootable.volumes.volume_from_image
  - module: bootable.volumes.image_from_volume
  - module: bootable.volumes.xen_vhd_boot
"""

EXAMPLES = r"""
- name: Five servers, each on its own volume of one image, until all of them have booted
  bootable.volumes.boot_from_volume:
    cloud: production
    image: debian-13
    name: web-{index}
    count: 5
    size: 20G
    storage:
      volume_type: rbd
    flavor: m1.small
    networks: [front, back]
    key_name: operator
    wait_for: {console: 'login:'}

- name: A server with a data disk that the guest finds by its tag
  bootable.volumes.boot_from_volume:
    cloud: production
    image: debian-13
    name: db-1
    flavor: m1.large
    networks: [back]
    data_volumes:
      - size: 100G
        volume_type: ssd
        tag: data
    on_drift: update

- name: Servers on volumes that are there
  bootable.volumes.boot_from_volume:
    cloud: production
    volumes: [golden-1, golden-2]
    names: [build-1, build-2]
    flavor: m1.small
    networks: none

- name: The servers go, and their volumes with them
  bootable.volumes.boot_from_volume:
    cloud: production
    name: web-{index}
    count: 5
    state: absent
    delete_volumes: true
"""

RETURN = r"""
servers:
  description:
    - The servers, in the order in which they were named. With O(state=absent), those that were removed, as they were.
    - In check mode, servers that do not exist yet have only RV(servers[].name) and RV(servers[].how).
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The server's name.
      type: str
      returned: always
      sample: web-1
    id:
      description: What Nova calls it.
      type: str
      returned: when it exists
      sample: 7c6f0b56-5a5b-4d1c-9d52-0f8c3e0a4c11
    status:
      description: Its status in Nova's words.
      type: str
      returned: when it exists
      sample: ACTIVE
    flavor:
      description: The name of its flavor.
      type: str
      returned: when it exists
      sample: m1.small
    availability_zone:
      description: The zone that it runs in.
      type: str
      returned: when it exists
      sample: nova
    description:
      description: Its description.
      type: str
      returned: when it exists
      sample: a web server
    key_name:
      description: Its key pair.
      type: str
      returned: when it exists
      sample: operator
    metadata:
      description: Its metadata without what the collection keeps there.
      type: dict
      returned: when it exists
      sample: {"role": "web"}
    addresses:
      description: Its addresses, by network, as Nova tells them.
      type: dict
      returned: when it exists
      sample: {"front": [{"addr": "192.0.2.17", "version": 4}]}
    ips:
      description: The same addresses, as a list.
      type: list
      elements: str
      returned: when it exists
      sample: ["192.0.2.17"]
    volume:
      description: The volume that it boots from, as M(bootable.volumes.volume_from_image) returns volumes; null if it is gone.
      type: dict
      returned: when it exists
      sample: {"name": "web-1-root", "id": "5c4a…", "size": 21474836480, "state": "available", "status": "in-use", "location": "rbd",
        "image": {"state": "ready", "origin": "glance", "image_id": "d0f1…", "image_name": "debian-13", "checksum": "md5:4f1c…"}, "details": {}}
    volumes:
      description: All volumes that it has.
      type: list
      elements: dict
      returned: when it exists
      sample: [{"id": "5c4a…", "delete_on_termination": false}]
    created_at:
      description: When it was made, by Nova's clock.
      type: str
      returned: when it exists
      sample: "2026-11-28T12:00:00Z"
    console:
      description: What on its console matched the pattern.
      type: str
      returned: when O(wait_for) has a pattern, and it was waited for
      sample: "login:"
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
      sample: 9.3
volumes:
  description: The volumes that were removed.
  returned: when O(state=absent)
  type: list
  elements: dict
  sample: [{"name": "web-1-root", "id": "5c4a…", "size": 21474836480, "state": "available", "status": "in-use"}]
image:
  description: The image; sizes in bytes, C(min_disk) in GiB. Null if none was named.
  returned: when O(state) is not V(absent)
  type: dict
  sample: {"name": "debian-13", "id": "d0f1…", "origin": "glance", "format": "qcow2", "size": 335544320, "virtual_size": 3221225472,
    "min_disk": 0, "checksums": {"sha512": "e3b0…"}}
fan_out:
  description: How new volumes got their content, and why so; null if none was made.
  returned: when O(state) is not V(absent)
  type: dict
  sample: {"method": "clone", "reason": "the back end copies the image's bytes, so one was filled and the others cloned from it"}
plan:
  description: What was done, or in check mode would be done, to each server.
  returned: success
  type: list
  elements: dict
  sample: [{"action": "create", "name": "web-1", "reason": "it does not exist"}]
drift:
  description: For each server, or volume of a server, that is not what was asked for, what differs.
  returned: when O(on_drift) forbids the change
  type: dict
  sample: {"web-1": [{"what": "flavor", "found": "m1.tiny", "wanted": "m1.small"}]}
failures:
  description: For each server that could not be brought to what was asked for, the reason, in Nova's or Cinder's words.
  returned: when some servers failed
  type: dict
  sample: {"web-3": "Nova could not make server web-3 (7c6f…): No valid host was found. There are not enough hosts available."}
waiting:
  description: The servers that had not booted when time was over, as they were then, with the last lines of their consoles.
  returned: when the task ran out of time
  type: dict
  sample: {"web-1": {"id": "7c6f…", "status": "ACTIVE", "console": ["Loading Linux …"]}}
"""

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils import cloud_task
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import parse_size
from ansible_collections.bootable.volumes.plugins.module_utils.images.selection import KINDS, image_spec, make_source
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import openstack_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.boot_from_volume import BootFromVolume, Options
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import expand_names, naming_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_making import Equipment
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_removal import ServerRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_volumes import ServerVolumes
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_watch import WaitFor
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_wishes import DataVolume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.option import option_of

DEVICE = {"bus": {"type": "str"}, "type": {"type": "str", "choices": ["disk", "cdrom", "lun"]}, "tag": {"type": "str"}}


def build(wiring: cloud_task.Wiring) -> Operation:
    params = wiring.params
    names = tuple(expand_names(name=params["name"], names=params["names"], count=params["count"]))
    source = make_source(params, wiring.cloud) if any(params[kind] for kind in KINDS) else None
    data = tuple(data_volume(each) for each in params["data_volumes"] or ())
    size = size_of(params, "size")
    volumes = ServerVolumes(wiring.cloud, CinderDriver.read(params["storage"]), source=source, size=size, data=data, fan_out=params["fan_out"], job=wiring.job)
    if params["state"] == "absent":
        return ServerRemoval(servers=lambda: wiring.cloud().servers, volumes=volumes, names=names, delete_volumes=params["delete_volumes"], job=wiring.job)
    return BootFromVolume(
        cloud=wiring.cloud, volumes=volumes, source=source, job=wiring.job,
        options=Options(
            names=names,
            volumes=None if params["volumes"] is None else tuple(params["volumes"]),
            size=size,
            networks=tuple(params["networks"]),
            group=params["server_group"],
            metadata={str(key): str(value) for key, value in (params["metadata"] or {}).items()},
            data=data,
            wait_for=WaitFor.parse(params["wait_for"]),
            equipment=Equipment(
                key=params["key_name"],
                security_groups=None if params["security_groups"] is None else tuple(params["security_groups"]),
                zone=params["availability_zone"],
                hints=params["scheduler_hints"] or {},
                delete=params["delete_on_termination"],
                **{name: params[name] for name in ("user_data", "config_drive", "description")},
                **(params["root_device"] or {}),
            ),
            **{name: params[name] for name in ("state", "flavor", "on_drift")},
        ),
    )


def size_of(params: t.Mapping[str, t.Any], option: str) -> t.Optional[int]:
    """The bytes that an option stands for, if it was given."""
    return None if params[option] is None else parse_size(params[option], option=option)


def data_volume(params: t.Mapping[str, t.Any]) -> DataVolume:
    """One of the data volumes."""
    return DataVolume(size=size_of(params, "size"), delete=params["delete_on_termination"],
                      **{name: params[name] for name in ("volume", "volume_type", "bus", "type", "tag")})


def main() -> None:
    spec = cloud_task.compose(
        openstack_spec(), image_spec(), naming_spec(), option_of([CinderDriver], CinderDriver.name), cloud_task.waiting_spec(),
        {
            "state": {"type": "str", "choices": ["started", "present", "stopped", "absent"], "default": "started"},
            "volumes": {"type": "list", "elements": "str"},
            "size": {"type": "str"},
            "fan_out": {"type": "str", "choices": ["auto", "copy", "clone"], "default": "auto"},
            "root_device": {"type": "dict", "options": DEVICE},
            "data_volumes": {"type": "list", "elements": "dict", "options": dict(
                DEVICE, size={"type": "str"}, volume={"type": "str"}, volume_type={"type": "str"},
                delete_on_termination={"type": "bool", "default": False})},
            "delete_on_termination": {"type": "bool", "default": False},
            "delete_volumes": {"type": "bool", "default": False},
            "flavor": {"type": "str"},
            "networks": {"type": "list", "elements": "raw", "default": ["auto"]},
            "key_name": {"type": "str", "no_log": False},
            "security_groups": {"type": "list", "elements": "str"},
            "user_data": {"type": "str", "no_log": True, "aliases": ["userdata"]},
            "config_drive": {"type": "bool"},
            "metadata": {"type": "dict", "aliases": ["meta"]},
            "availability_zone": {"type": "str"},
            "server_group": {"type": "str"},
            "scheduler_hints": {"type": "dict"},
            "description": {"type": "str"},
            "on_drift": {"type": "str", "choices": ["fail", "ignore", "update", "replace"], "default": "fail"},
            "wait_for": {"type": "raw", "default": "active"},
            "concurrency": {"type": "int", "default": 8},
        },
    )
    cloud_task.run(
        build, spec,
        mutually_exclusive=[("name", "names"), (*KINDS, "volumes")],
        required_one_of=[("name", "names")],
        required_by={"image_url": "image_checksum"},
    )


if __name__ == "__main__":
    main()
