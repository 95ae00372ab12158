# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.model import Model
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import CINDER, deployment
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.settings import Settings, joined


def finished(made, **extras):
    return made.finished(Model(names={}, deployment=deployment("zed", CINDER), **extras), CINDER)


def test_what_is_written_is_not_taken_out():
    made = Settings()
    made.drop("a", "x", "y")
    made.drop("b")
    made.write("a", x=1)
    made.write("b", z=2)
    made.write("c")
    assert finished(made).options == {"a": {"x": 1}, "b": {"z": 2}}
    assert made.absent == {"a": ["y"], "DEFAULT": ["glance_api_version"]}


def test_what_is_given_beside_the_model_comes_first():
    made = Settings()
    made.write("a", x=1, y=2)
    made.write("b", x=1)
    finished(made, options={"a": {"x": 3}, "DEFAULT": {"glance_api_version": 2}}, absent_options={"a": ("y", "z"), "b": ()})
    assert made.options == {"a": {"x": 3}, "DEFAULT": {"glance_api_version": 2}}
    assert made.absent == {"a": ["y", "z"], "b": []}


@pytest.mark.parametrize("given, expected", [
    (["a", 1], "a,1"), (("a",), "a"), ({"http": "10.0.0.1:3128"}, "http:10.0.0.1:3128"), ("a,b", "a,b"), (True, True), (7, 7),
])
def test_values_of_one_line(given, expected):
    assert joined(given) == expected
