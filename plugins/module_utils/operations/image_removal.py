# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image is removed; the one that was named and no other."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, InUse, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, Step
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import REGISTER, origin_of
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image, is_uuid
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result, stored_image_result

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud

_GOING = ("deleted", "pending_delete")


def named(cloud: Cloud, name: str) -> t.List[Image]:
    """The project's own images of that name, hidden ones among them."""
    mine = {"name": name, "owner": cloud.project}
    there = cloud.images.list(**mine) + cloud.images.list(os_hidden="true", **mine)
    return [image for image in there if image.status not in _GOING]


def refuse_removal(image: Image, force: bool) -> None:
    """Refuse to remove an image that is protected, or that is a volume: Glance deletes the volume with it.

    :raises InUse: saying which; a volume may go where ``force`` says so.
    """
    origin = origin_of(image)
    if origin is not None and origin.method == REGISTER and not force:
        raise InUse("image %s (%s) is the volume %s itself, which Glance would delete with it; set force: true if both may go" % (
            image.name, image.id, origin.volume))
    if image.protected:
        raise InUse("image %s (%s) is protected; set is_protected: false first" % (image.name, image.id))


class ImageRemoval(Operation):
    """``state: absent``.

    :param name: Of an image of this project, or its id.
    :param force: Even if a volume goes with it.
    """

    def __init__(self, *, cloud: t.Callable[[], Cloud], name: str, force: bool) -> None:
        self._cloud = cloud
        self._name = name
        self._force = force

    def plan(self) -> Plan:
        image = self._find()
        if image is None:
            return Plan()
        refuse_removal(image, self._force)
        return Plan((Step("remove", image.name, "it shall not be there", {"id": image.id, "stores": list(image.stores)}, data=image),))

    def _find(self) -> t.Optional[Image]:
        """
        :raises Ambiguous: several have that name.
        """
        if is_uuid(self._name):
            try:
                return self._cloud().images.get(self._name)
            except NotFound:
                pass
        there = named(self._cloud(), self._name)
        if len(there) > 1:
            raise Ambiguous("%d images of this project have the name '%s': %s; name one of them by its id" % (
                len(there), self._name, ", ".join("%s (%s)" % (image.id, image.status) for image in there)), ids=[image.id for image in there])
        return there[0] if there else None

    def apply(self, plan: Plan) -> Result:
        for step in plan.steps:
            self._cloud().images.delete(step.data.id)
        return self.preview(plan)

    def preview(self, plan: Plan) -> Result:
        return {"image": stored_image_result(plan.steps[0].data) if plan.steps else None}
