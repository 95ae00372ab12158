# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is documented of the storage option is what the drivers take."""

from __future__ import annotations

import typing as t

import pytest
import yaml

pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.doc_fragments import (
    attributes, naming, openstack, storage, storage_block, storage_cinder, storage_file, storage_lvm, storage_rbd, storage_sheepdog, storage_xen, waiting,
)
from ansible_collections.bootable.volumes.plugins.module_utils.module import waiting_spec
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import naming_spec
from ansible_collections.bootable.volumes.plugins.module_utils.storage.block.driver import BlockDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import VolumeDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.lvm.driver import LvmDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.option import option_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.driver import RbdDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.sheepdog.driver import SheepdogDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.registry import storage_option
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.driver import XenDriver

KEYS = ("type", "elements", "choices", "default")


def options(text: str) -> t.Dict[str, t.Any]:
    """The options of a fragment."""
    return t.cast(t.Dict[str, t.Any], yaml.safe_load(text)["options"])


def told(spec: t.Mapping[str, t.Mapping[str, t.Any]]) -> t.Dict[str, t.Dict[str, t.Any]]:
    """As much of options as both a specification and documentation have."""
    return {name: {key: option[key] for key in KEYS if key in option} for name, option in spec.items()}


@pytest.mark.parametrize("driver, fragment", [
    (BlockDriver, storage_block), (CinderDriver, storage_cinder), (FileDriver, storage_file), (LvmDriver, storage_lvm), (RbdDriver, storage_rbd),
    (SheepdogDriver, storage_sheepdog), (XenDriver, storage_xen),
])
def test_a_fragment_says_what_its_driver_takes(driver: t.Type[VolumeDriver], fragment: t.Any) -> None:
    assert told(options(fragment.ModuleDocFragment.DOCUMENTATION)) == told(driver.options)


def test_the_storage_option_is_all_of_them() -> None:
    documented = options(storage.ModuleDocFragment.DOCUMENTATION)["storage"]
    spec = storage_option()["storage"]
    assert (documented["type"], documented["default"]) == (spec["type"], spec["default"])
    assert told(documented["suboptions"]) == told(spec["options"])


def test_the_storage_of_servers_is_cinders_part() -> None:
    documented = options(storage.ModuleDocFragment.CINDER)["storage"]
    spec = option_of([CinderDriver], "cinder")["storage"]
    assert (documented["type"], documented["default"]) == (spec["type"], spec["default"])
    assert told(documented["suboptions"]) == told(spec["options"])


@pytest.mark.parametrize("thing", ["DOCUMENTATION", "MACHINES", "SERVERS"])
def test_naming_is_what_modules_take(thing: str) -> None:
    assert told(options(getattr(naming.ModuleDocFragment, thing))) == told(naming_spec())


def test_an_option_of_two_drivers_is_documented_once_and_alike() -> None:
    ours, theirs = (options(fragment.ModuleDocFragment.DOCUMENTATION) for fragment in (storage_cinder, storage_rbd))
    shared = ours.keys() & theirs.keys()
    assert shared == {"ceph_conf", "ceph_user", "ceph_cluster"}
    assert storage.ModuleDocFragment.DOCUMENTATION.count("      ceph_conf:\n") == 1
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def test_references_between_suboptions_are_whole() -> None:
    text = storage.ModuleDocFragment.DOCUMENTATION
    assert "O(storage.mountpoints)" in text and "O(mountpoint" not in text
    assert "#module:on_drift=" in text


def test_waiting_is_what_modules_take() -> None:
    assert told(options(waiting.ModuleDocFragment.DOCUMENTATION)) == told(waiting_spec())
    assert told(options(waiting.ModuleDocFragment.TIMEOUT)) == told({"timeout": waiting_spec()["timeout"]})


def test_every_module_has_check_and_diff_mode() -> None:
    found = yaml.safe_load(attributes.ModuleDocFragment.DOCUMENTATION)["attributes"]
    assert found["check_mode"]["support"] == found["diff_mode"]["support"] == "full"


def test_modules_that_know_a_cloud_are_in_the_action_group() -> None:
    found = yaml.safe_load(openstack.ModuleDocFragment.DOCUMENTATION)["attributes"]
    assert found["action_group"]["membership"] == ["bootable.volumes.bootable"]
