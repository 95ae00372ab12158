# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.model import AUTO, MULTIPLE, NEVER_CLONING, SINGLE, Backend, Store
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import CINDER, GLANCE
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.variables import read
from ansible_collections.bootable.volumes.tests.unit.fakes.declared import ACCOUNT, BACKENDS, STORES, changed, cinder, glance


def of(release="2026.2", **variables):
    return read(glance(release, **variables), GLANCE)[0]


TWO_FILES = STORES + [{"id": "other", "type": "file", "options": {"filesystem_store_datadir": "/b"}}]
OFF = changed(BACKENDS, 0, volume_backed_images=False)


@pytest.mark.parametrize("release, mode, stores, backends, single", [
    ("zed", AUTO, STORES, BACKENDS, True),
    ("28.1.0", AUTO, STORES, BACKENDS, True),
    ("28.2.0", AUTO, STORES, BACKENDS, False),
    ("2026.2", AUTO, STORES, BACKENDS, False),
    # two of one type cannot share a section
    ("zed", AUTO, TWO_FILES, BACKENDS, False),
    # nothing is cloned
    ("zed", AUTO, STORES, OFF, False),
    # the back ends are not known: a cinder store says enough
    ("zed", AUTO, STORES, [], True),
    ("zed", AUTO, STORES[:3], [], False),
    ("zed", MULTIPLE, STORES, BACKENDS, False),
    ("2026.2", SINGLE, STORES, BACKENDS, True),
])
def test_one_store_of_each_type_or_any_number(release, mode, stores, backends, single):
    assert of(release, store_mode=mode, stores=stores, cinder_backends=backends).single is single


@pytest.mark.parametrize("asked, stores, default", [("fast", STORES, "fast"), ("", STORES, ""), ("", STORES[:1], "slow"), ("", [], "")])
def test_the_default_store(asked, stores, default):
    assert of(default_store=asked, stores=stores).default == default


@pytest.mark.parametrize("given, ids, expected", [
    (None, True, True), (None, False, False), (True, False, True), (False, True, False),
])
def test_clones_belong_to_the_internal_tenant_if_there_is_one(given, ids, expected):
    backends = changed(BACKENDS, 0, internal_tenant=given)
    variables = {} if ids else {"internal_tenant_project_id": "", "internal_tenant_user_id": ""}
    model = read(cinder(backends=backends, **variables), CINDER)[0]
    assert model.internal_tenant(model.backends[0]) is expected
    assert model.internal_tenant(model.backends[1]) is False


@pytest.mark.parametrize("options, has", [
    (ACCOUNT, True),
    ({}, False),
    ({name: value for name, value in ACCOUNT.items() if name != "cinder_store_password"}, False),
    ({"cinder_store_auth_address": "a", "cinder_store_application_credential_id": "b", "cinder_store_application_credential_secret": "c"}, True),
])
def test_the_account_of_a_cinder_store(options, has):
    assert Store("here", "a", "cinder", options=options).has_account is has


@pytest.mark.parametrize("driver, never", [
    ("cinder.volume.drivers.nfs.NfsDriver", True),
    ("cinder.volume.drivers.rbd.RBDDriver", False),
    ("cinder.volume.drivers.netapp.common.NetAppDriver", False),
    ("", False),
])
def test_drivers_that_never_clone(driver, never):
    assert Backend("here", "a", options={"volume_driver": driver} if driver else {}).never_clones is never
    assert len(set(NEVER_CLONING)) == len(NEVER_CLONING)


def test_the_types_of_back_ends_that_clone():
    assert [kind.name for kind in of().cloning_types] == ["ceph"]
    assert Backend("here", "a").volume_backend_name == "a"
    assert Backend("here", "a", options={"volume_backend_name": "gold"}).volume_backend_name == "gold"
