# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import CommandRunner
from ansible_collections.bootable.volumes.plugins.module_utils.host.oslo_validator import OsloValidator
from ansible_collections.bootable.volumes.plugins.module_utils.host.ownership import Asked
from ansible_collections.bootable.volumes.plugins.module_utils.host.replacement import ReplaceableFile
from ansible_collections.bootable.volumes.plugins.module_utils.operations.oslo_config import OsloConfig, Wish
from ansible_collections.bootable.volumes.plugins.modules import oslo_config
from ansible_collections.bootable.volumes.tests.unit.fakes.host import Completed, NoCommands, make_job

BEFORE = """\
# A service
[DEFAULT]
debug = false
#verbose = false
password = hunter1

[old]
x = 1
transport_url = rabbit://me:hunter2@mq/
"""
NEW = {"debug": True, "verbose": "x", "password": "hunter3"}
AFTER = """\
# A service
[DEFAULT]
debug = true
#verbose = false
verbose = x
password = hunter3

"""


@pytest.fixture
def path(folder: pathlib.Path) -> pathlib.Path:
    path = folder / "x.conf"
    path.write_text(BEFORE)
    path.chmod(0o604)
    return path


class Validator(CommandRunner):
    """Knows some options, and reads the file that it gets."""

    def __init__(self, *known: str) -> None:
        self.known = known
        self.runs = 0

    def run(self, args: t.Sequence[str], *, files: t.Sequence[int] = (), **how: t.Any) -> Completed:
        self.runs += 1
        with open("/dev/fd/%d" % files[0]) as file:
            names = [line.split()[0] for line in file if " = " in line and line[0] != "#"]
        said = ["ERROR:oslo_config.validator:DEFAULT/%s is not part of the sample config" % name for name in names if name not in self.known]
        said += ["WARNING:oslo_config.validator:Deprecated opt DEFAULT/x found"] if "x" in names else []
        return Completed(1 if said and said[0].startswith("ERROR") else 0, "", "\n".join(said))


class Run:
    """A task."""

    def __init__(self, path: pathlib.Path, options: t.Any = None, absent: t.Any = None, *, owner: Asked = Asked(), create: bool = True,
                 backup: bool = False, runner: t.Optional[CommandRunner] = None) -> None:
        self.warnings: t.List[str] = []
        self.operation = OsloConfig(
            file=ReplaceableFile(str(path)), wish=Wish.from_params(options, absent), ownership=owner, create=create, backup=backup,
            validator=OsloValidator(runner, namespaces=["x"], command="true") if runner else None, warn=self.warnings.append, job=make_job())
        with self.operation.exclusive():
            self.plan = self.operation.plan()
            self.result = self.operation.apply(self.plan) if self.plan.changed else self.operation.preview(self.plan)


def state_of(path: pathlib.Path) -> t.Tuple[t.Any, ...]:
    """Whatever a write would change."""
    status = path.stat()
    return path.read_bytes(), status.st_ino, status.st_mtime_ns, status.st_ctime_ns, sorted(os.listdir(path.parent)), path.parent.stat().st_mtime_ns


# --- what becomes of a file ---


def test_many_options_at_once(path: pathlib.Path) -> None:
    run = Run(path, {"DEFAULT": NEW}, {"old": []})
    assert path.read_text() == AFTER and path.stat().st_mode & 0o7777 == 0o604
    assert run.result == {
        "path": str(path), "options_changed": ["old.x", "old.transport_url", "DEFAULT.debug", "DEFAULT.verbose", "DEFAULT.password"]}
    assert run.plan.summary() == [
        {"action": "remove", "name": "old", "reason": "the section is there"},
        {"action": "set", "name": "DEFAULT.debug", "reason": "it is false"},
        {"action": "set", "name": "DEFAULT.verbose", "reason": "it is not set"},
        {"action": "set", "name": "DEFAULT.password", "reason": "it is ********"},
    ]
    assert run.plan.diff() == {
        "before_header": str(path), "before": "[old]\nx = 1\ntransport_url = rabbit://me:********@mq/\n[DEFAULT]\ndebug = false\npassword = ********\n",
        "after_header": str(path), "after": "[DEFAULT]\ndebug = true\nverbose = x\npassword = ******** (another)\n",
    }


def test_a_second_run_touches_nothing(path: pathlib.Path) -> None:
    Run(path, {"DEFAULT": NEW}, {"old": []})
    before = state_of(path)
    run = Run(path, {"DEFAULT": NEW}, {"old": [], "DEFAULT": ["gone"], "none": ["x"]}, backup=True, owner=Asked(mode="0604"), runner=NoCommands())
    assert not run.plan.changed and run.result == {"path": str(path), "options_changed": []}
    assert run.plan.summary() == [{"action": "keep", "name": str(path), "reason": "it is as asked for"}]
    assert state_of(path) == before


