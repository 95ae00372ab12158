# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""N file volumes of one image: its bytes come once, are converted once, and are fanned out."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB
from ansible_collections.bootable.volumes.plugins.module_utils.host import files
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import CLONED, COPIED, Filled, Made, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.content import Content, Shape
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.layout import Layout
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import Place
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.sidecar import Sidecar
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, record_of

# Writes a file at the path it gets, and returns the size that a guest will see, where that was not known before.
Write = t.Callable[[str], t.Optional[int]]

# Copies under way together: enough to write while another one syncs, few enough that a disk need not seek.
_AT_ONCE = 2


@dataclass(frozen=True)
class Order:
    """A volume that is to be filled, and where."""

    place: Place
    shape: Shape


class Filling:
    """One image on its way into file volumes. Works under the locks of ``exclusive``.

    :param make: Publishes what it is given to write, or leaves nothing behind: ``FileDriver.make``.
    """

    def __init__(self, source: ImageSource, *, content: Content, layout: Layout, make: t.Callable[[Place, Sidecar, Write], Volume], job: Job) -> None:
        self._source = source
        self._content = content
        self._layout = layout
        self._make = make
        self._job = job
        self._ready = record_of(source.describe(), READY)

    def one(self, order: Order) -> Volume:
        """Fill one place. What was there stays until the new content is whole."""
        return self._publish(order, lambda path: self._from_image(path, order))

    def all(self, orders: t.Sequence[Order], fan_out: str) -> Filled:
        """Fill the first from the image and the others from the first, before a guest can write to it.

        Each appears as soon as it is whole, the first one last; one that fails does not keep the others.

        :param fan_out: ``auto`` and ``clone`` share blocks, ``clone`` insists on it; ``copy`` gives each volume its own.
        """
        first, others = orders[0], orders[1:]
        if fan_out == "clone" and others:
            self._expect_shared_blocks(first, others)
        started, seconds = time.monotonic(), 0.0
        made: t.List[Made] = []
        errors: t.Dict[str, Exception] = {}

        def write(path: str) -> int:
            nonlocal seconds
            size = self._from_image(path, first)
            seconds = time.monotonic() - started
            done, troubles = run_all(lambda order: self._fan_out(path, size, order, fan_out), others, at_once=min(_AT_ONCE, self._job.at_once))
            made.extend(each for dummy, each in done)
            errors.update({order.place.name: error for order, error in troubles})
            return size

        volume = self._publish(first, write)
        self._raise_bugs(errors.values())
        everything = [Made(volume, COPIED, seconds)] + made
        return Filled(tuple(everything), errors, *_method(everything, errors, fan_out))

    def _from_image(self, path: str, order: Order) -> int:
        return self._content.from_image(self._source, path, order.shape, self._job, room=lambda: self._layout.room(order.place.mountpoint))

    def _fan_out(self, origin: str, size: int, order: Order, fan_out: str) -> Made:
        started, how = time.monotonic(), COPIED
        shape = order.shape
        same = size == shape.size or not shape.exact

        def write(path: str) -> int:
            nonlocal how
            if not same:
                self._content.convert(origin, shape.format, path, shape, order.place.name, self._job)
                return shape.size
            if self._content.duplicate(origin, path, share=fan_out != "copy", preallocation=shape.preallocation, job=self._job):
                how = CLONED
            return size

        volume = self._publish(order, write)
        return Made(volume, how, time.monotonic() - started)

    def _publish(self, order: Order, write: t.Callable[[str], int]) -> Volume:
        def written(path: str) -> int:
            size = write(path)
            self._job.listener.hear(Event("publish", order.place.name))
            return size

        shape = order.shape
        return self._make(order.place, Sidecar(shape.format, self._ready, shape.size, shape.exact), written)

    @staticmethod
    def _expect_shared_blocks(first: Order, others: t.Sequence[Order]) -> None:
        """Try it, before anything is downloaded."""
        for order in others:
            with RawFile.nameless(first.place.mountpoint) as one, RawFile.nameless(order.place.mountpoint) as other:
                one.write(0, bytes(4 * KIB))
                if order.shape.preallocation in ("falloc", "full") or not files.reflink(one.fd, other.fd):
                    raise InvalidInput(
                        "fan_out: clone needs files that share blocks, which %s on %s cannot have; use fan_out: auto" % (
                            order.place.name, order.place.mountpoint))

    @staticmethod
    def _raise_bugs(errors: t.Iterable[Exception]) -> None:
        for error in errors:
            if not isinstance(error, VolumesError):
                raise error


def _method(made: t.Sequence[Made], errors: t.Mapping[str, Exception], fan_out: str) -> t.Tuple[str, str]:
    """How the volumes after the first got their bytes, and why so."""
    cloned = sum(each.how == CLONED for each in made)
    if len(made) + len(errors) == 1:
        return "copy", "there is only one volume to fill"
    if fan_out == "copy":
        return "copy", "fan_out is copy, so each volume has its own blocks"
    if cloned and cloned == len(made) - 1:
        return "clone", "the file system lets files share blocks, so one was filled and the others share its blocks"
    if cloned:
        return "clone", "volumes in the file system of the first share its blocks, those in others were copied with their holes"
    return "copy", "the volumes cannot share blocks, so one was filled and copied with its holes"
