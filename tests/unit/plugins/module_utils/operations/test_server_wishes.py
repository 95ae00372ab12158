# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, Drift, Foreign, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import Flavor, Server
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_volumes import volumes_of
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_wishes import Found, Wish, check_names, ours, steps_for
from ansible_collections.bootable.volumes.plugins.module_utils.operations.servers import check_limits, server_result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import AVAILABLE, Volume

MARK = {"bootable_volume": "v"}
TINY = Flavor("1", "tiny", 1, 128)
ROOT = Volume("web-root", "v", 1 << 30, AVAILABLE, "in-use", "rbd")


def server(status: str = "ACTIVE", **how: t.Any) -> Server:
    return Server(**dict({"id": "1", "name": "web", "status": status, "launched": True, "flavor": "tiny", "metadata": MARK, "volumes": {"v": False}}, **how))


def steps(found: Server, wish: Wish = Wish(TINY, volumes={"web": ROOT}), state: str = "started", on_drift: str = "fail") -> t.List[t.Tuple[str, str]]:
    made = steps_for("web", Found(found, root=ROOT), wish, (), state, on_drift)
    return [(step.action, step.reason) for step in made]


def test_which_server_of_a_name_is_ours() -> None:
    lost = server("ERROR", id="0", launched=False)
    assert ours("web", [lost, server(), server(name="other")]) == (server(), [lost])
    assert ours("web", [lost]) == (lost, [])
    assert ours("web", []) == (None, [])
    with pytest.raises(Foreign, match="was not made by this collection"):
        ours("web", [server(), server(id="2", metadata={})])
    with pytest.raises(Ambiguous, match="1, 2"):
        ours("web", [server(), server(id="2")])


@pytest.mark.parametrize("found, state, expected", [
    (server(), "started", [("keep", "it is what was asked for")]),
    (server("SHUTOFF"), "started", [("start", "it is SHUTOFF")]),
    (server("SHUTOFF"), "present", [("keep", "it is what was asked for")]),
    (server("PAUSED"), "started", [("keep", "it is what was asked for")]),
    (server(), "stopped", [("stop", "it is ACTIVE")]),
    (server("BUILD", launched=False), "started", [("adopt", "another run has asked for it")]),
    (server("BUILD", launched=False), "stopped", [("adopt", "another run has asked for it"), ("stop", "it is BUILD")]),
    (server(task="deleting"), "started", [("replace", "it is being removed")]),
    (server("ERROR", launched=False, fault="no host"), "started", [("replace", "the request to make it came to nothing: no host")]),
])
def test_steps(found: Server, state: str, expected: t.List[t.Tuple[str, str]]) -> None:
    assert steps(found, state=state) == expected


@pytest.mark.parametrize("found, wish, what", [
    (server("ERROR", fault="burnt"), Wish(), r"status is ERROR \(burnt\), not ACTIVE"),
    (server(flavor="large"), Wish(TINY), "flavor is large, not tiny"),
    (server(zone="a"), Wish(zone="b:host"), "availability_zone is a, not b:host"),
    (server(volumes={}), Wish(), "volume is v, which is gone, not a volume"),
])
def test_drift(found: Server, wish: Wish, what: str) -> None:
    with pytest.raises(Drift, match=what):
        steps(found, wish)
    assert steps(found, wish, on_drift="ignore")[0][0] == "keep"


def test_what_cannot_be_made_is_not_removed_either() -> None:
    with pytest.raises(InvalidInput, match="has to be made anew; say what to make it of: flavor"):
        steps(server("ERROR"), Wish(), on_drift="replace")
    with pytest.raises(InvalidInput, match="came to nothing"):
        steps(server("ERROR", launched=False), Wish())


@pytest.mark.parametrize("name", ["", " a", "a" * 241, "a\nb"])
def test_names(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_names([name])


def test_limits() -> None:
    check_limits(TINY, 100, {"maxTotalInstances": -1})
    check_limits(TINY, 2, {"maxTotalInstances": 3, "totalInstancesUsed": 1, "maxTotalCores": 2, "maxTotalRAMSize": 256})
    with pytest.raises(Exception, match="ram: 384 asked for, 0 of 256 used"):
        check_limits(TINY, 3, {"maxTotalRAMSize": 256})


def test_results_hide_what_is_ours() -> None:
    shown = server_result(server(metadata=dict(MARK, a="b"), addresses={"front": [{"addr": "192.0.2.1"}]}), None)
    assert (shown["metadata"], shown["ips"], shown["volume"], shown["volumes"]) == ({"a": "b"}, ["192.0.2.1"], None, [
        {"id": "v", "delete_on_termination": False}])


def test_volumes_that_servers_have_or_were_to_have() -> None:
    assert volumes_of([server(volumes={"w": True})]) == ["v", "w"]
