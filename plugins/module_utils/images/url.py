# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images at http and https addresses."""

from __future__ import annotations

import functools
import http.client
import os
import re
import typing as t
import urllib.error
import urllib.parse

from ansible.module_utils.urls import open_url

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB
from ansible_collections.bootable.volumes.plugins.module_utils.images import headers
from ansible_collections.bootable.volumes.plugins.module_utils.images.declared import check_digest, format_of, split_checksum
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ByteStream, ImageDescription, ImageSource

# Seconds without a byte after which a connection counts as cut.
SILENCE = 60

# Enough of the beginning to read the virtual size of all formats but VHDX.
_PEEK = 64 * KIB

# sha256sum's and BSD's ways of listing files.
_GNU_LINE = re.compile(r"^(?P<digest>[0-9a-fA-F]{32,128})\s+\*?(?P<name>.+)$")
_BSD_LINE = re.compile(r"^\w+\s?\((?P<name>.+)\)\s?=\s?(?P<digest>[0-9a-fA-F]{32,128})$")


class UrlImage(ImageSource):
    """An image at an address.

    :param url: May carry credentials; they are used and never shown.
    :param checksum: ``algorithm:digest`` or ``algorithm:address of a checksum file``. Mandatory: what a server answers is nobody's word.
    :param declared_format: Else the ending of the address' path tells.
    """

    def __init__(self, url: str, *, checksum: t.Optional[str], declared_format: t.Optional[str] = None) -> None:
        self._url = url
        self._checksum = checksum
        self._declared_format = declared_format

    def describe(self) -> ImageDescription:
        return self._description

    @functools.cached_property
    def _description(self) -> ImageDescription:
        name = shown(_checked(self._url, "image_url"))
        file = os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(self._url).path))
        format = format_of(file, self._declared_format)
        if not self._checksum:
            raise InvalidInput("image_checksum is needed with image_url: <algorithm>:<digest>, or <algorithm>:<address of a checksum file>")
        algorithm, rest = split_checksum(self._checksum)
        digest = rest if "://" not in rest else self._listed(rest, file)
        head, size = self._peek()
        return ImageDescription(
            name=name,
            origin="url",
            format=format,
            size=size,
            virtual_size=_virtual_size(head, format, size),
            checksums={algorithm: check_digest(algorithm, digest)},
        )

    def open(self, offset: int = 0) -> ByteStream:
        response = _request(self._url, {"Range": "bytes=%d-" % offset} if offset else {})
        if offset and not (response.getheader("Content-Range") or "").startswith("bytes %d-" % offset):
            response.close()
            raise BackendError("%s cannot be read on from byte %d: the server knows no ranges" % (shown(self._url), offset))
        return _HttpStream(response, shown(self._url))

    def _peek(self) -> t.Tuple[bytes, t.Optional[int]]:
        """The first bytes, and the size of the whole."""
        response = _request(self._url, {"Range": "bytes=0-%d" % (_PEEK - 1)})
        with _HttpStream(response, shown(self._url)) as stream:
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
    try:
        return open_url(url, headers=dict(fields), timeout=SILENCE, decompress=False, http_agent="bootable.volumes")
    except urllib.error.HTTPError as error:
        kind = NotFound if error.code in (404, 410) else BackendError
        raise kind("%s answered %d %s" % (shown(url), error.code, error.reason)) from None
    except urllib.error.URLError as error:
        raise BackendError("%s cannot be reached: %s" % (shown(url), getattr(error.reason, "strerror", None) or type(error.reason).__name__)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BackendError("%s cannot be reached: %s" % (shown(url), getattr(error, "strerror", None) or type(error).__name__)) from None


def _virtual_size(head: bytes, format: str, size: t.Optional[int]) -> t.Optional[int]:
    """For planning only; content that makes no sense is refused when it is inspected."""
    try:
        return headers.virtual_size(lambda offset, length: head[offset:offset + length], format, size or 0)
    except UnsafeImage:
        return None
