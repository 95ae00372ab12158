# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is there, and which image it came from; for every driver."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_results import volume_result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import VolumeDriver


class VolumeInfo(Operation):
    """Looks, and never writes.

    :param name: Only the volume of this name; None for all.
    """

    def __init__(self, *, driver: VolumeDriver, name: t.Optional[str]) -> None:
        self._driver = driver
        self._name = name

    def plan(self) -> Plan:
        return Plan()

    def apply(self, plan: Plan) -> Result:
        return self.preview(plan)

    def preview(self, plan: Plan) -> Result:
        if self._name is None:
            volumes = self._driver.list()
        else:
            volume = self._driver.find(self._name)
            volumes = [volume] if volume else []
        return {"volumes": [volume_result(volume) for volume in volumes]}
