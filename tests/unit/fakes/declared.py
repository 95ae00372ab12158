# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of a sound deployment, to be spoiled by the tests."""

from __future__ import annotations

import copy
import typing as t

PROJECT = "4f1b9f0a-c0d3-4d1c-8c2e-9cf2c1d5a7b3"
USER = "0d5c3f4e9b6e4e0b9a8f7d6c5b4a3f2e"
AUTH = {"auth_url": "http://keystone/v3", "username": "cinder", "password": "secret-1", "project_name": "service"}
ACCOUNT = {
    "cinder_store_auth_address": "http://keystone/v3",
    "cinder_store_user_name": "glance",
    "cinder_store_password": "secret-2",
    "cinder_store_project_name": "service",
}

STORES: t.List[t.Dict[str, t.Any]] = [
    {"id": "slow", "type": "file", "options": {"filesystem_store_datadir": "/srv/images"}},
    {"id": "web", "type": "http"},
    {"id": "fast", "type": "rbd", "description": "Ceph", "options": {"rbd_store_pool": "images"}},
    {"id": "vol", "type": "cinder", "options": dict(ACCOUNT, cinder_volume_type="ceph")},
]
BACKENDS: t.List[t.Dict[str, t.Any]] = [
    {"name": "ceph", "volume_backed_images": True, "options": {"volume_driver": "cinder.volume.drivers.rbd.RBDDriver", "rbd_pool": "volumes"}},
    {"name": "nfs", "options": {"volume_driver": "cinder.volume.drivers.nfs.NfsDriver"}},
]
TYPES: t.List[t.Dict[str, t.Any]] = [
    {"name": "ceph", "volume_backend_name": "ceph"},
    {"name": "nfs", "volume_backend_name": "nfs", "store": "slow"},
]


def glance(release: str = "2026.2", **variables: t.Any) -> t.Dict[str, t.Any]:
    """What the role glance_api is given, changed by ``variables`` (without their prefix)."""
    found = {
        "release": release, "stores": STORES, "default_store": "slow", "staging_dir": "/srv/staging", "tasks_dir": "/srv/tasks",
        "cinder_backends": BACKENDS, "cinder_volume_types": TYPES,
    }
    return copy.deepcopy({"glance_api_" + name: value for name, value in {**found, **variables}.items()})


def cinder(release: str = "2026.2", **variables: t.Any) -> t.Dict[str, t.Any]:
    """What the role cinder is given, changed by ``variables`` (without their prefix)."""
    found = {
        "release": release, "backends": BACKENDS, "volume_types": TYPES, "glance_stores": STORES,
        "internal_tenant_project_id": PROJECT, "internal_tenant_user_id": USER, "service_user_auth": AUTH, "glance_auth": AUTH,
    }
    return copy.deepcopy({"cinder_" + name: value for name, value in {**found, **variables}.items()})


def changed(items: t.List[t.Dict[str, t.Any]], index: int, **keys: t.Any) -> t.List[t.Dict[str, t.Any]]:
    """A list with one of its members changed; ``options`` are merged into its own, and None takes one of them out."""
    found = copy.deepcopy(items)
    options = {**found[index].get("options", {}), **keys.pop("options", {})}
    found[index].update(keys)
    if options:
        found[index]["options"] = {name: value for name, value in options.items() if value is not None}
    return found
