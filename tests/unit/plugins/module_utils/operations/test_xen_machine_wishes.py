# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, Drift, Foreign, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription
from ansible_collections.bootable.volumes.plugins.module_utils.operations import xen_machine_wishes as wishes
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_wishes import Card, Found, Wish, steps_for
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machine_records import Hardware, Mark
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Disk, Machine, Network, Nic
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.xen.test_machine_records import record

MIB = 1 << 20
GIB = 1 << 30
IMAGE = ImageDescription("debian", "glance", "vhd", id="i-1", checksums={"md5": "a" * 32})
OTHER = ImageDescription("arch", "glance", "vhd", id="i-2", checksums={"md5": "b" * 32})
NET, NET2 = Network("OpaqueRef:n1", "u1", "one", 1500), Network("OpaqueRef:n2", "u2", "two", 1500)


def machine(uuid: str = "u", *, power: str = records.HALTED, state: t.Optional[str] = records.READY, image: ImageDescription = IMAGE,
            token: str = "t", **fields: t.Any) -> Machine:
    """One of ours; or with no ``state``, somebody else's."""
    found = record(**dict({"uuid": uuid, "power_state": power, "VBDs": [], "VIFs": []}, **fields))
    mark = Mark(state, record_of(image, READY).as_dict(), sr="sr-1", token=token, vm=uuid if state == records.READY else "") if state else None
    return Machine("OpaqueRef:" + uuid, found, mark)


def disk(size: int = GIB) -> Disk:
    vdi = Vdi("OpaqueRef:d", "d", "a-root", "", size, 0, "OpaqueRef:s", "user", True, False, False, False, "", False, {}, {}, (), ())
    return Disk("OpaqueRef:v", "0", True, vdi)


def found(it: t.Optional[Machine] = None, **more: t.Any) -> Found:
    return Found(machine() if it is None else it, **dict({"root": disk(), "sr": "sr-1"}, **more))


def actions(it: Found, wish: t.Optional[Wish] = None, state: str = "started", on_drift: str = "fail") -> t.List[str]:
    return [step.action for step in steps_for("a", it, Wish(image=IMAGE) if wish is None else wish, state, on_drift)]


# --- what cannot be ---


