# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simulator's VHD: what it writes qemu-img reads, and what it refuses."""

from __future__ import annotations

import io
import pathlib
import random
import struct
import subprocess
import typing as t
import uuid

import pytest
from lab.xapi import vhd

SIZE = 3 * vhd.BLOCK


def disk(seed: int = 1) -> bytearray:
    """Something in the first and the last block, nothing in the middle."""
    source = random.Random(seed)
    data = bytearray(SIZE)
    data[1000:3000] = source.randbytes(2000)
    data[-5000:] = source.randbytes(5000)
    return data


def written(data: bytearray, blocks: t.Sequence[int] = (0, 2), **more: t.Any) -> bytes:
    return b"".join(vhd.write_stream(len(data), blocks, lambda offset, length: bytes(data[offset:offset + length]), **more))


def read(stream: bytes, *, size: int = SIZE, total: t.Optional[int] = None) -> bytearray:
    """What a disk of zeroes has become."""
    found = bytearray(size)

    def write(offset: int, data: bytes) -> None:
        if offset + len(data) > size:
            raise OSError("past the end")
        found[offset:offset + len(data)] = data

    vhd.read_stream(vhd.Forward(io.BytesIO(stream).read), len(stream) if total is None else total, write)
    return found


def test_it_reads_what_it_writes() -> None:
    assert read(written(disk())) == disk()


def test_the_layout_of_an_export() -> None:
    stream = written(disk())
    footer, header = vhd.parse_footer(stream[:512]), vhd.parse_header(stream[512:1536])
    assert (footer.creator, footer.timestamp, footer.kind, footer.current_size) == (b"caml", 0, vhd.DYNAMIC, SIZE)
    assert (header.table_offset, header.entries, header.block_size) == (2048, 3, vhd.BLOCK)
    assert stream[1536:2048] == bytes(512)
    assert struct.unpack(">3I", stream[2048:2060]) == (5, vhd.UNUSED, 5 + 4097)
    assert stream[2560:3072] == b"\xff" * 512
    assert stream[-512:] == stream[:512]
    assert len(stream) == 2560 + 2 * (512 + vhd.BLOCK) + 512


def test_every_export_has_a_new_uuid() -> None:
    assert vhd.parse_footer(written(disk())[:512]).uuid != vhd.parse_footer(written(disk())[:512]).uuid


def test_a_delta_names_a_file_of_dom0_and_leaves_out_the_locator() -> None:
    parent = uuid.uuid4()
    stream = written(disk(), (2,), parent=(parent, "/srv/x.vhd"))
    header = vhd.parse_header(stream[512:1536])
    assert vhd.parse_footer(stream[:512]).kind == vhd.DIFFERENCING
    assert (header.parent, header.parent_name) == (parent, "/srv/x.vhd")
    assert header.locators[0] == (int.from_bytes(b"MacX", "big"), 1536, 17)
    assert stream[1536:2048] == bytes(512)


def test_qemu_reads_what_it_writes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.vhd").write_bytes(written(disk()))
    subprocess.run(
        ["qemu-img", "convert", "--image-opts", "driver=vpc,force_size_calc=current_size,file.filename=%s" % (tmp_path / "x.vhd"), "-O", "raw",
         str(tmp_path / "x.raw")], check=True)
    assert (tmp_path / "x.raw").read_bytes() == disk()


def test_it_reads_what_qemu_writes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.raw").write_bytes(disk())
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "force_size=on", str(tmp_path / "x.raw"), str(tmp_path / "x.vhd")], check=True)
    assert read((tmp_path / "x.vhd").read_bytes()) == disk()


def test_only_sectors_in_the_bitmap_are_written() -> None:
    stream = bytearray(written(disk()))
    stream[2560:3072] = b"\x10" + bytes(511)  # sector 3 alone
    wanted = bytearray(SIZE)
    wanted[1536:2048] = disk()[1536:2048]
    wanted[-vhd.BLOCK:] = disk()[-vhd.BLOCK:]
    assert read(bytes(stream)) == wanted


