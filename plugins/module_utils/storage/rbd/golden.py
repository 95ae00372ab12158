# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hidden parents: the image from which several volumes are cloned.

A volume that others were cloned from could not be removed before them. So the image's bytes go into a hidden parent, and all volumes are
clones of it. The parent ends up in Ceph's trash, where clones (format 2) live on with it, and leaves that with the last of them: when this
collection removes or refills that volume, or whenever somebody purges the trash.
"""

from __future__ import annotations

import contextlib
import threading
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.storage.filling import PARENT, parent_name
from ansible_collections.bootable.volumes.plugins.module_utils.storage.rbd.pool import Busy, Gone, Pool

SNAPSHOT = "golden"

# Ceph takes the clients of killed processes for alive for 30 s (osd_client_watch_timeout); those of slow machines a little longer.
PATIENCE = 90.0


def patiently(call: t.Callable[[], object], what: str, job: Job) -> None:
    """Do what an open image forbids, once the client of a process that was killed is forgotten.

    :raises Busy: something else has it open.
    """
    clock = job.deadline.clock
    end = clock.now() + PATIENCE

    def attempt() -> t.Optional[bool]:
        try:
            call()
        except Busy:
            if clock.now() >= end:
                raise
            return None
        return True

    job.deadline.wait(attempt, what, first=0.5, longest=3.0)


class Golden:
    """The hidden parents in one pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sweeping = threading.Lock()

    def seal(self, name: str) -> None:
        """Freeze a filled parent, so that it can be cloned."""
        self._pool.snapshot(name, SNAPSHOT)

    def retire(self, name: str, job: Job) -> None:
        """No more clones will be made of it: it goes, at once if it has none, else into the trash and later with the last."""
        image = self._pool.look(name)
        if image is None:
            self._pool.remove(name)  # what may be left of it
            return
        with contextlib.suppress(Gone):
            self._pool.drop_snapshot(name, SNAPSHOT)
        self._pool.trash(name)
        self._purge(image.id, job)

    def _purge(self, id: str, job: Job) -> None:
        patiently(lambda: self._pool.purge(id), "the client of a run that was killed to be forgotten by Ceph", job)

    def sweep(self, names: t.Optional[t.Collection[str]], purge: t.Callable[[str], object]) -> None:
        """Remove from the trash those of these parents, or of all, that no volume needs any more."""
        with self._sweeping:  # not the same one from several threads: only from other processes does Ceph keep an image that is being removed
            for id, name in self._pool.trashed().items():
                if name in names if names is not None else name.startswith(PARENT):
                    purge(id)

    def settle(self, volumes: t.Iterable[str], present: t.Collection[str], job: Job) -> None:
        """Retire what runs left that were killed while they filled these volumes."""
        parents = [parent_name(name) for name in volumes]
        for name in parents:
            if name in present:
                self.retire(name, job)
        self.sweep(parents, lambda id: self._purge(id, job))

    def let_go(self, parent: t.Optional[str]) -> None:
        """A volume is no clone of this parent any more. What cannot be purged now goes with the next sweep, or purge.

        :param parent: None where it is not known whose clone the volume was.
        """
        with contextlib.suppress(VolumesError):
            self.sweep(None if parent is None else [parent], self._pool.purge)
