# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

pytest.importorskip("keystoneauth1")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.networks import Networks
from ansible_collections.bootable.volumes.tests.unit.fakes.http import session_with
from ansible_collections.bootable.volumes.tests.unit.fakes.nova import FakeNeutron


@pytest.fixture
def networks() -> Networks:
    return Networks.connect(session_with(FakeNeutron()), "http://neutron/", 0)


@pytest.mark.parametrize("kind, given, found", [("network", "front", "n1"), ("network", "n2", "n2"), ("port", "web-1-port", "p1")])
def test_by_name_or_id(networks: Networks, kind: str, given: str, found: str) -> None:
    assert networks.find(kind, given) == found


def test_none_or_several(networks: Networks) -> None:
    with pytest.raises(NotFound, match="no port 'front'"):
        networks.find("port", "front")
    with pytest.raises(Ambiguous, match="2 networks are called 'twice'.*n3, n4"):
        networks.find("network", "twice")
