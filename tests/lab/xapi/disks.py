"""The bytes of VDIs: sparse files in layers, as an SR of VHD files has them.

A layer holds blocks of 2 MiB; what it does not hold comes from the layer below. Only a layer without children is ever
written to. A guest needs one file with everything: while it runs its layer's file is filled up from those below, and
what it has changed is found afterwards by comparing.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid as uuids
from collections.abc import Callable, Iterator
from pathlib import Path

BLOCK = 2 << 20
"""Bytes that are allocated at once."""

Freeze = Callable[[str], "contextlib.AbstractContextManager[object]"]


class Layer:
    """One file.

    `own` are the blocks this layer holds; `cached` those its file has as well, but which are only copies of the layers
    below. While guests are attached the file is complete.
    """

    def __init__(self, path: Path, size: int, parent: Layer | None = None) -> None:
        self.path = path
        self.size = size
        self.parent = parent
        self.name: str | None = None  # the VDI's uuid; None once it is destroyed
        self.children = 0
        self.own: set[int] = set()
        self.cached: set[int] = set()
        self.attached = 0
        self.file_uuid = uuids.uuid4()  # what the VHD file in the SR calls itself, which is not the VDI's uuid
        self.lock = threading.RLock()
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.ftruncate(self.descriptor, size)
        if parent:
            parent.children += 1

    def line(self) -> Iterator[Layer]:
        """This layer and all below it, the newest first."""
        layer: Layer | None = self
        while layer:
            yield layer
            layer = layer.parent

    def held(self) -> set[int]:
        """Blocks that this layer or any below it holds."""
        return set().union(*(layer.own for layer in self.line()))

    def read(self, offset: int, length: int) -> bytes:
        """As the layers together say; zeroes past the end."""
        parts = []
        while length:
            part = min(length, BLOCK - offset % BLOCK)
            parts.append(self._read(offset, part))
            offset, length = offset + part, length - part
        return b"".join(parts)

    def _read(self, offset: int, length: int) -> bytes:
        """The same within one block."""
        block = offset // BLOCK
        for layer in self.line():
            if layer.attached or block in layer.own or block in layer.cached:
                return os.pread(layer.descriptor, length, offset).ljust(length, b"\0")
        return bytes(length)

    def below(self, block: int) -> bytes | None:
        """A block as the layers below have it; None if none of them holds it."""
        if not self.parent or block not in self.parent.held():
            return None
        return self.parent.read(block * BLOCK, min(BLOCK, self.size - block * BLOCK))

    def fill(self) -> None:
        """Copies into the file what the layers below hold."""
        for block in (self.parent.held() if self.parent else set()) - self.own - self.cached:
            if data := self.below(block):
                os.pwrite(self.descriptor, data, block * BLOCK)
                self.cached.add(block)

    def touched(self) -> set[int]:
        """Blocks of the file in which there is anything."""
        found: set[int] = set()
        offset = 0
        with contextlib.suppress(OSError):  # ENXIO: no data from here on
            while offset < self.size:
                start = os.lseek(self.descriptor, offset, os.SEEK_DATA)
                offset = os.lseek(self.descriptor, start, os.SEEK_HOLE)
                found.update(range(start // BLOCK, (offset - 1) // BLOCK + 1))
        return found

    def settle(self) -> None:
        """Finds what guests have changed: from now on these blocks are this layer's own."""
        for block in (self.touched() | self.cached) - self.own:
            data = os.pread(self.descriptor, BLOCK, block * BLOCK)
            below = self.below(block)
            if below is None or data.ljust(BLOCK, b"\0") != below.ljust(BLOCK, b"\0"):
                self.own.add(block)
                self.cached.discard(block)

    def copy_blocks(self, blocks: set[int], target: Layer) -> None:
        """These blocks, as they read here, become the target's own."""
        for block in sorted(blocks):
            os.pwrite(target.descriptor, self.read(block * BLOCK, min(BLOCK, target.size - block * BLOCK)), block * BLOCK)
        target.own |= blocks


