# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong, in the words of the person who reads the task's output.

Everything below the modules raises these; ``module.run`` alone turns them into ``fail_json``.
A message says what was asked, what was found, and what to do. Secrets never enter one.
"""

from __future__ import annotations

import typing as t


class VolumesError(Exception):
    """Base of all errors of this collection.

    :param message: One or two sentences: asked, found, what to do.
    :param details: Facts for the task's result beside ``msg``: ids, states, sizes in bytes.
    """

    def __init__(self, message: str, **details: t.Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidInput(VolumesError):
    """An option, or a combination of options, cannot be served."""


class NotFound(VolumesError):
    """Something named by an option does not exist."""


class Ambiguous(VolumesError):
    """A name stands for more than one thing."""


class Drift(VolumesError):
    """What exists is not what was asked for, and nobody allowed changing it."""


class Foreign(VolumesError):
    """What exists was not made by this collection; it is never touched."""


class InUse(VolumesError):
    """Something holds the volume: an attachment, a snapshot, a lock, an open file."""


class NoRoom(VolumesError):
    """Quota or free space does not suffice; found out before the first write."""


class UnsafeImage(VolumesError):
    """The image's content must not be handed to a converter."""


class IntegrityError(VolumesError):
    """The bytes that arrived are not the bytes that were promised."""


class TimedOut(VolumesError):
    """The task's deadline has passed. Nothing was destroyed; the next run adopts the work."""


class BackendError(VolumesError):
    """A service, a command or the operating system refused; the message carries its own words."""


class MissingPackage(VolumesError):
    """A Python library is not installed on the host where the module runs.

    :param library: The name to install.
    :param traceback: Of the failed import, for ``fail_json(exception=...)``.
    """

    def __init__(self, library: str, traceback: t.Optional[str] = None) -> None:
        super().__init__("the Python library %s is missing" % library)
        self.library = library
        self.traceback = traceback
