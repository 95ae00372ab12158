# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open file volumes. A raw one is its file; any other is worked on as a raw copy that becomes the volume when it is closed."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Handle


class RawHandle(Handle):
    """A raw disk.

    :param size: Where it ends.
    :param keep: Called at the first close, with the file still open: what has to be done for the writes to last.
    """

    def __init__(self, file: RawFile, size: int, *, keep: t.Optional[t.Callable[[], None]] = None) -> None:
        self._file: t.Optional[RawFile] = file
        self._size = size
        self._keep = keep

    def read(self, offset: int, length: int) -> bytes:
        return self._open.read(offset, max(0, min(length, self._size - offset)))

    def write(self, offset: int, data: bytes) -> None:
        self._within(offset, len(data))
        self._open.write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        self._within(offset, length)
        self._open.zero(offset, length)

    def flush(self) -> None:
        self._open.flush()

    def close(self) -> None:
        if self._file is None:
            return
        try:
            if self._keep:
                self._keep()
        finally:
            file, self._file = self._file, None
            file.close()

    def __exit__(self, *exception: object) -> None:
        if exception and exception[0] is not None:
            self._keep = None  # half of the writes are worth nothing where a whole old volume is at hand
        self.close()

    @property
    def _open(self) -> RawFile:
        if self._file is None:
            raise InvalidInput("the volume is not open any more")
        return self._file

    def _within(self, offset: int, length: int) -> None:
        if offset < 0 or offset + length > self._size:
            raise InvalidInput("bytes %d to %d are beyond the volume's end at %d" % (offset, offset + length, self._size))
