# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Safety: what an image really is, found out before any converter sees it.

An image is a stranger's file. Formats refer to other files (CVE-2015-1850, CVE-2022-47951, CVE-2024-32498), and content can
be made to look like several formats at once. So the content must be of exactly the format that was declared, and of
none that reaches beyond itself. Three looks, each alone enough to refuse: oslo.utils' format inspector while the bytes
arrive, ``images.headers`` on the file, and ``qemu-img info`` under limits with the format named.
"""

from __future__ import annotations

import os
import traceback
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, MissingPackage, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB, human
from ansible_collections.bootable.volumes.plugins.module_utils.host.qemu_img import QemuImg
from ansible_collections.bootable.volumes.plugins.module_utils.images import headers

# What tells the formats apart lies in here: the farthest are VHDX' region table at 192 KiB and VMDK's descriptor.
HEAD = MIB

# What a disk that is no more than a disk may look like: partitioned, or an installation medium.
_PLAIN = {"gpt", "iso"}


def format_inspector() -> t.Any:
    """The library that knows the formats. It takes a tenth of a second to import, which tasks that move no bytes need not wait for.

    :raises MissingPackage: it is not there.
    """
    try:
        from oslo_utils.imageutils import format_inspector as library
    except ImportError as error:
        raise MissingPackage("oslo.utils", traceback.format_exc()) from error
    return library


class Inspection:
    """Looks at an image's bytes as they arrive. Fed everything in order; costs next to nothing after the head.

    :param declared: The format that the content must have.
    :param name: The image's, for messages.
    """

    def __init__(self, declared: str, name: str) -> None:
        self._formats = format_inspector()
        self._declared = declared
        self._name = name
        self._head: t.Optional[bytearray] = bytearray()
        self._inspector: t.Any = None
        self._tail = b""
        self._total = 0

    @property
    def satisfied(self) -> bool:
        """Whether more bytes would change nothing; the end of a file is still to be looked at by ``check_file``."""
        return self._head is None and self._inspector is None

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes.

        :raises UnsafeImage: as soon as it is known; at the latest when ``HEAD`` bytes have come, before they need be written anywhere.
        """
        self._total += len(chunk)
        self._tail = chunk[-512:] if len(chunk) >= 512 else (self._tail + chunk)[-512:]
        if self._head is not None:
            self._head += chunk
            if len(self._head) >= HEAD:
                self._decide()
        elif self._inspector is not None:
            self._eat(chunk)

    def finish(self) -> None:
        """There are no more bytes.

        :raises UnsafeImage: when the image is refused after all.
        """
        if not self._total:
            raise self._refusal("it is empty")
        if self._head is not None:
            self._decide(at_end=True)
        if self._inspector is not None:
            self._inspector.finish()
            self._check_safety()
        if self._declared == "raw" and headers.is_fixed_vhd(self._tail):
            raise self._mismatch("a fixed VHD")

    def _decide(self, *, at_end: bool = False) -> None:
        head, self._head = bytes(self._head or b""), None
        matching, errors = {}, {}
        for name, make in self._formats.ALL_FORMATS.items():
            inspector = make()
            errors[name] = _eaten(inspector, head)
            if name != "raw" and _matches(inspector):
                matching[name] = inspector
        if self._declared == "raw" or self._declared == "vhd" and not matching.keys() - _PLAIN:
            # A fixed VHD is a raw disk with a footer; check_file looks for that.
            if matching.keys() - _PLAIN:
                raise self._mismatch(" and ".join(sorted(matching.keys() - _PLAIN)))
            return
        if self._declared not in matching:
            raise self._mismatch(" and ".join(sorted(matching)) or "no disk image of a known format")
        if len(matching) > 1:
            raise self._refusal("its content is several formats at once: %s" % ", ".join(sorted(matching)))
        if errors[self._declared]:
            raise self._refusal("its structure makes no sense: %s" % errors[self._declared])
        self._inspector = matching[self._declared]
        if not at_end:
            self._check_if_complete()

    def _eat(self, chunk: bytes) -> None:
        error = _eaten(self._inspector, chunk)
        if error:
            raise self._refusal("its structure makes no sense: %s" % error)
        self._check_if_complete()

    def _check_if_complete(self) -> None:
        """Refuse early what can be seen early. What has its end to be looked at is never complete before."""
        if self._inspector.complete:
            self._check_safety()
            self._inspector = None

    def _check_safety(self) -> None:
        try:
            self._inspector.safety_check()
        except self._formats.SafetyCheckFailed as error:
            reasons = ["%s (%s)" % (failure, name) for name, failure in sorted(error.failures.items())]
            raise self._refusal("; ".join(reasons)) from error
        except Exception as error:  # as in _eaten
            raise self._refusal("it is truncated or damaged: %s" % error) from error

    def _mismatch(self, found: str) -> UnsafeImage:
        return UnsafeImage(
            "the image %s is declared as %s, but its content is %s; declare what it is, or get an image that is what it says"
            % (self._name, self._declared, found)
        )

    def _refusal(self, reason: str) -> UnsafeImage:
        return _refusal(self._name, self._declared, reason)


