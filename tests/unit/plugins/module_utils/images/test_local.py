# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import pathlib

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.images.local import LocalImage
from ansible_collections.bootable.volumes.tests.unit.fakes import disks


def test_what_is_known_of_a_file(folder: pathlib.Path) -> None:
    path = folder / "debian.qcow2"
    path.write_bytes(disks.qcow2())
    found = LocalImage(str(path)).describe()
    assert (found.name, found.origin, found.format, found.container) == (str(path), "file", "qcow2", "bare")
    assert (found.size, found.virtual_size) == (path.stat().st_size, disks.SIZE)
    assert found.checksums == {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_a_given_checksum_is_the_promise(folder: pathlib.Path) -> None:
    """Even a wrong one: the bytes will be held against it."""
    path = folder / "x.raw"
    path.write_bytes(b"abc")
    assert LocalImage(str(path), checksum="md5:" + "0" * 32).describe().checksums == {"md5": "0" * 32}


def test_it_is_described_once(folder: pathlib.Path) -> None:
    path = folder / "x.raw"
    path.write_bytes(b"abc")
    image = LocalImage(str(path))
    first = image.describe()
    path.unlink()
    assert image.describe() is first


def test_content_of_another_format_has_no_size_yet(folder: pathlib.Path) -> None:
    path = folder / "x"
    path.write_bytes(b"abc")
    assert LocalImage(str(path), declared_format="qcow2").describe().virtual_size is None
    assert LocalImage(str(path), declared_format="raw").describe().virtual_size == 3


def test_it_can_be_read_from_the_middle(folder: pathlib.Path) -> None:
    path = folder / "x.raw"
    path.write_bytes(b"abcdef")
    with LocalImage(str(path)).open(2) as stream:
        assert stream.read(3) == b"cde"
        assert stream.read(3) == b"f"
        assert stream.read(3) == b""
        stream.close()


def test_what_cannot_be_read(folder: pathlib.Path) -> None:
    with pytest.raises(NotFound, match="no image file"):
        LocalImage(str(folder / "none.raw")).describe()
    with pytest.raises(InvalidInput, match="image_format"):
        LocalImage(str(folder / "none")).describe()
    (folder / "dir.raw").mkdir()
    with pytest.raises(Exception, match="dir.raw"):
        LocalImage(str(folder / "dir.raw")).describe()
