# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine that is wanted, and the steps that lead to it from what is there. Pure: looks at data, asks nobody."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, Drift, Foreign, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Step
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB, human
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription
from ansible_collections.bootable.volumes.plugins.module_utils.operations.comparison import IGNORE, REPLACE, reason_of, shown
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Difference
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record
from ansible_collections.bootable.volumes.plugins.module_utils.xen import machine_records as records
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machine_records import Hardware, Mark
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machines import Disk, Machine, Network, Nic

# state
STARTED, PRESENT, STOPPED, ABSENT = "started", "present", "stopped", "absent"

# What mends a difference: nothing but making the machine anew (REPLACE), a change of what is halted, or one at any time.
HALTED, ANYTIME = "halted", "update"

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")

# Below this XAPI's own checks fail with words that help nobody.
_LEAST_MEMORY = 16 * MIB


@dataclass(frozen=True)
class Card:
    """A network card that is wanted.

    :param mac: In lower case; empty for any.
    """

    network: Network
    mac: str = ""


@dataclass(frozen=True)
class Wish:
    """What every machine of the task shall be; None stands for what the task does not say: it is not compared.

    :param size: Bytes of the disk to boot from.
    :param sr: The uuid of the SR that was named.
    :param cards: By device: exactly these.
    """

    hardware: Hardware = field(default_factory=Hardware)
    image: t.Optional[ImageDescription] = None
    size: t.Optional[int] = None
    sr: t.Optional[str] = None
    cards: t.Optional[t.Tuple[Card, ...]] = None


@dataclass(frozen=True)
class Found:
    """What is there under a name.

    :param doubles: Machines that came of the same request as ``machine``; they are nobody's.
    :param root: The disk that it boots from.
    :param sr: The uuid of that disk's SR.
    """

    machine: t.Optional[Machine] = None
    doubles: t.Tuple[Machine, ...] = ()
    root: t.Optional[Disk] = None
    sr: str = ""
    nics: t.Tuple[Nic, ...] = ()


def check(hardware: Hardware, macs: t.Sequence[str], machines: int) -> None:
    """Refuse what no machine can be.

    :param macs: Those that were given.
    :param machines: How many machines are to have them.
    :raises InvalidInput: naming the option.
    """
    if hardware.vcpus is not None and hardware.vcpus < 1:
        raise InvalidInput("vcpus: %d is below 1" % hardware.vcpus)
    if hardware.memory is not None and hardware.memory < _LEAST_MEMORY:
        raise InvalidInput("memory: %s is too little; a machine has at least %s" % (human(hardware.memory), human(_LEAST_MEMORY)))
    if hardware.boot_order is not None and not re.fullmatch(r"[cdn]{1,3}", hardware.boot_order):
        raise InvalidInput("boot_order: '%s' is none; give up to three of c (disk), d (CD) and n (network), the first to be tried first" % hardware.boot_order)
    if hardware.mode == records.PV:
        for name, value in (("firmware", hardware.firmware), ("secure_boot", hardware.secure_boot), ("boot_order", hardware.boot_order)):
            if value:
                raise InvalidInput("%s does not go with boot_mode: pv, where the pool reads the kernel from the disk; leave one of them out" % name)
    elif hardware.pv_args is not None:
        raise InvalidInput("pv_args goes with boot_mode: pv only; leave it out, or set boot_mode")
    if hardware.secure_boot and hardware.firmware == records.BIOS:
        raise InvalidInput("secure_boot needs firmware: uefi")
    for mac in macs:
        if not _MAC.fullmatch(mac):
            raise InvalidInput("networks: '%s' is no MAC address; write it as 02:00:00:12:34:56" % mac)
    if macs and machines > 1:
        raise InvalidInput("networks: a mac belongs to one machine, and %d are asked for; leave it out, or make each in a task of its own" % machines)


