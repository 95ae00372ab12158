# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simulator's schema: right where the facts are at hand, and carried out in full."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import typing as t

import pytest
from lab.xapi import check_schema, schema_errors
from lab.xapi.ports import XapiError
from lab.xapi.registry import HANDLERS
from lab.xapi.schema import NULL, SCHEMA, Type, parse_class, parse_default, parse_type

from ansible_collections.bootable.volumes.tests.unit.lab.xapi.inside import Inside

ROOT = pathlib.Path(__file__).absolute().parents[4]
FACTS = pathlib.Path(os.environ.get("BOOTABLE_XAPI_FACTS", str(ROOT.parent / "shared" / "facts")))
needs_facts = pytest.mark.skipif(not (FACTS / "xapi-datamodel.json").exists(), reason="the facts about XAPI are not at hand")

SETTERS = ("set_", "add_", "remove_")


# --- against the facts ---


@needs_facts
def test_it_agrees_with_the_facts() -> None:
    assert check_schema.differences(FACTS) == []


def field(name: str) -> t.Callable[[t.Any], t.Any]:
    """The way to a field of VDI in the facts."""
    return lambda model: model["VDI"]["fields"][name]


def message(name: str) -> t.Callable[[t.Any], t.Any]:
    """The way to a message of VM in the facts."""
    return lambda model: model["VM"]["messages"][name]


@needs_facts
@pytest.mark.parametrize("where, change, word", [
    (field("SR"), {"type": "string"}, "VDI.SR: type"),
    (field("SR"), {"qualifier": "RW"}, "VDI.SR: RO/constructor"),
    (field("SR"), {"default": "OpaqueRef:NULL"}, "VDI.SR: default"),
    (lambda model: model["VDI"]["fields"], {"colour": {"type": "string", "qualifier": "RW"}}, "VDI: without colour"),
    (lambda model: model["VDI"]["fields"], {"SR": None}, "VDI.SR: no such field"),
    (message("start"), {"params": []}, "VM.start: parameters"),
    (message("start"), {"result": "int"}, "VM.start: result"),
    (message("start"), {"least_role": "read-only"}, "VM.start: role"),
    (message("start"), {"state": "removed"}, "VM.start: removed"),
    (lambda model: model["VM"]["messages"], {"start": None}, "VM.start: no such message"),
    (message("suspend"), {"state": "removed"}, "VM.suspend: removed"),
    (lambda model: model["VDI"]["enums"], {"vdi_type": ["system"]}, "enum vdi_type"),
    (lambda model: model, {"PBD": None}, "PBD: no such class"),
])
def test_every_difference_is_told(tmp_path: pathlib.Path, where: t.Any, change: t.Dict[str, t.Any], word: str) -> None:
    shutil.copy(FACTS / "xapi-errors.json", tmp_path)
    model = json.loads((FACTS / "xapi-datamodel.json").read_text())
    where(model).update(change)
    target = where(model)
    for name in [name for name, value in change.items() if value is None]:
        del target[name]
    (tmp_path / "xapi-datamodel.json").write_text(json.dumps(model))
    assert any(line.startswith(word) for line in check_schema.differences(tmp_path))


@needs_facts
def test_a_failure_with_other_parameters_is_told(tmp_path: pathlib.Path) -> None:
    shutil.copy(FACTS / "xapi-datamodel.json", tmp_path)
    errors = json.loads((FACTS / "xapi-errors.json").read_text())
    errors["VDI_IN_USE"] = ["vdi"]
    del errors["UUID_INVALID"]
    (tmp_path / "xapi-errors.json").write_text(json.dumps(errors))
    assert [line.partition(":")[0] for line in check_schema.differences(tmp_path)] == ["UUID_INVALID", "VDI_IN_USE"]


# --- in itself ---


def test_every_message_is_carried_out() -> None:
    for cls, found in SCHEMA.items():
        for name, known in found.messages.items():
            if known.origin == "own" and not known.removed and f"{cls}.{name}" not in HANDLERS:
                prefix = next((prefix for prefix in SETTERS if name.startswith(prefix)), None)
                assert prefix, f"{cls}.{name}"
                changed = re.sub("^(add_to_|remove_from_|set_|add_|remove_)", "", name)
                assert changed in found.fields, f"{cls}.{name}"


