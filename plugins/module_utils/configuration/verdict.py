# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the roles ask: is what was declared sound, and what does it make of each file?"""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.configuration import checks, cinder, glance
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.model import Model
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.problems import ERROR, WARNING, Problem, messages
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import CINDER, GLANCE
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.settings import Settings
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.variables import NAMES, Variables, read
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput

_MAKERS: t.Dict[str, t.Callable[[Model], Settings]] = {GLANCE: glance.settings, CINDER: cinder.settings}


def problems(variables: Variables) -> t.Dict[str, t.List[str]]:
    """``errors`` and ``warnings``, in words.

    :param variables: Of one role or both; a role whose release is not among them has nothing to say.
    """
    found: t.List[Problem] = []
    for service, names in NAMES.items():
        if names["release"] in variables:
            found += _examined(variables, service)[1]
    return {"errors": messages(found, ERROR), "warnings": messages(found, WARNING)}


def settings(variables: Variables, service: str) -> Settings:
    """What one role's variables make of its service's file.

    :raises InvalidInput: something is wrong with them; the message says all of it.
    """
    model, found = _examined(variables, service)
    errors = messages(found, ERROR)
    if errors or model is None:
        raise InvalidInput("\n".join(errors))
    return _MAKERS[service](model)


def _examined(variables: Variables, service: str) -> t.Tuple[t.Optional[Model], t.List[Problem]]:
    try:
        model, found = read(variables, service)
    except InvalidInput as error:
        return None, [Problem(NAMES[service]["release"], error.message)]
    found += checks.check(model)
    if not messages(found, ERROR):
        bare = _MAKERS[service](model.without_extras)
        found += checks.nothing_is_said_twice(model, bare.options)
    return model, found
