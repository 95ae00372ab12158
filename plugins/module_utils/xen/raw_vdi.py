# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bytes of virtual disks, to and from a pool's hosts: ``/import_raw_vdi`` and ``/export_raw_vdi``.

The host answers 200 before it has read a byte, and has nobody to tell of what goes wrong later: **the task alone says
whether the bytes arrived**. A host that does not see the disk's repository sends to another one (302).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import typing as t
import urllib.parse

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import tasks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenDenied, XenFailure
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import unreachable

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool

Data = t.Union[bytes, bytearray, memoryview]

# What is sent at once: the socket's time limit is one for this much.
PIECE = MIB

# A frame of the chunked format: where, how much, and then the bytes. Offset and length zero end it.
_FRAME = struct.Struct("<QI")

# Smaller pieces go out together with the head of their frame.
_SMALL = 64 * KIB

# Seconds for a task to say what went wrong, or to let go of the disk, after the connection broke.
_VERDICT = 30.0

_REDIRECTS = 3
_BY_STATUS: t.Mapping[int, t.Tuple[t.Type[VolumesError], str]] = {
    401: (XenDenied, "the session or the password is refused"),
    403: (XenDenied, "the user may not move disks; use a username with the role vm-admin or higher"),
    404: (InvalidInput, "the host does not take disks in this format"),
    500: (NotFound, "the disk is gone, or the host failed"),
}


class _Answer(t.NamedTuple):
    """The head of a host's answer, and the connection that the rest comes from."""

    status: int
    reason: str
    fields: t.Mapping[str, str]
    sock: socket.socket
    file: t.BinaryIO

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self.file.close()
        with contextlib.suppress(OSError):
            self.sock.close()


def _request(pool: Pool, method: str, path: str, query: t.Mapping[str, str], task: str, length: t.Optional[int], what: str) -> _Answer:
    """The answer's head to a request's head, from whichever host of the pool it is that gives one.

    The session goes into a cookie: addresses are written to logs.

    :param length: The body's, if there is one and it is known.
    """
    url = "%s%s?%s" % (pool.url, path, urllib.parse.urlencode(query))
    cookie = "session_id=%s; task_id=%s" % (pool.session_id, task)
    for dummy in range(_REDIRECTS):
        answer = _ask(pool, method, url, cookie, length)
        if answer.status == 200:
            return answer
        answer.close()
        if answer.status not in (301, 302, 307) or "location" not in answer.fields:
            break
        url = _followed(url, answer.fields["location"])
    kind, words = _BY_STATUS.get(answer.status, (BackendError, "the host refuses"))
    raise kind("%s: %s (HTTP %d %s)" % (what, words, answer.status, answer.reason), http_status=answer.status)


def _followed(url: str, location: str) -> str:
    """Where a host sends to; never from a protected connection to a plain one."""
    old, new = urllib.parse.urlsplit(url), urllib.parse.urlsplit(location)
    scheme = "https" if "https" in (old.scheme, new.scheme) else "http"
    return urllib.parse.urlunsplit((scheme, new.netloc or old.netloc, new.path or old.path, new.query or old.query, ""))


def _ask(pool: Pool, method: str, url: str, cookie: str, length: t.Optional[int]) -> _Answer:
    parts = urllib.parse.urlsplit(url)
    fields = {"Host": parts.netloc, "Cookie": cookie, "User-Agent": "bootable.volumes", "Connection": "close"}
    if length is not None:
        fields["Content-Length"] = str(length)
    head = "%s %s?%s HTTP/1.1\r\n%s\r\n" % (method, parts.path, parts.query, "".join("%s: %s\r\n" % item for item in fields.items()))
    shown = "%s://%s" % (parts.scheme, parts.netloc)
    sock: t.Optional[socket.socket] = None
    try:
        sock = socket.create_connection((parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)), timeout=pool.timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme == "https":
            sock = (pool.context or _unverified()).wrap_socket(sock, server_hostname=parts.hostname)
        sock.sendall(head.encode("ascii"))
        file = t.cast(t.BinaryIO, sock.makefile("rb", buffering=PIECE))
        status, reason, answered = _head(file)
    except (OSError, ValueError) as error:
        if sock is not None:
            sock.close()
        raise unreachable(shown, error) from None
    return _Answer(status, reason, answered, sock, file)


