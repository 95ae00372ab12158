# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import tempfile

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import Limits, ModuleRunner, redirected


class Module:
    """As much of an AnsibleModule as a runner uses."""

    def __init__(self, answer=(0, "out", "")):
        self.answer = answer
        self.commands = []

    def run_command(self, args, pass_fds=None, handle_exceptions=True):
        self.files = pass_fds
        assert all(isinstance(each, str) for each in args) and not handle_exceptions
        self.commands.append(args)
        return self.answer


def test_a_command_dies_with_the_module_and_keeps_to_its_limits():
    module = Module()
    ModuleRunner(module).run(["qemu-img", "info", "/x"], limits=Limits(cpu_seconds=60, address_space=1024), timeout=2)
    assert module.commands == [[
        "setpriv", "--pdeathsig", "KILL", "prlimit", "--cpu=60", "--as=1024", "timeout", "--signal=KILL", "2.0",
        "setpriv", "--pdeathsig", "KILL", "qemu-img", "info", "/x"]]


def test_no_limits_no_wrappers_beyond_the_one():
    module = Module()
    assert ModuleRunner(module).run(["true"]).rc == 0
    assert module.commands == [["setpriv", "--pdeathsig", "KILL", "true"]]


def test_a_command_that_was_killed():
    assert ModuleRunner(Module((-9, "", ""))).run(["sleep", "60"], timeout=1).rc == 137


def test_a_command_gets_open_files():
    module = Module()
    ModuleRunner(module).run(["cat", "/dev/fd/7"], files=[7])
    assert module.files == [7]


def test_run_ok_raises_with_the_commands_own_words():
    runner = ModuleRunner(Module((1, "", "qemu-img: no such file\n")))
    with pytest.raises(BackendError) as refused:
        runner.run_ok(["qemu-img", "info", "/x"])
    assert str(refused.value) == "qemu-img info failed with exit code 1: qemu-img: no such file"
    assert refused.value.details == {"command": ["qemu-img", "info", "/x"], "rc": 1}
    assert ModuleRunner(Module()).run_ok(["true"]) == "out"


def test_a_command_reads_from_one_open_file_and_writes_to_another():
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(b"\xff\0bytes")
        source.seek(0)
        files = (source.fileno(), target.fileno())
        done = subprocess.run(redirected(["cat"], stdin=files[0], stdout=files[1]), pass_fds=files, check=True, stdout=subprocess.PIPE)
        target.seek(0)
        assert (target.read(), done.stdout) == (b"\xff\0bytes", b"")
        source.seek(0)
        done = subprocess.run(redirected(["cat"], stdin=files[0]), pass_fds=files, check=True, stdout=subprocess.PIPE)
        assert done.stdout == b"\xff\0bytes"
