# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting: a predicate, one deadline for the whole task, and a clock that tests can turn."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import TimedOut

T = t.TypeVar("T")


class Clock:
    """The machine's clock. Tests give another."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        time.sleep(seconds)


class Deadline:
    """The moment by which everything must be done, shared by all steps of a task.

    :param seconds: From now on; what the ``timeout`` option says.
    """

    def __init__(self, seconds: float, *, clock: t.Optional[Clock] = None) -> None:
        self.seconds = seconds
        self.clock = clock or Clock()
        self._end = self.clock.now() + seconds

    def remaining(self) -> float:
        """Seconds left; never below zero."""
        return max(0.0, self._end - self.clock.now())

    def check(self, what: str, **details: t.Any) -> None:
        """Raise TimedOut if the moment has passed.

        :param what: What was being waited for, as a sentence's end: ``volume x to become available``.
        :param details: Ids and states as they stood, for the result.
        """
        if self.remaining() <= 0:
            raise TimedOut(
                "timed out after %d s waiting for %s; nothing was undone: run the task again to go on from there, or raise timeout" % (self.seconds, what),
                **details
            )

    def wait(self, poll: t.Callable[[], t.Optional[T]], what: str, *, first: float = 0.2, longest: float = 5.0,
             details: t.Optional[t.Callable[[], t.Dict[str, t.Any]]] = None) -> T:
        """Call ``poll`` until it returns something other than None, and return that; see ``pause`` for ``first`` and ``longest``.

        :raises TimedOut: with what ``details`` returns.
        """
        began = self.clock.now()
        while True:
            found = poll()
            if found is not None:
                return found
            self.check(what, **(details() if details else {}))
            self.pause(began, first=first, longest=longest)

    def pause(self, since: float, *, first: float = 0.2, longest: float = 5.0) -> None:
        """Sleep between two looks at something: a tenth of the time that was waited so far, within these seconds.

        So short work is noticed at once, long work does not load the service, and neither is noticed much later than it is done.

        :param since: The clock when the waiting began.
        """
        pause = min(max(first, (self.clock.now() - since) / 10), longest)
        self.clock.sleep(min(pause, max(0.01, self.remaining())))
