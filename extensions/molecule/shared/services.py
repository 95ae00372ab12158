# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints what a project has, or sees, in Cinder and Glance, in the services' own words, as JSON; with the argument "servers", in Nova, too.

OS_CLOUD says which project.
"""

from __future__ import annotations

import json
import sys

import openstack

connection = openstack.connect()
project = connection.current_project_id
found = {
    "volumes": connection.block_storage.get("/volumes/detail").json()["volumes"],
    "snapshots": connection.block_storage.get("/snapshots/detail").json()["snapshots"],
    "images": connection.image.get("/images", params={"owner": project}).json()["images"],
    "types": connection.block_storage.get("/types").json()["volume_types"],
}
if sys.argv[1:] == ["servers"]:
    found["servers"] = connection.compute.get("/servers/detail", microversion="2.79").json()["servers"]
    found["ports"] = connection.network.get("/ports", params={"project_id": project}).json()["ports"]
    found["groups"] = connection.compute.get("/os-server-groups").json()["server_groups"]
json.dump({name: sorted(things, key=lambda thing: thing["id"]) for name, things in found.items()}, sys.stdout)
