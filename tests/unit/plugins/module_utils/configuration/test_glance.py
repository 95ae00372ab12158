# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of glance-api.conf, release by release."""

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import GLANCE, RELEASES
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.stores import STORE_TYPES
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.verdict import settings
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.tests.unit.fakes.declared import ACCOUNT, STORES, TYPES, changed, glance

OLD = ("zed", "2023.1", "2023.2", "2024.1")
NEW = ("2025.2", "2026.1", "2026.2")


def of_glance(release="2026.2", **variables):
    return settings(glance(release, **variables), GLANCE)


@pytest.mark.parametrize("release", [release.name for release in RELEASES if release.name not in OLD])
def test_any_number_of_stores(release):
    made = of_glance(release)
    legacy = release not in NEW
    assert made.options == {
        "DEFAULT": {"enabled_backends": "slow:file,web:http,fast:rbd,vol:cinder", "show_multiple_locations": legacy},
        "glance_store": {"default_backend": "slow"},
        "slow": {"filesystem_store_datadir": "/srv/images"},
        "fast": {"rbd_store_pool": "images", "store_description": "Ceph"},
        "vol": dict(ACCOUNT, cinder_volume_type="ceph"),
        "os_glance_staging_store": {"filesystem_store_datadir": "/srv/staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": "/srv/tasks"},
    }
    assert made.absent["glance_store"] == ["stores", "default_store"]
    assert made.absent["DEFAULT"][0] == "node_staging_uri"
    assert made.sections == ["slow", "web", "fast", "vol", "os_glance_staging_store", "os_glance_tasks_store"]


@pytest.mark.parametrize("release", OLD)
def test_one_store_of_each_type_where_clones_need_it(release):
    made = of_glance(release, cinder_volume_types=TYPES[:1])
    assert made.options == {
        "DEFAULT": {"show_multiple_locations": True, "node_staging_uri": "file:///srv/staging"},
        "glance_store": {
            "stores": "file,http,rbd,cinder", "default_store": "file", "filesystem_store_datadir": "/srv/images", "rbd_store_pool": "images",
            **ACCOUNT, "cinder_volume_type": "ceph",
        },
        "task": {"work_dir": "/srv/tasks"},
    }
    assert made.absent["glance_store"] == ["default_backend", "store_description", "weight"]
    assert made.absent["DEFAULT"][0] == "enabled_backends"
    for section in ("slow", "web", "fast", "vol", "os_glance_staging_store", "os_glance_tasks_store"):
        assert made.absent[section] == []
    assert made.sections == []


def test_old_releases_get_several_stores_where_nothing_is_cloned_or_it_is_asked_for():
    without = of_glance("zed", stores=STORES[:3], cinder_backends=[], cinder_volume_types=[])
    assert without.options["DEFAULT"] == {"enabled_backends": "slow:file,web:http,fast:rbd"}
    assert "show_multiple_locations" in without.absent["DEFAULT"]
    asked = of_glance("zed", store_mode="multiple")
    assert asked.options["DEFAULT"] == {"enabled_backends": "slow:file,web:http,fast:rbd,vol:cinder", "show_multiple_locations": True}


def test_a_new_release_gets_one_store_of_each_type_if_it_is_asked_for():
    made = of_glance(store_mode="single", cinder_volume_types=TYPES[:1])
    assert made.options["glance_store"]["stores"] == "file,http,rbd,cinder"


@pytest.mark.parametrize("name, scheme", [(name, kind.scheme) for name, kind in STORE_TYPES.items() if kind.writable])
def test_the_default_is_a_scheme_where_there_is_one_store_of_each_type(name, scheme):
    options = {"s3": {"s3_store_host": "a", "s3_store_access_key": "a", "s3_store_secret_key": "a", "s3_store_bucket": "a"},
               "vmware": {"vmware_server_host": "a", "vmware_server_username": "a", "vmware_server_password": "a", "vmware_datastores": ["a:b", "c:d"]},
               "swift": {"swift_store_config_file": "/a", "swift_store_admin_tenants": ["a", "b"]}}.get(name, {})
    made = of_glance(store_mode="single", default_store="", stores=[{"id": "x", "type": name, "options": options}], cinder_backends=[], cinder_volume_types=[])
    assert made.options["glance_store"]["default_store"] == scheme
    assert made.options["glance_store"].get("vmware_datastores", ["a:b", "c:d"]) == ["a:b", "c:d"], "one line for each"
    assert made.options["glance_store"].get("swift_store_admin_tenants", "a,b") == "a,b", "one line for all"


def test_several_cinder_stores_share_their_account_and_have_types_of_their_own():
    made = of_glance(default_store="a", cinder_store_options=ACCOUNT, cinder_volume_types=[], stores=[
        {"id": "a", "type": "cinder", "options": {"cinder_volume_type": "ceph"}},
        {"id": "b", "type": "cinder", "options": {"cinder_volume_type": "nfs", "cinder_http_retries": 1}},
    ])
    assert made.options["a"] == dict(ACCOUNT, cinder_volume_type="ceph")
    assert made.options["b"] == dict(ACCOUNT, cinder_volume_type="nfs", cinder_http_retries=1)


def test_several_folders_leave_no_default_for_the_one():
    made = of_glance(stores=changed(STORES, 0, options={"filesystem_store_datadir": None, "filesystem_store_datadirs": ["/a:2", "/b:1"]}))
    assert made.options["slow"] == {"filesystem_store_datadirs": ["/a:2", "/b:1"], "filesystem_store_datadir": ""}


@pytest.mark.parametrize("release, asked, shown", [
    ("zed", "auto", True), ("2025.1", "auto", True), ("2025.2", "auto", False), ("2026.2", "legacy", True), ("2026.2", "new", False),
])
def test_locations_are_shown_only_where_cinder_needs_them(release, asked, shown):
    made = of_glance(release, location_api=asked, cinder_volume_types=TYPES[:1])
    assert made.options["DEFAULT"]["show_multiple_locations"] is shown


def test_nothing_declared_writes_nothing_but_takes_out_what_is_gone():
    made = of_glance(stores=[], default_store="", cinder_backends=[], cinder_volume_types=[])
    assert made.options == {}
    assert "bind_host" in made.absent["DEFAULT"]
    assert set(made.absent) == {"DEFAULT", "store_type_location_strategy"}


def test_what_is_given_beside_the_model_comes_first():
    made = of_glance(
        options={"DEFAULT": {"bind_host": "::", "debug": True, "show_multiple_locations": True}, "wsgi": {"task_pool_threads": 8}},
        absent_options={"DEFAULT": ["workers", "enabled_backends"], "profiler": [], "fast": []},
    )
    assert made.options["DEFAULT"] == {"bind_host": "::", "debug": True, "show_multiple_locations": True}
    assert made.options["wsgi"] == {"task_pool_threads": 8}
    assert "fast" not in made.options
    assert made.absent["fast"] == made.absent["profiler"] == []
    assert "bind_host" not in made.absent["DEFAULT"]
    assert {"enabled_backends", "workers"} <= set(made.absent["DEFAULT"])
    assert len(made.absent["DEFAULT"]) == len(set(made.absent["DEFAULT"]))


def test_errors_are_raised_all_at_once():
    with pytest.raises(InvalidInput) as error:
        of_glance(default_store="x", location_api="y")
    assert error.value.message.splitlines() == [
        "glance_api_location_api: 'y' is none of auto, legacy, new", "glance_api_default_store: 'x' is none of the stores: slow, web, fast, vol"]
