# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every check: what is wrong, and what is said of it."""

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.configuration import cloning
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.checks import CHECKS
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import RELEASES
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.stores import STORE_TYPES
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.verdict import problems
from ansible_collections.bootable.volumes.tests.unit.fakes.declared import ACCOUNT, BACKENDS, PROJECT, STORES, TYPES, changed, cinder, glance

FILE = {"id": "slow", "type": "file", "options": {"filesystem_store_datadir": "/srv/images"}}
S3 = {"s3_store_host": "s3", "s3_store_access_key": "a", "s3_store_secret_key": "secret-3", "s3_store_bucket": "b"}
VMWARE = {"vmware_server_host": "v", "vmware_server_username": "u", "vmware_server_password": "secret-4", "vmware_datastores": ["dc:ds"]}

SOUND = {
    "file": {}, "http": {}, "rbd": {}, "cinder": dict(ACCOUNT, cinder_volume_type="ceph"), "s3": S3, "vmware": VMWARE,
    "swift": {"swift_store_config_file": "/etc/glance/swift.conf"},
}


@pytest.mark.parametrize("release", [release.name for release in RELEASES if release.name not in ("2023.1", "2023.2", "2024.1", "zed")])
@pytest.mark.parametrize("variables", [glance, cinder])
def test_what_is_sound_has_no_problems(variables, release):
    assert problems(variables(release)) == {"errors": [], "warnings": []}


@pytest.mark.parametrize("release", ["zed", "2023.1", "2023.2", "2024.1"])
def test_old_releases_want_no_store_ids_on_volume_types_where_they_get_one_store_of_each_type(release):
    sound = changed(TYPES, 1, store="")
    assert problems(glance(release, cinder_volume_types=sound)) == {"errors": [], "warnings": []}
    assert problems(glance(release))["errors"] == [
        "glance_api_cinder_volume_types[1].store: image_service:store_id names one of several stores, but Glance gets one of each type "
        "(glance_api_store_mode)"]


def test_both_roles_can_be_checked_at_once_and_neither_is_checked_where_it_is_not_there():
    both = {**glance(default_store="x"), **cinder(internal_tenant_user_id="")}
    assert [message.split(":")[0] for message in problems(both)["errors"]] == ["glance_api_default_store", "cinder_internal_tenant_user_id"]
    assert problems({"glance_api_stores": 7}) == {"errors": [], "warnings": []}


@pytest.mark.parametrize("name", STORE_TYPES)
def test_a_store_of_each_type_alone(name):
    declared = glance(stores=[{"id": "one", "type": name, "options": SOUND[name]}], default_store="", cinder_backends=[], cinder_volume_types=[])
    expected = [] if name != "http" else ["glance_api_default_store: 'one' is of type http, which can only be read"]
    assert problems(declared) == {"errors": expected, "warnings": []}


