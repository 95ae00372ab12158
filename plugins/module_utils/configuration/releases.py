# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each release of Glance and Cinder can do with volumes that are images, as data.

Sources: the release tags of glance, cinder and glance_store, and their release notes.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput

Version = t.Tuple[int, ...]

GLANCE = "glance"
CINDER = "cinder"
LEGACY = "legacy"
NEW = "new"


@dataclass(frozen=True)
class Release:
    """A release of OpenStack.

    :param name: As it is called today; up to Zed that is its code name.
    :param code: Its code name.
    :param glance: The major version of Glance.
    :param cinder: The major version of Cinder.
    """

    name: str
    code: str
    glance: int
    cinder: int


RELEASES = (
    Release("zed", "zed", 25, 21),
    Release("2023.1", "antelope", 26, 22),
    Release("2023.2", "bobcat", 27, 23),
    Release("2024.1", "caracal", 28, 24),
    Release("2024.2", "dalmatian", 29, 25),
    Release("2025.1", "epoxy", 30, 26),
    Release("2025.2", "flamingo", 31, 27),
    Release("2026.1", "gazpacho", 32, 28),
    Release("2026.2", "hibiscus", 33, 29),
)

# Options that nothing reads any more: service, section, option, and the major version that dropped them.
REMOVED: t.Tuple[t.Tuple[str, str, str, int], ...] = (
    (CINDER, "DEFAULT", "glance_api_version", 12),
    (GLANCE, "DEFAULT", "enforce_secure_rbac", 26),
    (GLANCE, "DEFAULT", "allow_additional_image_properties", 29),
    (GLANCE, "DEFAULT", "location_strategy", 29),
    (GLANCE, "store_type_location_strategy", "store_type_preference", 29),
    # The server of its own that Glance once had
    (GLANCE, "DEFAULT", "backlog", 33),
    (GLANCE, "DEFAULT", "bind_host", 33),
    (GLANCE, "DEFAULT", "bind_port", 33),
    (GLANCE, "DEFAULT", "client_socket_timeout", 33),
    (GLANCE, "DEFAULT", "http_keepalive", 33),
    (GLANCE, "DEFAULT", "max_header_line", 33),
    (GLANCE, "DEFAULT", "tcp_keepidle", 33),
    (GLANCE, "DEFAULT", "workers", 33),
)


def may_be(version: Version, bound: Version) -> bool:
    """Whether a version is at least ``bound``, or might be: of (26,) only the major version is known."""
    return version >= bound[:len(version)]


def surely_is(version: Version, bound: Version) -> bool:
    """Whether a version is at least ``bound`` for all that is known of it."""
    return version >= bound


@dataclass(frozen=True)
class Deployment:
    """A release, and what is known of the versions of its two services.

    :param glance: (30, 1, 0) where it was asked for, (30,) where only the release is known.
    :param cinder: Likewise.
    """

    release: Release
    glance: Version
    cinder: Version

    @property
    def location_api(self) -> str:
        """Over which API Cinder tells Glance that a volume is an image.

        The new one (Image API 2.17) came with Glance 29. Cinder 27 uses it both ways; 26.3 adds locations over it, but
        still reads them over the legacy one, for which Glance must show them.
        """
        return NEW if surely_is(self.cinder, (27,)) and surely_is(self.glance, (29,)) else LEGACY

    @property
    def location_as_user(self) -> bool:
        """Whether Cinder adds locations with the user's token, which then needs a service token beside it."""
        return may_be(self.cinder, (26, 3)) and not surely_is(self.cinder, (27,)) and may_be(self.glance, (29,))

    @property
    def glance_section(self) -> bool:
        """Whether Cinder reads the section ``[glance]``: credentials with which it talks to Glance as a service."""
        return surely_is(self.cinder, (27,))

    @property
    def multi_store_cloning(self) -> bool:
        """Whether a clone can be registered reliably where Glance has several stores."""
        glance = surely_is(self.glance, (28, 2))
        return glance and surely_is(self.cinder, (22,))

    @property
    def store_id_stops_cloning(self) -> bool:
        """Whether ``image_service:store_id`` on a volume type makes Glance refuse a clone's location.

        Cinder passes the store's id as validation data, which the new API does not know: 400.
        """
        return may_be(self.cinder, (26, 3)) and may_be(self.glance, (29,))

    def has(self, since: str) -> bool:
        """Whether this release is the named one, or a later one; what has no name was always there."""
        return not since or RELEASES.index(self.release) >= RELEASES.index(named(since))

    def removed(self, service: str) -> t.Dict[str, t.List[str]]:
        """Options that this release of the service does not read any more: section -> names."""
        major = {GLANCE: self.release.glance, CINDER: self.release.cinder}[service]
        found: t.Dict[str, t.List[str]] = {}
        for owner, section, option, since in REMOVED:
            if owner == service and major >= since:
                found.setdefault(section, []).append(option)
        return found


def named(name: str) -> Release:
    """The release of that name or code name.

    :raises InvalidInput: there is none; those known are listed.
    """
    for release in RELEASES:
        if name.lower() in (release.name, release.code):
            return release
    raise InvalidInput("release %s is not known here; known are %s" % (name, _known()))


def deployment(text: str, service: str) -> Deployment:
    """What a name (``zed``, ``2025.1``) or the version of a service's package (``30.1.0``) tells.

    :param service: Whose package: ``glance`` or ``cinder``.
    :raises InvalidInput: neither is known; those known are listed.
    """
    for release in RELEASES:
        if re.match(r"%d(\.|$)" % getattr(release, service), text):
            version = tuple(int(part) for part in re.match(r"\d+(\.\d+)*", text).group().split("."))  # type: ignore[union-attr]
            glance, cinder = (version, (release.cinder,)) if service == GLANCE else ((release.glance,), version)
            return Deployment(release, glance, cinder)
    if re.match(r"\d{1,3}(\.|$)", text):
        raise InvalidInput("%s %s belongs to no release known here; known are %s" % (service, text, _known()))
    release = named(text)
    return Deployment(release, (release.glance,), (release.cinder,))


def _known() -> str:
    return ", ".join("%s (glance %d, cinder %d)" % (release.name, release.glance, release.cinder) for release in RELEASES)
