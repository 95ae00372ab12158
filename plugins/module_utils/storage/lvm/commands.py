# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LVM through its commands: one volume group, what is in it, and what can be done to it."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NoRoom, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner

# lvs(8), lv_attr: places of the bits
_TYPE, _STATE, _OPEN, _ZEROES, _HEALTH = 0, 4, 5, 7, 8

_LV = ("lv_name", "lv_size", "lv_attr", "lv_tags", "pool_lv", "origin", "lv_path", "data_percent", "chunk_size")
_VG = ("vg_name", "vg_extent_size", "vg_free")


@dataclass(frozen=True)
class LogicalVolume:
    """A row of lvs.

    :param size: Bytes.
    :param attributes: Its lv_attr.
    :param pool: The thin pool that it is in; empty for a thick one.
    :param origin: What it is a snapshot of; empty if it is none.
    :param path: Its device, where it is active.
    :param used: Percent of it that are taken, where LVM knows.
    :param chunk: Of a thin pool: bytes that it hands out at once.
    """

    name: str
    size: int
    attributes: str
    tags: t.FrozenSet[str]
    pool: str
    origin: str
    path: str
    used: t.Optional[float]
    chunk: int

    @property
    def kind(self) -> t.Optional[str]:
        """What it is if it is no volume: pools and copy-on-write snapshots."""
        return {"t": "a thin pool", "D": "a VDO pool", "d": "a VDO pool", "s": "a snapshot", "S": "a snapshot"}.get(self.attributes[_TYPE])

    @property
    def is_active(self) -> bool:
        """Whether it has a device on this host."""
        return self.attributes[_STATE] == "a"

    @property
    def is_open(self) -> bool:
        """Whether something has its device open."""
        return self.attributes[_OPEN] == "o"

    @property
    def zeroes(self) -> bool:
        """Of a thin pool: whether it zeroes what it hands out."""
        return self.attributes[_ZEROES] == "z"

    @property
    def trouble(self) -> t.Optional[str]:
        """What is wrong with it."""
        return {"p": "a physical volume is missing", "F": "it has failed"}.get(self.attributes[_HEALTH])


@dataclass(frozen=True)
class Group:
    """A row of vgs; both in bytes."""

    extent: int
    free: int


class Lvm:
    """One volume group. Making one runs nothing.

    :param vg: Its name.
    """

    def __init__(self, vg: str, runner: CommandRunner) -> None:
        self.vg = vg
        self._runner = runner

    # --- looking ---

    def group(self) -> Group:
        """
        :raises NotFound: there is none of that name.
        """
        rows = [row for row in self._report("vgs", "vg", _VG) if row["vg_name"] == self.vg]
        if not rows:
            raise NotFound("vg: there is no volume group %s on the host where the module runs; make it first (vgcreate), or name another" % self.vg)
        return Group(int(rows[0]["vg_extent_size"]), int(rows[0]["vg_free"]))

    def volumes(self) -> t.Dict[str, LogicalVolume]:
        """Everything in the group but what LVM hides, by name."""
        return {row["lv_name"]: LogicalVolume(
            row["lv_name"], int(row["lv_size"]), row["lv_attr"], frozenset(tag for tag in row["lv_tags"].split(",") if tag),
            row["pool_lv"], row["origin"], row["lv_path"], float(row["data_percent"]) if row["data_percent"] else None, int(row["chunk_size"] or 0),
        ) for row in self._report("lvs", "lv", _LV)}

    def _report(self, command: str, what: str, columns: t.Sequence[str]) -> t.List[t.Dict[str, str]]:
        # a selection that finds nothing is no error, a name that is not there would be
        printed = self._runner.run_ok([
            command, "--reportformat", "json", "--units", "b", "--nosuffix", "--options", ",".join(columns), "--select", "vg_name=%s" % self.vg])
        try:
            rows = json.loads(printed)["report"][0][what]
        except (ValueError, KeyError, IndexError) as error:
            raise BackendError("%s printed something else than a report: %s" % (command, printed[:200])) from error
        return t.cast(t.List[t.Dict[str, str]], rows)

    # --- changing ---

    def make_thick(self, name: str, size: int, tags: t.Iterable[str]) -> None:
        """A new volume with extents of its own. It holds what was in them, but nothing at its beginning that udev would recognize."""
        self._change(["lvcreate", "--yes", "--type", "linear", "--name", name, "--size", "%db" % size, "--zero", "y", "--wipesignatures", "y"]
                     + _adding(tags) + [self.vg])

    def make_thin(self, name: str, size: int, pool: str, tags: t.Iterable[str]) -> None:
        """A new volume in a thin pool, which reads as zeroes."""
        self._change(["lvcreate", "--yes", "--type", "thin", "--name", name, "--virtualsize", "%db" % size, "--thinpool", pool] + _adding(tags) + [self.vg])

    def make_snapshot(self, name: str, origin: str, tags: t.Iterable[str]) -> None:
        """A thin snapshot, which is a volume like any other: active, and independent of its origin."""
        self._change(["lvcreate", "--yes", "--snapshot", "--name", name, "--setactivationskip", "n"] + _adding(tags) + [self._full(origin)])

    def extend(self, name: str, size: int) -> None:
        """Make a volume larger."""
        self._change(["lvextend", "--yes", "--size", "%db" % size, self._full(name)])

    def tag(self, name: str, add: t.Iterable[str], remove: t.Iterable[str]) -> None:
        """Change tags, all at once or not at all."""
        changes = _adding(add) + [word for tag in sorted(remove) for word in ("--deltag", tag)]
        if changes:
            self._change(["lvchange", "--yes"] + changes + [self._full(name)])

    def activate(self, name: str, active: bool) -> None:
        """Give a volume a device on this host, or take it away."""
        self._change(["lvchange", "--yes", "--activate", "y" if active else "n"] + (["--ignoreactivationskip"] if active else []) + [self._full(name)])

    def remove(self, name: str) -> None:
        """Its extents become free."""
        self._change(["lvremove", "--yes", self._full(name)])

    def _full(self, name: str) -> str:
        return "%s/%s" % (self.vg, name)

    def _change(self, args: t.Sequence[str]) -> None:
        try:
            self._runner.run_ok(args)
        except BackendError as error:
            if "insufficient free space" in error.message or "Insufficient free space" in error.message:
                raise NoRoom("the volume group %s has too little free space: %s" % (self.vg, error.message)) from error
            raise


def _adding(tags: t.Iterable[str]) -> t.List[str]:
    return [word for tag in sorted(tags) for word in ("--addtag", tag)]
