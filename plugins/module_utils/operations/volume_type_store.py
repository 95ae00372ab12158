# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store that a volume type names for images of its volumes."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InUse, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.images.placement import TYPE_STORE, place
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud


class VolumeTypeStore(Operation):
    """Sets or removes one extra spec.

    :param volume_type: Its name or id.
    :param store: The store's id; None for no store.
    """

    def __init__(self, *, cloud: t.Callable[[], Cloud], volume_type: str, store: t.Optional[str]) -> None:
        self._cloud = cloud
        self._type = volume_type
        self._store = store

    def plan(self) -> Plan:
        volumes = self._cloud().volumes
        name = volumes.find_type(self._type)
        found = volumes.type_specs(name).get(TYPE_STORE)
        if found == self._store:
            return Plan((Step("keep", name, "it names %s" % (found or "no store")),))
        if self._store is not None:
            place(asked=[self._store], offered=self._cloud().stores.list())
        return Plan((Step(
            "update", name, "it names %s" % (found or "no store"), before={TYPE_STORE: found}, after={TYPE_STORE: self._store}),))

    def apply(self, plan: Plan) -> Result:
        volumes, name = self._cloud().volumes, plan.steps[0].subject
        try:
            if self._store is None:
                volumes.unset_type_spec(name, TYPE_STORE)
            else:
                volumes.set_type_spec(name, TYPE_STORE, self._store)
        except Denied as error:
            raise Denied("%s. Changing volume types is for administrators by default: use such an account, or ask one" % error.message,
                         **error.details) from error
        except InvalidInput as error:
            if "in use" not in error.message:
                raise
            raise InUse("%s. Cinder changes no type that has volumes: retype or remove them first, or make a new type" % error.message,
                        **error.details) from error
        return self.preview(plan)

    def preview(self, plan: Plan) -> Result:
        return {"volume_type": plan.steps[0].subject, "store": self._store}
