# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several things were tried and some failed: one error that tells of all of them."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, MissingPackage, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import UNCHANGED


def raise_troubles(troubles: t.Mapping[str, Exception], purpose: str, done: t.Sequence[t.Mapping[str, t.Any]], *, things: str = "volumes") -> None:
    """Raise one error for all ``troubles``; nothing when there are none.

    An error that is not a VolumesError is a bug of ours and is raised as it is; so is a library that is missing.

    :param troubles: Names, and what went wrong with each.
    :param purpose: What they could not be: ``made``, ``removed``.
    :param done: The results of those that succeeded; one whose ``how`` is ``unchanged`` is no change.
    :param things: What they are; also the result's key for ``done``.
    :raises VolumesError: of their common kind, when all went wrong in the same way.
    :raises BackendError: otherwise. In both cases ``failures`` has each one's own message.
    """
    if not troubles:
        return
    kind = kind_of(troubles.values())
    failures = {name: str(error) for name, error in troubles.items()}
    if len(troubles) == 1 and not done:
        (name, error), = troubles.items()
        message = "%s could not be %s: %s" % (name, purpose, error)
    else:
        message = "%d of %d %s could not be %s: %s" % (
            len(troubles), len(troubles) + len(done), things, purpose, "; ".join("%s: %s" % item for item in failures.items()))
    details: t.Dict[str, t.Any] = {}
    for error in troubles.values():
        for key, value in t.cast(VolumesError, error).details.items():  # what is told by name is told of all of them
            details[key] = dict(details.get(key) or {}, **value) if isinstance(value, dict) else value
    details.update({things: list(done)}, failures=failures, changed=any(each.get("how") != UNCHANGED for each in done))
    raise kind(message, **details)


def kind_of(troubles: t.Iterable[Exception]) -> t.Type[VolumesError]:
    """The one kind of error for several: their own if it is the same, else BackendError.

    :raises Exception: the first that is not a VolumesError, or is a library that is missing.
    """
    kinds: t.Set[t.Type[VolumesError]] = set()
    for error in troubles:
        if not isinstance(error, VolumesError) or isinstance(error, MissingPackage):
            raise error
        kinds.add(type(error))
    return kinds.pop() if len(kinds) == 1 else BackendError
