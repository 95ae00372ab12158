# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.host.ownership import UNCHANGED, Asked, Ownership

FOUND = Ownership(7, 8, 0o644)


def test_what_is_not_asked_for_stays():
    assert Asked().of(FOUND) == FOUND


@pytest.mark.parametrize("name, number", [("root", 0), ("0", 0), ("4711", 4711)])
def test_names_and_numbers(name, number):
    assert Asked(owner=name, group=name).of(FOUND) == Ownership(number, number, 0o644)


@pytest.mark.parametrize("asked, mode", [
    ("0640", 0o640), ("640", 0o640), (0o640, 0o640),
    ("u=rw,g=r,o=", 0o640), ("o-r", 0o640), ("a+x", 0o755), ("+x", 0o755), ("go=", 0o600), ("u=rwx,go-r", 0o700),
])
def test_modes(asked, mode):
    assert Asked(mode=asked).of(FOUND).mode == mode


@pytest.mark.parametrize("asked, word", [
    (Asked(owner="nobody-knows"), "owner: this host knows no nobody-knows"),
    (Asked(group="nobody-knows"), "group: this host knows no nobody-knows"),
    (Asked(mode="rw"), "mode: rw"),
    (Asked(mode="0888"), "mode: 0888"),
    (Asked(mode=640), "mode: 640 .* quotes"),
    (Asked(mode=True), "mode: True"),
    (Asked(mode=""), "mode: "),
])
def test_what_is_none(asked, word):
    with pytest.raises(InvalidInput, match=word):
        asked.of(FOUND)


def test_shown_by_name():
    assert Ownership(0, 0, 0o640).as_dict() == {"owner": "root", "group": "root", "mode": "0640"}
    assert Ownership(471147, 471147, 0o1640).as_dict() == {"owner": "471147", "group": "471147", "mode": "1640"}
    assert Ownership(UNCHANGED, UNCHANGED, 0o600).as_dict() == {"mode": "0600"}
