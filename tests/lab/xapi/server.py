"""HTTP(S): the calls and the transfers of one host, with the manners of the real one.

A transfer's 200 comes before its work. Whatever goes wrong then is told by the task; what is appended to the stream
says only that something did.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import json
import os
import select
import socket
import ssl
import struct
import threading
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import exporting, importing
from .disks import Disks
from .moving import Cut
from .ports import REQUEST_LIMIT, Front, Reset, Transfer, XapiError

FORMATS = ("raw", "vhd", "tar", "qcow2")
CONTENT_TYPES = {
    "raw": "application/octet-stream", "vhd": "application/vhd", "tar": "application/x-tar", "qcow2": "application/x-qemu-disk",
}
REASONS = {
    400: ("Bad Request", "The HTTP request was malformed. Please correct and retry."),
    401: ("Unauthorized", "Please check your credentials and retry."),
    403: ("Forbidden", "Access to the requested resource is forbidden."),
    404: ("Not Found", ""),
    500: ("Internal Error", "An unexpected error occurred; please wait a while and try again."),
}
LINGER = 1.0  # seconds in which a client may still read why it was refused, while it sends


class Refused(Exception):
    """A status instead of the 200. With a code, the caller's task fails with that."""

    def __init__(self, status: int, code: str = "", *params: str, location: str = "") -> None:
        super().__init__(status, code)
        self.status = status
        self.location = location
        self.failure = XapiError(code, *params) if code else None


def say_goodbye(connection: socket.socket) -> None:
    """TLS's own end of a stream: with it a client can tell an answer that was cut off from a whole one."""
    if isinstance(connection, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):
            connection.setblocking(False)
            connection.unwrap()


