# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A thread beside the one that reads: hashing and writing go on while the next bytes arrive."""

from __future__ import annotations

import queue
import threading
import typing as t

T = t.TypeVar("T")

# Items that may wait. Small: what waits is memory, and more of them make nothing faster.
DEPTH = 4


class Worker(t.Generic[T]):
    """Does the same work on every item, in order, in a thread of its own.

    :param work: Called with each item. What it raises comes out of the next ``put`` or of ``finish``.
    """

    def __init__(self, work: t.Callable[[T], None]) -> None:
        self._work = work
        self._items: queue.Queue[t.Optional[t.Tuple[T]]] = queue.Queue(DEPTH)
        self._error: t.Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Hand over an item; waits while ``DEPTH`` others are waiting."""
        if self._error is not None:
            raise self._error
        self._items.put((item,))

    def finish(self) -> None:
        """Return when all work is done."""
        self.stop()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Return when the thread has ended, however the work went. May be called twice."""
        if self._thread.is_alive():
            self._items.put(None)
            self._thread.join()

    def _run(self) -> None:
        while True:
            item = self._items.get()
            if item is None:
                return
            if self._error is None:  # after an error the rest is only taken off the queue, so that nobody waits for ever
                try:
                    self._work(item[0])
                except BaseException as error:  # raised again where the work was asked for
                    self._error = error
