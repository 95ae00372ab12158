# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bounded concurrency: the same call for many subjects, a few at a time."""

from __future__ import annotations

import typing as t
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

S = t.TypeVar("S")
R = t.TypeVar("R")

# What succeeded with its results, and what failed with its exceptions.
Outcome = t.Tuple[t.List[t.Tuple[S, R]], t.List[t.Tuple[S, Exception]]]


class Gathering(t.Generic[S, R]):
    """The same call for subjects that come one after the other. A context: when it ends, nothing runs any more.

    One failure does not stop the others: half-done work is easier to finish than to explain.

    :param at_once: How many calls run at a time; others wait for their turn.
    """

    def __init__(self, call: t.Callable[[S], R], *, at_once: int) -> None:
        self._call = call
        self._pool = ThreadPoolExecutor(max_workers=max(1, at_once))
        self._begun: t.List[t.Tuple[S, Future[R]]] = []

    def __enter__(self) -> Gathering[S, R]:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown()

    def begin(self, subject: S) -> None:
        """Call it for one more, now or when it is its turn."""
        self._begun.append((subject, self._pool.submit(self._call, subject)))

    def finish(self, tell: t.Optional[t.Callable[[S], None]] = None) -> Outcome[S, R]:
        """Wait for all that were begun.

        :param tell: Told of each subject as it is done.
        :returns: What became of them, in the order in which they were begun.
        """
        if tell:
            subjects = {future: subject for subject, future in self._begun}
            for future in as_completed(subjects):
                tell(subjects[future])
        results: t.List[t.Tuple[S, R]] = []
        errors: t.List[t.Tuple[S, Exception]] = []
        for subject, future in self._begun:
            try:
                results.append((subject, future.result()))
            except Exception as error:  # collected, and raised by the caller with all the others
                errors.append((subject, error))
        return results, errors


def run_all(call: t.Callable[[S], R], subjects: t.Sequence[S], *, at_once: int, tell: t.Optional[t.Callable[[S], None]] = None) -> Outcome[S, R]:
    """Call ``call`` for every subject, at most ``at_once`` at a time; see ``Gathering``.

    :param tell: Told of each subject as it is done.
    :returns: What became of them, each in the order of ``subjects``.
    """
    if not subjects:
        return [], []
    with Gathering(call, at_once=min(at_once, len(subjects))) as gathering:
        for subject in subjects:
            gathering.begin(subject)
        return gathering.finish(tell)
