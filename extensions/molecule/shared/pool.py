# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in the simulated pool, as JSON: machines, disks, snapshots; with "purge PREFIX" all of a prefix goes first: pool.py XAPI.YML [purge PREFIX]"""

from __future__ import annotations

import json
import ssl
import sys

import XenAPI
import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    access = yaml.safe_load(file)
context = ssl.create_default_context(cafile=access["ca_path"])
transport = XenAPI.xmlrpclib.SafeTransport(context=context)
session = XenAPI.Session(access["hostname"], transport=transport)
session.xenapi.login_with_password(access["username"], access["password"], "1.0", "molecule")
api = session.xenapi


def purge(prefix: str) -> None:
    """Machines, templates of ours, snapshots and disks whose names begin with a prefix."""
    for ref, record in api.VM.get_all_records().items():
        if record["name_label"].startswith(prefix) and not record["is_control_domain"]:
            if record["power_state"] != "Halted":
                api.VM.hard_shutdown(ref)
            api.VM.destroy(ref)
    for ref, record in api.VDI.get_all_records().items():
        if record["name_label"].startswith(prefix) and record["managed"]:
            api.VDI.destroy(ref)


def listing() -> dict[str, object]:
    """By names; without what changes by itself."""
    machines, disks = api.VM.get_all_records(), api.VDI.get_all_records()
    drives, metrics = api.VBD.get_all_records(), api.VM_guest_metrics.get_all_records()
    shown = {}
    for ref, record in machines.items():
        if record["is_a_template"] and not record["is_a_snapshot"] or record["is_control_domain"]:
            continue
        told = metrics.get(record["guest_metrics"], {})
        shown[record["name_label"] + (" (snapshot)" if record["is_a_snapshot"] else "")] = {
            "uuid": record["uuid"], "power_state": record["power_state"], "vcpus": int(record["VCPUs_max"]),
            "memory": int(record["memory_static_max"]), "tools": bool(told.get("PV_drivers_detected")), "networks": told.get("networks", {}),
            "start_time": str(api.VM_metrics.get_start_time(record["metrics"])),
            "disks": sorted(disks[drives[drive]["VDI"]]["uuid"] for drive in record["VBDs"] if drives[drive]["VDI"] in disks),
            "marks": {key: value for key, value in record["other_config"].items() if key.startswith("bootable")},
        }
    return {
        "machines": shown,
        "disks": {record["uuid"]: {
            "name": record["name_label"], "size": int(record["virtual_size"]), "managed": record["managed"], "snapshot": record["is_a_snapshot"],
            "parent": record["sm_config"].get("vhd-parent"),
            "marks": {key: value for key, value in record["other_config"].items() if key.startswith("bootable")},
        } for record in disks.values()},
        "tasks": sorted(record["name_label"] for record in api.task.get_all_records().values()),
    }


if sys.argv[2:3] == ["purge"]:
    purge(sys.argv[3])
print(json.dumps(listing()))
session.xenapi.session.logout()
