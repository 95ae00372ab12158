# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Port to Neutron (Networking API v2.0), over keystoneauth: the ids of what is known by name."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Ambiguous, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import translated

if t.TYPE_CHECKING:
    from keystoneauth1.session import Session


class Networks:
    """Neutron, for one project."""

    def __init__(self, adapter: t.Any) -> None:
        self._adapter = adapter

    @classmethod
    def connect(cls, session: Session, endpoint: str, retries: int) -> Networks:
        """Over an authenticated session.

        :param endpoint: Neutron's address without a version.
        """
        from keystoneauth1.adapter import Adapter

        return cls(Adapter(session=session, service_type="network", endpoint_override=endpoint.rstrip("/"), connect_retries=retries))

    def find(self, kind: str, name_or_id: str) -> str:
        """The id of a network or port.

        :param kind: ``network`` or ``port``.
        :raises NotFound: the project sees none of that name or id.
        :raises Ambiguous: several have that name.
        """
        for attribute in ("id", "name"):
            with translated("Neutron", "find the %s %s" % (kind, name_or_id)):
                found = self._adapter.get("/v2.0/%ss" % kind, params={attribute: name_or_id, "fields": "id"}).json()[kind + "s"]
            if len(found) > 1:
                raise Ambiguous("%d %ss are called '%s'; name one by its ID: %s" % (
                    len(found), kind, name_or_id, ", ".join(sorted(each["id"] for each in found))))
            if found:
                return str(found[0]["id"])
        raise NotFound("there is no %s '%s' that this project may use; check networks and cloud" % (kind, name_or_id))
