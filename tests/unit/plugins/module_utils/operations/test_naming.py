# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import expand_names


@pytest.mark.parametrize("options, names", [
    ({"name": "web"}, ["web"]),
    ({"names": ["b", "a"]}, ["b", "a"]),
    ({"name": "web-{index}", "count": 3}, ["web-1", "web-2", "web-3"]),
    ({"name": "{index:03d}-web", "count": 2}, ["001-web", "002-web"]),
    ({"name": "{{x}}-{index}", "count": 1}, ["{x}-1"]),
    ({"name": "web{", "count": None}, ["web{"]),
])
def test_names(options, names):
    assert expand_names(**dict({"name": None, "names": None, "count": None}, **options)) == names


@pytest.mark.parametrize("options, told", [
    ({}, "name and names"),
    ({"names": []}, "names"),
    ({"names": ["a", "b", "a"]}, "a"),
    ({"names": ["a", " "]}, "empty"),
    ({"names": ["a"], "count": 2}, "count"),
    ({"name": "web-{index}"}, "count"),
    ({"name": "web", "count": 2}, "{index}"),
    ({"name": "web-{number}", "count": 2}, "{index}"),
    ({"name": "web-{index", "count": 2}, "pattern"),
    ({"name": "web-{index:q}", "count": 2}, "pattern"),
    ({"name": "web-{index.real}", "count": 2}, "{index}"),
    ({"name": "web-{index}", "count": 0}, "count"),
    ({"name": "web-{index}", "count": -1}, "count"),
])
def test_what_makes_no_names_is_refused(options, told):
    with pytest.raises(InvalidInput) as refused:
        expand_names(**dict({"name": None, "names": None, "count": None}, **options))
    assert told in str(refused.value)
