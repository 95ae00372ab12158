# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""qemu-img: always with the format named, on an absolute path, as a plain command."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NoRoom
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import GIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner, Limits
from ansible_collections.bootable.volumes.plugins.module_utils.host.files import takes_direct_io

# What Cinder allows `qemu-img info` on an image that a stranger made (cinder/image/image_utils.py).
INFO_LIMITS = Limits(cpu_seconds=60, address_space=GIB)

# Our names, which are Glance's, to qemu's.
_DRIVERS = {"raw": "raw", "qcow2": "qcow2", "vhd": "vpc", "vhdx": "vhdx", "vmdk": "vmdk", "vdi": "vdi"}
FORMATS = tuple(_DRIVERS)

# What `resize` can change in place; the others are made anew.
RESIZABLE = ("raw", "qcow2")

# Without force_size qemu rounds a VHD up to whole cylinders: 5 MiB become 5,257,216 bytes.
_ALWAYS = {"vhd": ("force_size=on",)}

# How space is set aside beforehand; other formats know only "off".
_PREALLOCATIONS = {"raw": ("off", "falloc", "full"), "qcow2": ("off", "metadata", "falloc", "full")}


# An image cannot make a conversion take more memory than this; how long it takes is the deadline's to say.
_CONVERTING = Limits(address_space=2 * GIB)


@dataclass(frozen=True)
class Info:
    """What ``qemu-img info`` says of an image.

    :param virtual_size: Bytes a guest sees.
    :param refers_to: Other files that its content would have qemu open; safe images have none.
    """

    format: str
    virtual_size: int
    refers_to: t.Tuple[str, ...] = ()
    encrypted: bool = False
    raw: t.Mapping[str, t.Any] = field(default_factory=dict)


def preallocations(format: str) -> t.Tuple[str, ...]:
    """What ``preallocation`` may be for a format."""
    return _PREALLOCATIONS.get(format, ("off",))


class QemuImg:
    """The commands. Formats are named as in ``FORMATS``; sizes are bytes."""

    def __init__(self, runner: CommandRunner) -> None:
        self._runner = runner

    def info(self, path: str, format: str) -> Info:
        """Look at an image, under limits. ``format`` is what it must be; qemu-img is never let guess.

        :raises BackendError: it is not of that format, or cannot be read.
        """
        text = self._run(["info", "--force-share", "--output=json"] + _opening(path, format), limits=INFO_LIMITS)
        try:
            data = json.loads(text)
            size = int(data["virtual-size"])
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError("qemu-img info gave no answer that makes sense for %s" % path) from error
        specific = (data.get("format-specific") or {}).get("data") or {}
        referred = [data.get("backing-filename"), data.get("full-backing-filename"), specific.get("data-file")]
        # A plain file has one child that is the file itself; extents of a VMDK tell whether there are more.
        referred += [extent.get("filename") for extent in (specific.get("extents") or [])[1:]]
        return Info(
            format=format,
            virtual_size=size,
            refers_to=tuple(str(name) for name in referred if name),
            encrypted=bool(data.get("encrypted")),
            raw=data,
        )

    def create(self, path: str, format: str, size: int, *, preallocation: str = "off") -> None:
        """Make an empty image over whatever is at ``path``."""
        options = list(_ALWAYS.get(format, ()))
        if preallocation != "off":
            options.append("preallocation=%s" % preallocation)
        given = ["-o", ",".join(options)] if options else []
        self._run(["create", "-q", "-f", _driver(format)] + given + [path, str(size)])

    def convert_into(self, source: str, source_format: str, target: str, target_format: str, *, deadline: Deadline, what: str,
                     lasting: bool = False) -> None:
        """Copy the content of an image into one that exists, reads as zeroes and is at least as large.

        :param what: For the message when time runs out: ``image x to be converted``.
        :param lasting: The target will be synced next, so it is written past the page cache where the file system can: syncing a
            GiB out of the cache afterwards takes longer than converting it.
        :raises TimedOut: the deadline passed; qemu-img was ended.
        """
        deadline.check(what)
        opening = _opening(source, source_format)
        # Only raw: the others grow while they are written, and XFS sets much room aside behind a file that grows this way.
        cache = ["-t", "none"] if lasting and target_format == "raw" and takes_direct_io(target) else []
        arguments = ["convert", "-n", "--target-is-zero"] + cache + ["-O", _driver(target_format)] + opening + [target]
        try:
            self._run(arguments, limits=_CONVERTING, timeout=deadline.remaining())
        except BackendError:
            deadline.check(what)
            raise

    def resize(self, path: str, format: str, size: int) -> None:
        """Grow an image in place.

        The format is always named: without it qemu guesses, and a guest may have written a qcow2 header into its raw disk.
        """
        if format not in RESIZABLE:
            raise InvalidInput("an image of format %s cannot be grown in place" % format)
        self._run(["resize", "-q", "-f", _driver(format), path, str(size)])

    def measure(self, path: str, format: str, target_format: str) -> int:
        """Bytes that the image would take in another format, at most."""
        if target_format not in ("raw", "qcow2"):  # the only ones it can tell for; the others are as thin as qcow2
            target_format = "qcow2"
        text = self._run(["measure", "--output=json", "-O", target_format] + _opening(path, format), limits=Limits(address_space=GIB))
        try:
            return int(json.loads(text)["required"])
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError("qemu-img measure gave no answer that makes sense for %s" % path) from error

    def _run(self, arguments: t.Sequence[str], *, limits: t.Optional[Limits] = None, timeout: t.Optional[float] = None) -> str:
        try:
            return self._runner.run_ok(["qemu-img"] + list(arguments), limits=limits, timeout=timeout)
        except OSError as error:
            raise BackendError("qemu-img cannot be started (%s); install it: qemu-utils on Debian, qemu-img on Red Hat" % error.strerror) from error
        except BackendError as error:
            words = error.message
            if error.details.get("rc") == 127 or "No such file or directory" in words and "failed to execute" in words:
                raise BackendError("qemu-img is not installed; it is in qemu-utils on Debian, in qemu-img on Red Hat") from error
            if "No space left on device" in words or "Disk quota exceeded" in words:
                raise NoRoom("the file system became full: %s; make room there and run the task again" % words) from error
            raise


def _opening(path: str, format: str) -> t.List[str]:
    """The arguments that open an image for reading.

    A VHD has its size twice, and qemu goes by the cylinders unless it knows the creator: VirtualBox's would lose their end.
    """
    if format == "vhd":
        return ["--image-opts", "driver=vpc,force_size_calc=current_size,file.driver=file,file.filename=%s" % path.replace(",", ",,")]
    return ["-f", _driver(format), path]


def _driver(format: str) -> str:
    try:
        return _DRIVERS[format]
    except KeyError:
        raise InvalidInput("'%s' is not a disk format; one of %s is" % (format, ", ".join(FORMATS))) from None
