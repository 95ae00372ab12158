# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File drivers on plain folders."""

from __future__ import annotations

import os
import pathlib
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver
from ansible_collections.bootable.volumes.tests.unit.fakes.host import surroundings


def make_driver(*mountpoints: pathlib.Path, check: bool = False, runner: t.Optional[CommandRunner] = None, **options: t.Any) -> FileDriver:
    """A file driver; each call is another run's."""
    given = dict({"mountpoints": [str(path) for path in mountpoints], "allow_unmounted": True}, **options)
    return FileDriver.from_options(given, surroundings(runner, check=check))


def names_in(folder: pathlib.Path) -> t.List[str]:
    """Everything that is there, hidden or not."""
    return sorted(os.listdir(folder))


def whole(*names: str) -> t.List[str]:
    """What is there when there are these volumes and nothing else."""
    return sorted(list(names) + [".%s.volume.json" % name for name in names])
