# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated pool as the operations on machines meet it, and what is left in it."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock, Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machine_removal import MachineRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machines import Registry
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_vhd_boot import Options, XenVhdBoot
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.driver import XenDriver
from ansible_collections.bootable.volumes.plugins.module_utils.xen.machine_records import Hardware
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.host import HostRunner
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator

SHARED, LVM, LOCAL = "Shared storage", "LVM storage", "Local storage"
NETWORK, PRIVATE = "Pool-wide network associated with eth0", "Private network"


class House:
    """A simulator, and a session with it."""

    def __init__(self, xapi: t.Any) -> None:
        self.xapi = xapi
        self.faults = xapi.pool.faults
        self.pool = self.connect()

    def connect(self) -> Pool:
        """Another session, as another run has it."""
        return Pool.connect({"hostname": self.xapi.address, "username": self.xapi.user, "password": self.xapi.password, "ca_path": self.xapi.ca_file})

    def rows(self, kind: str, **fields: t.Any) -> t.Dict[str, t.Dict[str, t.Any]]:
        """References and records of one class."""
        found = self.xapi.call(kind + ".get_all_records")
        return {ref: row for ref, row in found.items() if all(row[name] == value for name, value in fields.items())}

    def machines(self) -> t.Dict[str, t.Dict[str, t.Any]]:
        """Names and records of all machines, whoever made them."""
        return {row["name_label"]: row for row in self.rows("VM", is_a_template=False, is_control_domain=False, is_a_snapshot=False).values()}

    def disks(self) -> t.List[str]:
        """The names of all disks, layers among them."""
        return sorted(row["name_label"] for row in self.rows("VDI", is_tools_iso=False).values())

    def leftovers(self) -> t.Dict[str, int]:
        """How many there are of what must not be left behind."""
        return {kind: len(self.rows(kind)) for kind in ("VBD", "VIF", "task")}

    def writes(self) -> t.List[str]:
        """The calls that changed something."""
        return [call.method for call in self.faults.writes()]


@contextlib.contextmanager
def house(folder: pathlib.Path, **options: t.Any) -> t.Iterator[House]:
    """A pool for the length of a ``with``."""
    with simulator(folder, **options) as xapi:
        found = House(xapi)
        with found.pool:
            yield found


class Boots:
    """Runs of ``xen_vhd_boot`` in a house, each with a session of its own, as tasks have.

    :ivar image: What they make machines of, unless told otherwise.
    """

    def __init__(self, house: House, image: t.Optional[ImageSource] = None) -> None:
        self.house = house
        self.image = image

    def options(self, **options: t.Any) -> t.Dict[str, t.Any]:
        """The arguments of Options; hardware by its own names."""
        hardware = {name: options.pop(name) for name in vars(Hardware()) if name in options and name != "affinity"}
        names = options.pop("names", ("a",))
        return dict(options, names=(names,) if isinstance(names, str) else tuple(names), hardware=Hardware(**hardware))

    @contextlib.contextmanager
    def operation(self, *, job: t.Optional[Job] = None, image: t.Any = "", **options: t.Any) -> t.Iterator[Operation]:
        """The operation of one run; its session ends with the ``with``."""
        job = Job(Deadline(30, clock=QuickClock())) if job is None else job
        options = self.options(**options)
        with self.house.connect() as pool:
            registry = Registry(pool)

            def storage(sr: t.Optional[str]) -> XenDriver:
                return XenDriver(pool, sr, runner=HostRunner())

            if options.get("state") == "absent":
                yield MachineRemoval(
                    registry=registry, storage=storage, names=options["names"], sr=options.get("sr"), force=options.get("force", False), job=job)
            else:
                yield XenVhdBoot(registry=registry, storage=storage, source=self.image if image == "" else image, options=Options(**options), job=job)

    def run(self, **how: t.Any) -> t.Tuple[Plan, t.Dict[str, t.Any]]:
        """As task.run does it."""
        with self.operation(**how) as it, it.exclusive():
            plan = it.plan()
            return plan, (it.apply(plan) if plan.changed else it.preview(plan))

    def check(self, **how: t.Any) -> t.Tuple[Plan, t.Dict[str, t.Any]]:
        """As task.run does it in check mode."""
        with self.operation(job=Job(Deadline(30, clock=QuickClock()), check=True), **how) as it:
            plan = it.plan()
            return plan, it.preview(plan)


class QuickClock(Clock):
    """Sleeps a hundredth of what it says."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        return super().now() + self._skipped

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / 100)
        self._skipped += seconds * 99 / 100
