# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task that makes images of the machine ``web`` in the simulator's pool, and what is to be seen of it afterwards."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock, Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.formats.forward import of_chunks
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_archive import Archive
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_chain import Chain
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_vhd_snapshot import Wanted, XenVhdSnapshot
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.vhds import opened
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_machine import Web, pool_of

NAME = "golden"


class Hurried(Clock):
    """The cloud's clock, which only sleeping moves on; but the pool, whose work takes real time, gets a little of it."""

    def __init__(self, cloud: FakeCloud) -> None:
        self._clock = cloud.clock

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        time.sleep(min(seconds, 0.02))


def task(pool: Pool, cloud: FakeCloud, *, warnings: t.Optional[t.List[str]] = None, seconds: float = 600.0, layout: str = "flat",
         devices: t.Optional[t.Sequence[str]] = None, machine: str = "web", base: t.Optional[str] = None, compress: bool = True, asked: t.Any = None,
         on_drift: str = "fail", **wish: t.Any) -> XenVhdSnapshot:
    """The operation, as the module builds it."""
    full = ImageWish(**dict({"name": NAME, "disk_format": "vhd", "container_format": "bare" if layout == "flat" else "ovf"}, **wish))
    wanted = Wanted(machine=machine, wish=full, devices=devices, layout=layout, base=base, compress=compress, asked=asked, on_drift=on_drift)
    return XenVhdSnapshot(
        pool=lambda: pool, cloud=t.cast(t.Any, cloud), wanted=wanted, warn=(warnings if warnings is not None else []).append,
        job=Job(Deadline(seconds, clock=Hurried(cloud))))


def run(web: Web, cloud: FakeCloud, **how: t.Any) -> t.Dict[str, t.Any]:
    """A run of the task, as the module runs it; its result, with the actions of its plan.

    That plan and preview write nothing is seen each time, on both sides.
    """
    with pool_of(web.simulator) as pool:
        it = task(pool, cloud, **how)
        before = cloud.writes(), web.writes()
        checked = it.plan()
        preview = it.preview(checked)
        assert (cloud.writes(), web.writes()) == before, "the plan, or its preview, wrote something"
        with it.exclusive():
            plan = it.plan()
            assert plan.summary() == checked.summary()
            result = it.apply(plan) if plan.changed else preview
    return dict(result, actions=[step.action for step in plan.steps])


def only(cloud: FakeCloud, name: str = NAME) -> t.Dict[str, t.Any]:
    """The one image of a name, as Glance has it."""
    (image,) = [image for image in cloud.glance.images.values() if image["name"] == name]
    return image


def content(cloud: FakeCloud, name: str = NAME) -> bytes:
    """Its bytes."""
    return cloud.glance.data[only(cloud, name)["id"]]


def members(data: bytes) -> t.List[bytes]:
    """The VHDs in an archive, which must be a sound one."""
    found = []
    for member in Archive(of_chunks([data])).members():
        assert member.position == len(found)
        parts = []
        while sum(map(len, parts)) < member.size:
            parts.append(member.read(1 << 20))
        found.append(b"".join(parts))
    return found


def disk_of(vhds: t.Sequence[bytes]) -> bytes:
    """What a chain of VHDs reads like; its links are looked at."""
    chain = Chain([opened(each) for each in vhds])
    return chain.read(0, chain.size)
