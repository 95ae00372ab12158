# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images that are files on the host where the module runs."""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.images import headers
from ansible_collections.bootable.volumes.plugins.module_utils.images.declared import check_digest, format_of, split_checksum
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ByteStream, ImageDescription, ImageSource


class LocalImage(ImageSource):
    """An image file.

    :param checksum: ``algorithm:digest`` that it must have. Without it the image is known by its SHA-256, read once.
    :param declared_format: Else the ending of the name tells.
    """

    def __init__(self, path: str, *, checksum: t.Optional[str] = None, declared_format: t.Optional[str] = None) -> None:
        self._path = path
        self._checksum = checksum
        self._declared_format = declared_format

    def describe(self) -> ImageDescription:
        return self._description

    @functools.cached_property
    def _description(self) -> ImageDescription:
        format = format_of(self._path, self._declared_format)
        algorithm, digest = split_checksum(self._checksum) if self._checksum else ("sha256", None)
        with self._open() as file:
            size = os.fstat(file.fileno()).st_size
            promised = check_digest(algorithm, digest) if digest else _sha256(file)
            return ImageDescription(
                name=self._path,
                origin="file",
                format=format,
                size=size,
                virtual_size=_virtual_size(file, format, size),
                checksums={algorithm: promised},
            )

    def open(self, offset: int = 0) -> ByteStream:
        file = self._open()
        file.seek(offset)
        return _FileStream(file)

    def _open(self) -> t.BinaryIO:
        try:
            file = t.cast(t.BinaryIO, open(self._path, "rb", buffering=0))
        except FileNotFoundError:
            raise NotFound("there is no image file %s on the host where the module runs" % self._path) from None
        except OSError as error:
            raise BackendError("the image file %s cannot be read: %s" % (self._path, error.strerror)) from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise InvalidInput("the image file %s is not a regular file" % self._path)
        return file


class _FileStream(ByteStream):
    def __init__(self, file: t.BinaryIO) -> None:
        self._file = file

    def read(self, length: int) -> bytes:
        try:
            return self._file.read(length)
        except OSError as error:
            raise BackendError("reading the image file failed: %s" % error.strerror) from error

    def close(self) -> None:
        self._file.close()


def _sha256(file: t.BinaryIO) -> str:
    digest = hashlib.sha256()
    buffer = bytearray(MIB)
    view = memoryview(buffer)
    while True:
        count = file.readinto(buffer)  # type: ignore[attr-defined]
        if not count:
            return digest.hexdigest()
        digest.update(view[:count])


def _virtual_size(file: t.BinaryIO, format: str, size: int) -> t.Optional[int]:
    """For planning only; content that makes no sense is refused when it is inspected."""
    try:
        return headers.virtual_size(lambda offset, length: os.pread(file.fileno(), length, offset), format, size)
    except (UnsafeImage, OSError, OverflowError):
        return None
