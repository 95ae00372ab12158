# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules share that talk to a cloud and to nothing else: beside what task.py gives to all, a connection.

Ansible sends along whatever a module imports, so these do without the drivers and the pools of module.py.
"""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bootable.volumes.plugins.module_utils import task
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.task import Spec, compose, waiting_spec

__all__ = ("Spec", "Wiring", "compose", "run", "waiting_spec")


class Wiring(task.Wiring):
    """With one connection to a cloud for the whole task."""

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        self._cloud: t.Optional[Cloud] = None

    def cloud(self) -> Cloud:
        """Made when somebody first needs it."""
        if self._cloud is None:
            self._cloud = Cloud.connect(self.clouds_options())
        return self._cloud

    def clouds_options(self) -> t.Mapping[str, t.Any]:
        """Those among which are the ones that lead to the cloud."""
        return self.params


def run(build: t.Callable[[Wiring], Operation], argument_spec: Spec, **rules: t.Any) -> None:
    """``task.run`` with that wiring."""
    task.run(build, argument_spec, wiring=Wiring, **rules)
