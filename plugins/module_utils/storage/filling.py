# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""N volumes filled with one image, in storages where a volume is made under its name and marked as filling: its bytes come once.

They are written to every volume, or to a hidden parent of which all volumes are clones, so that each can be removed before the others.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, TimedOut, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB, human, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import QemuImg
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import CLONED, COPIED, Filled, Handle, Made, Request, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.transfer import pipeline
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.writer import Target


# What is not for people to see; a volume cannot have such a name.
HIDDEN = ".bootable."
PARENT = HIDDEN + "golden."


def check_names(names: t.Sequence[str], *, kind: str, longest: int, own: t.Callable[[str], t.Optional[str]]) -> None:
    """Refuse names that no volume of such a storage can have.

    :param kind: Of storage, to read.
    :param longest: Bytes.
    :param own: Why a storage cannot have a name for a reason of its own, or None.
    :raises InvalidInput: with the first such name.
    """
    for name in names:
        reason = own(name)
        if not name.strip():
            reason = "it is empty"
        elif reason is None and name.startswith(HIDDEN):
            reason = "names that begin with %s are kept for parents of clones" % HIDDEN
        elif reason is None and any(not character.isprintable() for character in name):
            reason = "it has characters that cannot be printed"
        elif reason is None and len(name.encode("utf-8", "surrogateescape")) > longest:
            reason = "it is longer than %d bytes" % longest
        if reason:
            raise InvalidInput("'%s' cannot be the name of %s volume: %s" % (name, kind, reason))


def parent_name(name: str) -> str:
    """The hidden parent of the volumes of which this one is the first."""
    return PARENT + name


class Store(t.Protocol):
    """What is needed of a storage. Names are those of volumes, or of parents; sizes are bytes."""

    def make(self, name: str, size: int, record: Record) -> None:
        """Make a volume that reads as zeroes and remembers a record, or leave nothing."""

    def publish(self, name: str, record: Record) -> Volume:
        """Make it remember another one."""

    def discard(self, name: str) -> None:
        """Remove it, whatever is in it."""

    def resize(self, name: str, size: int) -> None:
        """Make it larger; what is added reads as zeroes."""

    def handle(self, name: str, size: int) -> Handle:
        """Open it for writing."""

    def seal(self, parent: str, names: t.Sequence[str]) -> None:
        """Freeze a filled parent, of which these clones will be made."""

    def clone_of(self, parent: str, name: str) -> None:
        """A new volume with the content and the size of a parent; it counts as half done until it is published."""

    def retire(self, parent: str, job: Job) -> None:
        """No more clones will be made of a parent: remove it, or see to it that it goes with the last of them."""


def put(source: ImageSource, store: Store, requests: t.Sequence[Request], job: Job, runner: t.Optional[CommandRunner]) -> int:
    """Write an image into volumes that read as zeroes.

    :returns: The size of the first one afterwards: where nobody asked for a size, they are made as large as the image turns out to need.
    """
    image = source.describe()
    known = image.size if image.format == "raw" else image.virtual_size
    with contextlib.ExitStack() as open_things:
        if known is not None or all(request.exact for request in requests):
            targets = [(request.name, request.size, open_things.enter_context(store.handle(request.name, request.size))) for request in requests]
            pipeline.copy_image(source, targets, job, fresh=True, runner=runner)
            return requests[0].size
        disk = open_things.enter_context(RawFile.nameless())
        size = round_up(_stage(source, disk, job, runner), MIB)
        into = []
        for request in requests:
            wanted = max(size, request.size)
            if request.exact and size > request.size:
                raise InvalidInput("%s has %s, but the image %s needs %s; ask for a larger size" % (
                    request.name, human(request.size), image.name, human(size)))
            if wanted != request.size:
                store.resize(request.name, wanted)
            into.append(Target(request.name, wanted, open_things.enter_context(store.handle(request.name, wanted))))
        pipeline.spread(disk, into, job, fresh=True)
        return max(size, requests[0].size)