def test_nothing_else_is_carried_out() -> None:
    for method in HANDLERS:
        cls, dummy, name = method.partition(".")
        assert name in SCHEMA[cls].messages, method


def test_every_failure_in_the_code_is_known() -> None:
    source = "".join(path.read_text() for path in (ROOT / "tests" / "lab" / "xapi").rglob("*.py"))
    codes = set(re.findall(r'XapiError\("([A-Z_]+)"', source))
    assert len(codes) > 40
    assert codes <= {*schema_errors.ERRORS, *schema_errors.UNLISTED}


@pytest.mark.parametrize("error, known", [
    (XapiError("VDI_IN_USE", "1", "attach"), True),
    (XapiError("VDI_IN_USE", "1"), False),
    (XapiError("MESSAGE_REMOVED"), True),
    (XapiError("MESSAGE_REMOVED", "x"), False),
    (XapiError("SR_BACKEND_FAILURE_44", "", "full", ""), True),
    (XapiError("NO_SUCH_CODE"), False),
])
def test_a_failure_comes_with_its_parameters(error: XapiError, known: bool) -> None:
    assert schema_errors.known(error) is known


# --- its notation ---


@pytest.mark.parametrize("text", [
    "string", "VDI ref set", "(string -> string) map", "enum vbd_mode", "(enum vm_operations -> string) map", "(string -> enum vm_operations) map",
    "(int -> string set) map", "VM record", "(VM ref -> VM record) map",
])
def test_types_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_type(text)) == text


@pytest.mark.parametrize("text", ["strings", "enum", "map of all"])
def test_what_is_no_type(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        parse_type(text)


@pytest.mark.parametrize("kind, text, value", [
    ("string", '""', ""),
    ("string", '"()"', "()"),
    ("bool", "true", True),
    ("bool", "false", False),
    ("int", "1500", 1500),
    ("float", "1.", 1.0),
    ("VM ref", "Null", NULL),
    ("VDI ref", "OpaqueRef:NULL", NULL),
    ("string set", "{}", []),
    ("int set", "{0}", [0]),
    ("map", "{}", {}),
    ("map", '{"a" -> "b", "c" -> "d"}', {"a": "b", "c": "d"}),
    ("enum vm_power_state", "Halted", "Halted"),
])
def test_defaults(kind: str, text: str, value: t.Any) -> None:
    assert parse_default(parse_type(kind), text) == value


def test_a_table() -> None:
    found = parse_class("""
class thing, setters vm-admin, partial
standard get_record
W  name        string  = ""
W  tags        string set  = {}  @vm-operator
C  size        int
R  old         int  removed
M  grow(self: thing ref, by: int, how?: (string -> string) map) -> int  @pool-admin
removed shrink
""")
    assert found.partial and set(found.messages) == {
        "get_record", "get_name", "set_name", "get_tags", "set_tags", "add_tags", "remove_tags", "get_size", "get_old", "grow", "shrink"}
    assert [item.name for item in found.fields.values() if item.required] == ["size"]
    assert (found.messages["set_name"].role, found.messages["add_tags"].role) == ("vm-admin", "vm-operator")
    assert found.messages["get_old"].removed and found.messages["shrink"].removed and not found.messages["grow"].removed
    assert [(item.name, item.type.kind, item.optional) for item in found.messages["grow"].parameters] == [
        ("self", "ref", False), ("by", "int", False), ("how", "map", True)]
    assert found.messages["grow"].result == Type("int")


def test_what_is_no_table() -> None:
    with pytest.raises(ValueError, match="not a class"):
        parse_class("thing\nW  a  string")
    with pytest.raises(ValueError, match="not a message"):
        parse_class("class thing, setters vm-admin\nM  grow -> int")


def test_every_object_has_all_fields_of_its_class(inside: Inside) -> None:
    inside.running()
    seen = set()
    for cls, found in SCHEMA.items():
        if "get_all_records" in found.messages:
            for record in inside.call(cls + ".get_all_records").values():
                assert set(record) == set(found.fields)
                seen.add(cls)
    assert {"VM", "VDI", "VBD", "VIF", "SR", "PBD", "PIF", "SM", "host", "pool", "network", "console", "VM_metrics"} <= seen
