# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cinder_settings
short_description: Turn declared back ends into the options of cinder.conf
version_added: 0.2.0
description:
  - What the role P(bootable.volumes.cinder#role) writes; useful where something else writes the file.
author:
  - The bootable.volumes authors (@bootable)
positional: _input
options:
  _input:
    description:
      - The variables of the role P(bootable.volumes.cinder#role), by their names. Others are ignored.
      - Needed is C(cinder_release); what is not there is not written.
    type: dict
    required: true
seealso:
  - plugin: bootable.volumes.glance_settings
    plugin_type: filter
  - plugin: bootable.volumes.storage_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: What would stand in cinder.conf?
  ansible.builtin.debug:
    msg: "{{ declared | bootable.volumes.cinder_settings }}"
  vars:
    declared:
      cinder_release: "2025.2"
      cinder_internal_tenant_project_id: 4f1b9f0ac0d34d1c8c2e9cf2c1d5a7b3
      cinder_internal_tenant_user_id: 0d5c3f4e9b6e4e0b9a8f7d6c5b4a3f2e
      cinder_glance_auth:
        auth_url: https://identity.example.com/v3
        username: cinder
        password: "{{ vault_cinder_password }}"
        project_name: service
        user_domain_name: Default
        project_domain_name: Default
      cinder_backends:
        - name: ceph
          volume_backed_images: true
          options:
            volume_driver: cinder.volume.drivers.rbd.RBDDriver
            rbd_pool: volumes
"""

RETURN = r"""
_value:
  description: The options, in the words of the module M(bootable.volumes.oslo_config).
  type: dict
  contains:
    options:
      description: Section, option and value. A list stands in the file once for each of its members.
      type: dict
      sample: {"DEFAULT": {"enabled_backends": "ceph"}, "ceph": {"image_upload_use_cinder_backend": true}}
    absent:
      description: Section and the options to take out of it; none named means the whole section.
      type: dict
      sample: {"DEFAULT": ["glance_api_version"]}
    sections:
      description: Sections whose options no sample of Cinder lists, since they have the names of back ends.
      type: list
      elements: str
      sample: ["ceph"]
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.verdict import settings
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput


def cinder_settings(variables: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    try:
        return dict(vars(settings(variables, "cinder")))
    except InvalidInput as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        return {"cinder_settings": cinder_settings}
