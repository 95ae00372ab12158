# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands of the host, through one injected runner: the only place that starts a process."""

from __future__ import annotations

import sys
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


@dataclass(frozen=True)
class Completed:
    """How a command ended."""

    rc: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Limits:
    """What a command may use, set with prlimit(1) before it starts.

    :param cpu_seconds: Processor time.
    :param address_space: Bytes of virtual memory.
    """

    cpu_seconds: t.Optional[int] = None
    address_space: t.Optional[int] = None


# Becomes the command, with open files for its input and output.
_REDIRECT = "import os, sys; [os.dup2(int(fd), to) for to, fd in enumerate(sys.argv[1:3]) if fd != '-']; os.execvp(sys.argv[3], sys.argv[3:])"


def redirected(args: t.Sequence[str], *, stdin: t.Optional[int] = None, stdout: t.Optional[int] = None) -> t.List[str]:
    """A command whose input, or output, is an open file (one of the ``files`` given to ``run``): for more bytes than fit into memory."""
    files = ["-" if fd is None else str(fd) for fd in (stdin, stdout)]
    return [sys.executable, "-I", "-S", "-c", _REDIRECT] + files + list(args)


class CommandRunner:
    """Port: runs a command to its end. Never through a shell."""

    def run(self, args: t.Sequence[str], *, limits: t.Optional[Limits] = None, timeout: t.Optional[float] = None,
            files: t.Sequence[int] = ()) -> Completed:
        """Run ``args`` and return how it ended, whatever its exit code.

        :param timeout: Seconds after which it is killed (it then ends with rc 137).
        :param files: Open files that it gets under the same numbers: /dev/fd/N.
        """
        raise NotImplementedError

    def run_ok(self, args: t.Sequence[str], **how: t.Any) -> str:
        """Run ``args`` and return what it printed.

        :raises BackendError: when it fails, with its own words.
        """
        done = self.run(args, **how)
        if done.rc != 0:
            raise BackendError(
                "%s failed with exit code %d: %s" % (" ".join(args[:2]), done.rc, (done.stderr or done.stdout).strip()),
                command=list(args), rc=done.rc,
            )
        return done.stdout


class ModuleRunner(CommandRunner):
    """The adapter over ``AnsibleModule.run_command``.

    A command dies with the module (setpriv, from util-linux): when the module is killed half-way, no qemu-img
    goes on writing into files that the next run takes for abandoned.
    """

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def run(self, args: t.Sequence[str], *, limits: t.Optional[Limits] = None, timeout: t.Optional[float] = None,
            files: t.Sequence[int] = ()) -> Completed:
        mortal = ["setpriv", "--pdeathsig", "KILL"]
        wrapped = list(mortal)
        if limits is not None:
            wrapped.append("prlimit")
            if limits.cpu_seconds is not None:
                wrapped.append("--cpu=%d" % limits.cpu_seconds)
            if limits.address_space is not None:
                wrapped.append("--as=%d" % limits.address_space)
        if timeout is not None:
            wrapped += ["timeout", "--signal=KILL", "%.1f" % max(0.1, timeout)] + mortal
        rc, stdout, stderr = self._module.run_command(wrapped + list(args), pass_fds=files, handle_exceptions=False)
        # A signal's number comes negative; timeout(1) dies of the one it sends.
        return Completed(128 - rc if rc < 0 else rc, stdout, stderr)
