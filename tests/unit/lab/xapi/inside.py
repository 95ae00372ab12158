# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simulator's inside without HTTP, disks and guests: what tests of its objects need."""

from __future__ import annotations

import time
import typing as t

import pytest

from lab.xapi.pool import Pool
from lab.xapi.ports import Guest, GuestEvent, Report, XapiError

MIB = 1 << 20


class Sizes:
    """A DiskStore that knows sizes only, and which layers lie under which."""

    def __init__(self) -> None:
        self.sizes: t.Dict[str, int] = {}
        self.taken: t.Dict[str, int] = {}
        self.broken = False

    def create(self, uuid: str, size: int) -> None:
        """A new disk."""
        if self.broken:
            raise OSError("the disk of the disks is broken")
        assert uuid not in self.sizes
        self.sizes[uuid] = size

    def destroy(self, uuid: str) -> None:
        """A disk less."""
        self.sizes.pop(uuid, None)

    def resize(self, uuid: str, size: int) -> None:
        """A larger disk."""
        assert size >= self.sizes[uuid]
        self.sizes[uuid] = size

    def layer(self, leaf: str, twin: t.Optional[str], base: str) -> None:
        """Two more."""
        if self.broken:
            raise OSError("the disk of the disks is broken")
        self.sizes[base] = self.sizes[leaf]
        if twin:
            self.sizes[twin] = self.sizes[leaf]

    def copy(self, source: str, target: str) -> None:
        """One more."""
        self.create(target, self.sizes[source])

    def allocated(self, uuid: str) -> int:
        """As a test says."""
        return self.taken.get(uuid, 0)


class Sleepers:
    """Guests that do what a test says, when it says so."""

    def __init__(self) -> None:
        self.here: t.Dict[str, t.Tuple[Guest, Report]] = {}
        self.refuse = ""

    def start(self, vm: str, guest: Guest, report: Report) -> None:
        """One more."""
        if self.refuse:
            raise OSError(self.refuse)
        assert vm not in self.here
        self.here[vm] = guest, report

    def stop(self, vm: str) -> None:
        """One less."""
        self.here.pop(vm, None)

    def running(self, vm: str) -> bool:
        """Whether it is here."""
        return vm in self.here


class Inside:
    """A pool, and calls to it."""

    def __init__(self) -> None:
        self.disks = Sizes()
        self.guests = Sleepers()
        self.pool = Pool(self.disks, self.guests)
        self.session = self.login("root", "xenroot")
        self.world = self.pool.world

    def login(self, name: str, password: str) -> str:
        """A session."""
        return t.cast(str, self.pool.call(self.pool.master, None, "session.login_with_password", [name, password]))

    def call(self, method: str, *params: t.Any) -> t.Any:
        """The value of a call."""
        return self.pool.call(self.pool.master, self.session, method, list(params))

    def failure(self, method: str, *params: t.Any) -> t.List[str]:
        """How a call fails."""
        with pytest.raises(XapiError) as caught:
            self.call(method, *params)
        return caught.value.description

    def change(self, cls: str, ref: str, **fields: t.Any) -> None:
        """What no call can change."""
        with self.pool.lock:
            self.pool.database.set(cls, ref, **fields)

    def ended(self, task: str) -> t.Dict[str, t.Any]:
        """The record of a task that has ended."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            record = self.call("task.get_record", task)
            if record["status"] not in ("pending", "cancelling"):
                return t.cast("t.Dict[str, t.Any]", record)
            self.call("event.from", ["task/" + task], "%020d,0" % self.call("event.get_current_id"), 0.1)
        raise AssertionError("the task does not end")

    # --- what most tests begin with ---

    def sr(self, name: str = "shared") -> str:
        """The reference of one of the world's SRs."""
        return t.cast(str, self.call("SR.get_by_uuid", getattr(self.world, name)))

    def disk(self, sr: str = "shared", size: int = 8 * MIB, **fields: t.Any) -> str:
        """A new VDI."""
        record = {"SR": self.sr(sr), "virtual_size": size, "type": "user", "sharable": False, "read_only": False, "other_config": {}}
        return t.cast(str, self.call("VDI.create", {**record, **fields}))

    def machine(self, **fields: t.Any) -> str:
        """A new machine, BIOS, without devices."""
        return t.cast(str, self.call("VM.create", {**machine_record(), **fields}))

    def vbd(self, vm: str, vdi: str, **fields: t.Any) -> str:
        """A new VBD."""
        return t.cast(str, self.call("VBD.create", {**vbd_record(vm, vdi), **fields}))

    def vif(self, vm: str, **fields: t.Any) -> str:
        """A new VIF."""
        return t.cast(str, self.call("VIF.create", {**self.vif_record(vm), **fields}))

    def vif_record(self, vm: str) -> t.Dict[str, t.Any]:
        """All that VIF.create needs."""
        return {
            "VM": vm, "network": self.call("network.get_by_uuid", self.world.network), "device": "0", "MAC": "02:00:00:00:00:77", "MTU": 1500,
            "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {},
        }

    def running(self, **fields: t.Any) -> str:
        """A machine that runs from a disk."""
        vm = self.machine(**fields)
        self.vbd(vm, self.disk())
        self.vif(vm)
        self.call("VM.start", vm, False, False)
        return vm

    def tell(self, vm: str, event: GuestEvent) -> None:
        """The machine's guest tells something."""
        self.guests.here[self.call("VM.get_uuid", vm)][1](event)


def machine_record() -> t.Dict[str, t.Any]:
    """All that VM.create needs."""
    memory = dict.fromkeys(("memory_static_max", "memory_dynamic_max", "memory_dynamic_min", "memory_static_min"), 256 * MIB)
    texts = dict.fromkeys(
        ("PCI_bus", "PV_args", "PV_bootloader", "PV_bootloader_args", "PV_kernel", "PV_legacy_args", "PV_ramdisk", "recommendations"), "")
    return {
        **memory, **texts, "name_label": "one", "affinity": "OpaqueRef:NULL", "actions_after_crash": "restart", "actions_after_reboot": "restart",
        "actions_after_shutdown": "destroy", "HVM_boot_params": {"order": "c", "firmware": "bios"}, "HVM_boot_policy": "BIOS order",
        "is_a_template": False, "other_config": {}, "platform": {}, "user_version": 1, "VCPUs_at_startup": 1, "VCPUs_max": 2, "VCPUs_params": {},
    }


def vbd_record(vm: str, vdi: str) -> t.Dict[str, t.Any]:
    """All that VBD.create needs."""
    return {
        "VM": vm, "VDI": vdi, "userdevice": "0", "bootable": True, "mode": "RW", "type": "Disk", "empty": False, "other_config": {},
        "qos_algorithm_type": "", "qos_algorithm_params": {},
    }
