# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes that come once, in their order."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB

# The next bytes: at most so many, fewer only when fewer are at hand, none at the end.
Read = t.Callable[[int], bytes]

# What is read at once of what nobody keeps.
_PIECE = MIB


def of_chunks(chunks: t.Iterable[bytes]) -> Read:
    """How to read from pieces of whatever length."""
    left = iter(chunks)
    piece, at = b"", 0

    def read(length: int) -> bytes:
        nonlocal piece, at
        while at >= len(piece):
            try:
                piece, at = next(left), 0
            except StopIteration:
                return b""
        part = piece if not at and length >= len(piece) else piece[at:at + length]
        at += len(part)
        return part

    return read


class Forward:
    """Reads exactly, counts, and keeps what it has read for as long as somebody may have to begin anew.

    :ivar position: Bytes read so far.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._kept: t.Optional[t.List[bytes]] = []
        self.position = 0

    def read(self, length: int) -> bytes:
        """``length`` bytes; fewer only at the end."""
        parts: t.List[bytes] = []
        missing = length
        while missing > 0:
            part = self._read(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.position += len(data)
        if self._kept is not None:
            self._kept.append(data)
        return data

    def exactly(self, length: int, what: str) -> bytes:
        """``length`` bytes.

        :raises UnsafeImage: naming what they would have been.
        """
        data = self.read(length)
        if len(data) < length:
            raise UnsafeImage("it is truncated: it ends after %d bytes, in %s" % (self.position, what))
        return data

    def skip_to(self, position: int, what: str) -> None:
        """Read up to there.

        :raises UnsafeImage: the end comes before, naming what would have stood there.
        """
        while self.position < position:
            self.exactly(min(_PIECE, position - self.position), what)

    def last(self, length: int, before: bytes = b"") -> bytes:
        """Read to the end: its last ``length`` bytes, where ``before`` is what was read just before."""
        tail = before
        while True:
            piece = self.read(_PIECE)
            if not piece:
                return tail
            tail = (tail + piece)[-length:] if len(piece) < length else piece[-length:]

    def keep_no_more(self) -> None:
        """What was read so far is understood."""
        self._kept = None

    def again(self) -> t.Iterator[bytes]:
        """Everything from the beginning on: what was kept, then the rest."""
        kept, self._kept = self._kept, None
        if kept is None:
            raise ValueError("what was read was not kept")
        yield from kept
        while True:
            piece = self.read(_PIECE)
            if not piece:
                return
            yield piece
