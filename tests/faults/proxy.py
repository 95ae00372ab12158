"""A reverse proxy on loopback between a module and one real service: it records every request, and breaks what a test tells it to."""

from __future__ import annotations

import http.client
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable
from urllib.parse import urlsplit

# Meant for one connection only (RFC 9110, 7.6.1), so not passed on.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}
BLOCK = 256 * 1024


@dataclass
class Fault:
    """What goes wrong with a request.

    :param when: Given method and path: whether this request is meant.
    :param times: How often; then requests pass.
    :param status: Answer this status instead of asking the service.
    :param body: With this body.
    :param cut_after: Break the connection after this many bytes of the service's answer.
    :param garble: Change every block of the service's answer.
    :param during: Called with the number of bytes passed on so far, after each block.
    :param cut_sent_after: Break the connection after this many bytes of an upload.
    :param garble_sent: Change every block of an upload.
    :param sending: Called with the number of bytes of an upload that have come so far, before they are passed on.
    :param before: Called before the service is asked, with the method and the path.
    :param after: Called when the service has answered, before the answer is passed on.
    """

    when: Callable[[str, str], bool]
    times: int = 1
    status: int | None = None
    body: bytes = b""
    cut_after: int | None = None
    garble: bool = False
    during: Callable[[int], None] = lambda passed: None
    cut_sent_after: int | None = None
    garble_sent: bool = False
    sending: Callable[[int], None] = lambda passed: None
    before: Callable[[str, str], None] = lambda method, path: None
    after: Callable[[str, str], None] = lambda method, path: None


@dataclass
class Proxy:
    """Started by ``with``; ``url`` stands in for the service's address.

    :param target: The service's real address, ``http://127.0.0.1:port``.
    """

    target: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Proxy:
        proxy = self
        self._lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

            def log_message(self, *arguments: object) -> None:
                pass

            def __getattr__(self, name: str) -> Callable[[], None]:
                if name.startswith("do_"):
                    return lambda: proxy._pass(self)
                raise AttributeError(name)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where the proxy listens."""
        return "http://127.0.0.1:%d" % self._server.server_address[1]

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The requests that were not mere looking."""
        return [request for request in self.requests if request[0] not in ("GET", "HEAD", "OPTIONS")]

    def _fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.requests.append((method, path))
            for fault in self.faults:
                if fault.times > 0 and fault.when(method, path):
                    fault.times -= 1
                    return fault
        return None

    def _pass(self, handler: BaseHTTPRequestHandler) -> None:
        body = self._body(handler)
        fault = self._fault(handler.command, handler.path)
        if fault:
            fault.before(handler.command, handler.path)
            if isinstance(body, Iterator):
                body = self._sent(body, fault)
            if fault.status is not None:
                deque(body or (), maxlen=0)
                self._answer(handler, fault.status, [("Content-Type", "application/json"), ("Content-Length", str(len(fault.body)))], fault.body)
                return
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=120)
        try:
            headers = {name: value for name, value in handler.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(handler.command, handler.path, body=body, headers=headers)
            answer = connection.getresponse()
            if fault:
                fault.after(handler.command, handler.path)
            self._stream(handler, answer, fault)
        finally:
            connection.close()

    def _body(self, handler: BaseHTTPRequestHandler) -> bytes | Iterator[bytes] | None:
        """The request's body; an upload, whose length nobody tells, piece by piece as it comes."""
        if handler.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks(handler)
        length = int(handler.headers.get("Content-Length") or 0)
        return handler.rfile.read(length) if length else None

    @staticmethod
    def _chunks(handler: BaseHTTPRequestHandler) -> Iterator[bytes]:
        while True:
            size = handler.rfile.readline()
            if not size.endswith(b"\n"):
                raise ConnectionResetError("the client went away")
            length = int(size.split(b";")[0], 16)
            chunk = handler.rfile.read(length)
            handler.rfile.readline()
            if len(chunk) < length:
                raise ConnectionResetError("the client went away")
            if not length:
                return
            yield chunk

    @staticmethod
    def _sent(chunks: Iterator[bytes], fault: Fault) -> Iterator[bytes]:
        """An upload as the fault leaves it."""
        passed = 0
        for chunk in chunks:
            if fault.cut_sent_after is not None and passed + len(chunk) > fault.cut_sent_after:
                raise ConnectionResetError("a fault")
            passed += len(chunk)
            fault.sending(passed)
            yield bytes([chunk[0] ^ 1]) + chunk[1:] if fault.garble_sent else chunk

    @staticmethod
    def _answer(handler: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        handler.send_response_only(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def _stream(self, handler: BaseHTTPRequestHandler, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
        if answer.getheader("Content-Length") is None:
            # no length: the end of the connection is the end of the answer
            handler.close_connection = True
            headers.append(("Connection", "close"))
        self._answer(handler, answer.status, headers, b"")
        passed, end = 0, fault.cut_after if fault else None
        while end is None or passed < end:
            block = answer.read(BLOCK if end is None else min(BLOCK, end - passed))
            if not block:
                return
            if fault and fault.garble:
                block = bytes([block[0] ^ 1]) + block[1:]
            handler.wfile.write(block)
            passed += len(block)
            if fault:
                fault.during(passed)
        handler.close_connection = True
        handler.connection.close()
