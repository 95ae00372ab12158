# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import IntegrityError, InvalidInput, UnsafeImage
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.host.raw_file import RawFile
from ansible_collections.bootable.volumes.plugins.module_utils.transfer import pipeline
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.vhd_bodies import VhdBodies
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds
from ansible_collections.bootable.volumes.tests.unit.fakes.host import BytesImage, make_job

SIZE = 6 * MIB + 512
LAYERS = [vhds.scattered(seed, SIZE, 6) for seed in (1, 2, 3)]
DISK = vhds.disk(SIZE, *LAYERS)
CHAIN = vhds.chain(SIZE, *LAYERS)
ORDERS = list(itertools.permutations(range(3)))


def archived(data: bytes, **more: t.Any) -> BytesImage:
    return BytesImage(data, format="vhd", container="ovf", **more)


def imported(bodies: VhdBodies, size: int = SIZE) -> bytes:
    """The disk that comes of VHDs, each written into it as XAPI does."""
    content = bytearray(b"?" * size)
    for layer in bodies.layers():
        body = b"".join(layer.chunks())
        assert len(body) == layer.length
        vhds.imported(content, body)
    for offset, length in bodies.unwritten(size):
        content[offset:offset + length] = bytes(length)
    return bytes(content)


def written(bodies: VhdBodies, size: int = SIZE) -> bytes:
    """The same, of stretches."""
    content = bytearray(b"?" * size)
    for layer in bodies.layers():
        for offset, data in layer.writes():
            content[offset:offset + len(data)] = data
    for offset, length in bodies.unwritten(size):
        content[offset:offset + length] = bytes(length)
    return bytes(content)


@pytest.mark.parametrize("way", [imported, written])
@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_the_newest_sector_wins_whatever_comes_first(order: t.Sequence[int], gz: bool, way: t.Callable[[VhdBodies], bytes]) -> None:
    assert way(VhdBodies(archived(vhds.archive(CHAIN, order=order, gz=gz)), make_job())) == DISK


@pytest.mark.parametrize("way", [imported, written])
@pytest.mark.parametrize("image", [vhds.vhd(SIZE, LAYERS[0]), vhds.fixed(vhds.disk(SIZE, LAYERS[0]))], ids=["dynamic", "fixed"])
def test_a_bare_one(image: bytes, way: t.Callable[[VhdBodies], bytes]) -> None:
    assert way(VhdBodies(BytesImage(image, format="vhd"), make_job())) == vhds.disk(SIZE, LAYERS[0])


def test_a_disk_that_is_larger_ends_with_zeroes() -> None:
    bodies = VhdBodies(BytesImage(CHAIN[-1], format="vhd"), make_job())
    assert imported(bodies, SIZE + MIB) == vhds.disk(SIZE, LAYERS[0]) + bytes(MIB)


def test_what_is_unwritten_is_known_only_in_the_end() -> None:
    bodies = VhdBodies(BytesImage(CHAIN[-1], format="vhd"), make_job())
    with pytest.raises(ValueError):
        bodies.unwritten(SIZE)


@pytest.mark.parametrize("image, kind, words", [
    (archived(vhds.archive(CHAIN), checksums={"sha512": "0" * 128}), IntegrityError, "promised"),
    (archived(vhds.archive(CHAIN) + bytes(1024) + b"x"), UnsafeImage, "the VHD image image is refused: the archive's end"),
    (archived(vhds.archive([CHAIN[0], CHAIN[2]])), UnsafeImage, "layer 0 is not based on its layer 1"),
    (BytesImage(CHAIN[0], format="vhd"), UnsafeImage, "refused: .*differencing"),
    (BytesImage(CHAIN[-1] + b"x" * 512, format="vhd"), UnsafeImage, "refused: .*footer"),
    (BytesImage(vhds.archive(CHAIN), format="vhd"), UnsafeImage, "refused"),
    (archived(CHAIN[-1]), UnsafeImage, "no archive"),
])
def test_what_is_refused(image: BytesImage, kind: t.Type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        imported(VhdBodies(image, make_job()), SIZE)


# --- into a raw disk ---


def test_it_is_unpacked_into_a_file() -> None:
    with RawFile.nameless() as disk:
        assert pipeline.unpack(archived(vhds.archive(CHAIN, order=[1, 2, 0], gz=True)), disk, make_job()) == SIZE
        assert disk.read(0, SIZE + 1) == DISK


class Sink:
    def __init__(self, size: int) -> None:
        self.content = bytearray(b"?" * size)

    def write(self, offset: int, data: bytes) -> None:
        self.content[offset:offset + len(data)] = data

    def zero(self, offset: int, length: int) -> None:
        self.content[offset:offset + length] = bytes(length)


def test_it_is_copied_into_volumes() -> None:
    sinks = [Sink(SIZE), Sink(SIZE + MIB)]
    pipeline.copy_image(archived(vhds.archive(CHAIN)), [("v", len(sink.content), sink) for sink in sinks], make_job(), fresh=False)
    assert [bytes(sink.content) for sink in sinks] == [DISK, DISK + bytes(MIB)]
    with pytest.raises(InvalidInput, match="v has 2 MiB, but the image image needs 6.0 MiB"):
        pipeline.copy_image(archived(vhds.archive(CHAIN)), [("v", 2 * MIB, Sink(2 * MIB))], make_job(), fresh=False)
