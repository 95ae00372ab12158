# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks by name, as files: two runs of a task never work on the same thing, and no lock outlives its process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline


def _take(path: str) -> t.Optional[int]:
    """The lock as a file descriptor, or None while somebody else has it.

    Whoever leaves removes the file, so a lock counts only if the file that was locked still has its name.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), os.lstat(path)):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None


@contextlib.contextmanager
def held(paths: t.Iterable[str], deadline: Deadline) -> t.Iterator[None]:
    """Hold several locks at once. Taken in one order by everybody, so that no two runs wait for each other.

    The files are removed with the locks; one that a killed process left is taken over.

    :raises TimedOut: when another run does not let go in time.
    """
    taken: t.List[t.Tuple[str, int]] = []
    try:
        for path in sorted(set(paths)):
            try:
                fd = deadline.wait(lambda path=path: _take(path), "another run to let go of %s" % path, first=0.05, longest=1.0)  # type: ignore[misc]
            except OSError as error:
                raise BackendError("the lock %s cannot be taken: %s" % (path, error.strerror)) from error
            taken.append((path, fd))
        yield
    finally:
        for path, fd in reversed(taken):
            # A file system that is out of order must not hide what went wrong before; a lock that stays is taken over.
            with contextlib.suppress(OSError):
                os.unlink(path)
            with contextlib.suppress(OSError):
                os.close(fd)


def is_held(path: str) -> bool:
    """Whether some process has the lock right now. Writes nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@contextlib.contextmanager
def folder_held(path: str, deadline: Deadline) -> t.Iterator[None]:
    """Hold a folder itself: what replaces files in it goes one by one. Leaves no trace, and needs no right to write.

    :raises NotFound: there is no such folder.
    :raises TimedOut: when another run does not let go in time.
    """
    def take() -> t.Optional[bool]:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        return True

    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound("there is no folder %s; make it first" % path) from error
    except OSError as error:
        raise BackendError("the folder %s cannot be opened: %s" % (path, error.strerror)) from error
    try:
        try:
            deadline.wait(take, "another run to be done with %s" % path, first=0.05, longest=1.0)
        except OSError as error:
            raise BackendError("the folder %s cannot be locked: %s" % (path, error.strerror)) from error
        yield
    finally:
        os.close(fd)
