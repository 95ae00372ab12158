# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module as Ansible runs it: options in, a result out. What it does with them is the operations' to test."""

from __future__ import annotations

import json
import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible.module_utils.testing import patch_module_args
from ansible_collections.bootable.volumes.plugins.module_utils import cloud_task, task
from ansible_collections.bootable.volumes.plugins.modules import boot_from_volume
from ansible_collections.bootable.volumes.tests.unit.fakes.servers import ServerCloud

Run = t.Callable[..., t.Dict[str, t.Any]]


@pytest.fixture
def cloud() -> ServerCloud:
    return ServerCloud()


@pytest.fixture
def run(cloud: ServerCloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the module, once in check mode and then in earnest; its second result."""
    monkeypatch.setattr(cloud_task.Cloud, "connect", lambda params: cloud)
    monkeypatch.setattr(task, "Deadline", lambda seconds: cloud.job(seconds).deadline)

    def once(check: bool, **args: t.Any) -> t.Dict[str, t.Any]:
        with patch_module_args(dict(args, name="web-{index}", count=2, _ansible_check_mode=check, _ansible_diff=True)):
            with pytest.raises(SystemExit):
                boot_from_volume.main()
        return t.cast(t.Dict[str, t.Any], json.loads(capsys.readouterr().out))

    def both(**args: t.Any) -> t.Dict[str, t.Any]:
        before = cloud.writes()
        checked = once(True, **args)
        assert cloud.writes() == before
        result = once(False, **args)
        assert [result.get(each) for each in ("changed", "plan", "failed")] == [checked.get(each) for each in ("changed", "plan", "failed")]
        return result

    return both


WISH = {
    "image": "debian", "flavor": "small", "networks": "none", "size": "2G", "storage": {"driver": "cinder", "volume_type": "rbd"}, "metadata": {"role": 1},
    "user_data": "#cloud-config very secret", "root_device": {"bus": "scsi", "tag": "root"}, "data_volumes": [{"size": "1G", "tag": "data"}],
    "wait_for": {"console": "GUEST-UP"},
}


def test_made_left_alone_stopped_and_removed(cloud: ServerCloud, run: Run) -> None:
    result = run(**WISH)
    assert result["changed"] and [server["how"] for server in result["servers"]] == ["created", "created"]
    assert result["servers"][0]["console"] == "GUEST-UP" and result["servers"][0]["metadata"] == {"role": "1"}
    assert result["servers"][0]["volume"]["size"] == 2 << 30 and len(result["servers"][0]["volumes"]) == 2
    assert result["diff"]["after"]["web-1"] == {"image": cloud.image, "size": 2 << 30, "status": "ACTIVE", "flavor": "small"}
    assert "very secret" not in json.dumps(result)
    again = run(**WISH)
    assert not again["changed"] and "diff" not in again
    assert [step["action"] for step in run(state="stopped")["plan"]] == ["stop", "stop"]
    removed = run(state="absent", delete_volumes=True)
    assert removed["changed"] and len(removed["servers"]) == 2 and len(removed["volumes"]) == 4 and cloud.cinder.volumes == {}
    assert not run(state="absent", delete_volumes=True)["changed"]


@pytest.mark.parametrize("change, message", [
    ({"storage": {"driver": "file"}}, "value of driver must be one of: cinder"), ({"volumes": ["a", "b"]}, "mutually exclusive"),
    ({"wait_for": "ip"}, "wait_for"), ({"size": "0"}, "above zero"), ({"storage": {"metadata": {"bootable_x": "y"}}}, "this collection's own")])
def test_options_that_do_not_go_together(cloud: ServerCloud, run: Run, change: t.Dict[str, t.Any], message: str) -> None:
    result = run(**dict(WISH, **change))
    assert result["failed"] and message in result["msg"]
