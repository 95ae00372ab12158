# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quotas, looked at before the first volume is created rather than felt at the eleventh."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Quota


def check_quotas(sizes: t.Sequence[int], volume_type: t.Optional[str], quotas: t.Mapping[str, Quota]) -> None:
    """Refuse volumes that do not fit.

    :param sizes: Of the volumes to be created, in GiB.
    :param volume_type: The name of their type; None if not known.
    :param quotas: As ``Volumes.quotas`` has them.
    :raises NoRoom: naming every quota that does not suffice: what is asked for, what is used, what is the limit.
    """
    asked = {"volumes": len(sizes), "gigabytes": sum(sizes)}
    if volume_type:
        asked.update({"%s_%s" % (name, volume_type): amount for name, amount in list(asked.items())})
    short = {
        name: {"asked": amount, "used": quotas[name].used, "limit": quotas[name].limit}
        for name, amount in asked.items()
        if name in quotas and 0 <= quotas[name].limit < quotas[name].used + amount
    }
    largest = max(sizes, default=0)
    per_volume = quotas.get("per_volume_gigabytes")
    if per_volume is not None and 0 <= per_volume.limit < largest:
        short["per_volume_gigabytes"] = {"asked": largest, "used": 0, "limit": per_volume.limit}
    if short:
        each = "; ".join("%s: %d asked for, %d of %d used" % (name, found["asked"], found["used"], found["limit"]) for name, found in short.items())
        raise NoRoom("the project's quota does not suffice: %s. Remove volumes, or have the quota raised; nothing was created" % each, quota=short)
