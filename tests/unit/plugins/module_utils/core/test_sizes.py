# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, KIB, MIB, TIB, human, in_gib, parse_size, round_up


@pytest.mark.parametrize("text, size", [
    ("10", 10 * GIB), (10, 10 * GIB), ("10G", 10 * GIB), ("10 GiB", 10 * GIB), ("10gb", 10 * GIB),
    ("512M", 512 * MIB), ("1.5T", TIB + TIB // 2), ("64k", 64 * KIB), ("1000B", 1000), ("0.5", GIB // 2),
])
def test_sizes_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "ten", "-1", "0", "1X", "1 G B", "1e3", "0B", "G"])
def test_what_is_no_size_is_refused_with_the_option_and_what_was_found(text):
    with pytest.raises(InvalidInput) as refused:
        parse_size(text, option="reserve")
    assert "reserve" in str(refused.value) and "'%s'" % text in str(refused.value)


@pytest.mark.parametrize("size, unit, rounded", [(0, GIB, 0), (1, GIB, GIB), (GIB, GIB, GIB), (GIB + 1, GIB, 2 * GIB), (7, 1, 7)])
def test_round_up(size, unit, rounded):
    assert round_up(size, unit) == rounded


def test_in_gib_never_rounds_down():
    assert [in_gib(size) for size in (1, GIB, GIB + 1)] == [1, 1, 2]


@pytest.mark.parametrize("size, text", [(0, "0 B"), (1023, "1023 B"), (GIB, "1 GiB"), (GIB + GIB // 2, "1.5 GiB"), (4096 * TIB, "4096 TiB")])
def test_human(size, text):
    assert human(size) == text
