# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A chain of VHDs, layer by layer into one disk: the newest sector wins, in whatever order the layers arrive.

XAPI's import writes into a disk what a VHD's bitmaps name, so that a chain can be sent oldest first. Archives hold them newest
first, though. To keep nothing on disk, each layer is sent as it arrives, without the sectors that a newer one has already brought.
"""

from __future__ import annotations

import typing as t
import uuid
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd import SECTOR, ones, runs, within
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import Layer as Source
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_writer import Layout, Parent

# As many as XenServer's own images may have.
MOST_LAYERS = 16


class Coverage:
    """Which sectors of a disk were written. A bit for each, only where a region is neither untouched nor written all over."""

    _REGION = 4096

    def __init__(self) -> None:
        self._full = bytearray()
        self._some: t.Dict[int, int] = {}

    def put(self, first: int, count: int, mask: int) -> None:
        """Add sectors: ``mask`` tells which of ``count`` from ``first`` on. Both fit into regions, or regions into them."""
        for region, shift, bits, part in self._parts(first, count):
            here = (mask >> part) & ones(bits)
            if here:
                self._add(region, here << shift)

    def get(self, first: int, count: int) -> int:
        """Which of ``count`` sectors from ``first`` on were written."""
        found = 0
        for region, shift, bits, part in self._parts(first, count):
            found |= ((self._mask(region) >> shift) & ones(bits)) << part
        return found

    def add(self, other: Coverage) -> None:
        """Everything that the other one has."""
        for region in other.regions():
            self._add(region, other._mask(region))

    def regions(self) -> t.Iterator[int]:
        """The numbers of the regions that are not untouched, ascending."""
        some = sorted(self._some)
        at = self._full.find(1)
        for region in some:
            while 0 <= at < region:
                yield at
                at = self._full.find(1, at + 1)
            yield region
        while at >= 0:
            yield at
            at = self._full.find(1, at + 1)

    def written(self) -> t.Iterator[t.Tuple[int, int]]:
        """(offset, length) in bytes of what was written, ascending, neighbours joined."""
        start = end = 0
        for region in self.regions():
            for first, length in runs(self._mask(region), self._REGION):
                begin = (region * self._REGION + first) * SECTOR
                if begin != end:
                    if end > start:
                        yield start, end - start
                    start = begin
                end = begin + length * SECTOR
        if end > start:
            yield start, end - start

    def unwritten(self, size: int) -> t.Iterator[t.Tuple[int, int]]:
        """(offset, length) in bytes of what was not written of a disk of ``size`` bytes."""
        at = 0
        for offset, length in self.written():
            if offset >= size:
                break
            if offset > at:
                yield at, offset - at
            at = offset + length
        if at < size:
            yield at, size - at

    def _parts(self, first: int, count: int) -> t.Iterator[t.Tuple[int, int, int, int]]:
        """(region, bits to its right there, number of bits, bits to its right in the whole) of each piece of a range."""
        at, end = first, first + count
        while at < end:
            region = at // self._REGION
            stop = min(end, (region + 1) * self._REGION)
            yield region, (region + 1) * self._REGION - stop, stop - at, end - stop
            at = stop

    def _mask(self, region: int) -> int:
        if region < len(self._full) and self._full[region]:
            return ones(self._REGION)
        return self._some.get(region, 0)

    def _add(self, region: int, mask: int) -> None:
        mask |= self._mask(region)
        if mask != ones(self._REGION):
            self._some[region] = mask
            return
        self._some.pop(region, None)
        if region >= len(self._full):
            self._full.extend(bytes(region + 1 - len(self._full)))
        self._full[region] = 1


@dataclass(frozen=True)
class _Link:
    """What has to fit between two layers."""

    identity: uuid.UUID
    parent: t.Optional[uuid.UUID]
    hidden: bool
    size: int


class Layer:
    """One layer, as it is to be sent.

    :ivar order: The numbers of the blocks that will be sent, in their order.
    :ivar length: Bytes of the VHD that will be sent, exactly.
    :ivar size: Bytes of the disk, as this layer has it.
    """

    def __init__(self, position: int, source: Source, newer: Coverage, done: t.Callable[[Coverage], None]) -> None:
        self._source = source
        self._newer = newer
        self._done = done
        self._sectors = source.block_size // SECTOR
        self.size = source.size
        self.order = [number for number in source.order if self._inside(number) & ~self._above(number)]
        parent = Parent(source.parent, "%d.vhd" % (position + 1)) if source.parent else None  # whatever name it brought is nobody's business
        self._layout = Layout(self.size, self.order, source.block_size, parent, source.footer.identity)
        self.length = self._layout.length

    def chunks(self) -> t.Iterator[bytes]:
        """Its bytes, once. Read to the end, for only then is it known that the layer is whole."""
        yield self._layout.head()
        for dummy, mask, data in self._masked():
            yield from self._layout.block(mask, data)
        yield self._layout.tail()

    def writes(self) -> t.Iterator[t.Tuple[int, memoryview]]:
        """In place of ``chunks``: (offset on the disk, bytes) of each stretch that it brings, once; nothing beyond the disk's end."""
        for number, mask, data in self._masked():
            view = memoryview(data)
            for first, count in runs(mask, self._sectors):
                yield (number * self._sectors + first) * SECTOR, view[first * SECTOR:(first + count) * SECTOR]

    def _masked(self) -> t.Iterator[t.Tuple[int, int, bytes]]:
        """(number, sectors, data) of each block that has sectors to bring."""
        own = Coverage()
        for block in self._source.blocks():
            own.put(block.number * self._sectors, self._sectors, block.bitmap)
            above = self._above(block.number)
            if self._inside(block.number) & ~above:
                yield block.number, block.bitmap & ~above, block.data
        self._done(own)

    def _above(self, number: int) -> int:
        return self._newer.get(number * self._sectors, self._sectors)

    def _inside(self, number: int) -> int:
        return within(self.size, number * self._source.block_size, self._source.block_size)


