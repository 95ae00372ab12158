# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Cinder volume kept from all others while its bytes are read or written behind Cinder's back.

Cinder's own reservation, which servers were once attached by, does it: a reserved volume has the status ``attaching``, and is
neither attached nor deleted, extended or filled by anybody. But it does not say whose it is, and outlives the run that took it.
So each run leaves a *mark* in the volume's metadata before it reserves the volume, and removes it after it has let go:
``bootable_hold_<number>=<the process> <seconds since 1970 by which it is over>``.

* A volume that is ``attaching`` and has marks, all of runs that are over, is *left behind*: the next run takes the reservation
  over as it is. As with private images, a run is known to be over on the same host when its process has ended, elsewhere when
  its time has passed.
* Who takes over leaves a mark first, too, and then looks: of two runs that do so together at least one sees the other, and gives way.
* A mark on a volume that is not ``attaching`` means nothing. Should a server be about to be attached to a volume with such a mark,
  Cinder has an attachment for it, and that is looked at before a reservation is taken over.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
import uuid

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InUse, InvalidInput, NotFound, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host import liveness
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.outages import through_outages
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume, Volumes
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import PREFIX

# Begins the keys of all marks.
HOLD = PREFIX + "hold_"

# The status of a reserved volume.
RESERVED = "attaching"

# Seconds by which the clocks of two hosts may differ, generously.
_SKEW = 600


def marks_in(volume: CinderVolume) -> t.Dict[str, str]:
    """The marks of all runs: keys and values."""
    return {key: value for key, value in volume.metadata.items() if key.startswith(HOLD)}


def is_left_behind(volume: CinderVolume) -> bool:
    """Whether it is reserved by nobody but runs that are over."""
    marks = marks_in(volume).values()
    return volume.status == RESERVED and not volume.attachments and bool(marks) and all(_is_over(mark) for mark in marks)


def _is_over(mark: str) -> bool:
    left_by, dummy, until = mark.rpartition(" ")
    return liveness.is_dead(left_by) or (until.isdigit() and int(until) < time.time())


class Hold:
    """The reservation of one volume by this run.

    :param deadline: By when the run is over.
    :ivar taken_over: A run that was killed had it before.
    """

    def __init__(self, volumes: Volumes, volume_id: str, deadline: Deadline) -> None:
        self._volumes = volumes
        self._id = volume_id
        self._deadline = deadline
        self._key = HOLD + uuid.uuid4().hex[:12]
        self._mark = "%s %d" % (liveness.signature(), time.time() + deadline.remaining() + _SKEW)
        self.taken_over = False

    def take(self) -> CinderVolume:
        """Reserve the volume.

        :returns: The volume as it is now.
        :raises InUse: it is not free.
        """
        self._volumes.set_metadata(self._id, {self._key: self._mark})
        refusal: t.Optional[VolumesError] = None
        try:
            self._volumes.reserve(self._id)
        except InvalidInput as error:
            refusal = error
        except (Denied, NotFound):
            self._unmark()
            raise
        # after any other error it may be reserved all the same: the mark stays, and the next run finds whose it was
        try:
            volume = self._volumes.get(self._id)
            if refusal is not None:
                self._take_over(volume, refusal)
            elif volume.attachments:  # one that several servers may share can be reserved all the same
                raise InUse("volume %s (%s) is attached; detach it first" % (volume.name, volume.id))
        except BaseException:
            if refusal is None:
                self.release()
            else:
                self._unmark()
            raise
        self._forget_others(volume)
        return volume

    def _take_over(self, volume: CinderVolume, refusal: VolumesError) -> None:
        others = {key: mark for key, mark in marks_in(volume).items() if key != self._key}
        if volume.status != RESERVED or not others:
            raise InUse("volume %s (%s) is %s, and must be available; wait for that, or stop what uses it" % (
                volume.name, volume.id, volume.status)) from refusal
        if not all(_is_over(mark) for mark in others.values()):
            raise InUse("volume %s (%s) is held by another run of this collection; wait for its end" % (volume.name, volume.id)) from refusal
        if volume.attachments or self._volumes.attachments(volume.id):
            raise InUse("volume %s (%s) is being attached; detach it first" % (volume.name, volume.id)) from refusal
        self.taken_over = True

    def _forget_others(self, volume: CinderVolume) -> None:
        """Remove marks of runs that are over; of others that give way just now, each removes its own."""
        for key, mark in marks_in(volume).items():
            if key != self._key and _is_over(mark):
                self._volumes.delete_metadata(self._id, key)

    def _unmark(self) -> None:
        with contextlib.suppress(NotFound):
            self._volumes.delete_metadata(self._id, self._key)

    def release(self) -> None:
        """Let go of the volume; should Cinder be away just now, what was written is worth waiting for it."""
        with contextlib.suppress(NotFound):
            through_outages(lambda: self._volumes.get(self._id), self._deadline)
            self._volumes.unreserve(self._id)
        self._unmark()
