# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record, record_of


def image(**facts):
    return ImageDescription(**dict({"name": "debian", "origin": "glance", "format": "raw", "id": "1", "checksums": {"md5": "aa", "sha512": "bb"}}, **facts))


@pytest.mark.parametrize("record, same", [
    (Record(READY, "glance", "1", "debian", "sha512:bb"), True),
    (Record(READY, "glance", "2", "debian", "sha512:bb"), True),
    (Record(READY, "glance", "1", "debian", "sha512:cc"), False),
    (Record(READY, "glance", "1", "debian", "md5:aa"), True),
    (Record(READY, "glance", "1", "debian", "md5:xx"), False),
    (Record(READY, "glance", "1", "debian", "sha256:dd"), True),
    (Record(READY, "glance", "2", "debian", "sha256:dd"), False),
    (Record(READY, "glance", "1", "debian", None), True),
    (Record(READY, "glance", "2", "debian", None), False),
    (Record(READY, "file", None, "/debian", "sha512:bb"), True),
    (Record(READY, "blank"), False),
])
def test_the_bytes_decide_and_else_the_id(record, same):
    assert record.is_of(image()) is same


def test_two_unknowns_are_not_the_same():
    assert not Record(READY, "file").is_of(image(id=None, checksums={}))


def test_the_strongest_checksum_is_kept():
    assert record_of(image(), FILLING) == Record(FILLING, "glance", "1", "debian", "sha512:bb")
    assert record_of(image(checksums={"md5": "aa"}), READY).checksum == "md5:aa"
    assert record_of(image(checksums={}), READY).checksum is None


def test_there_and_back():
    record = record_of(image(), READY)
    assert Record.from_dict(dict(record.as_dict(), added_by_a_later_version=1)) == record
    with pytest.raises(TypeError):
        Record.from_dict({"image_id": "1"})
