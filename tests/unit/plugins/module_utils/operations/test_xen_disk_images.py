# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine's disks as what images are made of. How they are made is tested with operations/xen_vhd_snapshot.py."""

from __future__ import annotations

import pathlib
import time
import typing as t

import pytest

pytest.importorskip("XenAPI")
pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_disk_images import (
    base_of, device_of, leftovers, number_of, properties_of, since_2000, sweep,
)
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Machine, Machines
from ansible_collections.bootable.volumes.plugins.module_utils.xen.snapshots import Tag
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.snapshooting import Hurried
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_machine import Web, pool_of


@pytest.mark.parametrize("number, device", [("0", "xvda"), ("1", "xvdb"), ("25", "xvdz"), ("26", "xvdaa"), ("53", "xvdbb"), ("254", "xvdiu")])
def test_devices(number: str, device: str) -> None:
    assert device_of(number) == device and number_of(device) == number == number_of(number)


def test_what_guests_with_other_drivers_call_devices() -> None:
    assert number_of("hda") == "0" and number_of("sdc") == "2" and number_of("007") == "7"
    for nonsense in ("", "root", "xvd", "xvd0", "xvdabc", "-1", "1.5", "XVDA", "١"):
        assert number_of(nonsense) is None


def test_seconds_since_2000() -> None:
    assert since_2000("2000-01-01T00:00:00Z") == 0 and since_2000("2026-11-28T16:00:00Z") == 849196800
    assert since_2000("1999-12-31T23:59:59Z") == 0 == since_2000("") == since_2000("yesterday")


def machine(**record: t.Any) -> Machine:
    """A machine of which only this is known."""
    known = {"HVM_boot_params": {"firmware": "bios"}, "HVM_boot_policy": "BIOS order", "platform": {}, "VCPUs_max": "1", "memory_static_max": "1",
             "PV_args": "", "affinity": "OpaqueRef:NULL"}
    return Machine("OpaqueRef:1", dict(known, **record), None)


PV = {"HVM_boot_policy": "", "HVM_boot_params": {}}


@pytest.mark.parametrize("record, system, expected", [
    ({}, {}, {"vm_mode": "hvm", "hw_firmware_type": "bios"}),
    ({"HVM_boot_params": {}}, {}, {"vm_mode": "hvm", "hw_firmware_type": "bios"}),
    ({"HVM_boot_params": {"firmware": "uefi"}}, {}, {"vm_mode": "hvm", "hw_firmware_type": "uefi"}),
    ({"HVM_boot_params": {"firmware": "uefi"}, "platform": {"secureboot": "true"}}, {},
     {"vm_mode": "hvm", "hw_firmware_type": "uefi", "os_secure_boot": "required"}),
    ({"platform": {"secureboot": "true"}}, {}, {"vm_mode": "hvm", "hw_firmware_type": "bios"}),
    (PV, {}, {"vm_mode": "xen", "os_type": "linux"}),
    (PV, {"distro": "debian"}, {"vm_mode": "xen", "os_type": "linux", "os_distro": "debian"}),
    ({}, {"name": "Debian GNU/Linux 13 (trixie)", "distro": "debian", "uname": "6.12.0"},
     {"vm_mode": "hvm", "hw_firmware_type": "bios", "os_type": "linux", "os_distro": "debian"}),
    ({}, {"name": "Something 1.0", "uname": "6.12.0", "distro": "../etc"}, {"vm_mode": "hvm", "hw_firmware_type": "bios", "os_type": "linux"}),
    ({}, {"name": r"Microsoft Windows Server 2025 Standard|C:\Windows|\Device\Harddisk0\Partition2", "distro": "windows"},
     {"vm_mode": "hvm", "hw_firmware_type": "bios", "os_type": "windows"}),
    ({}, {"name": "Microsoft Windows 11", "spmajor": "0"}, {"vm_mode": "hvm", "hw_firmware_type": "bios", "os_type": "windows"}),
])
def test_what_a_pool_knows_of_a_machine(record: t.Dict[str, t.Any], system: t.Dict[str, str], expected: t.Dict[str, str]) -> None:
    assert properties_of(machine(**record), {"os_version": system}) == expected
    if not system:
        assert properties_of(machine(**record), {}) == expected


@pytest.fixture
def web(folder: pathlib.Path) -> t.Iterator[Web]:
    with simulator(folder) as site:
        yield Web(site, sizes=(4 * MIB, 2 * MIB))


def test_whose_snapshots_are_left_over(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    now = int(time.time())
    names = {
        "alive": Tag("1" * 32, now + 60, "other/host/1/1").name,
        "dead": Tag("2" * 32, now + 60, "dead").name,
        "late": Tag("3" * 32, now - 300, "other/host/1/1").name,  # clocks differ
        "over": Tag("4" * 32, now - 3600, "other/host/1/1").name,
        "theirs": "before the upgrade",
    }
    monkeypatch.setattr(liveness, "is_dead", lambda run: run == "dead")
    for name in names.values():
        web.snapshot(name)
    with pool_of(web.simulator) as pool:
        found = t.cast(Machine, Machines(pool).find("web"))
        left = leftovers(pool, found)
        assert sorted(tag.name for dummy, tag in left) == sorted((names["dead"], names["over"]))
        for ref, dummy in left:
            sweep(pool, found, ref, Job(Deadline(60, clock=Hurried(FakeCloud()))))
    assert sorted(web.snapshots()) == sorted((names["alive"], names["late"], names["theirs"]))


def test_bases(web: Web) -> None:
    call = web.call
    original = call("VDI.get_by_uuid", web.vdis[0])
    for name in ("one", "twice", "twice"):
        call("VDI.set_name_label", call("VDI.clone", original, {}), name)
    large = call("VDI.clone", original, {})
    call("VDI.set_name_label", large, "large")
    call("VDI.resize", large, str(8 * MIB))
    elsewhere = Web(web.simulator, name="elsewhere", sr=web.simulator.pool.world.lvm, sizes=(4 * MIB,)).vdis[0]
    layer = call("VDI.get_sm_config", original)["vhd-parent"]
    with pool_of(web.simulator) as pool:
        disks = Disks(pool)
        disk = Machines(pool).disks(t.cast(Machine, Machines(pool).find("web")))[0]
        one = base_of(disks, "one", disk)
        assert one.name == "one" and base_of(disks, one.uuid, disk) == one
        for wanted, error, words in (
                ("nobody", NotFound, "has no disk 'nobody'"), ("00000000-0000-4000-8000-000000000000", NotFound, "has no disk"),
                ("twice", InvalidInput, "2 disks are called 'twice'"), (web.vdis[0], InvalidInput, "the machine's own disk"),
                (elsewhere, InvalidInput, "in another storage repository"), (layer, InvalidInput, "only a layer of other disks"),
                ("large", InvalidInput, "is larger than the machine's disk: 8 MiB, not 4 MiB")):
            with pytest.raises(error, match=words):
                base_of(disks, wanted, disk)