def _stage(source: ImageSource, disk: RawFile, job: Job, runner: t.Optional[CommandRunner]) -> int:
    """Bring an image whose size nobody knows into a private raw file, and find out."""
    image = source.describe()
    if image.format == "raw":
        size = pipeline.receive(source, [Target(image.name, None, disk)], job, fresh=True)
        disk.resize(size)
        return size
    if runner is None:
        raise InvalidInput("the image %s is %s, and no qemu-img can be run here" % (image.name, image.format))
    qemu = QemuImg(runner)
    with RawFile.nameless() as stored:
        size = pipeline.stage(source, stored, qemu, job)
        disk.resize(size)
        pipeline.convert(stored.path, image.format, disk.path, "raw", image.name, size, qemu, job)
    return size


class Filling:
    """One image on its way into new volumes. Works under the locks of ``exclusive``.

    :param place: What is cloned where, to read: ``in Ceph``.
    """

    def __init__(self, source: ImageSource, *, store: Store, runner: t.Optional[CommandRunner], job: Job, place: str) -> None:
        self._source = source
        self._store = store
        self._runner = runner
        self._job = job
        self._place = place
        self._filling = record_of(source.describe(), FILLING)
        self._ready = record_of(source.describe(), READY)

    def copied(self, requests: t.Sequence[Request]) -> Filled:
        """Each volume with blocks of its own; the image is read once."""
        started = time.monotonic()
        begun: t.List[str] = []
        try:
            for request in requests:
                self._store.make(request.name, request.size, self._filling)
                begun.append(request.name)
            put(self._source, self._store, requests, self._job, self._runner)
        except TimedOut:
            raise  # the next run finds them half done
        except BaseException:
            for name in begun:
                self._forget(name)
            raise
        made = []
        for request in requests:
            self._job.listener.hear(Event("publish", request.name))
            made.append(Made(self._store.publish(request.name, self._ready), COPIED, time.monotonic() - started))
        reason = "there is only one volume to fill" if len(requests) == 1 else "the image is read once and written to every volume"
        return Filled(tuple(made), {}, "copy", reason)

    def cloned(self, requests: t.Sequence[Request]) -> Filled:
        """All volumes as clones of a hidden parent, which is filled once."""
        started = time.monotonic()
        parent = parent_name(requests[0].name)
        size = max(request.size for request in requests)
        try:
            self._store.make(parent, size, self._filling)
            size = put(self._source, self._store, [Request(parent, size, all(request.exact for request in requests))], self._job, self._runner)
            self._store.seal(parent, [request.name for request in requests])
            filled = time.monotonic() - started
            done, troubles = run_all(lambda request: self._clone(parent, size, request), requests, at_once=self._job.at_once)
        except BaseException:
            with contextlib.suppress(VolumesError):  # the next run finds it
                self._store.retire(parent, self._job)
            raise
        self._store.retire(parent, self._job)
        made = [Made(each.volume, CLONED, each.seconds + (0.0 if index else filled)) for index, (dummy, each) in enumerate(done)]
        errors = {request.name: error for request, error in troubles}
        for error in errors.values():
            if not isinstance(error, VolumesError):
                raise error
        return Filled(tuple(made), errors, "clone", "the image was written once, and the volumes are clones of it %s" % self._place)

    def _clone(self, parent: str, size: int, request: Request) -> Made:
        started = time.monotonic()
        self._job.listener.hear(Event("clone", request.name))
        self._store.clone_of(parent, request.name)
        try:
            if request.exact and request.size != size:
                self._store.resize(request.name, request.size)
            volume = self._store.publish(request.name, self._ready)
        except BaseException:
            self._forget(request.name)
            raise
        return Made(volume, CLONED, time.monotonic() - started)

    def _forget(self, name: str) -> None:
        with contextlib.suppress(VolumesError):  # the next run finds it
            self._store.discard(name)
