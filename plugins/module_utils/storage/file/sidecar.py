# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a file volume remembers, beside it in a small JSON file."""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass, fields, replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.host import files
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import Record

VERSION = 1


@dataclass(frozen=True)
class Sidecar:
    """A volume's record, and how to read its file.

    :param format: Of the file; never found out by looking at the content, which a guest may have written.
    :param record: What the volume was filled with.
    :param size: Bytes that a guest sees; where the work is not finished, the bytes that were asked for.
    :param exact: Whether somebody asked for that size.
    :param inode: Only while the volume is being published: the inode of the finished file.
    :param moved_from: Only while the volume moves between mount points: the path and inode of the file that it leaves.
    """

    format: str
    record: Record
    size: int
    exact: bool = True
    inode: t.Optional[int] = None
    moved_from: t.Optional[t.Tuple[str, int]] = None

    def save(self, path: str) -> None:
        """Put it where a power cut does not reach it."""
        data = dict(asdict(self), version=VERSION, record=self.record.as_dict())
        data = {key: value for key, value in data.items() if value is not None}
        files.write_atomically(path, json.dumps(data, indent=1, sort_keys=True).encode() + b"\n")

    @classmethod
    def load(cls, path: str) -> t.Optional[Sidecar]:
        """What lies at ``path``; None if nothing does.

        :raises BackendError: what lies there is no sidecar, or one of a later version.
        """
        try:
            if not files.is_regular(path):
                return None
            with open(path, "rb") as file:
                data = json.loads(file.read(65536).decode())
            version = data.pop("version")
            if not isinstance(version, int) or version > VERSION:
                raise BackendError("%s was written by a later version of this collection (%s); use that version" % (path, version))
            known = {item.name for item in fields(cls)}
            values = {key: value for key, value in data.items() if key in known}
            values["record"] = Record.from_dict(values["record"])
            if "moved_from" in values:
                values["moved_from"] = (str(values["moved_from"][0]), int(values["moved_from"][1]))
            found = cls(**values)
            if not isinstance(found.format, str) or not isinstance(found.size, int):
                raise TypeError("format or size")
            return found
        except OSError as error:
            raise BackendError("%s cannot be read: %s" % (path, error.strerror)) from error
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise BackendError(
                "%s is damaged, so it is not known what the volume beside it holds; restore it, or remove it and import the volume again with"
                " bootable.volumes.file_volume" % path, sidecar=path,
            ) from error

    def ready(self, record: Record, *, size: t.Optional[int] = None) -> Sidecar:
        """The same volume, filled."""
        return replace(self, record=record, size=self.size if size is None else size, exact=True)
