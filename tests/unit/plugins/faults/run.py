# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run of ``volume_from_image`` on a host, in a process of its own, that may be killed at a chosen moment.

Called with a JSON object as its only argument; prints how each volume came to be.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event, Listener
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner, Completed, Limits
from ansible_collections.bootable.volumes.plugins.module_utils.images.url import UrlImage
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.registry import make_driver
from ansible_collections.bootable.volumes.tests.unit.fakes.host import HostRunner, surroundings


def die() -> None:
    """As kill -9 or the kernel's memory killer would have it."""
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyListener(Listener):
    """Ends the process at the n-th event of a phase."""

    def __init__(self, phase: str, number: int) -> None:
        self._phase = phase
        self._left = number

    def hear(self, event: Event) -> None:
        if event.phase == self._phase:
            self._left -= 1
            if self._left == 0:
                die()


class DeadlyRunner(CommandRunner):
    """Ends the process while a command runs, such as the conversion by qemu-img.

    :param word: Stands in the command.
    :param number: Which of the commands with that word.
    """

    def __init__(self, word: str, number: int) -> None:
        self._word = word
        self._left = number

    def run(self, args: t.Sequence[str], *, limits: t.Optional[Limits] = None, timeout: t.Optional[float] = None,
            files: t.Sequence[int] = ()) -> Completed:
        self._left -= self._word in args
        if self._word not in args or self._left:
            return HostRunner().run(args, limits=limits, timeout=timeout, files=files)
        with subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + list(args)):
            die()
        raise AssertionError("still alive")


def deadly(call: str, number: int) -> None:
    """From now on the n-th use of a system call is the last thing that this process does not do."""
    real = getattr(os, call)
    count = iter(range(number))

    def counting(*args: t.Any, **how: t.Any) -> t.Any:
        if next(count, None) is None:
            die()
        return real(*args, **how)

    setattr(os, call, counting)


def perform(order: t.Mapping[str, t.Any]) -> t.Dict[str, str]:
    """One run; volumes to how each came to be."""
    kind, point, number = order.get("kill") or ("", "", 0)
    runner: CommandRunner = DeadlyRunner(point, number) if kind == "command" else HostRunner()
    listener = DeadlyListener(point, number) if kind == "event" else Listener()
    driver = make_driver({"driver": FileDriver.name, **order["storage"]}, surroundings(runner))
    job = Job(Deadline(600), listener=listener)
    source = UrlImage(order["url"], checksum=order["checksum"], declared_format=order["format"])
    operation = VolumeFromImage(driver=driver, source=source, names=order["names"], size=order["size"], on_drift=order.get("on_drift", "fail"),
                                fan_out="auto", job=job)
    with operation.exclusive():
        plan = operation.plan()
        if kind == "call":
            deadly(point, number)
        result = operation.apply(plan) if plan.changed else operation.preview(plan)
    return {volume["name"]: volume["how"] for volume in result["volumes"]}


if __name__ == "__main__":
    print(json.dumps(perform(json.loads(sys.argv[1]))))
