# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services that go away for a while: work of hours shall not end because one restarts."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied

T = t.TypeVar("T")

# Seconds for which a service may fail to answer while it is watched, and between two tries.
OUTAGE = 120.0
PAUSE = 2.5


def through_outages(look: t.Callable[[], T], deadline: Deadline) -> T:
    """What ``look`` returns, called again while the service does not answer; it must write nothing.

    :raises BackendError: the service has not answered for longer than OUTAGE, or until the deadline.
    """
    clock = deadline.clock
    give_up = clock.now() + min(OUTAGE, deadline.remaining())
    while True:
        try:
            return look()
        except BackendError as error:
            if isinstance(error, Denied) or clock.now() >= give_up:
                raise
            clock.sleep(PAUSE)
