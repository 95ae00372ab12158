# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to a pool of Ceph from this host: its Python bindings where they are, or else its commands."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd import bindings
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.command import CommandPool
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import Place, Pool

# The options that tell how to reach the cluster, whichever driver has them.
OPTIONS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "ceph_conf": {"type": "path"},
    "ceph_user": {"type": "str"},
    "ceph_cluster": {"type": "str"},
}


def pool_at(place: Place, runner: CommandRunner) -> Pool:
    """A pool; nothing is asked of Ceph yet.

    :raises InvalidInput: the user is not named as Ceph's own options have it.
    """
    if place.user and place.user.startswith("client."):
        raise InvalidInput("ceph_user: leave out 'client.': %s" % place.user[len("client."):])
    return bindings.BindingsPool(place) if bindings.HAS_BINDINGS else CommandPool(place, runner)
