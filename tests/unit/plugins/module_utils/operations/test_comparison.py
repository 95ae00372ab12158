# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Drift
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription
from ansible_collections.bootable.volumes.plugins.module_utils.operations.comparison import Wanted, steps_for
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, BROKEN, HALF_DONE, WORKING, Difference, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record

IMAGE = ImageDescription(name="debian", origin="glance", format="raw", size=GIB, checksums={"md5": "aa"}, id="image-1")
SAME = Record(READY, "glance", "image-1", "debian", "md5:aa")
UPLOADED_AGAIN = Record(READY, "glance", "image-0", "debian", "md5:aa")
OTHER = Record(READY, "glance", "image-2", "fedora", "md5:bb")
CHANGED = Record(READY, "glance", "image-1", "debian", "md5:bb")
BLANK = Record(READY, "blank")
ELSEWHERE = Difference("volume_type", "slow", "fast", "replace")
UNBOOTABLE = Difference("bootable", False, True, "update")


def volume(record=SAME, size=2 * GIB, state=AVAILABLE, status="available"):
    return Volume("web", "id-1", size, state, status, "somewhere", record)


def wanted(size=2 * GIB, given=False):
    return Wanted(IMAGE, size, given)


# found, wanted, what the driver sees, then the actions for each on_drift (None: refused)
CASES = [
    ("nothing", None, wanted(), [], dict.fromkeys(["fail", "ignore", "refill", "replace"], ["create"])),
    ("the same", volume(), wanted(), [], dict.fromkeys(["fail", "ignore", "refill", "replace"], ["keep"])),
    ("the same bytes under another id", volume(UPLOADED_AGAIN), wanted(), [], dict.fromkeys(["fail", "ignore", "refill", "replace"], ["keep"])),
    ("at work", volume(None, state=WORKING), wanted(), [], dict.fromkeys(["fail", "ignore", "refill", "replace"], ["adopt"])),
    ("broken off", volume(OTHER, state=HALF_DONE), wanted(), [], dict.fromkeys(["fail", "ignore", "refill", "replace"], ["adopt"])),
    ("another image", volume(OTHER), wanted(), [], {"fail": None, "ignore": ["keep"], "refill": ["refill"], "replace": ["replace"]}),
    ("other bytes under the same id", volume(CHANGED), wanted(), [], {"fail": None, "ignore": ["keep"], "refill": ["refill"], "replace": ["replace"]}),
    ("blank", volume(BLANK), wanted(), [], {"fail": None, "ignore": ["keep"], "refill": ["refill"], "replace": ["replace"]}),
    ("nothing known", volume(None), wanted(), [], {"fail": None, "ignore": ["keep"], "refill": ["refill"], "replace": ["replace"]}),
    ("in error", volume(state=BROKEN, status="error"), wanted(), [], {"fail": None, "ignore": ["keep"], "refill": ["refill"], "replace": ["replace"]}),
    ("another type", volume(), wanted(), [ELSEWHERE], {"fail": None, "ignore": ["keep"], "refill": None, "replace": ["replace"]}),
    ("too large, size given", volume(), wanted(GIB, True), [], {"fail": None, "ignore": ["keep"], "refill": None, "replace": ["replace"]}),
    ("larger than needed", volume(), wanted(GIB), [], dict.fromkeys(["fail", "ignore", "refill", "replace"], ["keep"])),
    ("too small", volume(), wanted(3 * GIB, True), [], dict.fromkeys(["fail", "ignore", "refill", "replace"], ["grow"])),
    ("mendable in place", volume(), wanted(), [UNBOOTABLE], dict.fromkeys(["fail", "ignore", "refill", "replace"], ["update"])),
    ("too small, mendable", volume(), wanted(3 * GIB), [UNBOOTABLE], dict.fromkeys(["fail", "ignore", "refill", "replace"], ["grow", "update"])),
    ("too small, another image", volume(OTHER), wanted(3 * GIB), [UNBOOTABLE],
     {"fail": None, "ignore": ["keep"], "refill": ["grow", "refill", "update"], "replace": ["replace"]}),
]


@pytest.mark.parametrize("on_drift", ["fail", "ignore", "refill", "replace"])
@pytest.mark.parametrize("found, asked, differences, actions", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_steps(found, asked, differences, actions, on_drift):
    if actions[on_drift] is None:
        with pytest.raises(Drift) as refused:
            steps_for("web", found, asked, differences, on_drift)
        assert "web" in str(refused.value) and "id-1" in str(refused.value) and "on_drift" in str(refused.value)
        assert refused.value.details["drift"]["web"]
    else:
        steps = steps_for("web", found, asked, differences, on_drift)
        assert [step.action for step in steps] == actions[on_drift]
        assert all(step.subject == "web" and step.reason for step in steps)


def test_the_error_names_what_refill_cannot_change():
    with pytest.raises(Drift) as refused:
        steps_for("web", volume(OTHER), wanted(), [ELSEWHERE], "refill")
    assert "refill cannot change volume_type" in str(refused.value)
    assert [each["what"] for each in refused.value.details["drift"]["web"]] == ["volume_type", "image"]
