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
from ansible_collections.bootable.volumes.plugins.modules import image_from_volume
from ansible_collections.bootable.volumes.tests.unit.fakes.golden import NAME, Golden

Run = t.Callable[..., t.Dict[str, t.Any]]


@pytest.fixture
def cloud() -> Golden:
    return Golden(admin=True)


@pytest.fixture
def run(cloud: Golden, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the module, once in check mode and then in earnest; its second result."""
    monkeypatch.setattr(cloud_task.Cloud, "connect", lambda params: cloud)
    monkeypatch.setattr(task, "Deadline", lambda seconds: cloud.job(seconds).deadline)

    def once(check: bool, **args: t.Any) -> t.Dict[str, t.Any]:
        with patch_module_args(dict(args, name=NAME, _ansible_check_mode=check, _ansible_diff=True)):
            with pytest.raises(SystemExit):
                image_from_volume.main()
        return t.cast(t.Dict[str, t.Any], json.loads(capsys.readouterr().out))

    def both(**args: t.Any) -> t.Dict[str, t.Any]:
        before = cloud.writes()
        checked = once(True, **args)
        assert cloud.writes() == before
        result = once(False, **args)
        assert [result.get(each) for each in ("changed", "plan", "failed")] == [checked.get(each) for each in ("changed", "plan", "failed")]
        return result

    return both


def test_made_left_alone_and_removed(cloud: Golden, run: Run) -> None:
    wish = {"volume": "golden", "tags": ["a"], "protected": False, "min_disk": 1, "properties": {"os_require_quiesce": True, "hw_cpu_cores": 2}}
    result = run(**wish)
    assert result["changed"] and result["how"] == "created" and result["plan"] == [{"action": "create", "name": NAME, "reason": "it does not exist"}]
    assert result["diff"]["after"][NAME]["tags"] == ["a"]
    assert result["image"]["properties"] == {"os_require_quiesce": "True", "hw_cpu_cores": "2"} and result["image"]["min_disk"] == 1
    assert result["volume"]["id"] == cloud.id and result["seconds"] >= 0
    again = run(**wish)
    assert not again["changed"] and again["how"] == "unchanged" and "diff" not in again
    removed = run(state="absent")
    assert removed["changed"] and removed["image"]["id"] == result["image"]["id"] and cloud.made == []
    assert not run(state="absent")["changed"]


@pytest.mark.parametrize("stores, rule", [(None, "base_image"), (["base"], "base_image"), (["all"], "all"), (["file", "rbd"], "explicit")])
def test_words_that_stand_for_stores(run: Run, stores: t.Optional[t.List[str]], rule: str) -> None:
    assert run(volume="golden", stores=stores)["placement"]["rule"] == rule


def test_words_among_stores_are_stores(run: Run) -> None:
    result = run(volume="golden", stores=["all", "file"])
    assert result["failed"] and "no store 'all'" in result["msg"]


def test_the_volume_is_needed_to_make_one(run: Run) -> None:
    result = run()
    assert result["failed"] and "volume" in result["msg"]


def test_drift_is_told_with_its_details(cloud: Golden, run: Run) -> None:
    cloud.glance.add(NAME)
    result = run(volume="golden")
    assert result["failed"] and result["drift"][NAME][0]["wanted"] == cloud.id
