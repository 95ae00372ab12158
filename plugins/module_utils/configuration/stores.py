# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of store that Glance has, with their options, as data.

Source: glance_store, the drivers' OPTIONS at the version of each release.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

# An option's name, and the release that brought it; "" for those that were always there.
Options = t.Mapping[str, str]


@dataclass(frozen=True)
class StoreType:
    """A type of store.

    :param options: Which it takes.
    :param needs: Sets of options, one of which must be given in full; empty where the defaults do.
    :param scheme: What `[glance_store] default_store` calls it, where there is one store of each type.
    :param writable: Whether images can be put into it.
    """

    options: Options
    needs: t.Tuple[t.Tuple[str, ...], ...] = ()
    scheme: str = ""
    writable: bool = True


def _options(always: str, **since: str) -> Options:
    """Options that were always there, and those that a release brought: `s2023_1="weight"`."""
    found = dict.fromkeys(always.split(), "")
    for release, names in since.items():
        found.update(dict.fromkeys(names.split(), release[1:].replace("_", ".")))
    return found


# Options that stores of every type take, where there are several stores.
COMMON = _options("store_description", s2023_2="weight")

# Options that stand in the file once for each value; other lists are one line, with commas.
MULTI_VALUED = frozenset(("filesystem_store_datadirs", "vmware_datastores"))

STORE_TYPES: t.Dict[str, StoreType] = {
    "file": StoreType(scheme="file", options=_options(
        "filesystem_store_datadir filesystem_store_datadirs filesystem_store_metadata_file filesystem_store_file_perm"
        " filesystem_store_chunk_size filesystem_thin_provisioning",
        s2026_1="filesystem_store_timeout filesystem_store_thread_pool_size filesystem_store_threadpool_threshold",
    )),
    "http": StoreType(scheme="http", writable=False, options=_options(
        "https_ca_certificates_file https_insecure http_proxy_information",
    )),
    "swift": StoreType(scheme="swift", options=_options(
        "swift_store_auth_insecure swift_store_cacert swift_store_region swift_store_endpoint swift_store_endpoint_type"
        " swift_store_service_type swift_store_container swift_store_large_object_size swift_store_large_object_chunk_size"
        " swift_store_create_container_on_put swift_store_multi_tenant swift_store_multiple_containers_seed"
        " swift_store_admin_tenants swift_store_ssl_compression swift_store_retry_get_count"
        " swift_store_expire_soon_interval swift_store_use_trusts swift_buffer_on_upload swift_upload_buffer_dir"
        " default_swift_reference swift_store_config_file"
        " swift_store_auth_version swift_store_auth_address swift_store_user swift_store_key",
        s2026_1="swift_store_application_credential_id swift_store_application_credential_secret"
                " swift_store_project_name swift_store_project_id",
    ), needs=(
        ("swift_store_config_file",),
        ("swift_store_auth_address", "swift_store_user", "swift_store_key"),
        ("swift_store_auth_address", "swift_store_application_credential_id", "swift_store_application_credential_secret"),
        ("swift_store_multi_tenant",),
    )),
    "rbd": StoreType(scheme="rbd", options=_options(
        "rbd_store_chunk_size rbd_store_pool rbd_store_user rbd_store_ceph_conf rados_connect_timeout rbd_thin_provisioning",
    )),
    "cinder": StoreType(scheme="cinder", options=_options(
        "cinder_catalog_info cinder_endpoint_template cinder_os_region_name cinder_ca_certificates_file cinder_http_retries"
        " cinder_state_transition_timeout cinder_api_insecure cinder_store_auth_address cinder_store_user_name"
        " cinder_store_user_domain_name cinder_store_password cinder_store_project_name cinder_store_project_domain_name"
        " rootwrap_config cinder_volume_type cinder_enforce_multipath cinder_use_multipath cinder_mount_point_base",
        s2023_1="cinder_do_extend_attached",
        s2026_1="cinder_store_application_credential_id cinder_store_application_credential_secret",
        s2026_2="cinder_attachment_retry_attempts",
    )),
    "s3": StoreType(scheme="s3", options=_options(
        "s3_store_host s3_store_access_key s3_store_secret_key s3_store_bucket s3_store_create_bucket_on_put"
        " s3_store_bucket_url_format s3_store_large_object_size s3_store_large_object_chunk_size s3_store_thread_pools",
        s2023_1="s3_store_region_name",
        s2024_1="s3_store_cacert",
        s2026_1="s3_store_enable_data_integrity_protection s3_store_request_checksum_calculation"
                " s3_store_response_checksum_validation",
    ), needs=(("s3_store_host", "s3_store_access_key", "s3_store_secret_key", "s3_store_bucket"),)),
    "vmware": StoreType(scheme="vsphere", options=_options(
        "vmware_server_host vmware_server_username vmware_server_password vmware_api_retry_count vmware_task_poll_interval"
        " vmware_store_image_dir vmware_insecure vmware_ca_file vmware_datastores",
    ), needs=(("vmware_server_host", "vmware_server_username", "vmware_server_password", "vmware_datastores"),)),
}

# The cinder store's own account: all of it, or else it acts as whoever uses an image.
CINDER_ACCOUNT = ("cinder_store_auth_address", "cinder_store_user_name", "cinder_store_password", "cinder_store_project_name")
CINDER_APPLICATION_CREDENTIAL = (
    "cinder_store_auth_address", "cinder_store_application_credential_id", "cinder_store_application_credential_secret",
)

# Options of which Glance takes one.
EXCLUSIVE = (
    ("filesystem_store_datadir", "filesystem_store_datadirs"),
    ("swift_store_config_file", "swift_store_multi_tenant"),
)


def is_set(value: t.Any) -> bool:
    """Whether an option has a value, and a flag is on."""
    return bool(value) and str(value).lower() not in ("false", "no", "off", "0")


def types_with(option: str) -> t.List[str]:
    """The types of store that take an option."""
    return [name for name, kind in STORE_TYPES.items() if option in kind.options]
