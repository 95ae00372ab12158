# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import RELEASES
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.stores import (
    CINDER_ACCOUNT, CINDER_APPLICATION_CREDENTIAL, COMMON, EXCLUSIVE, MULTI_VALUED, STORE_TYPES, is_set, types_with,
)

NAMES = {release.name for release in RELEASES}


def test_the_types_are_those_that_glance_has():
    assert list(STORE_TYPES) == ["file", "http", "swift", "rbd", "cinder", "s3", "vmware"]
    assert [name for name, kind in STORE_TYPES.items() if not kind.writable] == ["http"]
    assert {name: kind.scheme for name, kind in STORE_TYPES.items() if kind.scheme != name} == {"vmware": "vsphere"}


@pytest.mark.parametrize("name", STORE_TYPES)
def test_the_table_of_options(name):
    kind = STORE_TYPES[name]
    assert kind.options
    assert set(kind.options.values()) <= NAMES | {""}
    assert not set(kind.options) & set(COMMON)
    for names in kind.needs:
        assert set(names) <= set(kind.options)
    for option in kind.options:
        assert types_with(option) == [name]


def test_other_tables_name_options_that_exist():
    assert all(types_with(name) for name in MULTI_VALUED)
    assert all(types_with(first) == types_with(second) for first, second in EXCLUSIVE)
    assert set(CINDER_ACCOUNT + CINDER_APPLICATION_CREDENTIAL) <= set(STORE_TYPES["cinder"].options)


@pytest.mark.parametrize("value, expected", [
    (None, False), ("", False), (False, False), ("False", False), (True, True), ("yes", True), ("/a", True), ([], False)])
def test_what_is_set(value, expected):
    assert is_set(value) is expected
