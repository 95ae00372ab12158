# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes as the tasks' results show them: one shape for all modules."""

from __future__ import annotations

from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Made, Volume


def volume_result(volume: Volume) -> Result:
    """A volume; sizes in bytes, ``image`` is None where nothing is known of the content."""
    return {
        "name": volume.name,
        "id": volume.id,
        "size": volume.size,
        "state": volume.state,
        "status": volume.status,
        "location": volume.location,
        "image": volume.record.as_dict() if volume.record else None,
        "details": dict(volume.details),
    }


def made_result(made: Made) -> Result:
    """A volume with how it came to be, and the seconds that took."""
    return dict(volume_result(made.volume), how=made.how, seconds=round(made.seconds, 3))
