# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import FEATURES, Place, check_features, check_within, room_in


def test_where_images_are_as_the_command_names_it() -> None:
    assert Place("p").spec("v") == "p/v"
    assert Place("p", "n").spec("v") == "p/n/v"


def test_features_go_together() -> None:
    assert check_features(FEATURES) == FEATURES
    assert check_features(["layering", "layering"]) == ("layering",)
    for alone in ("object-map", "fast-diff", "journaling"):
        with pytest.raises(InvalidInput, match=alone):
            check_features([alone])


def test_ranges() -> None:
    check_within(0, 10, 10)
    for offset, length in ((-1, 1), (10, 1), (0, 11)):
        with pytest.raises(InvalidInput, match="beyond the volume's end at 10"):
            check_within(offset, length, 10)


def test_the_room_is_that_of_the_pool_with_the_data() -> None:
    text = json.dumps({"pools": [{"name": "p", "stats": {"max_avail": 1}}, {"name": "ec", "stats": {"max_avail": 2}}]})
    assert room_in(text, Place("p")) == 1
    assert room_in(text.encode(), Place("p", data_pool="ec")) == 2
    for nothing in ("", "[]", "{}", '{"pools": []}'):
        assert room_in(nothing, Place("p")) is None
