# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import yaml

from ansible_collections.bootable.volumes.plugins.doc_fragments import openstack, xen
from ansible_collections.bootable.volumes.plugins.module_utils.module import POOLS_OWN, pool_and_cloud_spec
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import xen_spec

KEYS = ("type", "default", "aliases", "choices")


def options(text):
    """Of a fragment, as much as a specification has."""
    return {name: {key: option[key] for key in KEYS if key in option} for name, option in yaml.safe_load(text)["options"].items()}


def told(spec):
    return {name: {key: option[key] for key in KEYS if key in option} for name, option in spec.items()}


def test_what_leads_to_a_pool_is_what_modules_take():
    assert options(xen.ModuleDocFragment.DOCUMENTATION) == told(xen_spec())


def test_every_variable_of_the_environment_is_documented():
    documented = yaml.safe_load(xen.ModuleDocFragment.DOCUMENTATION)["options"]
    for name, option in xen_spec().items():
        for variable in option.get("fallback", (None, []))[1]:
            assert "E(%s)" % variable in " ".join(documented[name]["description"])


def test_beside_a_pool_a_cloud_has_no_options_of_the_pools():
    fragment = openstack.ModuleDocFragment
    beside = options(fragment.BESIDE_A_POOL)
    assert {**beside, **options(xen.ModuleDocFragment.DOCUMENTATION)} == told(pool_and_cloud_spec())
    assert set(options(fragment.DOCUMENTATION)) - set(beside) == POOLS_OWN
    for name in POOLS_OWN:
        assert "O(%s)" % name not in fragment.BESIDE_A_POOL
