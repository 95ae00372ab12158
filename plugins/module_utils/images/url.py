# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images at http and https addresses."""

from __future__ import annotations

import http.client
import os
import re
import typing as t
import urllib.error
import urllib.parse

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.images.declared import DeclaredImage, check_digest, split_checksum
from ansible_collections.bootable.volumes.plugins.module_utils.images.headers import expected_size
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ByteStream, ImageDescription

# Seconds without a byte after which a connection counts as cut.
SILENCE = 60

# Enough of the beginning to read the virtual size of all formats but VHDX.
_PEEK = 64 * KIB

# sha256sum's and BSD's ways of listing files.
_GNU_LINE = re.compile(r"^(?P<digest>[0-9a-fA-F]{32,128})\s+\*?(?P<name>.+)$")
_BSD_LINE = re.compile(r"^\w+\s?\((?P<name>.+)\)\s?=\s?(?P<digest>[0-9a-fA-F]{32,128})$")


class UrlImage(DeclaredImage):
    """An image at an address, which may carry credentials; they are used and never shown.

    The checksum is ``algorithm:digest`` or ``algorithm:address of a checksum file``, and is mandatory: what a server answers
    is nobody's word.
    """

    def _describe(self) -> ImageDescription:
        name = shown(_checked(self._where, "image_url"))
        file = os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(self._where).path))
        format, container = self._declared(file)
        if not self._checksum:
            raise InvalidInput("image_checksum is needed with image_url: <algorithm>:<digest>, or <algorithm>:<address of a checksum file>")
        algorithm, rest = split_checksum(self._checksum)
        digest = rest if "://" not in rest else self._listed(rest, file)
        head, size = self._peek()
        return ImageDescription(
            name=name,
            origin="url",
            format=format,
            container=container,
            size=size,
            virtual_size=expected_size(lambda offset, length: head[offset:offset + length], format, size or 0) if container == "bare" else None,
            checksums={algorithm: check_digest(algorithm, digest)},
        )

    def open(self, offset: int = 0) -> ByteStream:
        response = _request(self._where, {"Range": "bytes=%d-" % offset} if offset else {})
        if offset and not (response.getheader("Content-Range") or "").startswith("bytes %d-" % offset):
            response.close()
            raise BackendError("%s cannot be read on from byte %d: the server knows no ranges" % (shown(self._where), offset))
        return _HttpStream(response, shown(self._where))

    def _peek(self) -> t.Tuple[bytes, t.Optional[int]]:
        """The first bytes, and the size of the whole."""
        response = _request(self._where, {"Range": "bytes=0-%d" % (_PEEK - 1)})
        with _HttpStream(response, shown(self._where)) as stream:
            whole = response.getheader("Content-Range", "").rpartition("/")[2] if response.status == 206 else response.getheader("Content-Length", "")
            return stream.read(_PEEK), int(whole) if whole.isdigit() else None

    @staticmethod
    def _listed(url: str, file: str) -> str:
        """The digest that a checksum file lists for the image."""
        with _HttpStream(_request(_checked(url, "image_checksum"), {}), shown(url)) as stream:
            lines = stream.read(4 * MIB).decode("utf-8", "replace").split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        if len(lines) == 1 and " " not in lines[0]:
            return lines[0]
        for line in lines:
            match = _GNU_LINE.match(line) or _BSD_LINE.match(line)
            if match and os.path.basename(match.group("name")) == file:
                return match.group("digest")
        raise NotFound("the checksum file %s does not list %s; give its checksum as <algorithm>:<digest>" % (shown(url), file))


class _HttpStream(ByteStream):
    def __init__(self, response: t.Any, name: str) -> None:
        self._response = response
        self._name = name

    def read(self, length: int) -> bytes:
        try:
            return t.cast(bytes, self._response.read(length))
        except (OSError, http.client.HTTPException) as error:
            raise BackendError("%s broke off: %s" % (self._name, error or type(error).__name__)) from error

    def close(self) -> None:
        self._response.close()


def shown(url: str) -> str:
    """A URL without what may be secret in it: user, password, query."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _checked(url: str, option: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        parts = urllib.parse.urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("%s: an http or https address is needed, such as https://images.example.com/debian-13.qcow2" % option)
    return url


def _request(url: str, fields: t.Mapping[str, str]) -> t.Any:
    """An open answer. What urllib says of errors may hold the URL, so only its reasons are told."""
    from ansible.module_utils.urls import open_url  # late: it brings much along, and most images are not at an address

    try:
        return open_url(url, headers=dict(fields), timeout=SILENCE, decompress=False, http_agent="bootable.volumes")
    except urllib.error.HTTPError as error:
        kind = NotFound if error.code in (404, 410) else BackendError
        raise kind("%s answered %d %s" % (shown(url), error.code, error.reason)) from None
    except urllib.error.URLError as error:
        raise BackendError("%s cannot be reached: %s" % (shown(url), getattr(error.reason, "strerror", None) or type(error.reason).__name__)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BackendError("%s cannot be reached: %s" % (shown(url), getattr(error, "strerror", None) or type(error).__name__)) from None
