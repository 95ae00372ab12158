# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes into and out of images through the ``rbd`` command, as the stream of changes that it imports and exports.

The stream (doc/dev/rbd-diff.rst of Ceph, version 1): a line that names it, then records of a letter, little-endian 64-bit numbers and data:
``s`` size, ``w`` offset length data, ``z`` offset length (zeroes), ``e`` the end. ``f`` and ``t`` name snapshots, with a 32-bit length.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Handle
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import check_within

HEADER = b"rbd diff v1\n"

# Runs a command that reads from, or writes to, the open file it is given, to its end.
Transfer = t.Callable[[int], object]


class _Pump:
    """A command at one end of a pipe, in a thread of its own."""

    def __init__(self, transfer: Transfer, theirs: int) -> None:
        self._transfer = transfer
        self._theirs = theirs
        self._error: t.Optional[Exception] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._transfer(self._theirs)
        except Exception as error:  # raised again in finish, where somebody hears it
            self._error = error
        finally:
            os.close(self._theirs)  # or whoever is at the other end would wait for ever

    def finish(self) -> None:
        """Wait for the command's end, and raise what it said if it failed."""
        self._thread.join()
        if self._error is not None:
            raise self._error


class Feed:
    """Writes into an image. What is written twice must go through two of them: the command promises no order.

    :ivar reached: Where the bytes end that were given so far.
    """

    def __init__(self, transfer: Transfer) -> None:
        theirs, ours = os.pipe()
        self._pump = _Pump(transfer, theirs)
        self._file = open(ours, "wb")
        self.reached = 0
        self._put(HEADER)

    def write(self, offset: int, data: bytes) -> None:
        """Bytes at an offset beyond all earlier ones."""
        self._put(struct.pack("<cQQ", b"w", offset, len(data)), data)
        self.reached = offset + len(data)

    def zero(self, offset: int, length: int) -> None:
        """Zeroes at an offset beyond all earlier bytes."""
        self._put(struct.pack("<cQQ", b"z", offset, length))
        self.reached = offset + length

    def _put(self, *parts: bytes) -> None:
        try:
            for part in parts:
                self._file.write(part)
        except BrokenPipeError:
            self._pump.finish()
            raise BackendError("rbd import-diff ended before it had everything") from None

    def finish(self) -> None:
        """All is written; returns when the command has written it, too."""
        try:
            self._put(b"e")
            with contextlib.suppress(BrokenPipeError):  # the command's own words are better
                self._file.flush()
        finally:
            with contextlib.suppress(BrokenPipeError):
                self._file.close()
        self._pump.finish()

    def abort(self) -> None:
        """Leave it; the command fails for want of an end."""
        with contextlib.suppress(BrokenPipeError):
            self._file.close()
        with contextlib.suppress(Exception):
            self._pump.finish()


def fetch(transfer: Transfer, into: RawFile) -> None:
    """Read an image into an empty file, with its holes."""
    ours, theirs = os.pipe()
    pump = _Pump(transfer, theirs)
    try:
        with open(ours, "rb") as file:
            _decode(file, into)
    except BackendError:
        pump.finish()  # what the command says of it comes first
        raise
    pump.finish()


def _decode(file: t.BinaryIO, into: RawFile) -> None:
    if file.read(len(HEADER)) != HEADER:
        raise BackendError("rbd export-diff gave no stream of changes")
    while True:
        kind = file.read(1)
        if kind == b"e":
            return
        if kind in (b"f", b"t"):
            _exactly(file, struct.unpack("<I", _exactly(file, 4))[0])
        elif kind == b"s":
            _exactly(file, 8)
        elif kind in (b"w", b"z"):
            offset, length = struct.unpack("<QQ", _exactly(file, 16))
            while kind == b"w" and length:
                data = _exactly(file, min(length, MIB))
                into.write(offset, data)
                offset, length = offset + len(data), length - len(data)
        else:
            raise BackendError("rbd export-diff gave a stream that %s" % ("is unknown: %r" % kind if kind else "has no end"))


def _exactly(file: t.BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise BackendError("rbd export-diff ended in the middle of a record")
    return data


class StreamHandle(Handle):
    """An image that is written to front to back, and read from a private copy in a nameless temporary file.

    :param importing: Runs ``rbd import-diff`` on this image.
    :param exporting: Runs ``rbd export-diff`` on it.
    """

    def __init__(self, size: int, *, importing: t.Optional[Transfer], exporting: Transfer) -> None:
        self._size = size
        self._importing = importing
        self._exporting = exporting
        self._feed: t.Optional[Feed] = None
        self._copy: t.Optional[RawFile] = None
        self._closed = False

    def read(self, offset: int, length: int) -> bytes:
        self.flush()
        if self._copy is None:
            copy = RawFile.nameless()
            try:
                copy.resize(self._size)
                fetch(self._exporting, copy)
            except BaseException:
                copy.close()
                raise
            self._copy = copy
        return self._copy.read(offset, max(0, min(length, self._size - offset)))

    def write(self, offset: int, data: bytes) -> None:
        check_within(offset, len(data), self._size)
        if data:
            self._at(offset).write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        check_within(offset, length, self._size)
        if length:
            self._at(offset).zero(offset, length)

    def _at(self, offset: int) -> Feed:
        if self._importing is None or self._closed:
            raise InvalidInput("the volume is not open for writing")
        self._forget()
        if self._feed is not None and offset < self._feed.reached:
            self.flush()
        if self._feed is None:
            self._feed = Feed(self._importing)
        return self._feed

    def _forget(self) -> None:
        copy, self._copy = self._copy, None
        if copy is not None:
            copy.close()

    def flush(self) -> None:
        if self._closed:
            raise InvalidInput("the volume is not open any more")
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.finish()

    def close(self) -> None:
        if self._closed:
            return
        try:
            self.flush()
        finally:
            self._closed = True
            self._forget()

    def __exit__(self, *exception: object) -> None:
        if exception and exception[0] is not None and self._feed is not None:
            self._feed.abort()
            self._feed = None
        self.close()
