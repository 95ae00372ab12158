# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A volume ``golden`` in Cinder, made from an image, and the task that makes the image ``golden-1`` of it."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.images.wanted import ImageWish
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.images import Image
from ansible_collections.bootable.volumes.plugins.module_utils.openstack.volumes import Wish
from ansible_collections.bootable.volumes.plugins.module_utils.operations.image_from_volume import ImageFromVolume
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.driver import CinderDriver
from ansible_collections.bootable.volumes.plugins.module_utils.storage.cinder.view import CinderOptions
from ansible_collections.bootable.volumes.plugins.module_utils.storage.driver import VolumeDriver
from ansible_collections.bootable.volumes.tests.unit.fakes.cloud import FakeCloud
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk

NAME = "golden-1"


class Golden(FakeCloud):
    """A cloud with that volume. Its base image lies in the store ``rbd``; the default store is ``file``.

    :ivar base: The id of that image.
    :ivar id: The volume's.
    """

    def __init__(self, *, clones: bool = False, admin: bool = False, service: bool = False, **base: t.Any) -> None:
        super().__init__()
        self.cinder.image_clones = {"rbd"} if clones else set()
        self.cinder.admin = self.glance.admin = admin
        self.glance.service = service
        self.base = self.glance.add("debian", raw_disk(), **dict({"stores": "rbd"}, **base))
        self.id = self.volumes.create(Wish("golden", 1, image=self.base)).id
        self.pass_by()

    def pass_by(self, seconds: float = 30.0) -> None:
        """Time passes: the services end what they have begun."""
        self.clock.sleep(seconds)
        for dummy in range(2):
            self.cinder.advance()
            self.glance.advance()

    @property
    def golden(self) -> t.Dict[str, t.Any]:
        """The volume."""
        self.cinder.advance()
        return self.cinder.volumes[self.id]

    @property
    def made(self) -> t.List[Image]:
        """All images but the base."""
        return [Image.from_json(image) for image in self.glance.images.values() if image["id"] != self.base]

    @property
    def image(self) -> Image:
        """The one that was made."""
        (image,) = self.made
        return image

    def content(self, image: t.Optional[Image] = None) -> bytes:
        """The bytes of an image."""
        return self.glance.data[(image or self.image).id]


def task(cloud: FakeCloud, *, asked: t.Union[None, str, t.Sequence[str]] = None, on_drift: str = "fail", volume: str = "golden",
         driver: t.Optional[VolumeDriver] = None, warnings: t.Optional[t.List[str]] = None, seconds: float = 600.0, wait: bool = True,
         **wish: t.Any) -> ImageFromVolume:
    """The operation, as the module builds it."""
    return ImageFromVolume(
        driver=driver or CinderDriver(t.cast(t.Any, cloud), CinderOptions(), clock=cloud.clock), volume=volume,
        wish=ImageWish(**dict({"name": NAME}, **wish)), asked=asked, on_drift=on_drift, cloud=t.cast(t.Any, cloud),
        warn=(warnings if warnings is not None else []).append, job=cloud.job(seconds, wait=wait))


def run(cloud: FakeCloud, **how: t.Any) -> t.Dict[str, t.Any]:
    """A run of the task, as the module runs it; its result, with the actions of its plan.

    That plan and preview write nothing is seen each time.
    """
    it = task(cloud, **how)
    before = cloud.writes()
    plan = it.plan()
    preview = it.preview(plan)
    assert cloud.writes() == before, "the plan, or its preview, wrote something"
    with it.exclusive():
        result = it.apply(plan) if plan.changed else preview
    return dict(result, actions=[step.action for step in plan.steps])
