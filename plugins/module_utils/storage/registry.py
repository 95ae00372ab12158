# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drivers by name, and the ``storage`` option that picks one."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.storage.block.driver import BlockDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Surroundings, VolumeDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.lvm.driver import LvmDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.option import option_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.driver import RbdDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.sheepdog.driver import SheepdogDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.driver import XenDriver

DEFAULT = CinderDriver.name
DRIVERS: t.Dict[str, t.Type[VolumeDriver]] = {driver.name: driver for driver in (
    BlockDriver, CinderDriver, FileDriver, LvmDriver, RbdDriver, SheepdogDriver, XenDriver)}


def storage_option(name: str = "storage", *, required: bool = False) -> t.Dict[str, t.Any]:
    """Argument spec: ``storage``, or an option of another name, with the driver's name and every driver's own options."""
    return option_of(DRIVERS.values(), DEFAULT, name=name, required=required)


def make_driver(storage: t.Mapping[str, t.Any], surroundings: Surroundings, *, option: str = "storage") -> VolumeDriver:
    """The driver that ``storage`` asks for, set up with its options.

    :param option: Its name, for messages.
    :raises InvalidInput: when an option belongs to another driver.
    """
    driver = DRIVERS[storage.get("driver", DEFAULT)]
    given = {name: value for name, value in storage.items() if name != "driver" and value is not None}
    for name in sorted(given):
        if name not in driver.options:
            owners = sorted(other.name for other in DRIVERS.values() if name in other.options)
            raise InvalidInput(
                "%s.%s is an option of the driver %s, but %s.driver is %s; it takes: %s"
                % (option, name, " and ".join(owners), option, driver.name, ", ".join(sorted(driver.options)))
            )
    return driver.from_options(given, surroundings)
