# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: glance_settings
short_description: Turn declared image stores into the options of glance-api.conf
version_added: 0.2.0
description:
  - What the role P(bootable.volumes.glance_api#role) writes; useful where something else writes the file.
author:
  - The bootable.volumes authors (@bootable)
positional: _input
options:
  _input:
    description:
      - The variables of the role P(bootable.volumes.glance_api#role), by their names. Others are ignored.
      - Needed is C(glance_api_release); what is not there is not written.
    type: dict
    required: true
seealso:
  - plugin: bootable.volumes.cinder_settings
    plugin_type: filter
  - plugin: bootable.volumes.storage_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: What would stand in glance-api.conf?
  ansible.builtin.debug:
    msg: "{{ declared | bootable.volumes.glance_settings }}"
  vars:
    declared:
      glance_api_release: "2025.2"
      glance_api_default_store: files
      glance_api_stores:
        - id: files
          type: file
          options: {filesystem_store_datadir: /var/lib/glance/images}
        - id: ceph
          type: rbd
          options: {rbd_store_pool: images, rbd_store_user: glance}
"""

RETURN = r"""
_value:
  description: The options, in the words of the module M(bootable.volumes.oslo_config).
  type: dict
  contains:
    options:
      description: Section, option and value. A list stands in the file once for each of its members.
      type: dict
      sample: {"DEFAULT": {"enabled_backends": "files:file,ceph:rbd"}, "glance_store": {"default_backend": "files"}}
    absent:
      description: Section and the options to take out of it; none named means the whole section.
      type: dict
      sample: {"glance_store": ["stores", "default_store"]}
    sections:
      description: Sections whose options no sample of Glance lists, since they have the names of stores.
      type: list
      elements: str
      sample: ["files", "ceph", "os_glance_staging_store", "os_glance_tasks_store"]
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.verdict import settings
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput


def glance_settings(variables: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    try:
        return dict(vars(settings(variables, "glance")))
    except InvalidInput as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        return {"glance_settings": glance_settings}
