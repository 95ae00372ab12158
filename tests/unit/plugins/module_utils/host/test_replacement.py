# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import re
import subprocess

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, NoRoom, NotFound, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import replacement
from ansible_collections.bootable.volumes.plugins.module_utils.host.ownership import UNCHANGED, Ownership
from ansible_collections.bootable.volumes.plugins.module_utils.host.replacement import ReplaceableFile
from ansible_collections.bootable.volumes.tests.unit.fakes.host import FastClock

NEW = Ownership(UNCHANGED, UNCHANGED, 0o640)
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")


@pytest.fixture
def path(folder: pathlib.Path) -> pathlib.Path:
    path = folder / "x.conf"
    path.write_bytes(b"old")
    path.chmod(0o604)
    return path


def replace(path: pathlib.Path, data: bytes) -> None:
    """As an operation does it."""
    file = ReplaceableFile(str(path))
    with file.held(Deadline(10, clock=FastClock())):
        found = file.read()
        file.replace(data, found.ownership if found else NEW, found)


def test_the_content_changes_and_the_mode_does_not(path: pathlib.Path) -> None:
    inode = path.stat().st_ino
    replace(path, b"new")
    assert path.read_bytes() == b"new" and path.stat().st_mode & 0o7777 == 0o604 and path.stat().st_ino != inode
    assert os.listdir(path.parent) == ["x.conf"]


@needs_root
def test_the_owner_does_not_change(path: pathlib.Path) -> None:
    os.chown(path, 4711, 4712)
    replace(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712)


def test_labels_and_access_control_lists_do_not_change(path: pathlib.Path) -> None:
    try:
        os.setxattr(path, "user.label", b"kept")
    except OSError:
        pytest.skip("no extended attributes here")
    replace(path, b"new")
    assert os.getxattr(path, "user.label") == b"kept"


def test_a_new_file(folder: pathlib.Path) -> None:
    replace(folder / "new.conf", b"new")
    assert (folder / "new.conf").read_bytes() == b"new" and (folder / "new.conf").stat().st_mode & 0o7777 == 0o640


def test_a_link_stays(path: pathlib.Path, one: pathlib.Path) -> None:
    link = one / "link.conf"
    link.symlink_to("../x.conf")
    replace(link, b"new")
    assert link.is_symlink() and path.read_bytes() == b"new" and os.listdir(one) == ["link.conf"]


def test_a_link_to_nothing_gets_its_target(folder: pathlib.Path) -> None:
    (folder / "link.conf").symlink_to("target.conf")
    replace(folder / "link.conf", b"new")
    assert (folder / "link.conf").is_symlink() and (folder / "target.conf").read_bytes() == b"new"


def test_what_a_killed_run_left_is_removed(path: pathlib.Path) -> None:
    (path.parent / ".x.conf.bootable-new").write_bytes(b"half")
    with ReplaceableFile(str(path)).held(Deadline(10, clock=FastClock())):
        assert os.listdir(path.parent) == ["x.conf"]


def test_only_one_at_a_time(path: pathlib.Path) -> None:
    with ReplaceableFile(str(path)).held(Deadline(10, clock=FastClock())):
        with pytest.raises(TimedOut, match="another run"), ReplaceableFile(str(path)).held(Deadline(10, clock=FastClock())):
            pass
    assert os.listdir(path.parent) == ["x.conf"]


def test_a_change_by_somebody_else_is_not_lost(path: pathlib.Path) -> None:
    file = ReplaceableFile(str(path))
    found = file.read()
    path.write_bytes(b"other")
    with pytest.raises(InUse, match="somebody else"):
        file.replace(b"new", NEW, found)
    assert path.read_bytes() == b"other" and os.listdir(path.parent) == ["x.conf"]
    path.unlink()
    with pytest.raises(InUse):
        file.replace(b"new", NEW, found)
    assert os.listdir(path.parent) == []


def test_the_old_content_is_kept_with_its_mode(path: pathlib.Path) -> None:
    file = ReplaceableFile(str(path))
    found = file.read()
    assert found
    kept = pathlib.Path(file.back_up(found))
    assert re.fullmatch(r"x\.conf\.\d+\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~", kept.name)
    assert kept.read_bytes() == b"old" and kept.stat().st_mode & 0o7777 == 0o604 and path.read_bytes() == b"old"


def test_owner_and_mode_alone(path: pathlib.Path) -> None:
    before = path.stat()
    ReplaceableFile(str(path)).own(Ownership(UNCHANGED, UNCHANGED, 0o600))
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode & 0o7777) == (before.st_ino, before.st_mtime_ns, 0o600)


def test_what_is_no_file(folder: pathlib.Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "file").touch()
    for name, kind, words in (
            (".", InvalidInput, "is a directory"), ("pipe", InvalidInput, "no regular file"), ("loop", BackendError, "cannot be read"),
            ("none/x.conf", NotFound, "no folder .*none .*make it first"), ("file/x.conf", BackendError, "cannot be read: Not a directory")):
        with pytest.raises(kind, match=words):
            ReplaceableFile(str(folder / name)).read()
    assert ReplaceableFile(str(folder / "missing")).read() is None
    with pytest.raises(NotFound, match="no folder"), ReplaceableFile(str(folder / "none" / "x.conf")).held(Deadline(1)):
        pass


@needs_root
@pytest.mark.parametrize("hidden, words", [("x.conf", "cannot be read: Permission denied"), (".", "cannot be written: Permission denied; it is as it was")])
def test_no_rights(path: pathlib.Path, hidden: str, words: str) -> None:
    """As an ordinary user, in a process of its own."""
    path.parent.chmod(0o755)
    path.chmod(0o000 if hidden == "x.conf" else 0o644)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            file = ReplaceableFile(str(path))
            file.replace(b"new", NEW, file.read())
        except BackendError as error:
            code = 0 if words in error.message else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == ["x.conf"]


@needs_root
def test_an_owner_that_cannot_be_kept_is_an_error(path: pathlib.Path) -> None:
    os.chown(path.parent, 65534, 65534)
    path.chmod(0o644)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            file = ReplaceableFile(str(path))
            found = file.read()
            assert found
            file.replace(b"new", found.ownership, found)
        except BackendError as error:
            code = 0 if "given its owner" in error.message else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == ["x.conf"]


@needs_root
def test_a_full_file_system_keeps_the_old_file(folder: pathlib.Path) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("cannot mount here: %s" % done.stderr.strip())
    try:
        path = folder / "x.conf"
        path.write_bytes(b"old" * 1000)
        with pytest.raises(NoRoom, match="full"):
            replace(path, bytes(200_000))
        assert path.read_bytes() == b"old" * 1000 and os.listdir(folder) == ["x.conf"]
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_notices_late_keeps_the_old_file(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(replacement.os, "fsync", full)
    file = ReplaceableFile(str(path))
    found = file.read()
    assert found
    for attempt in (lambda: file.replace(b"new", NEW, found), lambda: file.back_up(found)):
        with pytest.raises(NoRoom):
            attempt()
    assert path.read_bytes() == b"old" and os.listdir(path.parent) == ["x.conf"]
