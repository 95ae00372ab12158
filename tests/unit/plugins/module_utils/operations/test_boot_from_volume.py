# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, Drift, Foreign, InUse, InvalidInput, NoRoom, NotFound, TimedOut,
)
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish as VolumeWish
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_making import Equipment
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_watch import WaitFor
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_wishes import DataVolume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CinderOptions
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Request
from ansible_collections.bootable.volumes.tests.unit.fakes.servers import NAMES, Result, ServerCloud

MARKER = WaitFor.parse({"console": r"BOOTABLE-GUEST-UP serial=\S+"})


@pytest.fixture
def cloud() -> ServerCloud:
    return ServerCloud()


def hows(result: Result) -> t.List[t.Tuple[str, str]]:
    return [(server["name"], server["how"]) for server in result["servers"]]


class Killed(BaseException):
    """As the out-of-memory killer does it."""


def kill_at(cloud: ServerCloud, number: int, method: str = "") -> None:
    """Everything that a task asks of a service fails from its ``number``th request on."""
    seen: t.List[str] = []

    def interrupt(request: Request) -> None:
        seen.append(request.line)
        if len([line for line in seen if line.startswith(method)]) >= number:
            raise Killed

    for service in (cloud.cinder, cloud.nova, cloud.glance):
        service.interrupt = interrupt


def revive(cloud: ServerCloud) -> None:
    for service in (cloud.cinder, cloud.nova, cloud.glance):
        service.interrupt = lambda request: None


def test_n_servers_and_then_nothing_to_do(cloud: ServerCloud) -> None:
    plan, result = cloud.boot(wait_for=MARKER)
    assert [step.action for step in plan.steps] == ["create"] * 3
    assert hows(result) == [(name, "created") for name in NAMES]
    cloud.assert_converged()
    for server in result["servers"]:
        assert server["status"] == "ACTIVE" and server["volume"]["id"][:20] in server["console"]
        assert server["volume"]["name"] == server["name"] + "-root" and server["metadata"] == {}
    assert result["image"]["name"] == "debian" and result["fan_out"]["method"] == "copy"
    before = cloud.writes()
    plan, result = cloud.boot(wait_for=MARKER)
    assert not plan.changed and hows(result) == [(name, "unchanged") for name in NAMES]
    assert [line for line in cloud.writes()[len(before):] if not line.endswith("/action")] == []  # consoles are asked for by POST


def asked_while_filling(cloud: ServerCloud, names: t.Sequence[str]) -> t.List[int]:
    """For each server that is asked for, how many volumes were there by then that Cinder had filled."""
    filled: t.List[int] = []

    def interrupt(request: Request) -> None:
        if request.line == "POST /servers":
            filled.append(sum(volume["status"] not in ("creating", "downloading") for volume in cloud.cinder.volumes.values()))

    cloud.nova.interrupt = interrupt
    cloud.boot(names=names, storage=CinderOptions(volume_type="nfs"), fan_out="clone")
    return filled


def test_each_server_is_asked_for_as_soon_as_its_volume_is_filled(cloud: ServerCloud) -> None:
    cloud.cinder.slow = {"web-3-root": 60.0}
    assert asked_while_filling(cloud, ("web-1", "web-2", "web-3")) == [2, 3, 3]


def test_no_server_boots_from_a_volume_that_others_are_cloned_from(cloud: ServerCloud) -> None:
    cloud.cinder.slow = {"web-2-root": 60.0}
    assert asked_while_filling(cloud, ("web-1", "web-2")) == [2, 2]


def test_volumes_are_filled_before_nova_is_asked(cloud: ServerCloud) -> None:
    cloud.cinder.seconds = 400.0
    cloud.boot(job=cloud.job(5000.0))
    cloud.assert_converged()


