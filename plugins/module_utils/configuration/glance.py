# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the model to glance-api.conf."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.model import Model, Store
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import GLANCE, LEGACY
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.settings import Settings, joined
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.stores import COMMON, MULTI_VALUED, STORE_TYPES

STAGING = "os_glance_staging_store"
TASKS = "os_glance_tasks_store"


def settings(model: Model) -> Settings:
    """What the model makes of glance-api.conf."""
    made = Settings()
    if model.stores:
        (_one_of_each if model.single else _many)(made, model)
    _locations(made, model)
    return made.finished(model, GLANCE)


def _many(made: Settings, model: Model) -> None:
    """Any number of stores, each in a section of its own."""
    made.write("DEFAULT", enabled_backends=",".join("%s:%s" % (store.id, store.type) for store in model.stores))
    made.write("glance_store", default_backend=model.default)
    made.drop("glance_store", "stores", "default_store")
    for store in model.stores:
        made.write(store.id, **_options(store))
    for section, path in ((STAGING, model.staging_dir), (TASKS, model.tasks_dir)):
        if path:
            made.write(section, filesystem_store_datadir=path)
    made.drop("DEFAULT", "node_staging_uri")
    made.sections = [store.id for store in model.stores] + [STAGING, TASKS]


def _one_of_each(made: Settings, model: Model) -> None:
    """One store of each type, all in ``[glance_store]``: as it was before there could be several."""
    types = {store.id: store.type for store in model.stores}
    made.write("glance_store", stores=",".join(types.values()), default_store=STORE_TYPES[types[model.default]].scheme)
    made.drop("glance_store", "default_backend", *COMMON)
    made.drop("DEFAULT", "enabled_backends")
    for store in model.stores:
        made.write("glance_store", **{name: value for name, value in _options(store).items() if name not in COMMON})
        made.drop(store.id)
    for section in (STAGING, TASKS):
        made.drop(section)
    if model.staging_dir:
        made.write("DEFAULT", node_staging_uri="file://" + model.staging_dir)
    if model.tasks_dir:
        made.write("task", work_dir=model.tasks_dir)


def _options(store: Store) -> t.Dict[str, t.Any]:
    options = {name: value if name in MULTI_VALUED else joined(value) for name, value in store.options.items()}
    if store.description:
        options["store_description"] = store.description
    if options.get("filesystem_store_datadirs"):
        # It has a default, and Glance refuses to have both.
        options["filesystem_store_datadir"] = ""
    return options


def _locations(made: Settings, model: Model) -> None:
    """Over the legacy API, locations can only be changed by those who see them; otherwise nobody should (OSSN-0065)."""
    if model.location_api != "auto" or model.cinder_stores:
        made.write("DEFAULT", show_multiple_locations=model.effective_location_api == LEGACY)
    elif model.stores:
        made.drop("DEFAULT", "show_multiple_locations")
