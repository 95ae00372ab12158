# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.filling import Target, VhdFilling
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks, Vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, Ear
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import job, parameters

if t.TYPE_CHECKING:
    from lab.xapi.simulator import Simulator

SIZE = 4 * MIB
LAYERS = [vhds.scattered(seed, SIZE, 5) for seed in (1, 2)]
DISK = vhds.disk(SIZE, *LAYERS)


@pytest.fixture
def xapi(tmp_path: pathlib.Path) -> t.Iterator[Simulator]:
    with simulator(tmp_path) as found:
        yield found


@pytest.fixture
def pool(xapi: Simulator) -> t.Iterator[Pool]:
    with Pool.connect(parameters(xapi)) as found:
        yield found
        assert found.call("task.get_all") == [], "a task was left"


def image(data: t.Optional[bytes] = None) -> BytesImage:
    return BytesImage(vhds.archive(vhds.chain(SIZE, *LAYERS)) if data is None else data, format="vhd", container="ovf", name="golden")


def target(pool: Pool, name: str = "v", size: int = SIZE, *, grows: bool = False) -> t.Tuple[Target, Vdi]:
    disks = Disks(pool)
    vdi = disks.create(sr=disks.find_sr().ref, name=name, size=size, other_config={}, deadline=job().deadline)
    return Target(vdi.ref, name, vdi.size, grows), vdi


@pytest.mark.parametrize("thick", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_several_disks_are_filled_in_one_pass_and_told_of(xapi: Simulator, pool: Pool, thick: bool, fresh: bool) -> None:
    source, ear = image(), Ear()
    targets = [target(pool, "v"), target(pool, "w", 6 * MIB)]
    for dummy, vdi in targets if not fresh else ():
        xapi.write_disk(vdi.uuid, 0, b"\xff" * vdi.size)
    VhdFilling(pool, Disks(pool), thick=thick, job=job(listener=ear)).fill(source, [each for each, dummy in targets], fresh=fresh)
    for dummy, vdi in targets:
        assert xapi.disk_bytes(vdi.uuid) == DISK.ljust(vdi.size, b"\0")
    assert source.opened == [0]
    assert {event.subject for event in ear.events if event.phase == "copy"} == {"v", "w"}


def test_a_disk_that_is_too_small_grows_if_it_may(xapi: Simulator, pool: Pool) -> None:
    (small, dummy), (grown, vdi) = target(pool, "v", 2 * MIB), target(pool, "w", 2 * MIB, grows=True)
    filling = VhdFilling(pool, Disks(pool), thick=False, job=job())
    filling.fill(image(), [grown], fresh=True)
    assert grown.size == SIZE and xapi.disk_bytes(vdi.uuid) == DISK
    with pytest.raises(InvalidInput, match="v has 2 MiB, but the image golden needs 4 MiB") as refused:
        filling.fill(image(), [small], fresh=True)
    assert refused.value.details["needed"] == SIZE


@pytest.mark.parametrize("thick", [False, True])
def test_an_image_that_breaks_off_lets_go_of_the_disk(pool: Pool, thick: bool) -> None:
    into, vdi = target(pool)
    with pytest.raises(UnsafeImage, match="golden is refused: .*truncated"):
        VhdFilling(pool, Disks(pool), thick=thick, job=job()).fill(image(image().data[:3 * MIB]), [into], fresh=True)
    Disks(pool).destroy(vdi.ref, deadline=job().deadline)
