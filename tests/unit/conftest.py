# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets ``import ansible_collections.bootable.volumes`` find this checkout, wherever it lies.

ansible-test brings its own loader and needs none of this.
"""

from __future__ import annotations

import pathlib
import sys

import hypothesis

ROOT = pathlib.Path(__file__).absolute().parents[2]
COLLECTION = pathlib.PurePath("ansible_collections", "bootable", "volumes")


def link_checkout() -> pathlib.Path:
    """The folder that holds ``ansible_collections``: above the checkout if it lies in one, else made of a link."""
    if ROOT.parts[-3:] == COLLECTION.parts:
        return ROOT.parents[2]
    path = ROOT / ".cache" / "collections"
    link = path / COLLECTION
    link.parent.mkdir(parents=True, exist_ok=True)
    if not (link.is_symlink() and link.resolve() == ROOT.resolve()):
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT, target_is_directory=True)
    return path


# An ``ansible_collections`` with an __init__.py, as the package ``ansible`` has it, hides all others: ours comes first.
if not any(type(finder).__name__ == "_AnsibleCollectionFinder" for finder in sys.meta_path):
    sys.path.insert(0, str(link_checkout()))

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")
