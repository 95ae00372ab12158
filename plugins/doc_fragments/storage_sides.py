# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options ``source`` and ``destination``: each is what ``storage`` is elsewhere."""

from __future__ import annotations

from ansible_collections.bootable.volumes.plugins.doc_fragments import storage


# The option with its suboptions, and what stands behind it
_OPTION, _MARK, _REQUIREMENTS = storage.ModuleDocFragment.DOCUMENTATION.partition("requirements:\n")


def _side(name: str, description: str) -> str:
    """The option ``storage`` with all its suboptions, under another name; it is required and has no default."""
    suboptions = _OPTION.partition("    suboptions:\n")[2].rstrip("\n")
    return "  %s:\n    description:\n      - %s\n    type: dict\n    required: true\n    suboptions:\n%s" % (
        name, description, suboptions.replace("O(storage.", "O(%s." % name))


class ModuleDocFragment:
    """Where a volume is, and where it shall be."""

    DOCUMENTATION: str = "options:\n%s\n%s\n%s%s" % (
        _side("source", "The storage where the volume is."), _side("destination", "The storage where it shall be."), _MARK, _REQUIREMENTS)
