# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The structures of a VHD: footer, dynamic header, parent locators, batmap, and sector bitmaps as numbers.

All numbers are big-endian, times are seconds since 2000. A checksum is the one's complement of the sum of a structure's
bytes, its own four left out. A *dynamic* disk holds blocks of sectors, each behind a bitmap that says which of its sectors
were written; the others read as zeroes. In a *differencing* disk they read as the parent has them. Microsoft's "Virtual
Hard Disk Image Format Specification" describes them; the hidden flag and the batmap are blktap's.
"""

from __future__ import annotations

import struct
import typing as t
import uuid
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, KIB, MIB, human

SECTOR = 512
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4

# A block's place in the table when it has none.
UNALLOCATED = 0xFFFFFFFF

# What everybody writes; XenServer's own tools know no other.
BLOCK_SIZE = 2 * MIB

# Blocks are held in memory one at a time. Smaller ones than a page of bits, or larger ones than this, nobody makes.
LEAST_BLOCK, LARGEST_BLOCK = 4 * KIB, 32 * MIB

# What the format can address, with room for its own structures.
LARGEST_DISK = 2040 * GIB

# Four million blocks: a table of 16 MiB, four times that of the largest disk with blocks of the common size.
MOST_BLOCKS = 1 << 22

VERSION = 0x10000
NO_PARENT = uuid.UUID(int=0)

FOOTER_LENGTH, HEADER_LENGTH = 512, 1024

_FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16sBB")
_HEADER = struct.Struct(">8sQQIIII16sII512s")
_LOCATOR = struct.Struct(">4sIIIQ")
_BATMAP = struct.Struct(">8sQIIIB")
_LOCATORS = 8
_NOWHERE = 0xFFFFFFFFFFFFFFFF

Geometry = t.Tuple[int, int, int]


def checksum(data: bytes, at: int) -> int:
    """One's complement of the sum of all bytes but the checksum's own four, which begin at ``at``."""
    return ~(sum(data) - sum(data[at:at + 4])) & 0xFFFFFFFF


def geometry(size: int) -> Geometry:
    """Cylinders, heads and sectors per track for a disk of ``size`` bytes, by the format's rule; never more than the disk has."""
    sectors = min(size // SECTOR, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        heads, track = 16, 255
    else:
        track = 17
        heads = max(4, -(-(sectors // track) // 1024))
        if heads > 16 or sectors // track >= heads * 1024:
            heads, track = 16, 31
        if sectors // track >= heads * 1024:
            track = 63
    return sectors // track // heads, heads, track


def stated_size(footer: bytes) -> int:
    """Bytes of the disk by what should be a footer, damaged or not: to plan with, never to rely on.

    :raises UnsafeImage: it is none.
    """
    if not footer.startswith(b"conectix") or len(footer) < FOOTER_LENGTH:
        raise UnsafeImage("it is no VHD image, or its end is missing")
    return int.from_bytes(footer[48:56], "big")


@dataclass(frozen=True)
class Footer:
    """What a VHD says of itself, at its end and, unless it is fixed, at its beginning.

    :ivar size: Bytes of the disk: the *current* size.
    :ivar kind: FIXED, DYNAMIC or DIFFERENCING.
    :ivar data_offset: Where the dynamic header stands.
    :ivar timestamp: Seconds since 2000.
    :ivar hidden: blktap's mark for a disk that others are based on, and that nobody uses alone.
    """

    size: int
    kind: int
    identity: uuid.UUID
    data_offset: int = FOOTER_LENGTH
    timestamp: int = 0
    creator: bytes = b"win "
    creator_version: int = VERSION
    host: bytes = b"Wi2k"
    original_size: t.Optional[int] = None
    geometry: t.Optional[Geometry] = None
    features: int = 2
    saved_state: int = 0
    hidden: bool = False

    @classmethod
    def parse(cls, data: bytes) -> Footer:
        """From its 512 bytes.

        :raises UnsafeImage: it is none, or damaged, or says what cannot be.
        """
        if not data.startswith(b"conectix"):
            raise UnsafeImage("it is no VHD image, or its footer is missing")
        if len(data) < FOOTER_LENGTH:
            raise UnsafeImage("it is truncated: its footer is not complete")
        data = data[:FOOTER_LENGTH]
        (dummy, features, version, offset, timestamp, creator, creator_version, host, original, size, cylinders, heads, track, kind, found,
         identity, saved, hidden) = _FOOTER.unpack_from(data)
        if found != checksum(data, 64):
            raise UnsafeImage("its footer is damaged: the checksum does not hold")
        if version >> 16 != 1:
            raise UnsafeImage("it is a VHD of the unknown version %#x" % version)
        if kind not in (FIXED, DYNAMIC, DIFFERENCING):
            raise UnsafeImage("it is a VHD of the unknown type %d" % kind)
        return cls(size, kind, uuid.UUID(bytes=identity), offset, timestamp, creator, creator_version, host, original,
                   (cylinders, heads, track), features, saved, hidden == 1)

    def pack(self) -> bytes:
        """Its 512 bytes, with the checksum."""
        original = self.size if self.original_size is None else self.original_size
        fields = (b"conectix", self.features, VERSION, _NOWHERE if self.kind == FIXED else self.data_offset, self.timestamp, self.creator,
                  self.creator_version, self.host, original, self.size, *(self.geometry or geometry(self.size)), self.kind)
        rest = (self.identity.bytes, self.saved_state, int(self.hidden))
        return _FOOTER.pack(*fields, checksum(_FOOTER.pack(*fields, 0, *rest), 64), *rest).ljust(FOOTER_LENGTH, b"\0")


@dataclass(frozen=True)
class ParentLocator:
    """Where a parent's name stands, for one platform.

    :ivar code: ``MacX`` (a URL in UTF-8), ``W2ku``, ``W2ru``, ``Wi2k``, ``Wi2r``; zeroes for none.
    :ivar space: What is set aside for it: in bytes as blktap writes it, or in sectors.
    """

    code: bytes = bytes(4)
    space: int = 0
    length: int = 0
    offset: int = 0

    @property
    def reserved(self) -> int:
        """Bytes set aside. Nobody sets aside 512 sectors, and nobody less than one: what is below 512 counts sectors."""
        return self.space * SECTOR if self.space < SECTOR else self.space

    def decode(self, data: bytes) -> str:
        """The name in its ``length`` bytes."""
        encoding = "utf-16-le" if self.code in (b"W2ku", b"W2ru") else "utf-8"
        return data[:self.length].decode(encoding, "replace").rstrip("\0")


@dataclass(frozen=True)
class DynamicHeader:
    """What a dynamic or differencing VHD says of its blocks, and of its parent.

    :ivar table_offset: Where the table of blocks stands, in bytes.
    :ivar entries: How many blocks that table has room for.
    :ivar block_size: Bytes.
    :ivar parent: NO_PARENT for a dynamic disk.
    """

    table_offset: int
    entries: int
    block_size: int = BLOCK_SIZE
    parent: uuid.UUID = NO_PARENT
    parent_timestamp: int = 0
    parent_name: str = ""
    locators: t.Tuple[ParentLocator, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> DynamicHeader:
        """From its 1024 bytes.

        :raises UnsafeImage: it is none, or damaged, or says what cannot be.
        """
        if not data.startswith(b"cxsparse") or len(data) < HEADER_LENGTH:
            raise UnsafeImage("its dynamic header is damaged, or missing")
        data = data[:HEADER_LENGTH]
        dummy, dummy2, table, version, entries, block, found, parent, timestamp, dummy3, name = _HEADER.unpack_from(data)
        if found != checksum(data, 36):
            raise UnsafeImage("its dynamic header is damaged: the checksum does not hold")
        if version >> 16 != 1:
            raise UnsafeImage("its dynamic header has the unknown version %#x" % version)
        if not LEAST_BLOCK <= block <= LARGEST_BLOCK or block & (block - 1):
            raise UnsafeImage("its blocks have the impossible size of %d bytes" % block)
        locators = []
        for index in range(_LOCATORS):
            code, space, length, dummy4, offset = _LOCATOR.unpack_from(data, _HEADER.size + index * _LOCATOR.size)
            if code != bytes(4):
                locators.append(ParentLocator(code, space, length, offset))
        return cls(table, entries, block, uuid.UUID(bytes=parent), timestamp, name.decode("utf-16-be", "replace").partition("\0")[0], tuple(locators))

    def pack(self) -> bytes:
        """Its 1024 bytes, with the checksum."""
        if len(self.locators) > _LOCATORS:
            raise ValueError("a VHD has room for %d parent locators" % _LOCATORS)
        name = self.parent_name.encode("utf-16-be")[:510].ljust(512, b"\0")
        fields = (b"cxsparse", _NOWHERE, self.table_offset, VERSION, self.entries, self.block_size)
        rest = (self.parent.bytes, self.parent_timestamp, 0, name)
        tail = b"".join(_LOCATOR.pack(one.code, one.space, one.length, 0, one.offset) for one in self.locators)
        whole = (_HEADER.pack(*fields, 0, *rest) + tail).ljust(HEADER_LENGTH, b"\0")
        return whole[:36] + struct.pack(">I", checksum(whole, 36)) + whole[40:]

    def blocks(self, size: int) -> int:
        """How many blocks a disk of ``size`` bytes has.

        :raises UnsafeImage: the table has no room for them, or nobody has room for the table.
        """
        if size <= 0 or size % SECTOR:
            raise UnsafeImage("it says that it holds a disk of %d bytes, which is no number of sectors" % size)
        if size > LARGEST_DISK:
            raise UnsafeImage("it says that it holds a disk of %s; a VHD holds at most %s" % (human(size), human(LARGEST_DISK)))
        count = -(-size // self.block_size)
        if self.entries < count:
            raise UnsafeImage("its table of blocks does not cover its size")
        if count > MOST_BLOCKS:
            raise UnsafeImage("it has %d blocks; at most %d are served" % (count, MOST_BLOCKS))
        return count


@dataclass(frozen=True)
class Batmap:
    """blktap's map of blocks that are written all over: a header of one sector, then a bit for each block.

    :ivar offset: Where the bits stand, in bytes.
    :ivar sectors: How many sectors they take.
    """

    offset: int
    sectors: int
    bits: bytes

    @classmethod
    def parse(cls, header: bytes, bits: bytes) -> t.Optional[Batmap]:
        """None unless it is whole: nobody needs one for reading."""
        if not header.startswith(b"tdbatmap") or len(header) < _BATMAP.size:
            return None
        dummy, offset, sectors, dummy2, found, dummy3 = _BATMAP.unpack_from(header)
        whole = len(bits) == sectors * SECTOR and found == ~sum(bits) & 0xFFFFFFFF
        return cls(offset, sectors, bits) if whole else None

    @classmethod
    def place(cls, header: bytes) -> t.Tuple[int, int]:
        """Where a header says that its bits stand, and how many bytes they take."""
        return t.cast("t.Tuple[int, int]", tuple(_BATMAP.unpack_from(header)[1:3])) if len(header) >= _BATMAP.size else (0, 0)

    def pack(self) -> bytes:
        """Header and bits."""
        header = _BATMAP.pack(b"tdbatmap", self.offset, self.sectors, 0x10002, ~sum(self.bits) & 0xFFFFFFFF, 0)
        return header.ljust(SECTOR, b"\0") + self.bits


def bitmap_length(block_size: int) -> int:
    """Bytes of the bitmap before a block's data: whole sectors."""
    return -(-block_size // SECTOR // 8 // SECTOR) * SECTOR


def blank(data: bytes) -> bool:
    """Whether it is all zeroes."""
    return data == bytes(len(data))


# A sector bitmap as a number of ``count`` bits: the first sector is the highest bit, as in the bytes of the file.


def ones(count: int) -> int:
    """All of ``count`` sectors."""
    return (1 << count) - 1


def within(size: int, start: int, block_size: int) -> int:
    """The sectors of a block at byte ``start`` that are part of a disk of ``size`` bytes."""
    count = block_size // SECTOR
    inside = max(0, min(count, (size - start) // SECTOR))
    return ones(inside) << (count - inside)


def runs(mask: int, count: int) -> t.Iterator[t.Tuple[int, int]]:
    """(first, length) of each run of sectors that are set."""
    while mask:
        left = mask.bit_length()
        rest = (mask ^ ones(left)).bit_length()
        yield count - left, left - rest
        mask &= ones(rest)
