# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cloud: one authenticated session per task, and the services it leads to.

The options are those of the openstack.cloud collection; clouds.yaml, ``OS_*`` variables and explicit ``auth`` are
read by ``openstack.config``. Nothing of OpenStack is imported before somebody needs a cloud.
"""

from __future__ import annotations

import logging
import re
import threading
import traceback
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, MissingPackage, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import translated
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Images
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.networks import Networks
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import Servers
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.stores import Stores
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Volumes

if t.TYPE_CHECKING:
    from keystoneauth1.discover import EndpointData
    from keystoneauth1.session import Session
    from openstack.config.cloud_region import CloudRegion

# A service that does not answer is asked again this often; between the tries lie 0.5, 1, 2 s.
CONNECT_RETRIES = 3
# Connections kept open per service: more threads than that are not started.
POOL = 32

# Options that say again what a cloud given as a dict says already.
_EXCLUDED_BY_DICT = ("auth", "auth_type", "region_name", "validate_certs", "ca_cert", "client_cert", "client_key", "api_timeout")


def openstack_spec() -> t.Dict[str, t.Any]:
    """The argument spec of the options that lead to a cloud; documented in doc_fragments/openstack.py."""
    return {
        "cloud": {"type": "raw"},
        "auth": {"type": "dict", "no_log": True},
        "auth_type": {"type": "str"},
        "region_name": {"type": "str"},
        "validate_certs": {"type": "bool", "aliases": ["verify"]},
        "ca_cert": {"type": "str", "aliases": ["cacert"]},
        "client_cert": {"type": "str", "aliases": ["cert"]},
        "client_key": {"type": "str", "no_log": True, "aliases": ["key"]},
        "api_timeout": {"type": "int"},
        "interface": {"type": "str", "choices": ["admin", "internal", "public"], "default": "public", "aliases": ["endpoint_type"]},
    }


def configuration(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The options in the words of ``openstack.config``; those not given are left to clouds.yaml and ``OS_*``.

    :raises InvalidInput: when a cloud given as a dict is contradicted by other options.
    """
    cloud = params.get("cloud")
    if isinstance(cloud, dict):
        also = [name for name in _EXCLUDED_BY_DICT if params.get(name) is not None]
        if params.get("interface", "public") != "public":
            also.append("interface")
        if also:
            raise InvalidInput("cloud is a dict with a complete configuration, so %s must not be given beside it; put it into the dict" % ", ".join(also))
        return dict(cloud)
    if cloud is not None and not isinstance(cloud, str):
        raise InvalidInput("cloud must be the name of a cloud, or a dict; found a %s" % type(cloud).__name__)
    given = {
        "cloud": cloud or None,
        "auth": params.get("auth"),
        "auth_type": params.get("auth_type"),
        "region_name": params.get("region_name"),
        "verify": params.get("validate_certs"),
        "cacert": params.get("ca_cert"),
        "cert": params.get("client_cert"),
        "key": params.get("client_key"),
        "api_timeout": params.get("api_timeout"),
        "interface": params.get("interface"),
    }
    return {name: value for name, value in given.items() if value is not None}


