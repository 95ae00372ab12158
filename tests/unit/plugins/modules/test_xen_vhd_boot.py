# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as Ansible runs it, against a pool that speaks TLS: options in, a result out. What it does with them is the operations' to test."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible.module_utils.testing import patch_module_args
from ansible_collections.bootable.volumes.plugins.modules import xen_vhd_boot
from ansible_collections.bootable.volumes.tests.unit.fakes.machines import NETWORK, House, house
from ansible_collections.bootable.volumes.tests.unit.fakes.vhds import vhd
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import BOOT_SECTOR

SIZE = 4 << 20

Run = t.Callable[..., t.Dict[str, t.Any]]


@pytest.fixture
def xen(tmp_path: pathlib.Path) -> t.Iterator[House]:
    with house(tmp_path, tls=True) as found:
        yield found


@pytest.fixture
def image(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "debian.vhd"
    path.write_bytes(vhd(SIZE, {0: BOOT_SECTOR}))
    return str(path)


@pytest.fixture
def run(xen: House, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the module, once in check mode and then in earnest; its second result."""
    def once(check: bool, args: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
        pool = {"hostname": xen.xapi.address, "password": xen.xapi.password, "ca_path": str(xen.xapi.ca_file)}
        with patch_module_args(dict(pool, **dict({"name": "web", "timeout": 60}, **args), _ansible_check_mode=check, _ansible_diff=True)):
            with pytest.raises(SystemExit):
                xen_vhd_boot.main()
        output = capsys.readouterr().out
        assert xen.xapi.password not in output
        return t.cast(t.Dict[str, t.Any], json.loads(output))

    def both(**args: t.Any) -> t.Dict[str, t.Any]:
        xen.faults.clear()
        checked = once(True, args)
        assert xen.writes() == []
        result = once(False, args)
        assert [result.get(each) or None for each in ("changed", "plan", "failed")] == [checked.get(each) or None for each in ("changed", "plan", "failed")]
        return result

    return both


def test_made_left_alone_changed_and_removed(xen: House, run: Run, image: str) -> None:
    wish = {"image_file": image, "vcpus": 2, "memory": "512M", "size": "8M", "networks": [{"network": NETWORK}], "description": "a test", "wait": True,
            "wait_for": "guest_tools"}
    result = run(**wish)
    assert result["changed"] and result["plan"] == [{"action": "create", "name": "web", "reason": "it does not exist"}]
    assert result["diff"]["after"]["web"] == {"image": image, "power_state": "running", "vcpus": 2, "memory": 512 << 20, "description": "a test"}
    machine, = result["machines"]
    assert (machine["how"], machine["memory"], machine["disks"][0]["size"], machine["guest_tools"]) == ("created", 512 << 20, 8 << 20, True)
    assert machine["seconds"] > 0 and result["image"]["format"] == "vhd"
    again = run(**wish)
    assert not again["changed"] and again["machines"][0]["how"] == "unchanged" and "diff" not in again
    assert run(state="stopped", memory="1G")["plan"] == [
        {"action": "stop", "name": "web", "reason": "it is running"}, {"action": "update", "name": "web", "reason": "memory"}]
    removed = run(state="absent")
    assert removed["changed"] and removed["machines"][0]["name"] == "web" and xen.machines() == {}
    assert not run(state="absent")["changed"]


def test_several(run: Run, image: str) -> None:
    result = run(name="web-{index}", count=2, image_file=image, state="present")
    assert [machine["name"] for machine in result["machines"]] == ["web-1", "web-2"] and result["fan_out"]["method"] == "clone"
    assert [machine["power_state"] for machine in result["machines"]] == ["halted", "halted"]


def test_drift_is_told_with_its_details(run: Run, image: str) -> None:
    run(image_file=image)
    result = run(image_file=image, vcpus=4)
    assert result["failed"] and result["drift"] == {"web": [{"what": "vcpus", "found": 1, "wanted": 4}]}
    assert run(image_file=image, vcpus=4, on_drift="replace")["machines"][0]["how"] == "replaced"


@pytest.mark.parametrize("args, words", [
    ({}, "image"),
    ({"memory": "much"}, "memory"),
    ({"size": "-1"}, "size"),
    ({"boot_order": "x"}, "boot_order"),
    ({"hostname": "https://127.0.0.1/path"}, "hostname"),
    ({"ca_path": "/nowhere"}, "ca_path"),
    ({"password": "wrong"}, "password"),
])
def test_what_cannot_be_is_said(run: Run, args: t.Dict[str, t.Any], words: str) -> None:
    result = run(**args)
    assert result["failed"] and words in result["msg"]


def test_a_certificate_that_is_not_known_is_refused(xen: House, run: Run, image: str) -> None:
    result = run(image_file=image, ca_path=None)
    assert result["failed"] and "certificate" in result["msg"]
    assert not run(image_file=image, ca_path=None, validate_certs=False).get("failed")
    sessions = [call.method for call in xen.faults.calls if call.method.startswith("session.")]
    assert sessions.count("session.login_with_password") == sessions.count("session.logout")


def test_a_slave_tells_of_the_master(xen: House, run: Run, image: str) -> None:
    assert run(image_file=image, hostname=xen.xapi.addresses[1])["machines"][0]["power_state"] == "running"
