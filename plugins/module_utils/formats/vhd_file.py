# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One VHD of any kind, read at random."""

from __future__ import annotations

import functools
import typing as t
import uuid
from collections import OrderedDict

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd import (
    BLOCK_SIZE, DIFFERENCING, FIXED, FOOTER_LENGTH, HEADER_LENGTH, LARGEST_DISK, SECTOR, UNALLOCATED, Batmap, DynamicHeader, Footer,
    ParentLocator, bitmap_length, blank, ones, runs, within,
)
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import Block, check_end, check_parent, physical_order, table

# Bytes from an offset of the file; fewer at its end.
ReadAt = t.Callable[[int, int], bytes]

# How many bitmaps are remembered.
_REMEMBERED = 64

# A locator or a batmap of more than this is none; the batmap of the largest disk has 128 KiB.
_SANE = MIB


class VhdFile:
    """A fixed, dynamic or differencing VHD.

    :param read_at: Bytes of the file from an offset; fewer at its end.
    :param stored: Bytes of the file.
    :ivar header: None for a fixed disk.
    :raises UnsafeImage: it is damaged, truncated, or no VHD.
    """

    def __init__(self, read_at: ReadAt, stored: int) -> None:
        self._read_stored = read_at
        self._stored = stored
        self._bitmaps: OrderedDict[int, int] = OrderedDict()
        self.header: t.Optional[DynamicHeader] = None
        self._bat: t.Sequence[int] = ()
        head = self._read_at(0, FOOTER_LENGTH)
        tail = self._read_at(max(0, stored - FOOTER_LENGTH), FOOTER_LENGTH)
        self.footer = Footer.parse(tail if not head.startswith(b"conectix") else head)
        if self.footer.kind == FIXED:
            self._fixed(head)
        else:
            self._dynamic(head, tail)

    @property
    def size(self) -> int:
        """Bytes of the disk."""
        return self.footer.size

    @property
    def block_size(self) -> int:
        """Bytes of a block's data; a fixed disk is read as if it had blocks."""
        return self.header.block_size if self.header else BLOCK_SIZE

    @property
    def parent(self) -> t.Optional[uuid.UUID]:
        """The identity of the disk that this one differs from, if it does."""
        return self.header.parent if self.header and self.footer.kind == DIFFERENCING else None

    @property
    def hidden(self) -> bool:
        """Whether it is marked as one that others are based on."""
        return self.footer.hidden

    @functools.cached_property
    def order(self) -> t.Sequence[int]:
        """The numbers of the blocks that it holds, in the order in which they stand. Those of a fixed disk that are all zeroes are left out."""
        if self.header:
            return physical_order(self._bat, self._stride)
        return [number for number in range(-(-self.size // BLOCK_SIZE)) if not blank(self._raw(number * BLOCK_SIZE, BLOCK_SIZE))]

    def blocks(self) -> t.Iterator[Block]:
        """Each block that it holds, in the order in which they stand."""
        for number in self.order:
            start = number * self.block_size
            length = min(self.block_size, self.size - start)
            data = self._raw(start, length)
            if len(data) < length:
                raise UnsafeImage("it is truncated: its block %d is not complete" % number)
            yield Block(number, self._bitmap(number), data.ljust(self.block_size, b"\0"))

    def mask(self, first: int, count: int) -> int:
        """Which of ``count`` sectors from ``first`` on this layer holds, as a number: the first is the highest bit."""
        per = self.block_size // SECTOR
        found = 0
        at, end = first, first + count
        while at < end:
            number = at // per
            stop = min(end, (number + 1) * per)
            bits = self._bitmap(number)
            if bits:
                found |= ((bits >> ((number + 1) * per - stop)) & ones(stop - at)) << (end - stop)
            at = stop
        return found

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the disk, as this layer alone has it: zeroes where it holds nothing. Fewer only at the end of the disk."""
        length = max(0, min(length, self.size - offset))
        first, end = offset // SECTOR, -(-(offset + length) // SECTOR)
        data = bytearray((end - first) * SECTOR)
        self.read_into(data, first, self.mask(first, end - first))
        return bytes(data[offset - first * SECTOR:][:length])

    def read_into(self, data: bytearray, first: int, mask: int) -> None:
        """Put sectors of this layer where they belong in ``data``, which begins with sector ``first``: those in ``mask``.

        :raises UnsafeImage: they are not in the file.
        """
        for start, count in runs(mask, len(data) // SECTOR):
            at, left = (first + start) * SECTOR, count * SECTOR
            while left:
                part = self._raw(at, min(left, self.block_size - at % self.block_size))
                if not part:
                    raise UnsafeImage("it is truncated: it has nothing at byte %d of the disk" % at)
                place = at - first * SECTOR
                data[place:place + len(part)] = part
                at, left = at + len(part), left - len(part)

    def allocated(self) -> t.Iterator[t.Tuple[int, int]]:
        """(offset, length) in bytes of what this layer holds, ascending; what touches is not joined between blocks."""
        per = self.block_size // SECTOR
        for number in sorted(self.order):
            for first, length in runs(self._bitmap(number), per):
                yield number * self.block_size + first * SECTOR, length * SECTOR

    def locators(self) -> t.Iterator[t.Tuple[ParentLocator, str]]:
        """Each parent locator with the name that it holds."""
        for one in self.header.locators if self.header else ():
            if one.length > _SANE:
                raise UnsafeImage("one of its parent locators has %d bytes" % one.length)
            data = self._read_at(one.offset, one.length)
            if len(data) < one.length:
                raise UnsafeImage("it is truncated: one of its parent locators is missing")
            yield one, one.decode(data)

    def batmap(self) -> t.Optional[Batmap]:
        """blktap's map of full blocks, if it has one that is whole: it stands behind the table of blocks."""
        if self.header is None:
            return None
        header = self._read_at(-(-(self.header.table_offset + self.header.entries * 4) // SECTOR) * SECTOR, SECTOR)
        offset, sectors = Batmap.place(header)
        return Batmap.parse(header, self._read_at(offset, sectors * SECTOR)) if sectors * SECTOR <= _SANE else None

    def _read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the file: none where it has none, however far away that is."""
        return self._read_stored(offset, min(length, self._stored - offset)) if offset < self._stored else b""

    def _fixed(self, head: bytes) -> None:
        size = self.footer.size
        if not 0 < size <= LARGEST_DISK or size % SECTOR:
            raise UnsafeImage("it says that it holds a disk of %d bytes, which cannot be" % size)
        if head.startswith(b"conectix"):
            raise UnsafeImage("it says that it is a fixed VHD, but begins like a dynamic one")
        if size + FOOTER_LENGTH > self._stored:
            raise UnsafeImage("it is truncated: the disk would end at byte %d, but it has only %d" % (size + FOOTER_LENGTH, self._stored))

    def _dynamic(self, head: bytes, tail: bytes) -> None:
        if not head.startswith(b"conectix"):
            raise UnsafeImage("its footer is missing at its beginning")
        check_end(self.footer, tail)
        self.header = DynamicHeader.parse(self._read_at(self.footer.data_offset, HEADER_LENGTH))
        check_parent(self.footer, self.header)
        count = self.header.blocks(self.footer.size)
        data = self._read_at(self.header.table_offset, count * 4)
        if len(data) < count * 4:
            raise UnsafeImage("it is truncated: its table of blocks is not complete")
        self._bat = table(data)
        self._stride = bitmap_length(self.block_size) + self.block_size
        self._check_places(count)

    def _check_places(self, count: int) -> None:
        """No block may stand where something else does, or beyond the end."""
        header = self.header
        order = self.order
        if not order or header is None:
            return
        taken = ((0, FOOTER_LENGTH), (self.footer.data_offset, HEADER_LENGTH), (header.table_offset, count * 4))
        places = [self._bat[number] * SECTOR for number in order]
        for offset, length in taken:
            for place in places if places[0] < offset + length else ():
                if place < offset + length and offset < place + self._stride:
                    raise UnsafeImage("it has a block where its own description stands")
        needed = self._stride if order[-1] != count - 1 else self._stride - self.block_size + min(self.block_size, self.size - order[-1] * self.block_size)
        if places[-1] + needed + FOOTER_LENGTH > self._stored:
            raise UnsafeImage("it is truncated: it has data at byte %d, but only %d bytes" % (places[-1], self._stored))

    def _bitmap(self, number: int) -> int:
        """The sectors of a block that it holds."""
        if number * self.block_size >= self.size:
            return 0
        inside = within(self.size, number * self.block_size, self.block_size)
        if self.header is None:
            return inside
        if self._bat[number] == UNALLOCATED:
            return 0
        found = self._bitmaps.pop(number, None)
        if found is None:
            wanted = self.block_size // SECTOR // 8
            data = self._read_at(self._bat[number] * SECTOR, wanted)
            if len(data) < wanted:
                raise UnsafeImage("it is truncated: the bitmap of its block %d is missing" % number)
            found = int.from_bytes(data, "big") & inside
        self._bitmaps[number] = found
        if len(self._bitmaps) > _REMEMBERED:
            self._bitmaps.popitem(last=False)
        return found

    def _raw(self, offset: int, length: int) -> bytes:
        """Bytes of one block, whether they mean something or not."""
        length = min(length, self.size - offset)
        if self.header is None:
            return self._read_at(offset, length)
        number, within_block = divmod(offset, self.block_size)
        return self._read_at(self._bat[number] * SECTOR + self._stride - self.block_size + within_block, length)
