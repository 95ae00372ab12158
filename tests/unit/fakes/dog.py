# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for Sheepdog's ``dog`` command, as strict as the sources of 1.0.1 tell; the cluster is a folder named by DOG_CLUSTER.

One JSON file holds the VDIs; each VDI's and snapshot's bytes are a sparse file named by its id.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import typing as t

EXIT_FAILURE, EXIT_SYSFAIL, EXIT_EXISTS, EXIT_MISSING, EXIT_USAGE = 1, 2, 3, 5, 64
OBJECT = 4 << 20

# What each command takes (the table at the end of dog/vdi.c), as far as the driver uses it: options with a value, options without, operands.
COMMANDS: t.Dict[str, t.Tuple[str, str, t.Sequence[int]]] = {
    "create": ("ap", "P", [2]), "delete": ("aps", "", [1]), "list": ("ap", "r", [0, 1]), "resize": ("ap", "", [2]), "snapshot": ("aps", "", [1]),
    "clone": ("aps", "", [2]), "setattr": ("ap", "dx", [2, 3]), "getattr": ("ap", "", [2]), "read": ("aps", "", [1, 2, 3]), "write": ("ap", "w", [1, 2, 3]),
    "lock": ("ap", "", [1]),
}


class Failed(Exception):
    """The command ends with this code, and says this."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


class Cluster:
    """All VDIs; locked while a command is at work.

    :ivar vdis: By id: name, size, snapshot, tag, parent, and attributes, which belong to the id.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._path = os.path.join(folder, "cluster.json")
        if not os.path.isdir(folder):
            raise Failed(EXIT_SYSFAIL, "failed to connect to localhost:7000: Connection refused")
        self._lock = open(self._path + ".lock", "a")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.next, self.vdis, self.locked = 0xFD2, {}, {}
        if os.path.exists(self._path):
            with open(self._path) as file:
                self.next, self.vdis, self.locked = json.load(file)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.close()

    def save(self) -> None:
        with open(self._path + ".new", "w") as file:
            json.dump([self.next, self.vdis, self.locked], file)
        os.rename(self._path + ".new", self._path)

    def find(self, name: str, tag: t.Optional[str] = None) -> t.Optional[str]:
        return next((id for id, vdi in self.vdis.items() if vdi["name"] == name and (vdi["tag"] == tag if tag else not vdi["snapshot"])), None)

    def open(self, name: str, tag: t.Optional[str] = None) -> str:
        found = self.find(name, tag)
        if found is None:
            raise Failed(EXIT_FAILURE, "Failed to open VDI %s (snapshot id: 0 snapshot tag: %s): %s" % (name, tag or "", "Failed to find requested tag"))
        return found

    def add(self, name: str, size: int, parent: t.Optional[str]) -> str:
        if len(name.encode()) >= 256 or not name:
            raise Failed(EXIT_USAGE, "name")
        if self.find(name):
            raise Failed(EXIT_FAILURE, "Failed to create VDI %s: VDI exists already" % name)
        id = "%x" % self.next
        self.next += 1
        self.vdis[id] = {"name": name, "size": size, "snapshot": False, "tag": "", "parent": parent, "attributes": {}}
        if parent:
            shutil.copyfile(self.path(parent), self.path(id))
        else:
            open(self.path(id), "xb").close()
        return id

    def path(self, id: str) -> str:
        return os.path.join(self.folder, id)


def size_of(text: str) -> int:
    if not text.isdigit():
        raise Failed(EXIT_USAGE, "Invalid size '%s'" % text)
    return int(text)


def quoted(name: str) -> str:
    return "".join("\\" + character if character.isspace() or character == "\\" else character for character in name)


def used(cluster: Cluster, id: str) -> t.Tuple[int, int]:
    """Own and shared bytes, in whole objects."""
    objects = 0
    with open(cluster.path(id), "rb") as file:
        while True:
            piece = file.read(OBJECT)
            if not piece:
                break
            objects += piece.strip(b"\0") != b""
    return (0, objects * OBJECT) if cluster.vdis[id]["parent"] else (objects * OBJECT, 0)


def run(command: str, options: t.Dict[str, str], words: t.Sequence[str], stdin: t.BinaryIO, stdout: t.BinaryIO) -> None:
    def tell(line: str) -> None:
        stdout.write(line.encode() + b"\n")

    with Cluster(os.environ["DOG_CLUSTER"]) as cluster:
        perform(cluster, command, options, words, stdin, stdout, tell)