GLANCE_ERRORS = [
    # ids
    ({"stores": changed(STORES, 2, id="slow")}, "glance_api_stores[2].id: 'slow' is glance_api_stores[0].id already"),
    ({"stores": changed(STORES, 2, id="Slow")}, "glance_api_stores[2].id: 'Slow' is glance_api_stores[0].id already"),
    ({"stores": changed(STORES, 2, id="a b")}, "glance_api_stores[2].id: 'a b' cannot be a section's name"),
    ({"stores": changed(STORES, 2, id="a:b")}, "glance_api_stores[2].id: 'a:b' cannot be a section's name"),
    ({"stores": changed(STORES, 2, id="os_glance_fast")}, "glance_api_stores[2].id: 'os_glance_fast' begins with os_glance_, which Glance keeps"),
    ({"stores": changed(STORES, 2, id="Database")}, "glance_api_stores[2].id: [Database] is a section that the service uses"),
    ({"stores": changed(STORES, 2, id="glance_store")}, "glance_api_stores[2].id: [glance_store] is a section that the service uses"),
    # types and their options
    ({"stores": changed(STORES, 2, type="nfs", options={"rbd_store_pool": None})},
     "glance_api_stores[2].type: 'nfs' is not a store type; one of file, http, swift, rbd, cinder, s3, vmware is"),
    ({"stores": changed(STORES, 2, options={"filesystem_store_datadir": "/x"})},
     "glance_api_stores[2].options.filesystem_store_datadir: is an option of stores of type file, and this is one of type rbd"),
    ({"stores": changed(STORES, 2, options={"rbd_store_poool": "x"})},
     "glance_api_stores[2].options.rbd_store_poool: is not an option of stores of type rbd; what is known to you alone can be set by glance_api_options"),
    ({"stores": changed(STORES, 2, type="s3", options={"rbd_store_pool": None, "s3_store_host": "x"})},
     "glance_api_stores[2].options: a store of type s3 needs s3_store_host and s3_store_access_key and s3_store_secret_key and s3_store_bucket"),
    ({"stores": changed(STORES, 2, type="vmware", options={"rbd_store_pool": None})}, "glance_api_stores[2].options: a store of type vmware needs vmware_"),
    ({"stores": changed(STORES, 2, type="swift", options={"rbd_store_pool": None})},
     "glance_api_stores[2].options: a store of type swift needs swift_store_config_file, or swift_store_auth_address and "),
    ({"stores": changed(STORES, 0, options={"filesystem_store_datadirs": ["/a:1"]})},
     "glance_api_stores[0].options: Glance takes either filesystem_store_datadir or filesystem_store_datadirs, not both"),
    ({"stores": changed(STORES, 2, type="swift", options={"rbd_store_pool": None, "swift_store_config_file": "/a", "swift_store_multi_tenant": True})},
     "glance_api_stores[2].options: Glance takes either swift_store_config_file or swift_store_multi_tenant, not both"),
    ({"stores": changed(STORES, 2, type="swift", options={"rbd_store_pool": None, "swift_store_multi_tenant": "no"})},
     "glance_api_stores[2].options: a store of type swift needs swift_store_config_file, or swift_store_auth_address and "),
    ({"stores": changed(STORES, 3, options={"cinder_store_password": None})},
     "glance_api_stores[3].options: cinder_store_auth_address and cinder_store_user_name and cinder_store_project_name "
     "without cinder_store_password: Glance then ignores all of them"),
    # folders
    ({"staging_dir": "/srv/images/"}, "glance_api_staging_dir: /srv/images is the folder of glance_api_stores[0].options.filesystem_store_datadir already"),
    ({"tasks_dir": "/srv/staging"}, "glance_api_tasks_dir: /srv/staging is the folder of glance_api_staging_dir already"),
    # the default
    ({"default_store": "gone"}, "glance_api_default_store: 'gone' is none of the stores: slow, web, fast, vol"),
    ({"default_store": ""}, "glance_api_default_store: is missing: with several stores, Glance does not start without it"),
    ({"default_store": "web"}, "glance_api_default_store: 'web' is of type http, which can only be read"),
    ({"stores": [], "cinder_backends": []}, "glance_api_default_store: 'slow' is none of the stores: there are none"),
    # one store of each type
    ({"store_mode": "single", "cinder_volume_types": [], "stores": [FILE, {"id": "b", "type": "file"}]},
     "glance_api_stores[1].type: glance_api_stores[0] is of type file, too; glance_api_store_mode: single has one store of each type"),
    # volume types
    ({"cinder_volume_types": changed(TYPES, 1, volume_backend_name="lvm")},
     "glance_api_cinder_volume_types[1].volume_backend_name: no back end is called 'lvm'; there are ceph, nfs"),
    ({"cinder_volume_types": changed(TYPES, 1, name="ceph")}, "glance_api_cinder_volume_types[1].name: 'ceph' is declared twice"),
    ({"cinder_volume_types": changed(TYPES, 1, store="gone")}, "glance_api_cinder_volume_types[1].store: 'gone' is none of the stores: slow, web, fast, vol"),
    ({"cinder_volume_types": changed(TYPES, 1, store="web")}, "glance_api_cinder_volume_types[1].store: 'web' is of type http, which can only be read"),
    ({"stores": changed(STORES, 3, options={"cinder_volume_type": "gold"})},
     "glance_api_stores[3].options.cinder_volume_type: 'gold' is none of the volume types: ceph, nfs"),
    ({"stores": STORES + [dict(STORES[3], id="vol2")]},
     "glance_api_stores[4].options.cinder_volume_type: is 'ceph', as in glance_api_stores[3]: Glance could not tell which of the two"),
    # the location API
    ({"release": "2025.1", "location_api": "new"}, "glance_api_location_api: Cinder of 2025.1 registers or reads locations over the legacy one only"),
    # cloning
    ({"cinder_backends": changed(BACKENDS, 1, volume_backed_images=True)},
     "glance_api_cinder_backends[1].volume_backed_images: NfsDriver cannot clone a volume that is being made an image; set it to false"),
    ({"stores": STORES[:3]}, "glance_api_cinder_backends[0].volume_backed_images: none of glance_api_stores is of type cinder: Glance can only take bytes"),
    ({"stores": changed(STORES, 3, options={"cinder_volume_type": "nfs"})},
     "glance_api_cinder_backends[0].volume_backed_images: no store's cinder_volume_type is one of this back end's volume types (ceph)"),
    ({"cinder_volume_types": changed(TYPES, 0, store="vol")},
     "glance_api_cinder_volume_types[0].store: from Cinder 26.3 with Glance 29 on, image_service:store_id stops volumes of this type from being cloned"),
    ({"release": "2024.2", "cinder_volume_types": changed(TYPES, 0, store="fast")},
     "glance_api_cinder_volume_types[0].store: a clone's location is registered in fast, which is not the cinder store of type ceph"),
    ({"stores": STORES + [{"id": "vol2", "type": "cinder", "options": dict(ACCOUNT, cinder_volume_type="nfs", cinder_store_project_name="other")}]},
     "glance_api_stores[4].options.cinder_store_project_name: is 'other', and 'service' in glance_api_stores[3]: only one can be that of"),
]


