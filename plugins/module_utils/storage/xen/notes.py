# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What disks remember, in their ``other_config``; and which of several of one name is meant. Pure: looks at data, asks nobody.

``bootable:record``
    JSON of what the disk was filled with (identity.py). There from the disk's first moment on.
``bootable:vdi``
    The disk's own uuid. XAPI copies other_config with a disk: where this is another uuid, all these keys were brought along.
    A disk without it was made, and never cloned.
``bootable:blank``
    There while a disk that was made empty is being filled: what is in it is zeroes, and bytes of the image in its record.
``bootable:grows``
    There while a disk is being filled whose size nobody has named.
``bootable:cloning:<id>``
    On a disk that is being cloned: JSON of who does it and what the clone will be called. A clone brings it along, so that one which a
    killed run left, still with its original's name, is known.
"""

from __future__ import annotations

import json
import time
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import TOKEN, Vdi

RECORD, SELF, BLANK, GROWS, CLONING = ("bootable:" + each for each in ("record", "vdi", "blank", "grows", "cloning:"))

# Types of disks that people use; the others are the pool's own.
TYPES = frozenset(("user", "system"))

# Seconds after its deadline in which a run still tidies up.
_GRACE = 180.0


@dataclass(frozen=True)
class Claim:
    """A run's word that it is at work on something.

    :param name: What the work is about.
    :param run: The run's signature (host/liveness.py).
    :param until: When it will have ended, in seconds since 1970.
    """

    name: str
    run: str
    until: float

    @classmethod
    def mine(cls, name: str, deadline: Deadline) -> Claim:
        """This run's."""
        return cls(name, liveness.signature(), time.time() + deadline.remaining() + _GRACE)

    @classmethod
    def parse(cls, text: str) -> Claim:
        """What stands there; of what makes no sense nobody is the owner."""
        try:
            found = json.loads(text)
            return cls(str(found["name"]), str(found["run"]), float(found["until"]))
        except (ValueError, TypeError, KeyError):
            return cls("", "", 0.0)

    def text(self) -> str:
        """For other_config."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def over(self) -> bool:
        """Whether the run has ended, as far as that is certain from here."""
        return time.time() > self.until or liveness.is_dead(self.run)


def is_own(vdi: Vdi) -> bool:
    """Whether what a disk's notes say is about this disk, and not about one that it was copied from."""
    return vdi.other_config.get(SELF, vdi.uuid) == vdi.uuid


def record_of(vdi: Vdi) -> t.Optional[Record]:
    """What a disk remembers; None if nothing, or nothing that makes sense.

    A copy remembers what its original was filled with, but not that somebody was at it.
    """
    try:
        record = Record.from_dict(json.loads(vdi.other_config[RECORD]))
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    return record if is_own(vdi) or record.state == READY else None


def notes_for(record: Record, vdi: t.Optional[str] = None, *, blank: bool = False, grows: bool = False) -> t.Dict[str, t.Optional[str]]:
    """The notes of a disk with that record; None for those that it shall not have.

    :param vdi: Its uuid, once it has one.
    """
    return {
        RECORD: json.dumps(record.as_dict(), sort_keys=True), SELF: vdi, TOKEN: None,
        BLANK: "true" if blank and record.state == FILLING else None, GROWS: "true" if grows and record.state == FILLING else None,
    }


def claims_on(vdi: Vdi) -> t.Dict[str, Claim]:
    """Who is cloning a disk, or has cloned its original when it was made: keys and claims."""
    return {key: Claim.parse(value) for key, value in vdi.other_config.items() if key.startswith(CLONING)}


def is_raw_clone(vdi: Vdi) -> bool:
    """Whether a disk is a clone that was not made a volume yet."""
    return not is_own(vdi) and bool(claims_on(vdi))


def is_volume(vdi: Vdi) -> bool:
    """Whether a disk is one that people would call so."""
    return vdi.managed and not vdi.is_snapshot and vdi.type in TYPES and not is_raw_clone(vdi)


def choose(name: str, vdis: t.Iterable[Vdi]) -> t.Tuple[t.Optional[Vdi], t.List[Vdi]]:
    """The disk that a name stands for, and half-filled ones beside it that killed runs left.

    A copy that somebody made of a volume, and that kept its name, is not meant as long as the volume itself is there.

    :raises Ambiguous: several could be meant.
    """
    there = sorted((vdi for vdi in vdis if is_volume(vdi)), key=lambda vdi: vdi.uuid)
    ours = [vdi for vdi in there if is_own(vdi) and record_of(vdi)]
    others = [vdi for vdi in there if vdi not in ours and (not ours or not vdi.other_config.get(RECORD))]
    ready = [vdi for vdi in ours if t.cast(Record, record_of(vdi)).state == READY]
    half = [vdi for vdi in ours if vdi not in ready]
    if len(ready) + len(others) > 1 or others and ours:
        uuids = [vdi.uuid for vdi in there]
        raise Ambiguous("%d disks in the storage repository are called '%s': %s; rename or remove all but one" % (
            len(there), name, ", ".join(uuids)), uuids=uuids)
    chosen = next(iter(ready + others + half), None)
    return chosen, [vdi for vdi in half if vdi is not chosen]
