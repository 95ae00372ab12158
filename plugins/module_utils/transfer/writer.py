# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing one stream of bytes to several places at once, with its holes."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human
from ansible_collections.bootable.volumes.plugins.module_utils.host.files import BLOCK, ZEROES
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.worker import Worker


class Sink(t.Protocol):
    """Where bytes can go: an open file, an open volume."""

    def write(self, offset: int, data: bytes) -> None:
        """Write all of ``data`` at ``offset``."""

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeroes."""


class Target(t.NamedTuple):
    """One place to write to.

    :param size: Bytes it can take; None where it grows.
    """

    name: str
    size: t.Optional[int]
    sink: Sink


def runs(chunk: bytes) -> t.Iterator[t.Tuple[int, int, bool]]:
    """(offset, length, whether it is data) of the stretches of a chunk; zeroes count as a hole in whole blocks only.

    >>> list(runs(bytes(BLOCK) + b"x"))
    [(0, 65536, False), (65536, 1, True)]
    """
    start, data, length = 0, None, len(chunk)
    for offset in range(0, length, BLOCK):
        step = min(BLOCK, length - offset)
        # startswith compares in place; a slice would copy, and any() looks at every byte.
        is_data = not chunk.startswith(ZEROES if step == BLOCK else ZEROES[:step], offset)
        if data is None:
            data = is_data
        elif data != is_data:
            yield start, offset - start, data
            start, data = offset, is_data
    if data is not None:
        yield start, length - start, data


# Where, how much, and the bytes; None for a hole.
_Item = t.Tuple[int, int, t.Optional[bytes]]


class _Inline:
    """What a Worker is, without the thread: for a single target one costs more than it saves, while another one hashes."""

    def __init__(self, work: t.Callable[[_Item], None]) -> None:
        self.put = work

    def finish(self) -> None:
        """Nothing is left to do."""

    def stop(self) -> None:
        """Nothing is left to do."""


class Writer:
    """Writes every chunk to every target; several targets are written at once, each in a thread of its own.

    :param fresh: The targets read as zeroes already, so holes need not be written.
    """

    def __init__(self, targets: t.Sequence[Target], *, fresh: bool) -> None:
        self._targets = targets
        self._fresh = fresh
        worker: t.Callable[[t.Callable[[_Item], None]], t.Union[_Inline, Worker[_Item]]] = _Inline if len(targets) == 1 else Worker
        self._workers = [worker(self._writing_to(target.sink)) for target in targets]

    def put(self, offset: int, chunk: bytes) -> None:
        """Write a chunk.

        :raises InvalidInput: a target is too small.
        """
        for target in self._targets:
            if target.size is not None and offset + len(chunk) > target.size:
                raise InvalidInput("%s has %s, which is too small for the image; ask for a larger size" % (target.name, human(target.size)))
        for worker in self._workers:
            worker.put((offset, len(chunk), chunk))

    def skip(self, offset: int, length: int) -> None:
        """A hole in the source: nothing to do for targets that read as zeroes."""
        if not self._fresh and length > 0:
            for worker in self._workers:
                worker.put((offset, length, None))

    def finish(self, end: int) -> None:
        """Everything before ``end`` was put; what lies behind it becomes zeroes."""
        for worker in self._workers:
            worker.finish()
        for target in self._targets:
            if not self._fresh and target.size is not None and target.size > end:
                target.sink.zero(end, target.size - end)

    def _writing_to(self, sink: Sink) -> t.Callable[[_Item], None]:
        def write(item: _Item) -> None:
            base, total, chunk = item
            for offset, length, is_data in runs(chunk) if chunk is not None else [(0, total, False)]:
                if not is_data:
                    if not self._fresh:
                        sink.zero(base + offset, length)
                elif chunk is not None:
                    sink.write(base + offset, chunk if length == total else chunk[offset:offset + length])
        return write

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.stop()