@pytest.mark.parametrize("spoiled, message", GLANCE_ERRORS, ids=[message[:60] for dummy, message in GLANCE_ERRORS])
def test_glances_errors(spoiled, message):
    found = problems(glance(**spoiled))["errors"]
    assert [each for each in found if each.startswith(message)], found
    assert not any("secret-" in each for each in found)


CINDER_ERRORS = [
    ({"backends": changed(BACKENDS, 1, name="ceph")}, "cinder_backends[1].name: 'ceph' is cinder_backends[0].name already"),
    ({"backends": changed(BACKENDS, 0, name="backend_defaults")}, "cinder_backends[0].name: [backend_defaults] is a section that the service uses"),
    ({"allowed_direct_url_schemes": ["cinder", "rbd"]},
     "cinder_allowed_direct_url_schemes: 'rbd' is not a scheme that Cinder can read directly; cinder and file are"),
    ({"allowed_direct_url_schemes": ["cinder"], "glance_stores": STORES[:3]},
     "cinder_allowed_direct_url_schemes: has cinder, but none of cinder_glance_stores is of type cinder: no image is a volume"),
    ({"internal_tenant_project_id": "service"}, "cinder_internal_tenant_project_id: 'service' is not an id (a UUID); a name does not do"),
    ({"internal_tenant_user_id": "cinder"}, "cinder_internal_tenant_user_id: 'cinder' is not an id (a UUID); a name does not do"),
    ({"internal_tenant_user_id": ""},
     "cinder_internal_tenant_user_id: is missing, and cinder_internal_tenant_project_id is given: Cinder uses its internal tenant only if it has both"),
    ({"internal_tenant_project_id": ""}, "cinder_internal_tenant_project_id: is missing, and cinder_internal_tenant_user_id is given"),
    ({"internal_tenant_project_id": "", "internal_tenant_user_id": "", "backends": changed(BACKENDS, 0, internal_tenant=True)},
     "cinder_backends[0].internal_tenant: needs cinder_internal_tenant_project_id and cinder_internal_tenant_user_id"),
    ({"glance_auth": {}}, "cinder_glance_auth: is missing: without credentials in [glance] that have the role service, Glance refuses locations"),
    ({"release": "26.3.0", "service_user_auth": {}}, "cinder_service_user_auth: is missing: without [service_user], Glance refuses the locations"),
    ({"release": "26.2.0", "location_api": "new"}, "cinder_location_api: Cinder of 2025.1 registers or reads"),
]


