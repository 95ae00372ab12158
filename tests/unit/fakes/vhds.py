# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VHDs, chains of them and archives, made of what was written to a disk."""

from __future__ import annotations

import gzip
import io
import random
import re
import tarfile
import typing as t
import uuid

from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats.forward import Read
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd import BLOCK_SIZE, SECTOR, Footer
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_file import VhdFile
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_writer import Layout, Parent

# Offset to bytes: whole sectors, which may not overlap.
Writes = t.Mapping[int, bytes]


def disk(size: int, *layers: Writes) -> bytes:
    """What a disk reads like after layers of writes, the oldest first."""
    content = bytearray(size)
    for writes in layers:
        for offset, data in writes.items():
            content[offset:offset + len(data)] = data
    return bytes(content)


def vhd(size: int, writes: Writes, *, block_size: int = BLOCK_SIZE, order: t.Optional[t.Sequence[int]] = None, garbage: bytes = b"\0",
        **layout: t.Any) -> bytes:
    """One VHD, dynamic unless a ``parent`` is given.

    :param order: In which its blocks stand; ascending by default.
    :param garbage: The byte under the sectors that were not written.
    :param layout: As ``vhd_writer.Layout`` has it.
    """
    count = block_size // SECTOR
    blocks: t.Dict[int, t.Tuple[int, bytearray]] = {}
    for offset, data in writes.items():
        for at in range(offset, offset + len(data), SECTOR):
            number, start = divmod(at, block_size)
            mask, content = blocks.get(number) or (0, bytearray(garbage * block_size))
            content[start:start + SECTOR] = data[at - offset:at - offset + SECTOR]
            blocks[number] = (mask | 1 << (count - 1 - start // SECTOR), content)
    made = Layout(size, sorted(blocks) if order is None else [number for number in order if number in blocks], block_size, **layout)
    parts = [made.head()]
    for number in made.order:
        parts.extend(made.block(blocks[number][0], bytes(blocks[number][1])))
    return b"".join([*parts, made.tail()])


def chain(size: t.Union[int, t.Sequence[int]], *layers: Writes, orders: t.Optional[t.Sequence[t.Sequence[int]]] = None, **layout: t.Any) -> t.List[bytes]:
    """VHDs, the newest first as archives have them.

    :param size: Bytes of the disk, or of each layer.
    :param layers: What was written to each, the oldest first.
    :param orders: In which order the blocks of each stand, the oldest first.
    """
    sizes = [size] * len(layers) if isinstance(size, int) else size
    made: t.List[bytes] = []
    parent: t.Optional[Parent] = None
    for index, writes in enumerate(layers):
        identity = uuid.uuid4()
        made.insert(0, vhd(sizes[index], writes, parent=parent, identity=identity, order=orders[index] if orders else None, **layout))
        parent = Parent(identity, "%d.vhd" % (len(layers) - 1 - index))
    return made


def fixed(content: bytes) -> bytes:
    """A disk with a footer."""
    return content + Footer(len(content), 2, uuid.uuid4()).pack()


def archive(files: t.Sequence[bytes], *, gz: bool = False, order: t.Optional[t.Sequence[int]] = None, names: t.Optional[t.Sequence[str]] = None,
            format: int = tarfile.GNU_FORMAT, level: int = 1) -> bytes:
    """A tar of VHDs: 0.vhd and so on.

    :param order: In which they stand in it; ascending by default.
    :param names: Other names for them.
    :param level: How hard to compress; 0 for not at all.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format) as tar:
        for index in range(len(files)) if order is None else order:
            info = tarfile.TarInfo(names[index] if names else "%d.vhd" % index)
            info.size = len(files[index])
            info.mtime = 1.5 if format == tarfile.PAX_FORMAT else 0  # type: ignore[assignment]
            tar.addfile(info, io.BytesIO(files[index]))
    return gzip.compress(packed.getvalue(), level) if gz else packed.getvalue()


def scattered(seed: int, size: int, count: int, longest: int = 64, unit: int = 1) -> Writes:
    """``count`` stretches of up to ``longest`` sectors, anywhere on a disk; and sometimes a whole block of 2 MiB.

    :param unit: Sectors that are always written together, as a guest does whose file system has clusters.
    """
    dice = random.Random(seed)
    content = bytearray()
    taken = bytearray(size // SECTOR)
    for dummy in range(count):
        first = dice.randrange(size // SECTOR) // unit * unit
        length = min(-(-dice.randint(1, longest) // unit) * unit, size // SECTOR - first)
        taken[first:first + length] = bytes([1]) * length
    if size >= 2 * BLOCK_SIZE and dice.random() < 0.5:
        first = dice.randrange(size // BLOCK_SIZE) * (BLOCK_SIZE // SECTOR)
        taken[first:first + BLOCK_SIZE // SECTOR] = bytes([1]) * (BLOCK_SIZE // SECTOR)
    content.extend(dice.randbytes(MIB))
    writes: t.Dict[int, bytes] = {}
    at = taken.find(1)
    while at >= 0:
        end = taken.find(0, at)
        end = len(taken) if end < 0 else end
        length = (end - at) * SECTOR
        start = dice.randrange(MIB // 2)
        writes[at * SECTOR] = (bytes(content[start:]) * (length // (MIB // 2) + 1))[:length]
        at = taken.find(1, end)
    return writes


def reading(data: bytes, piece: int = 1 << 30) -> Read:
    """How a stream of these bytes is read, at most ``piece`` bytes at once."""
    stream = io.BytesIO(data)
    return lambda length: stream.read(min(length, piece))


def opened(data: bytes) -> VhdFile:
    """A VHD at hand."""
    return VhdFile(lambda offset, length: data[offset:offset + length], len(data))


def imported(content: bytearray, body: bytes) -> None:
    """What XAPI's import does with a VHD: writes into a disk what the bitmaps name. Everything else about it is checked as strictly as there.

    Written without the parser that is under test.
    """
    def number(at: int, length: int = 4) -> int:
        return int.from_bytes(body[at:at + length], "big")

    assert body[:8] == b"conectix" and body[:512] == body[-512:] and number(60) in (3, 4) and number(16, 8) == 512
    assert body[512:520] == b"cxsparse"
    for begin, length, at in ((0, 512, 64), (512, 1024, 36)):
        structure = body[begin:begin + length]
        assert number(begin + at) == ~(sum(structure) - sum(structure[at:at + 4])) & 0xFFFFFFFF
    at, block = number(512 + 16, 8), number(512 + 32)
    places = sorted((number(at + 4 * index), index) for index in range(number(512 + 28)) if number(at + 4 * index) != 0xFFFFFFFF)
    free, sectors, bits = at + 4 * number(512 + 28), block // 512, -(-block // 4096 // 512) * 512
    for sector, index in places:
        assert sector * 512 >= free
        free = sector * 512 + bits + block
        mask = bin(number(sector * 512, sectors // 8))[2:].rjust(sectors, "0")
        for run in re.finditer("1+", mask):
            begin, length = run.start() * 512, (run.end() - run.start()) * 512
            if index * block + begin + length > len(content):
                raise OSError("VDI_IO_ERROR: Device I/O errors")
            source = sector * 512 + bits + begin
            content[index * block + begin:index * block + begin + length] = body[source:source + length]
    assert free <= len(body) - 512
