# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an image gets into volumes: read once, verified and inspected while it arrives, converted if need be, written to all."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import human
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
from ansible_collections.bootable.volumes.plugins.module_utils.host.files import extents
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import QemuImg
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.images.dispatch import is_archive
from ansible_collections.bootable.volumes.plugins.module_utils.images.inspection import Inspection, check_file
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription, ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.hashing import Verifier
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.reader import CHUNK, chunks
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.vhd_bodies import VhdBodies
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.writer import Sink, Target, Writer


def copy_image(source: ImageSource, targets: t.Sequence[t.Tuple[str, int, Sink]], job: Job, *, fresh: bool,
               runner: t.Optional[CommandRunner] = None) -> None:
    """Write an image into open volumes.

    A raw image goes straight into them. Any other is kept in a nameless temporary file until qemu-img has made a raw one of it; an archive
    of VHDs is merged in one.

    :param targets: (name, bytes, where to write) of each volume.
    :param fresh: The volumes are known to read as zeroes; else holes and the tail are written, too.
    :param runner: For qemu-img; a raw image needs none.
    :raises UnsafeImage: before anything is converted.
    :raises IntegrityError: the bytes are not those that were promised; raw volumes hold part of them by then.
    :raises InvalidInput: a volume is too small.
    """
    image = source.describe()
    into = [Target(*target) for target in targets]
    if is_archive(image):
        with RawFile.nameless() as disk:
            _expect_room(image, into, unpack(source, disk, job))
            spread(disk, into, job, fresh=fresh)
        return
    if image.format == "raw":
        receive(source, into, job, fresh=fresh)
        return
    if runner is None:
        raise InvalidInput("the image %s is %s, and this storage takes raw images only" % (image.name, image.format))
    qemu = QemuImg(runner)
    with RawFile.nameless() as disk:
        with RawFile.nameless() as stored:
            size = stage(source, stored, qemu, job)
            _expect_room(image, into, size)
            disk.resize(size)
            convert(stored.path, image.format, disk.path, "raw", image.name, size, qemu, job)
        spread(disk, into, job, fresh=fresh)


def _expect_room(image: ImageDescription, targets: t.Sequence[Target], size: int) -> None:
    for target in targets:
        if target.size is not None and size > target.size:
            raise InvalidInput("%s has %s, but the image %s needs %s; ask for a larger size" % (target.name, human(target.size), image.name, human(size)))


def unpack(source: ImageSource, disk: RawFile, job: Job) -> int:
    """Merge an archive of VHDs into a raw disk; no converter sees it.

    :returns: Bytes of the disk.
    :raises UnsafeImage, IntegrityError: as vhd_bodies.py tells.
    """
    size = 0
    for layer in VhdBodies(source, job).layers():
        size = max(size, layer.size)
        for offset, data in layer.writes():
            disk.write(offset, data)
    disk.resize(size)
    return size


def receive(source: ImageSource, targets: t.Sequence[Target], job: Job, *, fresh: bool) -> int:
    """Write an image's bytes as they are stored, verified and inspected.

    The head is inspected before the first byte is written; the end and the checksum can be judged only when all is written.

    :returns: How many bytes there were.
    :raises UnsafeImage: the content is not of the declared format, or not safe.
    :raises IntegrityError: the bytes are not those that were promised.
    """
    image = source.describe()
    inspection = Inspection(image.format, image.name)
    offset, at_end = 0, False
    with Verifier(image) as verifier, Writer(targets, fresh=fresh) as writer:
        for chunk in chunks(source, job):
            verifier.put(chunk)
            inspection.feed(chunk)
            if len(chunk) < CHUNK:  # the last one: judged before it is written, for it may be the first, too
                inspection.finish()
                at_end = True
            writer.put(offset, chunk)
            offset += len(chunk)
        if not at_end:
            inspection.finish()
        writer.finish(offset)
        verifier.verify()
    return offset


def stage(source: ImageSource, stored: RawFile, qemu: QemuImg, job: Job) -> int:
    """Bring an image into a private file, and let it go no further unless it is safe to convert.

    :returns: Bytes of the disk that it holds.
    :raises UnsafeImage: it is not safe; no converter has seen it then.
    :raises IntegrityError: the bytes are not those that were promised.
    """
    image = source.describe()
    stored.resize(receive(source, [Target(image.name, None, stored)], job, fresh=True))
    job.listener.hear(Event("inspect", image.name))
    return check_file(stored.path, image.format, image.name, qemu)


def convert(path: str, format: str, target: str, target_format: str, name: str, size: int, qemu: QemuImg, job: Job, *, lasting: bool = False) -> None:
    """Convert an inspected image into an existing empty one, and tell of it.

    :param name: Of the image, for events and messages.
    :param size: Bytes of the disk that it holds.
    :param lasting: The target will be synced next.
    """
    job.listener.hear(Event("convert", name, 0, size))
    qemu.convert_into(path, format, target, target_format, deadline=job.deadline, what="the image %s to be converted" % name, lasting=lasting)
    job.listener.hear(Event("convert", name, size, size))


def spread(disk: RawFile, targets: t.Sequence[Target], job: Job, *, fresh: bool) -> None:
    """Write a raw disk into volumes; what is a hole in it is not even read."""
    size, reached = disk.size, 0
    what = "%s to be written" % ", ".join(target.name for target in targets)
    with Writer(targets, fresh=fresh) as writer:
        for start, length in extents(disk.fd, 0, size):
            writer.skip(reached, start - reached)
            for offset in range(start, start + length, CHUNK):
                job.deadline.check(what)
                writer.put(offset, disk.read(offset, min(CHUNK, start + length - offset)))
                for target in targets:
                    job.listener.hear(Event("copy", target.name, offset, size))
            reached = start + length
        writer.skip(reached, size - reached)
        writer.finish(size)
    for target in targets:
        job.listener.hear(Event("copy", target.name, size, size))
