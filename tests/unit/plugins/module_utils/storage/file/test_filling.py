# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the bytes of one image get into several files; that they do is tested with the driver."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.storage.file import filling as file_filling
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import CLONED, COPIED, Made, Volume

VOLUME = Volume("v", "v", 1, "available", "available", "x")


@pytest.mark.parametrize("hows, errors, fan_out, method, word", [
    ([COPIED], {}, "auto", "copy", "only one"),
    ([COPIED, COPIED], {}, "copy", "copy", "fan_out is copy"),
    ([COPIED, CLONED, CLONED], {}, "auto", "clone", "share its blocks"),
    ([COPIED, CLONED, COPIED], {}, "auto", "clone", "in others were copied"),
    ([COPIED, COPIED], {}, "auto", "copy", "cannot share"),
    ([COPIED], {"w": KeyError()}, "auto", "copy", "cannot share"),
])
def test_the_result_says_how_and_why(hows: t.List[str], errors: t.Dict[str, Exception], fan_out: str, method: str, word: str) -> None:
    found = t.cast(t.Any, file_filling)._method([Made(VOLUME, how, 0.0) for how in hows], errors, fan_out)
    assert found[0] == method and word in found[1]
