# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dynamic or differencing VHD, read forward: as it comes from a download, an archive or an export."""

from __future__ import annotations

import typing as t
import uuid
from array import array
from dataclasses import dataclass
from sys import byteorder

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats.forward import Forward
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd import (
    DIFFERENCING, FIXED, FOOTER_LENGTH, HEADER_LENGTH, NO_PARENT, SECTOR, UNALLOCATED, DynamicHeader, Footer, bitmap_length, ones, runs, within,
)

# How far apart footer, header and table may stand for what lies between to be read over.
_GAP = 16 * MIB


class NotForward(UnsafeImage):
    """It has to be read at random: it is fixed, or what describes it lies behind what it describes."""


@dataclass(frozen=True)
class Block:
    """A block that a layer holds.

    :ivar bitmap: The sectors that were written, as a number: the first is the highest bit. None lies beyond the disk's end.
    :ivar data: All sectors' bytes. What is not in the bitmap means nothing, and may be anything.
    """

    number: int
    bitmap: int
    data: bytes

    def clean(self) -> bytes:
        """The data with zeroes for what is not in the bitmap: qemu reads a dynamic disk without looking at its bitmaps."""
        count = len(self.data) // SECTOR
        if self.bitmap == ones(count):
            return self.data
        data = bytearray(len(self.data))
        view = memoryview(self.data)
        for first, length in runs(self.bitmap, count):
            data[first * SECTOR:(first + length) * SECTOR] = view[first * SECTOR:(first + length) * SECTOR]
        return bytes(data)


class Layer(t.Protocol):
    """One VHD's own sectors, whichever way it is read: a VhdStream, or a VhdFile."""

    @property
    def footer(self) -> Footer:
        """What it says of itself."""

    @property
    def header(self) -> t.Optional[DynamicHeader]:
        """What it says of its blocks; None for a fixed disk."""

    @property
    def size(self) -> int:
        """Bytes of the disk."""

    @property
    def block_size(self) -> int:
        """Bytes of a block's data."""

    @property
    def parent(self) -> t.Optional[uuid.UUID]:
        """The identity of the disk that it differs from, if it does."""

    @property
    def hidden(self) -> bool:
        """Whether it is marked as one that others are based on."""

    @property
    def order(self) -> t.Sequence[int]:
        """The numbers of the blocks that it holds, in the order in which they stand."""

    def blocks(self) -> t.Iterator[Block]:
        """Those blocks. Once only, if it is a stream.

        :raises UnsafeImage: it turns out to be damaged or truncated.
        """


