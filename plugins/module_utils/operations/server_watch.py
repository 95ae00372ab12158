# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for servers: many of them, one listing per look, one deadline; and for what they write on their consoles."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound, TimedOut, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.outages import through_outages
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import ACTIVE, BUILD, ERROR, Server, Servers

# How much of a console Nova shows (MAX_CONSOLE_BYTES in nova/virt/libvirt/driver.py): of one that is longer the beginning is lost.
_CONSOLE_BYTES = 100 * 1024
# Statuses that lead to the one that is waited for, by themselves.
_ON_THE_WAY = frozenset((BUILD, "REBOOT", "HARD_REBOOT"))
# Seconds between the first looks; a server takes some, and a listing of servers costs Nova much more than one of volumes costs Cinder.
_FIRST = 0.7
# Lines of a console that a message shows.
_LAST_WORDS = 5


@dataclass(frozen=True)
class WaitFor:
    """What shows that a server has booted: that it is ACTIVE, or beyond that what it writes on its console.

    :param console: A regular expression; None for ACTIVE alone.
    """

    console: t.Optional[t.Pattern[str]] = None

    @classmethod
    def parse(cls, value: t.Any) -> WaitFor:
        """From the option: ``active``, ``{"console": pattern}`` or ``console: pattern``.

        :raises InvalidInput: it is neither, or no pattern.
        """
        pattern = value.get("console") if isinstance(value, dict) and list(value) == ["console"] else None
        if isinstance(value, str):
            if value == "active":
                return cls()
            word, colon, rest = value.partition(":")
            pattern = rest.strip() if word == "console" and colon else None
        if not isinstance(pattern, str) or not pattern:
            raise InvalidInput("wait_for: '%s' is none of: active, or console with a regular expression, as in {console: 'login:'}" % (value,))
        try:
            return cls(re.compile(pattern, re.MULTILINE))
        except re.error as error:
            raise InvalidInput("wait_for: '%s' is no regular expression: %s" % (pattern, error)) from error

    def __str__(self) -> str:
        return "write %s on their consoles" % self.console.pattern if self.console else "become ACTIVE"


@dataclass
class _Look:
    """One server that is waited for.

    :param ran: It ran before: its console may have lost its beginning.
    """

    server: Server
    ran: bool
    console: str = ""


@dataclass
class Seen:
    """What was seen.

    :param servers: By name: as they were last seen.
    :param shown: By name: what the console showed that was waited for.
    :param troubles: By name: why one has not booted.
    """

    servers: t.Dict[str, Server] = field(default_factory=dict)
    shown: t.Dict[str, str] = field(default_factory=dict)
    troubles: t.Dict[str, Exception] = field(default_factory=dict)