def test_planning_writes_nothing(path: pathlib.Path) -> None:
    before = state_of(path)
    operation = OsloConfig(file=ReplaceableFile(str(path)), wish=Wish.from_params({"DEFAULT": NEW}, {}), ownership=Asked(mode="0600"), create=True,
                           backup=True, validator=OsloValidator(Validator(*NEW, "x", "transport_url"), namespaces=["x"], command="true"),
                           warn=print, job=make_job(check=True))
    assert operation.preview(operation.plan()) == {"path": str(path), "options_changed": ["DEFAULT.debug", "DEFAULT.verbose", "DEFAULT.password"],
                                                   "unknown_options": [], "deprecated_options": ["DEFAULT.x"]}
    assert state_of(path) == before


def test_some_options_go(path: pathlib.Path) -> None:
    run = Run(path, {}, {"DEFAULT": ["debug", "none"], "old": ["x"]})
    assert path.read_text() == BEFORE.replace("debug = false\n", "").replace("x = 1\n", "")
    assert run.result["options_changed"] == ["DEFAULT.debug", "old.x"]
    assert run.plan.diff()["after"] == "[DEFAULT]\n[old]\n"


def test_values_of_every_kind(path: pathlib.Path) -> None:
    Run(path, {"a": {"bool": False, "int": 5, "float": 0.5, "text": "a, b", "space": " x", "empty": "", "many": ["a:1", 2, True]}})
    assert path.read_text() == BEFORE + (
        '\n[a]\nbool = false\nint = 5\nfloat = 0.5\ntext = a, b\nspace = " x"\nempty =\nmany = a:1\nmany = 2\nmany = true\n')


def test_a_new_file(folder: pathlib.Path) -> None:
    path = folder / "new.conf"
    run = Run(path, {"a": {"x": 1}})
    assert path.read_text() == "[a]\nx = 1\n" and path.stat().st_mode & 0o7777 == 0o640
    assert run.plan.summary()[0] == {"action": "create", "name": str(path), "reason": "it does not exist"}
    assert run.plan.diff()["after"] == "# mode: 0640\n[a]\nx = 1\n" and run.plan.diff()["before"] == ""
    with pytest.raises(NotFound, match="create: false"):
        Run(folder / "newer.conf", {"a": {"x": 1}}, create=False)
    assert os.listdir(folder) == ["new.conf"]


def test_where_there_is_no_file_nothing_need_be_removed(folder: pathlib.Path) -> None:
    for options in ({}, None, {"a": {}}):
        run = Run(folder / "new.conf", options, {"a": ["x"]}, create=False, owner=Asked(mode="0600"))
        assert not run.plan.changed and run.result == {"path": str(folder / "new.conf"), "options_changed": []}
    assert os.listdir(folder) == []


def test_mode_alone(path: pathlib.Path) -> None:
    inode = path.stat().st_ino
    run = Run(path, {"DEFAULT": {"debug": False}}, owner=Asked(mode="0600"), backup=True, runner=NoCommands())
    assert path.stat().st_mode & 0o7777 == 0o600 and path.stat().st_ino == inode and path.read_text() == BEFORE
    assert run.plan.summary() == [{"action": "update", "name": str(path), "reason": "it has mode 0604"}]
    assert run.plan.diff()["before"] == "# mode: 0604\n" and run.plan.diff()["after"] == "# mode: 0600\n"
    assert os.listdir(path.parent) == ["x.conf"]


def test_the_old_content_is_kept(path: pathlib.Path) -> None:
    run = Run(path, {"DEFAULT": NEW}, owner=Asked(mode="0600"), backup=True)
    kept = pathlib.Path(run.result["backup_file"])
    assert kept.read_text() == BEFORE and kept.stat().st_mode & 0o7777 == 0o604 and path.stat().st_mode & 0o7777 == 0o600


# --- what is refused ---


