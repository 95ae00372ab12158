# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing dynamic and differencing VHDs forward, their length known before the first byte.

Footer, header, table of blocks, batmap and parent locators if wanted, blocks without a gap, footer: what XAPI's import
reads, and qemu, libvhdi and blktap.
"""

from __future__ import annotations

import typing as t
import uuid
from array import array
from dataclasses import dataclass, field
from sys import byteorder

from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd import (
    BLOCK_SIZE, DIFFERENCING, DYNAMIC, FOOTER_LENGTH, HEADER_LENGTH, NO_PARENT, SECTOR, UNALLOCATED, Batmap, DynamicHeader, Footer, ParentLocator,
    bitmap_length, ones, within,
)
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import Layer

# Bytes from an offset of a disk.
ReadAt = t.Callable[[int, int], bytes]

_TABLE = FOOTER_LENGTH + HEADER_LENGTH


@dataclass(frozen=True)
class Parent:
    """The disk that a differencing one differs from.

    :ivar identity: In its footer.
    :ivar name: Of its file, beside this one.
    :ivar timestamp: Its footer's, in seconds since 2000; blktap wonders about a difference of more than half an hour.
    """

    identity: uuid.UUID
    name: str
    timestamp: int = 0

    def locators(self) -> t.Sequence[t.Tuple[bytes, bytes]]:
        """(platform code, name in its encoding) of each, as blktap writes them."""
        path = ".\\%s" % self.name
        return ((b"MacX", ("file://./%s" % self.name).encode()), (b"W2ku", path.encode("utf-16-le")), (b"W2ru", path.encode("utf-16-le")))


@dataclass(frozen=True)
class Layout:
    """A VHD to be written: everything but the blocks' content.

    :ivar size: Bytes of the disk.
    :ivar order: The numbers of the blocks that will follow, in the order in which they will.
    :ivar parent: None for a dynamic disk.
    :ivar batmap: Write blktap's map of full blocks, and be one of its disks: its own check wants one in what XenServer keeps as a file. The map
        says nothing of any block, which is always right.
    """

    size: int
    order: t.Sequence[int]
    block_size: int = BLOCK_SIZE
    parent: t.Optional[Parent] = None
    identity: uuid.UUID = field(default_factory=uuid.uuid4)
    timestamp: int = 0
    batmap: bool = False
    hidden: bool = False

    @property
    def stride(self) -> int:
        """Bytes of a block with its bitmap."""
        return bitmap_length(self.block_size) + self.block_size

    @property
    def length(self) -> int:
        """Bytes of the whole file."""
        return self._places()[-1] + len(self.order) * self.stride + FOOTER_LENGTH

    def head(self) -> bytes:
        """Everything before the first block."""
        table_end, batmap_end, data = self._places()
        count = -(-self.size // self.block_size)
        places = array("I", [UNALLOCATED]) * ((table_end - _TABLE) // 4)
        for index, number in enumerate(self.order):
            places[number] = (data + index * self.stride) // SECTOR
        if byteorder == "little":
            places.byteswap()
        locators, names, offset = [], [], batmap_end
        for code, name in self.parent.locators() if self.parent else ():
            space = _sectors(len(name))
            locators.append(ParentLocator(code, space, len(name), offset))
            names.append(name.ljust(space, b"\0"))
            offset += space
        parent = self.parent or Parent(NO_PARENT, "")
        header = DynamicHeader(_TABLE, count, self.block_size, parent.identity, parent.timestamp, parent.name, tuple(locators))
        batmap = Batmap(table_end + SECTOR, _sectors(-(-count // 8)) // SECTOR, bytes(_sectors(-(-count // 8)))).pack() if self.batmap else b""
        return b"".join([self.tail(), header.pack(), places.tobytes(), batmap, *names])

    def bitmap(self, mask: int) -> bytes:
        """What stands before a block's data."""
        return mask.to_bytes(self.block_size // SECTOR // 8, "big").ljust(bitmap_length(self.block_size), b"\0")

    def block(self, mask: int, data: bytes) -> t.Iterator[bytes]:
        """The pieces of the next block.

        :param mask: The sectors that it holds; the first is the highest bit.
        :param data: All its sectors; those not in the bitmap are written as they are.
        """
        yield self.bitmap(mask)
        yield data

    def tail(self) -> bytes:
        """The footer."""
        creator: t.Mapping[str, t.Any] = {"creator": b"tap\0", "creator_version": 0x10003, "host": bytes(4)} if self.batmap else {}
        return Footer(self.size, DIFFERENCING if self.parent else DYNAMIC, self.identity, timestamp=self.timestamp, hidden=self.hidden, **creator).pack()

    def _places(self) -> t.Tuple[int, int, int]:
        """Where the table of blocks, the batmap and the locators end: the last is where blocks begin."""
        count = -(-self.size // self.block_size)
        table_end = _TABLE + _sectors(count * 4)
        batmap_end = table_end + (SECTOR + _sectors(-(-count // 8)) if self.batmap else 0)
        return table_end, batmap_end, batmap_end + sum(_sectors(len(name)) for dummy, name in (self.parent.locators() if self.parent else ()))


@dataclass(frozen=True)
class Body:
    """Bytes to send.

    :ivar length: How many they will be, exactly.
    :ivar chunks: They, once.
    """

    length: int
    chunks: t.Iterator[bytes]


def rewritten(layer: Layer, *, identity: t.Optional[uuid.UUID] = None, parent: t.Optional[Parent] = None, timestamp: int = 0, batmap: bool = True,
              hidden: bool = False) -> Body:
    """A layer with the same sectors, under another name: how an exported base and its deltas become a chain.

    :param identity: Its own from now on; a new one if None.
    :param parent: What it differs from from now on; None makes it a dynamic disk, whose other sectors read as zeroes.
    """
    layout = Layout(layer.footer.size, layer.order, layer.block_size, parent, identity or uuid.uuid4(), timestamp, batmap, hidden)

    def chunks() -> t.Iterator[bytes]:
        yield layout.head()
        for block in layer.blocks():
            yield from layout.block(block.bitmap, block.clean())
        yield layout.tail()

    return Body(layout.length, chunks())


def encoded(size: int, extents: t.Iterable[t.Tuple[int, int]], read: ReadAt, *, block_size: int = BLOCK_SIZE, batmap: bool = False,
            parent: t.Optional[Parent] = None, identity: t.Optional[uuid.UUID] = None, timestamp: int = 0, hidden: bool = False) -> Body:
    """A disk as a VHD.

    :param extents: (offset, length) of what has content, ascending; the sectors that they touch are written.
    :param read: Bytes of the disk; fewer at its end.
    """
    masks = _touched(size, extents, block_size)
    layout = Layout(size, sorted(masks), block_size, parent, identity or uuid.uuid4(), timestamp, batmap, hidden)

    def chunks() -> t.Iterator[bytes]:
        yield layout.head()
        for number in layout.order:
            start = number * block_size
            yield from layout.block(masks[number], read(start, min(block_size, size - start)).ljust(block_size, b"\0"))
        yield layout.tail()

    return Body(layout.length, chunks())


def _touched(size: int, extents: t.Iterable[t.Tuple[int, int]], block_size: int) -> t.Dict[int, int]:
    """The sectors of each block that extents touch."""
    count = block_size // SECTOR
    everything = ones(count)
    masks: t.Dict[int, int] = {}
    for offset, length in extents:
        end = min(offset + length, size)
        while offset < end:
            number = offset // block_size
            stop = min(end, (number + 1) * block_size)
            first, last = (offset - number * block_size) // SECTOR, -(-(stop - number * block_size) // SECTOR)
            mask = masks.get(number, 0) | (ones(last - first) << (count - last))
            masks[number] = everything if mask == everything else mask
            offset = stop
    return {number: mask & within(size, number * block_size, block_size) for number, mask in masks.items()}


def _sectors(length: int) -> int:
    """Bytes of the whole sectors that hold ``length`` bytes."""
    return -(-length // SECTOR) * SECTOR
