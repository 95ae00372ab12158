#!/usr/bin/python
# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: oslo_config
short_description: Manage many options of an oslo.config file at once
version_added: 0.2.0
description:
  - Sets and removes any number of options of one configuration file of an OpenStack service, in one atomic write.
  - What is not asked about stays as it is, to the byte. This holds for comments, order, blank lines, unknown options and line endings.
  - A new option is put below its commented-out default, as the packages' own files have it, else at the end of its section.
  - With O(validate_with), the service itself says whether it knows the options, before the file is touched.
  - A file that is as asked for is not written to.
author:
  - The bootable.volumes authors (@bootable)
requirements:
  - oslo-config-validator of the service, for O(validate_with)
extends_documentation_fragment:
  - bootable.volumes.attributes
options:
  path:
    description:
      - The file. If it is a link, what it points to is replaced, and the link stays.
    type: path
    required: true
  options:
    description:
      - What shall be set, as a dict of sections, each of them a dict of options.
      - A text and a number are written as they are, a C($) included, and a bool as V(true) or V(false).
      - A list is for an option that may be given several times (C(MultiOpt)), a line for each of its elements, in order.
      - What oslo.config calls C(ListOpt) or C(DictOpt) is one text, such as V(rbd, nfs) or V("a:1, b:2").
      - Each option is set just as often as it has values here. Other lines that set it, as in another part of the same section, are removed.
    type: dict
    default: {}
  absent:
    description:
      - What shall not be set, as a dict of sections, each of them a list of options.
      - An empty list takes out the whole section with its comments.
    type: dict
    default: {}
  validate_with:
    description:
      - Has C(oslo-config-validator) of the service look at the new content before it replaces the old one, in check mode, too.
      - An option that it does not know is an error, and the file stays as it was.
      - Options that the file had before and that it does not know give a warning.
      - Without it, nothing but the syntax is checked. A file that needs no change is not validated.
    type: dict
    suboptions:
      namespaces:
        description:
          - Whose options there may be. The service's package has a list of them for C(oslo-config-generator).
        type: list
        elements: str
        required: true
      exclude_groups:
        description:
          - Regular expressions, each for the whole name of sections that cannot be known beforehand, such as those of stores and back ends.
        type: list
        elements: str
        default: []
      command:
        description:
          - The command, or its path where the service runs in a virtual environment.
        type: str
        default: oslo-config-validator
  backup:
    description:
      - Keep the old content in a file beside it. Its name is in RV(backup_file).
    type: bool
    default: false
  create:
    description:
      - Whether the file may be made if it is missing. Its folder must exist.
    type: bool
    default: true
  owner:
    description:
      - The user that shall own the file, by name or number. By default, an existing file keeps its owner.
    type: str
  group:
    description:
      - The group that shall own the file, by name or number. By default, an existing file keeps its group.
    type: str
  mode:
    description:
      - The permissions of the file, such as V('0640') or V(u=rw,g=r,o=). In quotes, or YAML may take it for another number.
      - By default, an existing file keeps them, and a new one gets V('0640').
    type: raw
  timeout:
    description:
      - Seconds that the whole task may take, another run's work on the same folder and the validator included.
    type: int
    default: 120
seealso:
  - module: community.general.ini_file
    description: One option of any INI file.
"""

EXAMPLES = r"""
- name: Cinder makes volume-backed images, and no longer has an option that was removed
  bootable.volumes.oslo_config:
    path: /etc/cinder/cinder.conf
    options:
      DEFAULT:
        enabled_backends: ceph, nfs
        allowed_direct_url_schemes: cinder
        image_conversion_disable: false
      ceph:
        volume_driver: cinder.volume.drivers.rbd.RBDDriver
        image_upload_use_cinder_backend: true
    absent:
      DEFAULT: [glance_api_version]
    validate_with:
      namespaces: [cinder, keystonemiddleware.auth_token, oslo.db, oslo.log, oslo.messaging]
      exclude_groups: [ceph, nfs]
    backup: true
  become: true

