# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contract: where volumes live. An extension point; docs/extending.md shows how to write a driver.

A driver knows one back end. It declares what it can do and which options it takes; nothing above it ever asks
which driver it is. ``tests/unit/plugins/module_utils/storage/contract.py`` holds the tests that every driver passes.
"""

from __future__ import annotations

import abc
import contextlib
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB, round_up
from ansible_collections.bootable.volumes.plugins.module_utils.images.dispatch import is_archive
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import FILLING, READY, Record, record_of
from ansible_collections.bootable.volumes.plugins.module_utils.storage.imaging import Imaging, Streaming
from ansible_collections.bootable.volumes.plugins.module_utils.transfer import pipeline

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Images
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud

# States of a volume, whatever the back end calls them.
AVAILABLE = "available"  # usable, whatever is in it
WORKING = "working"      # the back end, or another run, is at work on it
HALF_DONE = "half_done"  # work on it was broken off; nobody is at it
BROKEN = "broken"        # the back end gave up on it

# How a volume came to be what it is, as results tell it.
COPIED, CLONED, ADOPTED, REFILLED, GROWN, UPDATED = "copied", "cloned", "adopted", "refilled", "grown", "updated"


@dataclass(frozen=True)
class Capabilities:
    """What a driver can do; the operations look here and nowhere else.

    :param handles: ``open`` works: bytes can be read and written through this process.
    :param clone: ``clone`` makes a volume from another one inside the back end.
    :param grow: ``grow`` works.
    :param granularity: Sizes are multiples of this many bytes.
    :param sized: A volume gets the size that is asked for; else it is as large as what it lives on, and that size is only the least.
    :param zeroed: What ``begin`` makes reads as zeroes.
    """

    handles: bool = False
    clone: bool = False
    grow: bool = True
    granularity: int = 1
    sized: bool = True
    zeroed: bool = True


@dataclass(frozen=True)
class Volume:
    """A volume as the back end has it now.

    :param name: What people call it.
    :param id: What the back end calls it.
    :param size: Bytes a guest sees.
    :param state: AVAILABLE, WORKING, HALF_DONE or BROKEN.
    :param status: The same in the back end's own words.
    :param location: Where it lives, to read: a path, a volume type.
    :param record: What it was filled with; None if nothing is known.
    :param details: The rest of what results show; the driver documents it.
    """

    name: str
    id: str
    size: int
    state: str
    status: str
    location: str
    record: t.Optional[Record] = None
    details: t.Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A volume that is wanted. What else there is to want is among the driver's own options.

    :param size: Bytes; already a multiple of the driver's granularity and enough for the image as far as it is known.
    :param exact: False where nobody named a size: the driver makes the volume larger if the image turns out to need it.
    """

    name: str
    size: int
    exact: bool = True


@dataclass(frozen=True)
class Difference:
    """One way in which a volume is not what the driver's options ask for.

    :param what: The option's name.
    :param mend: The least that mends it: ``update`` (in place, at once, harmless) or ``replace`` (remove and make anew).
    """

    what: str
    found: t.Any
    wanted: t.Any
    mend: str = "update"


@dataclass(frozen=True)
class Made:
    """A volume with how it came to be and how long that took.

    :param how: COPIED, CLONED, ADOPTED, REFILLED, ...
    :param seconds: Wall time spent on this volume.
    """

    volume: Volume
    how: str
    seconds: float


@dataclass(frozen=True)
class Filled:
    """What became of several volumes that were to be made from one image.

    :param made: Those that are ready (or, without waiting, under way), in the order asked for.
    :param errors: The others: their names and what went wrong.
    :param method: ``copy`` or ``clone``: how the volumes after the first got their bytes.
    :param reason: Why that method, to read.
    """

    made: t.Tuple[Made, ...]
    errors: t.Mapping[str, Exception] = field(default_factory=dict)
    method: str = "copy"
    reason: str = ""


