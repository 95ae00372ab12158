"""VHD as the simulator reads and writes it, which is as strictly as xapi's own tool does, and no stricter.

It shares nothing with the collection's own reader and writer: what both get wrong in the same way would be seen nowhere.
"""

from __future__ import annotations

import struct
import uuid as uuids
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

SECTOR = 512
UNUSED = 0xFFFFFFFF
NOWHERE = 0xFFFFFFFFFFFFFFFF
VERSION = 0x00010000
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
BLOCK = 2 << 20
PLATFORMS = {0, *(int.from_bytes(code, "big") for code in (b"Wi2r", b"Wi2k", b"W2ru", b"W2ku", b"Mac ", b"MacX"))}

FOOTER = struct.Struct(">8sIIQI4sIIQQHBBII16sB427x")
HEADER = struct.Struct(">8sQQIIII16sI4x512s")
LOCATOR = struct.Struct(">IIIIQ")


class Malformed(Exception):
    """No VHD, or none that can be read from front to back."""


@dataclass(frozen=True)
class Footer:
    """What matters of one."""

    data_offset: int
    current_size: int
    kind: int
    uuid: uuids.UUID
    creator: bytes
    timestamp: int


@dataclass(frozen=True)
class Header:
    """What matters of a dynamic header. Locators: code, offset, length."""

    table_offset: int
    entries: int
    block_size: int
    parent: uuids.UUID
    parent_name: str
    locators: tuple[tuple[int, int, int], ...]


def checksum(data: bytes, field: int) -> int:
    """One's complement of the sum of all bytes, those of the field itself as zeroes."""
    return ~(sum(data) - sum(data[field:field + 4])) & 0xFFFFFFFF


def parse_footer(data: bytes) -> Footer:
    """Of 512 bytes. The kind may be a fixed disk's, too."""
    cookie, dummy, version, data_offset, timestamp, creator, *dummy, current_size, dummy, dummy, dummy, kind, found, uuid, dummy = (
        FOOTER.unpack(data))
    if cookie != b"conectix":
        raise Malformed(f"a footer begins with conectix, not {cookie!r}")
    if version != VERSION:
        raise Malformed(f"footer version {version:#x}")
    if kind not in (FIXED, DYNAMIC, DIFFERENCING):
        raise Malformed(f"disk type {kind}")
    if found != checksum(data, 64):
        raise Malformed(f"the footer's checksum is {found:#x} and should be {checksum(data, 64):#x}")
    return Footer(data_offset, current_size, kind, uuids.UUID(bytes=uuid), creator, timestamp)


def parse_header(data: bytes) -> Header:
    """Of 1024 bytes."""
    cookie, data_offset, table_offset, version, entries, block_size, found, parent, dummy, name = HEADER.unpack(data[:576])
    if cookie != b"cxsparse":
        raise Malformed(f"a header begins with cxsparse, not {cookie!r}")
    if data_offset != NOWHERE:
        raise Malformed(f"the header's data offset is {data_offset:#x}")
    if version != VERSION:
        raise Malformed(f"header version {version:#x}")
    if block_size & (block_size - 1) or block_size < SECTOR * 8:
        raise Malformed(f"blocks of {block_size} bytes")
    locators = []
    for number in range(8):
        code, dummy, length, dummy, offset = LOCATOR.unpack_from(data, 576 + number * LOCATOR.size)
        if code not in PLATFORMS:
            raise Malformed(f"platform code {code:#x}")
        locators.append((code, offset, length))
    if found != checksum(data, 36):
        raise Malformed(f"the header's checksum is {found:#x} and should be {checksum(data, 36):#x}")
    return Header(table_offset, entries, block_size, uuids.UUID(bytes=parent), _name(name), tuple(locators))


def _name(data: bytes) -> str:
    """UTF-16, big endian, up to the first zero. The first half of a pair without its second is refused."""
    units = struct.unpack(">256H", data)
    units = units[:units.index(0)] if 0 in units else units
    for place, unit in enumerate(units):
        if 0xD800 <= unit < 0xDC00 and not 0xDC00 <= (*units, 0)[place + 1] < 0xE000:
            raise Malformed("the parent's name is no UTF-16")
    return data[:2 * len(units)].decode("utf-16-be", "replace")


