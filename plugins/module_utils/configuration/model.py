# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stores, back ends and volume types, as the roles' variables declare them. One model makes both files."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.releases import Deployment
from ansible_collections.bootable.volumes.plugins.module_utils.configuration.stores import CINDER_ACCOUNT, CINDER_APPLICATION_CREDENTIAL

Options = t.Mapping[str, t.Any]
Sections = t.Mapping[str, Options]

AUTO = "auto"
SINGLE = "single"
MULTIPLE = "multiple"

# Cinder's drivers that refuse to clone a volume while it is being made an image: those that keep volumes as files.
NEVER_CLONING = ("NfsDriver", "NexentaNfsDriver", "VeritasCNFSDriver", "VmstoreNfsDriver", "QuobyteDriver", "VZStorageDriver", "WindowsSmbfsDriver")


@dataclass(frozen=True)
class Store:
    """A store of Glance.

    :param where: The variable that declares it.
    :param type: A key of STORE_TYPES.
    :param options: Of its section; those that all cinder stores share are among them.
    """

    where: str
    id: str
    type: str
    description: str = ""
    options: Options = field(default_factory=dict)

    @property
    def volume_type(self) -> str:
        """The volume type of the volumes in a cinder store; "" if Cinder's default is used."""
        return str(self.options.get("cinder_volume_type") or "")

    @property
    def has_account(self) -> bool:
        """Whether a cinder store has credentials of its own."""
        return any(all(self.options.get(name) for name in names) for names in (CINDER_ACCOUNT, CINDER_APPLICATION_CREDENTIAL))


@dataclass(frozen=True)
class Backend:
    """A back end of Cinder.

    :param name: Of its section.
    :param volume_backed_images: Whether its volumes become images by being cloned.
    :param internal_tenant: Whether such clones belong to Cinder's internal tenant; None if that was not said.
    """

    where: str
    name: str
    volume_backed_images: bool = False
    internal_tenant: t.Optional[bool] = None
    options: Options = field(default_factory=dict)

    @property
    def volume_backend_name(self) -> str:
        """What volume types call it."""
        return str(self.options.get("volume_backend_name") or self.name)

    @property
    def never_clones(self) -> bool:
        """Whether its driver cannot do it."""
        return str(self.options.get("volume_driver", "")).rpartition(".")[2] in NEVER_CLONING


@dataclass(frozen=True)
class VolumeType:
    """A volume type of Cinder.

    :param volume_backend_name: Which back ends it is for; "" for any.
    :param store: Its ``image_service:store_id``; "" for none, None if that was not said.
    """

    where: str
    name: str
    volume_backend_name: str = ""
    store: t.Optional[str] = None


@dataclass(frozen=True)
class Model:
    """All that was declared. An empty list means that it is not known, and is neither checked nor written.

    :param names: How the variables are called: field -> variable. The two roles see the same by different names.
    :param mode: ``single``: one store of each type, in ``[glance_store]``; ``multiple``: any number, each in its section.
    :param schemes: ``allowed_direct_url_schemes``; None for what the model needs.
    """

    names: t.Mapping[str, str]
    deployment: Deployment
    stores: t.Tuple[Store, ...] = ()
    default_store: str = ""
    staging_dir: str = ""
    tasks_dir: str = ""
    mode: str = AUTO
    location_api: str = AUTO
    backends: t.Tuple[Backend, ...] = ()
    volume_types: t.Tuple[VolumeType, ...] = ()
    tenant_project: str = ""
    tenant_user: str = ""
    schemes: t.Optional[t.Tuple[str, ...]] = None
    glance_auth: Options = field(default_factory=dict)
    service_user_auth: Options = field(default_factory=dict)
    options: Sections = field(default_factory=dict)
    absent_options: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)

    @property
    def cinder_stores(self) -> t.List[Store]:
        """The stores whose images are volumes."""
        return [store for store in self.stores if store.type == "cinder"]

    @property
    def cloning_backends(self) -> t.List[Backend]:
        """The back ends whose volumes become images by being cloned."""
        return [backend for backend in self.backends if backend.volume_backed_images]

    @property
    def cloning(self) -> bool:
        """Whether volumes are to become images by being cloned, as far as is known."""
        return bool(self.cloning_backends if self.backends else self.cinder_stores)

    @property
    def cloning_types(self) -> t.List[VolumeType]:
        """The volume types of back ends that clone."""
        names = {backend.volume_backend_name for backend in self.cloning_backends}
        return [kind for kind in self.volume_types if kind.volume_backend_name in names]

    @property
    def single(self) -> bool:
        """Whether there is one store of each type, all in ``[glance_store]``, as in the oldest of configurations.

        By default only where clones need it and it is possible: see Deployment.multi_store_cloning.
        """
        if self.mode != AUTO:
            return self.mode == SINGLE
        types = [store.type for store in self.stores]
        return self.cloning and not self.deployment.multi_store_cloning and len(set(types)) == len(types)

    @property
    def default(self) -> str:
        """The id of the default store: the only one need not be named."""
        return self.default_store or (self.stores[0].id if len(self.stores) == 1 else "")

    @property
    def effective_location_api(self) -> str:
        """``legacy`` or ``new``."""
        return self.deployment.location_api if self.location_api == AUTO else self.location_api

    @property
    def effective_schemes(self) -> t.Tuple[str, ...]:
        """Where Cinder takes an image's bytes from without asking Glance for them."""
        return (("cinder",) if self.cloning else ()) if self.schemes is None else self.schemes

    def internal_tenant(self, backend: Backend) -> bool:
        """Whether a back end's clones belong to the internal tenant: by default if there is one."""
        if backend.internal_tenant is None:
            return backend.volume_backed_images and bool(self.tenant_project and self.tenant_user)
        return backend.internal_tenant

    @property
    def without_extras(self) -> Model:
        """The same without the options that were given beside it."""
        return replace(self, options={}, absent_options={})
