# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LVM's commands without a device mapper: what LVM 2.03 answers, and the rules by which it refuses. Volumes are files."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.block_file import BlockFile
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import Completed
from ansible_collections.bootable.volumes.plugins.module_utils.host.devices import Device
from ansible_collections.bootable.volumes.tests.unit.fakes.devices import Claimed, FakeDevices
from ansible_collections.bootable.volumes.tests.unit.fakes.host import HostRunner

EXTENT = 4 * MIB
CHUNK = 256 * KIB

# Options of each command, and whether they take a value. Others are refused as LVM does.
_OPTIONS: t.Dict[str, t.Dict[str, bool]] = {
    "vgs": {"--reportformat": True, "--units": True, "--nosuffix": False, "--options": True, "--select": True},
    "lvs": {"--reportformat": True, "--units": True, "--nosuffix": False, "--options": True, "--select": True},
    "lvcreate": {"--yes": False, "--type": True, "--name": True, "--size": True, "--virtualsize": True, "--thinpool": True, "--zero": True,
                 "--wipesignatures": True, "--snapshot": False, "--setactivationskip": True, "--addtag": True},
    "lvchange": {"--yes": False, "--addtag": True, "--deltag": True, "--activate": True, "--ignoreactivationskip": False},
    "lvextend": {"--yes": False, "--size": True},
    "lvremove": {"--yes": False},
}
_TAG = re.compile(r"[A-Za-z0-9_+./=!:&#][A-Za-z0-9_+./=!:&#-]{0,1023}")


class _Devices(FakeDevices):
    """Only what is active has a device."""

    lvm: FakeLvm

    def at(self, path: str) -> Device:
        name = os.path.basename(path)
        if name in self.lvm.lvs and not self.lvm.lvs[name].active:
            raise NotFound("there is no device %s" % path)
        return super().at(path)

    def claim(self, device: Device, *, write: bool, thin: bool = False, chunk: int = 0) -> BlockFile:
        file = t.cast(Claimed, super().claim(device, write=write, thin=thin, chunk=chunk))
        file.taking = lambda offset, length: self.lvm.hand_out(os.path.basename(device.path), offset, length)
        return file


@dataclass
class _Lv:
    size: int
    tags: t.Set[str]
    kind: str = "-"
    pool: str = ""
    origin: str = ""
    active: bool = True
    skip: bool = False
    health: str = "-"
    zeroes: bool = True
    used: t.Optional[float] = field(default=None)
    chunks: t.Set[int] = field(default_factory=set)


class _Refused(Exception):
    def __init__(self, rc: int, words: str) -> None:
        super().__init__(words)
        self.rc = rc


