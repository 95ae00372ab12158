# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The XAPI simulator (tests/lab/xapi) in this process: a pool of two hosts on the loopback interface.

Everything is as in the one that stands alone, except that machines boot at once and without QEMU: a machine is up if
the first disk it tries has the signature of a boot sector, else it ends.
"""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

from lab.xapi.simulator import Simulator

BOOT_SECTOR = bytes(510) + b"\x55\xaa"
"""What makes a disk one that boots here."""


@contextlib.contextmanager
def simulator(folder: pathlib.Path, *, tls: bool = False) -> t.Iterator[Simulator]:
    """A pool for the length of a ``with``, its state in a folder.

    What tests use of it: ``address`` (with the scheme) and ``addresses`` of all hosts, ``user``, ``password``, ``ca_file``;
    ``call(method, *params)`` and ``disk_bytes(vdi_uuid)`` to look, ``write_disk(vdi_uuid, offset, data)`` as a guest would;
    ``guests`` (mute, started); ``pool.faults`` for faults and the log of the calls: ``pool.faults.writes()``.
    """
    with Simulator(folder / "xapi", tls=tls) as found:
        yield found
