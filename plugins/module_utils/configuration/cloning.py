# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why volumes would not become images by being cloned, although that was asked for.

Cinder never says so: where cloning fails it uploads the bytes instead. So each known reason is looked for beforehand.
"""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.model import Model
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.problems import WARNING, Problem

Problems = t.Iterator[Problem]


def drivers_can_clone(model: Model) -> Problems:
    """Drivers that keep volumes as files refuse to clone one whose state is ``uploading``."""
    for backend in model.cloning_backends:
        if backend.never_clones:
            yield Problem("%s.volume_backed_images" % backend.where, "%s cannot clone a volume that is being made an image; set it to false" % (
                backend.options["volume_driver"].rpartition(".")[2]))


def clones_have_a_store(model: Model) -> Problems:
    """A clone's location is of the scheme ``cinder``, which only a cinder store has."""
    for backend in model.cloning_backends:
        where = "%s.volume_backed_images" % backend.where
        if model.stores and not model.cinder_stores:
            yield Problem(where, "none of %s is of type cinder: Glance can only take bytes" % model.names["stores"])
    if model.single or not model.cinder_stores or not model.cloning_types:
        return
    stores = {store.volume_type for store in model.cinder_stores}
    for backend in model.cloning_backends:
        types = [kind.name for kind in model.cloning_types if kind.volume_backend_name == backend.volume_backend_name]
        if types and "" not in stores and not stores & set(types):
            yield Problem("%s.volume_backed_images" % backend.where, (
                "no store's cinder_volume_type is one of this back end's volume types (%s): Glance finds a volume's store by its type"
                % ", ".join(types)))


def store_ids_do_not_interfere(model: Model) -> Problems:
    """``image_service:store_id`` on the type of a volume that is cloned."""
    stores = {store.id: store for store in model.stores}
    owners = {store.volume_type: store for store in model.cinder_stores if store.volume_type}
    for kind in model.cloning_types:
        store = stores.get(kind.store or "")
        if store is None:
            continue
        where = "%s.store" % kind.where
        owner = owners.get(kind.name)
        if model.deployment.store_id_stops_cloning:
            if owner is not None:
                yield Problem(where, "from Cinder 26.3 with Glance 29 on, image_service:store_id stops volumes of this type from being cloned; "
                                     "leave it out: Glance finds %s by its cinder_volume_type" % owner.id)
            else:
                yield Problem(where, "volumes of type %s are not cloned but uploaded, into %s" % (kind.name, store.id), WARNING)
        elif store is not owner:
            yield Problem(where, "a clone's location is registered in %s, which is not the cinder store of type %s" % (store.id, kind.name))


def tenant_is_there(model: Model) -> Problems:
    """Whose the clones are, and that Glance comes as the same project."""
    if "tenant_project" not in model.names:
        return
    for backend in model.cloning_backends:
        where = "%s.internal_tenant" % backend.where
        if backend.internal_tenant and not (model.tenant_project and model.tenant_user):
            yield Problem(where, "needs %s and %s; without them Cinder does without an internal tenant" % (
                model.names["tenant_project"], model.names["tenant_user"]))
        elif not model.internal_tenant(backend):
            yield Problem(where, "is off: clones belong to each user's project, count against its quota and can be deleted there", WARNING)


def accounts_fit(model: Model) -> Problems:
    """The cinder stores use one project, Cinder's internal tenant."""
    if not model.cloning:
        return
    for store in model.cinder_stores:
        if not store.has_account:
            yield Problem("%s.options" % store.where, "without credentials of its own (cinder_store_auth_address and so on) Glance cannot see volumes "
                                                      "of Cinder's internal tenant", WARNING)
    projects = {str(store.options["cinder_store_project_name"]): store for store in model.cinder_stores if store.options.get("cinder_store_project_name")}
    if len(projects) > 1:
        first, second = list(projects)[:2]
        yield Problem("%s.options.cinder_store_project_name" % projects[second].where, "is %r, and %r in %s: only one can be that of "
                      "cinder_internal_tenant_project_id" % (second, first, projects[first].where))


def clones_can_be_registered(model: Model) -> Problems:
    """Several stores, before that worked reliably."""
    if model.cloning and model.cinder_stores and len(model.stores) > 1 and not model.single and not model.deployment.multi_store_cloning:
        yield Problem(model.names["mode"], "with several stores, clones are not registered reliably before Glance 28.2 and Cinder 22: "
                                           "declare one store of each type and use single", WARNING)


def cinder_has_an_account(model: Model) -> Problems:
    """The credentials with which Cinder tells Glance about locations."""
    if "glance_auth" not in model.names or not model.cloning:
        return
    if model.deployment.glance_section and not (model.glance_auth or model.options.get("glance")):
        yield Problem(model.names["glance_auth"], "is missing: without credentials in [glance] that have the role service, Glance refuses locations")
    if model.deployment.location_as_user and not (model.service_user_auth or model.options.get("service_user")):
        yield Problem(model.names["service_user_auth"], "is missing: without [service_user], Glance refuses the locations that Cinder 26.3 adds")


CHECKS: t.Tuple[t.Callable[[Model], Problems], ...] = (
    drivers_can_clone,
    clones_have_a_store,
    store_ids_do_not_interfere,
    tenant_is_there,
    accounts_fit,
    clones_can_be_registered,
    cinder_has_an_account,
)
