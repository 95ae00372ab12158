# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders to keep volumes in."""

from __future__ import annotations

import os
import pathlib
import tempfile
import typing as t

import pytest

# Syncing to memory takes no time, and a test proves nothing about disks.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def folder() -> t.Iterator[pathlib.Path]:
    """An empty folder on a fast file system that has holes."""
    with tempfile.TemporaryDirectory(prefix="bootable-", dir=MEMORY) as path:
        yield pathlib.Path(path)


@pytest.fixture
def one(folder: pathlib.Path) -> pathlib.Path:
    """A place for volumes."""
    (folder / "one").mkdir()
    return folder / "one"


@pytest.fixture
def two(folder: pathlib.Path) -> pathlib.Path:
    """Another one, in the same file system."""
    (folder / "two").mkdir()
    return folder / "two"