class Disks:
    """All layers, by the uuids of their VDIs; the DiskStore of ports.py, and what HTTP and guests need of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.freeze: Freeze = lambda uuid: contextlib.nullcontext()  # the guest that writes to a disk holds still
        self._layers: dict[str, Layer] = {}
        self._lock = threading.RLock()
        self._made = 0

    def _new(self, size: int, parent: Layer | None = None) -> Layer:
        self._made += 1
        return Layer(self.folder / f"{self._made}.raw", size, parent)

    def _name(self, uuid: str, layer: Layer) -> None:
        self._layers[uuid] = layer
        layer.name = uuid

    def layer_of(self, uuid: str) -> Layer:
        """By the VDI's uuid; a disk that is not there is an OSError, as for a file."""
        with self._lock:
            if uuid not in self._layers:
                raise FileNotFoundError(f"no disk {uuid}")
            return self._layers[uuid]

    # --- what the inside asks ---

    def create(self, uuid: str, size: int) -> None:
        """A new disk of zeroes."""
        with self._lock:
            self._name(uuid, self._new(size))

    def destroy(self, uuid: str) -> None:
        """Gone, if it was there; layers that nothing needs any more go, too."""
        with self._lock:
            layer = self._layers.pop(uuid, None)
            if layer:
                layer.name = None
            while layer and not layer.children and layer.name is None:
                os.close(layer.descriptor)
                layer.path.unlink(missing_ok=True)
                layer = layer.parent
                if layer:
                    layer.children -= 1

    def resize(self, uuid: str, size: int) -> None:
        """Larger, the new part reads as zeroes."""
        layer = self.layer_of(uuid)
        with layer.lock:
            os.ftruncate(layer.descriptor, size)
            layer.size = size

    def layer(self, leaf: str, twin: str | None, base: str) -> None:
        """The leaf's data becomes `base`; the leaf, and `twin`, are empty children of it."""
        with self._lock, self.freeze(leaf):
            old = self.layer_of(leaf)
            with old.lock:
                if old.attached:
                    child = self._below_running(old)
                else:
                    child = self._new(old.size, old)
                    self._name(leaf, child)
            below = child.parent
            assert below
            self._name(base, below)
            if twin:
                self._name(twin, self._new(below.size, below))

    def _below_running(self, leaf: Layer) -> Layer:
        """QEMU keeps its file, which stays complete: a copy of what is new in it goes below."""
        leaf.settle()
        below = self._new(leaf.size)
        leaf.copy_blocks(set(leaf.own), below)
        below.parent, leaf.parent = leaf.parent, below
        below.children = 1
        leaf.cached |= leaf.own
        leaf.own = set()
        return leaf

    def copy(self, source: str, target: str) -> None:
        """`target` is a new disk, in full, with the content of `source`."""
        with self._lock, self.freeze(source):
            old = self.layer_of(source)
            with old.lock:
                if old.attached:
                    old.settle()
                new = self._new(old.size)
                old.copy_blocks(old.held(), new)
            self._name(target, new)

    def allocated(self, uuid: str) -> int:
        """Bytes that this disk itself takes up, without the layers below it."""
        layer = self.layer_of(uuid)
        blocks = layer.own | (layer.touched() - layer.cached) if layer.attached else layer.own
        return len(blocks) * BLOCK

    # --- for transfers ---

    def size(self, uuid: str) -> int:
        """Virtual size in bytes."""
        return self.layer_of(uuid).size

    def read(self, uuid: str, offset: int, length: int) -> bytes:
        """What the disk says."""
        return self.layer_of(uuid).read(offset, length)

    def write(self, uuid: str, offset: int, data: bytes | memoryview, room: Callable[[int], None] = lambda size: None) -> None:
        """Into the disk; past its end is an OSError. `room` is asked before so many bytes more are allocated."""
        layer = self.layer_of(uuid)
        if offset < 0 or offset + len(data) > layer.size:
            raise OSError(f"a write of {len(data)} bytes at {offset} goes past the end of a disk of {layer.size}")
        data = memoryview(data)
        while data:
            block = offset // BLOCK
            part = min(len(data), BLOCK - offset % BLOCK)
            if block not in layer.own:
                room(BLOCK)  # not under the layer's lock: the pool has locks of its own
            with layer.lock:
                self._write(layer, block, offset, data[:part])
            offset, data = offset + part, data[part:]

    def _write(self, layer: Layer, block: int, offset: int, data: memoryview) -> None:
        """Within one block."""
        if layer.children:
            raise OSError("this layer has children and is written to no more")
        if block not in layer.own and block not in layer.cached and len(data) < BLOCK and (below := layer.below(block)):
            os.pwrite(layer.descriptor, below, block * BLOCK)
        os.pwrite(layer.descriptor, data, offset)
        layer.own.add(block)
        layer.cached.discard(block)

    def blocks(self, uuid: str, base: str | None = None) -> list[int]:
        """Blocks that any layer of a disk holds; with a base, of the layers that only one of the two disks has."""
        with self._lock, contextlib.ExitStack() as still:
            lines = []
            for name in (uuid, base):
                if name is None:
                    continue
                layer = self.layer_of(name)
                if layer.attached:
                    still.enter_context(self.freeze(name))
                    layer.settle()
                lines.append(list(layer.line()))
            if base is None:
                return sorted(lines[0][0].held())
            apart = set(lines[0]) ^ set(lines[1])
            return sorted(set().union(*(layer.own for layer in apart)))

    def file_uuid(self, uuid: str) -> uuids.UUID:
        """What the SR's VHD file calls itself."""
        return self.layer_of(uuid).file_uuid

    # --- for guests ---

    def attach(self, uuid: str) -> Path:
        """One raw file with all that the disk holds, which a guest may write to until `detach`."""
        layer = self.layer_of(uuid)
        with layer.lock:
            layer.fill()
            layer.attached += 1
            return layer.path

    def detach(self, uuid: str) -> None:
        """The guest is gone."""
        with contextlib.suppress(FileNotFoundError):
            layer = self.layer_of(uuid)
            with layer.lock:
                layer.settle()
                layer.attached -= 1

    def close(self) -> None:
        """All files are gone."""
        with self._lock:
            for uuid in list(self._layers):
                self.destroy(uuid)
