# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Quota
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.room import check_quotas

PLENTY = {"volumes": Quota(10, 4), "gigabytes": Quota(100, 10), "per_volume_gigabytes": Quota(-1, 0), "volumes_rbd": Quota(-1, 4)}


@pytest.mark.parametrize("sizes, quotas", [
    ([1] * 6, PLENTY),
    ([90], PLENTY),
    ([], PLENTY),
    ([5], {}),
    ([1] * 50, {"volumes": Quota(-1, 4)}),
])
def test_what_fits(sizes: t.List[int], quotas: t.Dict[str, Quota]) -> None:
    check_quotas(sizes, "rbd", quotas)


@pytest.mark.parametrize("sizes, quotas, short", [
    ([1] * 7, PLENTY, {"volumes": {"asked": 7, "used": 4, "limit": 10}}),
    ([46, 45], PLENTY, {"gigabytes": {"asked": 91, "used": 10, "limit": 100}}),
    ([1, 1], dict(PLENTY, volumes_rbd=Quota(5, 4)), {"volumes_rbd": {"asked": 2, "used": 4, "limit": 5}}),
    ([1, 1], dict(PLENTY, gigabytes_rbd=Quota(0, 0)), {"gigabytes_rbd": {"asked": 2, "used": 0, "limit": 0}}),
    ([3, 20], dict(PLENTY, per_volume_gigabytes=Quota(10, 0)), {"per_volume_gigabytes": {"asked": 20, "used": 0, "limit": 10}}),
    ([1] * 100, PLENTY, {"volumes": {"asked": 100, "used": 4, "limit": 10}, "gigabytes": {"asked": 100, "used": 10, "limit": 100}}),
])
def test_what_does_not_fit(sizes: t.List[int], quotas: t.Dict[str, Quota], short: t.Dict[str, t.Any]) -> None:
    with pytest.raises(NoRoom) as caught:
        check_quotas(sizes, "rbd", quotas)
    assert caught.value.details["quota"] == short
    for name, found in short.items():
        assert "%s: %d asked for, %d of %d used" % (name, found["asked"], found["used"], found["limit"]) in caught.value.message


def test_quotas_of_other_types_do_not_count() -> None:
    check_quotas([1], "nfs", dict(PLENTY, volumes_rbd=Quota(0, 0)))
    check_quotas([1], None, dict(PLENTY, volumes_rbd=Quota(0, 0)))
