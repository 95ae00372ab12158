# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oslo.config itself, reading from memory."""

from __future__ import annotations

import io
import typing as t

from oslo_config import cfg, iniparser

Sections = t.Dict[str, t.Dict[str, t.List[str]]]


def read(text: str) -> Sections:
    """{section: {option: values}}, the sections' names as oslo.config looks them up.

    :raises iniparser.ParseError: it cannot be read.
    """
    normalized: Sections = {}
    parser = cfg.ConfigParser("memory", {})
    parser._add_normalized(normalized)
    # Opening a file does the same to line endings.
    iniparser.BaseParser.parse(parser, io.StringIO(text, newline=None).readlines())
    return normalized
