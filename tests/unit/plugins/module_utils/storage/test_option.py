# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.option import option_of


def test_of_two_drivers() -> None:
    spec = option_of([FileDriver, CinderDriver], "file")["storage"]
    assert spec["default"] == {}
    assert spec["options"]["driver"] == {"type": "str", "default": "file", "choices": ["cinder", "file"]}
    assert set(spec["options"]) == {"driver", *FileDriver.options, *CinderDriver.options}


def test_one_that_must_be_given() -> None:
    (name, spec), = option_of([FileDriver], "file", name="source", required=True).items()
    assert (name, spec["required"], "default" in spec) == ("source", True, False)
