# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server on the loopback interface, with the faults of real ones."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
import typing as t


class Site:
    """What the server serves, and how badly.

    :ivar files: Path to content.
    :ivar cut_after: The connection is closed after so many bytes of an answer; None for never. ``cuts`` says how often.
    :ivar ranges: Whether it knows Range.
    :ivar length: Whether it tells how much will come.
    :ivar login: Whether it asks who is there.
    """

    def __init__(self) -> None:
        self.files: t.Dict[str, bytes] = {}
        self.cut_after: t.Optional[int] = None
        self.cuts = 1 << 30
        self.ranges = True
        self.length = True
        self.login = False
        self.asked: t.List[t.Tuple[str, t.Optional[str]]] = []
        self.credentials: t.List[t.Optional[str]] = []
        self.url = ""


class _Handler(http.server.BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.site.asked.append((self.path, wanted))
        self.site.credentials.append(self.headers.get("Authorization"))
        if self.site.login and not self.headers.get("Authorization"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="images"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.site.files.get(self.path.partition("?")[0])
        if body is None:
            self.send_error(404)
            return
        match = re.match(r"bytes=(\d+)-(\d*)$", wanted or "")
        if match and self.site.ranges:
            first, last = int(match.group(1)), min(int(match.group(2) or len(body)), len(body) - 1)
            self.send_response(206)
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, last, len(body)))
            body = body[first:last + 1]
        else:
            self.send_response(200)
        if self.site.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.site.cut_after is not None and len(body) > self.site.cut_after and self.site.cuts > 0:
            self.site.cuts -= 1
            body = body[:self.site.cut_after]
        with contextlib.suppress(OSError):  # who asked may have seen enough
            self.wfile.write(body)

    def log_message(self, *words: t.Any) -> None:
        pass


@contextlib.contextmanager
def serving() -> t.Iterator[Site]:
    """A site for the length of a ``with``."""
    site = Site()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    site.url = "http://127.0.0.1:%d" % server.server_address[1]
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
