# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The house stands as it was drawn: layers, sizes, documentation, and a test for everything."""

from __future__ import annotations

import ast
import importlib
import io
import pathlib
import re
import tokenize
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).absolute().parents[2]
COLLECTION = "ansible_collections.bootable.volumes"
MODULE_UTILS = ROOT / "plugins" / "module_utils"
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
UTILS = sorted(path for path in MODULE_UTILS.rglob("*.py") if path.name != "__init__.py")

# Who may import whom: each layer those below it, and itself. Layers beside each other do not know each other,
# but how bytes move (transfer) knows where they come from (images).
LAYERS = (
    {"modules"},
    {"operations"},
    {"storage"},
    {"transfer", "images"},
    {"formats", "configuration"},
    {"openstack", "xen", "host"},
    {"core"},
)
BESIDE = {("transfer", "images")}

LONGEST = 400


def name_of(path: pathlib.Path) -> str:
    """For the test's name: the path below plugins."""
    return str(path.relative_to(ROOT))


def layer_of(path: pathlib.Path) -> str:
    """The layer that a file belongs to; those that lie in no folder are what the modules share."""
    if MODULE_UTILS in path.parents and path.parent != MODULE_UTILS:
        return path.relative_to(MODULE_UTILS).parts[0]
    return "modules"


def may_import(importer: str, imported: str) -> bool:
    """Whether a layer may import another."""
    height = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    return importer == imported or height[importer] < height[imported] or (importer, imported) in BESIDE