class Layers:
    """The layers of one disk.

    :param count: How many there will be, where that is known: 1 for a bare VHD.
    """

    def __init__(self, count: t.Optional[int] = None) -> None:
        self._count = count
        self._links: t.Dict[int, _Link] = {}
        self._whole: t.Dict[int, t.Tuple[int, Coverage]] = {}

    @property
    def size(self) -> int:
        """Bytes of the largest layer that has begun: what a volume must have."""
        return max((link.size for link in self._links.values()), default=0)

    def begin(self, position: int, source: Source) -> Layer:
        """The next layer.

        :param position: 0 is the newest; each is based on the next one that there is.
        :raises UnsafeImage: it does not fit to the others.
        """
        if position in self._links or not 0 <= position < MOST_LAYERS:
            raise UnsafeImage("its layer %d comes twice, or is one too many; at most %d are served" % (position, MOST_LAYERS))
        self._links[position] = _Link(source.footer.identity, source.parent, source.hidden, source.size)
        self._check(self._links, self._count)
        newer = Coverage()
        for first, (dummy, coverage) in self._whole.items():
            if first < position:
                newer.add(coverage)
        return Layer(position, source, newer, lambda own: self._remember(position, own))

    def finish(self) -> None:
        """That nothing is missing.

        :raises UnsafeImage: a layer is, or one is not whole.
        """
        in_order = [self._links[position] for position in sorted(self._links)]  # the names of old have gaps between them
        self._check(dict(enumerate(in_order)), len(in_order))
        if not self._links or sum(last - first + 1 for first, (last, dummy) in self._whole.items()) != len(self._links):
            raise UnsafeImage("not all of its layers have arrived")

    def unwritten(self, size: int) -> t.Iterator[t.Tuple[int, int]]:
        """(offset, length) in bytes of what no layer has written of a disk of ``size`` bytes: it reads as zeroes."""
        everything = Coverage()
        for dummy, coverage in self._whole.values():
            everything.add(coverage)
        return everything.unwritten(size)

    def _remember(self, position: int, own: Coverage) -> None:
        """What a layer has written. Between neighbours none can come any more: one memory is enough for them."""
        first = last = position
        for begin, (end, other) in sorted(self._whole.items()):
            if end + 1 == position or begin == position + 1:
                own.add(other)
                del self._whole[begin]
                first, last = min(first, begin), max(last, end)
        self._whole[first] = (last, own)

    @staticmethod
    def _check(links: t.Mapping[int, _Link], count: t.Optional[int]) -> None:
        """What is known so far must fit."""
        check_links({position: (link.identity, link.parent) for position, link in links.items()}, count)
        if 0 in links and links[0].hidden:
            raise UnsafeImage("its newest layer is hidden: it is the base of others, and not to be used alone")


def check_links(links: t.Mapping[int, t.Tuple[uuid.UUID, t.Optional[uuid.UUID]]], count: t.Optional[int]) -> None:
    """That each layer is based on the next one.

    :param links: Position, 0 for the newest, to (identity, parent's identity) of each layer that is known.
    :param count: How many there are; None if unknown.
    :raises UnsafeImage: naming the layer.
    """
    if len({identity for identity, dummy in links.values()}) != len(links):
        raise UnsafeImage("two of its layers are the same")
    for position, (dummy, parent) in links.items():
        if count is not None and position == count - 1:
            if parent is not None:
                raise UnsafeImage("its oldest layer %d is a differencing VHD: it holds only the changes to another disk, which is missing" % position)
        elif count is not None and position >= count:
            raise UnsafeImage("its layers are not numbered from 0 without a gap")
        elif position + 1 in links:
            if parent != links[position + 1][0]:
                raise UnsafeImage("its layer %d is not based on its layer %d" % (position, position + 1))
        elif count is not None:
            raise UnsafeImage("its layer %d is missing" % (position + 1))
