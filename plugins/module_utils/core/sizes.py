# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes: bytes inside, words at the edges."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

_UNITS = {"": GIB, "K": KIB, "M": MIB, "G": GIB, "T": TIB, "P": 1024 * TIB}
_PATTERN = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:I?B)?\s*$", re.IGNORECASE)
_BYTES = re.compile(r"^\s*(\d+)\s*B\s*$", re.IGNORECASE)


def parse_size(value: t.Union[str, int], *, option: str = "size") -> int:
    """Read a size as people write it, into bytes.

    A bare number counts GiB, as in Cinder; ``K``, ``M``, ``G``, ``T``, ``P`` are powers of 1024
    (``KiB`` and ``KB`` mean the same, as in qemu-img); ``B`` counts bytes.

    :raises InvalidInput: naming the option, when it is no size or not above zero.

    >>> parse_size("10") == parse_size("10G") == parse_size("10 GiB") == 10 * GIB
    True
    """
    text = str(value)
    in_bytes = _BYTES.match(text)
    if in_bytes:
        size = int(in_bytes.group(1))
    else:
        match = _PATTERN.match(text)
        if not match:
            raise InvalidInput("%s: '%s' is not a size; write for example 10 (GiB), 512M or 1.5T" % (option, value))
        size = int(float(match.group(1)) * _UNITS[match.group(2).upper()])
    if size <= 0:
        raise InvalidInput("%s: '%s' is not above zero" % (option, value))
    return size


def round_up(size: int, unit: int) -> int:
    """The least multiple of ``unit`` that is not below ``size``."""
    return -(-size // unit) * unit


def in_gib(size: int) -> int:
    """Whole GiB that hold ``size`` bytes: what Cinder counts in."""
    return -(-size // GIB)


def human(size: int) -> str:
    """A size to read: ``1.5 GiB``."""
    number = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            break
        number /= 1024
    else:
        unit = "TiB"
    return ("%d %s" if number == int(number) else "%.1f %s") % (number, unit)
