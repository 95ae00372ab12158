# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A volume as Cinder has it, in the words that all drivers share, and back. Pure: looks at data, asks nobody.

**What a volume remembers.** Cinder itself remembers the Glance image that a volume was made from, as
``volume_image_metadata``. What it cannot know stands in the volume's metadata, under keys that begin with ``bootable_``:

``bootable_image_origin``
    ``file``, ``url``, ``blank``, …: the content does not come from Glance, or not as Cinder thinks.
``bootable_image_checksum``, ``bootable_image_name``, ``bootable_image_id``
    The other fields of the record.
``bootable_image_via``
    The id of the private image through which the bytes came. When Cinder names another image, somebody has refilled
    the volume since, and all these keys are stale.
``bootable_state``
    ``filling`` while a volume is being filled in several steps, and until the private image is gone.
``bootable_claim``
    The run that is making the volume: claims.py.
``bootable_made_for``
    ``root`` or ``data``: the volume was made for the server that its name begins with, as what.
``bootable_hold_<number>``
    A run that reads or writes the volume in Ceph: holds.py.
``bootable_image_request``
    The image that is being made *of* the volume, until it is there: imaging.py.
``bootable_image_request_after``
    When, by Glance's clock, the newest image came about that had this name already; absent if there was none.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, BROKEN, HALF_DONE, WORKING, Difference, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record

PREFIX = "bootable_"
CLAIM = PREFIX + "claim"
# In place of a run's id: the run has given way to another one and is about to delete the volume.
YIELDED = "yielded"
MADE_FOR = PREFIX + "made_for"

_ORIGIN, _CHECKSUM, _NAME, _ID = (PREFIX + "image_" + each for each in ("origin", "checksum", "name", "id"))
VIA = PREFIX + "image_via"
STATE = PREFIX + "state"
REQUEST = PREFIX + "image_request"
AFTER = REQUEST + "_after"
# Cinder's own word: the image whose bytes a volume is.
IMAGE_OF = "glance_image_id"
RECORD_KEYS = (_ORIGIN, _CHECKSUM, _NAME, _ID, VIA, STATE)

# The longest value that Cinder keeps, in characters.
_LONGEST_VALUE = 255

# Statuses in which nobody works on a volume; all others, error* apart, pass by themselves.
_AT_REST = frozenset(("available", "in-use", "reserved", "maintenance", "awaiting-transfer"))
_GOING = frozenset(("deleting", "deleted"))


@dataclass(frozen=True)
class CinderOptions:
    """What ``storage`` says for this driver, with the defaults filled in.

    :param metadata: Keys that every volume shall have; others are left alone.
    :param force_refill: Refill even where this Cinder is known to do it unsafely.
    :param marks: Keys of this collection's own that new volumes get; nobody compares them.
    """

    volume_type: t.Optional[str] = None
    availability_zone: t.Optional[str] = None
    description: t.Optional[str] = None
    metadata: t.Mapping[str, str] = field(default_factory=dict)
    bootable: bool = True
    force_refill: bool = False
    marks: t.Mapping[str, str] = field(default_factory=dict)


def is_broken(volume: CinderVolume) -> bool:
    """Whether Cinder gave up on it: ``error``, ``error_extending``, …"""
    return volume.status.startswith("error")


def is_going(volume: CinderVolume) -> bool:
    """Whether it is being deleted, or about to be."""
    return volume.status in _GOING or volume.metadata.get(CLAIM) == YIELDED


def is_busy(volume: CinderVolume) -> bool:
    """Whether its status will change by itself."""
    return volume.status not in _AT_REST and not is_broken(volume)


def was_downloaded(volume: CinderVolume) -> bool:
    """Whether Cinder copies, or copied, an image's bytes into it. It notes whether it checked a signature only if there were bytes."""
    return volume.status == "downloading" or "signature_verified" in volume.image


def is_filled_via(volume: CinderVolume) -> bool:
    """Whether it holds what came by way of a private image; no byte is missing, whatever its state says."""
    return VIA in volume.metadata and volume.image.get("image_id") == volume.metadata[VIA]


def claim_of(volume: CinderVolume) -> t.Optional[str]:
    """The run that is making the volume; None once that is settled."""
    return volume.metadata.get(CLAIM)


