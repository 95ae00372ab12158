# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, Drift, InUse, InvalidInput, NoRoom, NotFound, VolumesError,
)
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import BY_NAME, BY_STATUS, Denied, translate, translated

cinder = pytest.importorskip("cinderclient.exceptions")
glance = pytest.importorskip("glanceclient.exc")
keystone = pytest.importorskip("keystoneauth1.exceptions")
config = pytest.importorskip("openstack.exceptions")
requests = pytest.importorskip("requests")
urllib3 = pytest.importorskip("urllib3")


class Answer:
    """As much of a response as the clients look at."""

    def __init__(self, status: int, body: t.Any, content_type: str = "application/json") -> None:
        self.status_code = status
        self.headers = {"content-type": content_type, "Content-Type": content_type}
        self.reason = "Reason"
        self.text = body if isinstance(body, str) else ""
        self._body = body

    def json(self) -> t.Any:
        if isinstance(self._body, str):
            raise ValueError("no JSON")
        return self._body


GLANCE_IN_USE = """<html>
 <head>
  <title>409 Conflict</title>
 </head>
 <body>
  <h1>409 Conflict</h1>
  Image 1 could not be deleted because it is in use: it has snapshots.<br /><br />
 </body>
</html>"""


@pytest.mark.parametrize("error, kind, words", [
    (cinder.BadRequest(400, "Size of specified image 2GB is larger than volume size 1GB."), InvalidInput, "Size of specified image 2GB is larger"),
    (cinder.Unauthorized(401, "Authentication required"), Denied, "check auth"),
    (cinder.Forbidden(403, "Policy doesn't allow reset_status"), Denied, "Policy doesn't allow reset_status (HTTP 403)"),
    (cinder.NotFound(404, "Volume 1 could not be found."), NotFound, "Volume 1 could not be found (HTTP 404)"),
    (cinder.ClientException(409, "Conflict here"), InUse, "Conflict here (HTTP 409)"),
    (cinder.OverLimit(413, "Maximum number of volumes allowed (10) exceeded"), NoRoom, "Maximum number of volumes allowed (10) exceeded"),
    (cinder.ClientException(429, "Too many requests"), BackendError, "(HTTP 429)"),
    (cinder.ClientException(500, "Unexpected"), BackendError, "Unexpected (HTTP 500)"),
    (cinder.ClientException(503), BackendError, "(HTTP 503)"),
    (cinder.ConnectionError("Unable"), BackendError, "Unable"),
    (glance.HTTPBadRequest("Invalid disk format"), InvalidInput, "Invalid disk format (HTTP 400)"),
    (glance.HTTPForbidden("locked"), Denied, "locked (HTTP 403)"),
    (glance.HTTPNotFound("No image found with ID 1"), NotFound, "No image found with ID 1 (HTTP 404)"),
    (glance.from_response(Answer(409, GLANCE_IN_USE, "text/html"), b"body"), InUse, "do it: Image 1 could not be deleted because it is in use"),
    (glance.HTTPBadRequest("Image is already present at store &#x27;rbd&#x27;"), InvalidInput, "at store 'rbd' (HTTP 400)"),
    (glance.HTTPOverLimit("too large"), NoRoom, "too large (HTTP 413)"),
    (glance.HTTPServiceUnavailable("down"), BackendError, "down (HTTP 503)"),
    (glance.CommunicationError("no way"), BackendError, "no way; check that the service is up"),
    (glance.InvalidEndpoint("slow"), BackendError, "api_timeout"),
    (keystone.from_response(Answer(403, {"forbidden": {"message": "not you"}}), "GET", "u"), Denied, "not you (HTTP 403)"),
    (keystone.from_response(Answer(502, "Bad gateway", "text/plain"), "GET", "u"), BackendError, "(HTTP 502)"),
    (keystone.ConnectFailure("refused"), BackendError, "auth.auth_url"),
    (keystone.ConnectTimeout("slow"), BackendError, "api_timeout"),
    (keystone.SSLError("certificate verify failed"), BackendError, "ca_cert"),
    (keystone.EndpointNotFound(), NotFound, "region_name and interface"),
    (keystone.EmptyCatalog(), NotFound, "region_name and interface"),
    (keystone.DiscoveryFailure("nothing there"), BackendError, "auth.auth_url"),
    (keystone.NoMatchingPlugin("nix"), InvalidInput, "auth_type"),
    (config.ConfigException("Cloud x was not found."), InvalidInput, "Cloud x was not found; check cloud"),
    (requests.exceptions.ChunkedEncodingError("cut"), BackendError, "cut"),
    (urllib3.exceptions.ProtocolError("cut"), BackendError, "cut"),
    (OSError(5, "Input/output error"), BackendError, "Input/output error"),
])
def test_what_clients_raise(error: Exception, kind: t.Type[VolumesError], words: str) -> None:
    found = translate(error, "Cinder", "do it")
    assert found.__class__ is kind
    assert words in found.message
    assert found.message.startswith("Cinder")
    assert "\n" not in found.message


def test_a_mistake_of_our_own_stays_one() -> None:
    assert translate(TypeError("x"), "Cinder", "do it") is None
    with pytest.raises(TypeError), translated("Cinder", "do it"):
        raise TypeError("x")


def test_our_errors_pass() -> None:
    with pytest.raises(Drift, match="^it is$"), translated("Cinder", "do it"):
        raise Drift("it is")


def test_the_status_is_among_the_facts() -> None:
    found = translate(cinder.Forbidden(403, "no"), "Cinder", "do it")
    assert found is not None and found.details == {"http_status": 403}


@pytest.mark.parametrize("text, secret", [
    ("Cannot reach http://user:geheim@host/v3", "geheim"),
    ("{'auth': {'password': 'geheim'}}", "geheim"),
    ('body "password":"geheim"', "geheim"),
    ("token=geheim", "geheim"),
])
def test_secrets_are_not_repeated(text: str, secret: str) -> None:
    found = translate(cinder.BadRequest(400, text), "Cinder", "do it")
    assert found is not None and secret not in found.message and "***" in found.message


def test_what_requests_wraps_around_is_taken_off() -> None:
    words = ("Unable to establish connection to http://h:1/v3: HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: /v3 (Caused by "
             "NewConnectionError(\"HTTPConnection(host='h', port=1): Failed to establish a new connection: [Errno 111] Connection refused\"))")
    found = translate(keystone.ConnectFailure(words), "Keystone", "do it")
    assert found is not None
    assert found.message == (
        "Keystone: could not do it: Unable to establish connection to http://h:1/v3: Connection refused; "
        "check auth.auth_url and that the service is up")


def test_the_tables_are_about_our_errors() -> None:
    assert all(issubclass(kind, VolumesError) for kind in BY_STATUS.values())
    assert all(issubclass(kind, VolumesError) and advice for kind, advice in BY_NAME.values())
