# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd import access, bindings
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.command import CommandPool
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import Place
from ansible_collections.bootable.volumes.tests.unit.fakes.host import NoCommands


@pytest.mark.parametrize("there, kind", [(False, CommandPool), (True, bindings.BindingsPool)])
def test_bindings_come_first_and_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, there: bool, kind: t.Type[t.Any]) -> None:
    monkeypatch.setattr(bindings, "HAS_BINDINGS", there)
    monkeypatch.setattr(bindings, "rbd", type("rbd", (), {"RBD": object}), raising=False)
    assert isinstance(access.pool_at(Place("p"), NoCommands()), kind)


def test_a_user_is_named_without_its_kind() -> None:
    with pytest.raises(InvalidInput, match="ceph_user: leave out 'client.': ci"):
        access.pool_at(Place("p", user="client.ci"), NoCommands())
