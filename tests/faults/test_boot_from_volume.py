"""Servers on volumes: killed at every kind of moment, answers that get lost, too late, two at once. Needs Nova, which joins the lab for this."""

from __future__ import annotations

import subprocess
import time

import pytest
from faults.conftest import LIMIT, ROOT, Lab
from faults.proxy import Fault, Proxy

N = 3
MARKER = {"console": r"BOOTABLE-GUEST-UP serial=\S+"}


class ServerLab(Lab):
    """The lab with Nova, behind a proxy, too."""

    def __init__(self, admin, member, tmp_path):
        super().__init__(admin, member, tmp_path)
        self.nova = Proxy(self._address("compute"))

    def behind(self, name, connection):
        return dict(super().behind(name, connection), compute_endpoint_override=self.nova.url + "/v2.1")

    def servers(self):
        """This test's servers, by name."""
        found = self.member.compute.get("/servers/detail", microversion="2.79").json()["servers"]
        return sorted((server for server in found if server["name"].startswith(self.prefix)), key=lambda server: server["name"])

    def remove(self):
        for dummy in range(LIMIT):
            servers = self.servers()
            if not servers:
                break
            for server in servers:
                self.member.compute.delete("/servers/%s" % server["id"])
            time.sleep(1)
        super().remove()


