# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disk images made by the byte, good ones and evil ones."""

from __future__ import annotations

import functools
import struct
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB

SIZE = 4 * MIB
CLUSTER = 64 * KIB


@functools.lru_cache(maxsize=None)
def pattern(length: int, seed: int = 1) -> bytes:
    """Bytes that repeat nowhere near."""
    return b"".join(struct.pack(">IHH", (index * 2654435761 + seed * 97) & 0xFFFFFFFF, index & 0xFFFF, seed) for index in range(length // 8))


@functools.lru_cache(maxsize=None)
def raw_disk(size: int = SIZE) -> bytes:
    """A partitioned disk with data at its beginning, in its middle and at its end."""
    disk = bytearray(size)
    disk[446:462] = struct.pack("<B3BB3BII", 0x80, 0, 2, 0, 0x83, 0, 0, 0, 1, size // 512 - 1)
    disk[510:512] = b"\x55\xaa"
    disk[CLUSTER:3 * CLUSTER] = pattern(2 * CLUSTER)
    disk[size // 2:size // 2 + CLUSTER] = pattern(CLUSTER, 2)
    disk[-CLUSTER:] = pattern(CLUSTER, 3)
    return bytes(disk)


def qcow2(disk: bytes = b"", *, size: t.Optional[int] = None, version: int = 3, backing: bytes = b"", features: int = 0, crypt: int = 0,
          extensions: bytes = b"", cluster_bits: int = 16, magic: bytes = b"QFI\xfb") -> bytes:
    """A qcow2 as qemu would write it: header, refcounts, one L1 entry, one L2 table, data."""
    size = len(disk) or SIZE if size is None else size
    stored = [disk[offset:offset + CLUSTER].ljust(CLUSTER, b"\0") for offset in range(0, len(disk), CLUSTER)]
    mapping = [(1 << 63) | (5 + index) * CLUSTER for index in range(len(stored))]
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", magic, version, 4 * KIB if backing else 0, len(backing), cluster_bits, size, crypt, 1, 3 * CLUSTER, CLUSTER, 1, 0, 0)
    header += struct.pack(">QQQII", features, 0, 0, 4, 104) + extensions
    first = bytearray(header.ljust(CLUSTER, b"\0"))
    first[4 * KIB:4 * KIB + len(backing)] = backing
    refcounts = struct.pack(">H", 1) * (5 + len(stored))
    return b"".join(part.ljust(CLUSTER, b"\0") for part in [
        bytes(first), struct.pack(">Q", 2 * CLUSTER), refcounts, struct.pack(">Q", (1 << 63) | 4 * CLUSTER),
        b"".join(struct.pack(">Q", entry) for entry in mapping)] + stored)


def vhd_checksum(data: bytes) -> int:
    """One's complement of the sum of the bytes."""
    return ~sum(data) & 0xFFFFFFFF


def vhd_footer(size: int, kind: int, offset: int = 512) -> bytes:
    """512 bytes; ``kind`` is 2 for fixed, 3 for dynamic, 4 for differencing."""
    footer = bytearray(struct.pack(
        ">8sIIQI4sI4sQQHBBI", b"conectix", 2, 0x10000, offset if kind > 2 else 0xFFFFFFFFFFFFFFFF, 0, b"qem2", 0x10000, b"Wi2k",
        size, size, 65535, 16, 255, kind))
    footer += bytes(4) + b"0123456789abcdef"
    footer = footer.ljust(512, b"\0")
    struct.pack_into(">I", footer, 64, vhd_checksum(footer))
    return bytes(footer)


def vhd_fixed(disk: bytes) -> bytes:
    """A disk with a footer."""
    return disk + vhd_footer(len(disk), 2)


def vhd_dynamic(size: int = SIZE, *, kind: int = 3, parent: bytes = b"", footer: bool = True) -> bytes:
    """Without any data in it."""
    blocks = -(-size // (2 * MIB))
    header = bytearray(struct.pack(">8sQQIII", b"cxsparse", 0xFFFFFFFFFFFFFFFF, 1536, 0x10000, blocks, 2 * MIB).ljust(1024, b"\0"))
    header[40:40 + len(parent)] = parent
    struct.pack_into(">I", header, 36, vhd_checksum(header))
    head = vhd_footer(size, kind)
    return head + bytes(header) + (b"\xff" * (4 * blocks)).ljust(512, b"\xff") + (head if footer else b"")


def vmdk(descriptor: t.Optional[str] = None, *, sectors: int = SIZE // 512, directory: int = 21) -> bytes:
    """A monolithicSparse image without data; or with any descriptor."""
    if descriptor is None:
        descriptor = vmdk_descriptor()
    header = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, sectors, 128, 1, 20, 512, 0, directory, 128)
    return (header.ljust(512, b"\0") + descriptor.encode().ljust(20 * 512, b"\0")).ljust(256 * KIB, b"\0")


def vmdk_descriptor(*, kind: str = "monolithicSparse", extents: str = 'RW 8192 SPARSE "disk.vmdk"\n', more: str = "") -> str:
    """The text that says what a VMDK consists of."""
    return '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="%s"\n%s%s' % (kind, more, extents)


def vdi(size: int = SIZE, *, kind: int = 1, parent: bytes = b"") -> bytes:
    """Without any data in it."""
    head = bytearray(1024)
    struct.pack_into("<IIII", head, 0x40, 0xBEDA107F, 0x10001, 400, kind)
    struct.pack_into("<II", head, 0x154, 512, 1024)
    struct.pack_into("<QIIII", head, 0x170, size, MIB, 0, size // MIB, 0)
    head[0x1B8:0x1B8 + len(parent)] = parent
    head[512:512 + 4 * (size // MIB)] = b"\xff" * (4 * (size // MIB))
    return bytes(head)


def iso() -> bytes:
    """As much of an installation medium as shows that it is one."""
    return bytes(32 * KIB) + (b"\x01CD001\x01").ljust(2 * KIB, b"\0") + bytes(MIB)
