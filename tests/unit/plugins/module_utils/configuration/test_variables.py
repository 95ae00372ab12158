# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From variables to the model: what is not of the right shape is told by its variable's name."""

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import CINDER, GLANCE
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.variables import NAMES, read
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.verdict import problems
from ansible_collections.bootable.volumes.tests.unit.fakes.declared import BACKENDS, PROJECT, STORES, changed, cinder, glance

FILE = {"id": "slow", "type": "file", "options": {"filesystem_store_datadir": "/srv/images"}}

ERRORS = [
    ({"stores": "slow"}, "glance_api_stores: must be a list"),
    ({"stores": [FILE, "fast"]}, "glance_api_stores[1]: must be a mapping"),
    ({"stores": [{"type": "file"}]}, "glance_api_stores[0].id: is missing"),
    ({"stores": [{"id": "slow"}]}, "glance_api_stores[0].type: is missing"),
    ({"stores": [dict(FILE, kind="x")]}, "glance_api_stores[0].kind: there is no such key; there are id, type, description, options"),
    ({"stores": [dict(FILE, options=["x"])]}, "glance_api_stores[0].options: must be a mapping"),
    ({"stores": [dict(FILE, id=["x"])]}, "glance_api_stores[0].id: must be a string"),
    ({"cinder_backends": changed(BACKENDS, 0, volume_backed_images="perhaps")},
     "glance_api_cinder_backends[0].volume_backed_images: must be true or false"),
    ({"store_mode": "both"}, "glance_api_store_mode: 'both' is none of auto, single, multiple"),
    ({"options": {"DEFAULT": "debug"}}, "glance_api_options: its DEFAULT must be a mapping"),
    ({"absent_options": {"DEFAULT": "debug"}}, "glance_api_absent_options: its DEFAULT must be a list"),
    ({"release": "yoga"}, "glance_api_release: release yoga is not known here; known are zed (glance 25, cinder 21), "),
    ({"stores": [dict(FILE, id=None)]}, "glance_api_stores[0].id: is missing"),
    ({"stores": [dict(FILE, id="")]}, "glance_api_stores[0].id: is missing"),
]


@pytest.mark.parametrize("spoiled, message", ERRORS, ids=[message[:60] for dummy, message in ERRORS])
def test_what_is_not_of_the_right_shape(spoiled, message):
    found = problems(glance(**spoiled))["errors"]
    assert [each for each in found if each.startswith(message)], found


def test_a_member_with_one_wrong_key_is_still_known_to_the_others():
    found = problems(cinder(backends=changed(BACKENDS, 0, colour="blue")))["errors"]
    assert found == ["cinder_backends[0].colour: there is no such key; there are name, options, volume_backed_images, internal_tenant"]


def test_both_roles_declare_the_same_by_their_own_names():
    ours, theirs = read(glance(), GLANCE)[0], read(cinder(), CINDER)[0]
    assert [store.id for store in ours.stores] == [store.id for store in theirs.stores] == ["slow", "web", "fast", "vol"]
    assert [store.where for store in theirs.stores] == ["cinder_glance_stores[%d]" % index for index in range(4)]
    assert [backend.where for backend in ours.backends] == ["glance_api_cinder_backends[0]", "glance_api_cinder_backends[1]"]
    assert (theirs.tenant_project, theirs.schemes, ours.default_store) == (PROJECT, None, "slow")


def test_what_all_cinder_stores_share_comes_after_what_is_their_own():
    shared = {"cinder_store_user_name": "other", "cinder_http_retries": 5}
    model = read(glance(cinder_store_options=shared), GLANCE)[0]
    assert model.cinder_stores[0].options["cinder_store_user_name"] == "glance"
    assert model.cinder_stores[0].options["cinder_http_retries"] == 5
    assert all("cinder_http_retries" not in store.options for store in model.stores if store.type != "cinder")


@pytest.mark.parametrize("given, expected", [("yes", True), (True, True), ("false", False), (0, False)])
def test_flags_as_inventories_have_them(given, expected):
    assert read(cinder(backends=[{"name": "a", "volume_backed_images": given}]), CINDER)[0].backends[0].volume_backed_images is expected


def test_numbers_are_texts_where_texts_are_meant():
    model, found = read(glance(release=2025.2, stores=[{"id": 1, "type": "file"}], default_store=1), GLANCE)
    assert (model.deployment.release.name, model.stores[0].id, model.default_store, found) == ("2025.2", "1", "1", [])


def test_what_is_null_is_not_given():
    model, found = read(glance(stores=None, staging_dir=None, options=None, cinder_volume_types=[{"name": "a", "store": None}]), GLANCE)
    assert (model.stores, model.staging_dir, model.options, model.volume_types[0].store, found) == ((), "", {}, None, [])
    assert read(glance(cinder_volume_types=[{"name": "a", "store": ""}]), GLANCE)[0].volume_types[0].store == ""


def test_variables_begin_with_their_roles_name():
    assert all(name.startswith("glance_api_") for name in NAMES[GLANCE].values())
    assert all(name.startswith("cinder_") for name in NAMES[CINDER].values())
    assert len(set(NAMES[CINDER].values())) == len(NAMES[CINDER])
    assert STORES == glance()["glance_api_stores"]