@pytest.mark.parametrize("options, absent, words", [
    ({"a": {"x": None}}, {}, r"a\.x is null; .* absent"),
    ({"a": {"x": []}}, {}, r"a\.x is an empty list; .* absent"),
    ({"a": {"x": {"b": 1}}}, {}, r"a\.x is a dict"),
    ({"a": {"x": [["b"]]}}, {}, r"a\.x is a list"),
    ({"a": {"x": [None]}}, {}, r"a\.x is null"),
    ({"a": {"x": "b\n"}}, {}, r"options: a\.x: .*white space"),
    ({"a": "x"}, {}, "a is not a dict"),
    ({"a": None}, {}, "a is not a dict"),
    ({"a": {"x=": 1}}, {}, "'x=' is no name for an option, in section a"),
    ({"a]": {"x": 1}}, {}, "no name for a section"),
    ({"a": {"x": 1}, "A": {"x": 2}}, {}, "whatever the case"),
    ({}, {"a": [], "A": []}, "whatever the case"),
    ({}, {"a": "x"}, "absent: a is not a list"),
    ({}, {"a": None}, r"absent: a is not a list .*\[\]"),
    ({}, {"a": [1]}, "absent: a is not a list"),
    ({"a": {"x": 1, "y": 1}}, {"a": ["y", "z"]}, r"^a\.y stands in both"),
    ({"a": {"x": 1}}, {"A": ["x"]}, r"^A\.x stands in both"),
    ({"a": {"x": 1}}, {"a": []}, "^a stands in both"),
])
def test_what_makes_no_sense(options: t.Any, absent: t.Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Wish.from_params(options, absent)


@pytest.mark.parametrize("content, words, line", [
    (b"[a]\nhunter2\n", "line 2 of .* cannot be read by oslo.config", 2),
    (b"[a]\n# \xe4\nx = 1\n", "line 2 of .* is not UTF-8", 2),
])
def test_a_file_that_the_service_could_not_read_is_left_alone(path: pathlib.Path, content: bytes, words: str, line: int) -> None:
    path.write_bytes(content)
    before = state_of(path)
    with pytest.raises(BackendError, match=words) as refused:
        Run(path, {"a": {"x": 2}})
    assert state_of(path) == before and refused.value.details == {"line": line} and "hunter2" not in refused.value.message


def test_options_that_the_service_does_not_know(path: pathlib.Path) -> None:
    before = state_of(path)
    with pytest.raises(InvalidInput, match="does not know DEFAULT.verbose, which would come into .*; the file is as it was") as refused:
        Run(path, {"DEFAULT": NEW}, runner=Validator("debug", "password", "x", "transport_url"))
    assert state_of(path) == before and refused.value.details == {"unknown_options": ["DEFAULT.verbose"]}


def test_options_that_it_did_not_know_before_only_give_a_warning(path: pathlib.Path) -> None:
    runner = Validator("debug", "verbose")
    run = Run(path, {"DEFAULT": NEW}, runner=runner)
    assert run.result["unknown_options"] == ["DEFAULT.password", "DEFAULT.x", "DEFAULT.transport_url"]
    assert len(run.warnings) == 1 and "they were there before: DEFAULT.password, DEFAULT.x, DEFAULT.transport_url" in run.warnings[0]
    assert runner.runs == 2 and "verbose = x" in path.read_text()


def test_the_old_content_is_not_looked_at_without_need(path: pathlib.Path) -> None:
    runner = Validator("debug", "verbose", "password", "x", "transport_url")
    assert Run(path, {"DEFAULT": NEW}, runner=runner).warnings == []
    assert runner.runs == 1


# --- the module ---

SECRETS = ["hunter1", "hunter2", "hunter3", "hunter4", "hunter5", "hunter6"]


def module(capsys: pytest.CaptureFixture[str], **args: t.Any) -> t.Tuple[t.Dict[str, t.Any], str]:
    """Its result, and what it said to anybody who listens."""
    said: t.List[str] = []
    with patch_module_args(dict(args, _ansible_diff=True, _ansible_verbosity=4)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnsibleModule, "log", lambda self, text, log_args=None: said.append("%s %s" % (text, log_args)))
        with pytest.raises(SystemExit):
            oslo_config.main()
    out, err = capsys.readouterr()
    return json.loads(out), "\n".join([out, err, *said])


@pytest.mark.parametrize("check", [True, False])
def test_no_secret_is_shown(path: pathlib.Path, capsys: pytest.CaptureFixture[str], check: bool) -> None:
    options = {
        "DEFAULT": {"password": "hunter3", "transport_url": "rabbit://me:hunter4@a,me:hunter5@b/", "debug": True},
        "cache": {"backend_argument": ["url:redis://:hunter6@cache"]},
    }
    result, said = module(capsys, path=str(path), options=options, absent={"old": []}, backup=True, _ansible_check_mode=check)
    assert result["changed"] and result["diff"] and result["invocation"]["module_args"]["options"]["DEFAULT"]["debug"] is True
    assert not [secret for secret in SECRETS if secret in said]
    assert ("hunter4" in path.read_text()) is not check


def test_no_secret_is_shown_when_it_fails(path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(BEFORE + "hunter5\n")
    for options in ({"a": {"password": "hunter3"}}, {"a": {"password": "hunter3\n"}}, {"a": {"password": ["hunter3", None]}}):
        result, said = module(capsys, path=str(path), options=options)
        assert result["failed"] and not [secret for secret in SECRETS if secret in said]


def test_a_failing_validator_ends_the_module(path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = state_of(path)
    for command, words in (("no-such-command", "install"), ("false", "exit code 1")):
        result, dummy = module(capsys, path=str(path), options={"a": {"x": 1}}, validate_with={"namespaces": ["x"], "command": command})
        assert result["failed"] and words in result["msg"] and state_of(path) == before
    result, dummy = module(capsys, path=str(path), options={"a": {"x": 1}}, validate_with={"namespaces": ["x"], "command": "true"})
    assert result["changed"] and result["unknown_options"] == []