def check_file(path: str, declared: str, name: str, qemu: QemuImg) -> int:
    """The looks that need the whole file: the header's own words, then qemu's. To be called after ``Inspection`` let it pass.

    :param path: Absolute, and not changed by anybody else.
    :returns: Bytes of the disk that the image holds.
    :raises UnsafeImage: with the reason.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        stored = os.fstat(fd).st_size
        size = headers.check(lambda offset, length: _pread(fd, length, offset), declared, stored)
    except UnsafeImage as error:
        raise _refusal(name, declared, error.message) from error
    finally:
        os.close(fd)
    return size if declared == "raw" else _ask_qemu(path, declared, name, size, qemu)


def inspect_file(path: str, declared: str, name: str, qemu: QemuImg) -> int:
    """Everything, on a file that is there already; reads no more of it than needed.

    :returns: Bytes of the disk that the image holds.
    :raises UnsafeImage: with the reason.
    """
    inspection = Inspection(declared, name)
    with open(path, "rb") as file:
        while not inspection.satisfied:
            chunk = file.read(MIB)
            if not chunk:
                break
            inspection.feed(chunk)
        file.seek(max(0, os.fstat(file.fileno()).st_size - 512))
        inspection.feed(file.read(512)) if inspection.satisfied else None
    inspection.finish()
    return check_file(path, declared, name, qemu)


def _ask_qemu(path: str, declared: str, name: str, size: int, qemu: QemuImg) -> int:
    try:
        info = qemu.info(path, declared)
    except BackendError as error:
        raise _refusal(name, declared, "qemu-img cannot read it: %s" % error.message) from error
    if info.refers_to:
        raise _refusal(name, declared, "it refers to other files: %s" % ", ".join(info.refers_to))
    if info.encrypted:
        raise _refusal(name, declared, "it is encrypted")
    if info.virtual_size != size:
        raise _refusal(name, declared, "it says it holds %s, but qemu-img reads %s" % (human(size), human(info.virtual_size)))
    return size


def _eaten(inspector: t.Any, chunk: bytes) -> t.Optional[Exception]:
    """Feed an inspector. It is a parser over a stranger's bytes: whatever it stumbles over is a reason to refuse, not a bug."""
    try:
        inspector.eat_chunk(chunk)
    except Exception as error:
        return error
    return None


def _matches(inspector: t.Any) -> bool:
    """Whether the content bears the signs of a format, even if the rest of it makes no sense."""
    try:
        return bool(inspector.format_match)
    except Exception:  # as in _eaten: too little came to know
        return False


def _pread(fd: int, length: int, offset: int) -> bytes:
    try:
        return os.pread(fd, length, offset)
    except (OSError, OverflowError):
        return b""  # an offset beyond what files can have: nothing is there


def _refusal(name: str, declared: str, reason: str) -> UnsafeImage:
    return UnsafeImage("the %s image %s is refused: %s" % (declared, name, reason))
