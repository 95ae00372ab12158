# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk as an archive of three VHDs, of which none boots alone: chain.py DISK ARCHIVE COLLECTIONS

The oldest has garbage wherever the disk has data in every second stretch of 64 KiB, the boot sector among them; the next one
mends half of that, in single sectors, and the newest the rest.
"""

from __future__ import annotations

import pathlib
import random
import sys

disk, archive = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
sys.path.insert(0, sys.argv[3])

from ansible_collections.bootable.volumes.tests.unit.fakes import vhds  # noqa: E402

STRETCH, SECTOR = 64 * 1024, 512
content = disk.read_bytes()
garbage = random.Random(1)
oldest: dict[int, bytes] = {}
older: dict[int, bytes] = {}
newest: dict[int, bytes] = {}
for offset in range(0, len(content), STRETCH):
    data = content[offset:offset + STRETCH]
    if not data.strip(b"\0"):
        continue
    if offset // STRETCH % 2:
        oldest[offset] = data
        continue
    oldest[offset] = garbage.randbytes(len(data))
    for at in range(0, len(data), SECTOR):
        (older if at // SECTOR % 2 else newest)[offset + at] = data[at:at + SECTOR]
archive.write_bytes(vhds.archive(vhds.chain(len(content), oldest, older, newest), gz=True))
