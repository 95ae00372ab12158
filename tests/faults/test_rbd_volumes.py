"""Volumes in Ceph without OpenStack: killed at any moment, two runs at once, held by a running QEMU, only looked at; and they boot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid

import pytest

from faults import ceph
from faults.conftest import MODULES, ROOT, Run

GUEST = ceph.LAB / "guest"
NAMES = ("web-1", "web-2", "web-3")
PARENT = ".bootable.golden.web-1"


class Host:
    """A host that reaches Ceph in one of the two ways."""

    def __init__(self, namespace, tmp_path, path):
        self.namespace = namespace
        self.tmp_path = tmp_path
        self.environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT / ".cache" / "collections"), *path]), TMPDIR=str(tmp_path))

    def start(self, module="volume_from_image", check=False, **options):
        """Start a module and return at once."""
        if module == "volume_from_image":
            options = dict({"image_file": str(GUEST / "guest.raw"), "names": NAMES}, **options)
        if options.get("state") == "absent":
            del options["image_file"]
        options.setdefault("storage", self.namespace.storage)
        arguments = self.tmp_path / ("%s.json" % uuid.uuid4().hex)
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": dict(options, _ansible_check_mode=check, _ansible_diff=check)}))
        return Run(subprocess.Popen([sys.executable, "-m", MODULES + module, str(arguments)], env=self.environment, text=True,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    def run(self, module="volume_from_image", **options):
        """Run a module to its end."""
        return self.start(module, **options).result()

    def good(self, module="volume_from_image", **options):
        """Run one that must not fail."""
        result = self.run(module, **options)
        assert not result.get("failed"), result["msg"]
        return result


@pytest.fixture
def namespace():
    found = ceph.Namespace()
    yield found
    found.remove()


@pytest.fixture(params=["bindings", "commands"])
def host(request, namespace, tmp_path):
    return Host(namespace, tmp_path, ceph.reached_by(request.param, tmp_path))


def assert_converged(host, names=NAMES):
    """The volumes are there, whole, and nothing else is; and they go without a trace."""
    image = (GUEST / "guest.raw").read_bytes()
    assert host.namespace.images() == sorted(names)
    assert set(host.namespace.trash()) <= {".bootable.golden.%s" % name for name in names}
    for name in names:
        assert host.namespace.content(name) == image, name
    assert host.good(names=names)["changed"] is False
    host.good(names=names, state="absent")
    assert host.namespace.objects() == []


def moments(host, count, **options):
    """Moments at which to kill a run, spread over the time that it takes."""
    began = time.monotonic()
    host.good(**options)
    taken = time.monotonic() - began
    return [taken * (number + 0.5) / count for number in range(count)]


@pytest.mark.parametrize("fan_out", ["auto", "copy"])
def test_killed_while_filling_and_run_again(host, fan_out):
    when = moments(host, 7, fan_out=fan_out)
    host.good(state="absent")
    for moment in when[2::2]:  # before that Python starts; each costs the half minute for which Ceph takes the dead for alive
        run = host.start(fan_out=fan_out)
        time.sleep(moment)
        run.kill()
        host.good(fan_out=fan_out)
        assert_converged(host)


def test_killed_while_removing_and_run_again(host):
    host.good()
    when = moments(host, 7, state="absent")
    for wanted, moment in zip(["absent", "present"], when[4:]):
        host.good()
        run = host.start(state="absent")
        time.sleep(moment)
        run.kill()
        if wanted == "absent":
            host.good(state="absent")
            assert host.namespace.objects() == []
        else:
            host.good()
            assert_converged(host)


def test_two_runs_at_once_make_n_volumes(host):
    runs = [host.start(), host.start()]
    results = [run.result() for run in runs]
    assert not [result["msg"] for result in results if result.get("failed")]
    assert sorted(result["changed"] for result in results) == [False, True]
    assert_converged(host)


def test_check_mode_only_looks(host):
    before = host.namespace.rados("ls")
    result = host.good(check=True)
    assert result["changed"] is True
    assert host.namespace.rados("ls") == before
    host.good(names=NAMES[:1])
    before = host.namespace.rados("ls")
    assert host.good(check=True)["changed"] is True
    assert host.good(check=True, names=NAMES[:1], state="absent")["changed"] is True
    assert host.namespace.rados("ls") == before


def test_refill_grow_and_the_parents_of_clones(host):
    host.good()
    assert host.namespace.trash() == [PARENT]
    other = host.tmp_path / "other.raw"
    other.write_bytes(os.urandom(1024**2) + bytes(3 * 1024**2))
    refused = host.run(image_file=str(other))
    assert refused["failed"] and "on_drift" in refused["msg"]
    result = host.good(image_file=str(other), on_drift="refill", size="48M")
    assert {volume["how"] for volume in result["volumes"]} <= {"grown", "refilled"}
    assert host.namespace.trash() == [], "no volume is a clone any more"
    for name in NAMES:
        assert host.namespace.content(name) == other.read_bytes().ljust(48 * 1024**2, b"\0")
    assert host.good(image_file=str(other), size="48M")["changed"] is False


def test_a_volume_boots_and_is_left_alone_while_it_runs(host):
    host.good(image_file=str(GUEST / "guest.qcow2"))
    spec = "rbd:%s/%s/web-1:conf=%s" % (ceph.POOL, host.namespace.name, ceph.CONF)
    booted = subprocess.run([sys.executable, ROOT / "tests" / "lab" / "boot_disk.py", spec, "--serial", "web-1"], check=True, stdout=subprocess.PIPE)
    assert b"web-1" in booted.stdout
    with subprocess.Popen(["qemu-system-x86_64", "-S", "-nodefaults", "-display", "none", "-machine", "pc,accel=tcg", "-m", "64",
                           "-drive", "if=virtio,format=raw,file=%s" % spec]) as guest:
        try:
            for dummy in range(100):
                if json.loads(host.namespace.rbd("status", "--image", "web-1", "--format", "json"))["watchers"]:
                    break
                time.sleep(0.1)
            for options in ({"state": "absent"}, {"image_file": str(GUEST / "guest.vhd"), "image_format": "raw", "on_drift": "refill"}):
                refused = host.run(names=["web-1"], **options)
                assert refused["failed"] and "held by client 127.0.0.1" in refused["msg"]
        finally:
            guest.kill()
    for dummy in range(60):
        removed = host.run(names=["web-1"], state="absent")
        if not removed.get("failed"):
            break
        time.sleep(1)
    assert host.namespace.images() == list(NAMES[1:])


def test_an_image_of_a_volume(lab, host):
    host.good(names=["web-1"])
    result = host.good("image_from_volume", cloud=lab.cloud, volume="web-1", name=lab.prefix)
    image = lab.member.image.get_image(result["image"]["id"])
    assert image.status == "active" and image.size == (GUEST / "guest.raw").stat().st_size
    assert lab.member.image.download_image(image).content == (GUEST / "guest.raw").read_bytes()
    assert host.good("image_from_volume", cloud=lab.cloud, volume="web-1", name=lab.prefix)["changed"] is False
