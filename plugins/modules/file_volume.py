#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_volume
short_description: Manage a volume in a file on mounted storage
version_added: 0.1.0
description:
  - Makes, imports, moves, converts, grows and removes a disk image file that a virtual machine uses as its volume,
    on NFS, OCFS2 or any other mounted file system.
  - A volume appears under its name only when it is whole and safe on disk. Killed at any point, nothing is lost that was
    there, and the next run cleans up and goes on.
  - Images that are imported are inspected first. One that refers to other files, or is not what it is declared to be, is refused.
  - What this collection did not make is never touched, and nothing is done to a volume that a running QEMU, a loop device or
    any other process has open.
  - For volumes that are filled with an image see M(bootable.volumes.volume_from_image).
author:
  - The bootable.volumes authors (@bootable)
requirements:
  - qemu-img
  - Python library oslo.utils, for imports
extends_documentation_fragment:
  - bootable.volumes.attributes
  - bootable.volumes.storage_file
  - bootable.volumes.waiting.timeout
options:
  name:
    description:
      - The name of the volume, and of its file in one of O(mountpoints). Not a path, and not hidden.
    type: str
    required: true
  size:
    description:
      - The size that a guest sees. A number counts GiB; V(512M) or V(1.5T) are powers of 1024.
      - Needed for a new volume, unless O(import_from) is given, whose size is the default.
      - A smaller volume is grown. None is ever shrunk.
    type: str
  import_from:
    description:
      - An image file on the host where the module runs, which becomes the volume if there is none of that name yet.
      - The path of a file that lies in one of O(mountpoints) under the volume's own name makes that file a volume as it is.
    type: path
  import_mode:
    description:
      - V(copy) leaves the file alone and gives the volume its own blocks; holes stay holes.
      - V(move) removes the file at its old place, once the volume is there. In the same file system it is renamed.
      - V(reflink) leaves the file alone and shares its blocks, which XFS, Btrfs and OCFS2 can.
    type: str
    choices: [copy, move, reflink]
    default: copy
  import_format:
    description:
      - The format of O(import_from). By default the ending of its name tells.
      - It is never guessed from the content; content of another format is refused.
      - If it differs from O(format), the image is converted.
    type: str
    choices: [raw, qcow2, vhd, vhdx, vmdk, vdi]
  convert:
    description:
      - Allow changing the format of an existing volume to O(format). Without it, another format is an error.
    type: bool
    default: false
  state:
    description:
      - V(present) makes the volume what was asked for; V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: bootable.volumes.volume_from_image
  - module: bootable.volumes.volume_info
"""

EXAMPLES = r"""
- name: An empty volume, on whichever mount point has most room
  bootable.volumes.file_volume:
    name: data-1
    size: 100G
    format: qcow2
    mountpoints: [/srv/nfs1, /srv/nfs2]
    reserve: 5%

- name: It grows
  bootable.volumes.file_volume:
    name: data-1
    size: 150G
    mountpoints: [/srv/nfs1, /srv/nfs2]

- name: It moves to the other mount point
  bootable.volumes.file_volume:
    name: data-1
    mountpoint: /srv/nfs2
    mountpoints: [/srv/nfs1, /srv/nfs2]

- name: An image file becomes a volume
  bootable.volumes.file_volume:
    name: golden
    import_from: /var/tmp/golden.vmdk
    import_mode: move
    format: qcow2
    mountpoints: [/srv/nfs1]

- name: A file that already lies there becomes a volume, as it is
  bootable.volumes.file_volume:
    name: old-server
    import_from: /srv/nfs1/old-server
    import_format: raw
    mountpoints: [/srv/nfs1]

- name: It goes
  bootable.volumes.file_volume:
    name: data-1
    mountpoints: [/srv/nfs1, /srv/nfs2]
    state: absent
"""

RETURN = r"""
volume:
  description:
    - The volume; with O(state=absent), the one that was removed, or null.
    - In check mode a volume that does not exist yet has only RV(volume.name), RV(volume.size) and RV(volume.details).
  returned: success
  type: dict
  contains:
    name:
      description: The volume's name.
      type: str
      returned: always
      sample: data-1
    id:
      description: Its path.
      type: str
      returned: when it exists
      sample: /srv/nfs1/data-1
    size:
      description: Its size in bytes, as a guest sees it.
      type: int
      returned: always
      sample: 107374182400
    state:
      description: V(available), V(working), V(half_done) or V(broken).
      type: str
      returned: when it exists
      sample: available
    status:
      description: The same in other words.
      type: str
      returned: when it exists
      sample: available
    location:
      description: The mount point that it is on.
      type: str
      returned: when it exists
      sample: /srv/nfs1
    image:
      description: What it was made from.
      type: dict
      returned: when it exists
      sample: {"state": "ready", "origin": "blank", "image_id": null, "image_name": null, "checksum": null}
    details:
      description: C(format), C(mountpoint), C(path), and C(allocated), the bytes that the file takes.
      type: dict
      returned: always
      sample: {"format": "qcow2", "mountpoint": "/srv/nfs1", "path": "/srv/nfs1/data-1", "allocated": 200704}
plan:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: dict
  sample: [{"action": "create", "name": "data-1", "reason": "it does not exist"}]
drift:
  description: What differs, and may not be changed.
  returned: when that is why it failed
  type: dict
  sample: {"data-1": [{"what": "format", "found": "raw", "wanted": "qcow2"}]}
holders:
  description: What uses the volume.
  returned: when that is why it failed
  type: dict
  sample: {"data-1": ["process 812 (qemu-system-x86)"]}
"""

from ansible_collections.bootable.volumes.plugins.module_utils import module
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import parse_size
from ansible_collections.bootable.volumes.plugins.module_utils.operations.file_volume import FileVolume, FileVolumeRemoval, Import
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver


def build(wiring: module.Wiring) -> Operation:
    params = wiring.params
    given = {name: params[name] for name in FileDriver.options if params[name] is not None}
    driver = FileDriver.from_options(given, wiring.surroundings)
    if params["state"] == "absent":
        return FileVolumeRemoval(driver=driver, names=[params["name"]], job=wiring.job)
    return FileVolume(
        driver=driver,
        name=params["name"],
        size=None if params["size"] is None else parse_size(params["size"]),
        incoming=Import(params["import_from"], params["import_mode"], params["import_format"]) if params["import_from"] else None,
        convert=params["convert"],
        job=wiring.job,
    )


def main() -> None:
    spec = module.compose(
        dict(FileDriver.options),
        {
            "name": {"type": "str", "required": True},
            "size": {"type": "str"},
            "import_from": {"type": "path"},
            "import_mode": {"type": "str", "choices": ["copy", "move", "reflink"], "default": "copy"},
            "import_format": {"type": "str", "choices": ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi"]},
            "convert": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "timeout": module.waiting_spec()["timeout"],
        },
    )
    module.run(build, spec, required_one_of=[("mountpoints", "mountpoint")])


if __name__ == "__main__":
    main()
