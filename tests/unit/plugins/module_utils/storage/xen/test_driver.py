# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import VolumeDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.driver import XenDriver
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import LOCAL, LVM, SHARED, Runs, job, litter, runs
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract import DriverContract

if t.TYPE_CHECKING:
    from lab.xapi.simulator import Simulator


@pytest.fixture
def xapi(tmp_path: pathlib.Path) -> t.Iterator[Simulator]:
    with simulator(tmp_path) as found:
        yield found


# One that takes VHDs, one that does not, and one that the master does not see.
@pytest.mark.parametrize("sr", [SHARED, LVM, LOCAL])
class TestContract(DriverContract):
    @pytest.fixture
    def again(self, xapi: Simulator, sr: str) -> t.Iterator[Runs]:  # type: ignore[override]
        with runs(xapi, sr) as found:
            yield found

    @pytest.fixture
    def driver(self, again: t.Callable[[], VolumeDriver]) -> VolumeDriver:
        return again()

    @pytest.fixture
    def job(self) -> Job:
        return job()

    @pytest.fixture(autouse=True)
    def no_litter(self, xapi: Simulator, driver: XenDriver) -> t.Iterator[None]:
        yield
        assert litter(xapi) == {}
