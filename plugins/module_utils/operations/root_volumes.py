# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The volumes that machines, or servers, boot from, filled as ``volume_from_image`` fills volumes; what becomes of them is told by machine."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import root_name
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage

# How a machine came to be what it is, by the action of its step.
HOW = {
    "keep": "unchanged", "tidy": "updated", "create": "created", "replace": "replaced", "adopt": "adopted", "update": "updated", "start": "started",
    "stop": "stopped",
}


@dataclass
class Filled:
    """What became of the volumes.

    :param ids: By machine.
    :param fan_out: How several got their bytes, as ``volume_from_image`` tells it.
    :param errors: By machine.
    """

    ids: t.Dict[str, str] = field(default_factory=dict)
    fan_out: t.Optional[Result] = None
    errors: t.Dict[str, Exception] = field(default_factory=dict)


def fill_roots(operation: VolumeFromImage, machines: t.Sequence[str]) -> Filled:
    """Make the volumes of these machines, or look at them where nothing is to do; one that goes wrong does not stop the others.

    :param operation: On the volumes of these names, in the same order.
    """
    filled = Filled()
    try:
        plan = operation.plan()
        result = operation.apply(plan) if plan.changed else operation.preview(plan)
    except VolumesError as error:
        result = error.details if "failures" in error.details else {}
        failures = result.get("failures") or {root_name(name): error for name in machines}
        for name in machines:
            told = failures.get(root_name(name))
            if told is not None:
                filled.errors[name] = told if isinstance(told, Exception) else type(error)(str(told))
    filled.fan_out = result.get("fan_out")
    ids = {volume["name"]: volume["id"] for volume in result.get("volumes", ())}
    filled.ids = {name: ids[root_name(name)] for name in machines if root_name(name) in ids and name not in filled.errors}
    return filled
