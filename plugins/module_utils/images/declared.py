# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user says of an image that no service describes: its format, its container, its checksum."""

from __future__ import annotations

import abc
import functools
import hashlib
import os
import re
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageDescription, ImageSource

FORMATS = ("raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi")

_BY_ENDING = {
    ".raw": "raw", ".img": "raw",
    ".qcow2": "qcow2",
    ".vhd": "vhd", ".vpc": "vhd",
    ".vhdx": "vhdx",
    ".vmdk": "vmdk",
    ".vdi": "vdi",
}

CONTAINERS = ("bare", "ovf")

# Archives are told from bare images by these; what is in them is then VHDs.
_ARCHIVES = (".tar", ".tar.gz", ".tgz")

# Those that an image may be known by; MD5 and SHA-1 because Glance and many mirrors have nothing better.
ALGORITHMS = ("sha512", "sha384", "sha256", "sha224", "sha1", "md5")


class DeclaredImage(ImageSource):
    """An image of which its user says what it is.

    :param where: A path or an address.
    :param checksum: As the user gave it, or None.
    :param declared_format: Else the ending of the name tells.
    :param declared_container: Else the ending of the name tells.
    """

    def __init__(self, where: str, *, checksum: t.Optional[str] = None, declared_format: t.Optional[str] = None,
                 declared_container: t.Optional[str] = None) -> None:
        self._where = where
        self._checksum = checksum
        self._declared_format = declared_format
        self._declared_container = declared_container

    def describe(self) -> ImageDescription:
        return self._description

    def _declared(self, name: str) -> t.Tuple[str, str]:
        """Format and container; in an archive there are VHDs, unless something else is said.

        :param name: The file's.
        """
        container = container_of(name, self._declared_container)
        return (self._declared_format or "vhd") if container != "bare" else format_of(name, self._declared_format), container

    @functools.cached_property
    def _description(self) -> ImageDescription:
        return self._describe()

    @abc.abstractmethod
    def _describe(self) -> ImageDescription:
        """Find out; called once."""


def format_of(name: str, declared: t.Optional[str], *, option: str = "image_format") -> str:
    """The format that was declared, by the option or by the ending of the name. Content is never asked.

    :param option: The option's name, for the message.
    :raises InvalidInput: neither tells.

    >>> format_of("/images/debian.qcow2", None)
    'qcow2'
    """
    if declared:
        return declared
    ending = os.path.splitext(name)[1].lower()
    if ending not in _BY_ENDING:
        raise InvalidInput(
            "the ending of '%s' does not tell its format, and content is not trusted to; say it with %s: one of %s"
            % (name, option, ", ".join(FORMATS))
        )
    return _BY_ENDING[ending]


def container_of(name: str, declared: t.Optional[str]) -> str:
    """The container that was declared, by the option or by the ending of the name: ``ovf`` is an archive of VHDs, as Glance calls it.

    >>> container_of("/images/debian.tar.gz", None)
    'ovf'
    """
    return declared or ("ovf" if name.lower().endswith(_ARCHIVES) else "bare")


def split_checksum(text: str, *, option: str = "image_checksum") -> t.Tuple[str, str]:
    """``algorithm:rest`` in its two parts; the rest is a digest or an address.

    :raises InvalidInput: there is no such algorithm.
    """
    algorithm, colon, rest = text.strip().partition(":")
    if not colon or algorithm.lower() not in ALGORITHMS or not rest:
        raise InvalidInput("%s: '%s' is not <algorithm>:<digest>, with one of %s" % (option, algorithm, ", ".join(ALGORITHMS)))
    return algorithm.lower(), rest.strip()


def check_digest(algorithm: str, digest: str, *, option: str = "image_checksum") -> str:
    """The digest in lower case.

    :raises InvalidInput: it cannot be one of that algorithm.
    """
    length = hashlib.new(algorithm, usedforsecurity=False).digest_size * 2
    if not re.fullmatch(r"[0-9a-fA-F]{%d}" % length, digest):
        raise InvalidInput("%s: a %s digest has %d hexadecimal digits; '%s' has not" % (option, algorithm, length, digest))
    return digest.lower()