- name: An option that may be given several times
  bootable.volumes.oslo_config:
    path: /etc/glance/glance-api.conf
    options:
      glance_store:
        filesystem_store_datadirs: [/srv/images1:200, /srv/images2:100]
    owner: root
    group: glance
    mode: "0640"
  become: true

- name: A whole section goes
  bootable.volumes.oslo_config:
    path: /etc/glance/glance-api.conf
    absent:
      old_store: []
  become: true
"""

RETURN = r"""
path:
  description: The file, as it was asked for.
  returned: success
  type: str
  sample: /etc/cinder/cinder.conf
options_changed:
  description: What was, or in check mode would be, set to something else, or removed.
  returned: success
  type: list
  elements: str
  sample: [DEFAULT.enabled_backends, DEFAULT.glance_api_version]
backup_file:
  description: Where the old content is.
  returned: when O(backup=true) and the content was replaced
  type: str
  sample: /etc/cinder/cinder.conf.4711.2026-01-31@12:00:00~
plan:
  description: What was done, or in check mode would be done. Secrets are not shown.
  returned: success
  type: list
  elements: dict
  sample: [{"action": "set", "name": "DEFAULT.enabled_backends", "reason": "it is lvm"}]
unknown_options:
  description:
    - Options that the validator does not know.
    - On success, they were in the file before. On failure, they would have come into it.
  returned: when the content was validated
  type: list
  elements: str
  sample: [DEFAULT.enabled_backend]
deprecated_options:
  description: Options that the validator says are deprecated.
  returned: when the content was validated, on success
  type: list
  elements: str
  sample: [DEFAULT.idle_timeout]
line:
  description: The number of the line that cannot be read.
  returned: when that is why it failed
  type: int
  sample: 12
rc:
  description: The exit code of the validator.
  returned: when it failed without saying what is wrong with the file
  type: int
  sample: 1
owner:
  description: The owner of the file as it is; in check mode, before any change.
  returned: when the file exists
  type: str
  sample: root
group:
  description: The group of the file as it is.
  returned: when the file exists
  type: str
  sample: cinder
uid:
  description: The number of RV(owner).
  returned: when the file exists
  type: int
  sample: 0
gid:
  description: The number of RV(group).
  returned: when the file exists
  type: int
  sample: 112
mode:
  description: The permissions of O(path) as it is; a link has its own.
  returned: when the file exists
  type: str
  sample: "0640"
size:
  description: The size of the file as it is, in bytes.
  returned: when the file exists
  type: int
  sample: 223795
state:
  description: V(file), V(link) or V(hard).
  returned: when the file exists
  type: str
  sample: file
"""

from ansible_collections.bootable.volumes.plugins.module_utils import task
from ansible_collections.bootable.volumes.plugins.module_utils.host.oslo_validator import COMMAND, OsloValidator
from ansible_collections.bootable.volumes.plugins.module_utils.host.ownership import Asked
from ansible_collections.bootable.volumes.plugins.module_utils.host.replacement import ReplaceableFile
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.oslo_config import OsloConfig, Wish


def build(wiring: task.Wiring) -> Operation:
    params = wiring.params
    return OsloConfig(
        file=ReplaceableFile(params["path"]),
        wish=Wish.from_params(params["options"], params["absent"]),
        ownership=Asked(params["owner"], params["group"], params["mode"]),
        create=params["create"],
        backup=params["backup"],
        validator=OsloValidator(wiring.runner, **params["validate_with"]) if params["validate_with"] else None,
        warn=wiring.warn,
        job=wiring.job,
    )


def main() -> None:
    spec: task.Spec = {
        "path": {"type": "path", "required": True},
        "options": {"type": "dict", "default": {}},
        "absent": {"type": "dict", "default": {}},
        "validate_with": {
            "type": "dict",
            "options": {
                "namespaces": {"type": "list", "elements": "str", "required": True},
                "exclude_groups": {"type": "list", "elements": "str", "default": []},
                "command": {"type": "str", "default": COMMAND},
            },
        },
        "backup": {"type": "bool", "default": False},
        "create": {"type": "bool", "default": True},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "mode": {"type": "raw"},
        "timeout": {"type": "int", "default": 120},
    }
    task.run(build, spec)


if __name__ == "__main__":
    main()
