# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import KEYS, Origin, method_of, origin_of, shown_method, stale_keys
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image


def image(properties: t.Optional[t.Mapping[str, str]] = None, **how: t.Any) -> Image:
    """The image i1."""
    return Image("i1", "golden", "active", properties=properties or {}, **how)


@pytest.mark.parametrize("origin", [
    Origin("v1"), Origin("/srv/nfs/golden", "upload", filling=True), Origin("v1", "clone"), Origin("v1", "upload", stores=("fast", "slow")),
    Origin("v1", "upload", stores=()), Origin("v1", "register"),
])
def test_what_is_noted_is_remembered(origin: Origin) -> None:
    noted = origin.properties("i1")
    assert set(noted) <= set(KEYS) and all(isinstance(value, str) for value in noted.values())
    assert origin_of(image(dict(noted, os_type="linux"))) == origin


@pytest.mark.parametrize("properties", [
    {}, {"os_type": "linux"}, {"bootable_volume": "v1"}, {"bootable_image": "i1"}, {"bootable_image": "i1", "bootable_volume": ""},
    Origin("v1", "register", filling=True, stores=("fast",)).properties("i0"),
], ids=["none", "another's", "without an id", "without a volume", "an empty volume", "travelled from another image"])
def test_what_says_nothing(properties: t.Dict[str, str]) -> None:
    assert origin_of(image(properties)) is None


def test_keys_that_are_true_no_longer() -> None:
    there = image(dict(Origin("v1", "clone", filling=True, stores=("fast",)).properties("i0"), os_type="linux"))
    assert stale_keys(there, Origin("v1", "upload")) == ["bootable_state", "bootable_stores"]
    assert stale_keys(there, Origin("v1", "upload", filling=True, stores=())) == []
    assert stale_keys(image(), Origin("v1")) == []
    assert stale_keys(image({"signature_verified": "False", "os_type": "linux"}), Origin("v1")) == ["signature_verified"]


@pytest.mark.parametrize("what, method", [
    (dict(disk_format="raw", virtual_size=None, hash_algo="sha512", hash_value=None), "clone"),
    (dict(disk_format="raw", virtual_size=None, hash_algo="sha512", hash_value="00"), "clone"),
    (dict(disk_format="raw", virtual_size=None), "clone"),
    (dict(disk_format="raw", virtual_size=1024, hash_value="00"), "upload"),
    (dict(disk_format="qcow2", virtual_size=1024, hash_value="00"), "upload"),
    (dict(disk_format="vhd", virtual_size=None, hash_value="00"), "upload"),
], ids=["being hashed", "hashed", "by an older Glance", "sent", "converted", "of which Glance tells no size"])
def test_how_it_shows(what: t.Dict[str, t.Any], method: str) -> None:
    assert shown_method(image(**what)) == method_of(image(**what)) == method


def test_what_was_noted_counts_more_than_what_shows() -> None:
    assert method_of(image(Origin("v1", "upload").properties("i1"), disk_format="raw")) == "upload"
    assert method_of(image(Origin("v1").properties("i1"), disk_format="raw")) == "clone"
    assert method_of(image(Origin("v1", "upload").properties("i0"), disk_format="raw")) == "clone"
