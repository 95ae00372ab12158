# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A storage in memory: the smallest driver that the contract allows, so that all of VolumeDriver's defaults are at work."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    AVAILABLE, HALF_DONE, Capabilities, Handle, Request, Surroundings, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, Record


class MemoryDriver(VolumeDriver):
    """Without a clone of its own.

    :ivar disks: The back end: name to content and record. Several drivers may share it, as several runs do.
    """

    name = "memory"
    capabilities = Capabilities(handles=True, clone=False, grow=True, granularity=4096)
    options: t.ClassVar[t.Mapping[str, t.Mapping[str, t.Any]]] = {}

    def __init__(self, surroundings: Surroundings, disks: t.Optional[t.Dict[str, t.Tuple[bytearray, Record]]] = None) -> None:
        self.runner = surroundings.runner
        self.disks = {} if disks is None else disks
        self.written = 0

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any], surroundings: Surroundings) -> MemoryDriver:
        return cls(surroundings)

    def find(self, name: str) -> t.Optional[Volume]:
        if name not in self.disks:
            return None
        data, record = self.disks[name]
        state = HALF_DONE if record.state == FILLING else AVAILABLE
        return Volume(name, "memory:" + name, len(data), state, state, "memory", record)

    def list(self) -> t.List[Volume]:
        return [t.cast(Volume, self.find(name)) for name in sorted(self.disks)]

    def create(self, request: Request, record: Record) -> Volume:
        if request.name in self.disks:
            raise InvalidInput("%s exists" % request.name)
        self.disks[request.name] = bytearray(request.size), record
        return t.cast(Volume, self.find(request.name))

    def remove(self, volume: Volume, job: Job) -> None:
        self.disks.pop(volume.name, None)

    def mark(self, volume: Volume, record: Record) -> Volume:
        self.disks[volume.name] = self.disks[volume.name][0], record
        return replace(volume, record=record, state=HALF_DONE if record.state == FILLING else AVAILABLE)

    def grow(self, volume: Volume, size: int, job: Job) -> Volume:
        data, dummy = self.disks[volume.name]
        data.extend(bytes(size - len(data)))
        return t.cast(Volume, self.find(volume.name))

    def open(self, volume: Volume, mode: str) -> Handle:
        return _MemoryHandle(self, self.disks[volume.name][0])


class CloningMemoryDriver(MemoryDriver):
    """With one."""

    capabilities = Capabilities(handles=True, clone=True, grow=True, granularity=4096)

    def clone(self, origin: Volume, request: Request, record: Record, job: Job) -> Volume:
        self.disks[request.name] = bytearray(self.disks[origin.name][0].ljust(request.size, b"\0")), record
        return t.cast(Volume, self.find(request.name))


class _MemoryHandle(Handle):
    def __init__(self, driver: MemoryDriver, data: bytearray) -> None:
        self._driver = driver
        self._data = data

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._data[offset:offset + length])

    def write(self, offset: int, data: bytes) -> None:
        if offset + len(data) > len(self._data):
            raise InvalidInput("beyond the end")
        self._data[offset:offset + len(data)] = data
        self._driver.written += len(data)

    def zero(self, offset: int, length: int) -> None:
        if offset + length > len(self._data):
            raise InvalidInput("beyond the end")
        self._data[offset:offset + length] = bytes(length)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass
