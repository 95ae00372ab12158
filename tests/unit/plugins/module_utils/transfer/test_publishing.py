# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes that become an image. What concerns volumes' bytes is also tested with storage/imaging.py."""

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("glanceclient")
pytest.importorskip("cinderclient")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, IntegrityError
from ansible_collections.bootable.volumes.plugins.module_utils.images.origin import Origin, origin_of
from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.transfer.publishing import announcement, publish
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud

PIECES = (b"one", b"two" * 1000, b"three")
DATA = b"".join(PIECES)


class Once:
    """Bytes that come only once, and of which nobody knows how many they are."""

    size: t.Optional[int] = None
    repeatable = False

    def __init__(self, error: t.Optional[BaseException] = None) -> None:
        self._error = error
        self._passed = False

    def chunks(self) -> t.Iterator[bytes]:
        """The bytes, or the first of them and then an error."""
        assert not self._passed, "asked for twice"
        self._passed = True
        yield PIECES[0]
        if self._error:
            raise self._error
        yield from PIECES[1:]


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


def attributes(**wish: t.Any) -> t.Dict[str, t.Any]:
    """What is announced."""
    return announcement(ImageWish("golden", disk_format="vhd", container_format="ovf", **wish), "xen:m/xvda")


@pytest.mark.parametrize("algorithm", ["sha512", "sha256", None])
def test_bytes_that_come_once_are_compared_by_a_hash_that_glance_has(cloud: FakeCloud, algorithm: t.Optional[str]) -> None:
    cloud.glance.algorithm = algorithm
    image = publish(Once(), attributes(), images=cloud.images, store="rbd", base="b")
    assert cloud.glance.data[image.id] == DATA and (image.size, image.status, image.container_format) == (len(DATA), "active", "ovf")
    headers = cloud.glance.received[-1]
    assert headers["x-image-meta-store"] == "rbd" and headers["x-openstack-base-image-ref"] == "b" and "x-openstack-image-size" not in headers


@pytest.mark.parametrize("algorithm", ["sha512", "sha256", None])
@pytest.mark.parametrize("spoil", [lambda data: b"x" + data[1:], lambda data: data[:-1]])
def test_bytes_that_arrive_otherwise(cloud: FakeCloud, algorithm: t.Optional[str], spoil: t.Callable[[bytes], bytes]) -> None:
    cloud.glance.algorithm, cloud.glance.spoil = algorithm, spoil
    with pytest.raises(IntegrityError, match="Glance has not what was sent"):
        publish(Once(), attributes(), images=cloud.images)
    assert cloud.glance.images == {}


@pytest.mark.parametrize("error", [BackendError("it broke off"), KeyboardInterrupt(), ConnectionResetError("reset")])
def test_bytes_that_break_off_leave_no_image(cloud: FakeCloud, error: BaseException) -> None:
    with pytest.raises(type(error)):
        publish(Once(error), attributes(), images=cloud.images)
    assert cloud.glance.images == {}


def test_it_is_not_whole_until_somebody_says_so() -> None:
    found = attributes(protected=True, visibility="public", tags=("b", "a"))
    assert "protected" not in found and found["visibility"] == "public" and found["tags"] == ["a", "b"]
    assert found["bootable_state"] == "filling" and found["bootable_image"] == found["id"] and found["bootable_volume"] == "xen:m/xvda"
    assert attributes()["visibility"] == "private"


def test_what_it_remembers(cloud: FakeCloud) -> None:
    image = publish(Once(), attributes(), images=cloud.images)
    assert origin_of(image) == Origin("xen:m/xvda", "upload", filling=True)
