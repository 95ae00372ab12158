# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.server
import json
import threading
import typing as t

import pytest

pytest.importorskip("openstack.config")
pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud, configuration, openstack_spec


class Keystone(http.server.BaseHTTPRequestHandler):
    """Keystone, and as much of Cinder and Glance as it takes to find them."""

    services: t.ClassVar[t.Dict[str, str]] = {"volumev3": "/volume/v3", "image": "/image"}
    sent: t.ClassVar[t.List[str]] = []

    @property
    def here(self) -> str:
        """This server's address."""
        return "http://127.0.0.1:%d" % self.server.server_address[1]  # type: ignore[misc]

    def do_GET(self) -> None:
        self.sent.append("GET " + self.path)
        if self.path.rstrip("/") == "/v3":
            self.answer(200, {"version": {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": self.here + "/v3"}]}})
        elif self.path.rstrip("/") == "/volume/v3":
            self.answer(200, {"versions": [{
                "id": "v3.0", "status": "CURRENT", "version": "3.70", "min_version": "3.0", "links": [{"rel": "self", "href": self.here + "/volume/v3/"}]}]})
        elif self.path.startswith("/volume/v3/volumes/detail"):
            self.answer(200, {"volumes": []})
        elif self.path.rstrip("/") == "/compute/v2.1":
            self.answer(200, {"version": {
                "id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1", "links": [{"rel": "self", "href": self.here + "/compute/v2.1/"}]}})
        elif self.path.startswith("/compute/v2.1/servers/detail"):
            self.answer(200, {"servers": []})
        elif self.path.startswith("/network/v2.0/networks"):
            self.answer(200, {"networks": [{"id": "n1"}]})
        elif self.path.startswith("/image/v2/images"):
            self.answer(200, {"images": []})
        else:
            self.answer(404, {"error": {"message": "not here"}})

    def do_POST(self) -> None:
        self.sent.append("POST " + self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["auth"]["identity"]["password"]["user"]["password"] != "right":
            self.answer(401, {"error": {"message": "The request you have made requires authentication.", "code": 401}})
            return
        catalog = [
            {"type": kind, "name": kind, "id": kind, "endpoints": [
                {"interface": "public", "region": "one", "region_id": "one", "url": self.here + path, "id": kind}]}
            for kind, path in self.services.items()]
        self.answer(201, {"token": {
            "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z", "methods": ["password"], "catalog": catalog,
            "project": {"id": "p1", "name": "web", "domain": {"id": "default", "name": "Default"}}, "roles": [],
            "user": {"id": "u1", "name": "me", "domain": {"id": "default", "name": "Default"}}}})

    def answer(self, status: int, body: t.Any) -> None:
        """JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 201:
            self.send_header("X-Subject-Token", "a-token")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: t.Any) -> None:
        """In silence."""


@pytest.fixture
def keystone(monkeypatch: pytest.MonkeyPatch, tmp_path: t.Any) -> t.Iterator[str]:
    """An address to authenticate at, and an environment that says nothing else."""
    for name in ("OS_CLOUD", "OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_CLIENT_CONFIG_FILE", "OS_REGION_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Keystone.services = {"volumev3": "/volume/v3", "image": "/image"}
    Keystone.sent = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keystone) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield "http://127.0.0.1:%d/v3" % server.server_address[1]
        server.shutdown()
        thread.join()


def account(url: str, password: str = "right") -> t.Dict[str, str]:
    """The ``auth`` option."""
    return {"auth_url": url, "username": "me", "password": password, "project_name": "web", "user_domain_name": "Default",
            "project_domain_name": "Default"}


# --- options ---


def test_the_options_in_the_sdks_words() -> None:
    params = {"cloud": "web", "validate_certs": False, "ca_cert": "/ca", "client_cert": "/cert", "client_key": "/key", "api_timeout": 5,
              "interface": "internal", "auth": None, "auth_type": None, "region_name": None}
    assert configuration(params) == {
        "cloud": "web", "verify": False, "cacert": "/ca", "cert": "/cert", "key": "/key", "api_timeout": 5, "interface": "internal"}


def test_a_dict_is_a_complete_configuration() -> None:
    assert configuration({"cloud": {"auth": {"a": "b"}}, "interface": "public"}) == {"auth": {"a": "b"}}


@pytest.mark.parametrize("option, value", [("auth", {}), ("region_name", "one"), ("interface", "admin"), ("validate_certs", False)])
def test_a_dict_excludes_the_others(option: str, value: t.Any) -> None:
    with pytest.raises(InvalidInput, match="%s must not be given beside it" % option):
        configuration({"cloud": {"auth": {}}, option: value})


def test_a_cloud_is_a_name_or_a_dict() -> None:
    with pytest.raises(InvalidInput, match="found a list"):
        configuration({"cloud": ["web"]})


def test_what_is_secret_is_not_logged() -> None:
    spec = openstack_spec()
    assert [name for name, option in spec.items() if option.get("no_log")] == ["auth", "client_key"]


# --- connecting ---


def test_connecting_asks_nobody(keystone: str) -> None:
    Cloud.connect({"auth": account(keystone)})
    assert Keystone.sent == []


def test_one_token_for_all_services(keystone: str) -> None:
    cloud = Cloud.connect({"auth": account(keystone), "region_name": "one"})
    assert cloud.volumes.list() == []
    assert cloud.images.list() == []
    assert cloud.volumes is cloud.volumes and cloud.images is cloud.images
    assert [line for line in Keystone.sent if line.startswith("POST")] == ["POST /v3/auth/tokens"]
    assert "GET /volume/v3/volumes/detail" in Keystone.sent


def test_the_microversion_is_the_highest_that_both_know(keystone: str) -> None:
    volumes = Cloud.connect({"auth": account(keystone)}).volumes
    assert volumes.supports((3, 70)) and not volumes.supports((3, 71))
    assert volumes.project == "p1"


def test_nova_and_neutron(keystone: str) -> None:
    Keystone.services = {"compute": "/compute/v2.1", "network": "/network"}
    cloud = Cloud.connect({"auth": account(keystone)})
    assert cloud.servers.list() == [] and cloud.servers is cloud.servers
    assert cloud.servers.supports((2, 79)) and not cloud.servers.supports((2, 80))
    assert cloud.networks.find("network", "n1") == "n1" and cloud.networks is cloud.networks


def test_a_versioned_image_endpoint(keystone: str) -> None:
    Keystone.services = {"image": "/image/v2/"}
    assert Cloud.connect({"auth": account(keystone)}).images.list() == []


def test_the_official_service_type(keystone: str) -> None:
    Keystone.services = {"block-storage": "/volume/v3"}
    assert Cloud.connect({"auth": account(keystone)}).volumes.list() == []


def test_a_wrong_password_is_not_told(keystone: str) -> None:
    with pytest.raises(Denied) as caught:
        Cloud.connect({"auth": account(keystone, "geheim")}).volumes.list()
    assert "check auth" in caught.value.message and "geheim" not in caught.value.message


def test_no_such_service(keystone: str) -> None:
    Keystone.services = {"image": "/image"}
    with pytest.raises(NotFound, match="find Cinder's address: .*block-storage service.*check region_name and interface"):
        Cloud.connect({"auth": account(keystone)}).volumes


def test_no_such_region(keystone: str) -> None:
    with pytest.raises(NotFound, match="find Glance's address: .*two.*check region_name"):
        Cloud.connect({"auth": account(keystone), "region_name": "two"}).images


def test_no_such_cloud(keystone: str) -> None:
    with pytest.raises(InvalidInput, match="Cloud nix was not found; check cloud"):
        Cloud.connect({"cloud": "nix"})


def test_nothing_given(keystone: str) -> None:
    with pytest.raises(InvalidInput, match="auth_url"):
        Cloud.connect({})


def test_nobody_there() -> None:
    with pytest.raises(BackendError, match="Connection refused; check auth.auth_url"):
        Cloud.connect({"auth": account("http://127.0.0.1:1/v3")}).volumes
