# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.images.glance import GlanceImage
from ansible_collections.bootable.volumes.plugins.module_utils.images.local import LocalImage
from ansible_collections.bootable.volumes.plugins.module_utils.images.selection import make_source
from ansible_collections.bootable.volumes.plugins.module_utils.images.url import UrlImage

SHA256 = "sha256:" + "0" * 64


def no_cloud():
    raise AssertionError("asked before anybody reads")


@pytest.mark.parametrize("options, kind", [
    ({"image": "debian"}, GlanceImage),
    ({"image_file": "/images/debian.qcow2"}, LocalImage),
    ({"image_file": "/images/debian", "image_format": "raw", "image_checksum": SHA256}, LocalImage),
    ({"image_url": "https://images.example.com/debian.qcow2", "image_checksum": SHA256}, UrlImage),
])
def test_each_option_has_its_source_and_nothing_is_read(options, kind):
    assert isinstance(make_source(options, no_cloud), kind)


@pytest.mark.parametrize("options, told", [
    ({}, "found: none"),
    ({"image": "debian", "image_file": "/x.raw"}, "found: image and image_file"),
    ({"image": "debian", "image_checksum": SHA256}, "image_checksum does not go with image"),
    ({"image": "debian", "image_container": "ovf"}, "image_container does not go with image"),
    ({"image": "debian", "image_format": "raw"}, "image_format does not go with image"),
    ({"image_url": "https://images.example.com/debian.qcow2"}, "image_checksum"),
    ({"image_file": "/images/debian", "image_checksum": SHA256}, "image_format"),
])
def test_what_does_not_go_together_is_refused(options, told):
    with pytest.raises(InvalidInput) as refused:
        make_source(options, no_cloud).describe()
    assert told in str(refused.value)


@pytest.mark.parametrize("name, options, format, container", [
    ("a.tgz", {}, "vhd", "ovf"),
    ("a.img", {"image_container": "ovf"}, "vhd", "ovf"),
    ("a.tar", {"image_container": "bare", "image_format": "raw"}, "raw", "bare"),
    ("a.tar", {"image_format": "raw"}, "raw", "ovf"),
    ("a.img", {}, "raw", "bare"),
])
def test_a_container_is_what_is_said_or_what_the_ending_says(tmp_path, name, options, format, container):
    (tmp_path / name).write_bytes(bytes(512))
    image = make_source(dict(options, image_file=str(tmp_path / name)), no_cloud).describe()
    assert (image.format, image.container) == (format, container)
    assert image.virtual_size == (512 if container == "bare" else None)
