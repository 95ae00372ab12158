# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.images.dispatch import VHD_ARCHIVES, Adapter, adapter_for
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription

# Glance's own lists, with what operators add to them.
DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop", "something-new")
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed", "tar", "tgz", "tar.gz", "targz", "something-new")
CONVERTED = ("qcow2", "vmdk", "vdi", "vhdx")


def image(disk_format: str, container_format: str) -> ImageDescription:
    return ImageDescription("an image", "glance", disk_format, container_format)


@pytest.mark.parametrize("disk_format, container_format", list(itertools.product(DISK_FORMATS, CONTAINER_FORMATS)))
def test_each_pair_goes_to_its_adapter_or_is_refused_by_name(disk_format: str, container_format: str) -> None:
    """The VHD adapters are used exactly for VHDs, bare or in an archive."""
    expected = None
    if disk_format == "vhd":
        expected = Adapter.VHD if container_format == "bare" else Adapter.VHD_ARCHIVE if container_format in VHD_ARCHIVES else None
    elif container_format == "bare":
        expected = Adapter.RAW if disk_format == "raw" else Adapter.CONVERT if disk_format in CONVERTED else None
    if expected is not None:
        assert adapter_for(image(disk_format, container_format)) is expected
        return
    with pytest.raises(InvalidInput) as refused:
        adapter_for(image(disk_format, container_format))
    message = str(refused.value)
    assert "an image" in message and "disk_format %s," % disk_format in message and "container_format %s)" % container_format in message


@pytest.mark.parametrize("disk_format, container_format, advice", [
    ("ami", "ami", "boot loader"),
    ("aki", "aki", "kernel, not a disk"),
    ("ari", "ari", "ramdisk, not a disk"),
    ("iso", "bare", "ISO SR"),
    ("ploop", "bare", "raw"),
    ("vmdk", "ova", "unpack"),
    ("raw", "docker", "disk image"),
    ("raw", "compressed", "uncompressed"),
    ("qcow2", "ovf", "bare"),
    ("something-new", "bare", "qcow2"),
])
def test_who_is_refused_is_told_what_to_do(disk_format: str, container_format: str, advice: str) -> None:
    with pytest.raises(InvalidInput, match=advice):
        adapter_for(image(disk_format, container_format))
