# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attaches a volume to a host that is not there, or detaches it: attach.py VOLUME {on,off}. OS_CLOUD says whose it is."""

from __future__ import annotations

import sys

import openstack

# An attachment needs no server, and is completed by whoever asked for it (Cinder, microversion 3.44).
MICROVERSION = "3.54"
CONNECTOR = {"host": "elsewhere", "ip": "127.0.0.1", "initiator": "iqn.2026-11.test:elsewhere", "os_type": "linux", "platform": "x86_64", "multipath": False}

storage = openstack.connect().block_storage
volume = storage.find_volume(sys.argv[1], ignore_missing=False)
if sys.argv[2] == "on":
    answer = storage.post("/attachments", json={"attachment": {"volume_uuid": volume.id, "connector": CONNECTOR}}, microversion=MICROVERSION)
    answer.raise_for_status()
    storage.post(f"/attachments/{answer.json()['attachment']['id']}/action", json={"os-complete": {}}, microversion=MICROVERSION).raise_for_status()
else:
    for each in storage.get("/attachments/detail", microversion=MICROVERSION).json()["attachments"]:
        if each["volume_id"] == volume.id:
            storage.delete(f"/attachments/{each['id']}", microversion=MICROVERSION).raise_for_status()