class HostServer(ThreadingHTTPServer):
    """One host of the pool."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, front: Front, host: str, disks: Disks, *, port: int = 0, context: ssl.SSLContext | None = None,
        more: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.front, self.host, self.disks, self.context = front, host, disks, context
        self.command = more or front.faults.command
        self.scheme = "https" if context else "http"
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self._open: set[socket.socket] = set()
        self._cut: set[socket.socket] = set()
        self._lock = threading.Lock()
        front.set_address(host, self.address)

    def get_request(self) -> tuple[socket.socket, Any]:
        """The handshake waits until the connection's own thread reads."""
        request, client = super().get_request()
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            except OSError:
                request.close()
                raise
        with self._lock:
            self._open.add(request)
        return request, client

    def shutdown_request(self, request: Any) -> None:
        """The end of a connection, unless it was cut."""
        with self._lock:
            self._open.discard(request)
            cut = request in self._cut
            self._cut.discard(request)
        if cut:
            request.close()
            return
        say_goodbye(request)
        super().shutdown_request(request)

    def cut(self, request: socket.socket) -> None:
        """The connection ends as if a cable was cut: what comes next for the client is a reset."""
        with contextlib.suppress(OSError):
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with self._lock:
            self._cut.add(request)

    def stop(self) -> None:
        """Ends it with all its connections."""
        self.shutdown()
        self.server_close()
        with self._lock:
            left, self._open = self._open, set()
        for request in left:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "XAPI simulator"
    server: HostServer

    def log_message(self, format: str, *args: Any) -> None:
        """The pool keeps a log of the calls."""

    def handle_expect_100(self) -> bool:
        """The real one knows no 100 Continue: the client waits in vain, and sends."""
        return True

    def handle(self) -> None:
        """A client that goes away, or knows nothing of our certificate, is its own trouble."""
        with contextlib.suppress(OSError):
            super().handle()

    def do_GET(self) -> None:
        """An export, or nothing."""
        self._transfer("/export_raw_vdi", self._export)

    def do_PUT(self) -> None:
        """An import, or nothing."""
        self._transfer("/import_raw_vdi", self._import)

    def do_POST(self) -> None:
        """A call, or a wish of a test."""
        path = urllib.parse.urlsplit(self.path).path
        front, host = self.server.front, self.server.host
        answer: Callable[[bytes], bytes]
        if path in ("/", "/RPC2"):
            answer, kind = functools.partial(front.xmlrpc, host), "text/xml"
        elif path == "/jsonrpc":
            answer, kind = functools.partial(front.jsonrpc, host), "application/json"
        elif path == "/simulator":
            answer, kind = self._wish, "application/json"
        else:
            return self._refuse(403)
        length = self.headers.get("Content-Length")
        if length is None or not length.isdigit() or int(length) > REQUEST_LIMIT:
            return self._refuse(500)
        try:
            body = answer(self.rfile.read(int(length)))
        except Reset:
            return self._reset()
        except ValueError:
            return self._refuse(500)
        self.send_response_only(200)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-cache, no-store"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _wish(self, body: bytes) -> bytes:
        try:
            answer = {"result": self.server.command(json.loads(body))}
        except (ValueError, XapiError) as error:
            answer = {"error": str(error)}
        return json.dumps(answer, default=str).encode()

    # --- transfers ---

    def _transfer(self, path: str, run: Callable[[dict[str, str], str], None]) -> None:
        """Who asks, for what, and whether this host has it; then `run`."""
        self.close_connection = True
        parts = urllib.parse.urlsplit(self.path)
        if parts.path != path:
            return self._refuse(403)
        query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        cookies = self._cookies()
        task = cookies.get("task_id", query.get("task_id"))
        session, own = "", False
        try:
            session, own = self._session(query, cookies)
            return run({**cookies, **query, **({"task_id": task} if task else {})}, session)
        except Refused as refused:
            no = refused
        except XapiError:
            no = Refused(500)
        with contextlib.suppress(XapiError):  # whatever is to be done comes before the answer
            if own:  # a transfer that was let in ends the session itself
                self.server.front.call(self.server.host, session, "session.logout", [])
        with contextlib.suppress(XapiError):
            if no.failure and task:
                self.server.front.fail_task(task, no.failure)
        self._refuse(no.status, location=no.location)

    def _session(self, query: dict[str, str], cookies: dict[str, str]) -> tuple[str, bool]:
        """(reference, whether it was made for this request): by session_id, which comes first, or by name and password."""
        front, host = self.server.front, self.server.host
        given = cookies.get("session_id", query.get("session_id"))
        try:
            if given is not None:
                return front.authorise(host, session=given), False
            user, password = self._basic()
            return front.authorise(host, user=user, password=password), True
        except XapiError as error:
            if error.code == "RBAC_PERMISSION_DENIED":
                raise Refused(403, error.code, *error.params) from error
            raise Refused(401) from error

    def _basic(self) -> tuple[str, str]:
        kind, dummy, given = self.headers.get("Authorization", "").partition(" ")
        if not kind:
            raise Refused(401)
        try:
            user, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Refused(500) from error
        if kind != "Basic" or not colon:
            raise Refused(500)
        return user, password

    def _cookies(self) -> dict[str, str]:
        text = self.headers.get("Cookie", "")
        pairs = (pair.strip().partition("=") for pair in text.split(";" if ";" in text else "&"))
        return {urllib.parse.unquote(name): urllib.parse.unquote(value) for name, dummy, value in pairs if name}

    def _here(self, wanted: dict[str, str]) -> None:
        """Raises Refused when another host has the disk; XapiError when there is none."""
        front = self.server.front
        other = front.serves(self.server.host, wanted["vdi"])
        if other:
            parts = urllib.parse.urlsplit(self.path)
            raise Refused(302, location=f"{self.server.scheme}://{front.address(other)}{parts.path}?{parts.query}")

    def _import(self, wanted: dict[str, str], session: str) -> None:
        if "vdi" not in wanted:
            raise Refused(400, "VDI_MISSING")
        self._here(wanted)
        kind = self._format(wanted)
        chunked = "chunked" in wanted
        if chunked and kind != "raw":
            raise Refused(404, "INTERNAL_ERROR", "Cannot handle chunked VHD")
        encoding = self.headers.get("Transfer-Encoding")
        if encoding:
            raise Refused(404, "INTERNAL_ERROR", f"Cannot handle encoding: {encoding}")
        length = self.headers.get("Content-Length")
        transfer = self.server.front.start_import(self.server.host, session, wanted["vdi"], task=wanted.get("task_id"))
        self._run(transfer, CONTENT_TYPES["raw"], lambda: importing.run(
            transfer, self.server.disks, self.rfile.read, kind, chunked=chunked,
            length=int(length) if length and length.isdigit() else None))

    def _export(self, wanted: dict[str, str], session: str) -> None:
        if "vdi" not in wanted:
            raise Refused(500)
        self._here(wanted)
        kind = self._format(wanted)
        transfer = self.server.front.start_export(
            self.server.host, session, wanted["vdi"], base=wanted.get("base"), task=wanted.get("task_id"))
        self._run(transfer, CONTENT_TYPES[kind], lambda: exporting.run(transfer, self.server.disks, self.wfile.write, kind), (
            f'content-disposition: attachment; filename="{transfer.vdi}.{kind}"',))

    @staticmethod
    def _format(wanted: dict[str, str]) -> str:
        kind = wanted.get("format", "raw").lower()
        if kind not in FORMATS:
            raise Refused(404, "INTERNAL_ERROR", f"Unknown format {wanted['format']}")
        return kind

    def _run(self, transfer: Transfer, content_type: str, work: Callable[[], None], headers: tuple[str, ...] = ()) -> None:
        """The 200, the work, and the end of the task."""
        try:
            self._lines("HTTP/1.1 200 OK", "Connection: close", "Cache-Control: no-cache, no-store", f"task-id: {transfer.task}",
                        f"content-type: {content_type}", *headers)
            work()
        except Cut:
            transfer.fail("VDI_IO_ERROR", "Device I/O errors")
            return self._reset()
        except XapiError as error:
            transfer.fail(error.code, *error.params)
        except OSError:
            transfer.fail("VDI_IO_ERROR", "Device I/O errors")
        except Exception as error:
            transfer.fail("INTERNAL_ERROR", repr(error))
            raise
        else:
            with contextlib.suppress(XapiError):
                return transfer.finish()
        with contextlib.suppress(OSError):
            self._lines("HTTP/1.1 400 Bad Request", "Connection: close", "Cache-Control: no-cache, no-store")
            self._refuse(500)

    # --- answers ---

    def _lines(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1"))
        self.wfile.flush()

    def _refuse(self, status: int, *, location: str = "") -> None:
        """An answer without a task, and the end of the connection."""
        self.close_connection = True
        if status == 302:
            self._lines("HTTP/1.1 302 Found", "Connection: close", "Cache-Control: no-cache, no-store", f"Location: {location}",
                        "Content-Length: 0")
        else:
            reason, text = REASONS[status]
            body = f"<html><body><h1>HTTP {status} {reason.lower()}</h1>{text}</body></html>"
            more = ('WWW-Authenticate: Basic realm="VDI.import"',) if status == 401 else ()
            self._lines(f"HTTP/1.1 {status} {reason}", "content-type: text/html", "Connection: close", "Cache-Control: no-cache, no-store",
                        f"Content-Length: {len(body)}", *more)
            self.wfile.write(body.encode())
        self._linger()

    def _linger(self) -> None:
        """Closing while the client sends would throw away the answer that it has not read yet."""
        with contextlib.suppress(OSError, ValueError):
            self.wfile.flush()
            say_goodbye(self.connection)
            self.connection.shutdown(socket.SHUT_WR)
            for dummy in range(64):
                if not select.select([self.connection.fileno()], [], [], LINGER)[0] or not os.read(self.connection.fileno(), 65536):
                    break

    def _reset(self) -> None:
        self.close_connection = True
        self.server.cut(self.connection)
