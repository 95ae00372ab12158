# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of VHDs into disks of a pool: the pool's hosts read them themselves, layer by layer as they arrive."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB, human
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.vhd_bodies import Body, VhdBodies
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.raw_vdi import ChunkedPut, VhdPut

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool

_ZEROES = bytes(MIB)


@dataclass
class Target:
    """A disk that an image goes into.

    :param vdi: Its reference.
    :param size: Bytes, as it grows.
    :param grows: Whether it may.
    """

    vdi: str
    name: str
    size: int
    grows: bool


class VhdFilling:
    """Brings one image into disks of one repository.

    :param thick: The repository is of a kind whose disks cannot be sent VHDs: it is sent their sectors.
    """

    def __init__(self, pool: Pool, disks: Disks, *, thick: bool, job: Job) -> None:
        self._pool = pool
        self._disks = disks
        self._thick = thick
        self._job = job

    def fill(self, source: ImageSource, targets: t.Sequence[Target], *, fresh: bool) -> None:
        """Read the image once and write it to each disk.

        :param fresh: What the image says nothing of reads as zeroes already.
        :raises UnsafeImage, IntegrityError: as vhd_bodies.py tells; the disks hold part of the image by then.
        :raises InvalidInput: a disk is too small, and may not grow.
        :raises XenFailure: the pool did not take it.
        """
        bodies = VhdBodies(source, self._job)
        for layer in bodies.layers():
            for target in targets:
                self._fit(target, layer.size, source)
            self._send(layer, targets)
        for target in [] if fresh else targets:
            self._zero(target, bodies.unwritten(target.size))

    def _fit(self, target: Target, needed: int, source: ImageSource) -> None:
        if needed <= target.size:
            return
        if not target.grows:
            raise InvalidInput("%s has %s, but the image %s needs %s; ask for that size" % (
                target.name, human(target.size), source.describe().name, human(needed)), needed=needed)
        target.size = self._disks.resize(target.vdi, needed, deadline=self._job.deadline).size

    def _send(self, layer: Body, targets: t.Sequence[Target]) -> None:
        with contextlib.ExitStack() as ending:
            if self._thick or layer.empty:
                self._send_sectors(layer, targets, ending)
            else:
                self._send_vhd(layer, targets, ending)

    def _send_vhd(self, layer: Body, targets: t.Sequence[Target], ending: contextlib.ExitStack) -> None:
        puts = []
        for target in targets:
            puts.append(VhdPut(self._pool, target.vdi, length=layer.length, deadline=self._job.deadline, what="write the disk %s" % target.name))
            ending.callback(puts[-1].abort)
        done = 0
        for chunk in layer.chunks():
            for put in puts:
                put.send(chunk)
            done += len(chunk)
            self._tell(targets, done, layer.length)
        for put in puts:
            put.finish()

    def _send_sectors(self, layer: Body, targets: t.Sequence[Target], ending: contextlib.ExitStack) -> None:
        puts = [self._chunked(target, ending) for target in targets]
        done = 0
        for offset, data in layer.writes():
            for put in puts:
                put.write(offset, data)
            done += len(data)
            self._tell(targets, done, None)
        for put in puts:
            put.finish()

    def _zero(self, target: Target, holes: t.Iterable[t.Tuple[int, int]]) -> None:
        with contextlib.ExitStack() as ending:
            put = self._chunked(target, ending)
            for start, length in holes:
                for offset in range(start, start + length, MIB):
                    put.write(offset, _ZEROES[:min(MIB, start + length - offset)])
                    self._tell([target], offset, target.size)
            put.finish()

    def _chunked(self, target: Target, ending: contextlib.ExitStack) -> ChunkedPut:
        put = ChunkedPut(self._pool, target.vdi, deadline=self._job.deadline, what="write the disk %s" % target.name)
        ending.callback(put.abort)
        return put

    def _tell(self, targets: t.Sequence[Target], done: int, total: t.Optional[int]) -> None:
        for target in targets:
            self._job.listener.hear(Event("copy", target.name, done, total))
