# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ``rbd``, ``rados`` and ``ceph`` commands over a Ceph in memory: options, answers, exit codes and complaints as the real ones were seen to have."""

from __future__ import annotations

import json
import os
import struct
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner, Completed, Limits
from ansible_collections.bootable.volumes.tests.unit.fakes import ceph
from ansible_collections.bootable.volumes.tests.unit.fakes.ceph import Disk, FakeCeph, Refused, Space, discard
from ansible_collections.bootable.volumes.tests.unit.fakes.host import HostRunner

_GLOBAL = {"--conf": 1, "--cluster": 1, "--id": 1, "--pool": 1, "--namespace": 1, "--rbd-default-clone-format": 1, "--rbd-skip-partial-discard": 1}
_SHAPE = {"--image-feature": 1, "--data-pool": 1}

# What each command takes: options with how many values they have.
_OPTIONS: t.Dict[str, t.Dict[str, int]] = {
    "ls": {"--format": 1},
    "info": {"--image": 1, "--format": 1},
    "status": {"--image": 1, "--format": 1},
    "children": {"--image": 1, "--all": 0, "--format": 1},
    "create": dict({"--image": 1, "--size": 1}, **_SHAPE),
    "rm": {"--image": 1, "--no-progress": 0},
    "resize": {"--image": 1, "--size": 1, "--allow-shrink": 0, "--no-progress": 0},
    "clone": dict({"--image": 1, "--snap": 1, "--dest-pool": 1, "--dest-namespace": 1, "--dest": 1}, **_SHAPE),
    "flatten": {"--image": 1, "--no-progress": 0},
    "image-meta list": {"--image": 1, "--format": 1},
    "image-meta set": {"--image": 1},
    "snap ls": {"--image": 1, "--image-id": 1, "--all": 0, "--format": 1},
    "snap create": {"--image": 1, "--snap": 1, "--no-progress": 0},
    "snap rm": {"--image": 1, "--snap": 1, "--image-id": 1, "--snap-id": 1, "--no-progress": 0},
    "trash ls": {"--all": 0, "--format": 1},
    "trash mv": {"--image": 1},
    "trash rm": {"--image-id": 1, "--no-progress": 0},
    "import-diff": {"--image": 1, "--path": 1, "--no-progress": 0},
    "export-diff": {"--image": 1, "--path": 1, "--no-progress": 0},
    "lock get": {"--lock-cookie": 1, "--lock-duration": 1},
    "lock break": {"--lock-cookie": 1},
    "lock info": {"--format": 1},
    "df": {"--format": 1},
}


class Given:
    """A command line, taken apart."""

    def __init__(self, args: t.Sequence[str]) -> None:
        self.options: t.Dict[str, t.List[str]] = {}
        self.words: t.List[str] = []
        allowed: t.Dict[str, int] = dict(_GLOBAL)
        for table in _OPTIONS.values():
            allowed.update(table)
        rest = list(args)
        while rest:
            word = rest.pop(0)
            name, equals, value = word.partition("=")
            if not word.startswith("--"):
                self.words.append(word)
                continue
            if name not in allowed:
                raise Refused(1, "unrecognised option '%s'" % name)
            self.options.setdefault(name, []).append(value if equals else rest.pop(0) if allowed[name] else "")
        two = " ".join(self.words[:2])
        self.command = two if two in _OPTIONS else self.words[0]
        self.operands = self.words[2 if two in _OPTIONS else 1:]
        for name in self.options:
            if name not in _GLOBAL and name not in _OPTIONS.get(self.command, {}):
                raise Refused(1, "unrecognised option '%s'" % name)

    def one(self, name: str, default: str = "") -> str:
        return self.options.get(name, [default])[-1]


