# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options that lead to a pool of XenServer or XCP-ng hosts: xen/session.py."""

from __future__ import annotations


class ModuleDocFragment:
    """The same options as those of community.general's xenserver modules; but a bare host is spoken to over TLS."""

    DOCUMENTATION = r"""
options:
  hostname:
    description:
      - The master of the pool, or any of its hosts, which tells of its master.
      - A bare name or address is spoken to over TLS. Where there is no TLS, write the address out, as V(http://xen1.example.com);
        the password and the disks then travel in the clear.
      - If the task does not give it, the environment variable E(XENSERVER_HOST) does.
    type: str
    aliases: [host, pool]
  username:
    description:
      - Who logs in.
      - If the task does not give it, the environment variable E(XENSERVER_USER) does.
    type: str
    aliases: [user, admin]
    default: root
  password:
    description:
      - The password.
      - If the task does not give it, the environment variable E(XENSERVER_PASSWORD) does.
    type: str
    aliases: [pass, pwd]
  validate_certs:
    description:
      - Whether the hosts' TLS certificates are verified.
      - If the task does not give it, the environment variable E(XENSERVER_VALIDATE_CERTS) does.
    type: bool
    default: true
  ca_path:
    description:
      - A file with the certificates to trust, on the host where the module runs. By default those that the system trusts.
      - The certificates that hosts make themselves are trusted only if they are in this file.
    type: path
  api_timeout:
    description:
      - Seconds that the pool may take to answer one request.
    type: int
    default: 60
requirements:
  - XenAPI >= 23.8 (to reach a pool)
notes:
  - The session is always logged out in the end.
"""