def imported_layers(source: str) -> t.Iterator[t.Tuple[int, str]]:
    """(line, layer) of each import from our own module_utils, wherever in the file it stands."""
    ours = COLLECTION + ".plugins.module_utils."
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError("line %d: relative import" % node.lineno)
            names = ["%s.%s" % (node.module, alias.name) for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith(ours):
                first = name[len(ours):].split(".")[0]
                yield node.lineno, "modules" if first in ("cloud_task", "module", "task") else first


def code_lines(source: str) -> int:
    """Lines that hold code: no blank lines, comments or docstrings."""
    lines: t.Set[int] = set()
    quiet = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in quiet:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            lines.difference_update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return len(lines)


def documentation(path: pathlib.Path) -> t.Dict[str, t.Any]:
    """DOCUMENTATION, EXAMPLES and RETURN of a module, read from YAML."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Constant):
            found[node.targets[0].id] = yaml.safe_load(node.value.value)
    return found


def fragment_options(fragments: t.Iterable[str]) -> t.Set[str]:
    """The options that the named documentation fragments document."""
    names: t.Set[str] = set()
    for fragment in fragments:
        file, dummy, part = fragment[len("bootable.volumes."):].partition(".")
        module = importlib.import_module("%s.plugins.doc_fragments.%s" % (COLLECTION, file))
        text = getattr(module.ModuleDocFragment, (part or "documentation").upper())
        names |= set((yaml.safe_load(text) or {}).get("options", {}))
    return names


# --- layers ---


def test_every_layer_has_its_place() -> None:
    folders = {path.name for path in MODULE_UTILS.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set().union(*LAYERS)


@pytest.mark.parametrize("importer, imported, allowed", [
    ("modules", "core", True),
    ("operations", "storage", True),
    ("storage", "transfer", True),
    ("transfer", "images", True),
    ("images", "transfer", False),
    ("openstack", "host", False),
    ("storage", "operations", False),
    ("core", "host", False),
])
def test_the_rule_of_layers(importer: str, imported: str, allowed: bool) -> None:
    assert may_import(importer, imported) is allowed


@pytest.mark.parametrize("path", MODULES + UTILS, ids=name_of)
def test_imports_only_go_down(path: pathlib.Path) -> None:
    wrong = [
        "line %d imports %s" % (line, layer)
        for line, layer in imported_layers(path.read_text())
        if not may_import(layer_of(path), layer)
    ]
    assert not wrong


@pytest.mark.parametrize("path", UTILS, ids=name_of)
def test_files_stay_short(path: pathlib.Path) -> None:
    assert code_lines(path.read_text()) <= LONGEST


def test_code_lines_counts_code_only() -> None:
    assert code_lines('"""A docstring\nof two lines."""\n\n# a comment\nx = """\na string\n"""\n') == 3


# --- modules ---


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_documented(path: pathlib.Path) -> None:
    found = documentation(path)
    assert found["DOCUMENTATION"]["module"] == path.stem
    assert found["EXAMPLES"]
    assert found["RETURN"]
    for example in found["EXAMPLES"]:
        assert example["name"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_option_is_documented_and_every_documented_option_exists(path: pathlib.Path) -> None:
    module = importlib.import_module("%s.plugins.modules.%s" % (COLLECTION, path.stem))
    found = documentation(path)["DOCUMENTATION"]
    documented = set(found.get("options", {})) | fragment_options(found.get("extends_documentation_fragment", []))
    assert documented == set(argument_spec(module))


def argument_spec(module: t.Any) -> t.Dict[str, t.Any]:
    """What a module tells Ansible its options are, caught on the way."""
    caught: t.List[t.Dict[str, t.Any]] = []
    shared = importlib.import_module(COLLECTION + ".plugins.module_utils.task")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "run", lambda build, spec, **rules: caught.append(spec))
        module.main()
    return caught[0]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_a_scenario(path: pathlib.Path) -> None:
    scenario = ROOT / "extensions" / "molecule" / path.stem
    assert "bootable.volumes.%s:" % path.stem in (scenario / "converge.yml").read_text()
    assert (scenario / "verify.yml").exists()


@pytest.mark.parametrize("path", [path for path in UTILS if path.parent != MODULE_UTILS], ids=name_of)
def test_a_file_of_module_utils_has_a_test(path: pathlib.Path) -> None:
    """Its own test file beside the others, or another that imports it."""
    folder = path.parent.relative_to(MODULE_UTILS)
    beside = ROOT / "tests" / "unit" / "plugins" / "module_utils" / folder
    module = "plugins.module_utils.%s" % ".".join(folder.parts)
    imports = re.compile(r"%s(\.%s\b| import .*\b%s\b)" % (re.escape(module), path.stem, path.stem))
    assert (beside / ("test_%s.py" % path.stem)).exists() or any(
        imports.search(file.read_text()) for file in (ROOT / "tests" / "unit").rglob("test_*.py"))


def sent_along(path: pathlib.Path) -> t.Set[pathlib.Path]:
    """The files of module_utils that Ansible packs with a module: whatever it imports, wherever in the files it says so."""
    found: t.Set[pathlib.Path] = set()
    left = [path]
    while left:
        for node in ast.walk(ast.parse(left.pop().read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(COLLECTION):
                here = ROOT.joinpath(*str(node.module).split(".")[3:])
                for file in {(here / alias.name).with_suffix(".py") for alias in node.names} | {here.with_suffix(".py")}:
                    if file.exists() and file not in found:
                        found.add(file)
                        left.append(file)
    return found


@pytest.mark.parametrize("path", [path for path in MODULES if "cloud_task.run(" in path.read_text()], ids=name_of)
def test_what_only_needs_a_cloud_does_not_bring_every_driver(path: pathlib.Path) -> None:
    """Packing and sending a module takes time for each file, and loading those that its own files name takes more."""
    there = sent_along(path)
    assert MODULE_UTILS / "openstack" / "session.py" in there
    assert not there & {MODULE_UTILS / "module.py", MODULE_UTILS / "storage" / "registry.py", MODULE_UTILS / "xen" / "session.py"}


def test_the_action_group_is_the_list_of_modules_that_know_a_cloud() -> None:
    """So that ``module_defaults: {group/bootable.volumes.bootable: {cloud: ...}}`` gives no module an option it does not have."""
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert runtime["action_groups"]["bootable"] == [path.stem for path in MODULES if re.search(r"- bootable\.volumes\.openstack\b", path.read_text())]


# --- playbooks ---


@pytest.mark.parametrize("path", PLAYBOOKS, ids=name_of)
def test_a_playbook_names_its_modules_in_full(path: pathlib.Path) -> None:
    """That its syntax is right is ansible-lint's to say, which reads every playbook."""
    plays = yaml.safe_load(path.read_text())
    for play in plays:
        assert play["name"]
        for task in play.get("tasks", []):
            assert task["name"]
            assert any("." in key for key in task) or "block" in task


def test_playbooks_are_linted() -> None:
    config = yaml.safe_load((ROOT / ".ansible-lint").read_text())
    assert config["profile"] == "production"
    assert not any(excluded.startswith(("playbooks", "plugins", "extensions", "roles")) for excluded in config["exclude_paths"])


# --- roles ---


def role_file(role: pathlib.Path, name: str) -> t.Any:
    """A YAML file of a role."""
    return yaml.safe_load((role / name).read_text())


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_a_role_documents_its_variables_and_their_defaults(role: pathlib.Path) -> None:
    documented: t.Dict[str, t.Any] = {}
    for entry in role_file(role, "meta/argument_specs.yml")["argument_specs"].values():
        for name, option in entry["options"].items():
            assert option["description"] and option["type"], name
            documented[name] = option.get("default")
    assert documented == role_file(role, "defaults/main.yml")


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_a_role_tells_how_to_use_it(role: pathlib.Path) -> None:
    assert "bootable.volumes.%s" % role.name in (role / "README.md").read_text()
    assert role_file(role, "meta/main.yml")["galaxy_info"]["description"]


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_a_role_hands_on_all_variables_of_the_model(role: pathlib.Path) -> None:
    variables = importlib.import_module(COLLECTION + ".plugins.module_utils.configuration.variables")
    service = {"glance_api": variables.GLANCE, "cinder": variables.CINDER}[role.name]
    assert set(role_file(role, "vars/main.yml")["__%s_declared" % role.name]) == set(variables.NAMES[service].values())


# --- packaging ---


def requirements(path: pathlib.Path) -> t.List[str]:
    """The lines of a requirements file that are requirements."""
    return [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def test_every_requirement_has_a_lower_bound_and_nothing_else() -> None:
    for line in requirements(ROOT / "requirements.txt"):
        assert re.fullmatch(r"[A-Za-z0-9._-]+>=[0-9]+(\.[0-9]+)*", line), line


def test_documentation_names_the_same_bounds() -> None:
    bounds = dict(line.split(">=") for line in requirements(ROOT / "requirements.txt"))
    text = "".join(path.read_text() for path in [*MODULES, *(ROOT / "plugins" / "doc_fragments").glob("*.py")])
    named = re.findall(r"^  - ([\w.-]+) >= ([\w.]+)", text, re.MULTILINE)
    assert named
    for library, bound in named:
        if library in bounds:
            assert bounds[library] == bound, library


def test_the_execution_environment_installs_what_the_modules_need() -> None:
    environment = yaml.safe_load((ROOT / "meta" / "execution-environment.yml").read_text())
    assert environment["dependencies"] == {"python": "requirements.txt", "system": "bindep.txt"}
    for file in environment["dependencies"].values():
        assert (ROOT / file).exists()


def test_the_changelog_tells_of_this_version() -> None:
    version = str(yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"])
    changes = ROOT / "changelogs" / "changelog.yaml"
    released = yaml.safe_load(changes.read_text())["releases"] if changes.exists() else {}
    assert version in released or list((ROOT / "changelogs" / "fragments").glob("*.yml"))
