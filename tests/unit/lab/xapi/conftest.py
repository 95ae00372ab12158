# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.tests.unit.lab.xapi.inside import Inside


@pytest.fixture
def inside() -> t.Iterator[Inside]:
    """A pool without HTTP."""
    found = Inside()
    yield found
    found.pool.close()
