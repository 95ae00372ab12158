# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options that lead to a cloud: openstack/session.py."""

from __future__ import annotations

import re

# What a module that knows a pool of XenServer hosts, too, has for that one.
_OF_A_POOL = ("validate_certs", "api_timeout")


def _beside_a_pool(text: str) -> str:
    """The same without what is the pool's, and without words about it."""
    for name in _OF_A_POOL:
        text = re.sub(r"^  %s:\n(?:    .*\n)+" % name, "", text, flags=re.MULTILINE)
        text = text.replace("O(%s), " % name, "").replace("O(%s) and " % name, "and ")
    return text.replace(
        "or a dict with what would stand there.\n",
        "or a dict with what would stand there.\n"
        "      - Whether the cloud's certificates are verified, and how long it may take to answer, stands there, too (C(verify), C(api_timeout)).\n")


class ModuleDocFragment:
    """The same options, with the same meaning, as those of the openstack.cloud collection."""

    DOCUMENTATION = r"""
attributes:
  action_group:
    description: Use C(group/bootable.volumes.bootable) in C(module_defaults) to name the cloud once for all modules that need one.
    support: full
    membership:
      - bootable.volumes.bootable
options:
  cloud:
    description:
      - The name of a cloud in C(clouds.yaml), or a dict with what would stand there.
      - Not needed if O(auth) is given or C(OS_*) environment variables lead to a cloud.
      - A dict excludes O(auth), O(auth_type), O(region_name), O(validate_certs), O(ca_cert), O(client_cert), O(client_key),
        O(api_timeout) and O(interface), which can all stand in the dict.
    type: raw
  auth:
    description:
      - What the O(auth_type) needs to authenticate. For V(password) that is C(auth_url), C(username), C(password),
        C(project_name), and where domains are used C(user_domain_name) and C(project_domain_name).
      - What is missing here is taken from O(cloud) or from C(OS_*) environment variables.
    type: dict
  auth_type:
    description:
      - The way to authenticate, such as V(password), V(token) or V(v3applicationcredential). By default V(password).
    type: str
  region_name:
    description:
      - The region.
    type: str
  validate_certs:
    description:
      - Whether the services' TLS certificates are verified. By default they are.
    type: bool
    aliases: [verify]
  ca_cert:
    description:
      - A file with the certificates of the authorities to trust, on the host where the module runs.
    type: str
    aliases: [cacert]
  client_cert:
    description:
      - A file with a client certificate for TLS.
    type: str
    aliases: [cert]
  client_key:
    description:
      - A file with the private key of O(client_cert).
    type: str
    aliases: [key]
  api_timeout:
    description:
      - Seconds that a service may take to answer a request. By default there is no such limit;
        a connection that died is noticed all the same.
    type: int
  interface:
    description:
      - Which of the endpoints in the cloud's catalogue to use.
    type: str
    choices: [admin, internal, public]
    default: public
    aliases: [endpoint_type]
requirements:
  - openstacksdk >= 1.0 (to reach a cloud)
  - python-cinderclient >= 9.1 (for volumes in Cinder)
  - python-glanceclient >= 4.1 (for images in Glance)
notes:
  - The Python libraries are needed on the host where the module runs, and only if the task reaches a cloud.
"""

    BESIDE_A_POOL: str = _beside_a_pool(DOCUMENTATION)
