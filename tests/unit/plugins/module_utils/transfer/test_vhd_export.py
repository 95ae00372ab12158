# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports on their way to become images, as pools send them: under new names, and knowing little of each other."""

from __future__ import annotations

import contextlib
import io
import random
import typing as t
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event, Listener
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_writer import Parent
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.vhd_export import Level, chain, flat
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import Hourglass
from ansible_collections.bootable.volumes.tests.unit.fakes.snapshooting import disk_of, members
from ansible_collections.bootable.volumes.tests.unit.fakes.vhds import Writes, disk, opened, scattered, vhd

SIZE = 6 * MIB + 512 * 3
STAMP = 850000000


class Export(contextlib.AbstractContextManager["Export"]):
    """What a pool sends, and what becomes of its task.

    :ivar closed: Whether it was hung up.
    """

    def __init__(self, data: bytes, *, pending: int = 0, failure: t.Optional[Exception] = None) -> None:
        self._stream = io.BytesIO(data)
        self._pending = pending
        self._failure = failure
        self.finished = self.closed = False

    def read(self, length: int) -> bytes:
        """Some of it."""
        return self._stream.read(min(length, 100000))

    def check(self) -> bool:
        """How the task stands."""
        self._pending -= 1
        if self._pending >= 0:
            return False
        if self._failure:
            raise self._failure
        return True

    def finish(self) -> None:
        """The task is over."""
        self.finished = True
        if self._failure:
            raise self._failure

    def __exit__(self, *exception: object) -> None:
        self.closed = True


def job(listener: t.Optional[Listener] = None) -> Job:
    """Time enough."""
    return Job(Deadline(100, clock=Hourglass()), listener=listener or Listener())


