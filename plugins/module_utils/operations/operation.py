# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contract: what a module does, as a plan that is computed, shown and applied."""

from __future__ import annotations

import abc
import contextlib
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan


class Operation(abc.ABC):
    """Desired state and current state in, a plan out. Making one reads and writes nothing."""

    def exclusive(self) -> t.ContextManager[None]:
        """Keeps other runs away while the plan is made and applied. Not entered in check mode, where locks would be writes."""
        return contextlib.nullcontext()

    @abc.abstractmethod
    def plan(self) -> Plan:
        """Compare what is with what shall be. Reads only.

        :raises VolumesError: when what is asked for cannot, or may not, be done.
        """

    @abc.abstractmethod
    def apply(self, plan: Plan) -> t.Dict[str, t.Any]:
        """Do what the plan says and return the module's result."""

    @abc.abstractmethod
    def preview(self, plan: Plan) -> t.Dict[str, t.Any]:
        """The result without doing anything: in check mode, and when there is nothing to do."""
