# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in processes of their own, all of one task: started, killed, and run to their end."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import typing as t

import ansible_collections

from ansible_collections.bootable.volumes.tests.unit.plugins.faults.run import perform


class Runs:
    """One task.

    :param order: What run.py takes.
    """

    def __init__(self, order: t.Dict[str, t.Any]) -> None:
        self.order = order

    def start(self, kill: t.Optional[t.Sequence[t.Any]] = None) -> subprocess.Popen[str]:
        """A run, which may be killed by itself at a chosen moment."""
        roots = os.pathsep.join(os.path.dirname(path) for path in ansible_collections.__path__)
        script = pathlib.Path(__file__).with_name("run.py")
        return subprocess.Popen([sys.executable, str(script), json.dumps(dict(self.order, kill=kill))], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=os.pathsep.join([roots] + sys.path)))

    def run_and_die(self, kill: t.Sequence[t.Any]) -> None:
        """One run that ends by a signal."""
        process = self.start(kill)
        dummy, err = process.communicate(timeout=600)
        assert process.returncode == -signal.SIGKILL, err or "it lived on"

    def run(self) -> t.Dict[str, str]:
        """One run to its end."""
        return perform(self.order)

    def run_twice_at_once(self) -> t.List[t.Dict[str, str]]:
        """Two runs, each to its end; what each says."""
        both = [self.start(), self.start()]
        results = []
        for process in both:
            out, err = process.communicate(timeout=600)
            assert process.returncode == 0, err
            results.append(json.loads(out))
        return results
