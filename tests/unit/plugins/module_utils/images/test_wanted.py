# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish, differing, is_locked
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image

THERE = Image("i1", "golden", "active", visibility="shared", protected=True, tags=("a", "b"), min_disk=3, properties={"os_type": "linux"})


@pytest.mark.parametrize("wish, words", [
    ({"name": ""}, "1 to 255 characters; found 0"),
    ({"name": " "}, "found 1"),
    ({"name": "x" * 256}, "found 256"),
    ({"properties": {"bootable_state": "x", "os_glance_x": "y", "fine": "z"}}, "rename bootable_state, os_glance_x"),
    ({"min_disk": -1}, "min_disk: -1 is below 0"),
])
def test_what_no_image_can_be(wish: t.Dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        ImageWish(**dict({"name": "golden"}, **wish)).check()


def test_what_can_be() -> None:
    ImageWish("x" * 255, min_disk=0, properties={"os_type": "linux"}).check()


def test_what_was_not_said_is_not_among_the_attributes() -> None:
    assert ImageWish("golden").attributes() == {}
    assert ImageWish("golden", visibility="private", protected=False, tags=("b", "a", "b"), min_disk=0, properties={"x": "y"}).attributes() == {
        "visibility": "private", "protected": False, "tags": ["a", "b"], "min_disk": 0, "x": "y"}


@pytest.mark.parametrize("wish, found", [
    ({}, {}),
    ({"visibility": "shared", "protected": True, "tags": ("b", "a"), "min_disk": 3, "properties": {"os_type": "linux"}}, {}),
    ({"visibility": "private"}, {"visibility": ("shared", "private")}),
    ({"protected": False}, {"protected": (True, False)}),
    ({"tags": ()}, {"tags": (["a", "b"], [])}),
    ({"min_disk": 0}, {"min_disk": (3, 0)}),
    ({"properties": {"os_type": "windows", "os_distro": "x"}}, {"os_type": ("linux", "windows"), "os_distro": (None, "x")}),
])
def test_where_it_differs(wish: t.Dict[str, t.Any], found: t.Dict[str, t.Any]) -> None:
    assert differing(THERE, ImageWish("golden", **wish)) == found


@pytest.mark.parametrize("task, yes", [(None, False), ("bad63c59", True)])
def test_whether_glance_is_at_it(task: t.Optional[str], yes: bool) -> None:
    # that it has no checksum proves nothing: one that could not be computed stays away for good
    assert is_locked(Image("i1", "golden", "active", hash_algo="sha512", import_task=task)) is yes
