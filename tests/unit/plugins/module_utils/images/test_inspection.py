# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile images, each refused before qemu-img would see it, and good ones that pass."""

from __future__ import annotations

import pathlib
import struct
import sys
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import MissingPackage, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB, TIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import FORMATS, QemuImg
from ansible_collections.bootable.volumes.plugins.module_utils.images import inspection
from ansible_collections.bootable.volumes.plugins.module_utils.images.inspection import Inspection, check_file, inspect_file
from ansible_collections.bootable.volumes.tests.unit.fakes import disks
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.host import Answers, HostRunner, NoCommands, make_job

FLAT = 'RW 8192 FLAT "/etc/shadow" 0\n'
VMDK = disks.vmdk_descriptor


def extension(kind: int, data: bytes) -> bytes:
    """A header extension of a qcow2."""
    return struct.pack(">II", kind, len(data)) + data.ljust(-(-len(data) // 8) * 8, b"\0")


def with_iso(image: bytes) -> bytes:
    """The image, with the signature of an installation medium where that has to be."""
    mixed = bytearray(image.ljust(64 * KIB, b"\0"))
    mixed[32 * KIB:32 * KIB + 6] = b"\x01CD001"
    return bytes(mixed)


def at_end(image: bytes, footer: bytes) -> bytes:
    """The image, with other last bytes."""
    return image[:-len(footer)] + footer


# Name: (declared format, the bytes, a word of the refusal)
HOSTILE: t.Dict[str, t.Tuple[str, bytes, str]] = {
    "qcow2 with a backing file": ("qcow2", disks.qcow2(backing=b"/etc/passwd"), "backing"),
    "qcow2 version 2 with a backing file": ("qcow2", disks.qcow2(version=2, backing=b"nbd:127.0.0.1:10809"), "backing"),
    "qcow2 whose backing file is a json: name": ("qcow2", disks.qcow2(backing=b'json:{"driver":"file","filename":"/etc/passwd"}'), "backing"),
    "qcow2 with an external data file": ("qcow2", disks.qcow2(features=4, extensions=extension(0x44415441, b"/etc/passwd")), "data"),
    "qcow2 with features nobody knows": ("qcow2", disks.qcow2(features=1 << 40), "features"),
    "qcow2 of a version nobody knows": ("qcow2", disks.qcow2(version=9), "version"),
    "qcow version 1": ("qcow2", disks.qcow2(version=1), "version"),
    "qcow2 that is encrypted": ("qcow2", disks.qcow2(crypt=1), "encrypted"),
    "qcow2 with an absurd size": ("qcow2", disks.qcow2(size=1 << 62), "makes sense"),
    "qcow2 without a size": ("qcow2", disks.qcow2(size=0)[:20] + disks.qcow2(size=0)[20:24] + bytes(8) + disks.qcow2(size=0)[32:], "empty disk"),
    "qcow2 with impossible clusters": ("qcow2", disks.qcow2(cluster_bits=60), "clusters"),
    "qcow2 cut off in its header": ("qcow2", disks.qcow2()[:60], "no disk image"),
    "qcow2 cut off in its mapping": ("qcow2", disks.qcow2()[:100 * KIB], "truncated"),
    "qcow2 cut off in its data": ("qcow2", disks.qcow2(raw_disk())[:-MIB], "truncated"),
    "qcow2 that calls itself raw": ("raw", disks.qcow2(raw_disk()), "qcow2"),
    "raw that calls itself qcow2": ("qcow2", raw_disk(), "gpt"),
    "QED that calls itself raw": ("raw", b"QED\0" + bytes(MIB), "qed"),
    "QED that calls itself qcow2": ("qcow2", b"QED\0" + bytes(MIB), "qed"),
    "VMDK with a flat extent": ("vmdk", disks.vmdk(VMDK(kind="monolithicFlat", extents=FLAT)), "refused"),
    "VMDK descriptor that names a file": ("vmdk", VMDK(kind="monolithicFlat", extents=FLAT).encode().ljust(2048, b"\n"), "refused"),
    "VMDK whose extent is an absolute path": ("vmdk", disks.vmdk(VMDK(extents='RW 8192 SPARSE "/etc/shadow"\n')), "extent"),
    "VMDK with an extent beside its own": ("vmdk", disks.vmdk(VMDK(extents='RW 4096 SPARSE "a"\nRW 4096 FLAT "b" 0\n')), "extents"),
    "VMDK whose one extent is flat": ("vmdk", disks.vmdk(VMDK(extents='RW 8192 FLAT "passwd" 0\n')), "extents"),
    "VMDK with a parent": ("vmdk", disks.vmdk(VMDK(more='parentFileNameHint="passwd"\n')), "parent"),
    "VMDK without a size, which qemu takes for a descriptor": ("vmdk", disks.vmdk(sectors=0), "empty disk"),
    "VMDK cut off before its grain directory": ("vmdk", disks.vmdk(directory=1 << 20), "truncated"),
    "VMDK that calls itself raw": ("raw", disks.vmdk(), "vmdk"),
    "VMDK descriptor that calls itself raw": ("raw", VMDK(kind="monolithicFlat", extents=FLAT).encode().ljust(2048, b"\n"), "vmdk"),
    "VHD that is differencing": ("vhd", disks.vhd_dynamic(kind=4), "differencing"),
    "VHD that names a parent all the same": ("vhd", disks.vhd_dynamic(parent=b"0123456789abcdef"), "parent"),
    "VHD without its end": ("vhd", disks.vhd_dynamic(footer=False), "truncated"),
    "VHD with an absurd size": ("vhd", disks.vhd_dynamic()[:48] + struct.pack(">Q", 65 * TIB) + disks.vhd_dynamic()[56:], "makes sense"),
    "VHD that is fixed and calls itself raw": ("raw", disks.vhd_fixed(raw_disk()), "fixed VHD"),
    "VHD that is fixed and cut off": ("vhd", disks.vhd_fixed(raw_disk())[MIB:], "truncated"),
    "raw that calls itself a VHD": ("vhd", raw_disk(), "VHD"),
    "VDI that is differencing": ("vdi", disks.vdi(kind=4), "differencing"),
    "VDI that names a parent all the same": ("vdi", disks.vdi(parent=b"0123456789abcdef"), "differencing"),
    "VDI that calls itself raw": ("raw", disks.vdi(), "vdi"),
    "VHDX without its tables": ("vhdx", b"vhdxfile" + bytes(MIB), "refused"),
    "VHDX that calls itself raw": ("raw", b"vhdxfile" + bytes(MIB), "vhdx"),
    "LUKS that calls itself raw": ("raw", b"LUKS\xba\xbe\0\x01" + bytes(MIB), "luks"),
    "both qcow2 and ISO": ("qcow2", with_iso(disks.qcow2()), "several formats"),
    "both qcow2 and ISO, declared raw": ("raw", with_iso(disks.qcow2(raw_disk())), "qcow2"),
    "both qcow2 and a partitioned disk": ("qcow2", disks.qcow2()[:510] + b"\x55\xaa" + disks.qcow2()[512:], "several formats"),
    "both VDI and QED": ("vdi", b"QED\0" + disks.vdi()[4:], "several formats"),
    "both VDI and qcow2": ("vdi", disks.qcow2()[:64] + disks.vdi()[64:], "several formats"),
    "nothing at all": ("qcow2", b"", "empty"),
    "nothing at all, raw": ("raw", b"", "empty"),
    "text": ("vmdk", b"hello world\n" * 100, "no disk image"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_image_is_refused_before_qemu_sees_it(folder: pathlib.Path, name: str) -> None:
    declared, data, word = HOSTILE[name]
    path = folder / "image"
    path.write_bytes(data)
    with pytest.raises(UnsafeImage, match="(?i)" + word):
        inspect_file(str(path), declared, "evil", QemuImg(NoCommands()))


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 15


@pytest.mark.parametrize("name", [name for name, (declared, data, word) in HOSTILE.items() if len(data) > MIB and declared != "vhd" and "cut off" not in name
                                  and "fixed" not in name])
def test_most_are_refused_while_they_arrive(name: str) -> None:
    """By their head, before the rest is downloaded."""
    declared, data, dummy = HOSTILE[name]
    look = Inspection(declared, "evil")
    with pytest.raises(UnsafeImage):
        for offset in range(0, len(data), 4 * KIB):
            look.feed(data[offset:offset + 4 * KIB])
            assert offset <= inspection.HEAD


GOOD = {
    "raw": ("raw", raw_disk()),
    "installation medium": ("raw", disks.iso()),
    "hybrid medium": ("raw", raw_disk()[:512] + disks.iso()[512:]),
    "unpartitioned": ("raw", disks.pattern(MIB)),
    "tiny": ("raw", b"x" * 512),
    "qcow2": ("qcow2", disks.qcow2(raw_disk())),
    "qcow2 version 2": ("qcow2", disks.qcow2(raw_disk(), version=2)),
    "VHD, fixed": ("vhd", disks.vhd_fixed(raw_disk())),
    "VHD, dynamic": ("vhd", disks.vhd_dynamic()),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_image_passes(folder: pathlib.Path, name: str) -> None:
    declared, data = GOOD[name]
    path = folder / "image"
    path.write_bytes(data)
    expected = len(data) if declared == "raw" else disks.SIZE
    assert inspect_file(str(path), declared, "good", QemuImg(HostRunner())) == expected


@pytest.mark.parametrize("options", [
    "", "compat=0.10", "compression_type=zstd", "cluster_size=512", "cluster_size=2M", "lazy_refcounts=on", "preallocation=metadata",
])
def test_a_qcow2_of_qemu_passes_whatever_its_options(folder: pathlib.Path, options: str) -> None:
    path = str(folder / "image")
    HostRunner().run_ok(["qemu-img", "create", "-q", "-f", "qcow2"] + (["-o", options] if options else []) + [path, "16M"])
    assert inspect_file(path, "qcow2", "good", QemuImg(HostRunner())) == 16 * MIB


@pytest.mark.parametrize("format, options", [("qcow2", ["-c"]), ("vmdk", ["-o", "subformat=streamOptimized"]), ("vpc", ["-o", "subformat=fixed,force_size=on"]),
                                             ("vhdx", ["-o", "subformat=fixed"]), ("vdi", ["-o", "static=on"])])
def test_what_qemu_converts_passes(folder: pathlib.Path, format: str, options: t.List[str]) -> None:
    (folder / "raw").write_bytes(raw_disk())
    path = str(folder / "image")
    HostRunner().run_ok(["qemu-img", "convert", "-f", "raw", "-O", format] + options + [str(folder / "raw"), path])
    assert inspect_file(path, {"vpc": "vhd"}.get(format, format), "good", QemuImg(HostRunner())) == disks.SIZE


@pytest.mark.parametrize("answer, word", [
    ('{"virtual-size": 4194304, "backing-filename": "/etc/passwd"}', "other files: /etc/passwd"),
    ('{"virtual-size": 4194304, "format-specific": {"data": {"data-file": "/etc/passwd"}}}', "other files: /etc/passwd"),
    ('{"virtual-size": 4194304, "encrypted": true}', "encrypted"),
    ('{"virtual-size": 1}', "qemu-img reads 1 B"),
    ("nonsense", "makes sense"),
])
def test_what_qemu_says_is_heard_too(folder: pathlib.Path, answer: str, word: str) -> None:
    path = folder / "image"
    path.write_bytes(disks.qcow2(raw_disk()))
    with pytest.raises(UnsafeImage, match=word):
        check_file(str(path), "qcow2", "evil", QemuImg(Answers(stdout=answer)))


def test_how_the_bytes_arrive_makes_no_difference() -> None:
    for declared, data in GOOD.values():
        for piece in (100, 4096, MIB, 1 << 30):
            look = Inspection(declared, "good")
            for offset in range(0, len(data), piece):
                look.feed(data[offset:offset + piece])
            look.finish()


def test_a_raw_image_costs_nothing_after_its_head() -> None:
    look = Inspection("raw", "good")
    look.feed(raw_disk()[:inspection.HEAD])
    assert look.satisfied


def test_without_the_library_nothing_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "oslo_utils.imageutils", None)
    with pytest.raises(MissingPackage, match="oslo.utils"):
        Inspection("raw", "x")


# --- whatever the bytes ---

MAGICS = st.sampled_from([
    b"", b"QFI\xfb\0\0\0\x03", b"KDMV\x01\0\0\0", b"conectix", b"vhdxfile", b"QED\0", b"# Disk DescriptorFile\ncreateType=\"", b"LUKS\xba\xbe",
])
CHANGES = st.lists(st.tuples(st.integers(0, 1600), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])), max_size=8)
HEADS = [disks.qcow2(raw_disk()), disks.vmdk(), disks.vhd_dynamic(), disks.vdi()]


def inspect(declared: str, data: bytes, path: pathlib.Path) -> None:
    """Everything but qemu; whatever it finds, it is our error or none."""
    path.write_bytes(data)
    try:
        inspect_file(str(path), declared, "fuzz", QemuImg(Answers(1, "", "no")))
    except UnsafeImage:
        pass


@settings(max_examples=150, deadline=None)
@given(declared=st.sampled_from(FORMATS), magic=MAGICS, rest=st.binary(max_size=3000), zeroes=st.integers(0, 300 * KIB))
def test_no_bytes_crash_it(tmp_path_factory: pytest.TempPathFactory, declared: str, magic: bytes, rest: bytes, zeroes: int) -> None:
    inspect(declared, magic + rest + bytes(zeroes), tmp_path_factory.getbasetemp() / "fuzz")


@settings(max_examples=200, deadline=None)
@given(which=st.integers(0, 3), changes=CHANGES, cut=st.integers(0, 1 << 20))
def test_no_damaged_header_crashes_it_or_keeps_it_busy(tmp_path_factory: pytest.TempPathFactory, which: int, changes: t.List[t.Tuple[int, int]],
                                                       cut: int) -> None:
    data = bytearray(HEADS[which])
    for offset, value in changes:
        if offset < len(data):
            data[offset] = value
    inspect(["qcow2", "vmdk", "vhd", "vdi"][which], bytes(data[:max(1, len(data) - cut)]), tmp_path_factory.getbasetemp() / "fuzz")


@settings(max_examples=60, deadline=None)
@given(offset=st.integers(0, 320 * KIB), value=st.binary(min_size=1, max_size=16), base=st.sampled_from([192 * KIB, 2 * MIB, 0]))
def test_no_damaged_vhdx_crashes_it(tmp_path_factory: pytest.TempPathFactory, offset: int, value: bytes, base: int) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.vhdx"
    original = tmp_path_factory.getbasetemp() / "good.vhdx"
    if not original.exists():
        HostRunner().run_ok(["qemu-img", "create", "-q", "-f", "vhdx", str(original), "16M"])
    data = bytearray(original.read_bytes())
    data[base + offset:base + offset + len(value)] = value
    inspect("vhdx", bytes(data), path)
    assert make_job().deadline.remaining()
