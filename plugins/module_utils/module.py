# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules share that manage volumes, images and machines: beside what cloud_task.py gives, a pool and drivers."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bootable.volumes.plugins.module_utils import cloud_task, task
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import openstack_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Surroundings
from ansible_collections.bootable.volumes.plugins.module_utils.task import Spec, compose, waiting_spec
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool, xen_spec

__all__ = ("Spec", "Wiring", "compose", "pool_and_cloud_spec", "run", "waiting_spec")

# What both a pool and a cloud have. Where a module knows both it is the pool's; the cloud's stands in clouds.yaml, or in the dict.
POOLS_OWN = frozenset(("api_timeout", "validate_certs"))


def pool_and_cloud_spec() -> Spec:
    """The options of a module that knows a pool of XenServer hosts, and a cloud that images come from or go to."""
    return compose(xen_spec(), {name: option for name, option in openstack_spec().items() if name not in POOLS_OWN})


class Wiring(cloud_task.Wiring):
    """With one connection to a cloud, and one to a pool, for the whole task."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self._pool: t.Optional[Pool] = None

    def clouds_options(self) -> t.Mapping[str, t.Any]:
        pools_own = POOLS_OWN if "hostname" in self.params else frozenset()
        return {name: value for name, value in self.params.items() if name not in pools_own}

    def pool(self) -> Pool:
        """Made when somebody first needs it; logged out when the task ends."""
        if self._pool is None:
            self._pool = self.closing.enter_context(Pool.connect(self.params))
        return self._pool

    @property
    def surroundings(self) -> Surroundings:
        """What a driver may use."""
        return Surroundings(runner=self.runner, cloud=self.cloud, check=self.job.check, closing=self.closing)


def run(build: t.Callable[[Wiring], Operation], argument_spec: Spec, **rules: t.Any) -> None:
    """``task.run`` with that wiring."""
    task.run(build, argument_spec, wiring=Wiring, **rules)
