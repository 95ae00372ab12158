# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines as XAPI's records have them, in both directions. Pure: looks at data, asks nobody.

In records integers are strings, and what a machine is made of is spread over fields that only make sense together.
"""

from __future__ import annotations

import json
import typing as t
import uuid
from dataclasses import dataclass, field

Record = t.Mapping[str, t.Any]

NULL = "OpaqueRef:NULL"

# Where a machine, or a disk that was made for one, remembers that.
MARK = "bootable:machine"

BUILDING, READY, REMOVING = "building", "ready", "removing"

RUNNING, HALTED, PAUSED, SUSPENDED = "Running", "Halted", "Paused", "Suspended"
BIOS, UEFI = "bios", "uefi"
HVM, PV = "hvm", "pv"

# What VM.create is given of a template; the rest has defaults, or belongs to one machine only.
FROM_TEMPLATE = (
    "HVM_boot_params", "HVM_boot_policy", "HVM_shadow_multiplier", "NVRAM", "PCI_bus", "PV_args", "PV_bootloader",
    "PV_bootloader_args", "PV_kernel", "PV_legacy_args", "PV_ramdisk", "VCPUs_at_startup", "VCPUs_max", "VCPUs_params",
    "actions_after_crash", "actions_after_reboot", "actions_after_shutdown", "actions_after_softreboot", "affinity", "domain_type",
    "hardware_platform_version", "has_vendor_device", "memory_dynamic_max", "memory_dynamic_min", "memory_static_max",
    "memory_static_min", "order", "other_config", "platform", "recommendations", "reference_label", "shutdown_delay", "start_delay",
    "suspend_SR", "tags", "user_version", "version", "xenstore_data",
)

# What a template says of itself, and of disks that VM.provision would make.
_TEMPLATES_OWN = ("default_template", "disks", "instant", "mac_seed")


@dataclass(frozen=True)
class Mark:
    """What a machine remembers of how it came to be; JSON in its ``other_config``, there from its first moment.

    :param state: BUILDING until its disk and networks are there, READY then, REMOVING as soon as it is to go.
    :param content: What its disk was filled with, as a ``storage.identity.Record`` has it.
    :param sr: The uuid of the SR of its disk.
    :param token: One for each time that a machine is made: a request that was carried out twice can be told by it.
    :param run: Who made it, as ``host.liveness`` tells processes.
    :param vm: The machine's own uuid once it is ready: a copy that somebody made of it bears a strange one.
    """

    state: str
    content: t.Mapping[str, t.Any]
    sr: str = ""
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    run: str = ""
    vm: str = ""

    def pack(self) -> str:
        """As it is kept."""
        return json.dumps(dict(self.content, state=self.state, sr=self.sr, token=self.token, run=self.run, vm=self.vm), sort_keys=True)

    @classmethod
    def of(cls, record: Record) -> t.Optional[Mark]:
        """The mark of a machine's record; None if it has none, or one that it got by being copied."""
        found = _object(record["other_config"].get(MARK))
        own = {key: str(found.pop(key, "")) for key in ("state", "sr", "token", "run", "vm")}
        if not own["state"] or not own["token"] or own["vm"] not in ("", record["uuid"]):
            return None
        return cls(content=found, **own)


@dataclass(frozen=True)
class DiskMark:
    """What a disk remembers of the machine that it was made for.

    :param vm: The machine's uuid.
    :param vdi: The disk's own: VDI.clone and VDI.snapshot copy the mark.
    """

    vm: str
    vdi: str

    def pack(self) -> str:
        """As it is kept."""
        return json.dumps({"vm": self.vm, "vdi": self.vdi}, sort_keys=True)

    @classmethod
    def of(cls, disk: str, other_config: t.Mapping[str, str]) -> t.Optional[DiskMark]:
        """The mark of the disk with this uuid; None if it has none, or one that it got by being copied."""
        found = _object(other_config.get(MARK))
        return cls(str(found["vm"]), disk) if found.get("vm") and found.get("vdi") == disk else None


