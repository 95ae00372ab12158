# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NoRoom, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.operations.root_volumes import HOW, fill_roots
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage

MACHINES = ["web-1", "web-2"]
FAN_OUT = {"method": "clone", "reason": "why"}


class Volumes:
    """As much of volume_from_image as is asked for."""

    def __init__(self, *, action: str = "create", error: t.Optional[VolumesError] = None) -> None:
        self._action = action
        self._error = error
        self.called: t.List[str] = []

    def plan(self) -> Plan:
        return Plan(tuple(Step(self._action, name + "-root", "because") for name in MACHINES))

    def apply(self, plan: Plan) -> t.Dict[str, t.Any]:
        self.called.append("apply")
        if self._error:
            raise self._error
        return self.preview(plan)

    def preview(self, plan: Plan) -> t.Dict[str, t.Any]:
        self.called.append("preview")
        return {"volumes": [{"name": name + "-root", "id": "id of " + name} for name in MACHINES], "fan_out": FAN_OUT}


def fill(volumes: Volumes) -> t.Any:
    return fill_roots(t.cast(VolumeFromImage, volumes), MACHINES)


def test_ids_are_told_by_machine() -> None:
    filled = fill(Volumes())
    assert (filled.ids, filled.fan_out, filled.errors) == ({"web-1": "id of web-1", "web-2": "id of web-2"}, FAN_OUT, {})


def test_nothing_is_written_where_nothing_is_to_do() -> None:
    volumes = Volumes(action="keep")
    assert list(fill(volumes).ids) == MACHINES and volumes.called == ["preview"]


def test_what_hinders_all_is_told_of_each() -> None:
    error = NoRoom("no room")
    filled = fill(Volumes(error=error))
    assert filled.errors == {"web-1": error, "web-2": error} and filled.ids == {}


@pytest.mark.parametrize("told", ["no host", BackendError("no host")], ids=["text", "error"])
def test_one_that_fails_does_not_hide_the_others(told: t.Any) -> None:
    error = BackendError("1 of 2 failed", failures={"web-2-root": told}, volumes=[{"name": "web-1-root", "id": "a"}], fan_out=None)
    filled = fill(Volumes(error=error))
    assert filled.ids == {"web-1": "a"} and list(filled.errors) == ["web-2"]
    assert isinstance(filled.errors["web-2"], BackendError) and str(filled.errors["web-2"]) == "no host"


def test_every_way_has_a_word() -> None:
    assert set(HOW) == {"keep", "tidy", "create", "replace", "adopt", "update", "start", "stop"}
