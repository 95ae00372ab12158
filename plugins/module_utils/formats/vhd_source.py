# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VHD from a stream, whatever it is: read forward if it can be, else kept in a file without a name."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.formats.forward import Forward, Read
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd import blank
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_file import VhdFile
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_stream import Layer, NotForward, VhdStream
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile


@contextlib.contextmanager
def opened(read: Read, *, folder: t.Optional[str] = None) -> t.Iterator[Layer]:
    """One VHD of any kind.

    :param read: Its bytes, as ``forward.Read``.
    :param folder: Where it lies if it cannot be read forward, such as a fixed one; None for the directory for temporary files.
    :raises UnsafeImage: it is damaged, truncated, or no VHD.
    :raises NoRoom: there is no room to keep it.
    """
    forward = Forward(read)
    with contextlib.ExitStack() as kept:
        try:
            layer: Layer = VhdStream(forward)
        except NotForward:
            file = kept.enter_context(RawFile.nameless(folder))
            layer = VhdFile(file.read, _keep(forward, file))
        yield layer


def _keep(forward: Forward, file: RawFile) -> int:
    """Write everything from the beginning on; how many bytes there are."""
    stored = 0
    for piece in forward.again():
        if not blank(piece):
            file.write(stored, piece)
        stored += len(piece)
    file.resize(stored)
    return stored