class VhdStream:
    """One VHD. Making it reads its footer, its header and its table of blocks.

    :param read: As ``forward.Read``; or a Forward that keeps what it reads, for the one who may have to begin anew.
    :ivar header: The dynamic header.
    :ivar bat: For each block of the disk the sector where it stands, or UNALLOCATED.
    :ivar order: The numbers of the blocks that it holds, in the order in which they come.
    :raises UnsafeImage: it is damaged, truncated, or no VHD.
    :raises NotForward: it may be good, but cannot be read this way.
    """

    def __init__(self, read: t.Union[Forward, t.Callable[[int], bytes]]) -> None:
        self._forward = read if isinstance(read, Forward) else Forward(read)
        head = self._forward.read(FOOTER_LENGTH)
        if not head.startswith(b"conectix"):
            raise NotForward("it is no VHD image, or a fixed one: it has no footer at its beginning")
        self.footer = Footer.parse(head)
        if self.footer.kind == FIXED:
            raise UnsafeImage("it says that it is a fixed VHD, but begins like a dynamic one")
        self._approach(self.footer.data_offset, "its dynamic header")
        self.header: DynamicHeader = DynamicHeader.parse(self._forward.exactly(HEADER_LENGTH, "its dynamic header"))
        check_parent(self.footer, self.header)
        count = self.header.blocks(self.footer.size)
        self._approach(self.header.table_offset, "its table of blocks")
        self.bat = table(self._forward.exactly(count * 4, "its table of blocks"))
        self._bitmap = bitmap_length(self.block_size)
        self.order: t.Sequence[int] = physical_order(self.bat, self._bitmap + self.block_size)
        if self.order and self.bat[self.order[0]] * SECTOR < self._forward.position:
            raise NotForward("its blocks begin before its table of blocks ends")
        self._forward.keep_no_more()

    @property
    def size(self) -> int:
        """Bytes of the disk."""
        return self.footer.size

    @property
    def block_size(self) -> int:
        """Bytes of a block's data."""
        return self.header.block_size

    @property
    def parent(self) -> t.Optional[uuid.UUID]:
        """The identity of the disk that this one differs from; None for a dynamic disk."""
        return self.header.parent if self.footer.kind == DIFFERENCING else None

    @property
    def hidden(self) -> bool:
        """Whether it is marked as one that others are based on."""
        return self.footer.hidden

    def blocks(self) -> t.Iterator[Block]:
        """Each block as it comes; then the footer at the end is looked at. Once only.

        :raises UnsafeImage: it ends too early, or not with its footer.
        """
        forward = self._forward
        before = b""
        for position, number in enumerate(self.order):
            forward.skip_to(self.bat[number] * SECTOR, "what lies before block %d" % number)
            bitmap = int.from_bytes(forward.exactly(self._bitmap, "the bitmap of block %d" % number)[:self.block_size // SECTOR // 8], "big")
            inside = within(self.size, number * self.block_size, self.block_size)
            if position + 1 < len(self.order) or inside == ones(self.block_size // SECTOR):
                data = forward.exactly(self.block_size, "block %d" % number)
            else:
                data, before = self._last(number)
            yield Block(number, bitmap & inside, data)
        self._finish(before)

    def _last(self, number: int) -> t.Tuple[bytes, bytes]:
        """The last block, when the disk ends within it: some do not write what lies beyond. Its data, and what was read of what follows."""
        data = self._forward.read(self.block_size)
        used = self.size - number * self.block_size
        if len(data) < used + FOOTER_LENGTH:
            raise UnsafeImage("it is truncated: it ends after %d bytes, in block %d" % (self._forward.position, number))
        return data.ljust(self.block_size, b"\0"), data[used:]

    def _finish(self, before: bytes) -> None:
        check_end(self.footer, self._forward.last(FOOTER_LENGTH, before[-FOOTER_LENGTH:]))

    def _approach(self, offset: int, what: str) -> None:
        if not self._forward.position <= offset <= self._forward.position + _GAP:
            raise NotForward("%s stands at byte %d, which cannot be reached forward" % (what, offset))
        self._forward.skip_to(offset, what)


def check_parent(footer: Footer, header: DynamicHeader) -> None:
    """That type and parent agree.

    :raises UnsafeImage: they do not.
    """
    if (footer.kind == DIFFERENCING) != (header.parent != NO_PARENT):
        raise UnsafeImage("it is a differencing VHD without a parent" if footer.kind == DIFFERENCING else "it names a parent, but says that it has none")


def check_end(footer: Footer, tail: bytes) -> None:
    """That the last 512 bytes are the footer of this disk.

    :raises UnsafeImage: they are not.
    """
    if not tail.startswith(b"conectix"):
        raise UnsafeImage("it is truncated, or something follows it: a VHD ends with a footer")
    end = Footer.parse(tail)
    if (end.identity, end.size, end.kind) != (footer.identity, footer.size, footer.kind):
        raise UnsafeImage("the footer at its end is not that of its beginning")


def table(data: bytes) -> t.Sequence[int]:
    """The sector numbers in a table of blocks."""
    numbers = array("I", data)
    if byteorder == "little":
        numbers.byteswap()
    return numbers


def physical_order(bat: t.Sequence[int], stride: int) -> t.Sequence[int]:
    """The numbers of the blocks that are there, in the order in which they stand.

    :param stride: Bytes of a block with its bitmap.
    :raises UnsafeImage: two of them share bytes.
    """
    order = [number for number, sector in enumerate(bat) if sector != UNALLOCATED]
    order.sort(key=bat.__getitem__)
    free = 0
    for number in order:
        if bat[number] < free:
            raise UnsafeImage("its block %d stands where another one does" % number)
        free = bat[number] + stride // SECTOR
    return array("I", order)
