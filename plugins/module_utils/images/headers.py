# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the heads of disk image formats say: the size of the disk, and what must not be in them.

Reads only, through a function, so that it serves files and beginnings of downloads alike. It sees what oslo.utils'
format inspector passes over: parents of VHD, VHDX, VDI and VMDK, fixed VHDs, encryption, and ends that are missing.
"""

from __future__ import annotations

import struct
import typing as t
import uuid
from array import array
from sys import byteorder

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB, TIB, human
from ansible_collections.bootable.volumes.plugins.module_utils.formats import vhd
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_file import VhdFile

# Bytes from an offset; fewer at the end.
Read = t.Callable[[int, int], bytes]

# The most that any of the formats can hold (VHDX); a header that says more lies.
MAX_VIRTUAL_SIZE = 64 * TIB

# How much of a qcow2's mapping is looked at for clusters beyond its end: 256 MiB map 2 TiB of data.
_MAPPING_LIMIT = 256 * MIB


def virtual_size(read: Read, format: str, stored: int) -> int:
    """Bytes of the disk that an image holds, by its head alone.

    :param stored: Bytes of the image itself; what a raw image holds.
    :raises UnsafeImage: it is not of that format, or its head says something absurd.
    """
    size = stored if format == "raw" else _READERS[format](read, stored)[0]
    if size <= 0:
        raise UnsafeImage("it says that it holds an empty disk")
    if size > MAX_VIRTUAL_SIZE:
        raise UnsafeImage("it says that it holds a disk of %s; %s is the most that makes sense" % (human(size), human(MAX_VIRTUAL_SIZE)))
    return size


def expected_size(read: Read, format: str, stored: int) -> t.Optional[int]:
    """``virtual_size`` for planning: None where the head tells nothing, for bad content is refused when it is inspected."""
    try:
        return virtual_size(read, format, stored)
    except UnsafeImage:
        return None


def check(read: Read, format: str, stored: int) -> int:
    """``virtual_size``, after looking for everything that makes an image unsafe or incomplete.

    :raises UnsafeImage: with what was found.
    """
    size = virtual_size(read, format, stored)
    if format != "raw":
        _READERS[format](read, stored)[1]()
    return size


def is_fixed_vhd(tail: bytes) -> bool:
    """Whether the last 512 bytes of a file make it a fixed VHD, whose beginning looks like any raw disk."""
    try:
        return len(tail) == vhd.FOOTER_LENGTH and vhd.Footer.parse(tail).kind == vhd.FIXED
    except UnsafeImage:
        return False


# A reader gives the virtual size at once, and a function that makes the other checks.
_Header = t.Tuple[int, t.Callable[[], None]]


def _unpack(layout: str, data: bytes, offset: int = 0) -> t.Tuple[t.Any, ...]:
    if len(data) < offset + struct.calcsize(layout):
        raise UnsafeImage("it is truncated: its header is not complete")
    return struct.unpack_from(layout, data, offset)


def _within(what: str, offset: int, length: int, stored: int) -> None:
    if offset + length > stored:
        raise UnsafeImage("it is truncated: %s would end at byte %d, but it has only %d" % (what, offset + length, stored))


# --- qcow2: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt ---

_QCOW2 = ">4sIQIIQIIQQII"
_QCOW2_DIRTY, _QCOW2_CORRUPT, _QCOW2_DATA_FILE, _QCOW2_COMPRESSION = 1, 2, 4, 8


def _qcow2(read: Read, stored: int) -> _Header:
    head = read(0, 112)
    magic, version, backing, dummy, cluster_bits, size, crypt, l1_size, l1_offset, refcounts, refcount_clusters, dummy2 = _unpack(_QCOW2, head)
    if magic != b"QFI\xfb":
        raise UnsafeImage("it is no qcow2 image")

    def checks() -> None:
        if version not in (2, 3):
            raise UnsafeImage("it is a qcow2 image of the unknown version %d" % version)
        if backing:
            raise UnsafeImage("it has a backing file: the content of another file would become part of it")
        if crypt:
            raise UnsafeImage("it is encrypted")
        if not 9 <= cluster_bits <= 21:
            raise UnsafeImage("its clusters have an impossible size")
        if version == 3:
            features = _unpack(">Q", head, 72)[0]
            if features & _QCOW2_DATA_FILE:
                raise UnsafeImage("it has an external data file: the content of another file would become part of it")
            if features & _QCOW2_CORRUPT:
                raise UnsafeImage("it is marked as corrupt")
            if features & ~(_QCOW2_DIRTY | _QCOW2_COMPRESSION):
                raise UnsafeImage("it has unknown features")
        cluster = 1 << cluster_bits
        per_table = cluster // 8
        wanted = -(-size // (cluster * per_table))
        if l1_size < wanted:
            raise UnsafeImage("its mapping does not cover its size")
        _within("its mapping", l1_offset, wanted * 8, stored)
        _within("its table of reference counts", refcounts, refcount_clusters * cluster, stored)
        _qcow2_clusters(read, stored, l1_offset, wanted, cluster)

    return size, checks


def _qcow2_clusters(read: Read, stored: int, l1_offset: int, l1_size: int, cluster: int) -> None:
    """Every cluster must begin within the file: qemu reads what lies beyond its end as zeroes, without a word."""
    compressed_mask = (1 << (71 - cluster.bit_length())) - 1
    looked_at = 0
    for start in range(0, l1_size, 8192):
        for table in {entry & 0x00FFFFFFFFFFFE00 for entry in _numbers(read(l1_offset + start * 8, min(8192, l1_size - start) * 8)) if entry}:
            _within("a part of its mapping", table, cluster, stored + cluster - 1)
            looked_at += cluster
            if looked_at > _MAPPING_LIMIT:
                return
            for entry in set(_numbers(read(table, cluster))):
                if entry & (1 << 62):
                    offset = entry & compressed_mask
                else:
                    offset = entry & 0x00FFFFFFFFFFFE00
                if offset >= stored and offset:
                    raise UnsafeImage("it is truncated: it has data at byte %d, but only %d bytes" % (offset, stored))


def _numbers(data: bytes) -> array[int]:
    """Big-endian numbers of eight bytes."""
    numbers = array("Q", data[:len(data) // 8 * 8])
    if byteorder == "little":
        numbers.byteswap()
    return numbers


# --- VHD: what formats.vhd reads, without chains ---


def _vhd(read: Read, stored: int) -> _Header:
    head = read(0, vhd.FOOTER_LENGTH)
    footer = head if head.startswith(b"conectix") else read(max(0, stored - vhd.FOOTER_LENGTH), vhd.FOOTER_LENGTH)
    size = vhd.stated_size(footer)

    def checks() -> None:
        if vhd.Footer.parse(footer).kind == vhd.DIFFERENCING:
            raise UnsafeImage("it is a differencing VHD: it holds only the changes to another disk")
        VhdFile(read, stored)

    return size, checks


# --- VHDX: MS-VHDX; a table of regions, one of which holds a table of metadata ---

_REGION_METADATA = "8b7ca206-4790-4b9a-b8fe-575f050f886e"
_FILE_PARAMETERS = "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
_VIRTUAL_DISK_SIZE = "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
_PARENT_LOCATOR = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"
_HAS_PARENT = 2


def _vhdx(read: Read, stored: int) -> _Header:
    if not read(0, 8).startswith(b"vhdxfile"):
        raise UnsafeImage("it is no VHDX image")
    regions = _vhdx_entries(read(192 * KIB, 64 * KIB), b"regi", 16, count_at=8)
    if _REGION_METADATA not in regions:
        raise UnsafeImage("it has no metadata")
    base, length = struct.unpack_from("<QI", regions[_REGION_METADATA])
    items = {name: struct.unpack_from("<II", entry) for name, entry in _vhdx_entries(read(base, 64 * KIB), b"metadata", 32, count_at=10).items()}
    if _VIRTUAL_DISK_SIZE not in items or _FILE_PARAMETERS not in items:
        raise UnsafeImage("its metadata does not tell its size")
    size = _unpack("<Q", read(base + items[_VIRTUAL_DISK_SIZE][0], 8))[0]

    def checks() -> None:
        dummy, flags = _unpack("<II", read(base + items[_FILE_PARAMETERS][0], 8))
        if flags & _HAS_PARENT or _PARENT_LOCATOR in items:
            raise UnsafeImage("it is a differencing VHDX: it holds only the changes to another disk")
        _within("its metadata", base, length, stored)
        for entry in regions.values():
            _within("a region", *struct.unpack_from("<QI", entry), stored)  # type: ignore[call-arg]

    return size, checks


def _vhdx_entries(table: bytes, signature: bytes, first: int, *, count_at: int) -> t.Dict[str, bytes]:
    """The entries of one of its tables: GUID to the 16 bytes that follow it."""
    if not table.startswith(signature):
        raise UnsafeImage("it is a damaged or truncated VHDX image")
    count = _unpack("<I" if count_at == 8 else "<H", table, count_at)[0]
    if count > 2047 or len(table) < first + count * 32:
        raise UnsafeImage("it is a damaged or truncated VHDX image")
    entries = (table[first + index * 32:first + (index + 1) * 32] for index in range(count))
    return {str(uuid.UUID(bytes_le=entry[:16])): entry[16:] for entry in entries}


# --- VMDK: one sparse extent with its descriptor inside ---

_GD_AT_END = 0xFFFFFFFFFFFFFFFF


def _vmdk(read: Read, stored: int) -> _Header:
    magic, version, dummy, capacity, dummy2, at, sectors, dummy3, dummy4, directory = _unpack("<4sIIQQQQIQQ", read(0, 512))
    if magic != b"KDMV":
        raise UnsafeImage("it is no VMDK image in one sparse file; other kinds consist of several files, and are refused")

    def checks() -> None:
        if version not in (1, 2, 3):
            raise UnsafeImage("it is a VMDK image of the unknown version %d" % version)
        if directory != _GD_AT_END:
            _within("its grain directory", directory * 512, 4, stored)
        elif not any(read(max(0, stored - 1024), 1024)[:4] == sign for sign in (b"KDMV",)):
            raise UnsafeImage("it is truncated: its footer is missing")
        _vmdk_descriptor(read(at * 512, min(sectors * 512, MIB)))

    return capacity * 512, checks


def _vmdk_descriptor(descriptor: bytes) -> None:
    """qemu would open what the descriptor names: only one sparse extent, which is the file itself, and no parent may stand there."""
    text = descriptor.partition(b"\0")[0].decode("latin-1").lower()
    if "parentfilenamehint" in text.replace(" ", ""):
        raise UnsafeImage("it names a parent: the content of another file would become part of it")
    extents = [line.split() for line in text.splitlines() if line.split() and line.split()[0] in ("rw", "rdonly", "noaccess")]
    if len(extents) != 1 or len(extents[0]) < 4 or extents[0][2] != "sparse":
        raise UnsafeImage("it consists of %d extents, not of a single sparse one" % len(extents))


# --- VDI: https://forums.virtualbox.org/viewtopic.php?t=8046, and qemu's block/vdi.c ---

_VDI_DYNAMIC, _VDI_STATIC = 1, 2


def _vdi(read: Read, stored: int) -> _Header:
    head = read(0, 512)
    if _unpack("<I", head, 0x40)[0] != 0xBEDA107F:
        raise UnsafeImage("it is no VDI image")
    size, block, dummy, blocks, allocated = _unpack("<QIIII", head, 0x170)

    def checks() -> None:
        kind = _unpack("<I", head, 0x4C)[0]
        if kind not in (_VDI_DYNAMIC, _VDI_STATIC) or any(head[0x1A8:0x1C8]):
            raise UnsafeImage("it is a differencing VDI: it holds only the changes to another disk")
        mapping, data = _unpack("<II", head, 0x154)
        if not block or blocks * block < size or allocated > blocks:
            raise UnsafeImage("its table of blocks does not cover its size")
        _within("its table of blocks", mapping, blocks * 4, stored)
        if allocated:
            _within("its last block", data + (allocated - 1) * block, 1, stored)

    return size, checks


_READERS: t.Mapping[str, t.Callable[[Read, int], _Header]] = {"qcow2": _qcow2, "vhd": _vhd, "vhdx": _vhdx, "vmdk": _vmdk, "vdi": _vdi}
