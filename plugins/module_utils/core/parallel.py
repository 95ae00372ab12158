# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bounded concurrency: the same call for many subjects, a few at a time."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor, as_completed

S = t.TypeVar("S")
R = t.TypeVar("R")


def run_all(call: t.Callable[[S], R], subjects: t.Sequence[S], *, at_once: int,
            tell: t.Optional[t.Callable[[S], None]] = None) -> t.Tuple[t.List[t.Tuple[S, R]], t.List[t.Tuple[S, Exception]]]:
    """Call ``call`` for every subject, at most ``at_once`` at a time.

    One failure does not stop the others: half-done work is easier to finish than to explain.

    :param tell: Told of each subject as it is done.
    :returns: (what succeeded with its results, what failed with its exceptions), each in the order of ``subjects``.
    """
    if not subjects:
        return [], []
    results: t.Dict[int, R] = {}
    errors: t.Dict[int, Exception] = {}
    with ThreadPoolExecutor(max_workers=max(1, min(at_once, len(subjects)))) as pool:
        futures = {pool.submit(call, subject): index for index, subject in enumerate(subjects)}
        for future in as_completed(futures):
            index = futures[future]
            try:
                results[index] = future.result()
            except Exception as error:  # collected, and raised by the caller with all the others
                errors[index] = error
            if tell:
                tell(subjects[index])
    return (
        [(subjects[index], results[index]) for index in sorted(results)],
        [(subjects[index], errors[index]) for index in sorted(errors)],
    )
