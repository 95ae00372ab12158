# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks into the collection's archive: everything a user needs, and nothing that only we need.

Usage: check_archive.py ARCHIVE
"""

from __future__ import annotations

import sys
import tarfile

NEEDED = {
    "CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "bindep.txt", "changelogs", "docs",
    "meta", "playbooks", "plugins", "requirements.txt", "roles",
}
JUNK = ("__pycache__", ".pyc", ".orig", ".rej", ".swp", "~", ".log", ".qcow2", ".raw")


def troubles(names: list[str]) -> list[str]:
    """What is wrong with an archive that holds these paths, as sentences."""
    top = {name.split("/")[0] for name in names}
    found = ["%s is missing" % name for name in sorted(NEEDED - top)]
    found += ["%s does not belong into the archive" % name for name in sorted(top - NEEDED)]
    found += ["%s looks like something left behind" % name for name in names if name.endswith(JUNK) or "/." in name]
    return found


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    with tarfile.open(sys.argv[1]) as archive:
        names = [member.name for member in archive.getmembers() if member.name not in ("", ".")]
        size = sum(member.size for member in archive.getmembers())
    found = troubles(names)
    for trouble in found:
        sys.stderr.write("error: %s\n" % trouble)
    sys.stdout.write("%s: %d entries, %d KiB\n" % (sys.argv[1].rsplit("/", 1)[-1], len(names), size // 1024))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
