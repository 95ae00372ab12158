# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oslo-config-validator of a service: which options of a file does that service know?"""

from __future__ import annotations

import os
import re
import shutil
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner

COMMAND = "oslo-config-validator"

# oslo_config/validator.py and stevedore/named.py, through the standard library's logging
_UNKNOWN = re.compile(r"^ERROR:[\w.]+:(.+)/(.+) is not part of the sample config$", re.MULTILINE)
_DEPRECATED = re.compile(r"^WARNING:[\w.]+:Deprecated opt (.+)/(.+) found$", re.MULTILINE)
_NOT_LOADED = re.compile(r"^WARNING:[\w.]+:Could not load (\S+)$", re.MULTILINE)

_KILLED = 137


@dataclass(frozen=True)
class Findings:
    """What it says of a file: ``section.option``, in the order of the file.

    :param missing: Of the namespaces asked for, those that are not installed beside it.
    """

    unknown: t.Tuple[str, ...] = ()
    deprecated: t.Tuple[str, ...] = ()
    missing: t.Tuple[str, ...] = ()


class OsloValidator:
    """The command, with what is asked of it.

    :param namespaces: Whose options there may be: ``glance.api``, ``oslo.log``, ...
    :param exclude_groups: Regular expressions of whole names: sections that it cannot know.
    :param command: A name that is looked for in PATH, or a path.
    :raises InvalidInput: for something that is no regular expression.
    """

    def __init__(self, runner: CommandRunner, *, namespaces: t.Sequence[str], exclude_groups: t.Sequence[str] = (), command: str = COMMAND) -> None:
        self._runner = runner
        self._namespaces = list(namespaces)
        self._command = command
        try:
            self._excluded = [re.compile(each) for each in exclude_groups]
        except re.error as error:
            raise InvalidInput("validate_with.exclude_groups: %r is no regular expression: %s" % (error.pattern, error)) from error

    def check(self, data: bytes, sections: t.Iterable[str], deadline: Deadline) -> Findings:
        """What it finds in a file that is only in memory, and that has these sections.

        :raises NotFound: there is no such command.
        :raises TimedOut: it did not end in time.
        :raises BackendError: it failed with something else than findings.
        """
        # Python would keep what it compiles, and check mode writes nothing.
        command = ["env", "PYTHONDONTWRITEBYTECODE=1", self._path()]
        command += ["--namespace=" + each for each in self._namespaces]
        command += ["--exclude-group=" + each for each in sections if any(pattern.fullmatch(each) for pattern in self._excluded)]
        memory = os.memfd_create("oslo.config")
        try:
            with open(memory, "wb", closefd=False) as file:
                file.write(data)
            done = self._runner.run(command + ["--input-file=/dev/fd/%d" % memory], timeout=deadline.remaining(), files=[memory])
        finally:
            os.close(memory)
        if done.rc == _KILLED:
            raise TimedOut("%s was stopped after %d s; nothing was written: see why it hangs, or raise timeout" % (self._command, deadline.seconds))
        unknown = tuple(".".join(each) for each in _UNKNOWN.findall(done.stderr))
        if done.rc != 0 and not unknown:
            words = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
            raise BackendError("%s failed with exit code %d and said: %s; see that it runs on this host, or leave out validate_with. Nothing was written." % (
                self._command, done.rc, words[-1]), rc=done.rc)
        missing = set(_NOT_LOADED.findall(done.stderr)) & set(self._namespaces)
        return Findings(unknown, tuple(".".join(each) for each in _DEPRECATED.findall(done.stderr)), tuple(sorted(missing)))

    def _path(self) -> str:
        path = shutil.which(self._command)
        if path is None:
            raise NotFound(
                "validate_with.command: this host has no %s; install oslo.config beside the service (Debian: python3-oslo.config), name the one of"
                " its virtual environment, or leave out validate_with" % self._command)
        return path
