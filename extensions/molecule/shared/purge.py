# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes images, volumes, volume types, and where there is Nova servers and what they need, whose names begin with PREFIX, and clones of those
volumes: purge.py PREFIX CLOUD...
"""

from __future__ import annotations

import contextlib
import sys
import time

import keystoneauth1.exceptions
import openstack

LIMIT = 120
ATTACHMENTS = "3.54"

prefix, clouds = sys.argv[1], [openstack.connect(cloud=name) for name in sys.argv[2:]]


def left() -> list[str]:
    """Ask for all of it to go; what is still there."""
    found = []
    for cloud in clouds:
        if has_nova(cloud):
            for server in cloud.compute.servers():
                if server.name.startswith(prefix):
                    found.append(server.id)
                    cloud.compute.delete_server(server)
            found += equipment(cloud)
    # then the images, which are volumes that others may have been cloned from
    for cloud in clouds:
        for image in cloud.image.images(owner=cloud.current_project_id):
            if image.name and image.name.startswith(prefix):
                found.append(image.id)
                if image.is_protected:
                    cloud.image.update_image(image, is_protected=False)
                cloud.image.delete(f"/images/{image.id}")
    for cloud in clouds:
        storage = cloud.block_storage
        held = storage.get("/attachments/detail", microversion=ATTACHMENTS).json()["attachments"]
        for volume in storage.volumes():
            # a clone is called after its image's id, and has the source's metadata
            if volume.metadata.get("bootable_image_request", volume.name or "").startswith(prefix):
                found.append(volume.id)
                for each in held:
                    if each["volume_id"] == volume.id:
                        storage.delete(f"/attachments/{each['id']}", microversion=ATTACHMENTS)
                storage.delete(f"/volumes/{volume.id}")
    for cloud in clouds:
        for kind in cloud.block_storage.types():
            if kind.name.startswith(prefix):
                found.append(kind.id)
                cloud.block_storage.delete(f"/types/{kind.id}")
    return found


def has_nova(cloud: openstack.connection.Connection) -> bool:
    """Whether it is up: a lab that once had it knows its address for good."""
    try:
        return cloud.has_service("compute") and cloud.compute.get("/").ok
    except keystoneauth1.exceptions.ConnectFailure:
        return False


def equipment(cloud: openstack.connection.Connection) -> list[str]:
    """Ask for what servers had beside volumes to go, as soon as no server has it; what is still there."""
    found = []
    compute, network = cloud.compute, cloud.network
    for things, delete in [
        (compute.keypairs(), compute.delete_keypair), (compute.server_groups(), compute.delete_server_group),
        (network.ports(project_id=cloud.current_project_id), network.delete_port),
        (network.networks(project_id=cloud.current_project_id), network.delete_network),
        (network.security_groups(project_id=cloud.current_project_id), network.delete_security_group),
    ]:
        for thing in things:
            if thing.name.startswith(prefix):
                found.append(thing.id)
                with contextlib.suppress(openstack.exceptions.ConflictException, openstack.exceptions.ForbiddenException):
                    delete(thing)
    return found


deadline = time.monotonic() + LIMIT
while remaining := left():
    if time.monotonic() > deadline:
        sys.exit(f"these do not go away: {' '.join(remaining)}")
    time.sleep(1)
