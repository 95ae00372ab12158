# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open logical volumes: raw disks, with something left to do once they are closed."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.handles import RawHandle


class VolumeHandle(RawHandle):
    """A raw disk.

    :param after: Called once, after the device is closed.
    :param pool: The thin pool that its room comes from, to read; None for a thick volume.
    """

    def __init__(self, file: RawFile, size: int, *, keep: t.Optional[t.Callable[[], None]], after: t.Callable[[], None], pool: t.Optional[str] = None) -> None:
        super().__init__(file, size, keep=keep)
        self._after: t.Optional[t.Callable[[], None]] = after
        self._pool = pool

    def write(self, offset: int, data: bytes) -> None:
        with self._room():
            super().write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        with self._room():
            super().zero(offset, length)

    def flush(self) -> None:
        with self._room():
            super().flush()

    def close(self) -> None:
        after, self._after = self._after, None
        try:
            with self._room():
                super().close()
        finally:
            if after:
                after()

    @contextlib.contextmanager
    def _room(self) -> t.Iterator[None]:
        """The device only knows that there is no more."""
        try:
            yield
        except NoRoom as error:
            if self._pool is None:
                raise
            raise NoRoom("the thin pool %s became full meanwhile; make it larger (lvextend), or remove what is not needed in it, and run the task again" % (
                self._pool)) from error
