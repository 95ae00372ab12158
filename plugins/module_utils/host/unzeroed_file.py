# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A thin logical volume, open, whose pool does not zero what it hands out (``lvcreate --zero n``).

Such a pool hands out chunks (64 KiB and more) with whatever was in them, and what was never written reads as zeroes: a write to a part of
a new chunk lets old bytes of other volumes appear in the rest of it. https://docs.kernel.org/admin-guide/device-mapper/thin-provisioning.html,
``skip_block_zeroing``.
"""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.block_file import BlockFile


class UnzeroedFile(BlockFile):
    """What is beside a write stays as it was: zeroes where nothing was written.

    :ivar chunk: Bytes of a chunk.
    """

    chunk = MIB

    def __init__(self, fd: int, size: int, *, thin: bool = True, path: str = "the device") -> None:
        super().__init__(fd, size, thin=thin, path=path)
        self._there: t.Set[int] = set()

    def write(self, offset: int, data: t.Union[bytes, memoryview]) -> None:
        end = offset + len(data)
        for edge in {offset // self.chunk, (end - 1) // self.chunk} if data else ():
            first, last = self._bounds(edge)
            if (offset > first or end < last) and edge not in self._there:
                self._fetch(first, last)
                self._there.add(edge)
        super().write(offset, data)

    def _bounds(self, number: int) -> t.Tuple[int, int]:
        """Where a chunk begins and ends."""
        return number * self.chunk, min((number + 1) * self.chunk, self.size)

    def _fetch(self, first: int, last: int) -> None:
        """Have a chunk, with zeroes in it if it is new. One that holds anything else is there already."""
        pieces = [(start, min(MIB, last - start)) for start in range(first, last, MIB)]
        if all(data.count(0) == len(data) for data in (self.read(*piece) for piece in pieces)):
            for start, length in pieces:
                super().write(start, bytes(length))

    def _discard_and_look(self, offset: int, length: int) -> bool:
        """What is given back is no longer there."""
        self._there.difference_update(range(offset // self.chunk, -(-(offset + length) // self.chunk)))
        return super()._discard_and_look(offset, length)
