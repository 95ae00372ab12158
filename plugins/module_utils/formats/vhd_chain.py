# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A chain of VHDs as one disk: the newest sector wins."""

from __future__ import annotations

import typing as t
import uuid

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd import SECTOR, ones, runs
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_file import VhdFile
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_layers import check_links
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_writer import Body, encoded

# blktap's own limit.
LONGEST = 30

# What is looked at at once.
_STEP = 4096


class Chain:
    """The disk that a chain of VHDs makes.

    :param layers: The newest first; the last one stands alone.
    :ivar size: Bytes of the disk: what the newest layer says.
    :raises UnsafeImage: a layer is not based on the next, or the newest is hidden.
    """

    def __init__(self, layers: t.Sequence[VhdFile]) -> None:
        if not 0 < len(layers) <= LONGEST:
            raise UnsafeImage("it is a chain of %d VHDs; from 1 to %d are served" % (len(layers), LONGEST))
        check_links({position: (layer.footer.identity, layer.parent) for position, layer in enumerate(layers)}, len(layers))
        if layers[0].hidden:
            raise UnsafeImage("its newest layer is hidden: it is the base of others, and not to be used alone")
        self._layers = layers
        self.size = layers[0].size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the disk; fewer only at its end."""
        length = max(0, min(length, self.size - offset))
        first, end = offset // SECTOR, -(-(offset + length) // SECTOR)
        data = bytearray((end - first) * SECTOR)
        wanted = ones(end - first)
        for layer in self._layers:
            found = layer.mask(first, end - first) & wanted
            layer.read_into(data, first, found)
            wanted &= ~found
            if not wanted:
                break
        at = offset - first * SECTOR
        return bytes(data) if not at and length == len(data) else bytes(memoryview(data)[at:at + length])

    def extents(self) -> t.Iterator[t.Tuple[int, int]]:
        """(offset, length) in bytes of what any layer holds, ascending."""
        sectors = self.size // SECTOR
        for first in range(0, sectors, _STEP):
            count = min(_STEP, sectors - first)
            mask = 0
            for layer in self._layers:
                mask |= layer.mask(first, count)
            for start, length in runs(mask, count):
                yield (first + start) * SECTOR, length * SECTOR

    def flat(self, *, identity: t.Optional[uuid.UUID] = None, batmap: bool = False, timestamp: int = 0) -> Body:
        """The whole as one dynamic VHD."""
        return encoded(self.size, self.extents(), self.read, identity=identity, batmap=batmap, timestamp=timestamp)
