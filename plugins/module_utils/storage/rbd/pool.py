# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Port: what the rbd driver needs of a pool of Ceph. Two adapters serve it: Ceph's Python bindings, and its commands.

Names are those of images within one pool and namespace. Sizes are bytes.
"""

from __future__ import annotations

import abc
import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Handle
from ansible_collections.bootable.volumes.plugins.module_utils.storage.filling import HIDDEN

# Where a volume's record is kept: the key in the image's metadata (`rbd image-meta list` shows it).
RECORD_KEY = "bootable.record"

# What a lock is called on the object that carries it.
LOCK = "bootable"

# An image's features by name (librbd.h); "layering" is what clones need.
FEATURES = ("layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten", "journaling")
_NEEDED = {"object-map": "exclusive-lock", "journaling": "exclusive-lock", "fast-diff": "object-map"}


@dataclass(frozen=True)
class Place:
    """Where a driver's images are.

    :param conf: Ceph's configuration file; None for Ceph's own default.
    :param user: As in ``client.<user>``; None for Ceph's own default.
    :param cluster: The cluster's name; None for Ceph's own default.
    :param data_pool: The pool that new images have their data in, where it is another one (an erasure-coded one).
    :param features: Of new images; none for what the cluster's configuration says.
    :param option: What the option is called that names the pool, for messages.
    """

    pool: str
    namespace: str = ""
    conf: t.Optional[str] = None
    user: t.Optional[str] = None
    cluster: t.Optional[str] = None
    data_pool: t.Optional[str] = None
    features: t.Tuple[str, ...] = ()
    option: str = "pool"

    @property
    def path(self) -> str:
        """As the ``rbd`` command writes it: ``pool/namespace``."""
        return "%s/%s" % (self.pool, self.namespace) if self.namespace else self.pool

    def spec(self, name: str) -> str:
        """An image as the ``rbd`` command names it."""
        return "%s/%s" % (self.path, name)


def check_features(names: t.Iterable[str]) -> t.Tuple[str, ...]:
    """Features that go together.

    :raises InvalidInput: one needs another one that is missing.
    """
    given = tuple(dict.fromkeys(names))
    for name in given:
        needed = _NEEDED.get(name)
        if needed and needed not in given:
            raise InvalidInput("features: %s works only with %s; name both or neither" % (name, needed))
    return given


@dataclass(frozen=True)
class Parent:
    """The snapshot that an image is a clone of.

    :param spec: The parent's image, as the ``rbd`` command names it.
    """

    spec: str
    image: str
    snapshot: str

    @property
    def is_golden(self) -> bool:
        """Whether it is a hidden parent of ours."""
        return self.image.startswith(HIDDEN)


@dataclass(frozen=True)
class Image:
    """An image as it is now.

    :param id: Ceph's own, which a new image of the same name does not get.
    :param record: The text of our metadata, if it has any.
    :param data_pool: None where the data is in the image's own pool.
    """

    name: str
    id: str
    size: int
    features: t.Tuple[str, ...] = ()
    record: t.Optional[str] = None
    parent: t.Optional[Parent] = None
    data_pool: t.Optional[str] = None


@dataclass(frozen=True)
class Users:
    """What makes it unsafe to change an image.

    :param watchers: Addresses of the clients that have it open for writing.
    :param snapshots: Names.
    :param clones: Images, as the ``rbd`` command names them.
    """

    watchers: t.Tuple[str, ...] = ()
    snapshots: t.Tuple[str, ...] = ()
    clones: t.Tuple[str, ...] = field(default=())


class Exists(BackendError):
    """An image of that name is there, or what is left of one."""


class Busy(InUse):
    """A client has the image open; one that was killed counts for half a minute."""


class Needed(InUse):
    """The image has snapshots, or clones."""


class Gone(BackendError):
    """There is no such image."""


class Pool(abc.ABC):
    """One pool (and namespace), reached on first use.

    Everything may raise BackendError with Ceph's own words; an image that is not there raises Gone.

    :ivar place: Where the images are.
    :ivar deadline: By when everything must be done, once that is known.
    :ivar lease: Seconds that a lock lasts unless it is renewed; None where it cannot be renewed.
    """

    place: Place
    deadline: t.Optional[Deadline] = None
    lease: t.Optional[float] = None

    # --- looking ---

    @abc.abstractmethod
    def names(self) -> t.List[str]:
        """All images, the hidden ones, too; one whose removal was broken off may still be named."""

    @abc.abstractmethod
    def look(self, name: str) -> t.Optional[Image]:
        """An image, or None."""

    @abc.abstractmethod
    def users(self, name: str) -> Users:
        """What uses an image; this very process does not count."""

    @abc.abstractmethod
    def room(self) -> t.Optional[int]:
        """Bytes that can still be written, where Ceph tells."""

    # --- making and unmaking ---

    @abc.abstractmethod
    def create(self, name: str, size: int) -> None:
        """A new image.

        :raises Exists: the name is taken.
        """

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Remove an image, or what a broken-off creation or removal left of one; none at all is no error.

        :raises Busy: a client has it open.
        :raises Needed: it has snapshots.
        """

    @abc.abstractmethod
    def remember(self, name: str, record: str) -> None:
        """Set our metadata, at once."""

    @abc.abstractmethod
    def resize(self, name: str, size: int) -> None:
        """Make an image larger or smaller. What is added reads as zeroes."""

    # --- clones ---

    @abc.abstractmethod
    def snapshot(self, name: str, snapshot: str) -> None:
        """Make a snapshot."""

    @abc.abstractmethod
    def drop_snapshot(self, name: str, snapshot: str) -> None:
        """Remove a snapshot; clones of it keep what they need. None at all is no error."""

    @abc.abstractmethod
    def clone(self, name: str, snapshot: str, child: str) -> None:
        """A new image with the content, the size and the metadata of a snapshot, which shares its blocks."""

    @abc.abstractmethod
    def flatten(self, name: str) -> None:
        """Give a clone its own blocks; what is no clone stays as it is."""

    # --- the trash ---

    @abc.abstractmethod
    def trash(self, name: str) -> None:
        """Take an image out of sight, into Ceph's trash; clones of it live on. An image that is gone is no error."""

    @abc.abstractmethod
    def trashed(self) -> t.Dict[str, str]:
        """What is in the trash: ids to the names that they had."""

    @abc.abstractmethod
    def purge(self, id: str) -> bool:
        """Remove an image from the trash.

        What is left of its snapshots goes first, by itself: librbd removes it, too, but has been seen to leave objects behind then.

        :returns: False if it has clones.
        :raises Busy: a client has it open.
        """

    # --- locks ---

    @abc.abstractmethod
    def lock(self, name: str, cookie: str, seconds: float) -> bool:
        """Take, or renew, the lock of that name.

        :param cookie: Tells this lock from all others, and who has it.
        :returns: False while somebody else has it.
        """

    @abc.abstractmethod
    def unlock(self, name: str) -> None:
        """Let go, and leave no trace; only for who has the lock."""

    @abc.abstractmethod
    def is_locked(self, name: str) -> bool:
        """Whether somebody has the lock right now. Writes nothing."""

    # --- bytes ---

    @abc.abstractmethod
    def open(self, name: str, size: int, *, write: bool) -> Handle:
        """Open an image of that size."""


def check_within(offset: int, length: int, size: int) -> None:
    """:raises InvalidInput: a range is not within an image of that size."""
    if offset < 0 or offset + length > size:
        raise InvalidInput("bytes %d to %d are beyond the volume's end at %d" % (offset, offset + length, size))


def room_in(text: t.Union[str, bytes], place: Place) -> t.Optional[int]:
    """Bytes that can still be written, by what ``ceph df`` says in JSON."""
    try:
        pools = {each["name"]: each["stats"]["max_avail"] for each in json.loads(text)["pools"]}
        return int(pools[place.data_pool or place.pool])
    except (ValueError, KeyError, TypeError):
        return None
