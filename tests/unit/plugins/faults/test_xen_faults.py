# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of a pool, made and removed by runs that end before each of their calls in turn: killed, or with a connection that breaks.

Every sixth call is tried, other ones in each test; with EVERY_FAULT in the environment all of them, which takes minutes.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage
from ansible_collections.bootable.volumes.tests.unit.fakes.machines import NETWORK, Boots, House, QuickClock, house
from ansible_collections.bootable.volumes.tests.unit.fakes.vhds import disk, vhd
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import BOOT_SECTOR

MIB = 1 << 20
SIZE = 4 * MIB
FIRST, SECOND = {0: BOOT_SECTOR, 2 * MIB: b"base" * 128}, {0: BOOT_SECTOR, MIB: b"news" * 128}
IMAGE = BytesImage(vhd(SIZE, FIRST), format="vhd", name="first")
OTHER = BytesImage(vhd(SIZE, SECOND), format="vhd", name="second")
NAMES = ["a", "b"]
WISH: t.Dict[str, t.Any] = {"names": NAMES, "networks": ({"network": NETWORK},)}

STRIDE = 1 if os.environ.get("EVERY_FAULT") else 6

# Before a call that changes nothing the pool is as it was after the last one that did.
_READS = ("get_", "login_", "assert_", "logout")


class Killed(BaseException):
    """The process has ended: no clean-up of its reaches the pool."""


class Fate:
    """What becomes of the run that is under way.

    :param kind: ``killed`` before the call, or the connection is ``cut`` before or ``lost`` after it.
    :param number: At which of the calls that change something.
    """

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self._left = number
        self.met = False

    def before(self, method: str) -> None:
        """A call is about to be made."""
        if self.kind == "killed" and self.met:
            raise BackendError("its sockets are closed") if method == "session.logout" else Killed
        if not any(word in method for word in _READS):
            self._left -= 1
            if self._left == 0:
                self.met = True
                if self.kind == "killed":
                    raise Killed
                if self.kind == "cut":
                    raise BackendError("the line is dead before %s" % method)

    def after(self, method: str) -> None:
        """It was made."""
        if self.kind == "lost" and self.met and self._left == 0:
            self._left = -1
            raise BackendError("the line is dead after %s" % method)


@pytest.fixture
def xen(tmp_path: pathlib.Path) -> t.Iterator[House]:
    with house(tmp_path) as found:
        yield found


@contextlib.contextmanager
def struck(fate: Fate) -> t.Iterator[None]:
    """Runs in here meet their fate, and whoever finds what they left knows that they have ended."""
    real_ask, real_signature = Pool._ask, liveness.signature
    dead = "/".join([*real_signature().split("/")[:2], "4194999", "1"])

    def ask(pool: Pool, method: str, args: t.Any) -> t.Any:
        fate.before(method)
        answer = real_ask(pool, method, args)
        fate.after(method)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pool, "_ask", ask)
        patch.setattr(liveness, "signature", lambda pid=0: real_signature(pid) if pid else dead)
        with contextlib.suppress(Killed, VolumesError):
            yield


def one_by_one() -> Job:
    """So that the n-th call is the same one each time."""
    return Job(Deadline(60, clock=QuickClock()), at_once=1)


def assert_whole(xen: House, boots: Boots, content: bytes, result: t.Mapping[str, t.Any], when: str) -> None:
    """Both machines run, each with one disk and one network card, and there is nothing else."""
    assert sorted(xen.machines()) == NAMES, when
    assert all(machine["power_state"] == "running" and len(machine["networks"]) == 1 for machine in result["machines"]), when
    for machine in result["machines"]:
        assert [each["name"] for each in machine["disks"]] == [machine["name"] + "-root"], when
        assert xen.xapi.disk_bytes(machine["disks"][0]["vdi"]) == content, when
    managed = [row["name_label"] for row in xen.rows("VDI", is_tools_iso=False, managed=True).values()]
    assert sorted(managed) == ["a-root", "b-root"] and len(xen.rows("VBD")) == 2 and len(xen.rows("VIF")) == 2, when
    assert_unlocked(xen, when)


def assert_nothing(xen: House, when: str) -> None:
    """Nothing is left, not even a lock."""
    assert xen.machines() == {} and xen.disks() == [], when
    assert not xen.rows("VBD") and not xen.rows("VIF"), when
    assert_unlocked(xen, when)


def assert_unlocked(xen: House, when: str) -> None:
    """Only what was killed leaves a lock, and only until the next run."""
    notes = [key for row in xen.rows("SR").values() for key in row["other_config"] if key.startswith("bootable:")]
    assert notes == [], when


def each_moment(kind: str, run: t.Callable[[], t.Any], first: int) -> t.Iterator[str]:
    """Runs that meet their fate at one call, a later one, and so on, until one gets through; what to call each.

    :param first: The call to begin with, if not all are tried.
    """
    for number in itertools.chain([1], range(2 if STRIDE == 1 else first, 200, STRIDE)):
        fate = Fate(kind, number)
        with struck(fate):
            run()
        yield "%s at call %d" % (kind, number)
        if not fate.met:
            return
    raise AssertionError("never got through")


KINDS = pytest.mark.parametrize("kind, first", [("killed", 2), ("cut", 4), ("lost", 6)])


@KINDS
def test_made_in_spite_of_it(xen: House, kind: str, first: int) -> None:
    boots = Boots(xen, IMAGE)
    for when in each_moment(kind, lambda: boots.run(job=one_by_one(), **WISH), first):
        dummy, result = boots.run(**WISH)
        assert_whole(xen, boots, disk(SIZE, FIRST), result, when)
        assert not boots.run(**WISH)[0].changed, when
        boots.run(state="absent", force=True, **WISH)
        assert_nothing(xen, when)


@KINDS
def test_removed_before_it_was_made(xen: House, kind: str, first: int) -> None:
    boots = Boots(xen, IMAGE)
    for when in each_moment(kind, lambda: boots.run(job=one_by_one(), **WISH), first + 1):
        boots.run(names=NAMES, state="absent", force=True)
        assert_nothing(xen, when)


@KINDS
def test_removed_in_spite_of_it(xen: House, kind: str, first: int) -> None:
    boots = Boots(xen, IMAGE)

    def remove() -> None:
        boots.run(job=one_by_one(), names=NAMES, state="absent", force=True)

    boots.run(**WISH)
    for when in each_moment(kind, remove, first):
        boots.run(names=NAMES, state="absent", force=True)
        assert_nothing(xen, when)
        boots.run(**WISH)


def test_made_anew_before_it_was_removed(xen: House) -> None:
    boots = Boots(xen, IMAGE)
    boots.run(**WISH)
    for when in each_moment("killed", lambda: boots.run(job=one_by_one(), names=NAMES, state="absent", force=True), 5):
        dummy, result = boots.run(**WISH)
        assert_whole(xen, boots, disk(SIZE, FIRST), result, when)


def test_replaced_in_spite_of_it(xen: House) -> None:
    boots = Boots(xen, IMAGE)
    boots.run(**WISH)
    for when in each_moment("killed", lambda: boots.run(job=one_by_one(), image=OTHER, on_drift="replace", force=True, **WISH), 3):
        dummy, result = boots.run(image=OTHER, on_drift="replace", force=True, **WISH)
        assert_whole(xen, boots, disk(SIZE, SECOND), result, when)
        boots.run(on_drift="replace", force=True, **WISH)
