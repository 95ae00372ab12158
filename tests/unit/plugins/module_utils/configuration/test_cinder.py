# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of cinder.conf, release by release."""

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import CINDER, RELEASES
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.verdict import settings
from ansible_collections.bootable.volumes.tests.unit.fakes.declared import AUTH, BACKENDS, PROJECT, TYPES, USER, changed, cinder

NEW = ("2025.2", "2026.1", "2026.2")


def of_cinder(release="2026.2", **variables):
    return settings(cinder(release, **variables), CINDER)


@pytest.mark.parametrize("release", [release.name for release in RELEASES])
def test_back_ends_and_accounts(release):
    made = of_cinder(release, volume_types=TYPES[:1])
    account = dict(AUTH, auth_type="password")
    expected = {
        "DEFAULT": {
            "enabled_backends": "ceph,nfs", "allowed_direct_url_schemes": "cinder",
            "cinder_internal_tenant_project_id": PROJECT, "cinder_internal_tenant_user_id": USER,
        },
        "ceph": {
            "volume_backend_name": "ceph", "volume_driver": "cinder.volume.drivers.rbd.RBDDriver", "rbd_pool": "volumes",
            "image_upload_use_cinder_backend": True, "image_upload_use_internal_tenant": True,
        },
        "nfs": {
            "volume_backend_name": "nfs", "volume_driver": "cinder.volume.drivers.nfs.NfsDriver",
            "image_upload_use_cinder_backend": False, "image_upload_use_internal_tenant": False,
        },
        "service_user": dict(account, send_service_user_token=True),
    }
    if release in NEW:
        expected["glance"] = account
    assert made.options == expected
    assert made.absent == {"DEFAULT": ["glance_api_version"]}
    assert made.sections == ["ceph", "nfs"]


def test_nothing_declared_writes_nothing_of_cinder_either():
    made = settings({"cinder_release": "zed"}, CINDER)
    assert (made.options, made.absent, made.sections) == ({}, {"DEFAULT": ["glance_api_version"]}, [])


def test_without_clones_nothing_is_read_directly_unless_it_is_asked_for():
    off = changed(BACKENDS, 0, volume_backed_images=False)
    assert "allowed_direct_url_schemes" not in of_cinder(backends=off).options["DEFAULT"]
    assert of_cinder(backends=off, allowed_direct_url_schemes=["file"]).options["DEFAULT"]["allowed_direct_url_schemes"] == "file"
    assert of_cinder(backends=off).options["ceph"]["image_upload_use_internal_tenant"] is False


def test_another_way_to_authenticate():
    made = of_cinder(glance_auth={"auth_type": "v3applicationcredential", "application_credential_id": "x"})
    assert made.options["glance"] == {"auth_type": "v3applicationcredential", "application_credential_id": "x"}
