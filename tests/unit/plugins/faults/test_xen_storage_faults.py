# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong between a task and a pool of hosts, done to volumes on the simulated pool."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, IntegrityError, InvalidInput, NoRoom, TimedOut, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_removal import VolumeRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.driver import XenDriver
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenDenied, XenFailure
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, HostRunner
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import (
    LOCAL, LVM, SHARED, Killed, MortalPool, Runs, dead_signature, disks_of, job, litter, parameters, runs,
)

if t.TYPE_CHECKING:
    from lab.xapi.simulator import Simulator

SIZE = 6 * MIB
LAYERS = [vhds.scattered(seed, SIZE, 5) for seed in (1, 2, 3)]
DISK = vhds.disk(SIZE, *LAYERS)
CHAIN = vhds.chain(SIZE, *LAYERS)
NAMES = ["a", "b", "c"]


def archive(**how: t.Any) -> BytesImage:
    return BytesImage(vhds.archive(CHAIN, **how), format="vhd", container="ovf", name="golden")


@pytest.fixture
def xapi(tmp_path: pathlib.Path) -> t.Iterator[Simulator]:
    with simulator(tmp_path) as found:
        yield found


@pytest.fixture
def again(xapi: Simulator) -> t.Iterator[Runs]:
    with runs(xapi) as found:
        yield found


def make(driver: XenDriver, source: t.Optional[BytesImage] = None, names: t.Sequence[str] = NAMES, **how: t.Any) -> t.Dict[str, str]:
    """One run of a task that wants volumes; how each came to be."""
    settings = dict({"size": None, "on_drift": "fail", "fan_out": "auto", "job": job()}, **how)
    operation = VolumeFromImage(driver=driver, source=source or archive(), names=names, **settings)
    with operation.exclusive():
        plan = operation.plan()
        result = operation.apply(plan) if plan.changed else operation.preview(plan)
    return {volume["name"]: volume["how"] for volume in result["volumes"]}


def remove(driver: XenDriver) -> None:
    """One run of a task that wants none."""
    operation = VolumeRemoval(driver=driver, names=NAMES, job=job())
    with operation.exclusive():
        operation.apply(operation.plan())


def expect_whole(xapi: Simulator, names: t.Sequence[str] = NAMES) -> None:
    """Each volume is there, once, with the image's bytes; and nothing else."""
    disks = disks_of(xapi)
    assert sorted(record["name_label"] for record in disks.values()) == sorted(names)
    assert {xapi.disk_bytes(uuid) == DISK for uuid in disks} == {True}
    assert litter(xapi) == {}


def mortal(xapi: Simulator, number: int) -> t.Tuple[MortalPool, XenDriver]:
    pool = MortalPool(xapi.address, xapi.user, xapi.password, context=None, timeout=20)
    pool.number = number
    return pool, XenDriver(pool, runner=HostRunner())


def killed(xapi: Simulator, number: int, work: t.Callable[[XenDriver], t.Any]) -> t.List[str]:
    """A run that dies at a request, or not; what it asked for."""
    pool, driver = mortal(xapi, number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(liveness, "signature", lambda pid=0, real=liveness.signature, dead=dead_signature(): real(pid) if pid else dead)
        with pytest.raises(Killed) if number else contextlib.nullcontext():
            work(driver)
        with contextlib.suppress(Killed):
            pool.close()
    for ref in xapi.call("task.get_all_records"):  # which a killed run leaves, and XAPI collects in time
        xapi.call("task.destroy", ref)
    return pool.asked


# --- killed ---


def test_killed_at_any_request_while_volumes_are_made(xapi: Simulator, again: Runs) -> None:
    def work(driver: XenDriver) -> None:
        make(driver, names=NAMES[:2])

    points = len(killed(xapi, 0, work))
    remove(again())
    assert points > 20
    for number in range(1, points + 1):
        killed(xapi, number, work)
        work(again())
        expect_whole(xapi, NAMES[:2])
        remove(again())
        assert disks_of(xapi) == litter(xapi) == {}


def test_killed_at_any_request_while_volumes_are_removed(xapi: Simulator, again: Runs) -> None:
    make(again(), names=NAMES[:2])
    points = len(killed(xapi, 0, remove))
    assert points > 6
    for number in range(1, points + 1):
        make(again(), names=NAMES[:2])
        killed(xapi, number, remove)
        remove(again())
        assert disks_of(xapi) == litter(xapi) == {}
