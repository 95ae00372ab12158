# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, InUse
from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_removal import ImageRemoval
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import NAME, Golden
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import run as make

NOWHERE = "99999999-0000-4000-8000-000000000000"


def remove(cloud: Golden, name: str = NAME, force: bool = False) -> t.Optional[t.Dict[str, t.Any]]:
    """A run of the task; the image that it says it removed."""
    it = ImageRemoval(cloud=t.cast(t.Any, cloud), name=name, force=force)
    before = cloud.writes()
    plan = it.plan()
    preview = it.preview(plan)
    assert cloud.writes() == before, "the plan, or its preview, wrote something"
    result = it.apply(plan) if plan.changed else preview
    assert result == preview
    return t.cast(t.Optional[t.Dict[str, t.Any]], result["image"])


@pytest.mark.parametrize("by_id", [True, False])
@pytest.mark.parametrize("clones", [True, False])
def test_it_goes_with_what_it_refers_to(clones: bool, by_id: bool) -> None:
    cloud = Golden(clones=clones)
    made = make(cloud)["image"]
    cloud.pass_by()
    removed = remove(cloud, made["id"] if by_id else NAME)
    assert removed is not None and removed["id"] == made["id"]
    assert cloud.made == [] and not cloud.cinder.image_volumes
    assert cloud.id in cloud.cinder.volumes
    assert remove(cloud) is None


@pytest.mark.parametrize("name", ["nix", NOWHERE])
def test_none_of_that_name(name: str) -> None:
    assert remove(Golden(), name) is None


def test_a_name_that_looks_like_an_id() -> None:
    cloud = Golden()
    cloud.glance.add(NOWHERE)
    assert remove(cloud, NOWHERE) is not None and cloud.made == []


def test_images_of_other_projects_stay() -> None:
    cloud = Golden()
    cloud.glance.add(NAME, owner="p2", visibility="public")
    assert remove(cloud) is None and len(cloud.made) == 1


def test_hidden_ones_are_found_and_going_ones_are_not() -> None:
    cloud = Golden()
    hidden = cloud.glance.add(NAME, os_hidden=True)
    cloud.glance.add(NAME, status="pending_delete")
    removed = remove(cloud)
    assert removed is not None and removed["id"] == hidden


def test_several_of_that_name() -> None:
    cloud = Golden()
    ids = [cloud.glance.add(NAME), cloud.glance.add(NAME)]
    with pytest.raises(Ambiguous, match="2 images of this project have the name '%s': .*name one of them by its id" % NAME) as caught:
        remove(cloud)
    assert caught.value.details["ids"] == ids
    remove(cloud, ids[0])
    assert [image.id for image in cloud.made] == ids[1:]


def test_a_protected_one() -> None:
    cloud = Golden()
    made = make(cloud, protected=True)["image"]
    for name in (NAME, made["id"]):
        with pytest.raises(InUse, match="is protected; set is_protected: false first"):
            remove(cloud, name, force=True)
    make(cloud, protected=False)
    assert remove(cloud) is not None


def test_one_that_is_a_volume() -> None:
    cloud = Golden(service=True)
    make(cloud, method="register")
    cloud.pass_by()
    with pytest.raises(InUse, match="is the volume %s itself, which Glance would delete with it; set force: true if both may go" % cloud.id):
        remove(cloud)
    assert cloud.id in cloud.cinder.volumes
    assert remove(cloud, force=True) is not None
    assert cloud.made == [] and cloud.id not in cloud.cinder.volumes


def test_one_that_volumes_are_clones_of() -> None:
    cloud = Golden()
    cloud.glance.depended_on.add(make(cloud)["image"]["id"])
    with pytest.raises(InUse, match="it is in use"):
        remove(cloud)
