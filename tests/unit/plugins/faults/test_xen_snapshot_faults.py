# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of machines, their runs killed after everything that they change, anywhere: the next run leaves nothing but the images."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")
pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.xen import raw_vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.http import Request
from ansible_collections.bootable.volumes.tests.unit.fakes.snapshooting import content, disk_of, members, only, run
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_machine import Web

READS = ("get_", "login", "logout")


class Killed(BaseException):
    """The process is no more: nothing that it would still do is done."""


class Killer:
    """Kills a run when the n-th thing that it changes, in the pool or in Glance, is done: before the next one is no other moment.

    :ivar changes: What has been changed, or asked for, so far.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cloud: FakeCloud) -> None:
        self._at: t.Optional[int] = None
        self._dead = False
        self.changes: t.List[str] = []
        self._patch(monkeypatch, Pool, "_ask", lambda args: str(args[1]))
        self._patch(monkeypatch, raw_vdi, "_ask", lambda args: "export")
        self._patch(monkeypatch, type(cloud.glance), "_answer", lambda args: t.cast(Request, args[1]).line)

    def _patch(self, monkeypatch: pytest.MonkeyPatch, owner: t.Any, name: str, what_of: t.Callable[[t.Sequence[t.Any]], str]) -> None:
        original = getattr(owner, name)

        def replaced(*args: t.Any) -> t.Any:
            if self._dead:
                raise Killed
            what = what_of(args)
            if what.partition(".")[2].startswith(READS) or what.startswith("GET "):
                return original(*args)
            self.changes.append(what)
            found = original(*args)
            if len(self.changes) == self._at:
                self._dead = True
                raise Killed
            return found

        monkeypatch.setattr(owner, name, replaced)

    @contextlib.contextmanager
    def armed(self, at: t.Optional[int]) -> t.Iterator[None]:
        """For the length of a ``with``."""
        self._at, self.changes = at, []
        try:
            yield
        finally:
            self._at, self._dead = None, False


HOW: t.Mapping[str, t.Dict[str, t.Any]] = {
    "flat": {"devices": ["0", "1"], "asked": ["rbd"]},
    "chain": {"layout": "chain", "visibility": "community"},
}


@pytest.mark.parametrize("layout", sorted(HOW))
def test_killed_anywhere(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    cloud, how = FakeCloud(), HOW[layout]
    names = ["golden", "golden-xvdb"][:len(how.get("devices", ("0",)))]
    runs = iter(range(1000))
    alive = [""]
    monkeypatch.setattr(liveness, "signature", lambda pid=0: alive[0])
    monkeypatch.setattr(liveness, "is_dead", lambda run: run != alive[0])

    def again(killer: Killer, at: t.Optional[int]) -> t.Optional[t.Dict[str, t.Any]]:
        """A run of another process."""
        alive[0] = "run %d" % next(runs)
        with killer.armed(at):
            try:
                return run(web, cloud, **how)
            except Killed:
                return None

    with simulator(folder) as site:
        web = Web(site, sizes=(4 * MIB, 2 * MIB))
        web.scribble(1)
        web.snapshot("theirs")
        web.scribble(2)
        theirs = web.all_vdis()
        killer = Killer(monkeypatch, cloud)
        at, reached = 0, True
        while reached:
            at += 1
            reached = again(killer, at) is None
            last = killer.changes[-1]
            for image in cloud.glance.images.values():
                assert image.get("bootable_state") == "filling" or cloud.glance.data.get(image["id"]), "taken for whole, and is not: killed at %s" % last
            result = again(killer, None)
            assert result is not None and sorted(image["name"] for image in cloud.glance.images.values()) == names, last
            for device, name in enumerate(names):
                assert only(cloud, name)["status"] == "active" and "bootable_state" not in only(cloud, name), last
                data = content(cloud, name)
                assert disk_of(members(data) if layout == "chain" else [data]) == web.content(device), last
            assert web.snapshots() == ["theirs"] and web.all_vdis() == theirs, "left in the pool: killed at %s" % last
            assert not [key for key in web.call("VM.get_other_config", web.ref) if key.startswith("bootable:")], last
            if at % 5 == 0:
                assert set((again(killer, None) or {})["actions"]) == {"keep"}, last
            for image_id in list(cloud.glance.images):
                cloud.glance.drop(image_id)
        assert at > 12
