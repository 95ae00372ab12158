# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An open VDI. Every command costs Sheepdog the reading of a whole inode, so bytes are gathered before they go, and come in large pieces."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Handle
from ansible_collections.bootable.volumes.plugins.module_utils.storage.sheepdog.dog import Dog

# What one command reads or writes.
PIECE = 32 * MIB


class SheepHandle(Handle):
    """One VDI.

    :param size: Where it ends.
    """

    def __init__(self, dog: Dog, name: str, size: int, *, write: bool) -> None:
        self._dog = dog
        self._name = name
        self._size = size
        self._write = write
        self._open = True
        self._gathered = bytearray()
        self._at = 0
        self._window: t.Tuple[int, bytes] = (0, b"")

    def read(self, offset: int, length: int) -> bytes:
        self.flush()
        end = min(offset + length, self._size)
        parts = []
        while offset < end:
            start, data = self._window
            if not start <= offset < start + len(data):
                start, data = self._window = (offset, self._fetch(offset, min(PIECE, self._size - offset)))
            parts.append(data[offset - start:end - start])
            offset += len(parts[-1])
        return b"".join(parts)

    def _fetch(self, offset: int, length: int) -> bytes:
        with RawFile.nameless() as file:
            self._dog.read(self._name, offset, length, file.fd)
            data = file.read(0, length)
        if len(data) != length:
            raise BackendError("dog vdi read gave %d bytes of %s instead of %d" % (len(data), self._name, length))
        return data

    def write(self, offset: int, data: bytes) -> None:
        self._check(offset, len(data))
        self._window = (0, b"")
        if offset != self._at + len(self._gathered) or len(self._gathered) >= PIECE:
            self.flush()
            self._at = offset
        self._gathered += data

    def zero(self, offset: int, length: int) -> None:
        # Sheepdog's commands know no discard
        self._check(offset, length)
        for start in range(offset, offset + length, MIB):
            self.write(start, bytes(min(MIB, offset + length - start)))

    def flush(self) -> None:
        if not self._open:
            raise InvalidInput("the volume is not open any more")
        if not self._gathered:
            return
        data, self._gathered = self._gathered, bytearray()
        with RawFile.nameless() as file:
            file.write(0, bytes(data))
            os.lseek(file.fd, 0, os.SEEK_SET)
            self._dog.write(self._name, self._at, len(data), file.fd)

    def close(self) -> None:
        if self._open:
            try:
                self.flush()
            finally:
                self._open = False

    def __exit__(self, *exception: object) -> None:
        if exception and exception[0] is not None:
            self._gathered = bytearray()
        self.close()

    def _check(self, offset: int, length: int) -> None:
        if not self._write or not self._open:
            raise InvalidInput("the volume is not open for writing")
        if offset < 0 or offset + length > self._size:
            raise InvalidInput("bytes %d to %d are beyond the volume's end at %d" % (offset, offset + length, self._size))
