# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters are thin: what they hand on, and how they fail. Their examples run."""

from __future__ import annotations

import importlib

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.bootable.volumes.tests.unit.fakes.declared import cinder, glance

PLUGINS = "ansible_collections.bootable.volumes.plugins.filter."
NAMES = ("glance_settings", "cinder_settings", "storage_problems")


def plugin(name):
    return importlib.import_module(PLUGINS + name)


def function(name):
    found = plugin(name).FilterModule().filters()
    assert list(found) == [name]
    return found[name]


@pytest.mark.parametrize("name, variables, section", [("glance_settings", glance(), "glance_store"), ("cinder_settings", cinder(), "service_user")])
def test_settings_are_plain_data(name, variables, section):
    made = function(name)(variables)
    assert set(made) == {"options", "absent", "sections"}
    assert section in made["options"]


@pytest.mark.parametrize("name, variables, message", [
    ("glance_settings", glance(default_store="x"), "glance_api_default_store: 'x' is none of the stores"),
    ("cinder_settings", cinder(release="yoga"), "cinder_release: release yoga is not known here"),
])
def test_problems_are_the_filters_error(name, variables, message):
    with pytest.raises(AnsibleFilterError, match=message):
        function(name)(variables)


def test_problems_can_be_had_as_data():
    assert function("storage_problems")({**glance(), **cinder()}) == {"errors": [], "warnings": []}


@pytest.mark.parametrize("name", NAMES)
def test_documentation_tells_what_comes_out_and_its_example_runs(name):
    module = plugin(name)
    documented, returned = yaml.safe_load(module.DOCUMENTATION), yaml.safe_load(module.RETURN)["_value"]
    assert documented["name"] == name
    declared = yaml.safe_load(module.EXAMPLES)[0]["vars"]["declared"]
    made = function(name)(declared)
    assert set(made) == set(returned["contains"])
    assert not made.get("errors")
