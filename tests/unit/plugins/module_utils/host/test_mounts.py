# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.host.mounts import Mounts

MOUNTINFO = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 22 0:31 / /srv/nfs\0401 rw,noatime shared:5 master:1 - nfs4 server:/export\040one rw,vers=4.2
37 22 0:32 / /srv/ro ro,relatime - xfs /dev/vdb rw
38 22 0:33 / /srv/gluster rw - fuse.glusterfs host:/vol ro,user_id=0
39 22 0:34 / /srv/twice rw - ext4 /dev/vdc rw
40 39 0:35 / /srv/twice rw - xfs /dev/vdd rw
nonsense
41 22 0:36 / /srv/short rw
"""


@pytest.fixture
def mounts() -> Mounts:
    return Mounts.parse(MOUNTINFO.splitlines(keepends=True))


@pytest.mark.parametrize("point, type, source, read_only", [
    ("/", "ext4", "/dev/vda", False),
    ("/srv/nfs 1", "nfs4", "server:/export one", False),
    ("/srv/ro", "xfs", "/dev/vdb", True),
    ("/srv/gluster", "fuse.glusterfs", "host:/vol", True),
    ("/srv/twice", "xfs", "/dev/vdd", False),
])
def test_what_is_mounted(mounts: Mounts, point: str, type: str, source: str, read_only: bool) -> None:
    found = mounts.at(point)
    assert found and (found.type, found.source, found.read_only) == (type, source, read_only)


def test_only_mount_points_have_mounts_at_them(mounts: Mounts) -> None:
    assert mounts.at("/srv") is None
    assert mounts.at("/srv/short") is None


@pytest.mark.parametrize("path, point", [("/srv/ro/a/b", "/srv/ro"), ("/srv/rot", "/"), ("/", "/")])
def test_every_path_lies_in_a_mount(mounts: Mounts, path: str, point: str) -> None:
    found = mounts.holding(path)
    assert found and found.point == point


def test_each_names_its_device(mounts: Mounts) -> None:
    assert {mount.point: mount.number for mount in mounts}["/srv/ro"] == "0:32"


def test_this_machine_has_a_root() -> None:
    assert Mounts.now().at("/") is not None
