# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which stores Glance offers."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud


class ImageStoreInfo(Operation):
    """Looks, and never writes."""

    def __init__(self, *, cloud: t.Callable[[], Cloud]) -> None:
        self._cloud = cloud

    def plan(self) -> Plan:
        return Plan()

    def apply(self, plan: Plan) -> Result:
        return self.preview(plan)

    def preview(self, plan: Plan) -> Result:
        stores = self._cloud().stores
        found = stores.list()
        return {
            "stores": [asdict(store) for store in found],
            "default_store": next((store.id for store in found if store.default), None),
            "import_methods": stores.import_methods(),
        }
