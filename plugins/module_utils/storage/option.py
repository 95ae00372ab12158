# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option that says where volumes live: a driver's name, and what that driver takes."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import VolumeDriver


def option_of(drivers: t.Iterable[t.Type[VolumeDriver]], default: str, *, name: str = "storage", required: bool = False) -> t.Dict[str, t.Any]:
    """Argument spec of one option, with the options of all these drivers.

    :param default: The driver's name where none is given.
    :param name: Of the option.
    :param required: It has to be given, even if empty; else it is empty by default.
    """
    drivers = list(drivers)
    spec: t.Dict[str, t.Any] = {"driver": {"type": "str", "default": default, "choices": sorted(driver.name for driver in drivers)}}
    for driver in drivers:
        spec.update(driver.options)
    return {name: {"type": "dict", "options": spec, **({"required": True} if required else {"default": {}})}}