class ServerWatch:
    """Looks at servers until they are where they shall be."""

    def __init__(self, servers: Servers, job: Job) -> None:
        self._servers = servers
        self._job = job

    def look(self, ids: t.Collection[str]) -> t.Dict[str, t.Optional[Server]]:
        """The servers as they are now; None for those that are gone. One request, whatever their number."""
        return through_outages(lambda: self._look(ids), self._job.deadline)

    def _look(self, ids: t.Collection[str]) -> t.Dict[str, t.Optional[Server]]:
        if len(ids) == 1:
            only = next(iter(ids))
            try:
                return {only: self._servers.get(only)}
            except NotFound:
                return {only: None}
        there = {server.id: server for server in self._servers.list()}
        return {each: there.get(each) for each in ids}

    def until_booted(self, new: t.Sequence[Server], running: t.Sequence[Server], wait_for: WaitFor) -> Seen:
        """Wait until servers have booted.

        :param new: Those that were just made or started.
        :param running: Those that ran before: nothing is waited for but what they may still have to write.
        """
        looks = {server.id: _Look(server, ran=False) for server in new}
        if wait_for.console:
            looks.update({server.id: _Look(server, ran=True) for server in running})
        return self._until(looks, ACTIVE, wait_for)

    def until_status(self, servers: t.Sequence[Server], status: str) -> Seen:
        """Wait until servers have a status, such as SHUTOFF."""
        return self._until({server.id: _Look(server, ran=True) for server in servers}, status, WaitFor())

    def until_gone(self, servers: t.Sequence[Server]) -> t.Dict[str, Exception]:
        """Wait until servers that Nova was asked to delete are gone; by name, why one is still there."""
        left = {server.id: server for server in servers}
        troubles: t.Dict[str, Exception] = {}

        def poll() -> t.Optional[bool]:
            for each, now in self.look(list(left)).items():
                if now is None:
                    del left[each]
                elif now.status == ERROR and now.task is None and left[each].status != ERROR:
                    del left[each]
                    troubles[now.name] = BackendError("Nova could not delete server %s (%s): %s" % (
                        now.name, now.id, now.fault or "Nova gives no reason; its log has more"))
            return None if left else True

        if left:
            try:
                self._job.deadline.wait(poll, "servers to be gone", first=_FIRST, longest=3.0)
            except TimedOut as error:
                troubles.update({server.name: TimedOut("%s (%s): %s" % (server.name, server.id, error.message)) for server in left.values()})
        return troubles

    def _until(self, looks: t.Dict[str, _Look], status: str, wait_for: WaitFor) -> Seen:
        seen = Seen()

        def poll() -> t.Optional[bool]:
            due = self._not_building(looks.values())
            now = self.look([look.server.id for look in due]) if due else {}
            done, troubles = run_all(lambda look: self._has(look, now[look.server.id], status, wait_for, seen), due, at_once=self._job.at_once)
            for look, error in troubles:
                seen.troubles[look.server.name] = error
            over = [look for look, dummy in troubles] + [look for look, there in done if there]
            for look in over:
                seen.servers[look.server.name] = look.server
                del looks[look.server.id]
            return None if looks else True

        for look in looks.values():
            self._job.listener.hear(Event("wait", look.server.name))
        if looks:
            try:
                self._job.deadline.wait(poll, "servers to boot", first=_FIRST, longest=3.0)
            except TimedOut:
                for look in looks.values():
                    seen.servers[look.server.name] = look.server
                    seen.troubles[look.server.name] = self._too_late(look, wait_for if status == ACTIVE else "become %s" % status)
        return seen

    def _not_building(self, looks: t.Iterable[_Look]) -> t.List[_Look]:
        """Those at which there may be something to see: Nova tells cheaply which ones it is still building."""
        looks = list(looks)
        if not any(look.server.status == BUILD for look in looks):
            return looks
        building = through_outages(self._servers.building, self._job.deadline)
        return [look for look in looks if look.server.id not in building]

    def _has(self, look: _Look, now: t.Optional[Server], status: str, wait_for: WaitFor, seen: Seen) -> bool:
        """Whether it is where it shall be.

        :raises BackendError: it never will be.
        """
        if now is None:
            raise BackendError("the server %s (%s) is gone: somebody removed it" % (look.server.name, look.server.id))
        look.server = now
        if now.status == ERROR:
            raise BackendError("Nova could not make server %s (%s): %s" % (now.name, now.id, now.fault or "Nova gives no reason; its log has more"),
                               id=now.id, status=now.status)
        if now.status != status:
            if status == ACTIVE and now.status not in _ON_THE_WAY and now.task is None:
                raise BackendError("the server %s (%s) is %s instead of ACTIVE%s" % (now.name, now.id, now.status, self._last_words(look)))
            return False
        return wait_for.console is None or self._has_written(look, wait_for.console, seen)

    def _has_written(self, look: _Look, pattern: t.Pattern[str], seen: Seen) -> bool:
        look.console = through_outages(lambda: self._servers.console(look.server.id), self._job.deadline)
        match = pattern.search(look.console)
        if match:
            seen.shown[look.server.name] = match.group(0)
        return bool(match) or look.ran and len(look.console.encode()) >= _CONSOLE_BYTES - 4

    def _last_words(self, look: _Look) -> str:
        lines = [line.strip() for line in look.console.splitlines() if line.strip()]
        return "; its console ends with: %s" % " | ".join(lines[-_LAST_WORDS:]) if lines else ""

    def _too_late(self, look: _Look, what: t.Any) -> VolumesError:
        server = look.server
        told = {"id": server.id, "status": server.status, "console": look.console.splitlines()[-_LAST_WORDS:]}
        return TimedOut("timed out after %d s waiting for the server %s (%s) to %s; it is %s and goes on: run the task again to wait on, or raise timeout%s" % (
            self._job.deadline.seconds, server.name, server.id, what, server.status, self._last_words(look)), waiting={server.name: told})
