# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NotFound, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock, Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.outages import OUTAGE, through_outages


class Hours(Clock):
    """A clock that only sleeping moves on."""

    passed = 0.0

    def now(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


def service(clock: Clock, away: float, error: VolumesError) -> t.Callable[[], str]:
    """Answers after so many seconds of errors."""
    def look() -> str:
        if clock.now() < away:
            raise error
        return "an answer"

    return look


@pytest.mark.parametrize("away", [0, OUTAGE / 2])
def test_a_service_may_be_away_for_a_while(away: float) -> None:
    clock = Hours()
    assert through_outages(service(clock, away, BackendError("refused")), Deadline(3600, clock=clock)) == "an answer"


@pytest.mark.parametrize("away, deadline, waited", [(OUTAGE * 2, 3600, OUTAGE), (OUTAGE, 20, 20)])
def test_but_not_for_ever_nor_beyond_the_deadline(away: float, deadline: float, waited: float) -> None:
    clock = Hours()
    with pytest.raises(BackendError, match="refused"):
        through_outages(service(clock, away, BackendError("refused")), Deadline(deadline, clock=clock))
    assert clock.now() == waited


@pytest.mark.parametrize("error", [Denied("not you"), NotFound("gone")])
def test_an_answer_is_no_outage(error: VolumesError) -> None:
    clock = Hours()
    with pytest.raises(type(error)):
        through_outages(service(clock, 1, error), Deadline(3600, clock=clock))
    assert clock.now() == 0
