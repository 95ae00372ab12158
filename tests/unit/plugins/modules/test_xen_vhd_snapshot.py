# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as Ansible runs it: options in, a result out. What it does with them is the operation's to test."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")
pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible.module_utils.testing import patch_module_args
from ansible_collections.bootable.volumes.plugins.module_utils import cloud_task, task
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.modules import xen_vhd_snapshot
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Refused, Request
from ansible_collections.bootable.volumes.tests.unit.fakes.snapshooting import NAME, Hurried, content, disk_of, members, only
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_machine import Web

Run = t.Callable[..., t.Dict[str, t.Any]]


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def web(folder: pathlib.Path) -> t.Iterator[Web]:
    with simulator(folder, tls=True) as site:
        yield Web(site)


@pytest.fixture
def run(web: Web, cloud: FakeCloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the module, once in check mode and then in earnest; its second result."""
    monkeypatch.setattr(cloud_task.Cloud, "connect", lambda params: cloud)
    monkeypatch.setattr(task, "Deadline", lambda seconds: Deadline(seconds, clock=Hurried(cloud)))
    site = web.simulator
    access = {"hostname": site.address, "username": site.user, "password": site.password, "ca_path": str(site.ca_file)}

    def once(check: bool, **args: t.Any) -> t.Dict[str, t.Any]:
        given = dict(access, name=NAME, **args)
        with patch_module_args(dict({key: value for key, value in given.items() if value is not None}, _ansible_check_mode=check, _ansible_diff=True)):
            with pytest.raises(SystemExit):
                xen_vhd_snapshot.main()
        shown = capsys.readouterr().out
        assert site.password not in shown
        return t.cast(t.Dict[str, t.Any], json.loads(shown))

    def both(**args: t.Any) -> t.Dict[str, t.Any]:
        before = cloud.writes(), web.writes()
        checked = once(True, **args)
        assert (cloud.writes(), web.writes()) == before
        result = once(False, **args)
        if not result.get("failed"):
            assert [result[each] for each in ("changed", "plan")] == [checked[each] for each in ("changed", "plan")]
        logins = [call.method for call in site.pool.faults.calls if call.method.startswith("session.")]
        assert logins.count("session.logout") == logins.count("session.login_with_password")
        return result

    return both


def test_made_left_alone_and_removed(cloud: FakeCloud, web: Web, run: Run) -> None:
    wish = {"machine": "web", "tags": ["a"], "is_protected": False, "properties": {"hw_cpu_cores": 2}}
    result = run(**wish)
    assert result["changed"] and result["plan"] == [{"action": "create", "name": NAME, "reason": "it does not exist"}]
    assert result["diff"]["after"][NAME]["tags"] == ["a"] and result["layout"] == "flat" and result["seconds"] >= 0
    (image,) = result["images"]
    assert image["properties"]["hw_cpu_cores"] == "2" and image["disk_format"] == "vhd" and image["tags"] == ["a"]
    assert disk_of([content(cloud)]) == web.content()
    again = run(**wish)
    assert not again["changed"] and again["disks"][0]["how"] == "unchanged" and "diff" not in again
    removed = run(state="absent", hostname=None, password=None)
    assert removed["changed"] and removed["images"][0]["id"] == image["id"] and cloud.glance.images == {}
    assert not run(state="absent")["changed"]


def test_a_chain_of_two_disks(cloud: FakeCloud, web: Web, run: Run) -> None:
    result = run(machine=web.uuid, layout="chain", disks=[0, "xvdb"], stores=["base"])
    assert result["failed"] and "'base' cannot be served" in result["msg"]
    result = run(machine=web.uuid, layout="chain", disks=[0, "xvdb"], stores=["file"])
    assert [disk["image"] for disk in result["disks"]] == [NAME, NAME + "-xvdb"]
    assert disk_of(members(content(cloud, NAME + "-xvdb"))) == web.content(1) and only(cloud)["stores"] == "file"
    assert len(run(state="absent", disks=["0", "1"])["images"]) == 2


def test_the_machine_is_needed_to_make_one(run: Run) -> None:
    result = run()
    assert result["failed"] and "machine" in result["msg"]


def test_which_images_shall_go_must_be_clear(cloud: FakeCloud, run: Run) -> None:
    result = run(state="absent", disks=["root"])
    assert result["failed"] and "root is no device" in result["msg"]


def test_the_second_image_stays(cloud: FakeCloud, web: Web, run: Run) -> None:
    run(machine="web", disks=[0, 1])
    second = only(cloud, NAME + "-xvdb")["id"]

    def interrupt(request: Request) -> None:
        if request.line == "DELETE /v2/images/" + second:
            raise Refused(409, "in use")

    cloud.glance.interrupt = interrupt
    result = run(state="absent", disks=[0, 1])
    assert result["failed"] and result["changed"] and [image["name"] for image in cloud.glance.images.values()] == [NAME + "-xvdb"]
