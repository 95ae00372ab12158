# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.secrets import HIDDEN, is_secret, secrets_in, without_secrets

# Every option that the lists of Cinder 29, Glance 33, Keystone 30 and the libraries they use declare secret, but those with URLs.
DECLARED = """
admin_token approle_role_id approle_secret_id backup_s3_sse_customer_key backup_s3_store_access_key backup_s3_store_secret_key backup_swift_key
chap_password cinder_store_application_credential_secret cinder_store_password cisco_fc_fabric_password fc_fabric_password fixed_key gpfs_user_password
hitachi_mirror_auth_password hitachi_mirror_rest_password hmac_keys hpe3par_password invalid_password_hash_secret_key lightos_jwt
macrosan_replication_password macrosan_sdas_password memcache_password memcache_secret_key metadata_encryption_key metro_san_password nas_password
netapp_ca_certificate_file netapp_certificate_file netapp_password netapp_private_key_file nexenta_password nexenta_rest_password password
rbd_iscsi_api_password replication_device root_token_id s3_store_access_key s3_store_secret_key san_password secondary_san_password spdk_rpc_password
swift_store_application_credential_id swift_store_application_credential_secret swift_store_key swift_store_user synology_one_time_pass
synology_password token vast_api_token vmstore_password vmware_host_password vmware_server_password zadara_access_key
""".split()


@pytest.mark.parametrize("option", DECLARED + ["client_secret", "passcode", "S3_Store-Secret-Key", "kioxia_token", "application_credential_id"])
def test_what_is_secret_by_name(option):
    assert is_secret(option)
    assert without_secrets(option, "hunter2") == HIDDEN


@pytest.mark.parametrize("option", [
    "debug", "rbd_secret_uuid", "token_auth_url", "keystone_catalog_info", "volume_transfer_key_length", "auth_type", "username", "keyring", "keyfile"])
def test_what_is_not(option):
    assert not is_secret(option)
    assert without_secrets(option, "password") == "password"


@pytest.mark.parametrize("option, value, shown", [
    ("connection", "mysql+pymysql://cinder:hunter2@db/cinder?charset=utf8", "mysql+pymysql://cinder:********@db/cinder?charset=utf8"),
    ("transport_url", "rabbit://me:one@a:5672,me:two@b:5672/x", "rabbit://me:********@b:5672/x"),
    ("backend_argument", "url:redis://:hunter2@cache:6379", "url:redis://:********@cache:6379"),
    ("connection", "mysql://me:a@b/c:d@db/cinder", "mysql://me:********@db/cinder"),
    ("auth_url", "http://keystone:5000/v3", "http://keystone:5000/v3"),
    ("image_url", "https://host:8443/images/x@1.raw", "https://host:8443/images/x@1.raw"),
    ("send_service_user_token", "True", "True"),
])
def test_urls_and_switches(option, value, shown):
    assert without_secrets(option, value) == shown


def test_secrets_within_options_are_found():
    assert secrets_in({
        "cloud": {"auth": {"username": "me", "password": "one", "auth_url": "https://keystone.example.com"}, "client_secret": "two"},
        "image_url": "https://me:th%72ee@images.example.com/x.raw",
        "name": "password",
        "options": {"DEFAULT": {"hmac_keys": ["four", "five"], "san_password": 123456, "backend_url": ["redis://:six@a"]},
                    "keystone_authtoken": {"send_service_user_token": "true", "service_token_roles_required": True, "username": "me"},
                    "empty": {"password": "", "token": None}},
    }) == {"one", "two", "th%72ee", "three", "four", "five", "123456", "six"}


def test_each_password_of_several_hosts_is_found():
    assert {"one", "two", "t%77o"} <= secrets_in({"transport_url": "rabbit://me:one@a,me:t%77o@b/"})
