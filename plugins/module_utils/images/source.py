# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contract: where bytes come from. An extension point; docs/extending.md shows how to add one."""

from __future__ import annotations

import abc
import typing as t
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImageDescription:
    """What is known of an image before a byte of it is read.

    :param name: For people: Glance's name, a file's path, a URL without its credentials.
    :param origin: The kind of source: ``glance``, ``file``, ``url``.
    :param format: The *declared* disk format in Glance's words: ``raw``, ``qcow2``, ``vhd``, ``vhdx``, ``vmdk``, ``vdi``.
        What the bytes really are is found out by ``images.inspection`` and must agree.
    :param container: ``bare`` unless the source says otherwise.
    :param size: Bytes of the image as it is stored; None if unknown.
    :param virtual_size: Bytes of the disk it holds; None if unknown.
    :param min_disk: GiB that the image asks for; 0 for none.
    :param checksums: Algorithm to hex digest, for what the source promises: ``{"sha512": "…"}``; hashlib's names.
    :param id: Glance's id; None elsewhere.
    :param properties: What else the source says (Glance: the image's properties, all strings).
    """

    name: str
    origin: str
    format: str
    container: str = "bare"
    size: t.Optional[int] = None
    virtual_size: t.Optional[int] = None
    min_disk: int = 0
    checksums: t.Mapping[str, str] = field(default_factory=dict)
    id: t.Optional[str] = None
    properties: t.Mapping[str, t.Any] = field(default_factory=dict)


class ByteStream(abc.ABC):
    """Bytes in one forward pass. A context manager that closes itself."""

    @abc.abstractmethod
    def read(self, length: int) -> bytes:
        """The next bytes: at most ``length``, fewer only when fewer are at hand, ``b""`` at the end.

        :raises BackendError: when the source breaks off.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of the connection or file. May be called twice."""

    def __enter__(self) -> ByteStream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class ImageSource(abc.ABC):
    """An image somewhere. Making one reads nothing; errors come from its methods."""

    @abc.abstractmethod
    def describe(self) -> ImageDescription:
        """What is known of the image; asked once and remembered.

        :raises NotFound: no such image.
        :raises Ambiguous: several images have that name.
        :raises InvalidInput: the image cannot be read yet, or its description makes no sense.
        """

    @abc.abstractmethod
    def open(self, offset: int = 0) -> ByteStream:
        """The image's bytes as they are stored, from ``offset`` on.

        :raises BackendError: the source does not answer, or cannot start at ``offset``.
        """
