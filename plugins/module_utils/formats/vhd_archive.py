# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives of VHDs as images of XenServer hold them: a tar, compressed or not, of 0.vhd (the newest) to n.vhd (the base).

Whoever uploads an image decides what is in it. So nothing is unpacked by anybody's rules but these: regular files with the expected
names, each once, without a gap. Links, devices, sparse files and whatever else tar can do are refused. All is read forward, one block
of 512 bytes at a time, so that a header can ask for no memory, and never more than the headers have declared.
"""

from __future__ import annotations

import re
import tarfile
import typing as t
import zlib
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import KIB, MIB, human
from ansible_collections.bootable.volumes.plugins.module_utils.formats.forward import Read
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd import LARGEST_DISK
from ansible_collections.bootable.volumes.plugins.module_utils.formats.vhd_layers import MOST_LAYERS

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 256 * KIB

# All members together, unless the caller knows better: a full chain of the largest disks would be no image any more.
MOST_BYTES = 2 * LARGEST_DISK

# What may follow the end: tar fills up to its record, 10 KiB by default.
_PADDING = MIB

# Names that nobody has used since Nova learned to number them: newest to base, each may be missing.
_LEGACY = {"snap.vhd": 0, "image.vhd": 1, "base.vhd": 2}
_NUMBERED = re.compile(r"(0|[1-9][0-9]?)\.vhd")
_LONE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*\.vhd")
_IGNORED = "swap.vhd"

# What an extended header may say. Python's tarfile writes one for each file, for the fraction of a second of its age.
_HARMLESS = {"mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment"}
_EXTENDED_MOST = 4 * KIB
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Member:
    """A VHD in an archive.

    :ivar position: The lowest is the newest; each is based on the next one that there is.
    :ivar size: Bytes of the file.
    :ivar read: Its bytes, as ``forward.Read``; until the next member is asked for.
    """

    position: int
    name: str
    size: int
    read: Read


class Archive:
    """An archive, read forward.

    :param read: Its bytes, compressed or not, as ``forward.Read``.
    :param most: Bytes that all members together may have.
    """

    def __init__(self, read: Read, *, most: int = MOST_BYTES) -> None:
        self._read = _Plain(read)
        self._most = most
        self._seen: t.Set[str] = set()
        self._left = 0
        self._name = ""
        self._kind = ""
        self._positions: t.List[int] = []

    def members(self) -> t.Iterator[Member]:
        """Each VHD as it comes. What the caller does not read is read over. At the end: that nothing is missing, and that nothing follows.

        :raises UnsafeImage: the archive holds anything else, is damaged, or ends too early.
        """
        total = 0
        while True:
            header = self._next()
            if header is None:
                break
            name, size = header
            total += size
            if total > self._most:
                raise UnsafeImage("the files in the archive have %s and more; at most %s are served" % (human(total), human(self._most)))
            self._left = size
            position = self._place(name)
            if position is not None:
                yield Member(position, name, size, self._member)
            while self._left:
                self._member(_PIECE)
            self._read.exactly(-size % _BLOCK)
        self._end()
        if not self._positions:
            raise UnsafeImage("the archive holds no VHD")
        missing = set(range(max(self._positions))) - set(self._positions)
        if missing and self._kind != "legacy":
            raise UnsafeImage("the archive has no %d.vhd: its disks are to be numbered from 0 without a gap" % min(missing))

    def _member(self, length: int) -> bytes:
        data = self._read.some(min(length, self._left, MIB * 4))
        if not data and length and self._left:
            raise UnsafeImage("the archive is truncated: it ends within %s" % (self._name,))
        self._left -= len(data)
        return data

    def _next(self) -> t.Optional[t.Tuple[str, int]]:
        """Name and size of the next file; None at the end."""
        extended: t.Optional[t.Dict[str, str]] = None
        while True:
            block = self._read.exactly(_BLOCK)
            if not any(block):
                if extended is not None:
                    raise UnsafeImage("the archive is damaged: an extended header stands before nothing")
                return None
            info = self._header(block)
            name = info.name[2:] if info.name.startswith("./") else info.name
            if info.type == tarfile.XHDTYPE and extended is None:
                extended = self._extended(info.size)
            elif info.type == tarfile.DIRTYPE and name in ("", ".") and not info.size and extended is None:
                continue  # "tar c ." begins with the folder itself
            elif info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
                size = info.size if extended is None or "size" not in extended else int(extended["size"])
                self._name = name
                return name, size
            else:
                raise UnsafeImage("the archive holds %r, which is no regular file (its type is %r)" % (name, info.type.decode("latin-1")))

    @staticmethod
    def _header(block: bytes) -> tarfile.TarInfo:
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
        except (tarfile.HeaderError, ValueError, OverflowError) as error:
            raise UnsafeImage("it is no archive, or a damaged one: %s" % error) from error
        if info.size < 0:
            raise UnsafeImage("the archive is damaged: it holds a file of less than no bytes")
        return info

    def _extended(self, size: int) -> t.Dict[str, str]:
        """What an extended header says, if that is harmless."""
        if size > _EXTENDED_MOST:
            raise UnsafeImage("the archive has an extended header of %d bytes; at most %d are served" % (size, _EXTENDED_MOST))
        data = self._read.exactly(size)
        self._read.exactly(-size % _BLOCK)
        found: t.Dict[str, str] = {}
        while data:
            digits, space, dummy = data.partition(b" ")
            length = int(digits) if space and len(digits) <= 4 and digits.isdigit() else 0
            record = data[len(digits) + 1:length]
            key, equals, value = record.partition(b"=")
            if not equals or not value.endswith(b"\n") or length > len(data):
                raise UnsafeImage("the archive has a damaged extended header")
            found[key.decode("utf-8", "backslashreplace")] = value[:-1].decode("utf-8", "backslashreplace")
            data = data[length:]
        strange = set(found) - _HARMLESS - {"size"}
        if strange or not _NUMBER.fullmatch(found.get("size", "0")):
            raise UnsafeImage("the archive uses an extended header for %s, which is refused" % ", ".join(sorted(strange or {"size"})))
        return found

    def _place(self, name: str) -> t.Optional[int]:
        """Where a file belongs in the chain; None if it is to be read over."""
        if name in self._seen:
            raise UnsafeImage("the archive holds %s twice" % name)
        self._seen.add(name)
        if len(self._seen) > MOST_LAYERS:
            raise UnsafeImage("the archive holds more than %d files" % MOST_LAYERS)
        if name == _IGNORED:
            return None
        if _NUMBERED.fullmatch(name):
            kind, position = "numbered", int(name[:-4])
        elif name in _LEGACY:
            kind, position = "legacy", _LEGACY[name]
        elif _LONE.fullmatch(name):
            kind, position = "lone", 0
        else:
            raise UnsafeImage("the archive holds %r; only 0.vhd and so on are expected" % name)
        if self._kind and (kind != self._kind or kind == "lone"):
            raise UnsafeImage("the archive holds %s beside other disks: several are to be named 0.vhd and so on" % name)
        if position >= MOST_LAYERS:
            raise UnsafeImage("the archive holds %s; at most %d disks are served" % (name, MOST_LAYERS))
        self._kind = kind
        self._positions.append(position)
        return position

    def _end(self) -> None:
        """A second block of zeroes, and nothing but a few more."""
        seen = 0
        if any(self._read.exactly(_BLOCK)):
            raise UnsafeImage("the archive is damaged: its end is followed by more")
        while True:
            data = self._read.some(_PIECE)
            if not data:
                return
            seen += len(data)
            if any(data) or seen > _PADDING:
                raise UnsafeImage("the archive's end is followed by something else")


class _Plain:
    """An archive's bytes, uncompressed: gzip is known by its first two."""

    def __init__(self, read: Read) -> None:
        self._source = read
        self._left = b""
        self._packed = b""
        self._gzip: t.Optional[t.Any] = None
        self._begun = False

    def exactly(self, length: int) -> bytes:
        """``length`` bytes.

        :raises UnsafeImage: there are fewer.
        """
        data = b""
        while len(data) < length:
            part = self.some(length - len(data))
            if not part:
                raise UnsafeImage("the archive is truncated: it ends too early")
            data += part
        return data

    def some(self, length: int) -> bytes:
        """At most ``length`` bytes, none at the end."""
        if not length:
            return b""
        if not self._begun:
            self._begun = True
            while len(self._left) < 2:
                part = self._source(_PIECE)
                if not part:
                    break
                self._left += part
            if self._left[:2] == b"\x1f\x8b":
                self._gzip, self._packed, self._left = zlib.decompressobj(31), self._left, b""
        if self._left:
            data, self._left = self._left[:length], self._left[length:]
            return data
        return self._source(length) if self._gzip is None else self._unpacked(length)

    def _unpacked(self, length: int) -> bytes:
        gzip: t.Any = self._gzip
        while True:
            if gzip.eof:
                self._packed = self._packed or self._more()
                if not self._packed:
                    return b""
                self._packed = self._packed.lstrip(b"\0")
                if not self._packed:
                    continue
                gzip = self._gzip = zlib.decompressobj(31)  # several files, one behind the other, are one file
            if not self._packed:
                self._packed = self._more()
                if not self._packed:
                    raise UnsafeImage("the archive is truncated: its compressed data ends too early")
            try:
                data: bytes = gzip.decompress(self._packed, length)
            except zlib.error as error:
                raise UnsafeImage("the archive is damaged: %s" % error) from error
            self._packed = gzip.unused_data if gzip.eof else gzip.unconsumed_tail
            if data:
                return data

    def _more(self) -> bytes:
        return self._source(_PIECE)


def archived(members: t.Iterable[t.Tuple[int, t.Iterable[bytes]]]) -> t.Iterator[bytes]:
    """A tar of VHDs, newest first: each as (bytes that it has, its bytes). The next is asked for when the one before is through.

    :raises UnsafeImage: one has more bytes, or fewer, than was said.
    """
    for position, (size, chunks) in enumerate(members):
        name = "%d.vhd" % position
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o644
        yield info.tobuf(tarfile.GNU_FORMAT)
        left = size
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
        if left:
            raise UnsafeImage("%s was to have %d bytes; it has %s" % (name, size, "more" if left < 0 else "only %d" % (size - left)))
        yield bytes(-size % _BLOCK)
    yield bytes(2 * _BLOCK)


def archive_length(sizes: t.Iterable[int]) -> int:
    """Bytes of the tar that ``archived`` makes of files of such sizes."""
    return sum(_BLOCK + size + -size % _BLOCK for size in sizes) + 2 * _BLOCK


def gzipped(chunks: t.Iterable[bytes], level: int = 1) -> t.Iterator[bytes]:
    """Compressed; how long it will be, nobody knows."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    for chunk in chunks:
        packed = packer.compress(chunk)
        if packed:
            yield packed
    yield packer.flush()
