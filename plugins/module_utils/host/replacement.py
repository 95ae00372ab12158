# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file of somebody else's whose content is replaced: at once, with its owner, mode and labels, and behind the links to it."""

from __future__ import annotations

import contextlib
import os
import stat
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, NotFound, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.files import no_room, remove_if_there, sync_directory, write_all
from ansible_collections.bootable.volumes.plugins.module_utils.host.locks import folder_held
from ansible_collections.bootable.volumes.plugins.module_utils.host.ownership import Ownership


@dataclass(frozen=True)
class Found:
    """A file as it was read.

    :param stamp: Differs once somebody else has changed it.
    """

    data: bytes
    ownership: Ownership
    stamp: t.Tuple[int, ...]


class ReplaceableFile:
    """One file by its path. A link to it stays, and its target is replaced."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._real = os.path.realpath(path)
        self._folder, name = os.path.split(self._real)
        # Nobody else's name, and none that a service would read (oslo.config reads *.conf of a folder).
        self._waiting = os.path.join(self._folder, ".%s.bootable-new" % name)

    @contextlib.contextmanager
    def held(self, deadline: Deadline) -> t.Iterator[None]:
        """Keep other runs away, and remove what a killed one left. For those who write."""
        with folder_held(self._folder, deadline):
            with self._told("cleaned up"):
                remove_if_there(self._waiting)
            yield

    def read(self) -> t.Optional[Found]:
        """The file as it is; None if there is none.

        :raises NotFound: not even its folder is there.
        :raises BackendError: it cannot be read.
        """
        try:
            status = os.stat(self._real)
            if stat.S_ISDIR(status.st_mode) or not stat.S_ISREG(status.st_mode):
                raise InvalidInput("path: %s is %s; name a file" % (self.path, "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"))
            with open(self._real, "rb") as file:
                data, status = file.read(), os.fstat(file.fileno())
        except FileNotFoundError:
            if os.path.isdir(self._folder):
                return None
            raise NotFound("path: there is no folder %s for %s; make it first" % (self._folder, self.path)) from None
        except OSError as error:
            raise BackendError("%s cannot be read: %s" % (self.path, error.strerror)) from error
        return Found(data, Ownership(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)), _stamp(status))

    def replace(self, data: bytes, ownership: Ownership, found: t.Optional[Found]) -> None:
        """Put other content in its place, so that others see the old file or the new one, and a power cut finds one of them.

        :param found: What it was made from.
        :raises InUse: somebody else has changed the file since.
        :raises NoRoom: the file system is full.
        """
        try:
            self._write(self._waiting, data, ownership)
            self._expect(found)
            with self._told("replaced"):
                os.replace(self._waiting, self._real)
        except VolumesError:
            remove_if_there(self._waiting)
            raise
        sync_directory(self._folder)

    def back_up(self, found: Found) -> str:
        """Keep the old content beside the file, under a name that tells when; returns its path."""
        path = "%s.%d.%s~" % (self._real, os.getpid(), time.strftime("%Y-%m-%d@%H:%M:%S"))
        try:
            self._write(path, found.data, found.ownership)
        except VolumesError:
            remove_if_there(path)
            raise
        return path

    def own(self, ownership: Ownership) -> None:
        """Give the file another owner, group or mode; its content is not touched."""
        with self._told("given another owner or mode"):
            os.chown(self._real, ownership.uid, ownership.gid)
            os.chmod(self._real, ownership.mode)

    def _write(self, path: str, data: bytes, ownership: Ownership) -> None:
        with self._told("written"):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, 0, data)
            with self._told("given its owner and mode"):
                os.fchown(fd, ownership.uid, ownership.gid)
                self._copy_labels(fd)
                os.fchmod(fd, ownership.mode)
            try:
                os.fsync(fd)
            except OSError as error:
                raise no_room(error, len(data), fd) from error
        finally:
            os.close(fd)

    def _copy_labels(self, fd: int) -> None:
        """SELinux context and access control lists, as far as the file has any and this process may set them."""
        with contextlib.suppress(OSError):
            for name in os.listxattr(self._real):
                with contextlib.suppress(OSError):
                    os.setxattr(fd, name, os.getxattr(self._real, name))

    def _expect(self, found: t.Optional[Found]) -> None:
        try:
            now: t.Optional[t.Tuple[int, ...]] = _stamp(os.stat(self._real))
        except FileNotFoundError:
            now = None
        if now != (found.stamp if found else None):
            raise InUse("%s was changed by somebody else while this task worked on it; nothing was written: run the task again" % self.path)

    @contextlib.contextmanager
    def _told(self, what: str) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            raise BackendError("%s cannot be %s: %s; it is as it was" % (self.path, what, error.strerror)) from error


def _stamp(status: os.stat_result) -> t.Tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
