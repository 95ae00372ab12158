# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: storage_problems
short_description: Tell what is wrong with declared image stores, back ends and volume types
version_added: 0.2.0
description:
  - Checks the variables of the roles P(bootable.volumes.glance_api#role) and P(bootable.volumes.cinder#role) in themselves, against
    the release and against each other. It reads nothing but them, so it can run long before any host is touched.
  - All problems are told at once, each with the variable it is in.
author:
  - The bootable.volumes authors (@bootable)
positional: _input
options:
  _input:
    description:
      - The variables of one of the roles, or of both, by their names. Others are ignored.
      - Glance's are looked at where there is C(glance_api_release), Cinder's where there is C(cinder_release).
    type: dict
    required: true
seealso:
  - plugin: bootable.volumes.glance_settings
    plugin_type: filter
  - plugin: bootable.volumes.cinder_settings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: The stores are sound
  ansible.builtin.assert:
    that: problems.errors | length == 0
    fail_msg: "{{ problems.errors }}"
  vars:
    problems: "{{ declared | bootable.volumes.storage_problems }}"
    declared:
      glance_api_release: zed
      glance_api_default_store: files
      glance_api_stores:
        - id: files
          type: file
        - id: web
          type: http
"""

RETURN = r"""
_value:
  description: What was found.
  type: dict
  contains:
    errors:
      description: Why the roles would write nothing.
      type: list
      elements: str
      sample: ["glance_api_stores[2].type: 'nfs' is not a store type; one of file, http, swift, rbd, cinder, s3, vmware is"]
    warnings:
      description: What works, but perhaps not as expected.
      type: list
      elements: str
      sample: ["cinder_backends[0].internal_tenant: is off: clones belong to each user's project, count against its quota and can be deleted there"]
"""

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.verdict import problems


class FilterModule:
    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        return {"storage_problems": problems}
