# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options that name what a task makes, one or many: operations/naming.py."""

from __future__ import annotations

_TEMPLATE = r"""
options:
  name:
    description:
      - The name of the %(thing)s, or with O(count) a pattern in which V({index}) counts from 1.
      - The index takes Python's number formats, as in V(web-{index:02d}).
%(more)s      - Mutually exclusive with O(names).
    type: str
  names:
    description:
      - The names of several %(thing)ss.
      - Mutually exclusive with O(name).
    type: list
    elements: str
  count:
    description:
      - How many %(thing)ss O(name) stands for. Lowering it removes none.
    type: int
"""


def _named(thing: str, *more: str) -> str:
    """The options for one kind of thing.

    :param more: Sentences about its names.
    """
    return _TEMPLATE % {"thing": thing, "more": "".join("      - %s\n" % sentence for sentence in more)}


class ModuleDocFragment:
    """The names of volumes, and of what boots from them."""

    DOCUMENTATION: str = _named("volume")
    MACHINES: str = _named("machine", "The disk that is made for a machine to boot from has its name with C(-root) after it.")
    SERVERS: str = _named(
        "server", "The volume that is made for a server to boot from has its name with C(-root) after it, and further ones C(-data-1) and so on.")