def test_a_server_gets_what_was_asked_for(cloud: ServerCloud) -> None:
    equipment = Equipment(key="operator", security_groups=("default", "web"), user_data="#!/bin/sh\n", config_drive=True, zone="nova", description="a test",
                          hints={"same_host": "x"}, bus="scsi", type="disk", tag="root", delete=True)
    cloud.boot(names=("web-1",), equipment=equipment, metadata={"role": "web"}, networks=("front", {"port": "web-1-port", "tag": "b"}), group="apart")
    (wish,) = cloud.nova.wishes
    server = wish["server"]
    (device,) = server.pop("block_device_mapping_v2")
    root = cloud.volume("web-1-root")["id"]
    assert device == {"uuid": root, "source_type": "volume", "destination_type": "volume", "boot_index": 0, "delete_on_termination": True,
                      "disk_bus": "scsi", "device_type": "disk", "tag": "root"}
    assert wish["os:scheduler_hints"] == {"same_host": "x", "group": "g1"}
    metadata = server.pop("metadata")
    assert metadata["role"] == "web" and metadata["bootable_volume"] == root and metadata["bootable_image_id"] == cloud.image
    assert server == {
        "name": "web-1", "flavorRef": "1", "networks": [{"uuid": "n1"}, {"port": "p1", "tag": "b"}], "key_name": "operator", "user_data": "IyEvYmluL3NoCg==",
        "security_groups": [{"name": "default"}, {"name": "web"}], "config_drive": True, "availability_zone": "nova", "description": "a test"}


@pytest.mark.parametrize("networks, sent", [(("none",), "none"), ((), "none"), (("auto",), "auto")])
def test_words_for_networks(cloud: ServerCloud, networks: t.Tuple[str, ...], sent: str) -> None:
    cloud.boot(names=("web-1",), networks=networks)
    assert cloud.nova.wishes[0]["server"]["networks"] == sent


@pytest.mark.parametrize("networks, message", [
    (("none", "front"), "none is none"), (({"net": "front"},), "is none"), (("nix",), "no network 'nix'"), (("twice",), "2 networks are called 'twice'")])
def test_networks_that_are_none(cloud: ServerCloud, networks: t.Tuple[t.Any, ...], message: str) -> None:
    with pytest.raises(Exception, match=message):
        cloud.boot(networks=networks)
    assert cloud.writes() == []


# --- existing volumes ---


def test_servers_on_volumes_that_are_there(cloud: ServerCloud) -> None:
    ids = [cloud.volumes.create(VolumeWish(name, 1, image=cloud.image)).id for name in ("a", "b")]
    cloud.pass_by()
    wish = {"image": None, "names": ("x", "y"), "volumes": ("a", ids[1])}
    cloud.boot(**wish)
    assert cloud.booted() == {"x": "a", "y": "b"}
    plan, dummy = cloud.boot(**wish)
    assert not plan.changed
    with pytest.raises(Drift) as caught:
        cloud.boot(**dict(wish, volumes=(ids[1], "a")))
    assert [each["what"] for each in caught.value.details["drift"]["x"]] == ["volume"]
    cloud.remove("x", "y", delete_volumes=True)
    assert sorted(volume["name"] for volume in cloud.cinder.volumes.values()) == ["a", "b"], "they were there before"


@pytest.mark.parametrize("volumes, message", [
    (("a",), "1 are named for 2 servers"), (("a", "a"), "no two servers"), (("a", "nix"), "no volume 'nix'"), (("a", "blank"), "not bootable"),
    (("a", "taken"), "taken .* is in-use, by other")])
def test_volumes_that_will_not_do(cloud: ServerCloud, volumes: t.Tuple[str, ...], message: str) -> None:
    for name in ("a", "taken"):
        cloud.volumes.create(VolumeWish(name, 1, image=cloud.image))
    cloud.volumes.create(VolumeWish("blank", 1))
    cloud.pass_by()
    cloud.volume("taken").update(status="in-use", attachments=[{"id": "1", "server_id": "other", "device": "/dev/vda"}])
    before = cloud.writes()
    with pytest.raises((InvalidInput, NotFound, InUse), match=message):
        cloud.boot(None, names=("x", "y"), volumes=volumes)
    assert cloud.writes() == before


# --- what a rerun finds ---


def test_half_of_them_there_some_in_error_and_volumes_left(cloud: ServerCloud) -> None:
    cloud.boot(names=("web-1",))
    cloud.nova.failing["web-2"] = "No valid host was found."
    with pytest.raises(BackendError, match="web-2 could not be brought to what was asked for: Nova could not make server web-2 .*: No valid host was found"):
        cloud.boot(names=("web-2",))
    cloud.nova.failing.clear()
    cloud.volumes_of(source=cloud.task()._source).fill(["web-3"], "fail", lambda name, volume: None)
    volumes = {volume["id"] for volume in cloud.cinder.volumes.values()}
    plan, result = cloud.boot()
    assert [step.action for step in plan.steps] == ["keep", "replace", "create"]
    assert hows(result) == [("web-1", "unchanged"), ("web-2", "replaced"), ("web-3", "created")]
    assert {volume["id"] for volume in cloud.cinder.volumes.values()} == volumes, "their volumes were there"
    cloud.assert_converged()


