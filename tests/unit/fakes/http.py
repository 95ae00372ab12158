# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""REST services in memory: what the real clients send is answered without a socket."""

from __future__ import annotations

import io
import json
import re
import threading
import typing as t
import urllib.parse
from dataclasses import dataclass, field

import requests
import urllib3
from keystoneauth1 import session, token_endpoint
from requests.adapters import BaseAdapter

# What Cinder and Glance call their errors.
FAULTS = {400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 409: "conflictingRequest", 413: "overLimit", 500: "computeFault"}


class Refused(Exception):
    """A service's no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


@dataclass
class Request:
    """What a client sent."""

    method: str
    path: str
    query: t.Dict[str, str]
    headers: t.Mapping[str, str]
    body: bytes

    @property
    def json(self) -> t.Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def line(self) -> str:
        """To compare with."""
        return "%s %s" % (self.method, self.path)


@dataclass
class Stream:
    """An answer of bytes.

    :ivar cut: Bytes after which the connection breaks; None for none.
    """

    data: bytes
    headers: t.Dict[str, str] = field(default_factory=dict)
    cut: t.Optional[int] = None


class Service(BaseAdapter):
    """Answers requests by routes; one at a time, as a data base would have it.

    :ivar sent: Every request's method and path, in order.
    :ivar interrupt: Called with each request before it is answered; tests let other things happen there, or raise.
    """

    ROUTES: t.Tuple[t.Tuple[str, str, str], ...] = ()

    def __init__(self, url: str, unknown: str) -> None:
        super().__init__()
        self.url = url
        self.sent: t.List[str] = []
        self.interrupt: t.Callable[[Request], None] = lambda request: None
        self._lock = threading.RLock()

    def before(self, request: Request) -> None:
        """Called with each request, under the lock."""
        self.sent.append(request.line)

    def writes(self) -> t.List[str]:
        """The requests that were no mere looking."""
        return [line for line in self.sent if not line.startswith(("GET ", "HEAD "))]

    def send(self, request: requests.PreparedRequest, **how: t.Any) -> requests.Response:
        """Answer what keystoneauth's session sends."""
        parts = urllib.parse.urlsplit(t.cast(str, request.url))
        asked = Request(
            t.cast(str, request.method), parts.path[len(urllib.parse.urlsplit(self.url).path):], dict(urllib.parse.parse_qsl(parts.query)),
            request.headers, self._body(request))
        try:
            self.interrupt(asked)
            with self._lock:
                self.before(asked)
                status, answer = self._answer(asked)
        except Refused as refused:
            status, answer = refused.status, {FAULTS.get(refused.status, "fault"): {"code": refused.status, "message": refused.message}}
        except ConnectionError as error:
            raise requests.exceptions.ConnectionError(error) from error
        return self._response(request, status, answer)

    @staticmethod
    def _body(request: requests.PreparedRequest) -> bytes:
        body: t.Any = request.body or b""
        try:
            return body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b"".join(body)
        except OSError as error:  # as urllib3 does when a body breaks while it is sent
            raise requests.exceptions.ConnectionError(error) from error

    def _answer(self, asked: Request) -> t.Tuple[int, t.Any]:
        for method, pattern, handler in self.ROUTES:
            match = re.match(pattern + "$", asked.path)
            if match and method == asked.method:
                return t.cast(t.Tuple[int, t.Any], getattr(self, handler)(asked, **match.groupdict()))
        raise Refused(404, "The resource could not be found: %s" % asked.line)

    @staticmethod
    def _response(request: requests.PreparedRequest, status: int, answer: t.Any) -> requests.Response:
        response = requests.Response()
        response.status_code = status
        response.request = request
        response.url = t.cast(str, request.url)
        headers = {"Content-Type": "application/json", "x-openstack-request-id": "req-1"}
        length: t.Optional[int] = None
        if isinstance(answer, Stream):
            body = answer.data if answer.cut is None else answer.data[:answer.cut]
            length = len(answer.data)
            headers.update({"Content-Type": "application/octet-stream", "Content-Length": str(length)}, **answer.headers)
        elif isinstance(answer, str):
            body = answer.encode()
            headers["Content-Type"] = "text/html; charset=UTF-8"
        else:
            body = b"" if answer is None else json.dumps(answer).encode()
            headers["Content-Type"] = "text/html" if answer is None else "application/json"
        response.headers.update(headers)
        response.raw = urllib3.HTTPResponse(
            body=io.BytesIO(body), headers=headers, status=status, preload_content=False, enforce_content_length=length is not None,
            request_method=request.method)
        return response

    def close(self) -> None:
        """Nothing is open."""


def session_with(*services: Service) -> session.Session:
    """A keystoneauth session, authenticated already, that reaches these services."""
    made = session.Session(auth=token_endpoint.Token("http://nowhere", "a-token"))
    for service in services:
        made.session.mount(service.url, service)
    return made
