# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which adapter brings an image into a disk: told by Glance's two words for it, the disk format and the container format.

Nothing is guessed: a pair that the table does not have is refused by name, with what to do instead. What the bytes
really are is looked at later, by the adapter, and must agree.
"""

from __future__ import annotations

import enum
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription


class Adapter(enum.Enum):
    """How an image's bytes become those of a disk."""

    VHD = "vhd"          # one VHD, sent as it arrives
    VHD_ARCHIVE = "vhd_archive"  # a tar of 0.vhd (the newest) to n.vhd, sent layer by layer
    RAW = "raw"          # the disk itself
    CONVERT = "convert"  # qemu-img makes a raw disk of it first


BARE = "bare"

# What a tar of VHDs is called. Nova said ovf for want of a better word; Glance can be given others.
VHD_ARCHIVES = ("ovf", "tar", "tgz", "tar.gz", "targz")

_ADAPTERS: t.Mapping[t.Tuple[str, str], Adapter] = {
    ("vhd", BARE): Adapter.VHD,
    ("raw", BARE): Adapter.RAW,
    ("qcow2", BARE): Adapter.CONVERT,
    ("vmdk", BARE): Adapter.CONVERT,
    ("vdi", BARE): Adapter.CONVERT,
    ("vhdx", BARE): Adapter.CONVERT,
    **{("vhd", container): Adapter.VHD_ARCHIVE for container in VHD_ARCHIVES},
}

_DISK_FORMATS: t.Mapping[str, str] = {
    "ami": "it is a file system that boots with a kernel image beside it; make one disk image of both, with a boot loader, and upload that as raw or vhd",
    "aki": "it is a kernel, not a disk; name the image of a whole disk",
    "ari": "it is a ramdisk, not a disk; name the image of a whole disk",
    "iso": "it is a CD; put it into an ISO SR and install from it, or name the image of an installed disk",
    "ploop": "no converter here reads ploop; convert it to raw first (ploop mount, then qemu-img convert)",
}

_CONTAINERS: t.Mapping[str, str] = {
    "ova": "an OVA holds a description beside its disks; unpack it, and upload the disk alone",
    "docker": "a container's layers are no disk; name a disk image",
    "compressed": "it is stored compressed; upload it uncompressed, or let Glance's image_decompression plugin do it on import",
    "ami": "its disk is to boot with a kernel image beside it; make one disk image of both, with a boot loader",
    "aki": "it is a kernel, not a disk; name the image of a whole disk",
    "ari": "it is a ramdisk, not a disk; name the image of a whole disk",
}


def is_archive(image: ImageDescription) -> bool:
    """Whether an image is declared as an archive of VHDs."""
    return _ADAPTERS.get((image.format, image.container)) is Adapter.VHD_ARCHIVE


def adapter_for(image: ImageDescription) -> Adapter:
    """The adapter for an image, told by what it is declared as.

    :raises InvalidInput: none can serve it; says why, and what to do.
    """
    found = _ADAPTERS.get((image.format, image.container))
    if found is not None:
        return found
    if image.format in _DISK_FORMATS:
        advice = _DISK_FORMATS[image.format]
    elif image.container in _CONTAINERS:
        advice = _CONTAINERS[image.container]
    elif image.container in VHD_ARCHIVES:
        advice = "only VHDs are read from archives; upload the disk alone, with container_format bare"
    else:
        advice = "known are %s, all bare, and vhd in an archive (ovf)" % ", ".join(sorted({format for format, dummy in _ADAPTERS}))
    raise InvalidInput("the image %s (disk_format %s, container_format %s) cannot be brought into a disk: %s" % (
        image.name, image.format, image.container, advice))
