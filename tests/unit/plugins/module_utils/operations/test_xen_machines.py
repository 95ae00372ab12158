# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Foreign
from ansible_collections.bootable.volumes.plugins.module_utils.operations.xen_machines import Registry, ips_of, root_of, tools_in
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, make_job
from ansible_collections.bootable.volumes.tests.unit.fakes.machines import SHARED, Boots, House, house
from ansible_collections.bootable.volumes.tests.unit.fakes.vhds import vhd
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import BOOT_SECTOR
from ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.operations.test_xen_machine_wishes import disk

IMAGE = BytesImage(vhd(4 << 20, {0: BOOT_SECTOR}), format="vhd", name="debian")


@pytest.fixture
def xen(tmp_path: pathlib.Path) -> t.Iterator[House]:
    with house(tmp_path) as found:
        yield found


def test_addresses_by_card() -> None:
    guest = {"networks": {"0/ipv4/0": "192.0.2.1", "0/ip": "192.0.2.1", "0/ipv6/0": "2001:db8::1", "10/ip": "192.0.2.10", "1/ip": ""}}
    assert ips_of(guest, "0") == ["192.0.2.1", "2001:db8::1"] and ips_of(guest, "1") == [] and ips_of(guest, "10") == ["192.0.2.10"]
    assert set(ips_of(guest)) == {"192.0.2.1", "2001:db8::1", "192.0.2.10"} and ips_of({}) == [] and not tools_in({})


def test_the_disk_to_boot_from() -> None:
    first, second = disk(), disk()
    assert root_of([]) is None and root_of([first, second]) is first
    object.__setattr__(first, "bootable", False)
    assert root_of([first, second]) is second


def test_what_is_found_under_a_name(xen: House) -> None:
    boots = Boots(xen, IMAGE)
    boots.run(names=["a", "b"], state="present")
    registry = Registry(xen.pool)
    found = registry.look_all(["a", "b", "c"], make_job())
    assert found["c"].machine is None and found["a"].root and found["a"].root.vdi.name == "a-root" and not found["a"].doubles
    assert registry.sr(found["b"].root.vdi.sr).name == SHARED if found["b"].root else False
    xen.faults.clear()
    assert found["a"].machine and registry.result(found["a"].machine)["disks"][0]["sr"] == SHARED
    registry.result(found["a"].machine)
    assert [call.method for call in xen.faults.calls].count("SR.get_record") == 0, "asked for again"


def test_all_that_must_not_be_touched_is_told_of_at_once(xen: House) -> None:
    template, = xen.rows("VM", name_label="Other install media")
    for name in ("a", "b"):
        xen.xapi.call("VM.provision", xen.xapi.call("VM.clone", template, name))
    with pytest.raises(Foreign) as refused:
        Registry(xen.pool).look_all(["a", "b", "c"], make_job())
    assert refused.value.details["failures"].keys() == {"a", "b"}
