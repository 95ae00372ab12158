"""The contract of volume drivers, held by the rbd driver against a real Ceph: through the bindings, and through the commands."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from faults import ceph

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".cache" / "collections"))

UTILS = "ansible_collections.bootable.volumes.plugins.module_utils."
contract = importlib.import_module("ansible_collections.bootable.volumes.tests.unit.plugins.module_utils.storage.contract")
host = importlib.import_module("ansible_collections.bootable.volumes.tests.unit.fakes.host")
rbd_pool = importlib.import_module(UTILS + "storage.rbd.pool")
rbd_driver = importlib.import_module(UTILS + "storage.rbd.driver")
rbd_command = importlib.import_module(UTILS + "storage.rbd.command")


@pytest.fixture(scope="module")
def bindings(tmp_path_factory):
    """The adapter over Ceph's bindings, wherever they are for this Python."""
    folder = tmp_path_factory.mktemp("bindings")
    if not ceph.bindings_load():
        if not ceph.link_bindings(folder):
            pytest.skip("Ceph's bindings are for another Python")
        sys.path.insert(0, str(folder))
    return importlib.reload(importlib.import_module(UTILS + "storage.rbd.bindings"))


@pytest.fixture
def namespace():
    found = ceph.Namespace()
    yield found
    found.remove()


class RbdContract(contract.DriverContract):
    @pytest.fixture
    def driver(self, make):
        return make()

    @pytest.fixture
    def again(self, make):
        return make

    @pytest.fixture(autouse=True)
    def no_litter(self, namespace):
        """Whatever a test does, removing the volumes leaves no object in Ceph."""
        yield
        assert not [name for name in namespace.images() if name.startswith(".")]
        namespace.remove_images()
        assert namespace.objects() == []


class TestThroughTheCommands(RbdContract):
    @pytest.fixture
    def make(self, namespace):
        place = rbd_pool.Place(ceph.POOL, namespace.name, conf=str(ceph.CONF))
        return lambda: rbd_driver.RbdDriver(rbd_command.CommandPool(place, host.HostRunner()), host.surroundings())


class TestThroughTheBindings(RbdContract):
    @pytest.fixture
    def make(self, bindings, namespace):
        place = rbd_pool.Place(ceph.POOL, namespace.name, conf=str(ceph.CONF))
        return lambda: rbd_driver.RbdDriver(bindings.BindingsPool(place), host.surroundings())
