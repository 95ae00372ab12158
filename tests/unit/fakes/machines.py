# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated pool as the operations on machines meet it, and what is left in it."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator

SHARED, LVM, LOCAL = "Shared storage", "LVM storage", "Local storage"
NETWORK, PRIVATE = "Pool-wide network associated with eth0", "Private network"


class House:
    """A simulator, and a session with it."""

    def __init__(self, xapi: t.Any) -> None:
        self.xapi = xapi
        self.faults = xapi.pool.faults
        self.pool = self.connect()

    def connect(self) -> Pool:
        """Another session, as another run has it."""
        return Pool.connect({"hostname": self.xapi.address, "username": self.xapi.user, "password": self.xapi.password, "ca_path": self.xapi.ca_file})

    def rows(self, kind: str, **fields: t.Any) -> t.Dict[str, t.Dict[str, t.Any]]:
        """References and records of one class."""
        found = self.xapi.call(kind + ".get_all_records")
        return {ref: row for ref, row in found.items() if all(row[name] == value for name, value in fields.items())}

    def machines(self) -> t.Dict[str, t.Dict[str, t.Any]]:
        """Names and records of all machines, whoever made them."""
        return {row["name_label"]: row for row in self.rows("VM", is_a_template=False, is_control_domain=False, is_a_snapshot=False).values()}

    def disks(self) -> t.List[str]:
        """The names of all disks, layers among them."""
        return sorted(row["name_label"] for row in self.rows("VDI", is_tools_iso=False).values())

    def leftovers(self) -> t.Dict[str, int]:
        """How many there are of what must not be left behind."""
        return {kind: len(self.rows(kind)) for kind in ("VBD", "VIF", "task")}

    def writes(self) -> t.List[str]:
        """The calls that changed something."""
        return [call.method for call in self.faults.writes()]


@contextlib.contextmanager
def house(folder: pathlib.Path, **options: t.Any) -> t.Iterator[House]:
    """A pool for the length of a ``with``."""
    with simulator(folder, **options) as xapi:
        found = House(xapi)
        with found.pool:
            yield found
