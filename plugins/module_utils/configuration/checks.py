# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be told of a model before anything is written: Glance's part, Cinder's part, and how they fit (cloning.py)."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.configuration import cloning
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.model import Model, Store
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.problems import WARNING, Problem
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import NEW
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.stores import (
    CINDER_ACCOUNT, COMMON, EXCLUSIVE, STORE_TYPES, is_set, types_with,
)

RESERVED_PREFIX = "os_glance_"

# Sections that the services use for something else. Lower case: oslo.config takes [Database] for [database].
TAKEN = frozenset((
    "default", "barbican", "backend_defaults", "brcd_fabric_example", "castellan_configsource", "cisco_fabric_example", "coordination",
    "cors", "database", "fc-zone-manager", "glance", "glance_store", "healthcheck", "image_format", "image_import_opts",
    "import_filtering_opts", "inject_metadata_properties", "key_manager", "keystone_authtoken", "nova", "os_brick", "oslo_concurrency",
    "oslo_limit", "oslo_messaging_kafka", "oslo_messaging_notifications", "oslo_messaging_rabbit", "oslo_middleware", "oslo_policy",
    "oslo_reports", "oslo_versionedobjects", "paste_deploy", "profiler", "property_protections", "service_user",
    "store_type_location_strategy", "task", "taskflow_executor", "vault", "wsgi",
))

_NAME = re.compile(r"[^\s,:\[\]=#;]+")
_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)

Problems = t.Iterator[Problem]
Check = t.Callable[[Model], Problems]


def check(model: Model) -> t.List[Problem]:
    """All problems of a model, in the order of its variables."""
    return [problem for each in CHECKS for problem in each(model)]


def names_are_usable(model: Model) -> Problems:
    """Ids and names become sections of a file: unique, plain, and nobody else's."""
    for members, what in ((model.stores, "id"), (model.backends, "name")):
        seen: t.Dict[str, str] = {}
        for member in members:
            where, name = "%s.%s" % (member.where, what), getattr(member, what)
            if name.lower() in seen:
                yield Problem(where, "%r is %s already (sections differ in more than upper and lower case)" % (name, seen[name.lower()]))
            if not _NAME.fullmatch(name):
                yield Problem(where, "%r cannot be a section's name: no spaces, commas, colons or brackets" % name)
            elif name.lower() in TAKEN:
                yield Problem(where, "[%s] is a section that the service uses for something else" % name)
            elif name.lower().startswith(RESERVED_PREFIX):
                yield Problem(where, "%r begins with %s, which Glance keeps for its own stores" % (name, RESERVED_PREFIX))
            seen.setdefault(name.lower(), where)
    types: t.Set[str] = set()
    for kind in model.volume_types:
        if kind.name in types:
            yield Problem("%s.name" % kind.where, "%r is declared twice" % kind.name)
        types.add(kind.name)


def types_are_known(model: Model) -> Problems:
    """Each store is of a type that Glance has, and has options of that type."""
    for store in model.stores:
        if store.type in STORE_TYPES:
            yield from _options_of(store, model)
        else:
            yield Problem("%s.type" % store.where, "%r is not a store type; one of %s is" % (store.type, ", ".join(STORE_TYPES)))


def _options_of(store: Store, model: Model) -> Problems:
    kind = STORE_TYPES[store.type]
    known = {**COMMON, **kind.options}
    for name in store.options:
        where = "%s.options.%s" % (store.where, name)
        if name not in known:
            others = types_with(name)
            yield Problem(where, "is an option of stores of type %s, and this is one of type %s" % (" and ".join(others), store.type) if others else (
                "is not an option of stores of type %s; what is known to you alone can be set by %s" % (store.type, model.names["options"])))
        elif not model.deployment.has(known[name]):
            yield Problem(where, "came with %s; %s may not know it" % (known[name], model.deployment.release.name), WARNING)
    if kind.needs and not any(all(is_set(store.options.get(name)) for name in names) for names in kind.needs):
        yield Problem("%s.options" % store.where, "a store of type %s needs %s" % (
            store.type, ", or ".join(" and ".join(names) for names in kind.needs if all(model.deployment.has(known[name]) for name in names))))
    for first, second in EXCLUSIVE:
        if is_set(store.options.get(first)) and is_set(store.options.get(second)):
            yield Problem("%s.options" % store.where, "Glance takes either %s or %s, not both" % (first, second))
    given = [name for name in CINDER_ACCOUNT if store.options.get(name)]
    if given and not store.has_account:
        yield Problem("%s.options" % store.where, "%s without %s: Glance then ignores all of them and acts as whoever uses the image" % (
            " and ".join(given), " and ".join(name for name in CINDER_ACCOUNT if name not in given)))


def folders_are_apart(model: Model) -> Problems:
    """No two stores keep their files in one folder: deleting an image from one would take it from the other."""
    folders = [(str(store.options["filesystem_store_datadir"]), "%s.options.filesystem_store_datadir" % store.where)
               for store in model.stores if store.type == "file" and store.options.get("filesystem_store_datadir")]
    folders += [(path, model.names.get(name, name)) for name, path in (("staging_dir", model.staging_dir), ("tasks_dir", model.tasks_dir)) if path]
    seen: t.Dict[str, str] = {}
    for path, where in folders:
        path = path.rstrip("/")
        if path in seen:
            yield Problem(where, "%s is the folder of %s already" % (path, seen[path]))
        seen.setdefault(path, where)


