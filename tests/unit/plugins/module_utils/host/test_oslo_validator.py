# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import time

import pytest
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
from ansible_collections.bootable.volumes.plugins.module_utils.host.oslo_validator import Findings, OsloValidator
from ansible_collections.bootable.volumes.tests.unit.fakes.host import Answers, HostRunner, make_job

DEADLINE = make_job(60).deadline

# What the command of oslo.config 10 writes, warnings of others included.
SAID = """WARNING:stevedore.named:Could not load glance.apii
WARNING:stevedore.named:Could not load oslo.other
WARNING:oslo_config.validator:Deprecated opt DEFAULT/old_name found
ERROR:oslo_config.validator:DEFAULT/debgu is not part of the sample config
ERROR:oslo_config.validator:a/b/c is not part of the sample config
"""


def validator(runner: CommandRunner, **more: object) -> OsloValidator:
    options = {"namespaces": ["glance.api", "glance.apii"], "command": "true", **more}
    return OsloValidator(runner, **options)  # type: ignore[arg-type]


@pytest.fixture
def script(folder: pathlib.Path) -> pathlib.Path:
    return folder / "validator"


def write(path: pathlib.Path, *lines: str) -> str:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return str(path)


def test_what_it_says() -> None:
    assert validator(Answers(1, "", SAID)).check(b"", [], DEADLINE) == Findings(
        unknown=("DEFAULT.debgu", "a/b.c"), deprecated=("DEFAULT.old_name",), missing=("glance.apii",))
    assert validator(Answers(0, "", "INFO:x:all is well\n")).check(b"", [], DEADLINE) == Findings()


def test_what_it_is_asked() -> None:
    runner = Answers()
    validator(runner, exclude_groups=["store_.*", "nfs"]).check(b"", ["DEFAULT", "store_1", "nfs", "nfs2", "a_store_b"], DEADLINE)
    command, = runner.commands
    assert command[:2] == ["env", "PYTHONDONTWRITEBYTECODE=1"] and command[2].endswith("/true")
    assert command[3:-1] == ["--namespace=glance.api", "--namespace=glance.apii", "--exclude-group=store_1", "--exclude-group=nfs"]
    assert command[-1].startswith("--input-file=/dev/fd/")


def test_it_reads_the_content_from_memory(script: pathlib.Path) -> None:
    command = write(script, 'for last; do :; done', 'echo "ERROR:x:$(cat "${last#--input-file=}")/y is not part of the sample config" >&2', 'exit 1')
    data = b"secret".ljust(300_000, b"x")
    assert validator(HostRunner(), command=command).check(data, [], DEADLINE).unknown == (data.decode() + ".y",)
    assert [path.name for path in script.parent.iterdir()] == ["validator"]


def test_it_fails(script: pathlib.Path) -> None:
    command = write(script, 'echo "Traceback" >&2', 'echo "ModuleNotFoundError: No module named googleapiclient" >&2', 'exit 1')
    with pytest.raises(BackendError, match="exit code 1 and said: ModuleNotFoundError: No module named googleapiclient; .* leave out validate_with"):
        validator(HostRunner(), command=command).check(b"", [], DEADLINE)
    with pytest.raises(BackendError, match="said: nothing"):
        validator(HostRunner(), command="false").check(b"", [], DEADLINE)


def test_it_hangs(script: pathlib.Path) -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut, match="stopped after 1 s; nothing was written"):
        validator(HostRunner(), command=write(script, "exec sleep 60")).check(b"", [], Deadline(1))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("command", ["no-such-validator", "/no/such/validator", "/etc/passwd"])
def test_it_is_missing(command: str) -> None:
    with pytest.raises(NotFound, match="has no %s; install .* or leave out validate_with" % command):
        validator(HostRunner(), command=command).check(b"", [], DEADLINE)


def test_a_section_that_is_no_expression() -> None:
    with pytest.raises(InvalidInput, match=r"exclude_groups: 'a\(' is no regular expression"):
        validator(Answers(), exclude_groups=["ok", "a("])