@pytest.mark.parametrize("spoiled, message", CINDER_ERRORS, ids=[message[:60] for dummy, message in CINDER_ERRORS])
def test_cinders_errors(spoiled, message):
    found = problems(cinder(**spoiled))["errors"]
    assert [each for each in found if each.startswith(message)], found
    assert not any("secret-" in each for each in found)


WARNINGS = [
    (glance, {"release": "zed", "cinder_volume_types": TYPES[:1], "stores": changed(STORES, 0, options={"weight": 3})},
     "glance_api_stores[0].options.weight: came with 2023.2; zed may not know it"),
    (glance, {"release": "zed", "store_mode": "multiple"}, "glance_api_store_mode: with several stores, clones are not registered reliably"),
    (glance, {"stores": changed(STORES, 3, options=dict.fromkeys(ACCOUNT))}, "glance_api_stores[3].options: without credentials of its own"),
    (glance, {"options": {"DEFAULT": {"enabled_backends": "a:file"}}},
     "glance_api_options.DEFAULT.enabled_backends: replaces what the other variables make of it"),
    (cinder, {"internal_tenant_project_id": "", "internal_tenant_user_id": ""}, "cinder_backends[0].internal_tenant: is off: clones belong to each user's"),
    (cinder, {"backends": changed(BACKENDS, 0, internal_tenant=False)}, "cinder_backends[0].internal_tenant: is off"),
    (cinder, {"allowed_direct_url_schemes": []}, "cinder_allowed_direct_url_schemes: has no cinder: volumes of images in vol are filled by downloading"),
    (cinder, {"volume_types": TYPES + [{"name": "archive", "volume_backend_name": "ceph", "store": "slow"}]},
     "cinder_volume_types[2].store: volumes of type archive are not cloned but uploaded, into slow"),
]


@pytest.mark.parametrize("variables, spoiled, message", WARNINGS, ids=[each[2][:60] for each in WARNINGS])
def test_warnings(variables, spoiled, message):
    found = problems(variables(**spoiled))
    assert found["errors"] == [] or spoiled.get("release") == "zed"
    assert [each for each in found["warnings"] if each.startswith(message)], found


@pytest.mark.parametrize("spoiled", [
    {"glance_auth": {}, "options": {"glance": {"auth_type": "v3token"}}},
    {"glance_auth": {}, "backends": changed(BACKENDS, 0, volume_backed_images=False)},
    {"release": "26.2.0", "service_user_auth": {}},
    {"release": "zed", "service_user_auth": {}, "glance_auth": {}, "volume_types": TYPES[:1]},
    {"glance_stores": [], "volume_types": []},
    {"internal_tenant_project_id": PROJECT.replace("-", "")},
    {"allowed_direct_url_schemes": ["cinder", "file"]},
    {"options": {"DEFAULT": {"enabled_backends": "ceph,nfs", "debug": True}}},
])
def test_what_is_no_problem(spoiled):
    assert problems(cinder(**spoiled)) == {"errors": [], "warnings": []}


def test_all_problems_are_told_at_once():
    stores = changed(changed(STORES, 0, id="os_glance_a"), 1, type="nfs")
    assert [message.split(":")[0] for message in problems(glance(stores=stores, location_api="old"))["errors"]] == [
        "glance_api_location_api", "glance_api_stores[0].id", "glance_api_stores[1].type", "glance_api_default_store",
        "glance_api_cinder_volume_types[1].store",
    ]


def test_no_check_is_forgotten():
    assert set(cloning.CHECKS) < set(CHECKS)
