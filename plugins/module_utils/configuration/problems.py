# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with what was declared."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """Something to tell the person who wrote the variables.

    :param where: The variable, with index and key: ``glance_api_stores[2].type``.
    :param message: What it says, and what to do.
    :param severity: ``error``: nothing is written; ``warning``: it works, but perhaps not as expected.
    """

    where: str
    message: str
    severity: str = ERROR

    def __str__(self) -> str:
        return "%s: %s" % (self.where, self.message)


def messages(problems: t.Iterable[Problem], severity: str) -> t.List[str]:
    """The problems of one severity, in words, each once."""
    return list(dict.fromkeys(str(problem) for problem in problems if problem.severity == severity))