def default_is_a_store(model: Model) -> Problems:
    """The default store is declared, and can be written to."""
    where = model.names.get("default_store")
    if not where:
        return
    ids = [store.id for store in model.stores]
    if model.default_store and model.default_store not in ids:
        yield Problem(where, "%r is none of the stores: %s" % (model.default_store, ", ".join(ids) or "there are none"))
    elif model.stores and not model.default:
        yield Problem(where, "is missing: with several stores, Glance does not start without it")
    for store in model.stores:
        if store.id == model.default and store.type in STORE_TYPES and not STORE_TYPES[store.type].writable:
            yield Problem(where, "%r is of type %s, which can only be read" % (store.id, store.type))


def single_mode_is_possible(model: Model) -> Problems:
    """Where all stores share one section, there can be one of each type."""
    if not model.single:
        return
    seen: t.Dict[str, str] = {}
    for store in model.stores:
        if store.type in seen:
            yield Problem("%s.type" % store.where, "%s is of type %s, too; %s: single has one store of each type" % (
                seen[store.type], store.type, model.names["mode"]))
        seen.setdefault(store.type, store.where)


def volume_types_fit(model: Model) -> Problems:
    """Volume types belong to back ends that exist and to stores that exist."""
    backends = {backend.volume_backend_name for backend in model.backends}
    stores = {store.id: store for store in model.stores}
    for kind in model.volume_types:
        if backends and kind.volume_backend_name and kind.volume_backend_name not in backends:
            yield Problem("%s.volume_backend_name" % kind.where, "no back end is called %r; there are %s" % (
                kind.volume_backend_name, ", ".join(sorted(backends))))
        if not kind.store or not stores:
            continue
        where = "%s.store" % kind.where
        if model.single:
            yield Problem(where, "image_service:store_id names one of several stores, but Glance gets one of each type (%s)" % model.names["mode"])
        elif kind.store not in stores:
            yield Problem(where, "%r is none of the stores: %s" % (kind.store, ", ".join(stores)))
        elif not STORE_TYPES.get(stores[kind.store].type, STORE_TYPES["file"]).writable:
            yield Problem(where, "%r is of type %s, which can only be read" % (kind.store, stores[kind.store].type))


def cinder_stores_fit(model: Model) -> Problems:
    """Cinder stores name volume types that exist, and each its own: by them Glance tells whose a volume is."""
    types = {kind.name for kind in model.volume_types}
    seen: t.Dict[str, str] = {}
    for store in model.cinder_stores:
        where = "%s.options.cinder_volume_type" % store.where
        if types and store.volume_type and store.volume_type not in types:
            yield Problem(where, "%r is none of the volume types: %s" % (store.volume_type, ", ".join(sorted(types))))
        if store.volume_type in seen:
            yield Problem(where, "is %s, as in %s: Glance could not tell which of the two a volume belongs to" % (
                repr(store.volume_type) if store.volume_type else "missing", seen[store.volume_type]))
        seen.setdefault(store.volume_type, store.where)


def schemes_fit(model: Model) -> Problems:
    """Cinder looks for volumes in Glance's locations if, and only if, there are any."""
    where = model.names.get("schemes")
    if not where or model.schemes is None:
        return
    for scheme in model.schemes:
        if scheme not in ("file", "cinder"):
            yield Problem(where, "%r is not a scheme that Cinder can read directly; cinder and file are" % scheme)
    if "cinder" in model.schemes and model.stores and not model.cinder_stores:
        yield Problem(where, "has cinder, but none of %s is of type cinder: no image is a volume" % model.names["stores"])
    if "cinder" not in model.schemes and model.cinder_stores:
        yield Problem(where, "has no cinder: volumes of images in %s are filled by downloading them, where a clone would do" % (
            " and ".join(store.id for store in model.cinder_stores)), WARNING)


def tenant_is_an_id(model: Model) -> Problems:
    """Ids, not names: Cinder uses them as they are."""
    for name in ("tenant_project", "tenant_user"):
        where, value = model.names.get(name, ""), getattr(model, name)
        if value and not _UUID.fullmatch(value):
            yield Problem(where, "%r is not an id (a UUID); a name does not do" % value)
    if bool(model.tenant_project) != bool(model.tenant_user):
        given, missing = ("tenant_project", "tenant_user")[::1 if model.tenant_project else -1]
        yield Problem(model.names[missing], "is missing, and %s is given: Cinder uses its internal tenant only if it has both" % model.names[given])


def location_api_exists(model: Model) -> Problems:
    """The new location API is there in both services."""
    if model.location_api == NEW and model.deployment.location_api != NEW:
        yield Problem(model.names["location_api"], "Cinder of %s registers or reads locations over the legacy one only; new works from 2025.2 on" % (
            model.deployment.release.name))


def nothing_is_said_twice(model: Model, settings: t.Mapping[str, t.Mapping[str, t.Any]]) -> Problems:
    """An option that the model sets is not set to something else beside it.

    :param settings: Section -> option -> value, from the model alone.
    """
    where = model.names["options"]
    for section, options in model.options.items():
        for name, value in options.items():
            made = settings.get(section, {}).get(name)
            if made is not None and str(made).lower() != str(value).lower():
                yield Problem("%s.%s.%s" % (where, section, name), "replaces what the other variables make of it", WARNING)


CHECKS: t.Tuple[Check, ...] = (
    names_are_usable,
    types_are_known,
    folders_are_apart,
    default_is_a_store,
    single_mode_is_possible,
    volume_types_fit,
    cinder_stores_fit,
    schemes_fit,
    tenant_is_an_id,
    location_api_exists,
) + cloning.CHECKS
