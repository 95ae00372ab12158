# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the Xen driver's part of the ``storage`` option: storage/xen/driver.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Volumes as disks of a XenServer or XCP-ng pool."""

    DOCUMENTATION = r"""
options:
  hostname:
    description:
      - The master of the pool, or any of its hosts, which tells of its master. By default what the environment variable E(XENSERVER_HOST) says.
      - A bare name or address is spoken to over TLS. Where there is no TLS, write the address out, as V(http://xen1.example.com).
    type: str
  username:
    description:
      - Who logs in to the pool. By default what the environment variable E(XENSERVER_USER) says, or else V(root).
    type: str
  password:
    description:
      - The password. By default what the environment variable E(XENSERVER_PASSWORD) says.
    type: str
  validate_certs:
    description:
      - Whether the hosts' TLS certificates are verified. By default what the environment variable E(XENSERVER_VALIDATE_CERTS) says,
        or else they are.
    type: bool
  ca_path:
    description:
      - A file with the certificates to trust, on the host where the module runs. By default those that the system trusts.
    type: path
  api_timeout:
    description:
      - Seconds that the pool may take to answer one request. By default V(60).
    type: int
  sr:
    description:
      - The storage repository, by name or UUID. By default the pool's default one.
      - A volume is the disk (VDI) of its name in there. What it was filled with is in the disk's C(other_config).
    type: str
"""