def _unverified() -> ssl.SSLContext:
    """For a pool that was asked for in the clear, and sends to a host in other words: no worse than before."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _head(file: t.BinaryIO) -> t.Tuple[int, str, t.Dict[str, str]]:
    """Status, reason and fields of an answer.

    :raises ValueError: it is none.
    """
    lines = []
    for dummy in range(100):
        line = file.readline(64 * KIB).decode("iso-8859-1").rstrip("\r\n")
        if not line:
            break
        lines.append(line)
    if not lines or not lines[0].startswith("HTTP/"):
        raise ValueError("the answer is not HTTP's")
    dummy_version, status, reason = (lines[0].split(None, 2) + ["", ""])[:3]
    fields = dict(line.split(":", 1) for line in lines[1:] if ":" in line)
    return int(status), reason, {name.strip().lower(): value.strip() for name, value in fields.items()}


class _Transfer:
    """A request for a disk's bytes, with the task that says what has become of it."""

    def __init__(self, pool: Pool, deadline: Deadline, what: str) -> None:
        self._pool = pool
        self._deadline = deadline
        self._what = what
        self._task = pool.create_task("bootable.volumes: %s" % what)
        self._answer: t.Optional[_Answer] = None

    def _break_off(self) -> None:
        """Hang up, and return when the host has let go of the disk: until it has, nobody else gets at it."""
        self._hang_up()
        if self._task:
            with contextlib.suppress(VolumesError):
                self._verdict()
            self._forget()

    def _verdict(self) -> None:
        """The task's failure, if it fails soon.

        :raises XenFailure: as it did.
        """
        clock = self._deadline.clock
        give_up = clock.now() + min(_VERDICT, max(1.0, self._deadline.remaining()))
        while clock.now() < give_up:
            try:
                if tasks.look(self._pool, self._task, self._what) is not None:
                    return
            except XenFailure:
                raise
            except BackendError:
                pass  # whatever broke the connection may have broken this one, too
            clock.sleep(0.2)

    def _hang_up(self) -> None:
        if self._answer is not None:
            answer, self._answer = self._answer, None
            answer.close()

    def _forget(self) -> None:
        if self._task:
            task, self._task = self._task, ""
            with contextlib.suppress(VolumesError):
                self._pool.call("task.destroy", task)


# --- to a host ---


class _Upload(_Transfer):
    """A PUT that is under way.

    :param length: Of the body; None where the format itself says when it ends.
    :param what: For messages: ``write the disk web-1``.
    """

    def __init__(self, pool: Pool, vdi: str, query: t.Mapping[str, str], length: t.Optional[int], deadline: Deadline, what: str) -> None:
        super().__init__(pool, deadline, what)
        self._left = length
        try:
            self._answer = _request(pool, "PUT", "/import_raw_vdi", dict(query, vdi=vdi), self._task, length, "could not %s" % what)
        except BaseException:
            self._forget()
            raise

    def send(self, data: Data) -> None:
        """The next bytes.

        :raises XenFailure: the task has failed meanwhile.
        """
        view = memoryview(data)
        if self._left is not None:
            self._left -= len(view)
        for offset in range(0, len(view), PIECE):
            self._deadline.check("XAPI to %s" % self._what)
            try:
                t.cast(_Answer, self._answer).sock.sendall(view[offset:offset + PIECE])
            except OSError as error:
                self._broken(error)

    def finish(self) -> None:
        """All was sent: return when the host has written it.

        :raises XenFailure: it could not.
        """
        if self._left:  # the host would wait for the rest, for ever
            raise BackendError("could not %s: it was announced with %d bytes more than it has" % (self._what, self._left))
        try:
            tasks.wait(self._pool, self._task, self._deadline, self._what)
        finally:
            self._hang_up()
            self._forget()

    def abort(self) -> None:
        """Break off; what was written stays written. May be called twice."""
        self._break_off()

    def _broken(self, error: OSError) -> t.NoReturn:
        """The host hung up. Why is for the task to say."""
        self._hang_up()
        try:
            self._verdict()
        finally:
            self._forget()
        words = "it did not take any bytes for %d s" % self._pool.timeout if isinstance(error, socket.timeout) else error.strerror or type(error).__name__
        raise BackendError("XAPI did not %s: the connection broke: %s" % (self._what, words)) from None


