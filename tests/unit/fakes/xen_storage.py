# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes on the simulated pool."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.driver import XenDriver
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.host import HostRunner

if t.TYPE_CHECKING:
    from lab.xapi.simulator import Simulator

SHARED, LVM, LOCAL = "Shared storage", "LVM storage", "Local storage"


def parameters(xapi: Simulator, **more: t.Any) -> t.Dict[str, t.Any]:
    """The options that lead to the pool."""
    return dict({"hostname": xapi.address, "username": xapi.user, "password": xapi.password, "ca_path": xapi.ca_file, "api_timeout": 20}, **more)


class Runs:
    """Drivers, each as of a run of its own; all are logged out in the end."""

    def __init__(self, xapi: Simulator, sr: t.Optional[str], ending: contextlib.ExitStack) -> None:
        self._xapi = xapi
        self._sr = sr
        self._ending = ending

    def __call__(self) -> XenDriver:
        pool = self._ending.enter_context(Pool.connect(parameters(self._xapi)))
        return XenDriver(pool, self._sr, runner=HostRunner())


@contextlib.contextmanager
def runs(xapi: Simulator, sr: t.Optional[str] = None) -> t.Iterator[Runs]:
    """Makes drivers on one repository of the pool."""
    with contextlib.ExitStack() as ending:
        yield Runs(xapi, sr, ending)


def job(seconds: float = 30, **more: t.Any) -> Job:
    """A job on the real clock: the pool works on it, too."""
    return Job(Deadline(seconds), **more)


def disks_of(xapi: Simulator) -> t.Dict[str, t.Dict[str, t.Any]]:
    """Every disk of the pool but layers below others and the tools' CD: uuid to record."""
    records = t.cast(t.Dict[str, t.Dict[str, t.Any]], xapi.call("VDI.get_all_records"))
    return {record["uuid"]: record for record in records.values() if record["managed"] and not record["is_tools_iso"]}


def litter(xapi: Simulator) -> t.Dict[str, t.Any]:
    """What a run that has ended must not leave, whatever it was: locks, tasks, claims, disks without a name or beside another of the same."""
    found: t.Dict[str, t.Any] = {}
    for record in xapi.call("SR.get_all_records").values():
        found.update({key: value for key, value in record["other_config"].items() if key.startswith("bootable:")})
    found.update({ref: record["name_label"] for ref, record in xapi.call("task.get_all_records").items()})
    names: t.Set[str] = set()
    for uuid, record in disks_of(xapi).items():
        if record["name_label"] in names or any(key.startswith("bootable:cloning") for key in record["other_config"]):
            found[uuid] = record["name_label"]
        names.add(record["name_label"])
    return found


class Killed(BaseException):
    """The process is dead."""


class MortalPool(Pool):
    """A pool's client that dies once its n-th request that changes anything is carried out: it hears no answer, and says nothing more.

    Dying at one that only looks is the same as dying at the one before it.

    :ivar number: Which; 0 for never.
    :ivar asked: What was asked for, in order.
    """

    number = 0

    def __init__(self, *args: t.Any, **how: t.Any) -> None:
        super().__init__(*args, **how)
        self.asked: t.List[str] = []

    def _ask(self, method: str, args: t.Tuple[t.Any, ...]) -> t.Mapping[str, t.Any]:
        if self.number and len(self.asked) >= self.number:
            raise Killed(method)
        answer = super()._ask(method, args)
        if ".get_" not in method and not method.startswith("session."):
            self.asked.append(method)
            if len(self.asked) == self.number:
                raise Killed(method)
        return answer


def dead_signature() -> str:
    """That of a process of this host that is no more, for ``liveness.signature``."""
    return "/".join(liveness.signature().split("/")[:3] + ["1"])


def attach(xapi: Simulator, uuid: str, name: str) -> str:
    """A machine that has a disk, halted; its reference."""
    template, = xapi.call("VM.get_by_name_label", "Other install media")
    machine = t.cast(str, xapi.call("VM.clone", template, name))
    xapi.call("VM.provision", machine)
    xapi.call("VBD.create", {
        "VM": machine, "VDI": xapi.call("VDI.get_by_uuid", uuid), "userdevice": "0", "bootable": True, "mode": "RW", "type": "Disk", "empty": False,
        "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}})
    return machine