def test_one_fails_and_the_others_are_made(cloud: ServerCloud) -> None:
    cloud.nova.failing["web-2"] = "No valid host was found."
    with pytest.raises(BackendError) as caught:
        cloud.boot()
    details = caught.value.details
    assert list(details["failures"]) == ["web-2"] and hows(details) == [("web-1", "created"), ("web-3", "created")] and details["changed"]


@pytest.mark.parametrize("number", range(1, 30))
def test_killed_and_run_again(cloud: ServerCloud, number: int) -> None:
    kill_at(cloud, number)
    with pytest.raises(Killed):
        cloud.task(wait_for=MARKER).apply(cloud.task().plan())
    revive(cloud)
    cloud.boot(wait_for=MARKER)
    cloud.assert_converged()
    assert not cloud.boot(wait_for=MARKER)[0].changed


@pytest.mark.parametrize("number", range(1, 7))
def test_a_removal_that_is_killed(cloud: ServerCloud, number: int) -> None:
    cloud.boot()
    kill_at(cloud, number, "DELETE")
    with pytest.raises(Killed):
        cloud.remove(delete_volumes=True)
    revive(cloud)
    cloud.remove(delete_volumes=True)
    assert cloud.nova.servers == {} and cloud.cinder.volumes == {}
    assert not cloud.remove(delete_volumes=True)[0].changed


@pytest.mark.parametrize("lost", ["unanswered", "lost"])
def test_an_answer_that_gets_lost_makes_no_doubles(cloud: ServerCloud, lost: str) -> None:
    getattr(cloud.nova, lost).update(NAMES)
    dummy, result = cloud.boot()
    assert hows(result) == [(name, "created") for name in NAMES]
    cloud.assert_converged()


def test_two_runs_at_once_make_each_server_once(cloud: ServerCloud) -> None:
    first, second = cloud.task(), cloud.task()
    plans = [first.plan(), second.plan()]
    first.apply(plans[0])
    result = second.apply(plans[1])
    assert hows(result) == [(name, "adopted") for name in NAMES]
    cloud.assert_converged()


def test_a_server_that_is_built_for_another_run_is_waited_for(cloud: ServerCloud) -> None:
    cloud.nova.seconds = 10.0
    cloud.boot(job=cloud.job(wait=False))
    plan, result = cloud.boot()
    assert [step.action for step in plan.steps] == ["adopt"] * 3 and hows(result) == [(name, "adopted") for name in NAMES]
    cloud.assert_converged()


def test_too_late_destroys_nothing_and_is_adopted(cloud: ServerCloud) -> None:
    cloud.nova.seconds = 50.0
    with pytest.raises(TimedOut) as caught:
        cloud.boot(job=cloud.job(20.0))
    assert sorted(caught.value.details["waiting"]) == list(NAMES)
    assert not cloud.boot(job=cloud.job(200.0))[1]["servers"][0]["how"] == "created"
    cloud.assert_converged()


def test_doubles_that_came_to_nothing_go(cloud: ServerCloud) -> None:
    cloud.boot(names=("web-1",))
    double = dict(cloud.server("web-1"), id="double", status="ERROR", _launched=None, _disks=[], _later=[], fault={"message": "lost the race"})
    cloud.nova.servers["double"] = double
    plan, result = cloud.boot(names=("web-1",))
    assert [step.action for step in plan.steps] == ["tidy"] and hows(result) == [("web-1", "updated")]
    cloud.assert_converged(["web-1"])


def test_somebody_elses_server_is_never_touched(cloud: ServerCloud) -> None:
    cloud.boot()
    cloud.server("web-2")["metadata"].clear()
    with pytest.raises(Foreign, match="web-2 .* was not made by this collection"):
        cloud.boot(on_drift="replace")
    with pytest.raises(Foreign, match="web-2"):
        cloud.remove()


# --- drift ---


def test_drift_of_all_kinds_is_told_at_once(cloud: ServerCloud) -> None:
    cloud.boot()
    before = cloud.writes()
    cloud.server("web-3").update(status="ERROR", fault={"message": "the host burnt down"})
    with pytest.raises(Drift, match="the host burnt down") as caught:
        cloud.boot("other", flavor="small", data=(DataVolume(size=GIB),))
    drift = {name: [each["what"] for each in found] for name, found in caught.value.details["drift"].items()}
    assert drift == {"web-1": ["flavor", "image", "data_volumes"], "web-2": ["flavor", "image", "data_volumes"],
                     "web-3": ["status", "flavor", "image", "data_volumes"]}
    assert cloud.writes() == before
    plan, dummy = cloud.boot("other", flavor="small", on_drift="ignore", data=(DataVolume(size=GIB),))
    assert not plan.changed


