# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that name an image, and the source they stand for."""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.images.glance import GlanceImage
from ansible_collections.bootable.volumes.plugins.module_utils.images.local import LocalImage
from ansible_collections.bootable.volumes.plugins.module_utils.images.source import ImageSource
from ansible_collections.bootable.volumes.plugins.module_utils.images.url import UrlImage

if t.TYPE_CHECKING:
    from ansible_collections.bootable.volumes.plugins.module_utils.openstack.session import Cloud

KINDS = ("image", "image_file", "image_url")


def image_spec() -> t.Dict[str, t.Any]:
    """Argument spec: one of ``KINDS``, and what belongs to the last two."""
    return {
        "image": {"type": "str"},
        "image_file": {"type": "path"},
        "image_url": {"type": "str"},
        "image_checksum": {"type": "str"},
        "image_format": {"type": "str", "choices": ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi"]},
        "image_container": {"type": "str", "choices": ["bare", "ovf"]},
    }


def make_source(params: t.Mapping[str, t.Any], cloud: t.Callable[[], Cloud]) -> ImageSource:
    """The source that the options name. Nothing is read yet.

    :param cloud: Connects to OpenStack; called only for an image in Glance, when it is first read.
    :raises InvalidInput: when they name none, or belong to different kinds.
    """
    given = [kind for kind in KINDS if params.get(kind)]
    if len(given) != 1:
        raise InvalidInput("one of %s is needed, and only one; found: %s" % (", ".join(KINDS), " and ".join(given) or "none"))
    declared = {"checksum": params.get("image_checksum"), "declared_format": params.get("image_format"), "declared_container": params.get("image_container")}
    if given == ["image"]:
        for option in ("image_checksum", "image_format", "image_container"):
            if params.get(option):
                raise InvalidInput("%s does not go with image: Glance says itself what it holds; leave it out" % option)
        return GlanceImage(cloud, params["image"])
    if given == ["image_file"]:
        return LocalImage(params["image_file"], **declared)
    return UrlImage(params["image_url"], **declared)
