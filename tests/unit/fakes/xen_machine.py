# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine ``web`` in the simulator's pool: a disk to boot from, and one for data."""

from __future__ import annotations

import random
import typing as t

from lab.xapi.simulator import Simulator

from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import BOOT_SECTOR

ROOT, DATA = 8 * MIB, 6 * MIB


def pool_of(simulator: Simulator, **params: t.Any) -> Pool:
    """A connection to it."""
    given = {"hostname": simulator.address, "username": simulator.user, "password": simulator.password, "ca_path": simulator.ca_file}
    return Pool.connect(dict(given, **params))


class Web:
    """The machine.

    :ivar ref: Its reference.
    :ivar uuid: Its uuid.
    :ivar vdis: The uuids of its disks, by device.
    """

    def __init__(self, simulator: Simulator, *, sr: t.Optional[str] = None, name: str = "web", sizes: t.Sequence[int] = (ROOT, DATA)) -> None:
        self.simulator = simulator
        call = self.call = simulator.call
        (template,) = call("VM.get_by_name_label", "Other install media")
        self.ref = call("VM.clone", template, name)
        if "disks" in call("VM.get_other_config", self.ref):
            call("VM.remove_from_other_config", self.ref, "disks")
        call("VM.provision", self.ref)
        self.uuid: str = call("VM.get_uuid", self.ref)
        self.sr = call("SR.get_by_uuid", sr or simulator.pool.world.shared)
        self.vdis = [self.attach(device, size) for device, size in enumerate(sizes)]
        self.write(0, 0, BOOT_SECTOR)

    def attach(self, device: int, size: int) -> str:
        """Another disk; its uuid."""
        vdi = self.call("VDI.create", {
            "SR": self.sr, "name_label": "web-%d" % device, "virtual_size": str(size), "type": "user", "sharable": False, "read_only": False,
            "other_config": {}})
        self.call("VBD.create", {
            "VM": self.ref, "VDI": vdi, "userdevice": str(device), "bootable": device == 0, "mode": "RW", "type": "Disk", "empty": False,
            "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
        uuid: str = self.call("VDI.get_uuid", vdi)
        return uuid

    def write(self, device: int, offset: int, data: bytes) -> None:
        """As its guest would."""
        self.simulator.write_disk(self.vdis[device], offset, data)

    def scribble(self, seed: int, device: int = 0, count: int = 5) -> None:
        """Write here and there."""
        dice = random.Random(seed)
        size = len(self.content(device))
        for dummy in range(count):
            length = dice.randint(1, 3000)
            self.write(device, dice.randrange(512, size - length), dice.randbytes(length))

    def content(self, device: int = 0) -> bytes:
        """What is on a disk."""
        return self.simulator.disk_bytes(self.vdis[device])

    def start(self) -> None:
        """It runs."""
        self.call("VM.start", self.ref, False, False)

    def snapshot(self, name: str) -> str:
        """A snapshot that somebody else takes; its reference."""
        ref: str = self.call("VM.snapshot", self.ref, name)
        return ref

    def snapshots(self) -> t.List[str]:
        """The names of its snapshots."""
        return [self.call("VM.get_name_label", ref) for ref in self.call("VM.get_snapshots", self.ref)]

    def all_vdis(self) -> t.Set[str]:
        """The uuids of all disks that are more than layers in its storage repository."""
        return {record["uuid"] for record in self.call("VDI.get_all_records").values() if record["managed"] and record["SR"] == self.sr}

    def left(self) -> t.List[str]:
        """What a run has left in the pool that was not there before: of a machine without snapshots of its own."""
        found = self.snapshots() + sorted(self.all_vdis() - set(self.vdis))
        found += [key for key in self.call("VM.get_other_config", self.ref) if key.startswith("bootable:")]
        return found + [record["name_label"] for record in self.call("task.get_all_records").values()]

    def writes(self) -> t.List[str]:
        """The calls that changed something."""
        return [call.method for call in self.simulator.pool.faults.writes()]
