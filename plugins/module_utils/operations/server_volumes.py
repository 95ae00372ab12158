# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The volumes of servers: those that they boot from, filled before Nova is asked for a server, and those that they have beside it.

A volume that is made for a server has the server's name with ``-root`` or ``-data-1`` after it, and ``bootable_made_for`` in its metadata
from its first moment on: so that nothing is ever without an owner, whatever breaks off.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InUse, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.parallel import run_all
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import in_gib
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.failures import Denied
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.servers import Server
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import CinderVolume, Quota
from ansible_collections.bootable.volumes.plugins.module_utils.operations.naming import data_name, root_name
from ansible_collections.bootable.volumes.plugins.module_utils.operations.root_volumes import Filled, fill_roots
from ansible_collections.bootable.volumes.plugins.module_utils.operations.server_wishes import VOLUME, DataVolume, is_ours
from ansible_collections.bootable.volumes.plugins.module_utils.operations.volume_from_image import VolumeFromImage
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.room import check_quotas
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import MADE_FOR, CinderOptions, view
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.watch import Watch
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import WORKING, Request, Volume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.identity import READY, Record

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud

ROOT, DATA = "root", "data"

# Statuses in which something has a volume, or is about to have it or let go of it.
_TAKEN = frozenset(("in-use", "reserved", "attaching", "detaching"))