class CephCommands(CommandRunner):
    """Each command is another client. Other commands than Ceph's run for real.

    :ivar commands: What was run.
    :ivar broken: Commands that fail, by their name, with what they say.
    """

    def __init__(self, cluster: FakeCeph) -> None:
        self._ceph = cluster
        self._host = HostRunner()
        self.commands: t.List[t.List[str]] = []
        self.broken: t.Dict[str, Completed] = {}

    def run(self, args: t.Sequence[str], *, limits: t.Optional[Limits] = None, timeout: t.Optional[float] = None, files: t.Sequence[int] = ()) -> Completed:
        args, stdout = list(args), None
        if args[1:4] == ["-I", "-S", "-c"]:
            stdout, args = int(args[6]), args[7:]
            assert stdout in files
        if args[0] not in ("rbd", "rados", "ceph"):
            return self._host.run(args, limits=limits, timeout=timeout, files=files)
        assert timeout is not None, "a cluster that does not answer would hold the task for ever"
        self.commands.append(args)
        try:
            given = Given(args[1:])
            if given.command in self.broken:
                return self.broken[given.command]
            if given.one("--id") == "nobody" or given.one("--conf") == "/nowhere":
                return Completed(2, "", "2026-11-28 -1 auth: unable to find a keyring\n\nrbd: couldn't connect to the cluster!\n")
            if args[0] == "ceph":
                return Completed(0, json.dumps({"pools": [{"name": name, "stats": {"max_avail": self._ceph.free}} for name in self._ceph.pools]}), "")
            space = self._ceph.space(given.one("--pool", "rbd"), given.one("--namespace"))
            if args[0] == "rados":
                return self._rados(given, space)
            method = getattr(self, "_" + given.command.replace(" ", "_").replace("-", "_"))
            return Completed(0, method(given, space, *([stdout, files] if given.command.endswith("-diff") else [])) or "", "")
        except Refused as error:
            return Completed(error.number, "", "2026-11-28T16:13:00.914+0000 7faf -1 librbd: something\n\nrbd: %s\n" % error)

    # --- rados ---

    def _rados(self, given: Given, space: Space) -> Completed:
        try:
            if given.command == "rm":
                self._ceph.forget_object(space, given.operands[0])
                return Completed(0, "", "")
            object, name = given.operands[:2]
            if given.command == "lock get":
                self._ceph.lock(space, object, name, self._ceph.client(), given.one("--lock-cookie"), int(given.one("--lock-duration")), renew=False)
                return Completed(0, "", "")
            if object not in space.objects:
                raise Refused(ceph.NOT_THERE, "ERROR: rados_lock_get_lock_info(): (2) No such file or directory")
            lockers = self._ceph.lockers(space, object)
            if given.command == "lock break":
                client, cookie, dummy = lockers[name]
                if (given.operands[2], given.one("--lock-cookie")) == ("client.%d" % client, cookie):
                    del lockers[name]
                return Completed(0, "", "")
            return Completed(0, json.dumps({"name": name, "lockers": [
                {"name": "client.%d" % each[0], "cookie": each[1], "description": "", "addr": "127.0.0.1:0/1"} for key, each in lockers.items() if key == name
            ]}), "")
        except Refused as error:
            return Completed(1, "", "%s\nerror %d: (%d)\n" % (error, error.number, error.number))

    # --- looking ---

    def _ls(self, given: Given, space: Space) -> str:
        return json.dumps([*space.images, *space.ghosts])

    def _info(self, given: Given, space: Space) -> str:
        disk = space.disk(given.one("--image"))
        found: t.Dict[str, t.Any] = {"name": disk.name, "id": disk.id, "size": len(disk.data), "features": list(disk.features), "format": 2}
        if disk.data_pool:
            found["data_pool"] = disk.data_pool
        if disk.parent and not disk.emptied:
            pool, namespace, trash = self._ceph.where(disk.parent[0])
            found["parent"] = {"pool": pool, "pool_namespace": namespace, "image": disk.parent[0].name, "id": disk.parent[0].id,
                               "snapshot": disk.parent[1].name, "trash": trash, "overlap": len(disk.data)}
        return json.dumps(found)

    def _status(self, given: Given, space: Space) -> str:
        watchers = self._ceph.watchers(space.disk(given.one("--image")))
        return json.dumps({"watchers": [{"address": "127.0.0.1:0/%d" % each, "client": each, "cookie": 1} for each in watchers]})

    def _children(self, given: Given, space: Space) -> str:
        found = []
        for clone in self._ceph.clones(space.disk(given.one("--image"))):
            pool, namespace, trash = self._ceph.where(clone)
            found.append({"pool": pool, "pool_namespace": namespace, "image": clone.name, "id": clone.id, "trash": trash})
        return json.dumps(found)

    def _image_meta_list(self, given: Given, space: Space) -> str:
        meta = space.disk(given.one("--image")).meta
        return json.dumps(meta) if meta else ""

    def _snap_ls(self, given: Given, space: Space) -> str:
        disk = self._trashed(given, space) if "--image-id" in given.options else space.disk(given.one("--image"))
        return json.dumps([{"id": number, "name": snap.name, "namespace": {"type": "trash" if snap.trashed else "user"}}
                           for number, snap in enumerate(disk.snaps) if not snap.trashed or "--all" in given.options])

    @staticmethod
    def _trashed(given: Given, space: Space) -> Disk:
        if given.one("--image-id") not in space.trash:
            raise Refused(ceph.NOT_THERE, "error opening image with id %s: (2) No such file or directory" % given.one("--image-id"))
        return space.trash[given.one("--image-id")]

    def _trash_ls(self, given: Given, space: Space) -> str:
        return json.dumps([{"id": disk.id, "name": disk.name} for disk in space.trash.values()])

    # --- changing ---

    def _create(self, given: Given, space: Space) -> None:
        self._ceph.create(space, given.one("--image"), _size(given), given.options.get("--image-feature", []), given.one("--data-pool") or None)

    def _rm(self, given: Given, space: Space) -> None:
        self._ceph.remove(space, given.one("--image"))

    def _image_meta_set(self, given: Given, space: Space) -> None:
        key, value = given.operands
        disk = space.disk(given.one("--image"))
        self._ceph.calls.append(("remember", disk.name))
        disk.meta[key] = value

    def _resize(self, given: Given, space: Space) -> None:
        disk, size = space.disk(given.one("--image")), _size(given)
        if size < len(disk.data) and "--allow-shrink" not in given.options:
            raise Refused(ceph.INVALID, "shrinking an image is only allowed with the --allow-shrink flag")
        self._ceph.resize(disk, size)

    def _snap_create(self, given: Given, space: Space) -> None:
        self._ceph.snapshot(space.disk(given.one("--image")), given.one("--snap"))

    def _snap_rm(self, given: Given, space: Space) -> None:
        if "--snap-id" in given.options:
            if "--no-progress" in given.options:
                raise Refused(ceph.INVALID, "force and no-progress options not permitted when removing by id.")
            disk = self._trashed(given, space)
            self._ceph.drop_trashed(disk, disk.snaps[int(given.one("--snap-id"))])
            return
        self._ceph.drop(space.disk(given.one("--image")), given.one("--snap"))

    def _clone(self, given: Given, space: Space) -> None:
        there = self._ceph.space(given.one("--dest-pool", "rbd"), given.one("--dest-namespace"))
        self._ceph.clone(space.disk(given.one("--image")), given.one("--snap"), there, given.one("--dest"), given.options.get("--image-feature", []),
                         given.one("--data-pool") or None, format=given.one("--rbd-default-clone-format", "auto"))

    def _flatten(self, given: Given, space: Space) -> None:
        self._ceph.flatten(space.disk(given.one("--image")))

    def _trash_mv(self, given: Given, space: Space) -> None:
        self._ceph.trash(space, given.one("--image"))

    def _trash_rm(self, given: Given, space: Space) -> None:
        self._ceph.purge(space, given.one("--image-id"))

    # --- bytes ---

    def _import_diff(self, given: Given, space: Space, stdout: t.Optional[int], files: t.Sequence[int]) -> None:
        disk = space.disk(given.one("--image"))
        fd = int(given.one("--path").rpartition("/dev/fd/")[2])
        assert fd in files
        with open(os.dup(fd), "rb") as stream:
            if stream.readline() != b"rbd diff v1\n":
                raise Refused(ceph.INVALID, "import-diff failed: (22) Invalid argument")
            self._take(stream, disk, given.one("--rbd-skip-partial-discard") != "false")

    def _take(self, stream: t.BinaryIO, disk: Disk, skip_partial: bool) -> None:
        while True:
            kind = stream.read(1)
            if kind == b"e":
                return
            if kind not in (b"w", b"z"):
                raise Refused(ceph.INVALID, "import-diff failed: (22) Invalid argument")
            offset, length = struct.unpack("<QQ", stream.read(16))
            if offset + length > len(disk.data):
                raise Refused(ceph.INVALID, "import-diff failed: (22) Invalid argument")
            if kind == b"w":
                self._ceph.calls.append(("write", disk.name))
                disk.data[offset:offset + length] = stream.read(length)
            else:
                discard(disk, offset, length, skip_partial=skip_partial)

    def _export_diff(self, given: Given, space: Space, stdout: t.Optional[int], files: t.Sequence[int]) -> None:
        disk = space.disk(given.one("--image"))
        assert given.one("--path") == "-" and stdout is not None
        with open(os.dup(stdout), "wb") as stream:
            stream.write(b"rbd diff v1\n" + struct.pack("<cQ", b"s", len(disk.data)))
            for offset in range(0, len(disk.data), ceph.DISCARD_UNIT):
                piece = bytes(disk.data[offset:offset + ceph.DISCARD_UNIT])
                if piece.strip(b"\0"):
                    stream.write(struct.pack("<cQQ", b"w", offset, len(piece)) + piece)
            stream.write(b"e")


def _size(given: Given) -> int:
    text = given.one("--size")
    assert text.endswith("B"), "a bare number counts MiB"
    return int(text[:-1])
