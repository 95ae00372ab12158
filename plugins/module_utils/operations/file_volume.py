# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One file volume as it shall be: made, taken in, moved, converted, grown, removed."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import Drift, Foreign, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.plan import Plan, State, Step
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.images.declared import format_of
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation
from ansible_collections.bootable.volumes.plugins.module_utils.operations.results import Result
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_removal import VolumeRemoval, refuse_held
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_results import volume_result
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import BROKEN, HALF_DONE, WORKING, Request, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.driver import FileDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.changes import MOVE, REFLINK, FileChanges, Incoming, check_fits
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.content import SECTOR, Shape
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.layout import Need
from ansible_collections.bootable.volumes.plugins.module_utils.storage.file.place import Place
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record


@dataclass(frozen=True)
class Import:
    """What a volume is to be made of.

    :param path: Of a file on the host.
    :param mode: COPY, MOVE or REFLINK.
    :param format: What the file is declared to be; else the ending of its name tells.
    """

    path: str
    mode: str
    format: t.Optional[str] = None


class FileVolume(Operation):
    """``state: present``.

    :param size: Bytes, or None for what there is.
    :param convert: An existing volume may get another format.
    """

    def __init__(self, *, driver: FileDriver, name: str, size: t.Optional[int], incoming: t.Optional[Import], convert: bool, job: Job) -> None:
        self._driver = driver
        self._name = name
        self._size = None if size is None else round_up(size, SECTOR)
        self._import = incoming
        self._convert = convert
        self._job = job
        self._changes = FileChanges(driver, job)

    def exclusive(self) -> t.ContextManager[None]:
        return self._driver.exclusive([self._name], self._job)

    # --- planning ---

    def plan(self) -> Plan:
        self._driver.check_names([self._name])
        try:
            volume = self._driver.find(self._name)
        except Foreign:
            if not self._in_place():
                raise
            return Plan((self._adoption(),))
        if volume is None:
            return Plan((self._creation("it does not exist"),))
        if volume.state in (HALF_DONE, WORKING):
            return Plan((self._creation("a run broke off before it was finished", volume),))
        if volume.state == BROKEN:
            raise Drift("%s is %s; look after it by hand, or remove it with state: absent" % (volume.id, volume.status))
        steps = self._steps_for(volume)
        if steps:
            refuse_held(self._driver, [volume], "changed", self._job)
        return Plan(tuple(steps) or (Step("keep", self._name, "it is what was asked for", data=volume),))

    def _in_place(self) -> bool:
        """Whether the file to take in lies where the volume would lie."""
        return self._import is not None and self._import.path in [place.data for place in self._driver.layout.places(self._name)]

    def _look_at_import(self, given: Import) -> Incoming:
        format = given.format or (self._driver.wanted_format if self._in_place() else None)
        return self._changes.look_at(given.path, format_of(given.path, format, option="import_format"), given.mode)

    def _adoption(self) -> Step:
        incoming = self._look_at_import(t.cast(Import, self._import))
        after = {"size": incoming.size, "format": incoming.format, "mountpoint": os.path.dirname(incoming.path)}
        return Step("adopt", self._name, "a file of that name lies there and shall be a volume", after=after, data=incoming)

    def _creation(self, reason: str, unfinished: t.Optional[Volume] = None) -> Step:
        if self._import is None:
            if self._size is None:
                raise InvalidInput("size is needed: %s does not exist, and nothing is imported" % self._name)
            request = Request(self._name, self._size)
            self._driver.check_room([request], None)
            place, = self._driver.layout.place(self._driver.needs([request], None))
            return Step("create", self._name, reason, after=self._state(self._size, self._driver.format, place), data=unfinished)
        incoming = self._look_at_import(self._import)
        shape = self._import_shape(incoming)
        place = self._import_place(incoming, shape)
        after = dict(self._state(shape.size, shape.format, place), imported=incoming.path)
        return Step("import", self._name, reason, after=after, data=(incoming, unfinished))

    def _import_shape(self, incoming: Incoming) -> Shape:
        size = self._size or round_up(incoming.size, SECTOR)
        check_fits(incoming, size)
        format = self._driver.wanted_format or incoming.format
        return Shape(format, size, True, self._driver.preallocation_for(format))

    def _import_place(self, incoming: Incoming, shape: Shape) -> Place:
        stored = os.stat(incoming.path).st_blocks * 512
        thick = shape.format == "raw" or shape.preallocation in ("falloc", "full")
        renamed = self._import is not None and self._import.mode in (MOVE, REFLINK) and shape.format == incoming.format
        return self._driver.layout.place([Need(self._name, 0 if renamed else shape.size if thick else stored)])[0]

    @staticmethod
    def _state(size: int, format: str, place: Place) -> State:
        return {"size": size, "format": format, "mountpoint": place.mountpoint}

    def _steps_for(self, volume: Volume) -> t.List[Step]:
        """The steps that an existing volume needs, in the order in which they are taken."""
        self._expect_same_origin(volume)
        steps = []
        here, format = volume.location, volume.details["format"]
        pinned, wanted = self._driver.layout.pinned, self._driver.wanted_format
        if self._size is not None and self._size < volume.size:
            raise InvalidInput("size: %s has %s and is never made smaller: the end of its disk would be lost; ask for at least that, or for no size" % (
                volume.id, human(volume.size)))
        if wanted and wanted != format and not self._convert:
            raise Drift("%s is %s, not %s; allow changing that with convert: true" % (volume.id, format, wanted),
                        drift={self._name: [{"what": "format", "found": format, "wanted": wanted}]})
        if pinned and pinned != here:
            steps.append(Step("move", self._name, "it is on %s" % here, {"mountpoint": here}, {"mountpoint": pinned}, volume))
        if wanted and wanted != format:
            steps.append(Step("convert", self._name, "it is %s" % format, {"format": format}, {"format": wanted}, volume))
        if self._size is not None and self._size > volume.size:
            steps.append(Step("grow", self._name, "it has %s" % human(volume.size), {"size": volume.size}, {"size": self._size}, volume))
        return steps

    def _expect_same_origin(self, volume: Volume) -> None:
        """A volume that exists is what was imported, or it is something else."""
        if self._import is None:
            return
        found = volume.record.image_name if volume.record and volume.record.origin == "file" else None
        if found != self._import.path:
            raise Drift(
                "%s exists but was not imported from %s; remove it with state: absent, or import under another name" % (volume.id, self._import.path),
                drift={self._name: [{"what": "import_from", "found": found, "wanted": self._import.path}]},
            )

    # --- applying ---

    def apply(self, plan: Plan) -> Result:
        volume: t.Optional[Volume] = None
        for step in plan.steps:
            volume = self._take(step, volume or step.data)
        return {"volume": volume_result(t.cast(Volume, volume))}

    def _take(self, step: Step, volume: t.Any) -> Volume:
        if step.action == "create":
            self._remove_unfinished(volume)
            return self._driver.create(Request(self._name, step.after["size"]), Record(READY, "blank"))
        if step.action == "import":
            incoming, unfinished = step.data
            self._remove_unfinished(unfinished)
            shape = self._import_shape(incoming)
            return self._changes.take_in(incoming, Place(step.after["mountpoint"], self._name), shape, t.cast(Import, self._import).mode)
        if step.action == "adopt":
            return self._changes.adopt(step.data)
        if step.action == "move":
            return self._changes.move(volume, step.after["mountpoint"])
        if step.action == "convert":
            format = step.after["format"]
            return self._changes.convert(volume, Shape(format, volume.size, True, self._driver.preallocation_for(format)))
        return self._driver.grow(volume, step.after["size"], self._job)

    def _remove_unfinished(self, volume: t.Optional[Volume]) -> None:
        if volume is not None:
            self._driver.remove(volume, self._job)

    # --- telling ---

    def preview(self, plan: Plan) -> Result:
        after: State = {}
        for step in plan.steps:
            after.update(step.after)
        volume = next((step.data for step in plan.steps if isinstance(step.data, Volume)), None)
        if volume is None or plan.steps[0].action in ("create", "import"):
            details = {key: after[key] for key in ("format", "mountpoint") if key in after}
            return {"volume": {"name": self._name, "size": after.get("size"), "details": details}}
        return {"volume": volume_result(volume)}


class FileVolumeRemoval(VolumeRemoval):
    """``state: absent``: of one volume, so the result is one, too."""

    def preview(self, plan: Plan) -> Result:
        return {"volume": (super().preview(plan)["volumes"] or [None])[0]}
