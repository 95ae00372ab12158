"""What the fault tests share: the lab, proxies before its services, and modules run as processes that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from openstack.config import OpenStackConfig
from openstack.connection import Connection

from faults.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]
LAB = Path(os.environ.get("BOOTABLE_LAB", ROOT / ".lab"))
MODULES = "ansible_collections.bootable.volumes.plugins.modules."
LIMIT = 180


class Run:
    """A module at work, as a process of its own."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def kill(self) -> None:
        """As the out-of-memory killer does it."""
        self.process.kill()
        self.process.wait(LIMIT)

    def result(self) -> dict:
        """What the module returned."""
        output, errors = self.process.communicate(timeout=LIMIT)
        assert output.strip(), errors
        return json.loads(output.strip().splitlines()[-1])


class Lab:
    """The running lab, through proxies, for one ordinary member.

    :ivar python_path: What modules find beside the collection.
    """

    def __init__(self, admin: Connection, member: Connection, tmp_path: Path) -> None:
        self.admin = admin
        self.member = member
        self.tmp_path = tmp_path
        self.python_path = []
        self.prefix = "fault-%s" % uuid.uuid4().hex[:8]
        self.cinder = Proxy(self._address("block-storage"))
        self.glance = Proxy(self._address("image"))

    def _address(self, service: str) -> str:
        parts = urlsplit(self.member.endpoint_for(service))
        return "%s://%s" % (parts.scheme, parts.netloc)

    @property
    def cloud(self) -> dict:
        """The member's cloud as the modules take it, whose services are behind the proxies."""
        return self.behind("lab-alpha", self.member)

    @property
    def admin_cloud(self) -> dict:
        """The administrator's."""
        return self.behind("lab-admin", self.admin)

    def behind(self, name: str, connection: Connection) -> dict:
        """Another account's cloud, by its name in clouds.yaml."""
        cloud = yaml.safe_load((LAB / "clouds.yaml").read_text())["clouds"][name]
        cloud["block_storage_endpoint_override"] = "%s/v3/%s" % (self.cinder.url, connection.current_project_id)
        cloud["image_endpoint_override"] = self.glance.url
        return cloud

    def start(self, module: str, *, check: bool = False, **options: object) -> Run:
        """Start a module and return at once."""
        options.setdefault("cloud", self.cloud)
        arguments = self.tmp_path / ("%s.json" % uuid.uuid4().hex)
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": dict(options, _ansible_check_mode=check, _ansible_diff=check)}))
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT / ".cache" / "collections"), *self.python_path]), TMPDIR=str(self.tmp_path))
        return Run(subprocess.Popen([sys.executable, "-m", MODULES + module, str(arguments)], env=environment, text=True,
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    def run(self, module: str, **options: object) -> dict:
        """Run a module to its end."""
        return self.start(module, **options).result()

    def volumes(self) -> list:
        """This test's Cinder volumes, by name."""
        found = [volume for volume in self.member.block_storage.volumes() if (volume.name or "").startswith(self.prefix)]
        return sorted(found, key=lambda volume: volume.name)

    def images(self) -> list:
        """This test's images, whoever owns them, by name."""
        return sorted((image for image in self.admin.image.images() if (image.name or "").startswith(self.prefix)), key=lambda image: image.name)

    def remove(self) -> None:
        """Remove this test's images and volumes, whatever state they are in."""
        for image in self.images():
            self.admin.image.delete_image(image)
        for dummy in range(LIMIT):
            volumes = self.volumes()
            if not volumes:
                return
            for volume in volumes:
                if volume.status in ("available", "error"):
                    self.member.block_storage.delete_volume(volume)
            time.sleep(1)
        raise AssertionError("volumes that do not go away: %s" % volumes)


@pytest.fixture(scope="session")
def clouds():
    """The administrator's and the member's connections."""
    if not (LAB / "clouds.yaml").exists():
        pytest.fail("the lab is down; start it with scripts/lab up")
    config = OpenStackConfig(config_files=[str(LAB / "clouds.yaml")])
    return [Connection(config=config.get_one(cloud=name)) for name in ("lab-admin", "lab-alpha")]


@pytest.fixture
def lab(clouds, tmp_path):
    lab = Lab(*clouds, tmp_path)
    with lab.cinder, lab.glance:
        yield lab
    lab.remove()


@pytest.fixture
def mountpoint(tmp_path):
    """A mounted ext4 of 1 GiB; whatever the tests leave must be found on it."""
    folder, disk = tmp_path / "mnt", tmp_path / "disk"
    folder.mkdir()
    with open(disk, "wb") as file:
        file.truncate(1024**3)
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1", disk], check=True)
    subprocess.run([*as_root, "mount", "-o", "loop", disk, folder], check=True)
    try:
        subprocess.run([*as_root, "chown", str(os.geteuid()), folder], check=True)
        (folder / "lost+found").rmdir() if os.geteuid() == 0 else None
        yield folder
    finally:
        subprocess.run([*as_root, "umount", folder], check=True)
