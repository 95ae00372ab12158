# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import pathlib
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.tests.unit.fakes.host import HostRunner


def test_the_verbs_of_a_disk(folder: pathlib.Path) -> None:
    with RawFile.create(str(folder / "x")) as file:
        file.resize(MIB)
        file.write(100, b"abc")
        file.zero(101, 1)
        file.flush()
        assert file.read(99, 5) == b"\0a\0c\0"
        assert file.read(MIB - 1, 5) == b"\0"
        assert file.read(MIB, 5) == b""
        assert file.size == MIB
        file.close()
    assert (folder / "x").stat().st_mode & 0o777 == 0o600


def test_nothing_is_overwritten_and_no_link_is_followed(folder: pathlib.Path) -> None:
    (folder / "x").write_bytes(b"x")
    (folder / "link").symlink_to("x")
    with pytest.raises(BackendError, match="cannot be created"):
        RawFile.create(str(folder / "x"))
    with pytest.raises(BackendError, match="cannot be opened"):
        RawFile.open(str(folder / "link"), write=True)


def refuse_nameless_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """As NFS does."""
    real = os.open

    def refuse(path: t.Any, flags: int, *more: t.Any, **how: t.Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real(path, flags, *more, **how)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.parametrize("supported", [True, False])
def test_a_nameless_file_has_a_path_for_commands(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    if not supported:
        refuse_nameless_files(monkeypatch)
    with RawFile.nameless(str(folder)) as file:
        file.write(0, b"abc")
        assert os.listdir(folder) == []
        assert os.path.isabs(file.path)
        assert HostRunner().run_ok(["cat", file.path]) == "abc"


@pytest.mark.parametrize("supported", [True, False])
def test_where_files_need_names_it_may_have_a_known_one(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    if not supported:
        refuse_nameless_files(monkeypatch)
    with RawFile.nameless(str(folder), known_as="known") as file:
        file.write(0, b"abc")
        assert os.listdir(folder) == ([] if supported else ["known"])
        assert HostRunner().run_ok(["cat", file.path]) == "abc"
    assert os.listdir(folder) == []


def test_somebody_else_may_have_removed_it(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_nameless_files(monkeypatch)
    with RawFile.nameless(str(folder), known_as="known"):
        (folder / "known").unlink()


def test_it_lies_where_temporary_files_lie(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with RawFile.nameless() as file:
        assert os.fstat(file.fd).st_dev == folder.stat().st_dev
    with pytest.raises(BackendError, match="no temporary file"):
        RawFile.nameless("/proc")
