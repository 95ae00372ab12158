# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One name on one mount point: the files that belong to it, and how a volume appears there.

=========================  =====================================================================
``NAME``                   the volume
``.NAME.volume.json``      its sidecar
``.NAME.partial``          what will be the volume, while it is written
``.NAME.partial.json``     its sidecar; once it holds the inode, the partial file is complete
``.NAME.partial.stored``   its image as it came, where the file system has no nameless files
``.NAME.lock``             held while a run works on the name
=========================  =====================================================================

A volume is published in three steps: the partial's sidecar gets the inode of the finished, synced file; the file is
renamed; the sidecar is renamed. A run that is killed in between leaves enough to finish: wherever the file with that inode
is, at the old name or the new, it is the volume. Looking never writes; ``settle`` does, under the lock.
"""

from __future__ import annotations

import os
import stat
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Foreign
from ansible_collections.bootable.volumes.plugins.module_utils.host import files
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.sidecar import Sidecar

# What is added to the name of a file on its way, for its image as it came.
STORED = ".stored"


@dataclass(frozen=True)
class Found:
    """What was found under a name.

    :param path: The file with the bytes; the partial one if only the renaming is missing; None where there are no whole bytes.
    :param promised: Work on it was broken off, or is under way, and there is nothing whole to go back to.
    """

    place: Place
    sidecar: Sidecar
    path: t.Optional[str]

    @property
    def promised(self) -> bool:
        return self.path is None


class Place:
    """Where a volume of a name is, or would be. Making one touches nothing.

    :param mountpoint: Its folder.
    :param name: A name that ``layout.check_name`` has let pass.
    """

    def __init__(self, mountpoint: str, name: str) -> None:
        self.mountpoint = mountpoint
        self.name = name
        self.data = os.path.join(mountpoint, name)
        self.sidecar, self.partial, self.promise, self.stored, self.lock = (
            os.path.join(mountpoint, ".%s.%s" % (name, what)) for what in ("volume.json", "partial", "partial.json", "partial" + STORED, "lock"))

    # --- looking ---

    def look(self) -> t.Optional[Found]:
        """What is there; writes nothing.

        :raises Foreign: something has the volume's name that is not a volume of ours.
        :raises BackendError: a sidecar is damaged.
        """
        promise = Sidecar.load(self.promise)
        finished = self._finished(promise)
        if promise and finished:
            return Found(self, promise, finished)
        try:
            status = os.lstat(self.data)
        except FileNotFoundError:
            return Found(self, promise, None) if promise and promise.inode is None else None
        if not stat.S_ISREG(status.st_mode):
            kind = "a link" if stat.S_ISLNK(status.st_mode) else "a directory" if stat.S_ISDIR(status.st_mode) else "a device or socket"
            raise Foreign("%s is foreign: %s, not a volume. It is never touched; take another name" % (self.data, kind), path=self.data)
        sidecar = Sidecar.load(self.sidecar)
        if sidecar is None:
            raise Foreign(
                "%s is foreign: this collection did not make it, and never touches it. Make it a volume with bootable.volumes.file_volume "
                "(import_from: %s), or take another name" % (self.data, self.data), path=self.data,
            )
        return Found(self, sidecar, self.data)

    def _finished(self, promise: t.Optional[Sidecar]) -> t.Optional[str]:
        """Where the file is whose publishing was begun, if it was finished before."""
        if promise is None or promise.inode is None:
            return None
        for path in (self.data, self.partial):
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            if status.st_ino == promise.inode and stat.S_ISREG(status.st_mode):
                return path
        return None

    # --- writing; all of it under the lock ---

    def settle(self) -> None:
        """Finish what a killed run had finished but for the renaming, and remove what it left of things that nobody will finish.

        What was promised and has nothing whole to go back to stays: the next run is to know of it.
        """
        for path in (self.sidecar, self.promise):
            files.remove_if_there(path + ".new")
        promise = Sidecar.load(self.promise)
        finished = self._finished(promise)
        if finished:
            self._rename(finished)
            return
        whole = os.path.lexists(self.data)
        if promise is None or whole or promise.inode is not None:
            self.abandon()
        if not whole:
            files.remove_if_there(self.sidecar)

    def begin(self, sidecar: Sidecar) -> str:
        """Promise a volume; what was here before stays until ``publish``.

        :returns: The path at which to write it; nothing is there yet.
        """
        self.abandon()
        replace(sidecar, inode=None, moved_from=None).save(self.promise)
        return self.partial

    def publish(self, sidecar: Sidecar, *, file: t.Optional[str] = None) -> None:
        """Make the finished and synced file the volume, in place of an older one if there is one.

        :param file: Another one than ``partial``, in the same file system; it loses its name.
        """
        path = file or self.partial
        replace(sidecar, inode=os.lstat(path).st_ino).save(self.promise)
        self._rename(path)

    def _rename(self, path: str) -> None:
        if path != self.data:
            os.rename(path, self.data)
            files.sync_directory(self.mountpoint)
        sidecar = Sidecar.load(self.promise)
        if sidecar:
            replace(sidecar, inode=None).save(self.sidecar)
        files.remove_if_there(self.promise)
        self.abandon()

    def rewrite(self, sidecar: Sidecar) -> None:
        """Give the volume another sidecar."""
        sidecar.save(self.sidecar)

    def abandon(self) -> None:
        """Remove what is not published."""
        files.remove_if_there(self.partial)
        files.remove_if_there(self.stored)
        if files.remove_if_there(self.promise):
            files.sync_directory(self.mountpoint)

    def clear(self) -> None:
        """Remove the volume and all that belongs to it: the bytes first, so that none are ever left without a sidecar."""
        self.abandon()
        files.remove_if_there(self.data)
        files.remove_if_there(self.sidecar)
        files.sync_directory(self.mountpoint)
