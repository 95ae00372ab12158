# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image of VHDs, bare or in an archive, as it arrives: verified, and layer by layer what is to be written of it."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.formats import vhd_source
from ansible_collections.bootable.volumes.plugins.module_utils.formats.forward import Read, of_chunks
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_archive import Archive
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_layers import Layer, Layers
from ansible_collections.bootable.volumes.plugins.module_utils.images.dispatch import Adapter, adapter_for
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.hashing import Verifier
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.reader import CHUNK, chunks


class Body:
    """A layer to be written; what is wrong with it is told of the image.

    :ivar size: Bytes of the disk, as this layer has it.
    :ivar length: Bytes of the VHD that ``chunks`` are, exactly.
    :ivar empty: Whether it brings nothing.
    """

    def __init__(self, layer: Layer, image: str) -> None:
        self._layer = layer
        self._image = image
        self.size = layer.size
        self.length = layer.length
        self.empty = not layer.order

    def chunks(self) -> t.Iterator[bytes]:
        """A VHD."""
        with _refusing(self._image):
            yield from self._layer.chunks()

    def writes(self) -> t.Iterator[t.Tuple[int, memoryview]]:
        """In place of ``chunks``: (offset on the disk, bytes) of each stretch."""
        with _refusing(self._image):
            yield from self._layer.writes()


@contextlib.contextmanager
def _refusing(image: str) -> t.Iterator[None]:
    try:
        yield
    except UnsafeImage as error:
        raise UnsafeImage("the VHD image %s is refused: %s" % (image, error.message)) from error


class VhdBodies:
    """The layers of one image, in one pass over its bytes.

    Only what cannot be read forward is kept: such a layer alone, in a file without a name.
    """

    def __init__(self, source: ImageSource, job: Job) -> None:
        self._source = source
        self._job = job
        self._archived = adapter_for(source.describe()) is Adapter.VHD_ARCHIVE
        self._layers = Layers(None if self._archived else 1)
        self._ended = False

    def layers(self) -> t.Iterator[Body]:
        """Each layer as it comes. Its ``chunks`` or ``writes`` are to be read to their end before the next is asked for.

        What was written of the image is complete only when this has come to its end by itself.

        :raises UnsafeImage: it is not what it is declared as, not safe, or not whole.
        :raises IntegrityError: the bytes are not those that were promised.
        """
        image = self._source.describe()
        with Verifier(image) as verifier, contextlib.closing(_told(self._source, self._job, verifier)) as arriving:
            read = of_chunks(arriving)
            with _refusing(image.name):
                for position, member in self._members(read):
                    with vhd_source.opened(member) as vhd:
                        yield Body(self._layers.begin(position, vhd), image.name)
                while read(CHUNK):  # what nobody had to read counts for the checksum, too
                    pass
                self._layers.finish()
            verifier.verify()
        self._ended = True

    def unwritten(self, size: int) -> t.Iterator[t.Tuple[int, int]]:
        """(offset, length) in bytes of what the image says nothing of, on a disk of ``size`` bytes: it is to read as zeroes.

        To be asked when all layers have come.
        """
        if not self._ended:
            raise ValueError("not all layers have come")
        return self._layers.unwritten(size)

    def _members(self, read: Read) -> t.Iterator[t.Tuple[int, Read]]:
        """(position, its bytes) of each VHD."""
        if not self._archived:
            yield 0, read
            return
        for member in Archive(read).members():
            yield member.position, member.read


def _told(source: ImageSource, job: Job, verifier: Verifier) -> t.Generator[bytes, None, None]:
    for chunk in chunks(source, job):
        verifier.put(chunk)
        yield chunk
