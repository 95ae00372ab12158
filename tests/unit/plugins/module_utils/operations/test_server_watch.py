# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_watch import ServerWatch, WaitFor
from ansible_collections.bootable.volumes.tests.unit.fakes.servers import NAMES, ServerCloud


@pytest.fixture
def cloud() -> ServerCloud:
    made = ServerCloud()
    made.boot()
    return made


@pytest.mark.parametrize("value, pattern", [
    ("active", None), ({"console": "login:"}, "login:"), ("console: login:", "login:"), ("console:x", "x")])
def test_what_may_be_waited_for(value: t.Any, pattern: t.Optional[str]) -> None:
    found = WaitFor.parse(value)
    assert (found.console.pattern if found.console else None) == pattern


@pytest.mark.parametrize("value", ["ip", "", "console:", {}, {"console": ""}, {"console": "a", "active": True}, ["active"], None, {"console": "("}])
def test_what_may_not(value: t.Any) -> None:
    with pytest.raises(InvalidInput, match="wait_for: "):
        WaitFor.parse(value)


def watch(cloud: ServerCloud, seconds: float = 60.0) -> ServerWatch:
    return ServerWatch(cloud.servers, cloud.job(seconds))


def test_servers_that_are_being_built_are_not_listed_with_all_their_details(cloud: ServerCloud) -> None:
    cloud.remove()
    cloud.nova.seconds = 30.0
    cloud.boot(job=cloud.job(wait=False))
    new = cloud.servers.list()
    before = len(cloud.nova.sent)
    assert sorted(watch(cloud).until_booted(new, (), WaitFor()).servers) == list(NAMES)
    sent = cloud.nova.sent[before:]
    assert sent.count("GET /servers") > 5 and sent.count("GET /servers/detail") == 1


def test_what_comes_to_nothing_while_it_is_built_is_seen(cloud: ServerCloud) -> None:
    cloud.remove()
    cloud.nova.failing["web-2"] = "No valid host was found."
    cloud.boot(job=cloud.job(wait=False))
    seen = watch(cloud).until_booted(cloud.servers.list(), (), WaitFor())
    assert list(seen.troubles) == ["web-2"] and sorted(seen.servers) == list(NAMES)


def test_a_pattern_that_never_comes(cloud: ServerCloud) -> None:
    seen = watch(cloud).until_booted(cloud.servers.list(), (), WaitFor.parse({"console": "^login:"}))
    assert sorted(seen.troubles) == list(NAMES)
    for error in seen.troubles.values():
        assert isinstance(error, TimedOut) and "its console ends with: BOOTABLE-GUEST-UP" in error.message
        assert error.details["waiting"][seen.servers["web-1"].name if "web-1" in error.details["waiting"] else list(error.details["waiting"])[0]]["console"]


def test_servers_that_ran_before_are_looked_at_only_for_their_consoles(cloud: ServerCloud) -> None:
    assert watch(cloud).until_booted((), cloud.servers.list(), WaitFor()).servers == {}
    seen = watch(cloud).until_booted((), cloud.servers.list(), WaitFor.parse({"console": "UP serial"}))
    assert seen.shown == {name: "UP serial" for name in NAMES} and not seen.troubles


def test_a_console_that_lost_its_beginning_is_enough_for_a_server_that_ran_before(cloud: ServerCloud) -> None:
    server = cloud.servers.get(cloud.server("web-1")["id"])
    cloud.server("web-1")["_console"] = "x" * 100 * 1024
    pattern = WaitFor.parse({"console": "UP"})
    assert not watch(cloud).until_booted((), [server], pattern).troubles
    assert watch(cloud).until_booted([server], (), pattern).troubles


@pytest.mark.parametrize("change, message", [
    ({"status": "ERROR", "fault": {"message": "no host"}}, "Nova could not make server web-1 .*: no host"),
    ({"status": "SHUTOFF"}, "is SHUTOFF instead of ACTIVE"), (None, "is gone: somebody removed it")])
def test_what_will_never_be(cloud: ServerCloud, change: t.Optional[t.Dict[str, t.Any]], message: str) -> None:
    servers = cloud.servers.list()
    if change is None:
        del cloud.nova.servers[cloud.server("web-1")["id"]]
    else:
        cloud.server("web-1").update(change)
    seen = watch(cloud).until_booted(servers, (), WaitFor())
    assert list(seen.troubles) == ["web-1"] and sorted(seen.servers) == list(NAMES)
    with pytest.raises(BackendError, match=message):
        raise seen.troubles["web-1"]


def test_a_server_that_cannot_be_deleted(cloud: ServerCloud) -> None:
    cloud.nova.undeletable.add("web-2")
    servers = cloud.servers.list()
    for server in servers:
        cloud.servers.delete(server.id)
    troubles = watch(cloud).until_gone(servers)
    assert list(troubles) == ["web-2"] and "the host does not answer" in str(troubles["web-2"])


def test_too_late_for_a_removal(cloud: ServerCloud) -> None:
    assert sorted(watch(cloud, 5.0).until_gone(cloud.servers.list())) == list(NAMES)
    assert sorted(watch(cloud, 5.0).until_status(cloud.servers.list(), "SHUTOFF").troubles) == list(NAMES)