class Cloud:
    """The services of one cloud, for one project.

    The token is fetched with the first request and then shared, with the catalogue, by all services and threads.
    """

    def __init__(self, region: CloudRegion) -> None:
        self._region = region
        self._session = self._pooled(region.get_session())
        self._lock = threading.Lock()
        self._images: t.Optional[Images] = None
        self._stores: t.Optional[Stores] = None
        self._volumes: t.Optional[Volumes] = None
        self._servers: t.Optional[Servers] = None
        self._networks: t.Optional[Networks] = None

    @classmethod
    def connect(cls, params: t.Mapping[str, t.Any]) -> Cloud:
        """The cloud that a module's options lead to. Reads the configuration; asks no service yet.

        :raises MissingPackage: openstacksdk is not installed on this host.
        :raises InvalidInput: no such cloud, or options that do not go together.
        """
        try:
            from openstack.config import OpenStackConfig
        except ImportError as error:
            raise MissingPackage("openstacksdk", traceback.format_exc()) from error
        # a module's standard error is nobody's to read: what they would say there comes with the exceptions
        logging.getLogger("keystoneauth").addHandler(logging.NullHandler())
        wanted = configuration(params)
        with translated("openstack.config", "find the cloud"):
            return cls(OpenStackConfig(app_name="bootable.volumes").get_one(**wanted))

    @property
    def images(self) -> Images:
        """Glance."""
        with self._lock:
            if self._images is None:
                self._images = Images.connect(self._session, self._glance(), self._retries("image"))
            return self._images

    @property
    def stores(self) -> Stores:
        """Glance's stores."""
        with self._lock:
            if self._stores is None:
                self._stores = Stores.connect(self._session, self._glance(), self._retries("image"))
            return self._stores

    @property
    def volumes(self) -> Volumes:
        """Cinder."""
        with self._lock:
            if self._volumes is None:
                endpoint = self._endpoint("block-storage", "Cinder", versions=("3", "3.latest"))
                self._volumes = Volumes.connect(
                    self._session, endpoint.url or "", newest=endpoint.max_microversion or (3, 0), project=self.project,
                    retries=self._retries("block-storage"))
            return self._volumes

    @property
    def servers(self) -> Servers:
        """Nova."""
        with self._lock:
            if self._servers is None:
                endpoint = self._endpoint("compute", "Nova", versions=("2.1", "2.latest"))
                self._servers = Servers.connect(
                    self._session, endpoint.url or "", newest=endpoint.max_microversion or (2, 1), retries=self._retries("compute"))
            return self._servers

    @property
    def networks(self) -> Networks:
        """Neutron."""
        with self._lock:
            if self._networks is None:
                self._networks = Networks.connect(self._session, self._unversioned("network", "Neutron"), self._retries("network"))
            return self._networks

    @property
    def project(self) -> str:
        """The project's id."""
        with translated("Keystone", "tell the project"):
            return self._session.get_project_id() or ""

    def _glance(self) -> str:
        """Glance's address without the version, which glanceclient writes into its paths itself."""
        return self._unversioned("image", "Glance")

    def _unversioned(self, service_type: str, name: str) -> str:
        return re.sub(r"/v\d[^/]*/?$", "", self._endpoint(service_type, name).url or "")

    def _endpoint(self, service_type: str, name: str, *, versions: t.Optional[t.Tuple[str, str]] = None) -> EndpointData:
        """Where the catalogue, or clouds.yaml, says the service is; with its microversions if ``versions`` are given.

        :param service_type: The official one; ``volumev3`` and the like are found under it, too.
        :param versions: The oldest and newest of the API that will do.
        :raises NotFound: the cloud has no such service in this region, for this interface.
        """
        region = self._region
        discovered = {"min_version": versions[0], "max_version": versions[1]} if versions else {}
        with translated("Keystone", "find %s's address" % name):
            from keystoneauth1.adapter import Adapter

            adapter = Adapter(
                session=self._session, service_type=region.get_service_type(service_type), service_name=region.get_service_name(service_type),
                interface=region.get_interface(service_type), region_name=region.get_region_name(service_type),
                endpoint_override=region.get_endpoint(service_type), **discovered)
            if versions or adapter.endpoint_override:
                found = adapter.get_endpoint_data()
            else:
                found = self._session.auth.get_endpoint_data(
                    self._session, service_type=adapter.service_type, service_name=adapter.service_name,
                    interface=adapter.interface, region_name=adapter.region_name, discover_versions=False)
        if found is None or not found.url:
            where = "region %s" % adapter.region_name if adapter.region_name else "any region"
            raise NotFound(
                "the cloud's catalogue has no %s service (%s) in %s for the interface %s; check region_name and interface"
                % (service_type, name, where, adapter.interface))
        return found

    def _retries(self, service_type: str) -> int:
        configured = self._region.get_connect_retries(service_type)
        return CONNECT_RETRIES if configured is None else configured

    @staticmethod
    def _pooled(session: Session) -> Session:
        """Let as many threads as there may be keep their connections."""
        from keystoneauth1.session import TCPKeepAliveAdapter

        for scheme in ("http://", "https://"):
            session.session.mount(scheme, TCPKeepAliveAdapter(pool_connections=8, pool_maxsize=POOL))
        return session