class Handle(abc.ABC):
    """An open volume. Offsets and lengths are bytes within what a guest sees."""

    @abc.abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on; fewer only at the volume's end."""

    @abc.abstractmethod
    def write(self, offset: int, data: bytes) -> None:
        """Write all of ``data`` at ``offset``; beyond the end is an error."""

    @abc.abstractmethod
    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeroes, without writing them where the back end has a better way."""

    @abc.abstractmethod
    def flush(self) -> None:
        """Return only when what was written would survive a power cut."""

    @abc.abstractmethod
    def close(self) -> None:
        """Flush and let go. May be called twice."""

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@dataclass(frozen=True)
class Surroundings:
    """What a driver may use of the world outside; each takes what it needs.

    :param runner: Runs commands on the host.
    :param cloud: Connects to OpenStack on first use.
    :param check: Nothing may be written.
    :param closing: What has to be closed when the task ends is put in here.
    """

    runner: CommandRunner
    cloud: t.Callable[[], Cloud]
    check: bool = False
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


class VolumeDriver(abc.ABC):
    """One kind of storage, set up with one set of options. Making one touches nothing.

    :cvar name: What ``storage.driver`` says to pick it.
    :ivar capabilities: Mostly of the class; of the object where they depend on its options.
    :cvar options: Its own part of ``storage`` as an Ansible argument spec, without ``default``s: an option of
        another driver must be told from one that was not given. ``from_options`` fills in the defaults.
    :ivar runner: Runs qemu-img where an image has to be converted; a driver whose handles take any image sets it.
    """

    name: t.ClassVar[str]
    options: t.ClassVar[t.Mapping[str, t.Mapping[str, t.Any]]]
    runner: t.Optional[CommandRunner] = None

    @property
    @abc.abstractmethod
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @classmethod
    @abc.abstractmethod
    def from_options(cls, options: t.Mapping[str, t.Any], surroundings: Surroundings) -> VolumeDriver:
        """A driver set up with its options; those that were not given are absent.

        :raises InvalidInput: naming the option.
        """

    # --- looking ---

    @abc.abstractmethod
    def find(self, name: str) -> t.Optional[Volume]:
        """The volume of that name, or None.

        :raises Ambiguous: several have that name.
        """

    @abc.abstractmethod
    def list(self) -> t.List[Volume]:
        """All volumes in this storage, by name."""

    def look_up(self, name_or_id: str) -> t.Optional[Volume]:
        """As ``find``, but also by what the back end calls it."""
        return self.find(name_or_id)

    def find_all(self, names: t.Sequence[str]) -> t.Dict[str, t.Optional[Volume]]:
        """``find`` for many names; a driver that can ask once for all of them does."""
        return {name: self.find(name) for name in names}

    def differences(self, volume: Volume) -> t.List[Difference]:
        """Where the volume is not what the driver's options ask for. Its image and size are not the driver's to judge."""
        return []

    def least_size(self, image: ImageDescription) -> int:
        """The smallest volume, in bytes, that can hold the image as far as its description tells."""
        if is_archive(image):  # its own size tells nothing of the disk's, which is found out while it is read
            return round_up(max(image.min_disk * GIB, image.virtual_size or 1), self.capabilities.granularity)
        content = image.size if image.format == "raw" else image.virtual_size
        return round_up(max(image.min_disk * GIB, content or image.size or 1), self.capabilities.granularity)

    def holders(self, volume: Volume) -> t.List[str]:
        """What makes it unsafe to change or remove the volume, to read: ``attached to server 1f… as /dev/vda``."""
        return []

    def check_names(self, names: t.Sequence[str]) -> None:
        """Refuse, before anything is looked up, names that this storage cannot give.

        :raises InvalidInput: naming the first such name.
        """

    def check_image(self, image: ImageDescription) -> None:
        """Refuse, before anything is looked up, an image that this storage cannot be filled with, by what it is declared as.

        :raises InvalidInput: with what to do instead.
        """

    def check_content(self, volume: Volume) -> None:
        """Refuse, before anything is written, a volume whose content ``open`` would not give.

        :raises VolumesError: with what to do instead.
        """

    def check_removable(self, volume: Volume) -> None:
        """Refuse, before anything is removed, what is not this collection's to remove.

        :raises Foreign: saying what it is.
        """

    def check_room(self, requests: t.Sequence[Request], source: t.Optional[ImageSource]) -> None:
        """Refuse, before the first write, what will not fit into quota or free space.

        :param requests: The volumes to be created.
        :param source: What they will be filled with, or None.
        :raises NoRoom: with what is asked for and what is there.
        """

    @contextlib.contextmanager
    def exclusive(self, names: t.Sequence[str], job: Job) -> t.Iterator[None]:
        """Keep other runs of this collection from the same volumes for the length of a ``with``.

        A back end that offers no lock keeps two runs from making a volume twice in ``create`` instead.
        """
        yield

    # --- making and unmaking ---

    @abc.abstractmethod
    def create(self, request: Request, record: Record) -> Volume:
        """A new volume that reads as zeroes, carrying ``record``."""

    def begin(self, request: Request, record: Record) -> Volume:
        """As ``create``, for a volume that is filled next: without ``capabilities.zeroed`` it may hold anything."""
        return self.create(request, record)

    @abc.abstractmethod
    def remove(self, volume: Volume, job: Job) -> None:
        """Remove the volume and everything that belongs to it. One that is gone already is no error."""

    @abc.abstractmethod
    def mark(self, volume: Volume, record: Record) -> Volume:
        """Make the volume remember ``record``."""

    def grow(self, volume: Volume, size: int, job: Job) -> Volume:
        """Make the volume larger; what is added reads as zeroes."""
        raise InvalidInput("volumes of the driver %s cannot grow" % self.name)

    def update(self, volume: Volume, differences: t.Sequence[Difference], job: Job) -> Volume:
        """Mend the differences that say ``update``."""
        return volume

    def clone(self, origin: Volume, request: Request, record: Record, job: Job) -> Volume:
        """A new volume with the content of ``origin``, made by the back end; only with ``capabilities.clone``."""
        raise InvalidInput("volumes of the driver %s cannot be cloned" % self.name)

    def open(self, volume: Volume, mode: str) -> Handle:
        """Open for ``"r"`` or ``"w"`` (which can read, too); only with ``capabilities.handles``.

        :raises InUse: when something else holds the volume.
        """
        raise InvalidInput("volumes of the driver %s cannot be opened" % self.name)

    def file_of(self, volume: Volume) -> t.Optional[t.Tuple[str, str]]:
        """Path and format of the file or device that holds the volume, where there is one that qemu-img can read."""
        return None

    # --- filling ---

    def copy_image(self, source: ImageSource, volumes: t.Sequence[Volume], job: Job, *, fresh: bool) -> None:
        """Write the image into existing volumes: the bytes are read once and written to each.

        This default streams through handles: what dd does, but verified and aware of holes.
        A driver overrides it where it has a better way.

        :param fresh: The volumes are known to read as zeroes, so holes need not be written.
        :raises UnsafeImage: before anything is converted.
        :raises IntegrityError: when the bytes were not those promised; the volumes stay marked as filling.
        """
        with contextlib.ExitStack() as handles:
            targets = [(volume.name, volume.size, handles.enter_context(self.open(volume, "w"))) for volume in volumes]
            pipeline.copy_image(source, targets, job, fresh=fresh, runner=self.runner)

    def fill_new(self, source: ImageSource, requests: t.Sequence[Request], fan_out: str, job: Job) -> Filled:
        """Make volumes that hold the image, none of which exists yet.

        This default begins them marked as filling, copies the image into the first (or into all, where the back end
        cannot clone), clones the others, and only then marks them ready.

        :param fan_out: ``auto``, ``copy`` or ``clone``.
        """
        ready = record_of(source.describe(), READY)
        if fan_out == "clone" and not self.capabilities.clone and len(requests) > 1:
            raise InvalidInput("fan_out: volumes of the driver %s cannot be cloned here; use fan_out: auto" % self.name)
        cloning = self.capabilities.clone and fan_out != "copy" and len(requests) > 1
        made = self.fill_copies(source, requests[:1] if cloning else requests, job)
        errors: t.Dict[str, Exception] = {}
        for request in requests[len(made):]:
            started = time.monotonic()
            try:
                made.append(Made(self.clone(made[0].volume, request, ready, job), CLONED, time.monotonic() - started))
            except VolumesError as error:
                errors[request.name] = error
        if cloning:
            return Filled(tuple(made), errors, "clone", "the back end clones volumes")
        return Filled(tuple(made), errors, "copy", "the image is read once and written to every volume")

    def fill_copies(self, source: ImageSource, requests: t.Sequence[Request], job: Job) -> t.List[Made]:
        """Make volumes that each get the image's own bytes, which are read once; none of them exists yet."""
        started = time.monotonic()
        copied = [self.begin(request, record_of(source.describe(), FILLING)) for request in requests]
        self.copy_image(source, copied, job, fresh=self.capabilities.zeroed)
        return [Made(self.mark(volume, record_of(source.describe(), READY)), COPIED, time.monotonic() - started) for volume in copied]

    def refill(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        """Replace the content of an existing volume by the image; the volume is large enough and nothing holds it."""
        started = time.monotonic()
        volume = self.mark(volume, record_of(source.describe(), FILLING))
        self.copy_image(source, [volume], job, fresh=False)
        return Made(self.mark(volume, record_of(source.describe(), READY)), REFILLED, time.monotonic() - started)

    def adopt(self, source: ImageSource, volume: Volume, job: Job) -> Made:
        """Bring a volume to its end that another run began to fill with this very image.

        This default fills it again: whoever was at it is gone, or ``exclusive`` would not have let us in.
        """
        made = self.refill(source, volume, job)
        return Made(made.volume, ADOPTED, made.seconds)

    # --- making images ---

    def imaging(self, images: Images) -> Imaging:
        """Makes images of this driver's volumes in Glance; by sending their bytes, unless the driver has a better way."""
        return Streaming(self, images)
