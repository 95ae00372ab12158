# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NoRoom, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.operations.troubles import raise_troubles


def test_no_troubles():
    raise_troubles({}, "made", [])


def test_one_trouble_keeps_its_kind_and_its_details():
    with pytest.raises(NoRoom) as told:
        raise_troubles({"a": NoRoom("full", free=3)}, "made", [])
    assert str(told.value) == "a could not be made: full"
    assert told.value.details == {"free": 3, "failures": {"a": "full"}, "volumes": [], "changed": False}


def test_several_kinds_become_a_backend_error_that_tells_of_all():
    with pytest.raises(BackendError) as told:
        raise_troubles({"a": NoRoom("full"), "b": TimedOut("late")}, "made", [{"name": "c"}])
    assert "2 of 3" in str(told.value) and "a: full" in str(told.value) and "b: late" in str(told.value)
    assert told.value.details["volumes"] == [{"name": "c"}] and told.value.details["changed"]


def test_only_time_outs_stay_a_time_out():
    with pytest.raises(TimedOut):
        raise_troubles({"a": TimedOut("late"), "b": TimedOut("late")}, "made", [])


def test_a_bug_is_not_dressed_up_as_trouble():
    with pytest.raises(ZeroDivisionError):
        raise_troubles({"a": NoRoom("full"), "b": ZeroDivisionError()}, "made", [])


def test_what_was_found_unchanged_is_no_change():
    with pytest.raises(NoRoom) as told:
        raise_troubles({"a": NoRoom("full")}, "made", [{"name": "b", "how": "unchanged"}])
    assert told.value.details["changed"] is False


def test_what_is_told_by_name_is_told_of_all():
    with pytest.raises(TimedOut) as told:
        raise_troubles({"a": TimedOut("late", waiting={"a": 1}), "b": TimedOut("late", waiting={"b": 2})}, "made", [])
    assert told.value.details["waiting"] == {"a": 1, "b": 2}