def perform(cluster: Cluster, command: str, options: t.Dict[str, str], words: t.Sequence[str], stdin: t.BinaryIO, stdout: t.BinaryIO,
            tell: t.Callable[[str], None]) -> None:
    if command == "list":
        if "r" not in options:
            raise Failed(EXIT_USAGE, "what is for people changes with the release: ask for raw output")
        for id, vdi in cluster.vdis.items():
            if not words or vdi["name"] == words[0]:
                kind = "s" if vdi["snapshot"] else "c" if vdi["parent"] else "="
                own, shared = used(cluster, id)
                tell("%s %s %d %d %d %d 1480000000 %s 3 %s 22" % (kind, quoted(vdi["name"]), int(vdi["snapshot"]), vdi["size"], own, shared, id, vdi["tag"]))
        return
    if command == "lock":
        if words != ["list"]:
            raise Failed(EXIT_USAGE, "Invalid command")
        tell("  Name         Id  VDI id  Tag            Owner node(s)")
        for id, owners in cluster.locked.items():
            vdi = cluster.vdis[id]
            tell("  %-8s  %5d  %6s  %-13s  %s" % (vdi["name"], 0, id, vdi["tag"], " ".join(owners)))
        return
    name = words[0]
    if command == "create":
        cluster.add(name, size_of(words[1]), None)
    elif command == "delete":
        id = cluster.open(name, options.get("s"))
        del cluster.vdis[id]
        os.unlink(cluster.path(id))
    elif command == "resize":
        vdi, size = cluster.vdis[cluster.open(name)], size_of(words[1])
        if size < vdi["size"]:
            raise Failed(EXIT_USAGE, "Shrinking VDIs is not implemented")
        vdi["size"] = size
    elif command == "snapshot":
        if not options.get("s") or options["s"].isdigit():
            raise Failed(EXIT_USAGE, "Please specify a non-integer value for a snapshot tag name")
        if cluster.find(name, options["s"]):
            raise Failed(EXIT_FAILURE, "Failed to create snapshot for %s, maybe snapshot id (0) or tag (%s) is existed" % (name, options["s"]))
        id = cluster.open(name)
        cluster.vdis[id].update(snapshot=True, tag=options["s"])
        cluster.add(name, cluster.vdis[id]["size"], id)
    elif command == "clone":
        if not options.get("s"):
            raise Failed(EXIT_USAGE, "Only snapshot VDIs can be cloned")
        origin = cluster.open(name, options["s"])
        cluster.add(words[1], cluster.vdis[origin]["size"], origin)
    elif command in ("setattr", "getattr"):
        found = cluster.find(name)
        if found is None:
            raise Failed(EXIT_MISSING, "VDI not found")
        attributes = cluster.vdis[found]["attributes"]
        if command == "setattr":
            value = words[2] if len(words) > 2 else stdin.read().decode()
            if "x" in options and words[1] in attributes:
                raise Failed(EXIT_EXISTS, "The attribute '%s' already exists" % words[1])
            attributes[words[1]] = value
        elif words[1] not in attributes:
            raise Failed(EXIT_MISSING, "Attribute '%s' not found" % words[1])
        else:
            stdout.write(attributes[words[1]].encode())
    elif command in ("read", "write"):
        transfer(cluster, command, cluster.open(name), words, stdin, stdout)
    cluster.save()


def transfer(cluster: Cluster, command: str, id: str, words: t.Sequence[str], stdin: t.BinaryIO, stdout: t.BinaryIO) -> None:
    size = cluster.vdis[id]["size"]
    offset = size_of(words[1]) if len(words) > 1 else 0
    if offset > size:
        raise Failed(EXIT_FAILURE, "%s offset is beyond the end of the VDI" % command.title())
    length = min(size_of(words[2]) if len(words) > 2 else size, size - offset)
    with open(cluster.path(id), "r+b") as file:
        file.seek(offset)
        if command == "read":
            stdout.write(file.read(length).ljust(length, b"\0"))
        else:
            file.write(stdin.read(length).ljust(length, b"\0"))


def main(args: t.List[str], stdin: t.BinaryIO, stdout: t.BinaryIO, stderr: t.TextIO) -> int:
    """The command, with its exit code."""
    try:
        if len(args) < 2 or args[0] != "vdi" or args[1] not in COMMANDS:
            raise Failed(EXIT_USAGE, "Invalid command '%s'" % " ".join(args[:2]))
        valued, plain, counts = COMMANDS[args[1]]
        options: t.Dict[str, str] = {}
        words: t.List[str] = []
        rest = args[2:]
        while rest:
            word = rest.pop(0)
            if not word.startswith("-"):
                words.append(word)
            elif word[1:] in valued:
                options[word[1:]] = rest.pop(0)
            elif word[1:] in plain:
                options[word[1:]] = ""
            else:
                raise Failed(EXIT_USAGE, "dog vdi %s: invalid option -- '%s'" % (args[1], word[1:]))
        if len(words) not in counts:
            raise Failed(EXIT_USAGE, "Usage: dog vdi %s" % args[1])
        if options.get("a", "localhost") == "nowhere":
            raise Failed(EXIT_SYSFAIL, "failed to connect to nowhere:7000: Connection refused")
        run(args[1], options, words, stdin, stdout)
    except Failed as error:
        print(error, file=stderr)
        return error.code
    stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer, sys.stderr))