def test_another_flavor_keeps_the_volume(cloud: ServerCloud) -> None:
    cloud.boot()
    volumes = sorted(cloud.cinder.volumes)
    plan, result = cloud.boot(flavor="small", on_drift="replace")
    assert [step.action for step in plan.steps] == ["replace"] * 3 and hows(result) == [(name, "replaced") for name in NAMES]
    assert sorted(cloud.cinder.volumes) == volumes and cloud.server("web-1")["flavor"]["original_name"] == "small"
    cloud.assert_converged()


def test_another_image_makes_the_volume_anew(cloud: ServerCloud) -> None:
    cloud.boot()
    volumes = set(cloud.cinder.volumes)
    cloud.boot("other", on_drift="replace")
    assert not volumes & set(cloud.cinder.volumes)
    assert {volume["_image"]["image_name"] for volume in cloud.cinder.volumes.values()} == {"other"}
    cloud.assert_converged()
    assert not cloud.boot("other")[0].changed


def test_a_volume_of_another_image_is_not_booted_from(cloud: ServerCloud) -> None:
    cloud.volumes.create(VolumeWish("web-1-root", 1, image=cloud.other))
    cloud.pass_by()
    for on_drift in ("fail", "ignore", "update"):
        with pytest.raises(Drift, match="web-1-root"):
            cloud.boot(names=("web-1",), on_drift=on_drift)
    cloud.boot(names=("web-1",), on_drift="replace")
    cloud.assert_converged(["web-1"])


def test_a_data_volume_that_is_missing(cloud: ServerCloud) -> None:
    cloud.boot(names=("web-1",))
    server = cloud.server("web-1")["id"]
    wish = {"names": ("web-1",), "data": (DataVolume(size=2 * GIB, tag="data", delete=True),)}
    with pytest.raises(Drift, match="on_drift: update attaches what is missing"):
        cloud.boot(**wish)
    plan, dummy = cloud.boot(on_drift="update", **wish)
    assert [step.action for step in plan.steps] == ["update"]
    assert cloud.server("web-1")["id"] == server and cloud.volume("web-1-data-1")["attachments"][0]["server_id"] == server
    assert not cloud.boot(**wish)[0].changed
    with pytest.raises(Drift, match="on_drift: update cannot change that"):
        cloud.boot(on_drift="update", flavor="small", **wish)


def test_data_volumes_of_new_servers(cloud: ServerCloud) -> None:
    for name in ("web-1", "web-2"):
        cloud.volumes.create(VolumeWish(name + "-db", 1))
    cloud.pass_by()
    wish = {"names": ("web-1", "web-2"), "data": (DataVolume(size=GIB, volume_type="nfs", bus="scsi"), DataVolume(volume="{name}-db"))}
    cloud.boot(**wish)
    for each in cloud.nova.wishes:
        root, first, second = each["server"]["block_device_mapping_v2"]
        assert (root["boot_index"], first["boot_index"], first["disk_bus"]) == (0, -1, "scsi")
        assert cloud.cinder.volumes[first["uuid"]]["name"] == each["server"]["name"] + "-data-1"
        assert cloud.cinder.volumes[first["uuid"]]["volume_type"] == "nfs"
        assert cloud.cinder.volumes[second["uuid"]]["name"] == each["server"]["name"] + "-db"
    assert not cloud.boot(**wish)[0].changed
    cloud.remove("web-1", "web-2", delete_volumes=True)
    assert sorted(volume["name"] for volume in cloud.cinder.volumes.values()) == ["web-1-db", "web-2-db"]


@pytest.mark.parametrize("data, message", [
    (DataVolume(), "a size, to have it made, or a volume"), (DataVolume(size=1, volume="x"), "and not both"), (DataVolume(volume="x"), "3 servers at once"),
    (DataVolume(volume="{name}-x"), "no volume 'web-1-x'")])
def test_data_volumes_that_will_not_do(cloud: ServerCloud, data: DataVolume, message: str) -> None:
    with pytest.raises((InvalidInput, NotFound), match=message):
        cloud.boot(data=(data,))
    assert cloud.writes() == []


