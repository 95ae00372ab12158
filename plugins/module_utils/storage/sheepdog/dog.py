# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ``dog`` command of Sheepdog (dog/vdi.c of its last release, 1.0.1): one VDI per volume."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner, redirected

# include/exits.h: 5 is what there is not, 64 is how a command is not called
_MISSING, _USAGE = 5, 64

# Seconds for a command, where no deadline is known; and what it may take beyond one that is.
_PATIENCE, _GRACE = 300.0, 30.0

# `dog vdi list -r`: kind (s a snapshot, c a clone, = neither), name with backslashes before blanks, snapshot id, size, bytes of its own,
# bytes shared, seconds since 1970, id in hex, copies, and perhaps a tag and the size of objects.
_LINE = re.compile(r"([sc=]) ((?:\\.|[^\\\s])+) (\d+) (\d+) (\d+) (\d+) (\d+) ([0-9a-f]+) (\S+) ?(.*)")

# `dog vdi lock list`: the id in hex, and behind the tag whoever has it locked.
_LOCKED = re.compile(r".*\s\d+\s+([0-9a-f]+)  .*?((?: IPv[46] ip:\S+ port:\S+)+)$")
_OWNER = re.compile(r"ip:(\S+) port:(\d+)")


@dataclass(frozen=True)
class Vdi:
    """A VDI, or a snapshot of one.

    :param id: Sheepdog's number, in hex; a snapshot takes it over, and the VDI gets another one.
    :param used: Bytes that are its own.
    :param tag: Of a snapshot.
    """

    name: str
    id: str
    size: int
    used: int
    snapshot: bool
    tag: str


class Dog:
    """The commands.

    :param address: Of a node of the cluster; None for this host.
    :ivar deadline: By when everything must be done, once that is known.
    """

    def __init__(self, runner: CommandRunner, *, address: t.Optional[str] = None, port: t.Optional[int] = None) -> None:
        self._runner = runner
        self._node = (["-a", address] if address else []) + (["-p", str(port)] if port else [])
        self.deadline: t.Optional[Deadline] = None

    def _run(self, *args: str, accept: t.Sequence[int] = (), stdin: t.Optional[int] = None, stdout: t.Optional[int] = None) -> t.Optional[str]:
        """What a command says; None if it ends with a code in ``accept``."""
        command = ["dog", "vdi", args[0]] + self._node + list(args[1:])
        fds = [fd for fd in (stdin, stdout) if fd is not None]
        timeout = _PATIENCE if self.deadline is None else self.deadline.remaining() + _GRACE
        done = self._runner.run(redirected(command, stdin=stdin, stdout=stdout) if fds else command, timeout=timeout, files=fds)
        if done.rc == 0:
            return done.stdout
        if done.rc in accept:
            return None
        if done.rc == 137 and self.deadline is not None:
            self.deadline.check("dog vdi %s to end" % args[0])
        raise BackendError("dog vdi %s failed with exit code %d: %s" % (args[0], done.rc, (done.stderr or done.stdout).strip()), rc=done.rc)

    def vdis(self, name: t.Optional[str] = None) -> t.List[Vdi]:
        """All VDIs and snapshots, or those of one name.

        :raises BackendError: there is a line that cannot be read.
        """
        found = []
        for line in (self._run("list", "-r", *([name] if name else [])) or "").splitlines():
            match = _LINE.fullmatch(line)
            if match is None:
                raise BackendError("dog vdi list gave a line that makes no sense: %s" % line)
            kind, quoted, dummy, size, used, dummy, dummy, id, dummy, rest = match.groups()
            # 1.0 puts the size of objects behind the tag, which may be empty
            tag = re.sub(r" ?\d+$", "", rest) if kind == "s" else ""
            found.append(Vdi(re.sub(r"\\(.)", r"\1", quoted), id, int(size), int(used), kind == "s", tag))
        return found

    def owners(self, vdi: Vdi) -> t.List[str]:
        """Who has a VDI locked, as a running QEMU has; Sheepdog before 0.9 does not know."""
        found = []
        for line in (self._run("lock", "list", accept=[1, _USAGE]) or "").splitlines():
            match = _LOCKED.match(line)
            if match and match.group(1) == vdi.id:
                found += ["%s:%s" % owner for owner in _OWNER.findall(match.group(2))]
        return found

    def create(self, name: str, size: int) -> None:
        """A new VDI that reads as zeroes."""
        self._run("create", name, str(size))

    def delete(self, name: str, *, tag: t.Optional[str] = None) -> None:
        """Remove a VDI, or one of its snapshots; clones keep what they need."""
        self._run("delete", *(["-s", tag] if tag else []), name)

    def resize(self, name: str, size: int) -> None:
        """Make a VDI larger."""
        self._run("resize", name, str(size))

    def snapshot(self, name: str, tag: str) -> None:
        """Make a snapshot. Attributes stay with it, and are not the VDI's any more."""
        self._run("snapshot", "-s", tag, name)

    def clone(self, name: str, tag: str, child: str) -> None:
        """A new VDI that shares the blocks of a snapshot."""
        self._run("clone", "-s", tag, name, child)

    def get(self, name: str, key: str) -> t.Optional[str]:
        """An attribute."""
        return self._run("getattr", name, key, accept=[_MISSING])

    def set(self, name: str, key: str, value: str) -> None:
        """Set an attribute, at once."""
        self._run("setattr", name, key, value)

    def read(self, name: str, offset: int, length: int, fd: int) -> None:
        """Bytes of a VDI into an open file, at its position."""
        self._run("read", name, str(offset), str(length), stdout=fd)

    def write(self, name: str, offset: int, length: int, fd: int) -> None:
        """Bytes from an open file, from its position on, into a VDI."""
        self._run("write", name, str(offset), str(length), stdin=fd)
