# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A raw disk in a file, open: bytes go to and come from where they are on the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.host import files


class RawFile:
    """An open file with the verbs of a disk. A context manager that closes itself, without syncing.

    :param fd: Open for what will be done; closed with this object.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._passing: t.Optional[str] = None

    @classmethod
    def open(cls, path: str, *, write: bool) -> RawFile:
        """An existing file; a link is refused."""
        try:
            return cls(os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC))
        except OSError as error:
            raise BackendError("%s cannot be opened: %s" % (path, error.strerror)) from error

    @classmethod
    def create(cls, path: str) -> RawFile:
        """A new empty file that only its owner may read."""
        try:
            return cls(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise BackendError("%s cannot be created: %s" % (path, error.strerror)) from error

    @classmethod
    def nameless(cls, folder: t.Optional[str] = None, *, known_as: t.Optional[str] = None) -> RawFile:
        """A new file without a name: whatever ends this process ends the file.

        :param folder: Where its bytes lie; None for the directory for temporary files (TMPDIR).
        :param known_as: What it is called in the folder until it is closed, where files cannot be without a name. NFS only pretends: a host that
            goes down leaves a file there that nobody knows, but by this name the next run finds it.
        """
        folder = folder or tempfile.gettempdir()
        try:
            try:
                return cls(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                    raise
            if known_as:
                file = cls.create(os.path.join(folder, known_as))
                file._passing = os.path.join(folder, known_as)
                return file
            fd, path = tempfile.mkstemp(prefix=".bootable-", dir=folder)
            os.unlink(path)
            return cls(fd)
        except OSError as error:
            kind = files.no_room(error, 0) if error.errno == errno.ENOSPC else BackendError(
                "no temporary file can be made in %s: %s" % (folder, error.strerror))
            raise kind from error

    @property
    def path(self) -> str:
        """A path by which this process' commands can open the file, named or not, as long as it is open here."""
        return "/proc/%d/fd/%d" % (os.getpid(), self._fd)

    @property
    def fd(self) -> int:
        """The file descriptor."""
        return self._fd

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self._fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on; fewer only at the end."""
        parts = []
        while length > 0:
            part = os.pread(self._fd, length, offset)
            if not part:
                break
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, offset: int, data: t.Union[bytes, memoryview]) -> None:
        """Write all of ``data`` at ``offset``."""
        files.write_all(self._fd, offset, data)

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeroes; as a hole where the file system has holes."""
        files.punch(self._fd, offset, length)

    def resize(self, size: int) -> None:
        """Cut the file off, or let it end with a hole."""
        if size == self.size:
            return  # XFS would write everything to disk first, even so
        try:
            os.ftruncate(self._fd, size)
        except OSError as error:
            raise files.no_room(error, size, self._fd) from error

    def flush(self) -> None:
        """Return when what was written would survive a power cut."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise files.no_room(error, self.size, self._fd) from error

    def close(self) -> None:
        """Let go. May be called twice."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
            if self._passing:
                with contextlib.suppress(OSError):  # whoever knows the name removes it later
                    os.unlink(self._passing)

    def __enter__(self) -> RawFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