def view(volume: CinderVolume, strays: t.Sequence[str] = ()) -> Volume:
    """The volume as results and operations see it.

    :param strays: Ids of other volumes of this name, left over by runs that were killed; adopting or removing this one removes them.
    """
    state, status = state_of(volume), volume.status
    if state == AVAILABLE and strays:
        state, status = WORKING, "%s, with %d stray of a run that broke off" % (status, len(strays))
    elif state == WORKING and not is_busy(volume):
        status = "%s, but claimed by a run that has not finished" % status
    details: t.Dict[str, t.Any] = {
        "volume_type": volume.type,
        "availability_zone": volume.zone,
        "bootable": volume.bootable,
        "encrypted": volume.encrypted,
        "description": volume.description,
        "metadata": {key: value for key, value in volume.metadata.items() if not key.startswith(PREFIX)},
        "attachments": [{"server_id": each.server, "device": each.device, "host": each.host} for each in volume.attachments],
        "created_at": volume.created_at,
    }
    if strays:
        details["strays"] = list(strays)
    return Volume(
        name=volume.name, id=volume.id, size=volume.size * GIB, state=state, status=status, location=volume.type or "",
        record=record_in(volume), details=details)


def state_of(volume: CinderVolume) -> str:
    """AVAILABLE, WORKING, HALF_DONE or BROKEN."""
    if is_broken(volume):
        return BROKEN
    if is_busy(volume) or claim_of(volume):
        return WORKING
    return HALF_DONE if volume.metadata.get(STATE) == FILLING else AVAILABLE


def record_in(volume: CinderVolume) -> t.Optional[Record]:
    """What the volume remembers of its content; None if nothing is known."""
    ours, theirs = volume.metadata, volume.image
    filling = is_busy(volume) and volume.status in ("creating", "downloading") or ours.get(STATE) == FILLING
    state = FILLING if filling else READY
    if _ORIGIN in ours and (VIA not in ours or theirs.get("image_id") in (None, ours[VIA])):
        return Record(
            state=state, origin=ours[_ORIGIN], image_id=ours.get(_ID), image_name=ours.get(_NAME), checksum=ours.get(_CHECKSUM))
    if theirs.get("image_id"):
        checksum = theirs.get("checksum")
        return Record(
            state=state, origin="glance", image_id=theirs["image_id"], image_name=theirs.get("image_name"),
            # an image without data of its own has the *string* None there
            checksum="md5:" + checksum if checksum and checksum != "None" else None)
    return None


def metadata_of(record: Record, via: t.Optional[str] = None) -> t.Dict[str, str]:
    """The metadata that makes a volume remember ``record``.

    :param via: The private image through which the bytes came, if that is so.
    """
    found = {
        _ORIGIN: record.origin,
        _CHECKSUM: record.checksum,
        _NAME: record.image_name,
        _ID: record.image_id,
        VIA: via,
        STATE: FILLING if record.state == FILLING else None,
    }
    return {key: value[:_LONGEST_VALUE] for key, value in found.items() if value}


def differences_of(volume: Volume, options: CinderOptions, volume_type: t.Optional[str]) -> t.List[Difference]:
    """Where a volume is not what the options ask for.

    :param volume_type: The *name* of the type that is asked for.
    """
    found: t.List[Difference] = []

    def compare(what: str, wanted: t.Any, mend: str) -> None:
        if wanted is not None and volume.details[what] != wanted:
            found.append(Difference(what, volume.details[what], wanted, mend))

    compare("volume_type", volume_type, "replace")
    compare("availability_zone", options.availability_zone, "replace")
    compare("bootable", options.bootable, "update")
    compare("description", options.description, "update")
    kept = {key: volume.details["metadata"].get(key) for key in options.metadata}
    if kept != options.metadata:
        found.append(Difference("metadata", {key: value for key, value in kept.items() if value is not None}, dict(options.metadata)))
    return found


def holders_of(volume: Volume, snapshots: t.Sequence[str]) -> t.List[str]:
    """What makes it unsafe to change or remove a volume, to read."""
    found = []
    for each in volume.details["attachments"]:
        where = "server %s" % each["server_id"] if each["server_id"] else "host %s" % (each["host"] or "unknown")
        found.append("%s%s" % (where, " as %s" % each["device"] if each["device"] else ""))
    found += ["snapshot %s" % each for each in snapshots]
    if IMAGE_OF in volume.details["metadata"]:
        found.append("image %s, whose bytes it is" % volume.details["metadata"][IMAGE_OF])
    if volume.status in ("reserved", "awaiting-transfer", "maintenance"):
        found.append("its status, %s" % volume.status)
    return found
