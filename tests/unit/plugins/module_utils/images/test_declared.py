# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.host import qemu_img
from ansible_collections.bootable.volumes.plugins.module_utils.images import declared


@pytest.mark.parametrize("name, format", [
    ("/a/b.raw", "raw"), ("b.IMG", "raw"), ("b.qcow2", "qcow2"), ("b.vhd", "vhd"), ("b.vpc", "vhd"), ("b.vhdx", "vhdx"), ("b.vmdk", "vmdk"), ("b.vdi", "vdi"),
])
def test_the_ending_tells(name: str, format: str) -> None:
    assert declared.format_of(name, None) == format


def test_the_option_goes_before_the_ending() -> None:
    assert declared.format_of("a.raw", "qcow2") == "qcow2"


@pytest.mark.parametrize("name", ["a", "a.iso", "a.qcow2.gz", "qcow2", ".raw"])
def test_nothing_is_guessed(name: str) -> None:
    with pytest.raises(InvalidInput, match="import_format"):
        declared.format_of(name, None, option="import_format")


@pytest.mark.parametrize("name, container", [("a.vhd", "bare"), ("a.tar", "ovf"), ("a.TGZ", "ovf"), ("a.vhd.tar.gz", "ovf"), ("a.gz", "bare"), ("tar", "bare")])
def test_the_ending_tells_an_archive(name: str, container: str) -> None:
    assert declared.container_of(name, None) == container
    assert declared.container_of(name, "ovf") == "ovf"
    assert declared.container_of(name, "bare") == "bare"


def test_the_formats_are_those_of_qemu_img() -> None:
    assert declared.FORMATS == qemu_img.FORMATS


@pytest.mark.parametrize("text, algorithm, rest", [("sha256:ab", "sha256", "ab"), (" SHA512: http://x/y ", "sha512", "http://x/y")])
def test_a_checksum_has_two_parts(text: str, algorithm: str, rest: str) -> None:
    assert declared.split_checksum(text) == (algorithm, rest)


@pytest.mark.parametrize("text", ["", "sha256", "sha256:", "crc32:00", "deadbeef"])
def test_what_is_no_checksum(text: str) -> None:
    with pytest.raises(InvalidInput, match="image_checksum"):
        declared.split_checksum(text)


def test_a_digest_has_its_length() -> None:
    assert declared.check_digest("md5", "AB" * 16) == "ab" * 16
    for digest in ("ab" * 15, "xy" * 16, "ab" * 16 + "\n"):
        with pytest.raises(InvalidInput, match="32 hexadecimal digits"):
            declared.check_digest("md5", digest)
