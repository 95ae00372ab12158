# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.bootable.volumes.plugins.module_utils.configuration.problems import ERROR, WARNING, Problem, messages


def test_problems_of_one_severity_each_once():
    found = [Problem("a", "is wrong"), Problem("b", "is odd", WARNING), Problem("a", "is wrong"), Problem("c", "is missing")]
    assert messages(found, ERROR) == ["a: is wrong", "c: is missing"]
    assert messages(found, WARNING) == ["b: is odd"]