@pytest.fixture(scope="module")
def nova():
    """Nova runs."""
    subprocess.run([ROOT / "scripts" / "lab", "up", "--with", "nova"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=1800)


@pytest.fixture
def lab(nova, clouds, tmp_path):
    lab = ServerLab(*clouds, tmp_path)
    with lab.cinder, lab.glance, lab.nova:
        yield lab
    lab.remove()


def task(lab, **options):
    return dict({"image": "guest-raw", "name": lab.prefix + "-{index}", "count": N, "flavor": "tiny", "networks": "none",
                 "storage": {"volume_type": "rbd"}, "timeout": LIMIT}, **options)


def names(lab, count=N):
    return ["%s-%d" % (lab.prefix, number + 1) for number in range(count)]


def assert_converged(lab, result, count=N):
    """Exactly N servers on N volumes; nothing beside them."""
    assert not result.get("failed"), result["msg"]
    servers, volumes = lab.servers(), {volume.id: volume for volume in lab.volumes()}
    assert [server["name"] for server in servers] == names(lab, count)
    assert sorted(volume.name for volume in volumes.values()) == [name + "-root" for name in names(lab, count)]
    for server in servers:
        assert server["status"] == "ACTIVE"
        (root,) = server["os-extended-volumes:volumes_attached"]
        assert volumes[root["id"]].name == server["name"] + "-root"
        assert volumes[root["id"]].volume_image_metadata["image_name"] == "guest-raw"
    for volume in volumes.values():
        assert volume.status == "in-use"
        assert "bootable_claim" not in volume.metadata


def assert_unchanged(lab, **options):
    again = lab.run("boot_from_volume", **task(lab, **options))
    assert not again.get("failed"), again["msg"]
    assert again["changed"] is False
    assert {server["how"] for server in again["servers"]} == {"unchanged"}


def is_volume(method, path):
    return method == "POST" and path.endswith("/volumes")


def is_server(method, path):
    return method == "POST" and path.endswith("/servers")


def is_look(method, path):
    return method == "GET" and "/servers" in path


def is_console(method, path):
    return method == "POST" and path.endswith("/action")


def is_removal(method, path):
    return method == "DELETE"


MOMENTS = {
    "after the first volume": ("cinder", is_volume, "after", 1),
    "before the first server is asked for": ("nova", is_server, "before", 1),
    "after the first server": ("nova", is_server, "after", 1),
    "after the last server": ("nova", is_server, "after", N),
    "while they are built": ("nova", is_look, "after", 3),
    "while they boot": ("nova", is_console, "after", 2),
}


def killed(lab, service, when, hook, number, **options):
    """A run that is killed at that moment."""
    seen, done = [], []

    def kill(method, path):
        seen.append(path)
        if len(seen) == number:
            done.append(path)
            run.kill()

    proxy = getattr(lab, service)
    proxy.faults.append(Fault(when=when, times=1000, **{hook: kill}))
    run = lab.start("boot_from_volume", **options)
    run.process.wait(LIMIT)
    proxy.faults.clear()
    assert done, "the moment never came: %s" % proxy.requests


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_run_again(lab, moment):
    killed(lab, *MOMENTS[moment], **task(lab, wait_for=MARKER))
    result = lab.run("boot_from_volume", **task(lab, wait_for=MARKER))
    assert_converged(lab, result)
    for server in result["servers"]:
        assert server["volume"]["id"][:20] in server["console"]
    assert_unchanged(lab, wait_for=MARKER)


@pytest.mark.parametrize("service, number", [("nova", 1), ("nova", N), ("cinder", 1), ("cinder", N)])
def test_a_removal_that_is_killed(lab, service, number):
    assert_converged(lab, lab.run("boot_from_volume", **task(lab)))
    gone = {"name": lab.prefix + "-{index}", "count": N, "state": "absent", "delete_volumes": True, "timeout": LIMIT}
    killed(lab, service, is_removal, "after", number, **gone)
    result = lab.run("boot_from_volume", **gone)
    assert not result.get("failed"), result["msg"]
    assert lab.servers() == [] and lab.volumes() == []
    assert lab.run("boot_from_volume", **gone)["changed"] is False


@pytest.mark.parametrize("fault", [{"cut_after": 0}, {"status": 503, "body": b"{}"}, {"cut_after": 40}], ids=["no answer", "503", "half an answer"])
def test_an_answer_that_gets_lost_makes_no_doubles(lab, fault):
    lab.nova.faults.append(Fault(when=is_server, times=2, **fault))
    assert_converged(lab, lab.run("boot_from_volume", **task(lab)))
    assert_unchanged(lab)


def test_two_runs_at_once_make_n_servers(lab):
    runs = [lab.start("boot_from_volume", **task(lab)) for dummy in range(2)]
    results = [run.result() for run in runs]
    for result in results:
        assert_converged(lab, result)
    assert len({server["id"] for result in results for server in result["servers"]}) == N


def test_half_of_them_there_some_in_error_and_volumes_left(lab):
    assert_converged(lab, lab.run("boot_from_volume", **task(lab, count=1)), 1)
    huge = lab.admin.compute.create_flavor(name=lab.prefix, vcpus=1, ram=100000, disk=0)  # within the quota, and on no host
    try:
        refused = lab.run("boot_from_volume", **task(lab, name=names(lab)[1], count=None, flavor=lab.prefix))
    finally:
        lab.admin.compute.delete_flavor(huge)
    lab.run("volume_from_image", image="guest-raw", name=names(lab)[2] + "-root", storage={"volume_type": "rbd"})
    assert refused["failed"] and "No valid host was found" in refused["msg"]
    assert_converged(lab, lab.run("boot_from_volume", **task(lab)))
    assert_unchanged(lab)


def test_the_quota_of_servers_is_checked_before_the_first_write(lab):
    result = lab.run("boot_from_volume", **task(lab, count=101, storage={}))
    assert result["failed"] and "quota" in result["msg"]
    assert lab.cinder.writes == [] and lab.nova.writes == []


def test_too_late_destroys_nothing_and_is_adopted(lab):
    assert not lab.run("boot_from_volume", **task(lab, wait=False)).get("failed")
    result = lab.run("boot_from_volume", **task(lab, wait_for={"console": "this never comes"}, timeout=15))
    assert result["failed"] and "timed out after 15 s" in result["msg"] and sorted(result["waiting"]) == names(lab)
    assert_converged(lab, lab.run("boot_from_volume", **task(lab, wait_for=MARKER)))


def test_check_mode_writes_nothing(lab):
    result = lab.start("boot_from_volume", check=True, **task(lab)).result()
    assert result["changed"] and [step["action"] for step in result["plan"]] == ["create"] * N
    assert lab.cinder.writes == [] and lab.nova.writes == []
