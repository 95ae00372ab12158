# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images that are files on the host where the module runs."""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.images.declared import DeclaredImage, check_digest, split_checksum
from ansible_collections.bootable.volumes.plugins.module_utils.images.headers import expected_size
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ByteStream, ImageDescription


class LocalImage(DeclaredImage):
    """An image file. Without a given checksum it is known by its SHA-256, for which it is read once."""

    def _describe(self) -> ImageDescription:
        format, container = self._declared(self._where)
        algorithm, digest = split_checksum(self._checksum) if self._checksum else ("sha256", None)
        with self._open() as file:
            size = os.fstat(file.fileno()).st_size
            promised = check_digest(algorithm, digest) if digest else _sha256(file)
            return ImageDescription(
                name=self._where,
                origin="file",
                format=format,
                container=container,
                size=size,
                virtual_size=expected_size(lambda offset, length: _pread(file, offset, length), format, size) if container == "bare" else None,
                checksums={algorithm: promised},
            )

    def open(self, offset: int = 0) -> ByteStream:
        file = self._open()
        file.seek(offset)
        return _FileStream(file)

    def _open(self) -> t.BinaryIO:
        try:
            file = t.cast(t.BinaryIO, open(self._where, "rb", buffering=0))
        except FileNotFoundError:
            raise NotFound("there is no image file %s on the host where the module runs" % self._where) from None
        except OSError as error:
            raise BackendError("the image file %s cannot be read: %s" % (self._where, error.strerror)) from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise InvalidInput("the image file %s is not a regular file" % self._where)
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


def _pread(file: t.BinaryIO, offset: int, length: int) -> bytes:
    try:
        return os.pread(file.fileno(), length, offset)
    except (OSError, OverflowError):
        return b""  # an offset beyond what files can have: nothing is there