def from_image(hardware: Hardware, image: ImageDescription) -> Hardware:
    """With what the image says of itself where the task does not: Glance's hw_firmware_type and vm_mode."""
    mode = hardware.mode or {"hvm": records.HVM, "xen": records.PV}.get(str(image.properties.get("vm_mode", "")).lower())
    firmware = hardware.firmware
    if firmware is None and mode != records.PV:
        told = str(image.properties.get("hw_firmware_type", "")).lower()
        firmware = told if told in (records.BIOS, records.UEFI) else None
    return Hardware(**dict(vars(hardware), mode=mode, firmware=firmware))


def ours(name: str, found: t.Sequence[Machine]) -> t.Tuple[t.Optional[Machine], t.List[Machine]]:
    """The one machine of a name that is ours to touch, and its doubles.

    :raises Foreign: somebody else made the machine.
    :raises Ambiguous: several have the name.
    """
    mine = [machine for machine in found if machine.mark]
    if found and not mine:
        raise Foreign("a machine %s (%s) is there, and it was not made by this collection; choose another name" % (
            name, ", ".join(machine.uuid for machine in found)))
    if len(found) > len(mine) or len({t.cast(Mark, machine.mark).token for machine in mine}) > 1:
        raise Ambiguous("%d machines are called %s: %s; rename or remove all but one" % (
            len(found), name, ", ".join(sorted(machine.uuid for machine in found))))
    mine.sort(key=lambda machine: (t.cast(Mark, machine.mark).state != records.READY, not machine.record["VBDs"], machine.uuid))
    return (mine[0], mine[1:]) if mine else (None, [])


def content_of(machine: Machine) -> t.Optional[Record]:
    """What a machine's disk was filled with, as far as its mark tells."""
    try:
        state = READY if machine.mark and machine.mark.state != records.BUILDING else FILLING
        return Record.from_dict(dict(machine.mark.content, state=state)) if machine.mark else None
    except TypeError:
        return None


def differences(found: Found, wish: Wish) -> t.List[Difference]:
    """Where a machine is not what is wanted, and what mends it. Power is not looked at."""
    machine = t.cast(Machine, found.machine)
    list_of: t.List[Difference] = []
    content = content_of(machine)
    if wish.image is not None and not (content and content.is_of(wish.image)):
        was = (content.image_id or content.image_name) if content else None
        list_of.append(Difference("image", was or "nothing known", wish.image.id or wish.image.name, REPLACE))
    if wish.sr is not None and found.sr and found.sr != wish.sr:
        list_of.append(Difference("sr", found.sr, wish.sr, REPLACE))
    for name, (has, wanted) in records.differing(machine.record, wish.hardware).items():
        option = "boot_mode" if name == "mode" else name
        list_of.append(Difference(option, has, wanted, ANYTIME if name in records.ANYTIME else HALTED))
    if wish.cards is not None:
        has, wanted = _cards(found.nics), [(str(device), card.network.ref, card.mac) for device, card in enumerate(wish.cards)]
        if len(has) != len(wanted) or any(not _same(*pair) for pair in zip(has, wanted)):
            list_of.append(Difference("networks", [_told(each) for each in has], [_told(each) for each in wanted], HALTED))
    if wish.size is not None and found.root is not None:
        size = found.root.vdi.size
        if size != wish.size:
            list_of.append(Difference("size", human(size), human(wish.size), HALTED if wish.size > size else REPLACE))
    return list_of


_CardIs = t.Tuple[str, str, str]  # device, network, MAC


def _cards(nics: t.Sequence[Nic]) -> t.List[_CardIs]:
    return [(nic.device, nic.network, nic.mac) for nic in nics]


def _same(has: _CardIs, wanted: _CardIs) -> bool:
    return has[:2] == wanted[:2] and wanted[2] in ("", has[2])


def _told(card: _CardIs) -> t.Dict[str, str]:
    return {"device": card[0], "network": card[1], "mac": card[2]}


def superfluous(nics: t.Sequence[Nic], cards: t.Sequence[Card]) -> t.Tuple[t.List[Nic], t.List[t.Tuple[int, Card]]]:
    """(those that have to go, those that have to come with their devices) to have exactly ``cards``."""
    by_device = {nic.device: nic for nic in nics}
    missing = [(device, card) for device, card in enumerate(cards) if str(device) not in by_device
               or not _same(_cards([by_device[str(device)]])[0], (str(device), card.network.ref, card.mac))]
    kept = {str(device) for device in range(len(cards))} - {str(device) for device, dummy in missing}
    return [nic for nic in nics if nic.device not in kept], missing


