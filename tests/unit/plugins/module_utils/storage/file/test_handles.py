# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.handles import RawHandle


def test_what_is_kept_is_kept_once_and_while_it_is_open(folder: pathlib.Path) -> None:
    seen: t.List[int] = []
    file = RawFile.create(str(folder / "x"))
    handle = RawHandle(file, 512, keep=lambda: seen.append(file.size))
    handle.write(0, bytes(512))
    handle.close()
    handle.close()
    assert seen == [512]
    with pytest.raises(InvalidInput, match="not open"):
        handle.read(0, 1)


def test_after_an_error_nothing_is_kept(folder: pathlib.Path) -> None:
    seen: t.List[int] = []
    with pytest.raises(KeyError), RawHandle(RawFile.create(str(folder / "x")), 512, keep=lambda: seen.append(1)):
        raise KeyError
    assert seen == []


@pytest.mark.parametrize("offset, length", [(-1, 1), (512, 1), (0, 513)])
def test_beyond_the_end_is_an_error(folder: pathlib.Path, offset: int, length: int) -> None:
    with RawHandle(RawFile.create(str(folder / "x")), 512) as handle:
        with pytest.raises(InvalidInput, match="beyond"):
            handle.write(offset, bytes(length))
        with pytest.raises(InvalidInput, match="beyond"):
            handle.zero(offset, length)
