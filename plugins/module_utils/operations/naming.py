# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of the volumes or servers that one task asks for."""

from __future__ import annotations

import string
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput


def naming_spec() -> t.Dict[str, t.Any]:
    """Argument spec of the options that ``expand_names`` takes; documented in doc_fragments/naming.py."""
    return {"name": {"type": "str"}, "names": {"type": "list", "elements": "str"}, "count": {"type": "int"}}


def expand_names(*, name: t.Optional[str], names: t.Optional[t.Sequence[str]], count: t.Optional[int]) -> t.List[str]:
    """One list of distinct names from ``name``, ``names``, or a pattern and a count.

    ``{index}`` in ``name`` counts from 1 to ``count`` and takes Python's number formats: ``web-{index:02d}``.

    :raises InvalidInput: naming the option.

    >>> expand_names(name="web-{index}", names=None, count=2)
    ['web-1', 'web-2']
    """
    if names is not None:
        if count is not None:
            raise InvalidInput("count goes with name: '<text>{index}', not with names; leave one of them out")
        found = list(names)
        if not found:
            raise InvalidInput("names is an empty list; name at least one")
    elif name is None:
        raise InvalidInput("one of name and names is needed")
    elif count is None:
        if "{index" in name:
            raise InvalidInput("name: '%s' has {index}, which needs count" % name)
        found = [name]
    else:
        found = _numbered(name, count)
    twice = sorted({each for each in found if found.count(each) > 1})
    if twice:
        raise InvalidInput("names must differ, but these stand there more than once: %s" % ", ".join(twice))
    empty = [each for each in found if not each.strip()]
    if empty:
        raise InvalidInput("a name is empty; every name needs at least one character")
    return found


def root_name(machine: str) -> str:
    """The name of the volume that is made for a machine, or a server, to boot from."""
    return machine + "-root"


def data_name(machine: str, number: int) -> str:
    """The name of a further volume that is made for it; they count from 1."""
    return "%s-data-%d" % (machine, number)


def _numbered(pattern: str, count: int) -> t.List[str]:
    if count < 1:
        raise InvalidInput("count: %d is below 1" % count)
    try:
        fields = [part[1] for part in string.Formatter().parse(pattern) if part[1] is not None]
        if fields and set(fields) != {"index"}:
            raise ValueError("only {index} is known")
        found = [pattern.format(index=index) for index in range(1, count + 1)]
    except ValueError as error:
        raise InvalidInput("name: '%s' is not a pattern: %s" % (pattern, error)) from error
    if not fields:
        raise InvalidInput("name: '%s' would give all %d the same name; put {index} into it, for example '%s-{index}'" % (pattern, count, pattern))
    return found
