# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An open disk of a pool: written through one transfer, read in one pass forward; whoever goes back begins another."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Handle
from ansible_collections.bootable.volumes.plugins.module_utils.xen.raw_vdi import ChunkedPut, Download

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool

SECTOR = 512
_ZEROES = bytes(MIB)


class XenHandle(Handle):
    """One disk. Whole sectors go out at once; what is written of a sector in part waits for the rest, or for the old content.

    :param vdi: The disk's reference.
    :param size: Bytes.
    :param blank: The disk reads as zeroes.
    """

    def __init__(self, pool: Pool, vdi: str, name: str, size: int, deadline: Deadline, *, writable: bool, blank: bool = False) -> None:
        self._pool = pool
        self._vdi = vdi
        self._name = name
        self._size = size
        self._deadline = deadline
        self._put = ChunkedPut(pool, vdi, deadline=deadline, what="write the disk %s" % name) if writable else None
        self._blank_from: t.Optional[int] = 0 if blank else None
        self._edge: t.Tuple[int, bytes] = (0, b"")
        self._download: t.Optional[Download] = None
        self._position = 0
        self._closed = False

    # --- reading ---

    def read(self, offset: int, length: int) -> bytes:
        self._expect_open()
        self._write_out()
        length = max(0, min(length, self._size - offset))
        if not length:
            return b""
        if self._download is None or offset < self._position:
            self._stop_reading()
            self._download = Download(self._pool, self._vdi, format="raw", deadline=self._deadline, what="read the disk %s" % self._name)
            self._position = 0
        while self._position < offset:
            self._next(min(MIB, offset - self._position))
        data = self._next(length)
        if self._position == self._size:
            self._download.finish()
        return data

    def _next(self, length: int) -> bytes:
        download = t.cast(Download, self._download)
        data = download.read(length)
        if len(data) < length:
            download.finish()
            raise BackendError("XAPI did not read the disk %s to its end: it ended after %d of %d bytes" % (
                self._name, self._position + len(data), self._size))
        self._position += length
        return data

    def _stop_reading(self) -> None:
        """Hang up.

        :raises XenFailure: the host had failed: what was read may be its words for that.
        """
        if self._download is not None:
            download, self._download = self._download, None
            with download:
                if self._position < self._size:
                    download.check()

    # --- writing ---

    def write(self, offset: int, data: bytes) -> None:
        put = self._writing(offset, len(data))
        if not data:
            return
        self._stop_reading()
        start, begun = self._edge
        if begun and offset == start + len(begun):
            offset, data, self._edge = start, begun + data, (0, b"")
        self._settle()
        before = offset % SECTOR
        if before:
            offset, data = offset - before, self._sector(offset - before)[:before] + data
        whole = len(data) - len(data) % SECTOR
        if whole:
            put.write(offset, memoryview(data)[:whole] if whole < len(data) else data)
            self._written_to(offset + whole)
        self._edge = (offset + whole, bytes(data[whole:]))

    def zero(self, offset: int, length: int) -> None:
        self._writing(offset, length)
        end = offset + length
        while offset < end:
            if self._is_blank(offset) and not self._edge[1]:
                return
            step = min(MIB - offset % MIB, end - offset)
            self.write(offset, _ZEROES[:step])
            offset += step

    def flush(self) -> None:
        self._expect_open()
        self._write_out()

    def close(self) -> None:
        if self._closed:
            return
        try:
            self._write_out()
            self._stop_reading()
        finally:
            self._break_off()

    def __exit__(self, *exception: object) -> None:
        if exception and exception[0] is not None:
            self._break_off()  # half of the writes are worth nothing, and waiting for the pool may be what went wrong
        self.close()

    def _break_off(self) -> None:
        self._closed = True
        if self._put is not None:
            self._put.abort()
        if self._download is not None:
            self._download.close()

    def _write_out(self) -> None:
        if self._put is not None:
            self._settle()
            self._put.finish()

    def _settle(self) -> None:
        """Write the sector of which only a part has come, with its old content."""
        offset, begun = self._edge
        if begun:
            self._edge = (0, b"")
            data = begun + self._sector(offset)[len(begun):]
            t.cast(ChunkedPut, self._put).write(offset, data)
            self._written_to(offset + SECTOR)

    def _sector(self, offset: int) -> bytes:
        """A sector as the disk has it now."""
        if self._is_blank(offset):
            return bytes(SECTOR)
        t.cast(ChunkedPut, self._put).finish()
        with Download(self._pool, self._vdi, format="raw", deadline=self._deadline, what="read the disk %s" % self._name) as download:
            at = 0
            while at < offset:
                part = download.read(min(MIB, offset - at))
                if not part:
                    break
                at += len(part)
            data = download.read(SECTOR)
            download.check()
        if len(data) < SECTOR:
            raise BackendError("XAPI did not read the disk %s up to byte %d" % (self._name, offset))
        return data

    def _is_blank(self, offset: int) -> bool:
        """Whether from there on nothing was ever written."""
        return self._blank_from is not None and offset >= self._blank_from

    def _written_to(self, end: int) -> None:
        if self._blank_from is not None:
            self._blank_from = max(self._blank_from, end)

    def _writing(self, offset: int, length: int) -> ChunkedPut:
        self._expect_open()
        if self._put is None:
            raise InvalidInput("the disk %s is open for reading only" % self._name)
        if offset < 0 or offset + length > self._size:
            raise InvalidInput("bytes %d to %d are beyond the end of the disk %s at %d" % (offset, offset + length, self._name, self._size))
        return self._put

    def _expect_open(self) -> None:
        if self._closed:
            raise InvalidInput("the disk %s is not open any more" % self._name)
