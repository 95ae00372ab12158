# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers in a cloud in memory, and the tasks that make and remove them."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan
from ansible_collections.bootable.volumes.plugins.module_utils.images.glance import GlanceImage
from ansible_collections.bootable.volumes.plugins.module_utils.operations.boot_from_volume import BootFromVolume, Options
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_making import Equipment
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_removal import ServerRemoval
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_volumes import ServerVolumes
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CinderOptions
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk

Result = t.Dict[str, t.Any]
NAMES = ("web-1", "web-2", "web-3")


class ServerCloud(FakeCloud):
    """A cloud with the images ``debian`` and ``other``."""

    def __init__(self) -> None:
        super().__init__()
        self.image = self.glance.add("debian", raw_disk(), disk_format="raw", container_format="bare")
        self.other = self.glance.add("other", raw_disk() + b"\1" * 512, disk_format="raw", container_format="bare")

    def pass_by(self, seconds: float = 30.0) -> None:
        """Time passes: the services end what they have begun."""
        self.clock.sleep(seconds)
        for dummy in range(3):
            self.cinder.advance()

    def volumes_of(self, *, source: t.Optional[GlanceImage] = None, job: t.Optional[Job] = None, **how: t.Any) -> ServerVolumes:
        """The volumes of the servers of one task."""
        how = dict({"size": None, "data": (), "fan_out": "auto"}, **how)
        return ServerVolumes(self, how.pop("storage", CinderOptions()), source=source, job=job or self.job(), **how)

    def task(self, image: t.Optional[str] = "debian", *, job: t.Optional[Job] = None, storage: t.Optional[CinderOptions] = None,
             fan_out: str = "auto", **options: t.Any) -> BootFromVolume:
        """The task that makes three servers, or what ``options`` say."""
        options = dict({"names": NAMES, "flavor": "tiny", "networks": ("none",)}, **options)
        options.setdefault("equipment", Equipment())
        job, source = job or self.job(), GlanceImage(self, image) if image else None
        volumes = self.volumes_of(source=source, job=job, storage=storage or CinderOptions(), size=options.get("size"), data=options.get("data", ()),
                                  fan_out=fan_out)
        return BootFromVolume(cloud=self, volumes=volumes, source=source, options=Options(**options), job=job)

    def boot(self, *args: t.Any, **options: t.Any) -> t.Tuple[Plan, Result]:
        """Run that task to its end; its plan is made once more before, as in check mode, and nothing may be written for it."""
        before = self.writes()
        checking = self.task(*args, **dict(options, job=self.job(check=True)))
        checked = checking.plan()
        checking.preview(checked)
        assert self.writes() == before
        task = self.task(*args, **options)
        with task.exclusive():
            plan = task.plan()
            assert plan.summary() == checked.summary()
            result = task.apply(plan) if plan.changed else task.preview(plan)
        return plan, result

    def remove(self, *names: str, delete_volumes: bool = False) -> t.Tuple[Plan, Result]:
        """Remove servers."""
        job = self.job()
        task = ServerRemoval(servers=lambda: self.servers, volumes=self.volumes_of(job=job), names=names or NAMES, delete_volumes=delete_volumes, job=job)
        plan = task.plan()
        return plan, task.apply(plan) if plan.changed else task.preview(plan)

    def booted(self) -> t.Dict[str, str]:
        """By server that runs, the name of the volume that it boots from."""
        self.cinder.advance()
        return {
            server["name"]: self.cinder.volumes[server["_disks"][0]["uuid"]]["name"]
            for server in sorted(self.nova.servers.values(), key=lambda server: server["name"]) if server["status"] == "ACTIVE"}

    def assert_converged(self, names: t.Sequence[str] = NAMES) -> None:
        """Exactly these servers on exactly their volumes, and nothing half-done."""
        self.pass_by()
        assert self.booted() == {name: name + "-root" for name in names}
        assert len(self.nova.servers) == len(names)
        assert sorted(volume["name"] for volume in self.cinder.volumes.values()) == [name + "-root" for name in names]
        assert {volume["status"] for volume in self.cinder.volumes.values()} <= {"in-use"}
        assert not [key for volume in self.cinder.volumes.values() for key in volume["metadata"] if key == "bootable_claim"]

    def server(self, name: str) -> Result:
        """The one server of a name, as Nova has it."""
        self.cinder.advance()
        (found,) = [server for server in self.nova.servers.values() if server["name"] == name]
        return found
