# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is on which device, kept beside the devices: they have no place of their own where it could be written."""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from dataclasses import asdict, dataclass, fields

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.host import files
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import Record

VERSION = 1


@dataclass(frozen=True)
class Entry:
    """One device that is a volume.

    :param identity: Of the device, whatever it is called today.
    :param device: What it was called when this was written; for people.
    :param name: Of the volume.
    :param size: Bytes of it that the volume takes: all that there were.
    :param record: What it was filled with.
    """

    identity: str
    device: str
    name: str
    size: int
    record: Record


class Ledger:
    """A folder with one small JSON file for each device. Making one touches nothing."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def open(self) -> None:
        """Make the folder, if it is not there."""
        try:
            os.makedirs(self.folder, mode=0o755, exist_ok=True)
        except OSError as error:
            raise BackendError("state_dir: %s cannot be made: %s; what is on the devices could not be remembered" % (self.folder, error.strerror)) from error

    def path(self, identity: str) -> str:
        """The file of a device; identities may hold anything and be long."""
        return os.path.join(self.folder, hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32] + ".json")

    def lock(self, identity: str) -> str:
        """Held while a run works on the device."""
        return self.path(identity)[:-len(".json")] + ".lock"

    def load(self, identity: str) -> t.Optional[Entry]:
        """What is known of a device.

        :raises BackendError: what lies there is no entry, or one of a later version.
        """
        path = self.path(identity)
        try:
            with open(path, "rb") as file:
                data = json.loads(file.read(65536).decode())
            if data.pop("version") > VERSION:
                raise BackendError("%s was written by a later version of this collection; use that version" % path)
            known = {item.name for item in fields(Entry)}
            values = {key: value for key, value in data.items() if key in known}
            entry = Entry(**dict(values, record=Record.from_dict(values["record"])))
            if entry.identity != identity or not isinstance(entry.size, int) or not isinstance(entry.name, str):
                raise TypeError("of another device")
            return entry
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BackendError("%s cannot be read: %s" % (path, error.strerror)) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BackendError("%s is damaged, so it is not known what the device holds; remove the file, and fill the device anew" % path) from error

    def save(self, entry: Entry) -> None:
        """Remember it, even through a power cut."""
        self.open()
        data = dict(asdict(entry), version=VERSION, record=entry.record.as_dict())
        try:
            files.write_atomically(self.path(entry.identity), json.dumps(data, indent=1, sort_keys=True).encode("utf-8", "backslashreplace") + b"\n")
        except OSError as error:
            raise BackendError("state_dir: nothing can be kept in %s: %s" % (self.folder, error.strerror)) from error

    def forget(self, identity: str) -> None:
        """The device is no volume any more."""
        if files.remove_if_there(self.path(identity)):
            files.sync_directory(self.folder)
