# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host as tests use it: commands that run or must not, progress that is collected, sources in memory."""

from __future__ import annotations

import hashlib
import subprocess
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event, Listener
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock, Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner, Completed, Limits
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ByteStream, ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import Surroundings


class HostRunner(CommandRunner):
    """Runs commands as the module would, and remembers them. They die with this process."""

    def __init__(self) -> None:
        self.commands: t.List[t.List[str]] = []

    def run(self, args: t.Sequence[str], *, limits: t.Optional[Limits] = None, timeout: t.Optional[float] = None,
            files: t.Sequence[int] = ()) -> Completed:
        self.commands.append(list(args))
        wrapped = ["setpriv", "--pdeathsig", "KILL"] + (["timeout", "--signal=KILL", "%.1f" % timeout] if timeout else [])
        done = subprocess.run(wrapped + list(args), capture_output=True, text=True, timeout=60, check=False, pass_fds=files)
        return Completed(128 - done.returncode if done.returncode < 0 else done.returncode, done.stdout, done.stderr)


class NoCommands(CommandRunner):
    """Nothing may be run: what is tested must be over before."""

    def run(self, args: t.Sequence[str], **how: t.Any) -> Completed:
        raise AssertionError("%s was run" % " ".join(args))


class Answers(CommandRunner):
    """Gives the same answer to every command, and remembers them."""

    def __init__(self, rc: int = 0, stdout: str = "", stderr: str = "") -> None:
        self.answer = Completed(rc, stdout, stderr)
        self.commands: t.List[t.List[str]] = []

    def run(self, args: t.Sequence[str], **how: t.Any) -> Completed:
        self.commands.append(list(args))
        return self.answer


class FastClock(Clock):
    """Sleeping takes no time, but the clock goes on as if it had."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Ear(Listener):
    """Collects events."""

    def __init__(self) -> None:
        self.events: t.List[Event] = []

    def hear(self, event: Event) -> None:
        self.events.append(event)

    def phases(self) -> t.List[str]:
        """What happened, each phase once per turn."""
        return [event.phase for index, event in enumerate(self.events) if not index or self.events[index - 1].phase != event.phase]


def make_job(seconds: float = 3600, **more: t.Any) -> Job:
    """A job on a clock of its own, so that no test waits."""
    return Job(Deadline(seconds, clock=FastClock()), **more)


def surroundings(runner: t.Optional[CommandRunner] = None, *, check: bool = False) -> Surroundings:
    """What a driver may use here: the real qemu-img, and no cloud."""
    def no_cloud() -> t.NoReturn:
        raise AssertionError("OpenStack was asked")

    return Surroundings(runner=runner or HostRunner(), cloud=no_cloud, check=check)


class BytesImage(ImageSource):
    """An image in memory.

    :param cuts: Offsets at which the connection breaks, each once.
    :param piece: The most that one read gives.
    """

    def __init__(self, data: bytes, *, format: str = "raw", name: str = "image", cuts: t.Sequence[int] = (), piece: t.Optional[int] = None,
                 size: t.Optional[int] = None, **more: t.Any) -> None:
        self.data = data
        self.cuts = list(cuts)
        self.piece = piece
        self.opened: t.List[int] = []
        more.setdefault("checksums", {"sha256": hashlib.sha256(data).hexdigest()})
        self._description = ImageDescription(name=name, origin="file", format=format, size=len(data) if size is None else size, **more)

    def describe(self) -> ImageDescription:
        return self._description

    def open(self, offset: int = 0) -> ByteStream:
        self.opened.append(offset)
        return _Stream(self, offset)


class _Stream(ByteStream):
    def __init__(self, image: BytesImage, offset: int) -> None:
        self._image = image
        self._offset = offset

    def read(self, length: int) -> bytes:
        if self._image.piece:
            length = min(length, self._image.piece)
        for cut in self._image.cuts:
            if self._offset <= cut < self._offset + length:
                if cut == self._offset:
                    self._image.cuts.remove(cut)
                    raise BackendError("the line is dead")
                length = cut - self._offset
        data = self._image.data[self._offset:self._offset + length]
        self._offset += len(data)
        return data

    def close(self) -> None:
        pass