class ServerVolumes:
    """The volumes of the servers of one task.

    :param options: What ``storage`` says.
    :param source: Of the image; None where no volume is to be made of one.
    :param size: Bytes of each volume to boot from; None for the least that holds the image.
    """

    def __init__(self, cloud: t.Callable[[], Cloud], options: CinderOptions, *, source: t.Optional[ImageSource], size: t.Optional[int],
                 data: t.Sequence[DataVolume], fan_out: str, job: Job) -> None:
        self._cloud = cloud
        self._options = options
        self._source = source
        self._size = size
        self._data = data
        self._fan_out = fan_out
        # Nova takes no volume that is not filled: that is waited for even where the servers are not
        self._job = replace(job, wait=True)
        self.driver = self._root_driver()

    # --- looking ---

    def listed(self) -> t.Dict[str, CinderVolume]:
        """All the project's volumes, by id."""
        return {volume.id: volume for volume in self._cloud().volumes.list()}

    def data_of(self, name: str, there: t.Mapping[str, CinderVolume]) -> t.Tuple[t.Optional[Volume], ...]:
        """By place in the task's list, the data volumes of a server that are there.

        :raises NotFound: one that is to be there already is not.
        :raises Ambiguous: several have the name.
        """
        return tuple(self._data_volume(name, number, wanted, there) for number, wanted in enumerate(self._data, 1))

    def _data_volume(self, name: str, number: int, wanted: DataVolume, there: t.Mapping[str, CinderVolume]) -> t.Optional[Volume]:
        if wanted.volume is None:
            return self._data_driver(wanted).choose(data_name(name, number), list(there.values()))
        called = wanted.volume.replace("{name}", name)
        found = view(there[called]) if called in there else self.driver.choose(called, list(there.values()))
        if found is None:
            raise NotFound("data_volumes: there is no volume '%s' for the server %s; make it first, or give a size to have one made" % (called, name))
        return found

    def given(self, name_or_id: str) -> Volume:
        """A volume that is there already, and is to be booted from.

        :raises NotFound: it is not.
        """
        found = self.driver.look_up(name_or_id)
        if found is None:
            raise NotFound("volumes: there is no volume '%s'; make it first, with volume_from_image, or name an image instead" % name_or_id)
        if not found.details["bootable"]:
            raise InvalidInput("volumes: %s (%s) is not bootable, so Nova does not boot from it; volume_from_image sets that, or an administrator does" % (
                found.name, found.id))
        return found

    @staticmethod
    def refuse_taken(volumes: t.Iterable[t.Optional[Volume]], servers: t.Mapping[str, Server]) -> None:
        """Refuse volumes for new servers that something else has.

        :param servers: The task's own, by id, which are to be removed: they let go of them.
        :raises InUse: naming all of them.
        """
        held = {}
        for volume in volumes:
            if volume is not None and volume.status in _TAKEN:
                holders = [each["server_id"] or each["host"] or "somebody" for each in volume.details["attachments"]]
                if any(holder not in servers for holder in holders) or volume.status == "in-use" and not holders:
                    held["%s (%s)" % (volume.name, volume.id)] = "%s, by %s" % (volume.status, ", ".join(holders) or "somebody")
        if held:
            raise InUse("volumes that new servers need are held: %s; detach them first, or choose other names" % "; ".join(
                "%s is %s" % each for each in held.items()), holders=held)

    # --- room ---

    def check_room(self, roots: t.Sequence[int], names: t.Sequence[str], there: t.Mapping[str, CinderVolume]) -> None:
        """Refuse, before the first write, volumes that do not fit into Cinder's quotas.

        :param roots: Bytes of the volumes to boot from that are to be made.
        :param names: Servers that are to be made.
        :raises NoRoom: what is asked for, and what is there.
        """
        sizes: t.Dict[t.Optional[str], t.List[int]] = {self._options.volume_type: [in_gib(size) for size in roots]}
        for name in names:
            for wanted, volume in zip(self._data, self.data_of(name, there)):
                if volume is None and wanted.size is not None:
                    sizes.setdefault(wanted.volume_type or self._options.volume_type, []).append(in_gib(wanted.size))
        if not any(sizes.values()):
            return
        volumes = self._cloud().volumes
        try:
            quotas = volumes.quotas()
        except Denied:  # a cloud may keep its quotas to itself; then Cinder refuses what is too much
            return
        for volume_type, each in sizes.items():
            check_quotas(each, volumes.find_type(volume_type) if volume_type else volumes.default_type(), quotas)
            for name, amount in (("volumes", len(each)), ("gigabytes", sum(each))):
                if name in quotas:
                    quotas[name] = Quota(quotas[name].limit, quotas[name].used + amount)

    # --- making ---

    def _root_driver(self, ready: t.Optional[t.Callable[[Volume], None]] = None) -> CinderDriver:
        return CinderDriver(self._cloud, replace(self._options, marks={MADE_FOR: ROOT}), clock=self._job.deadline.clock, ready=ready)

    def roots(self, names: t.Sequence[str], on_drift: str, driver: t.Optional[CinderDriver] = None) -> VolumeFromImage:
        """The operation that makes the volumes that these servers boot from."""
        if self._source is None:
            raise InvalidInput("there is no image to make volumes of; name one: image, image_file or image_url")
        return VolumeFromImage(driver=driver or self.driver, source=self._source, names=[root_name(name) for name in names], size=self._size, on_drift=on_drift,
                               fan_out=self._fan_out, job=self._job)

    def fill(self, names: t.Sequence[str], on_drift: str, ready: t.Callable[[str, str], None]) -> Filled:
        """Volumes for these servers, each holding the image and free; one that goes wrong does not stop the others.

        :param ready: Told of servers whose volumes are, by name and with the volume's id, while others are still being filled.
        """
        servers = {root_name(name): name for name in names}
        driver = self._root_driver(lambda volume: ready(servers[volume.name], volume.id))
        return fill_roots(self.roots(names, on_drift, driver), names) if names else Filled()

    def provide_data(self, name: str, there: t.Mapping[str, CinderVolume]) -> t.List[str]:
        """The ids of a server's data volumes, by place in the task's list; those that are missing are made.

        :param there: All the project's volumes, by id.
        """
        found = self.data_of(name, there)
        return [self._provide(name, number, wanted, found[number - 1]).id for number, wanted in enumerate(self._data, 1)]

    def _provide(self, name: str, number: int, wanted: DataVolume, there: t.Optional[Volume]) -> Volume:
        driver = self._data_driver(wanted)
        if there is None:
            return driver.create(Request(data_name(name, number), t.cast(int, wanted.size)), Record(READY, "blank"))
        if there.state == WORKING and there.status not in _TAKEN:
            return driver.finish(there, self._job)
        return there

    def _data_driver(self, wanted: DataVolume) -> CinderDriver:
        return CinderDriver(self._cloud, replace(self._options, volume_type=wanted.volume_type or self._options.volume_type, bootable=False,
                                                 marks={MADE_FOR: DATA}), clock=self._job.deadline.clock)

    # --- unmaking ---

    def made_for(self, names: t.Sequence[str], there: t.Mapping[str, CinderVolume]) -> t.Dict[str, t.List[CinderVolume]]:
        """By server, the volumes that were made for it, whether it has them or not."""
        found: t.Dict[str, t.List[CinderVolume]] = {name: [] for name in names}
        for name in names:
            pattern = re.compile(re.escape(name) + r"-(root|data-\d+)")
            found[name] = [volume for volume in there.values() if MADE_FOR in volume.metadata and pattern.fullmatch(volume.name)]
        return found

    def until_free(self, servers: t.Sequence[Server]) -> None:
        """Wait until these servers, which are gone, have none of their volumes any more: Cinder is told a moment later.

        :raises TimedOut: with the volumes' statuses.
        """
        ids, owners = volumes_of(servers), {server.id for server in servers}
        watch = Watch(self._cloud().volumes, self._job)
        taken: t.Dict[str, str] = {}

        def poll() -> t.Optional[bool]:
            nonlocal taken
            taken = {volume.name: volume.status for volume in watch.look(ids).values() if volume is not None and volume.status in _TAKEN and (
                volume.status != "in-use" or any(each.server in owners for each in volume.attachments))}
            return None if taken else True

        if ids:
            self._job.deadline.wait(poll, "volumes to be free", details=lambda: {"unfinished": taken})

    def remove(self, volumes: t.Sequence[CinderVolume]) -> t.Dict[str, Exception]:
        """Remove volumes; by name, why one is still there."""
        watch = Watch(self._cloud().volumes, self._job)
        dummy, troubles = run_all(lambda volume: watch.remove([volume.id]), volumes, at_once=self._job.at_once)
        return {volume.name: error for volume, error in troubles}


def volumes_of(servers: t.Iterable[Server]) -> t.List[str]:
    """The ids of the volumes that servers of ours have, or were to have."""
    from_marks = {server.metadata[VOLUME] for server in servers if is_ours(server)}
    return sorted(from_marks | {volume for server in servers for volume in server.volumes})
