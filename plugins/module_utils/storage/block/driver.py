# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Driver ``block``: volumes on block devices that are there already: disks, iSCSI and multipath devices, partitions."""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, Foreign, InUse, InvalidInput, NoRoom, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human
from ansible_collections.bootable.volumes.plugins.module_utils.host import locks
from ansible_collections.bootable.volumes.plugins.module_utils.host.devices import ENDS, Content, Device, Devices
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.block.ledger import Entry, Ledger
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import (
    AVAILABLE, BROKEN, HALF_DONE, WORKING, Capabilities, Handle, Request, Surroundings, Volume, VolumeDriver,
)
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.handles import RawHandle
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, Record

STATE_DIR = "/var/lib/bootable.volumes/block"

# What a removed volume's device is left with.
ENDS_ONLY, ALL, NOTHING = "ends", "all", "nothing"


class BlockDriver(VolumeDriver):
    """A volume is a whole device; which one has which name, the option ``devices`` says.

    A volume's ``id`` is the device's identity, its ``location`` the path that was named. Its ``details``: ``path``, the device's
    node today, and ``content``, what is on it that this collection did not put there.

    A device that reads as zeroes at both ends is free. Any other, of which nothing is remembered, exists as a volume without a record.

    :param paths: Names of volumes to paths of devices.
    :param wipe: What of a device becomes zeroes when its volume is removed.
    """

    name = "block"
    capabilities = Capabilities(handles=True, clone=False, grow=True, granularity=512, sized=False, zeroed=False)
    options: t.ClassVar[t.Mapping[str, t.Mapping[str, t.Any]]] = {
        "devices": {"type": "dict"},
        "state_dir": {"type": "path"},
        "wipe": {"type": "str", "choices": [ENDS_ONLY, ALL, NOTHING]},
    }

    def __init__(self, paths: t.Mapping[str, str], devices: Devices, ledger: Ledger, surroundings: Surroundings, *, wipe: str = ENDS_ONLY) -> None:
        self.runner = surroundings.runner
        self._paths = paths
        self._devices = devices
        self._ledger = ledger
        self._wipe = wipe
        self._held: t.Set[str] = set()
        self._given_up: t.Set[str] = set()

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any], surroundings: Surroundings) -> BlockDriver:
        paths = options.get("devices") or {}
        if not paths:
            raise InvalidInput("devices: the driver block needs to know which volume is which device, as in devices: {web-1: /dev/disk/by-id/...}")
        for name, path in paths.items():
            if not isinstance(path, str) or not os.path.isabs(path):
                raise InvalidInput("devices: '%s' of %s is not an absolute path" % (path, name))
        ledger = Ledger(options.get("state_dir") or STATE_DIR)
        if not os.path.isabs(ledger.folder):
            raise InvalidInput("state_dir: '%s' is not an absolute path" % ledger.folder)
        return cls(paths, Devices(surroundings.runner), ledger, surroundings, wipe=options.get("wipe") or ENDS_ONLY)

    # --- looking ---

    def check_names(self, names: t.Sequence[str]) -> None:
        for name in names:
            if name not in self._paths:
                raise InvalidInput("devices: no device is named for the volume %s; named are %s" % (name, ", ".join(sorted(self._paths))))
        for name in names:
            device = self._device(name)
            for other, path in self._paths.items():
                if other != name:
                    self._expect_apart(name, device, other, path)

    def _expect_apart(self, name: str, device: Device, other: str, path: str) -> None:
        try:
            others = self._devices.at(path)
        except VolumesError:
            return  # nobody asked for that one
        if others.number == device.number or others.identity == device.identity:
            raise InvalidInput("devices: %s and %s are the same device, %s; each volume needs its own" % (name, other, device.identity))
        if others.whole == device.number or device.whole == others.number:
            raise InvalidInput("devices: of %s and %s, one is a part of the other: %s and %s" % (name, other, device.path, others.path))

    def _device(self, name: str) -> Device:
        if name not in self._paths:
            self.check_names([name])
        return self._devices.at(self._paths[name])

    def find(self, name: str) -> t.Optional[Volume]:
        device = self._device(name)
        entry = self._entry(name, device)
        if entry is None:
            content = self._devices.content_of(device)
            return self._unknown(name, device, content) if content else None
        state = status = AVAILABLE
        if entry.record.state == FILLING:
            state, status = HALF_DONE, "half done"
            if name not in self._held and locks.is_held(self._ledger.lock(device.identity)):
                state, status = WORKING, "being worked on by another run"
        return Volume(name, device.identity, entry.size, state, status, self._paths[name], entry.record, {"path": device.path, "content": None})

    def _unknown(self, name: str, device: Device, content: Content) -> Volume:
        return Volume(name, device.identity, device.size, AVAILABLE, "not filled by this collection", self._paths[name],
                      details={"path": device.path, "content": content.what})

    def _entry(self, name: str, device: Device) -> t.Optional[Entry]:
        """What is remembered of a device. A smaller one than it was is another one, however much it looks the same."""
        entry = self._ledger.load(device.identity)
        if entry is None or entry.size > device.size:
            return None
        if entry.name != name:
            raise Foreign("%s is the volume %s, not %s; name it so in devices, or remove that volume first" % (
                self._paths[name], entry.name, name), device=device.path)
        return entry

    def list(self) -> t.List[Volume]:
        return [volume for volume in map(self._listed, sorted(self._paths)) if volume]

    def _listed(self, name: str) -> t.Optional[Volume]:
        """As ``find``, but one that makes trouble does not hide the others."""
        try:
            return self.find(name)
        except VolumesError as error:
            return Volume(name, self._paths[name], 0, BROKEN, error.message, self._paths[name])

    def holders(self, volume: Volume) -> t.List[str]:
        device = self._device(volume.name)
        users = self._devices.users_of(device)
        if not users and volume.record is None:
            content = self._devices.content_of(device)
            return [content.what] if content and content.member else []
        return users

    def check_removable(self, volume: Volume) -> None:
        if volume.record is None:
            raise Foreign("%s holds %s, which this collection did not put there, and never removes; wipe it by hand if it is to go" % (
                volume.location, volume.details["content"]), device=volume.details["path"])

    def check_room(self, requests: t.Sequence[Request], source: t.Optional[ImageSource]) -> None:
        for request in requests:
            self._usable(request)

    def _usable(self, request: Request) -> Device:
        """The device for a new volume.

        :raises InUse: something holds it.
        :raises NoRoom: it is too small.
        """
        device = self._device(request.name)
        self._refuse_use(request.name, self._devices.users_of(device))
        self._expect_room(request.name, device, request.size)
        return device

    def _expect_room(self, name: str, device: Device, size: int) -> None:
        if size > device.size:
            raise NoRoom("%s needs %s, but its device %s has only %s; name a larger one" % (name, human(size), self._paths[name], human(device.size)),
                         needed=size, available=device.size)

    def _refuse_use(self, name: str, holders: t.Sequence[str]) -> None:
        if holders:
            raise InUse("%s, the device of %s, is in use: %s; stop that first" % (self._paths[name], name, ", ".join(holders)), holders={name: list(holders)})

    @contextlib.contextmanager
    def exclusive(self, names: t.Sequence[str], job: Job) -> t.Iterator[None]:
        self.check_names(names)
        self._ledger.open()
        with locks.held([self._ledger.lock(self._device(name).identity) for name in names], job.deadline):
            self._held.update(names)
            try:
                yield
            finally:
                self._held.difference_update(names)

    # --- making and unmaking ---

    def begin(self, request: Request, record: Record) -> Volume:
        device = self._usable(request)
        if self._entry(request.name, device) is not None:
            raise BackendError("%s holds the volume %s already; nothing was changed" % (self._paths[request.name], request.name))
        content = None if device.identity in self._given_up else self._devices.content_of(device)
        if content:
            raise Foreign("%s holds %s; nothing was changed" % (self._paths[request.name], content.what), device=device.path)
        with self._devices.claim(device, write=True):
            pass  # what cannot be had is not remembered as half done
        return self._remember(request.name, device, record)

    def create(self, request: Request, record: Record) -> Volume:
        volume = self.begin(request, replace(record, state=FILLING))
        with self.open(volume, "w") as handle:
            handle.zero(0, volume.size)
        return self.mark(volume, record)

    def mark(self, volume: Volume, record: Record) -> Volume:
        device = self._device(volume.name)
        # what is going to be filled is all of the device, even if that has grown
        return self._remember(volume.name, device, record, size=device.size if record.state == FILLING else volume.size)

    def _remember(self, name: str, device: Device, record: Record, *, size: t.Optional[int] = None) -> Volume:
        self._ledger.save(Entry(device.identity, device.path, name, device.size if size is None else size, record))
        return t.cast(Volume, self.find(name))

    def remove(self, volume: Volume, job: Job) -> None:
        """The device stays. Its volume is forgotten last, so that a run that is killed meanwhile leaves a half-done one."""
        device = self._device(volume.name)
        entry = self._entry(volume.name, device)
        if entry is None and volume.record is not None:
            return
        self._refuse_use(volume.name, self.holders(volume))
        self._given_up.add(device.identity)
        if self._wipe != NOTHING:
            if entry:
                self._ledger.save(replace(entry, record=replace(entry.record, state=FILLING)))
            job.listener.hear(Event("wipe", volume.name))
            with self._devices.claim(device, write=True) as file:
                self._zero_ends(file, device.size)
                file.flush()
        self._ledger.forget(device.identity)

    def _zero_ends(self, file: RawFile, size: int) -> None:
        if self._wipe == ALL or size <= 2 * ENDS:
            file.zero(0, size)
            return
        file.zero(0, ENDS)
        file.zero(size - ENDS, ENDS)

    def grow(self, volume: Volume, size: int, job: Job) -> Volume:
        """The device has become larger by itself; what was added is zeroed, and then belongs to the volume."""
        device = self._device(volume.name)
        self._expect_room(volume.name, device, size)
        self._refuse_use(volume.name, self.holders(volume))
        if device.size > volume.size:
            with self._devices.claim(device, write=True) as file:
                file.zero(volume.size, device.size - volume.size)
                file.flush()
        record = volume.record
        return volume if record is None else self._remember(volume.name, device, record)

    # --- bytes ---

    def open(self, volume: Volume, mode: str) -> Handle:
        device, writing = self._device(volume.name), mode == "w"
        self._refuse_use(volume.name, self.holders(volume))
        file = self._devices.claim(device, write=writing)
        return RawHandle(file, volume.size, keep=file.flush if writing else None)

    def file_of(self, volume: Volume) -> t.Optional[t.Tuple[str, str]]:
        self._refuse_use(volume.name, self.holders(volume))
        return self._device(volume.name).path, "raw"