def _object(text: t.Optional[str]) -> t.Dict[str, t.Any]:
    """The JSON object in a mark; empty for anything else, which is not ours then."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Hardware:
    """What a machine shall be made of; None leaves it as the template, or an existing machine, has it.

    :param memory: Bytes.
    :param mode: HVM or PV.
    :param boot_order: HVM: c is the disk, d the CD, n the network.
    :param pv_args: PV: the kernel's arguments.
    :param affinity: A host's reference, or NULL for none.
    """

    vcpus: t.Optional[int] = None
    memory: t.Optional[int] = None
    firmware: t.Optional[str] = None
    secure_boot: t.Optional[bool] = None
    mode: t.Optional[str] = None
    boot_order: t.Optional[str] = None
    pv_args: t.Optional[str] = None
    description: t.Optional[str] = None
    affinity: t.Optional[str] = None


# Those that can be changed whatever the machine is doing.
ANYTIME = ("description", "affinity")


def hardware_of(record: Record) -> Hardware:
    """What a machine, or a template, is made of."""
    params, domain = record["HVM_boot_params"], record.get("domain_type", "unspecified")
    if domain == "unspecified":
        mode = HVM if record["HVM_boot_policy"] else PV
    else:
        mode = PV if domain in ("pv", "pv_in_pvh") else HVM
    return Hardware(
        vcpus=int(record["VCPUs_max"]),
        memory=int(record["memory_static_max"]),
        firmware=params.get("firmware", BIOS) if mode == HVM else None,
        secure_boot=record["platform"].get("secureboot", "false") == "true",
        mode=mode,
        boot_order=params.get("order", "cd"),
        pv_args=record["PV_args"],
        description=record.get("name_description", ""),
        affinity=record["affinity"],
    )


def differing(record: Record, wanted: Hardware) -> t.Dict[str, t.Tuple[t.Any, t.Any]]:
    """Where a machine is made of something else: the name to (is, shall be). What was not asked for is not compared."""
    found, pairs = vars(hardware_of(record)), vars(wanted)
    differences = {name: (found[name], value) for name, value in pairs.items() if value is not None and found[name] != value}
    if int(record["VCPUs_at_startup"]) != int(record["VCPUs_max"]) and wanted.vcpus is not None:
        differences.setdefault("vcpus", (int(record["VCPUs_at_startup"]), wanted.vcpus))
    return differences


def fields_for(record: Record, wanted: Hardware) -> t.Dict[str, t.Any]:
    """The fields of a record that are not as the hardware has them, with what they shall be."""
    new: t.Dict[str, t.Any] = {}
    platform, boot = dict(record["platform"]), dict(record["HVM_boot_params"])
    if wanted.vcpus is not None:
        new.update(VCPUs_max=str(wanted.vcpus), VCPUs_at_startup=str(wanted.vcpus))
        cores = platform.get("cores-per-socket", "")
        if cores.isdigit() and int(cores) and wanted.vcpus % int(cores):
            del platform["cores-per-socket"]  # a machine whose cores do not fill its sockets does not start
    if wanted.memory is not None:
        new.update({name: str(wanted.memory) for name in ("memory_static_max", "memory_dynamic_max", "memory_dynamic_min")})
        new["memory_static_min"] = str(min(wanted.memory, int(record["memory_static_min"])))
    if wanted.mode is not None:
        new["HVM_boot_policy"] = (record["HVM_boot_policy"] or "BIOS order") if wanted.mode == HVM else ""
        if "domain_type" in record:  # older ones have the policy alone
            new["domain_type"] = wanted.mode
        if wanted.mode == PV and not record["PV_kernel"]:
            new["PV_bootloader"] = record["PV_bootloader"] or "pygrub"
    if wanted.firmware is not None:
        boot["firmware"] = wanted.firmware
        if wanted.firmware == UEFI:
            platform["device-model"] = "qemu-upstream-uefi"
        elif platform.get("device-model") == "qemu-upstream-uefi":
            platform["device-model"] = "qemu-upstream-compat"
    if wanted.secure_boot is not None:
        platform["secureboot"] = "true" if wanted.secure_boot else "false"
    if wanted.boot_order is not None:
        boot["order"] = wanted.boot_order
    for name, value in (("PV_args", wanted.pv_args), ("name_description", wanted.description), ("affinity", wanted.affinity)):
        if value is not None:
            new[name] = value
    new.update(platform=platform, HVM_boot_params=boot)
    return {name: value for name, value in new.items() if record.get(name) != value}


def new_machine(template: Record, name: str, wanted: Hardware, mark: Mark) -> t.Dict[str, t.Any]:
    """What VM.create is given: a machine as the template has it, but without its disks, networks and history.

    The mark is in it, so that there is no moment at which the machine could be taken for somebody else's.
    """
    record = {key: template[key] for key in FROM_TEMPLATE if key in template}
    record.update(fields_for(dict(template, name_description=""), wanted))
    record["other_config"] = {
        **{key: value for key, value in template["other_config"].items() if key not in _TEMPLATES_OWN and not key.startswith("bootable:")},
        "base_template_name": template["name_label"],
        "mac_seed": mark.token,  # without one an empty MAC is not filled in; and no two machines may have the same
        MARK: mark.pack(),
    }
    record.update(name_label=name, name_description=wanted.description or "", is_a_template=False)
    return record


def new_vbd(vm: str, vdi: str, device: int) -> t.Dict[str, t.Any]:
    """What VBD.create is given for the disk to boot from."""
    return {
        "VM": vm, "VDI": vdi, "userdevice": str(device), "bootable": True, "mode": "RW", "type": "Disk", "empty": False,
        "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {},
    }


def new_vif(vm: str, device: int, network: str, mac: str, mtu: int) -> t.Dict[str, t.Any]:
    """What VIF.create is given.

    :param mac: Empty for one that XAPI makes up.
    """
    return {
        "VM": vm, "device": str(device), "network": network, "MAC": mac, "MTU": str(mtu), "other_config": {},
        "qos_algorithm_type": "", "qos_algorithm_params": {},
    }