class Forward:
    """A stream that can only be read forward.

    `read` gives at most as many bytes as it is asked for, and nothing only at the end.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.position = 0

    def take(self, length: int) -> bytes:
        """Exactly so many bytes."""
        parts = []
        while length:
            data = self._read(min(length, BLOCK))
            if not data:
                raise Malformed(f"the stream ends at {self.position}, and {length} more bytes were expected")
            self.position += len(data)
            length -= len(data)
            parts.append(data)
        return b"".join(parts)

    def skip_to(self, offset: int) -> None:
        """Forward to a place."""
        if offset < self.position:
            raise Malformed(f"the stream is at {self.position} and cannot go back to {offset}")
        while self.position < offset:
            self.take(min(offset - self.position, BLOCK))


def runs(bitmap: bytes, sectors: int) -> Iterator[tuple[int, int]]:
    """(first, count) of the runs of sectors that are set, the highest bit of a byte first."""
    bits = bin(int.from_bytes(b"\1" + bitmap, "big"))[3:3 + sectors]
    start = bits.find("1")
    while start >= 0:
        end = bits.find("0", start)
        end = sectors if end < 0 else end
        yield start, end - start
        start = bits.find("1", end)


def read_stream(
    stream: Forward, total: int, write: Callable[[int, bytes], None], progress: Callable[[float], None] = lambda part: None
) -> tuple[Footer, Header]:
    """Writes the sectors that a stream of `total` bytes has. Whose child it is does not matter."""
    footer = parse_footer(stream.take(SECTOR))
    if footer.kind == FIXED:
        raise Malformed("a fixed disk")
    stream.skip_to(footer.data_offset)
    header = parse_header(stream.take(1024))
    stream.skip_to(header.table_offset)
    table_size = (header.entries * 4 + SECTOR - 1) // SECTOR * SECTOR
    if stream.position + table_size > total:
        raise Malformed(f"a table of {header.entries} entries in a stream of {total} bytes")
    table = struct.unpack_from(f">{header.entries}I", stream.take(table_size))
    where = {sector: number for number, sector in enumerate(table) if sector != UNUSED}
    sectors = header.block_size // SECTOR
    bitmap_size = sectors // 8
    for done, sector in enumerate(sorted(where)):
        progress(done / len(where))
        stream.skip_to(sector * SECTOR)
        # As large as the bits are, not rounded up to a sector: which differs only for blocks below 2 MiB.
        bitmap = stream.take(bitmap_size)
        data = stream.take(header.block_size)
        for first, count in runs(bitmap, sectors):
            start = first * SECTOR
            write(where[sector] * header.block_size + start, data[start:start + count * SECTOR])
    stream.skip_to((total - 1) // SECTOR * SECTOR)
    parse_footer(stream.take(SECTOR))
    return footer, header


# --- writing ---


def geometry(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads, sectors per track, as the format's specification has it."""
    sectors = min(sectors, 65535 * 16 * 255)
    if sectors > 65535 * 16 * 63:
        return sectors // 255 // 16, 16, 255
    track = 17
    tracks = sectors // track
    heads = max(4, (tracks + 1023) // 1024)
    if tracks >= heads * 1024 or heads > 16:
        track, heads = 31, 16
        tracks = sectors // track
    if tracks >= heads * 1024:
        track, heads = 63, 16
        tracks = sectors // track
    return tracks // heads, heads, track


def _sealed(data: bytes, field: int) -> bytes:
    """With the checksum in its place."""
    return data[:field] + struct.pack(">I", checksum(data, field)) + data[field + 4:]


def make_footer(size: int, kind: int, uuid: uuids.UUID) -> bytes:
    """As xapi's tool writes it: without a time, and with its own name."""
    return _sealed(FOOTER.pack(
        b"conectix", 2, VERSION, 512, 0, b"caml", 1, 0, size, size, *geometry(size // SECTOR), kind, 0, uuid.bytes, 0), 64)


def make_header(size: int, parent: tuple[uuids.UUID, str] | None) -> bytes:
    """Parent: the uuid and path of a file in dom0."""
    entries = (size + BLOCK - 1) // BLOCK
    uuid, path = parent or (uuids.UUID(int=0), "")
    locators = bytes(8 * LOCATOR.size)
    if parent:
        # The text itself is left out of the stream: where it should be there are zeroes.
        locators = LOCATOR.pack(int.from_bytes(b"MacX", "big"), 1, len(f"file://{path}"), 0, 1536).ljust(len(locators), b"\0")
    fixed = HEADER.pack(b"cxsparse", NOWHERE, 2048, VERSION, entries, BLOCK, 0, uuid.bytes, 0, path.encode("utf-16-be")[:512])
    return _sealed((fixed + locators).ljust(1024, b"\0"), 36)


def write_stream(
    size: int, blocks: Iterable[int], read: Callable[[int, int], bytes], *, parent: tuple[uuids.UUID, str] | None = None
) -> Iterator[bytes]:
    """A whole disk of those blocks, or with a parent what is different from that."""
    blocks = list(blocks)
    footer = make_footer(size, DIFFERENCING if parent else DYNAMIC, uuids.uuid4())
    entries = (size + BLOCK - 1) // BLOCK
    table_size = (entries * 4 + SECTOR - 1) // SECTOR * SECTOR
    bitmap = b"\xff" * (BLOCK // SECTOR // 8)
    table = [UNUSED] * (table_size // 4)
    for number, block in enumerate(blocks):
        table[block] = (2048 + table_size + number * (len(bitmap) + BLOCK)) // SECTOR
    yield footer + make_header(size, parent) + bytes(SECTOR) + struct.pack(f">{len(table)}I", *table)
    for block in blocks:
        yield bitmap
        yield read(block * BLOCK, BLOCK)
    yield footer