def test_what_is_changed_in_any_case(cloud: ServerCloud) -> None:
    cloud.boot()
    plan, result = cloud.boot(size=2 * GIB, metadata={"role": "web"}, storage=CinderOptions(description="a root"))
    assert [step.reason for step in plan.steps] == ["size, description, metadata"] * 3 and hows(result) == [(name, "updated") for name in NAMES]
    assert cloud.server("web-1")["metadata"]["role"] == "web"
    assert (cloud.volume("web-1-root")["size"], cloud.volume("web-1-root")["description"]) == (2, "a root")
    with pytest.raises(Drift, match="size is 2 GiB, not 1 GiB"):
        cloud.boot(size=GIB)


# --- power ---


def test_stopped_started_and_left_alone(cloud: ServerCloud) -> None:
    cloud.boot(names=("web-1",), state="stopped")
    assert cloud.server("web-1")["status"] == "SHUTOFF"
    assert not cloud.boot(names=("web-1",), state="stopped")[0].changed
    assert not cloud.boot(names=("web-1",), state="present")[0].changed
    plan, result = cloud.boot(None, names=("web-1",), flavor=None, wait_for=MARKER)
    assert [step.action for step in plan.steps] == ["start"] and hows(result) == [("web-1", "started")] and "console" in result["servers"][0]
    plan, result = cloud.boot(names=("web-1", "web-2"), state="stopped")
    assert [step.action for step in plan.steps] == ["stop", "create"] and hows(result) == [("web-1", "stopped"), ("web-2", "created")]
    assert {server["status"] for server in cloud.nova.servers.values()} == {"SHUTOFF"}


def test_what_to_make_a_server_of_is_needed_to_make_it(cloud: ServerCloud) -> None:
    with pytest.raises(InvalidInput, match="flavor"):
        cloud.boot(flavor=None)
    with pytest.raises(InvalidInput, match="image, image_file, image_url or volumes"):
        cloud.boot(None)


# --- before anything is made ---


def test_the_quotas_of_both_services_are_checked_first(cloud: ServerCloud) -> None:
    cloud.nova.limits["maxTotalInstances"] = 2
    with pytest.raises(NoRoom, match="instances: 3 asked for, 0 of 2 used"):
        cloud.boot()
    cloud.nova.limits.update(maxTotalInstances=-1, maxTotalCores=5)
    with pytest.raises(NoRoom, match="cores: 6 asked for, 0 of 5 used"):
        cloud.boot(flavor="small")
    cloud.cinder.limits["volumes"] = 2
    with pytest.raises(NoRoom, match="volumes: 3 asked for, 0 of 2 used"):
        cloud.boot()
    cloud.cinder.limits["volumes"] = 5
    with pytest.raises(NoRoom, match="volumes: 3 asked for, 3 of 5 used"):
        cloud.boot(data=(DataVolume(size=GIB, volume_type="nfs"),))
    assert cloud.writes() == []


def test_a_quota_that_is_felt_all_the_same(cloud: ServerCloud) -> None:
    task = cloud.task()
    plan = task.plan()
    cloud.nova.limits["maxTotalInstances"] = 0
    with pytest.raises(NoRoom, match="Quota exceeded for instances"):
        task.apply(plan)


def test_a_root_volume_that_somebody_has(cloud: ServerCloud) -> None:
    cloud.boot(names=("web-1",))
    cloud.server("web-1")["name"] = "renamed"
    with pytest.raises(InUse, match="web-1-root .* is in-use, by"):
        cloud.boot(names=("web-1",))


@pytest.mark.parametrize("options, message", [
    ({"names": (" a",)}, "is no name for a server"), ({"metadata": {"bootable_x": "y"}}, "this collection's own"),
    ({"equipment": Equipment(user_data="x" * 50000)}, "user_data: 50000 bytes are too many"), ({"flavor": "nix"}, "no flavor 'nix'; .*small, tiny"),
    ({"group": "nix"}, "no server group 'nix'; this project has: apart"), ({"size": 1}, None)])
def test_options_that_cannot_be(cloud: ServerCloud, options: t.Dict[str, t.Any], message: t.Optional[str]) -> None:
    if message is None:
        assert cloud.task(**options).plan().changed
        return
    with pytest.raises((InvalidInput, NotFound), match=message):
        cloud.boot(**options)
    assert cloud.writes() == []


def test_what_nova_says_no_to(cloud: ServerCloud) -> None:
    with pytest.raises(InvalidInput, match="Invalid key_name provided"):
        cloud.boot(equipment=Equipment(key="nix"))
    cloud.boot()
    cloud.assert_converged()