@pytest.mark.parametrize("hardware, word", [
    (Hardware(vcpus=0), "vcpus"),
    (Hardware(memory=MIB), "memory"),
    (Hardware(boot_order="x"), "boot_order"),
    (Hardware(boot_order=""), "boot_order"),
    (Hardware(mode="pv", firmware="uefi"), "firmware"),
    (Hardware(mode="pv", secure_boot=True), "secure_boot"),
    (Hardware(mode="pv", boot_order="c"), "boot_order"),
    (Hardware(pv_args="quiet"), "pv_args"),
    (Hardware(mode="hvm", pv_args="quiet"), "pv_args"),
    (Hardware(firmware="bios", secure_boot=True), "secure_boot"),
])
def test_what_no_machine_can_be_is_refused_by_name(hardware: Hardware, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        wishes.check(hardware, [], 1)


def test_mac_addresses() -> None:
    wishes.check(Hardware(), ["02:00:00:12:34:56"], 1)
    with pytest.raises(InvalidInput, match="no MAC address"):
        wishes.check(Hardware(), ["02-00-00-12-34-56"], 1)
    with pytest.raises(InvalidInput, match="one machine"):
        wishes.check(Hardware(), ["02:00:00:12:34:56"], 2)


@pytest.mark.parametrize("properties, hardware, firmware, mode", [
    ({}, Hardware(), None, None),
    ({"hw_firmware_type": "uefi", "vm_mode": "hvm"}, Hardware(), "uefi", "hvm"),
    ({"hw_firmware_type": "uefi", "vm_mode": "xen"}, Hardware(), None, "pv"),
    ({"hw_firmware_type": "uefi"}, Hardware(firmware="bios"), "bios", None),
    ({"vm_mode": "xen"}, Hardware(mode="hvm"), None, "hvm"),
    ({"hw_firmware_type": "coreboot", "vm_mode": "uml"}, Hardware(), None, None),
])
def test_the_image_says_how_it_boots_where_the_task_does_not(properties: t.Dict[str, str], hardware: Hardware, firmware: str, mode: str) -> None:
    image = ImageDescription("i", "glance", "vhd", properties=properties)
    asked = wishes.from_image(hardware, image)
    assert (asked.firmware, asked.mode) == (firmware, mode)


# --- whose it is ---


def test_the_one_machine_that_is_ours() -> None:
    assert wishes.ours("a", []) == (None, [])
    one = machine()
    assert wishes.ours("a", [one]) == (one, [])


def test_strangers_are_not_touched() -> None:
    with pytest.raises(Foreign, match=r"\(x\)"):
        wishes.ours("a", [machine("x", state=None)])
    with pytest.raises(Ambiguous, match="u, x"):
        wishes.ours("a", [machine("x", state=None), machine()])
    with pytest.raises(Ambiguous, match="u, x"):
        wishes.ours("a", [machine("x", token="another"), machine()])


def test_of_doubles_the_one_that_is_further_stays() -> None:
    first, second = machine("1", state=records.BUILDING), machine("2", state=records.BUILDING, VBDs=["OpaqueRef:v"])
    assert wishes.ours("a", [first, second]) == (second, [first])
    ready = machine("3")
    assert wishes.ours("a", [first, ready]) == (ready, [first])


# --- the steps ---


@pytest.mark.parametrize("state, expected", [("started", ["create"]), ("present", ["create"]), ("stopped", ["create"])])
def test_what_is_not_there_is_made(state: str, expected: t.List[str]) -> None:
    assert actions(Found(), state=state) == expected
    with pytest.raises(InvalidInput, match="image"):
        steps_for("a", Found(), Wish(), state, "fail")


@pytest.mark.parametrize("power, state, expected", [
    ("Running", "started", ["keep"]), ("Halted", "started", ["start"]), ("Paused", "started", ["start"]), ("Suspended", "started", ["start"]),
    ("Running", "present", ["keep"]), ("Halted", "present", ["keep"]),
    ("Running", "stopped", ["stop"]), ("Halted", "stopped", ["keep"]), ("Paused", "stopped", ["stop"]),
])
def test_power(power: str, state: str, expected: t.List[str]) -> None:
    assert actions(found(machine(power=power)), state=state) == expected
    assert actions(found(machine(power=power)), Wish(), state=state) == expected, "without an image"


def test_another_image_is_drift() -> None:
    it = found(machine(image=OTHER))
    with pytest.raises(Drift) as refused:
        actions(it)
    assert refused.value.details["drift"] == {"a": [{"what": "image", "found": "i-2", "wanted": "i-1"}]}
    assert actions(it, on_drift="replace") == ["replace"]
    assert actions(it, on_drift="ignore") == ["start"] and actions(it, state="present", on_drift="ignore") == ["keep"]
    renamed = ImageDescription("debian", "glance", "vhd", id="i-9", checksums=IMAGE.checksums)
    assert actions(it, Wish(image=renamed), on_drift="replace") == ["replace"] and actions(found(), Wish(image=renamed), "present") == ["keep"]


@pytest.mark.parametrize("wish, what", [
    (Wish(Hardware(vcpus=2)), "vcpus"),
    (Wish(Hardware(memory=GIB)), "memory"),
    (Wish(Hardware(firmware="uefi")), "firmware"),
    (Wish(Hardware(mode="pv")), "boot_mode"),
    (Wish(size=2 * GIB), "size"),
    (Wish(cards=(Card(NET),)), "networks"),
])
def test_what_takes_a_halted_machine(wish: Wish, what: str) -> None:
    running = found(machine(power="Running"))
    assert actions(found(), wish) == ["update", "start"] and actions(found(), wish, "present") == ["update"]
    assert actions(running, wish, "stopped") == ["stop", "update"]
    with pytest.raises(Drift, match="state: stopped") as refused:
        actions(running, wish)
    assert [each["what"] for each in refused.value.details["drift"]["a"]] == [what]
    assert actions(running, wish, on_drift="replace") == ["replace"] and actions(running, wish, on_drift="ignore") == ["keep"]


@pytest.mark.parametrize("wish", [Wish(Hardware(description="d")), Wish(Hardware(affinity="OpaqueRef:h"))])
def test_what_can_be_changed_at_any_time(wish: Wish) -> None:
    assert actions(found(machine(power="Running")), wish) == ["update"]


def test_no_disk_is_shrunk_and_none_moved() -> None:
    for wish in (Wish(size=MIB), Wish(sr="sr-2")):
        with pytest.raises(Drift, match="on_drift: replace"):
            actions(found(), wish)
    assert actions(found(), Wish(sr="sr-1", size=GIB), "present") == ["keep"]


@pytest.mark.parametrize("state, image, wish, expected", [
    (records.BUILDING, IMAGE, Wish(image=IMAGE), "adopt"),
    (records.BUILDING, IMAGE, Wish(Hardware(vcpus=2, firmware="uefi"), image=IMAGE), "adopt"),
    (records.BUILDING, OTHER, Wish(image=IMAGE), "replace"),
    (records.BUILDING, IMAGE, Wish(image=IMAGE, sr="sr-2"), "replace"),
    (records.REMOVING, IMAGE, Wish(image=IMAGE), "replace"),
])
def test_what_a_run_left_half_done(state: str, image: ImageDescription, wish: Wish, expected: str) -> None:
    """Whatever on_drift says: nobody has used it yet."""
    assert actions(found(machine(state=state, image=image)), wish) == [expected]
    with pytest.raises(InvalidInput, match="half made"):
        actions(found(machine(state=state)), Wish())


# --- network cards ---


def nic(device: int, network: Network = NET, mac: str = "02:00:00:00:00:01") -> Nic:
    return Nic("OpaqueRef:c%d" % device, str(device), mac, network.ref)


@pytest.mark.parametrize("nics, cards, gone, missing", [
    ([], [], [], []),
    ([], [Card(NET)], [], [0]),
    ([nic(0)], [Card(NET)], [], []),
    ([nic(0)], [], [0], []),
    ([nic(0)], [Card(NET2)], [0], [0]),
    ([nic(0)], [Card(NET, "02:00:00:00:00:01")], [], []),
    ([nic(0)], [Card(NET, "02:00:00:00:00:02")], [0], [0]),
    ([nic(0), nic(1), nic(7)], [Card(NET), Card(NET2), Card(NET)], [1, 7], [1, 2]),
])
def test_which_cards_go_and_come(nics: t.List[Nic], cards: t.List[Card], gone: t.List[int], missing: t.List[int]) -> None:
    going, coming = wishes.superfluous(nics, cards)
    assert [int(each.device) for each in going] == gone and [device for device, dummy in coming] == missing
    differ = wishes.differences(found(nics=tuple(nics)), Wish(cards=tuple(cards)))
    assert bool(differ) is bool(gone or missing)
