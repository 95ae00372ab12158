# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import (
    CINDER, GLANCE, LEGACY, NEW, RELEASES, REMOVED, deployment, may_be, named, surely_is,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput


def test_the_table_is_in_order_and_without_gaps():
    assert [release.glance for release in RELEASES] == list(range(25, 34))
    assert all(release.glance - release.cinder == 4 for release in RELEASES)
    assert [release.name for release in RELEASES] == sorted((release.name for release in RELEASES), key=lambda name: (name != "zed", name))
    assert all(re.fullmatch(r"zed|20\d\d\.[12]", release.name) for release in RELEASES)
    assert len({release.code for release in RELEASES}) == len(RELEASES)
    assert [release.code[0] for release in RELEASES] == list("zabcdefgh")


def test_removed_options_are_of_a_known_service_and_there_once():
    assert {service for service, dummy, dummy, dummy in REMOVED} == {GLANCE, CINDER}
    assert len({entry[:3] for entry in REMOVED}) == len(REMOVED)


@pytest.mark.parametrize("text, service, glance, cinder", [
    ("zed", GLANCE, (25,), (21,)),
    ("Zed", CINDER, (25,), (21,)),
    ("2025.1", CINDER, (30,), (26,)),
    ("epoxy", GLANCE, (30,), (26,)),
    ("25.1.0", GLANCE, (25, 1, 0), (21,)),
    ("21.3.2", CINDER, (25,), (21, 3, 2)),
    ("26.3.1.dev4", CINDER, (30,), (26, 3, 1)),
    ("26.0.0", GLANCE, (26, 0, 0), (22,)),
    ("33", GLANCE, (33,), (29,)),
])
def test_a_release_is_found_by_name_code_name_and_version(text, service, glance, cinder):
    found = deployment(text, service)
    assert (found.glance, found.cinder) == (glance, cinder)


@pytest.mark.parametrize("text, service, message", [
    ("yoga", GLANCE, "release yoga is not known here; known are zed (glance 25, cinder 21), 2023.1 (glance 26"),
    ("2024.3", GLANCE, "release 2024.3 is not known here"),
    ("", GLANCE, "release  is not known here"),
    ("24.2.1", GLANCE, "glance 24.2.1 belongs to no release known here; known are zed"),
    ("33.0.0", CINDER, "cinder 33.0.0 belongs to no release known here"),
])
def test_an_unknown_release_is_refused_with_those_known(text, service, message):
    with pytest.raises(InvalidInput) as error:
        deployment(text, service)
    assert error.value.message.startswith(message)
    assert "2026.2 (glance 33, cinder 29)" in error.value.message


# location API, location added as the user, [glance] read, clones with several stores, a type's store id stops clones
FEATURES = [
    ("zed", LEGACY, False, False, False, False),
    ("2023.1", LEGACY, False, False, False, False),
    ("2023.2", LEGACY, False, False, False, False),
    ("2024.1", LEGACY, False, False, False, False),
    ("2024.2", LEGACY, False, False, True, False),
    ("2025.1", LEGACY, True, False, True, True),
    ("2025.2", NEW, False, True, True, True),
    ("2026.1", NEW, False, True, True, True),
    ("2026.2", NEW, False, True, True, True),
]


@pytest.mark.parametrize("name, location_api, as_user, section, several, stops", FEATURES)
def test_what_a_release_can_do(name, location_api, as_user, section, several, stops):
    found = deployment(name, CINDER)
    assert (found.location_api, found.location_as_user, found.glance_section, found.multi_store_cloning, found.store_id_stops_cloning) == (
        location_api, as_user, section, several, stops)


def test_every_release_is_in_the_table_of_features():
    assert [row[0] for row in FEATURES] == [release.name for release in RELEASES]


@pytest.mark.parametrize("version, as_user, stops", [("26.0.0", False, False), ("26.2.0", False, False), ("26.3.0", True, True), ("27.0.0", False, True)])
def test_a_known_version_says_more_than_its_release(version, as_user, stops):
    found = deployment(version, CINDER)
    assert (found.location_as_user, found.store_id_stops_cloning) == (as_user, stops)


@pytest.mark.parametrize("version, several", [("28.1.0", False), ("28.2.0", True), ("25.1.0", False), ("27.1.1", False), ("29.0.0", True)])
def test_several_stores_by_glances_version(version, several):
    assert deployment(version, GLANCE).multi_store_cloning is several


@pytest.mark.parametrize("version, may, surely", [
    ((26,), True, False), ((26, 2), False, False), ((26, 3), True, True), ((27,), True, True), ((25,), False, False),
])
def test_of_a_major_version_alone_little_is_sure(version, may, surely):
    assert (may_be(version, (26, 3)), surely_is(version, (26, 3))) == (may, surely)


def test_what_a_release_has():
    assert deployment("zed", GLANCE).has("")
    assert not deployment("zed", GLANCE).has("2023.1")
    assert deployment("2023.1", GLANCE).has("2023.1")
    assert named("hibiscus").name == "2026.2"


@pytest.mark.parametrize("name, option, gone", [
    ("2026.1", "bind_host", False), ("2026.2", "bind_host", True), ("2024.1", "location_strategy", False), ("2024.2", "location_strategy", True),
])
def test_removed_options_by_release(name, option, gone):
    assert (option in deployment(name, GLANCE).removed(GLANCE).get("DEFAULT", [])) is gone


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_no_cinder_of_today_reads_glance_api_version(release):
    assert deployment(release.name, CINDER).removed(CINDER) == {"DEFAULT": ["glance_api_version"]}