def exported(size: int, writes: Writes, *, delta: bool) -> bytes:
    """One export: whole blocks, under a name of its own, and if it is a delta with a parent that nobody knows."""
    content, blocks = disk(size, writes), {offset // (2 * MIB) for at, data in writes.items() for offset in range(at, at + len(data), 512)}
    whole = {number * 2 * MIB: content[number * 2 * MIB:(number + 1) * 2 * MIB] for number in sorted(blocks)}
    return vhd(size, whole, parent=Parent(uuid.uuid4(), "/dev/VG_XenStorage/VHD-1") if delta else None)


def levels_of(*exports: Export, sizes: t.Optional[t.Sequence[int]] = None) -> t.List[Level]:
    """They as levels, the newest first."""
    return [Level("web/xvda", sizes[index] if sizes else SIZE, lambda export=export: export)  # type: ignore[misc]
            for index, export in enumerate(exports)]


def deltas(size: int, layers: t.Sequence[Writes]) -> t.List[Export]:
    """What a pool would export of a disk that was written in several layers, the oldest given first."""
    found = [Export(exported(size, layers[0], delta=False))]
    for count in range(1, len(layers)):
        now = disk(size, *layers[:count + 1])
        touched = {offset // (2 * MIB) for at, data in layers[count].items() for offset in range(at, at + len(data), 512)}
        blocks = {number * 2 * MIB: now[number * 2 * MIB:(number + 1) * 2 * MIB] for number in touched}
        found.insert(0, Export(exported(size, blocks, delta=True)))
    return found


def test_flat() -> None:
    writes = {512: b"a" * 512, 5 * MIB: b"b" * 1024}
    export = Export(exported(SIZE, writes, delta=False))
    events: t.List[Event] = []
    listener = Listener()
    listener.hear = events.append  # type: ignore[method-assign]
    (level,) = levels_of(export)
    with flat(level, STAMP, job(listener)) as body:
        assert body.size is not None and not body.repeatable
        data = b"".join(body.chunks())
    assert len(data) == body.size == body.sent and body.members == 1 and export.finished and export.closed
    made = opened(data)
    assert made.read(0, SIZE) == disk(SIZE, writes) and made.parent is None and made.footer.timestamp == STAMP and made.footer.creator == b"tap\0"
    assert events[-1] == Event("upload", "web/xvda", len(data), len(data))


@pytest.mark.parametrize("compress", [False, True])
def test_a_chain(compress: bool) -> None:
    layers = [scattered(seed, 6 * MIB, 3) for seed in range(3)]
    exports = deltas(SIZE, layers)
    with chain(levels_of(*exports), STAMP, job(), compress=compress) as body:
        assert body.size is None
        data = b"".join(body.chunks())
    found = members(data)
    assert body.members == 3 and body.sent == len(data) and all(export.finished and export.closed for export in exports)
    assert disk_of(found) == disk(SIZE, *layers)
    for below in (1, 2):
        assert disk_of(found[below:]) == disk(SIZE, *layers[:3 - below])
    assert [opened(each).parent for each in found[:2]] == [opened(each).footer.identity for each in found[1:]]
    assert opened(found[0]).header is not None and [opened(each).header.parent_name for each in found] == ["1.vhd", "2.vhd", ""]  # type: ignore[union-attr]
    assert {opened(each).footer.timestamp for each in found} == {STAMP} == {opened(found[0]).header.parent_timestamp}  # type: ignore[union-attr]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10 ** 6), depth=st.integers(1, 4), extra=st.integers(0, 5))
def test_any_chain_is_the_disk(seed: int, depth: int, extra: int) -> None:
    size = 4 * MIB + extra * 512
    layers: t.List[Writes] = []
    for index in range(depth):
        dice = random.Random(seed + index)
        layers.append(scattered(seed + index, 4 * MIB, dice.randrange(3)) if dice.random() < 0.7 else {})
    with chain(levels_of(*deltas(size, layers), sizes=[size] * depth), STAMP, job(), compress=False) as body:
        found = members(b"".join(body.chunks()))
    assert disk_of(found) == disk(size, *layers)
    assert len(found) == 1 + sum(bool(layer) for layer in layers[1:])


@pytest.mark.parametrize("layers, expected", [
    ([{0: b"a" * 512}, {}], 1), ([{0: b"a" * 512}, {}, {512: b"b" * 512}], 2), ([{}, {}, {}], 1), ([{}, {0: b"a" * 512}, {}], 2)])
def test_what_adds_nothing_is_left_out_but_read_to_its_end(layers: t.Sequence[Writes], expected: int) -> None:
    exports = deltas(SIZE, layers)
    with chain(levels_of(*exports), STAMP, job(), compress=False) as body:
        found = members(b"".join(body.chunks()))
    assert len(found) == expected == body.members and disk_of(found) == disk(SIZE, *layers)
    assert all(export.finished and export.closed for export in exports)


def test_a_newest_disk_that_only_grew_stays() -> None:
    exports = [Export(exported(8 * MIB, {}, delta=True)), Export(exported(6 * MIB, {0: b"a" * 512}, delta=False))]
    with chain(levels_of(*exports, sizes=[8 * MIB, 6 * MIB]), STAMP, job(), compress=False) as body:
        found = members(b"".join(body.chunks()))
    assert len(found) == 2 and disk_of(found) == disk(8 * MIB, {0: b"a" * 512})


GOOD = exported(SIZE, {512: b"a" * 512, 5 * MIB: b"b" * 1024}, delta=False)
REPLY = b"HTTP/1.1 500 Internal Error\r\nConnection: close\r\n\r\n"
WHOLE_BLOCK = len(GOOD) - 512 - 2 * MIB


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("data", [
    b"", GOOD[:100], GOOD[:1000], GOOD[:1700], GOOD[:2600], GOOD[:WHOLE_BLOCK], GOOD[:-512], GOOD[:-1], REPLY, GOOD[:1536] + REPLY, GOOD[:-2 * MIB] + REPLY,
    GOOD[:-512] + REPLY, GOOD + REPLY], ids=lambda data: "%d bytes" % len(data))
def test_exports_that_break_off(data: bytes, archive: bool) -> None:
    """The pool is asked why; if it has nothing to say, what came is not enough all the same."""
    exports = {"no room": Export(data, pending=3, failure=BackendError("the storage has no room")), "did not come whole": Export(data, pending=99)}
    for words, export in exports.items():
        (level,) = levels_of(export)
        with pytest.raises(BackendError, match=words):
            with chain([level], STAMP, job(), compress=False) if archive else flat(level, STAMP, job()) as body:
                for dummy in body.chunks():
                    pass
        assert export.closed


def test_the_last_piece_waits_for_the_pools_word() -> None:
    """What is refused in the end has not been sent in full."""
    export = Export(GOOD, failure=BackendError("the host failed"))
    (level,) = levels_of(export)
    sent = 0
    with pytest.raises(BackendError, match="the host failed"):
        with flat(level, STAMP, job()) as body:
            for chunk in body.chunks():
                sent += len(chunk)
    assert body.size is not None and sent < body.size


def test_whoever_stops_listening_hangs_up() -> None:
    exports = deltas(SIZE, [{0: b"a" * 512}, {2 * MIB: b"b" * 512}])
    with pytest.raises(KeyboardInterrupt):
        with chain(levels_of(*exports), STAMP, job(), compress=True) as body:
            for dummy in body.chunks():
                raise KeyboardInterrupt
    assert exports[0].closed and not exports[1].finished
