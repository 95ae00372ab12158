# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cloud in memory: the real ports over the real clients over services that are not there."""

from __future__ import annotations

import threading
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock, Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Images
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.networks import Networks
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import Servers
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.stores import Stores
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Volumes

from ansible_collections.bootable.volumes.tests.unit.fakes.cinder import FakeCinder
from ansible_collections.bootable.volumes.tests.unit.fakes.glance import FakeGlance
from ansible_collections.bootable.volumes.tests.unit.fakes.http import session_with
from ansible_collections.bootable.volumes.tests.unit.fakes.nova import FakeNeutron, FakeNova


class Hourglass(Clock):
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds


class FakeCloud:
    """What ``Cloud`` offers, with the services at hand for tests to set up and look into."""

    def __init__(self, *, clock: t.Optional[Clock] = None, newest: t.Tuple[int, int] = (3, 71),
                 cinder: t.Callable[[Clock, FakeGlance], FakeCinder] = FakeCinder) -> None:
        self.clock = clock or Hourglass()
        self.glance = FakeGlance(self.clock.now)
        self.cinder = cinder(self.clock, self.glance)
        self.cinder.newest = newest
        self.nova = FakeNova(self.clock, self.cinder)
        self.neutron = FakeNeutron()
        session = session_with(self.cinder, self.glance, self.nova, self.neutron)
        self.images = Images.connect(session, "http://glance", 0)
        self.stores = Stores.connect(session, "http://glance", 0)
        self.volumes = Volumes.connect(session, "http://cinder/v3", newest=newest, project="p1", retries=0)
        self.servers = Servers.connect(session, "http://nova/v2.1", newest=(2, 100), retries=0)
        self.networks = Networks.connect(session, "http://neutron", 0)

    project = "p1"

    def __call__(self) -> FakeCloud:
        return self

    def job(self, seconds: float = 600.0, **how: t.Any) -> Job:
        """A job on this cloud's clock."""
        return Job(Deadline(seconds, clock=self.clock), **how)

    def writes(self) -> t.List[str]:
        """Requests that were no mere looking."""
        return self.cinder.writes() + self.glance.writes() + self.nova.writes()

    def volume(self, name: str) -> t.Dict[str, t.Any]:
        """The one volume of a name, as Cinder has it."""
        self.cinder.advance()
        (found,) = [volume for volume in self.cinder.volumes.values() if volume["name"] == name]
        return found
