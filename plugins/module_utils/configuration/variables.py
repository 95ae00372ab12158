# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the roles' variables to the model. Whatever is not of the right shape is told by its variable's name, all at once."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.model import AUTO, MULTIPLE, SINGLE, Backend, Model, Store, VolumeType
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.problems import Problem
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import CINDER, GLANCE, LEGACY, NEW, deployment

Variables = t.Mapping[str, t.Any]

_COMMON = ("release", "options", "absent_options", "location_api")
_GLANCE = {
    "stores": "glance_api_stores",
    "default_store": "glance_api_default_store",
    "staging_dir": "glance_api_staging_dir",
    "tasks_dir": "glance_api_tasks_dir",
    "mode": "glance_api_store_mode",
    "cinder_store_options": "glance_api_cinder_store_options",
    "backends": "glance_api_cinder_backends",
    "volume_types": "glance_api_cinder_volume_types",
}
_CINDER = {
    "stores": "cinder_glance_stores",
    "mode": "cinder_glance_store_mode",
    "cinder_store_options": "cinder_glance_store_options",
    "backends": "cinder_backends",
    "volume_types": "cinder_volume_types",
    "tenant_project": "cinder_internal_tenant_project_id",
    "tenant_user": "cinder_internal_tenant_user_id",
    "schemes": "cinder_allowed_direct_url_schemes",
    "glance_auth": "cinder_glance_auth",
    "service_user_auth": "cinder_service_user_auth",
}

# What each role calls the parts of the model.
NAMES: t.Dict[str, t.Dict[str, str]] = {
    GLANCE: dict(_GLANCE, **{name: "glance_api_" + name for name in _COMMON}),
    CINDER: dict(_CINDER, **{name: "cinder_" + name for name in _COMMON}),
}


class Wrong(Exception):
    """A value has not the right shape; the text says which it should have."""


def read(variables: Variables, service: str) -> t.Tuple[Model, t.List[Problem]]:
    """The model that one role's variables declare, and what of them could not be read.

    :param variables: By their names; others are ignored.
    :param service: Whose role: ``glance`` or ``cinder``.
    :raises InvalidInput: the release is not known, without which nothing can be said.
    """
    names = NAMES[service]
    reader = _Reader(variables, names)
    known = deployment(reader.value("release", _text, ""), service)
    shared = reader.value("cinder_store_options", _mapping, {})
    stores = []
    for where, found in reader.items("stores", {"id": _text, "type": _text}, {"description": _text, "options": _mapping}):
        options = dict(shared if found["type"] == "cinder" else {}, **found.get("options", {}))
        stores.append(Store(where, found["id"], found["type"], found.get("description", ""), options))
    model = Model(
        names=names,
        deployment=known,
        stores=tuple(stores),
        default_store=reader.value("default_store", _text, ""),
        staging_dir=reader.value("staging_dir", _text, ""),
        tasks_dir=reader.value("tasks_dir", _text, ""),
        mode=reader.value("mode", _one_of(AUTO, SINGLE, MULTIPLE), AUTO),
        location_api=reader.value("location_api", _one_of(AUTO, LEGACY, NEW), AUTO),
        backends=tuple(Backend(where, **found) for where, found in reader.items(
            "backends", {"name": _text}, {"options": _mapping, "volume_backed_images": _flag, "internal_tenant": _flag})),
        volume_types=tuple(VolumeType(where, **found) for where, found in reader.items(
            "volume_types", {"name": _text}, {"volume_backend_name": _text, "store": _text})),
        tenant_project=reader.value("tenant_project", _text, ""),
        tenant_user=reader.value("tenant_user", _text, ""),
        schemes=reader.value("schemes", _texts, None),
        glance_auth=reader.value("glance_auth", _mapping, {}),
        service_user_auth=reader.value("service_user_auth", _mapping, {}),
        options=reader.value("options", _mapping_of(_mapping), {}),
        absent_options=reader.value("absent_options", _mapping_of(_texts), {}),
    )
    return model, reader.problems


class _Reader:
    """Reads variables, and notes what is wrong with them."""

    def __init__(self, variables: Variables, names: t.Mapping[str, str]) -> None:
        self._variables = variables
        self._names = names
        self.problems: t.List[Problem] = []

    def value(self, name: str, convert: t.Callable[[t.Any], t.Any], default: t.Any) -> t.Any:
        """A variable's value; the default if it is not set, or not of the right shape."""
        variable = self._names.get(name, "")
        value = self._variables.get(variable)
        return default if value is None else self._converted(variable, value, convert, default)

    def items(
        self, name: str, required: t.Mapping[str, t.Callable[[t.Any], t.Any]], optional: t.Mapping[str, t.Callable[[t.Any], t.Any]],
    ) -> t.Iterator[t.Tuple[str, t.Dict[str, t.Any]]]:
        """A list's members, each with its place; those that cannot be read are left out."""
        kinds = {**required, **optional}
        for index, item in enumerate(self.value(name, _list, [])):
            where = "%s[%d]" % (self._names[name], index)
            found: t.Dict[str, t.Any] = {}
            given = self._converted(where, item, _mapping, None)
            if given is None:
                continue
            for key, value in given.items():
                if key not in kinds:
                    self.problems.append(Problem("%s.%s" % (where, key), "there is no such key; there are %s" % ", ".join(kinds)))
                elif value is not None:
                    found[key] = self._converted("%s.%s" % (where, key), value, kinds[key], None)
            self.problems += [Problem("%s.%s" % (where, key), "is missing") for key in required if found.get(key, "") == ""]
            if all(found.get(key) for key in required):
                yield where, {key: value for key, value in found.items() if value is not None}

    def _converted(self, where: str, value: t.Any, convert: t.Callable[[t.Any], t.Any], default: t.Any) -> t.Any:
        try:
            return convert(value)
        except Wrong as error:
            self.problems.append(Problem(where, str(error)))
            return default


def _text(value: t.Any) -> str:
    if isinstance(value, (list, tuple, dict)):
        raise Wrong("must be a string")
    return str(value)


def _flag(value: t.Any) -> bool:
    try:
        return bool(boolean(value))
    except TypeError:
        raise Wrong("must be true or false") from None


def _mapping(value: t.Any) -> t.Dict[str, t.Any]:
    if not isinstance(value, Mapping):
        raise Wrong("must be a mapping")
    return {str(key): each for key, each in value.items()}


def _list(value: t.Any) -> t.List[t.Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise Wrong("must be a list")
    return list(value)


def _texts(value: t.Any) -> t.Tuple[str, ...]:
    return tuple(_text(each) for each in _list(value))


def _mapping_of(convert: t.Callable[[t.Any], t.Any]) -> t.Callable[[t.Any], t.Dict[str, t.Any]]:
    def converted(value: t.Any) -> t.Dict[str, t.Any]:
        found = {}
        for key, each in _mapping(value).items():
            try:
                found[key] = convert(each)
            except Wrong as error:
                raise Wrong("its %s %s" % (key, error)) from None
        return found
    return converted


def _one_of(*choices: str) -> t.Callable[[t.Any], str]:
    def converted(value: t.Any) -> str:
        if value not in choices:
            raise Wrong("%r is none of %s" % (value, ", ".join(choices)))
        return str(value)
    return converted
