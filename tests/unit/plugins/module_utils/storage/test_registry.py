# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.registry import DRIVERS, make_driver, storage_option
from ansible_collections.bootable.volumes.tests.unit.fakes.host import NoCommands, surroundings


def test_the_driver_is_picked_by_name() -> None:
    driver = make_driver({"driver": "file", "mountpoints": ["/srv"], "volume_type": None}, surroundings(NoCommands()))
    assert isinstance(driver, FileDriver)


def test_an_option_of_another_driver_is_refused() -> None:
    with pytest.raises(InvalidInput, match="storage.volume_type is an option of the driver cinder, but storage.driver is file"):
        make_driver({"driver": "file", "mountpoints": ["/srv"], "volume_type": "x"}, surroundings(NoCommands()))


def test_the_option_has_every_drivers_options() -> None:
    options = storage_option()["storage"]["options"]
    assert options["driver"]["choices"] == sorted(DRIVERS)
    for driver in DRIVERS.values():
        assert set(driver.options) <= set(options)
