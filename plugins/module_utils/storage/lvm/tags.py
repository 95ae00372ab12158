# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A record as tags of a logical volume: ``bootable.state=ready``, ``bootable.image_name=debian!2013``."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import Record

PREFIX = "bootable."

# While a thick volume grows: how much of it is the volume already, in bytes.
GROWN_FROM = PREFIX + "grown_from="

# lvm(8): tags consist of A-Z a-z 0-9 _ + . - / = ! : # &; here ! begins an escape, and - may not come first
_OTHER = re.compile(rb"[^A-Za-z0-9_+./=:#&-]")
_ESCAPE = re.compile(r"!([0-9a-f]{2})")

# lvm(8) allows 1024 characters; what is longer goes into several tags, numbered from 2.
_LONGEST = 900


def tags_of(record: Record) -> t.Set[str]:
    """The tags that hold a record."""
    tags = set()
    for key, value in record.as_dict().items():
        if value is None:
            continue
        text = _OTHER.sub(lambda found: b"!%02x" % found.group()[0], str(value).encode("utf-8", "surrogateescape")).decode("ascii")
        for number in range(max(1, -(-len(text) // _LONGEST))):
            tags.add("%s%s%s=%s" % (PREFIX, key, ".%d" % (number + 1) if number else "", text[number * _LONGEST:(number + 1) * _LONGEST]))
    return tags


def record_in(tags: t.Iterable[str]) -> t.Optional[Record]:
    """The record that tags hold; None where there is none, or not all of it."""
    parts: t.Dict[str, t.Dict[int, str]] = {}
    for tag in tags:
        found = re.fullmatch(re.escape(PREFIX) + r"(\w+)(?:\.(\d+))?=(.*)", tag)
        if found and not tag.startswith(GROWN_FROM):
            parts.setdefault(found.group(1), {})[int(found.group(2) or 1)] = found.group(3)
    texts = {key: "".join(pieces[number] for number in sorted(pieces)) for key, pieces in parts.items()}
    if not {"state", "origin"} <= texts.keys():
        return None
    return Record.from_dict({key: _plain(text) for key, text in texts.items()})


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found.group(1), 16)), text).encode("latin-1").decode("utf-8", "surrogateescape")


def grown_from(tags: t.Iterable[str]) -> t.Optional[int]:
    """Bytes that a volume had when a run began to make it larger, if that was not brought to its end."""
    return next((int(tag[len(GROWN_FROM):]) for tag in tags if tag.startswith(GROWN_FROM)), None)
