# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints what oslo.config reads in a file, as JSON: {section: {option: values}}, without sections in which nothing is set."""

from __future__ import annotations

import json
import sys

from oslo_config import cfg

sections: dict[str, dict[str, list[str]]] = {}
cfg.ConfigParser(sys.argv[1], sections).parse()
json.dump({name: options for name, options in sections.items() if options}, sys.stdout)