class VhdPut(_Upload):
    """Writes a dynamic or differencing VHD into a disk: the sectors that it has, and no others.

    :param vdi: The disk's reference.
    :param length: Bytes of the VHD, exactly: the host looks for the footer at the end.
    :param what: For messages: ``write the disk web-1``.
    :raises XenFailure: as soon as the host is seen to fail; so do ``send`` and ``finish``.
    """

    def __init__(self, pool: Pool, vdi: str, *, length: int, deadline: Deadline, what: str) -> None:
        super().__init__(pool, vdi, {"format": "vhd"}, length, deadline, what)


class ChunkedPut:
    """Writes stretches of a disk, and leaves alone what lies between them. Nothing is sent before the first ``write``.

    :param vdi: The disk's reference.
    """

    def __init__(self, pool: Pool, vdi: str, *, deadline: Deadline, what: str) -> None:
        self._pool = pool
        self._vdi = vdi
        self._deadline = deadline
        self._what = what
        self._upload: t.Optional[_Upload] = None

    def write(self, offset: int, data: Data) -> None:
        """Bytes at an offset, in any order; of what overlaps, the last counts."""
        if not len(data):
            return  # a frame without bytes would end the transfer
        if self._upload is None:
            self._upload = _Upload(self._pool, self._vdi, {"format": "raw", "chunked": "true"}, None, self._deadline, self._what)
        view = memoryview(data)
        for start in range(0, len(view), PIECE):
            piece = view[start:start + PIECE]
            head = _FRAME.pack(offset + start, len(piece))
            if len(piece) < _SMALL:
                self._upload.send(head + piece)
            else:
                self._upload.send(head)
                self._upload.send(piece)

    def finish(self) -> None:
        """Return when everything has been written; ``write`` may go on after that.

        :raises XenFailure: it could not be written, or only in part.
        """
        if self._upload is None:
            return
        upload, self._upload = self._upload, None
        try:
            upload.send(_FRAME.pack(0, 0))
            upload.finish()
        finally:
            upload.abort()

    def abort(self) -> None:
        """Break off what is under way. May be called twice."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            upload.abort()


# --- from a host ---


class Download(_Transfer):
    """The content of a disk, in one forward pass. A context manager that hangs up.

    :param vdi: The disk's reference; no running machine may have it writable.
    :param format: ``vhd`` or ``raw``.
    :param base: The reference of another disk; then the VHD has only what differs from it.
    :param what: For messages: ``read the disk web-1``.
    """

    def __init__(self, pool: Pool, vdi: str, *, format: str, deadline: Deadline, what: str, base: t.Optional[str] = None) -> None:
        super().__init__(pool, deadline, what)
        query = {"vdi": vdi, "format": format}
        if base:
            query["base"] = base
        try:
            self._answer = _request(pool, "GET", "/export_raw_vdi", query, self._task, None, "could not %s" % what)
        except BaseException:
            self._forget()
            raise

    def read(self, length: int) -> bytes:
        """``length`` bytes; fewer only at the end, whose meaning ``finish`` tells."""
        self._deadline.check("XAPI to %s" % self._what)
        try:
            return t.cast(_Answer, self._answer).file.read(length)
        except OSError as error:
            try:
                self.check()
            except XenFailure:
                raise
            except BackendError:  # whatever broke the connection may have broken this one, too
                pass
            raise unreachable(self._pool.url, error) from None

    def check(self) -> bool:
        """Whether the host has sent everything; if not, what came until now is the disk's.

        :raises XenFailure: the host has failed, and says so amid the bytes.
        """
        return not self._task or tasks.look(self._pool, self._task, self._what) is not None

    def finish(self) -> None:
        """Everything was read: return if it was the whole disk.

        :raises XenFailure: the host failed.
        """
        if not self._task:
            return
        with contextlib.suppress(OSError):  # what is left is at most an error in HTTP's words, which the task has in better ones
            t.cast(_Answer, self._answer).file.read(64 * KIB)
        tasks.wait(self._pool, self._task, self._deadline, self._what)
        self._forget()

    def close(self) -> None:
        """Hang up. May be called twice."""
        self._break_off()

    def __enter__(self) -> Download:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
