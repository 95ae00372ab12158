# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives of VHDs: good ones of all kinds, and what somebody might think of to get out of one."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import typing as t
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_archive import Archive, archive_length, archived, gzipped
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds

# What is in a file does not matter to an archive.
FILES = [random.Random(1).randbytes(5000), bytes(512), random.Random(2).randbytes(3 * MIB)]

Found = t.List[t.Tuple[int, str, bytes]]


def members(data: bytes, piece: int = 1 << 30, *, most: int = 1 << 40) -> Found:
    """All that is in an archive."""
    found = []
    for member in Archive(vhds.reading(data, piece), most=most).members():
        content = b"".join(iter(lambda: member.read(100 * KIB), b""))
        assert len(content) == member.size and member.read(1) == b""
        found.append((member.position, member.name, content))
    return found


def tar(*entries: t.Tuple[str, t.Dict[str, t.Any], bytes], format: int = tarfile.GNU_FORMAT) -> bytes:
    """An archive of anything: name, attributes, content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=format) as made:
        for name, attributes, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in attributes.items():
                setattr(info, key, value)
            made.addfile(info, io.BytesIO(content))
    return packed.getvalue()


EMPTY: t.Tuple[t.Dict[str, t.Any], bytes] = ({}, b"content")


@pytest.mark.parametrize("piece", [7, 1000, 1 << 30])
@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_files_come_as_they_stand(piece: int, gz: bool, format: int) -> None:
    files = FILES[:2] if piece == 7 else FILES
    order = [1, 0] if piece == 7 else [2, 0, 1]
    data = vhds.archive(files, gz=gz, order=order, format=format)
    assert members(data, piece) == [(index, "%d.vhd" % index, files[index]) for index in order]


def test_what_is_not_read_is_read_over() -> None:
    found = []
    for member in Archive(vhds.reading(vhds.archive(FILES, gz=True))).members():
        found.append((member.name, member.read(10)))
    assert found == [("%d.vhd" % index, content[:10]) for index, content in enumerate(FILES)]


@pytest.mark.parametrize("names, positions", [
    (["./0.vhd", "./1.vhd"], [0, 1]),
    (["disk-1.vhd"], [0]), (["./My disk.vhd"], [0]), (["image.vhd"], [1]), (["base.vhd"], [2]),
    (["snap.vhd", "image.vhd", "base.vhd"], [0, 1, 2]), (["base.vhd", "snap.vhd"], [2, 0]), (["image.vhd", "base.vhd"], [1, 2]),
    (["swap.vhd", "0.vhd"], [0]), (["0.vhd", "swap.vhd", "1.vhd"], [0, 1]),
    (["%d.vhd" % index for index in range(16)], list(range(16))),
])
def test_names(names: t.List[str], positions: t.List[int]) -> None:
    assert [position for position, dummy, dummy2 in members(tar(*((name, *EMPTY) for name in names)))] == positions


@pytest.mark.parametrize("name", [".", "./"])
def test_the_folder_itself_is_no_harm(name: str) -> None:
    assert len(members(tar((name, {"type": tarfile.DIRTYPE}, b""), ("./0.vhd", *EMPTY)))) == 1


def test_an_extended_header_may_tell_the_size() -> None:
    """As for files that the usual header has no room for; the two need not agree then."""
    data = extended(b"mtime=1.5", b"size=600") + header_of("0.vhd", 0) + b"a" * 600 + bytes(424) + bytes(1024)
    assert members(data) == [(0, "0.vhd", b"a" * 600)]


def header_of(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """One header."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def extended(*records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header."""
    body = b""
    for record in records:
        length = len(record) + 3
        while len(b"%d %s\n" % (length, record)) != length:
            length += 1
        body += b"%d %s\n" % (length, record)
    return header_of("PaxHeaders/0.vhd", len(body), kind) + body.ljust(-(-len(body) // 512) * 512, b"\0")


# What, and a word of the refusal.
EVIL: t.Dict[str, t.Tuple[bytes, str]] = {
    "nothing at all": (b"", "truncated"),
    "no archive": (random.Random(3).randbytes(20000), "no archive"),
    "an archive of nothing": (tar(), "holds no VHD"),
    "only swap": (tar(("swap.vhd", *EMPTY)), "holds no VHD"),
    "a gap": (tar(("0.vhd", *EMPTY), ("2.vhd", *EMPTY)), "no 1.vhd"),
    "no leaf": (tar(("1.vhd", *EMPTY)), "no 0.vhd"),
    "the same twice": (tar(("0.vhd", *EMPTY), ("0.vhd", *EMPTY)), "twice"),
    "the same twice, spelled differently": (tar(("0.vhd", *EMPTY), ("./0.vhd", *EMPTY)), "twice"),
    "a path": (tar(("disks/0.vhd", *EMPTY)), "expected"),
    "a path upward": (tar(("../0.vhd", *EMPTY)), "expected"),
    "a path from the root": (tar(("/0.vhd", *EMPTY)), "expected"),
    "dots": (tar(("././0.vhd", *EMPTY)), "expected"),
    "a number that is written differently": (tar(("0.vhd", *EMPTY), ("01.vhd", *EMPTY)), "beside other disks"),
    "a prefix": (header_of("0.vhd", 0)[:345] + b"etc".ljust(155, b"\0") + bytes(12), "no archive"),
    "another name": (tar(("0.vhd", *EMPTY), ("manifest.xml", *EMPTY)), "expected"),
    "a hidden name": (tar((".0.vhd", *EMPTY)), "expected"),
    "a name with control characters": (tar(("a\x1b[2J.vhd", *EMPTY)), "expected"),
    "capitals": (tar(("0.VHD", *EMPTY)), "expected"),
    "two with names of their own": (tar(("a.vhd", *EMPTY), ("b.vhd", *EMPTY)), "beside other disks"),
    "old and new names": (tar(("image.vhd", *EMPTY), ("0.vhd", *EMPTY)), "beside other disks"),
    "seventeen files": (tar(*(("%d.vhd" % index, *EMPTY) for index in range(17))), "more than 16|at most 16"),
    "a high number": (tar(("16.vhd", *EMPTY)), "at most 16"),
    "a symbolic link": (tar(("0.vhd", {"type": tarfile.SYMTYPE, "linkname": "/etc/shadow"}, b"")), "no regular file"),
    "a hard link": (tar(("0.vhd", {"type": tarfile.LNKTYPE, "linkname": "/etc/shadow"}, b"")), "no regular file"),
    "a character device": (tar(("0.vhd", {"type": tarfile.CHRTYPE}, b"")), "no regular file"),
    "a block device": (tar(("0.vhd", {"type": tarfile.BLKTYPE}, b"")), "no regular file"),
    "a FIFO": (tar(("0.vhd", {"type": tarfile.FIFOTYPE}, b"")), "no regular file"),
    "a folder": (tar(("0.vhd", {"type": tarfile.DIRTYPE}, b"")), "no regular file"),
    "a folder beside": (tar(("disks", {"type": tarfile.DIRTYPE}, b""), ("0.vhd", *EMPTY)), "no regular file"),
    "a folder that is a file of old": (tar(("0.vhd/", {"type": tarfile.AREGTYPE}, b"")), "no regular file"),
    "a contiguous file": (tar(("0.vhd", {"type": tarfile.CONTTYPE}, b"")), "no regular file"),
    "a sparse file": (header_of("0.vhd", 512, tarfile.GNUTYPE_SPARSE) + bytes(512) + bytes(1024), "no regular file|no archive"),
    "a long name": (tar(("x" * 200 + ".vhd", *EMPTY)), "no regular file"),
    "a type nobody knows": (header_of("0.vhd", 0, b"Z") + bytes(1024), "no regular file"),
    "an extended header with another name": (extended(b"path=../../etc/passwd") + tar(("0.vhd", *EMPTY)), "extended header for path"),
    "an extended header with a link": (extended(b"linkpath=/etc/passwd") + tar(("0.vhd", *EMPTY)), "extended header for linkpath"),
    "an extended header of a sparse file": (
        extended(b"GNU.sparse.major=1", b"GNU.sparse.realsize=99999999") + tar(("0.vhd", *EMPTY)), "extended header for GNU.sparse"),
    "an extended header with a size that is none": (extended(b"size=-5") + tar(("0.vhd", *EMPTY)), "extended header for size"),
    "an extended header with a size beyond all": (extended(b"size=" + b"9" * 18) + tar(("0.vhd", *EMPTY)), "at most"),
    "two extended headers": (extended(b"mtime=1") + extended(b"mtime=1") + tar(("0.vhd", *EMPTY)), "no regular file"),
    "an extended header for all": (extended(b"mtime=1", kind=tarfile.XGLTYPE) + tar(("0.vhd", *EMPTY)), "no regular file"),
    "an extended header before nothing": (extended(b"mtime=1") + bytes(1024), "before nothing"),
    "an extended header before a folder": (extended(b"mtime=1") + header_of("./", 0, tarfile.DIRTYPE) + tar(("0.vhd", *EMPTY)), "no regular file"),
    "an extended header without end": (header_of("x", 1 << 40, tarfile.XHDTYPE) + bytes(5000), "at most 4096"),
    "an extended header of nonsense": (header_of("x", 512, tarfile.XHDTYPE) + b"nonsense".ljust(512, b"\0") + tar(("0.vhd", *EMPTY)), "damaged extended"),
    "an extended header of length nothing": (header_of("x", 7, tarfile.XHDTYPE) + b"0 a=b\n\n".ljust(512, b"\0") + tar(("0.vhd", *EMPTY)), "damaged extended"),
    "a size below nothing": (
        header_of("0.vhd", 0)[:124] + b"\xff" * 12 + header_of("0.vhd", 0)[136:148] + bytes(8) + header_of("0.vhd", 0)[156:], "no archive|less than no"),
    "a size beyond all": (header_of("0.vhd", 1 << 60), "at most"),
    "an end that is missing": (tar(("0.vhd", *EMPTY))[:1024], "truncated"),
    "half an end": (tar(("0.vhd", *EMPTY))[:1536], "truncated"),
    "half a file": (tar(("0.vhd", {}, bytes(5000)))[:3000], "truncated"),
    "half a header": (tar(("0.vhd", *EMPTY))[:300], "truncated"),
    "something behind the end": (tar(("0.vhd", *EMPTY)) + b"x", "something else"),
    "another archive behind the end": (tar(("0.vhd", *EMPTY))[:2048] + tar(("1.vhd", *EMPTY)), "something else"),
    "a file behind the first block of the end": (tar(("0.vhd", *EMPTY))[:1536] + tar(("1.vhd", *EMPTY)), "followed by more"),
    "zeroes without end": (tar(("0.vhd", *EMPTY)) + bytes(2 * MIB), "something else"),
    "a header with a wrong checksum": (b"1" + tar(("0.vhd", *EMPTY))[1:], "no archive"),
}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("gz", [False, True])
def test_anything_else_is_refused(name: str, gz: bool) -> None:
    data, word = EVIL[name]
    with pytest.raises(UnsafeImage, match=word):
        members(gzip.compress(data, 1) if gz else data)


@pytest.mark.parametrize("damage, word", [
    (lambda data: data[:-4], "truncated"), (lambda data: data[:len(data) // 2], "truncated"),
    (lambda data: data[:5], "truncated"), (lambda data: data[:2], "truncated"),
    (lambda data: data[:-8] + b"\0" * 8, "damaged"), (lambda data: data[:3000] + b"\xff" * 50 + data[3050:], "damaged"),
    (lambda data: data + b"x", "damaged|truncated"),
    (lambda data: data + gzip.compress(b"x"), "something else"), (lambda data: data[:2] + b"\x07" + data[3:], "damaged"),
])
def test_compression_that_is_damaged(damage: t.Callable[[bytes], bytes], word: str) -> None:
    with pytest.raises(UnsafeImage, match=word):
        members(damage(vhds.archive(FILES, gz=True)))


def test_several_compressed_files_are_one() -> None:
    data = vhds.archive(FILES)
    assert members(gzip.compress(data[:5000]) + gzip.compress(data[5000:]) + bytes(600), 1000) == members(data)


def test_all_files_together_are_bounded() -> None:
    data = vhds.archive([bytes(MIB), bytes(MIB)])
    assert len(members(data, most=2 * MIB)) == 2
    with pytest.raises(UnsafeImage, match="2 MiB and more; at most 1.5 MiB"):
        members(data, most=3 * MIB // 2)


def test_a_gzip_bomb_costs_no_memory() -> None:
    """A megabyte that would become a gigabyte is unpacked as far as somebody reads."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(header_of("0.vhd", 8 * GIB)) + b"".join(packer.compress(bytes(MIB)) for dummy in range(64)) + packer.flush()
    for member in Archive(vhds.reading(bomb)).members():
        assert len(member.read(1 << 40)) <= 4 * MIB
        break


@pytest.mark.parametrize("sizes", [[0], [1], [512, 513], [1000] * 16])
def test_an_archive_is_as_long_as_it_says(sizes: t.List[int]) -> None:
    files = [bytes([index]) * size for index, size in enumerate(sizes)]
    data = b"".join(archived((len(file), [file[:100], file[100:]]) for file in files))
    assert len(data) == archive_length(sizes)
    assert members(data) == [(index, "%d.vhd" % index, file) for index, file in enumerate(files)]
    with tarfile.open(fileobj=io.BytesIO(b"".join(gzipped([data])))) as made:
        assert [t.cast(t.Any, made.extractfile(info)).read() for info in made] == files


def test_an_archive_of_large_files_has_their_size() -> None:
    assert tarfile.TarInfo.frombuf(next(archived([(2000 * GIB, [])])), "ascii", "strict").size == 2000 * GIB


@pytest.mark.parametrize("size, word", [(3, "more"), (5, "only 4")])
def test_a_file_of_another_size_than_was_said(size: int, word: str) -> None:
    with pytest.raises(UnsafeImage, match=word):
        list(archived([(size, [b"ab", b"cd"])]))


GOOD = vhds.archive(FILES[:2], format=tarfile.PAX_FORMAT)


@settings(max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=20), st.integers(0, 1))
def test_no_damage_crashes_it(at: int, value: bytes, cut: int) -> None:
    data = GOOD[:at] + value + (b"" if cut else GOOD[at + len(value):])
    try:
        members(data, most=1 << 20)
    except UnsafeImage:
        pass
