# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mount points of a file storage: whether they may be used, how much room they have, and who goes where."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human, parse_size
from ansible_collections.bootable.volumes.plugins.module_utils.host.mounts import Mounts
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import Place

# File systems that are made to hold large files for long. A tmpfs or an overlay under a mount point is most likely a mistake.
FILESYSTEMS = (
    "nfs", "nfs4", "ocfs2", "gfs2", "ext4", "xfs", "btrfs", "zfs", "ceph", "glusterfs", "fuse.glusterfs", "fuse.ceph-fuse", "lustre", "beegfs", "gpfs",
)

# A file system's 255 bytes, less what our own names add: ".NAME.partial.json.new".
_LONGEST_NAME = 230

_PERCENTAGE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*%\s*$")


def check_name(name: str) -> None:
    """A volume's name is its file's name, so it must be able to be one.

    :raises InvalidInput: saying why it cannot.
    """
    reason = None
    if not name.strip():
        reason = "it is empty"
    elif "/" in name:
        reason = "it is a path; the folder is chosen with mountpoints and mountpoint"
    elif name.startswith("."):
        reason = "names that begin with a dot are kept for records and unfinished volumes"
    elif any(not character.isprintable() for character in name):
        reason = "it has characters that cannot be printed"
    elif len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
        reason = "it is longer than %d bytes" % _LONGEST_NAME
    if reason:
        raise InvalidInput("'%s' cannot be the name of a file volume: %s" % (name, reason))


class Reserve:
    """What has to stay free on each mount point, as the option says it: a size, or a percentage of the file system."""

    def __init__(self, text: t.Optional[str]) -> None:
        match = _PERCENTAGE.match(text or "0%")
        self._percentage = float(match.group(1)) if match else 0.0
        self._size = 0 if match else parse_size(t.cast(str, text), option="reserve")
        if self._percentage >= 100:
            raise InvalidInput("reserve: %s leaves no room for volumes" % text)

    def of(self, total: int) -> int:
        """Bytes that stay free on a file system of ``total`` bytes."""
        return self._size + int(total * self._percentage / 100)


@dataclass(frozen=True)
class Need:
    """The room that a volume takes.

    :param lasting: Bytes of the volume itself.
    :param passing: Bytes beside it while it is made.
    """

    name: str
    lasting: int
    passing: int = 0


class Layout:
    """Some mount points and the rules for them.

    :param pinned: The one that new volumes go to; else the one with most room.
    :param allow_unmounted: Plain folders will do, of any file system.
    """

    def __init__(self, mountpoints: t.Sequence[str], *, pinned: t.Optional[str], filesystems: t.Sequence[str], reserve: Reserve,
                 allow_unmounted: bool) -> None:
        self.mountpoints = list(dict.fromkeys(mountpoints))
        self.pinned = pinned
        self._filesystems = filesystems
        self._reserve = reserve
        self._allow_unmounted = allow_unmounted
        self._verified = False

    def places(self, name: str) -> t.List[Place]:
        """Wherever a volume of that name may be."""
        return [Place(mountpoint, name) for mountpoint in self.mountpoints]

    # --- fit for use ---

    def verify(self) -> None:
        """Refuse folders on which nothing, or something unexpected, is mounted: their content would vanish with the next mount.

        :raises InvalidInput: naming the first.
        """
        if self._verified:
            return
        mounts = Mounts.now()
        for path in self.mountpoints:
            if not os.path.isdir(path):
                raise InvalidInput("mountpoints: %s is not a directory on the host where the module runs" % path)
            mount = mounts.at(os.path.realpath(path))
            if self._allow_unmounted:
                continue
            if mount is None:
                raise InvalidInput(
                    "mountpoints: nothing is mounted at %s; mount the file system first, or allow a plain folder with allow_unmounted: true" % path)
            if mount.type not in self._filesystems:
                raise InvalidInput(
                    "mountpoints: %s has a file system of type %s, and only %s are expected; name it in filesystems if it is meant"
                    % (path, mount.type, ", ".join(self._filesystems)))
        self._verified = True

    def probe(self) -> None:
        """Write, read and remove a nameless file on every mount point.

        :raises BackendError: one cannot be written to or read from.
        """
        self.verify()
        for path in self.mountpoints:
            token = os.urandom(512)
            try:
                with RawFile.nameless(path) as file:
                    file.write(0, token)
                    same = file.read(0, len(token)) == token
                os.listdir(path)
            except NoRoom:
                continue  # full is not broken: it can be looked at and removed from, and placing will tell
            except (BackendError, OSError) as error:
                raise BackendError("%s cannot be written to and read from by this process (%s); see to its mount options and permissions" % (
                    path, getattr(error, "message", error))) from error
            if not same:
                raise BackendError("%s does not give back what is written to it" % path)

    def probe_dry(self) -> None:
        """As much of ``probe`` as can be known without writing.

        :raises BackendError: one cannot be written to or read from.
        """
        self.verify()
        mounts = Mounts.now()
        for path in self.mountpoints:
            mount = mounts.holding(os.path.realpath(path))
            if mount and mount.read_only:
                raise BackendError("%s is mounted read-only" % path)
            if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                raise BackendError("%s cannot be written to and read from by this process; see to its permissions" % path)

    # --- room ---

    def place(self, needs: t.Sequence[Need], *, at: t.Optional[str] = None) -> t.List[Place]:
        """A place for each volume: the mount point with most room left after those before it, or the pinned one.

        :param at: All go to this mount point.
        :raises NoRoom: with what is asked for and what is there.
        """
        room = {path: (os.stat(path).st_dev, self.room(path)) for path in self.mountpoints}
        left = dict(room.values())  # two mount points may show one file system
        chosen: t.List[Place] = []
        only = at or self.pinned
        for need in needs:
            best = only or max(self.mountpoints, key=lambda path: left[room[path][0]])
            device = room[best][0]
            if left[device] < need.lasting + need.passing:
                raise NoRoom(
                    "%s needs %s%s, but %s has %s to give%s; make room, name another mount point, or lower reserve" % (
                        need.name, human(need.lasting), " and %s while it is made" % human(need.passing) if need.passing else "",
                        best, human(max(0, left[device])), " after the volumes before it" if chosen else ""),
                    needed=need.lasting + need.passing, available={path: max(0, left[room[path][0]]) for path in self.mountpoints},
                )
            left[device] -= need.lasting
            chosen.append(Place(best, need.name))
        return chosen

    def room(self, path: str) -> int:
        """Bytes that volumes may still take on a mount point; below zero if the reserve is used up."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize - self._reserve.of(status.f_blocks * status.f_frsize)

    # --- finding ---

    def names(self) -> t.List[str]:
        """The names under which there is a sidecar, of a volume or of one that is promised."""
        found = set()
        for path in self.mountpoints:
            for entry in os.listdir(path):
                for ending in (".volume.json", ".partial.json"):
                    if entry.startswith(".") and entry.endswith(ending) and len(entry) > len(ending) + 1:
                        found.add(entry[1:-len(ending)])
        return sorted(found)