def steps_for(name: str, found: Found, wish: Wish, state: str, on_drift: str) -> t.List[Step]:
    """The steps that one machine needs; a single ``keep`` when it is what is wanted.

    :raises Drift: it is something else, and nobody allowed changing it.
    :raises InvalidInput: it does not exist, and no image says what to make.
    """
    machine = found.machine
    after = {"image": _image(wish), "power_state": _power(state), **_told_hardware(wish.hardware)}
    if machine is None:
        if wish.image is None:
            raise InvalidInput("the machine %s does not exist; name the image to make it of: image, image_file or image_url" % name)
        return [Step("create", name, "it does not exist", after=after)]
    before = {"image": _content(machine), "power_state": machine.power.lower()}
    mark = t.cast(Mark, machine.mark)
    differ = differences(found, wish)
    if mark.state != records.READY:
        if wish.image is None:
            raise InvalidInput("the machine %s is half made; name its image to have it finished, or remove it with state: absent" % name)
        if mark.state == records.BUILDING and not any(each.mend == REPLACE for each in differ):
            return [Step("adopt", name, "a run broke off before it was made", before, after, found)]
        return [Step("replace", name, "a run broke off before it was %s" % ("removed" if mark.state == records.REMOVING else "made"), before, after, found)]

    going = state == STOPPED or machine.power == records.HALTED
    drift = [each for each in differ if each.mend == REPLACE or each.mend == HALTED and not going]
    updates = [each for each in differ if each not in drift]
    if drift and on_drift == REPLACE:
        return [Step("replace", name, reason_of(drift), before, after, found)]
    if drift and on_drift != IGNORE:
        raise Drift(_explain(machine, drift), drift={name: shown(drift)})
    steps = _small_steps(name, found, updates, state)
    if found.doubles and not steps:
        return [Step("tidy", name, "the request to make it was carried out more than once", {"machines": 1 + len(found.doubles)}, {"machines": 1}, found)]
    return steps or [
        Step("keep", name, "drift ignored: " + reason_of(drift) if drift else "it is what was asked for", data=found)]


def _small_steps(name: str, found: Found, updates: t.Sequence[Difference], state: str) -> t.List[Step]:
    """Stop, update, start: in the order in which they can be done."""
    machine = t.cast(Machine, found.machine)
    power = {"power_state": machine.power.lower()}
    steps = []
    if state == STOPPED and machine.power != records.HALTED:
        steps.append(Step("stop", name, "it is %s" % machine.power.lower(), power, {"power_state": "halted"}, found))
    if updates:
        steps.append(Step("update", name, ", ".join(each.what for each in updates), {each.what: each.found for each in updates},
                          {each.what: each.wanted for each in updates}, found))
    if state == STARTED and machine.power != records.RUNNING:
        steps.append(Step("start", name, "it is %s" % machine.power.lower(), power, {"power_state": "running"}, found))
    return steps


def _power(state: str) -> str:
    return "running" if state == STARTED else "halted"


def _image(wish: Wish) -> t.Optional[str]:
    return (wish.image.id or wish.image.name) if wish.image else None


def _content(machine: Machine) -> t.Optional[str]:
    content = content_of(machine)
    return (content.image_id or content.image_name) if content else None


def _told_hardware(hardware: Hardware) -> t.Dict[str, t.Any]:
    return {name: value for name, value in vars(hardware).items() if value is not None and name != "affinity"}


def _explain(machine: Machine, drift: t.Sequence[Difference]) -> str:
    """What differs, and the ways out."""
    advice = "on_drift: replace removes the machine with its disk and makes it anew, ignore leaves it"
    if all(each.mend == HALTED for each in drift):
        advice = "that can be changed while it is halted: run the task with state: stopped first. Or " + advice
    return "%s (%s) exists but %s; %s" % (machine.name, machine.uuid, reason_of(drift), advice)