class FakeLvm(HostRunner):
    """One volume group on a host. Other commands are run as they are.

    :ivar lvs: What is in it, by name.
    :ivar devices: The host's devices, which show the volumes.
    """

    def __init__(self, folder: pathlib.Path, *, vg: str = "vg", extents: int = 64) -> None:
        super().__init__()
        self.folder = folder / vg
        self.folder.mkdir()
        self.vg = vg
        self.extents = extents
        self.lvs: t.Dict[str, _Lv] = {}
        self.devices = _Devices(self.folder, self)
        self.devices.lvm = self

    def add_pool(self, name: str, size: int = 64 * MIB, *, zeroes: bool = True, used: float = 0.0) -> None:
        """A thin pool."""
        self.lvs[name] = _Lv(size, set(), kind="t", zeroes=zeroes, used=used)

    def add(self, name: str, size: int = 8 * MIB, **more: t.Any) -> None:
        """Somebody else's volume."""
        self.lvs[name] = _Lv(size, set(), **more)
        (self.folder / name).write_bytes(b"?" * size)

    def hand_out(self, name: str, offset: int, length: int) -> None:
        """What a volume is about to write to gets its chunks, with whatever is in them unless the pool zeroes them."""
        lv = self.lvs[name]
        if not lv.pool or self.lvs[lv.pool].zeroes:
            return
        with open(self.path(name), "r+b") as file:
            for chunk in set(range(offset // CHUNK, -(-(offset + length) // CHUNK))) - lv.chunks:
                file.seek(chunk * CHUNK)
                file.write(b"\xa5" * min(CHUNK, lv.size - chunk * CHUNK))
                lv.chunks.add(chunk)

    def path(self, name: str) -> str:
        """Its device."""
        return str(self.folder / name)

    def run(self, args: t.Sequence[str], **how: t.Any) -> Completed:
        if args[0] not in _OPTIONS:
            return super().run(args, **how)
        self.commands.append(list(args))
        try:
            options, names = self._parsed(args)
            return Completed(0, getattr(self, "_" + args[0])(options, *names) or "", "")
        except _Refused as error:
            return Completed(error.rc, "", "  %s\n" % error)

    @staticmethod
    def _parsed(args: t.Sequence[str]) -> t.Tuple[t.Dict[str, t.List[str]], t.List[str]]:
        options: t.Dict[str, t.List[str]] = {}
        names: t.List[str] = []
        rest = list(args[1:])
        while rest:
            word = rest.pop(0)
            if not word.startswith("-"):
                names.append(word)
                continue
            if word not in _OPTIONS[args[0]]:
                raise _Refused(3, "%s: unrecognized option '%s'\n  Error during parsing of command line." % (args[0], word))
            options.setdefault(word, []).append(rest.pop(0) if _OPTIONS[args[0]][word] else "")
        for tag in options.get("--addtag", []) + options.get("--deltag", []):
            if not _TAG.fullmatch(tag):
                raise _Refused(3, "Invalid argument for --addtag: %s\n  Error during parsing of command line." % tag)
        if args[0] not in ("lvs", "vgs") and "--yes" not in options:
            raise _Refused(5, "Do you really want to? [y/n]: [n]")
        return options, names

    # --- reports ---

    def _report(self, what: str, rows: t.Iterable[t.Dict[str, str]], options: t.Dict[str, t.List[str]]) -> str:
        if options["--reportformat"] != ["json"] or options["--units"] != ["b"] or "--nosuffix" not in options:
            raise AssertionError("a report that this fake does not know: %s" % options)
        columns = options["--options"][0].split(",")
        selected = options["--select"] == ["vg_name=" + self.vg]
        found = []
        for row in rows if selected else ():
            for column in columns:
                if column not in row:
                    raise _Refused(5, "Unrecognised field: %s" % column)
            found.append({column: row[column] for column in columns})
        return json.dumps({"report": [{what: found}]})

    def _vgs(self, options: t.Dict[str, t.List[str]]) -> str:
        return self._report("vg", [{"vg_name": self.vg, "vg_extent_size": str(EXTENT), "vg_free": str(self._free() * EXTENT)}], options)

    def _lvs(self, options: t.Dict[str, t.List[str]]) -> str:
        return self._report("lv", [self._row(name, lv) for name, lv in sorted(self.lvs.items())], options)

    def _row(self, name: str, lv: _Lv) -> t.Dict[str, str]:
        origin_of = any(other.kind == "s" and other.origin == name for other in self.lvs.values())
        attributes = "%swi%s%s%s%s%s%s%s" % (
            "o" if origin_of else lv.kind, "-", "a" if lv.active else "-", "o" if self._is_open(name) else "-", "t" if lv.kind in "tV" else "-",
            "z" if lv.kind in "tV" and lv.zeroes else "-", lv.health, "k" if lv.skip else "-")
        return {
            "lv_name": name, "lv_size": str(lv.size), "lv_attr": attributes, "lv_tags": ",".join(sorted(lv.tags)), "pool_lv": lv.pool,
            "origin": lv.origin, "lv_path": "" if lv.kind == "t" else self.path(name), "data_percent": "" if lv.used is None else "%.2f" % lv.used,
            "chunk_size": str(CHUNK if lv.kind == "t" else 0),
        }

    def _free(self) -> int:
        return self.extents - sum(lv.size // EXTENT for lv in self.lvs.values() if lv.kind != "V")

    def _is_open(self, name: str) -> bool:
        return self.path(name) in self.devices.claimed or bool(self.devices.users.get(self.path(name)))

    # --- changes ---

    def _size(self, text: str) -> int:
        found = re.fullmatch(r"(\d+)b", text)
        if not found:
            raise AssertionError("a size that this fake does not know: %s" % text)
        if int(found.group(1)) % 512:
            raise _Refused(3, "Size is not a multiple of 512.\n  Invalid argument for --size: %s" % text)
        return -(-int(found.group(1)) // EXTENT) * EXTENT

    def _take(self, size: int) -> None:
        if size // EXTENT > self._free():
            raise _Refused(5, 'Volume group "%s" has insufficient free space (%d extents): %d required.' % (self.vg, self._free(), size // EXTENT))

    def _lvcreate(self, options: t.Dict[str, t.List[str]], where: str) -> None:
        name, found = options["--name"][0], set(options.get("--addtag", []))
        vg, dummy, origin = where.partition("/")
        if vg != self.vg:
            raise _Refused(5, 'Volume group "%s" not found' % vg)
        if name in self.lvs:
            raise _Refused(5, 'Logical Volume "%s" already exists in volume group "%s"' % (name, vg))
        if "--snapshot" in options:
            self._snapshot(name, origin, found, options)
        elif options.get("--type") == ["thin"]:
            pool = self.lvs.get(options["--thinpool"][0])
            if pool is None or pool.kind != "t":
                raise _Refused(5, "Pool %s not found in Volume group %s." % (options["--thinpool"][0], vg))
            size = self._size(options["--virtualsize"][0])
            self.lvs[name] = _Lv(size, found, kind="V", pool=options["--thinpool"][0], zeroes=pool.zeroes, used=0.0)
            self._write(name, 0, size, b"\0")
        elif options.get("--type") == ["linear"]:
            size = self._size(options["--size"][0])
            self._take(size)
            self.lvs[name] = _Lv(size, found)
            self._write(name, 0, size, b"\xa5")
            if options.get("--zero") == ["y"]:
                with open(self.path(name), "r+b") as file:
                    file.write(bytes(4096))
        else:
            raise AssertionError("an lvcreate that this fake does not know: %s" % options)

    def _snapshot(self, name: str, origin: str, found: t.Set[str], options: t.Dict[str, t.List[str]]) -> None:
        if origin not in self.lvs:
            raise _Refused(5, "Snapshot origin LV %s not found in Volume group %s." % (origin, self.vg))
        if self.lvs[origin].kind != "V":
            raise _Refused(5, "Please specify either size or extents with snapshots.")
        skip = options.get("--setactivationskip") != ["n"]
        self.lvs[name] = _Lv(self.lvs[origin].size, found, kind="V", pool=self.lvs[origin].pool, origin=origin, active=not skip, skip=skip, used=0.0,
                             chunks=set(self.lvs[origin].chunks))
        shutil.copyfile(self.path(origin), self.path(name))

    def _write(self, name: str, start: int, end: int, filler: bytes) -> None:
        with open(self.path(name), "ab") as file:
            if filler == b"\0":
                file.truncate(end)
            else:
                file.write(filler * (end - start))

    def _there(self, full: str) -> t.Tuple[str, _Lv]:
        name = full[len(self.vg) + 1:]
        if full != "%s/%s" % (self.vg, name) or name not in self.lvs:
            raise _Refused(5, 'Failed to find logical volume "%s"' % full)
        return name, self.lvs[name]

    def _lvchange(self, options: t.Dict[str, t.List[str]], full: str) -> None:
        name, lv = self._there(full)
        if not options.keys() & {"--addtag", "--deltag", "--activate"}:
            raise _Refused(3, "Need 1 or more of -a, --addtag, --deltag ...")
        lv.tags = (lv.tags | set(options.get("--addtag", []))) - set(options.get("--deltag", []))
        if "--activate" in options:
            if options["--activate"] == ["n"] and self._is_open(name):
                raise _Refused(5, "Logical volume %s in use." % full)
            lv.active = options["--activate"] == ["y"] and (not lv.skip or "--ignoreactivationskip" in options)

    def _lvextend(self, options: t.Dict[str, t.List[str]], full: str) -> None:
        name, lv = self._there(full)
        size = self._size(options["--size"][0])
        if size == lv.size:
            raise _Refused(5, "New size (%d extents) matches existing size (%d extents)." % (size // EXTENT, size // EXTENT))
        if size < lv.size:
            raise _Refused(5, "New size given (%d extents) not larger than existing size (%d extents)" % (size // EXTENT, lv.size // EXTENT))
        if lv.kind != "V":
            self._take(size - lv.size)
        self._write(name, lv.size, size, b"\0" if lv.kind == "V" else b"\xa5")
        lv.size = size

    def _lvremove(self, options: t.Dict[str, t.List[str]], full: str) -> None:
        name, dummy = self._there(full)
        if self._is_open(name):
            raise _Refused(5, "Logical volume %s in use." % full)
        for other in [each for each, lv in self.lvs.items() if lv.kind == "s" and lv.origin == name] + [name]:
            del self.lvs[other]
            os.unlink(self.path(other))
