# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open logical volumes: raw disks, with something left to do once they are closed."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.handles import RawHandle


class VolumeHandle(RawHandle):
    """A raw disk.

    :param after: Called once, after the device is closed.
    """

    def __init__(self, file: RawFile, size: int, *, keep: t.Optional[t.Callable[[], None]], after: t.Callable[[], None]) -> None:
        super().__init__(file, size, keep=keep)
        self._after: t.Optional[t.Callable[[], None]] = after

    def close(self) -> None:
        after, self._after = self._after, None
        try:
            super().close()
        finally:
            if after:
                after()