def test_runs_of_a_bitmap() -> None:
    assert list(vhd.runs(b"\xc1\x80\x00\x01", 32)) == [(0, 2), (7, 2), (31, 1)]
    assert list(vhd.runs(b"\xff\xff", 16)) == [(0, 16)]
    assert list(vhd.runs(b"\0\0", 16)) == []


def test_blocks_come_in_physical_order() -> None:
    """The stream is only ever read forward, wherever the table says that its blocks belong."""
    stream = bytearray(written(disk()))
    first, last = struct.unpack_from(">I4xI", stream, 2048)
    struct.pack_into(">I4xI", stream, 2048, last, first)
    stream[2052:2056] = b"\xff" * 4
    swapped = disk()[-vhd.BLOCK:] + bytes(vhd.BLOCK) + disk()[:vhd.BLOCK]
    assert read(bytes(stream)) == swapped


def sealed(stream: bytearray, offset: int, value: bytes) -> bytes:
    """With other bytes in both footers or the header, and checksums that are right."""
    stream = bytearray(stream)
    stream[offset:offset + len(value)] = value
    if 512 <= offset < 1536:
        struct.pack_into(">I", stream, 548, vhd.checksum(bytes(stream[512:1536]), 36))
    else:
        struct.pack_into(">I", stream, 64, vhd.checksum(bytes(stream[:512]), 64))
    return bytes(stream)


@pytest.mark.parametrize("offset, value, why", [
    (0, b"C", "conectix"),
    (12, b"\0\2", "footer version"),
    (60, b"\0\0\0\2", "fixed"),
    (60, b"\0\0\0\5", "disk type"),
    (512, b"C", "cxsparse"),
    (520, bytes(8), "data offset"),
    (536, b"\0\2", "header version"),
    (544, struct.pack(">I", 3 << 20), "blocks of"),
    (544, bytes(4), "blocks of"),
    (512 + 576, b"Wxyz", "platform code"),
    (512 + 64, b"\xd8\x00\x00\x41", "UTF-16"),
    (512 + 28, b"\x7f\xff\xff\xff", "table of"),
    (512 + 16, struct.pack(">Q", 1024), "go back"),
    (16, struct.pack(">Q", 100), "go back"),
])
def test_what_is_wrong_is_refused(offset: int, value: bytes, why: str) -> None:
    with pytest.raises(vhd.Malformed, match=why):
        read(sealed(bytearray(written(disk())), offset, value))


@pytest.mark.parametrize("offset", [8, 40, 70, 512 + 40, 512 + 900, -512 + 70])
def test_checksums_are_looked_at(offset: int) -> None:
    stream = bytearray(written(disk()))
    stream[offset] ^= 1
    with pytest.raises(vhd.Malformed, match="checksum"):
        read(bytes(stream))


def test_known_platform_codes_pass() -> None:
    for code in (b"Wi2r", b"Wi2k", b"W2ru", b"W2ku", b"Mac ", b"MacX"):
        assert read(sealed(bytearray(written(disk())), 512 + 576, code)) == disk()


def test_the_footer_is_where_the_length_says() -> None:
    stream = written(disk())
    assert read(stream + bytes(1000), total=len(stream)) == disk()
    assert read(stream[:-512] + bytes(1024) + stream[-512:]) == disk()
    with pytest.raises(vhd.Malformed, match="conectix"):
        read(stream + bytes(1024))
    with pytest.raises(vhd.Malformed, match="go back"):
        read(stream, total=len(stream) - 512)


def test_a_stream_that_ends_early_is_refused() -> None:
    stream = written(disk())
    for length in (100, 512, 1600, 3000, len(stream) - 1):
        with pytest.raises(vhd.Malformed, match="ends at"):
            read(stream[:length], total=len(stream))


def test_overlapping_blocks_are_refused() -> None:
    stream = bytearray(written(disk()))
    struct.pack_into(">I", stream, 2056, 6)
    with pytest.raises(vhd.Malformed, match="go back"):
        read(bytes(stream))


def test_a_block_past_the_disk_is_a_failed_write() -> None:
    with pytest.raises(OSError, match="past the end"):
        read(written(disk()), size=2 * vhd.BLOCK)
