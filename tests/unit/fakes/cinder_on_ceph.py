# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Cinder whose volumes of the type ``rbd`` are images in a Ceph in memory: Cinder, and a host that reaches that Ceph, see the same bytes."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.bootable.volumes.tests.unit.fakes.ceph import FakeCeph
from ansible_collections.bootable.volumes.tests.unit.fakes.cinder import FakeCinder
from ansible_collections.bootable.volumes.tests.unit.fakes.glance import FakeGlance

POOL = "volumes"


class CinderOnCeph(FakeCinder):
    """Keeps its volumes in the pool ``volumes``.

    :param unit: Bytes that this Cinder takes for a GiB, so that tests need not hash gigabytes.
    """

    def __init__(self, clock: t.Any, glance: FakeGlance, ceph: FakeCeph, *, unit: int) -> None:
        super().__init__(clock, glance)
        self._space = ceph.space(POOL)
        self._ceph = ceph
        self._unit = unit

    def image_of(self, volume: t.Mapping[str, t.Any]) -> str:
        """What an image is called in the pool."""
        return "volume-%s" % (volume.get("os-vol-mig-status-attr:name_id") or volume["id"])

    def _finish(self, volume: t.Dict[str, t.Any], image: t.Dict[str, str], bootable: bool, data: t.Optional[bytes] = None) -> None:
        super()._finish(volume, image, bootable, data)
        if volume["volume_type"] != "rbd" or volume["status"] != "available":
            return
        name, size = self.image_of(volume), volume["size"] * self._unit
        if name not in self._space.images:
            with self._unheard():
                self._ceph.create(self._space, name, size, (), None)
        elif data is None:
            return
        self._space.images[name].data[:] = volume["_data"].ljust(size, b"\0")

    def _grown(self, volume: t.Dict[str, t.Any], status: str, size: int) -> None:
        super()._grown(volume, status, size)
        if self.image_of(volume) in self._space.images:
            with self._unheard():
                self._ceph.resize(self._space.images[self.image_of(volume)], size * self._unit)

    def _gone(self, volume: t.Dict[str, t.Any]) -> None:
        super()._gone(volume)
        if self.image_of(volume) in self._space.images:
            with self._unheard():
                self._ceph.remove(self._space, self.image_of(volume))

    @contextlib.contextmanager
    def _unheard(self) -> t.Iterator[None]:
        """What Cinder does in Ceph is none of this collection's calls."""
        calls, self._ceph.calls = self._ceph.calls, []
        try:
            yield
        finally:
            self._ceph.calls = calls
