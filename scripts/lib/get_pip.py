# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does for ansible-test what get-pip.py does: gives an empty virtual environment the pip that ansible-test asks for.

Its arguments are get-pip's: options of pip, and requirements (pip==24.2, perhaps setuptools and wheel).
"""

from __future__ import annotations

import subprocess
import sys

WISHES = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]

# In a process of its own: ensurepip switches off pip's configuration, and with it the package index that is set up here.
subprocess.check_call([sys.executable, "-m", "ensurepip", "--upgrade"])
subprocess.check_call([sys.executable, "-m", "pip", "install", "--upgrade", *WISHES])
