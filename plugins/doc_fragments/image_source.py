# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options that name an image: images/selection.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the image comes from."""

    DOCUMENTATION = r"""
options:
  image:
    description:
      - An image in Glance, by name or ID.
      - A name that several images have is refused; their IDs are in the message.
      - Mutually exclusive with O(image_file) and O(image_url).
    type: str
  image_file:
    description:
      - An image file on the host where the module runs.
      - Mutually exclusive with O(image) and O(image_url).
    type: path
  image_url:
    description:
      - An image at an C(http) or C(https) address. Needs O(image_checksum).
      - A download that breaks off is taken up again where it broke off, if the server allows it.
      - Mutually exclusive with O(image) and O(image_file).
    type: str
  image_checksum:
    description:
      - The checksum of the image as it is stored, as V(algorithm:hex), for example V(sha256:9f86d081…).
      - For O(image_url) also V(algorithm:URL), the address of a checksum file that lists the image.
      - The bytes are verified while they arrive; nothing is published that does not match.
      - Without it, O(image_file) is known by its SHA-256.
    type: str
  image_format:
    description:
      - The format of O(image_file) or O(image_url). By default the ending of the name tells.
      - It is never guessed from the content; content of another format is refused.
    type: str
    choices: [raw, qcow2, vhd, vhdx, vmdk, vdi]
  image_container:
    description:
      - V(ovf) says that O(image_file) or O(image_url) is an archive (tar, compressed with gzip or not) of VHDs, as XenServer makes them and
        Glance keeps them under this name, C(0.vhd) the newest, each based on the next. They are merged into one disk.
      - V(bare) says that it is the disk image itself.
      - By default the ending of the name tells, C(.tar), C(.tar.gz) and C(.tgz) being archives, whose O(image_format) is then V(vhd).
    type: str
    choices: [bare, ovf]
"""
