"""Compares the simulator's schema with facts about XAPI, where those are at hand.

    python -m lab.xapi.check_schema FOLDER

FOLDER holds xapi-datamodel.json (classes: fields, messages, enums) and xapi-errors.json (codes: names of parameters).
Prints every difference; exits with 1 if there is any.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .schema import NULL, SCHEMA, SESSIONLESS, ClassSchema, Field, Message, parse_default, parse_type
from .schema_enums import ENUMS
from .schema_errors import ERRORS, UNLISTED

REMOVED = "removed"


def differences(folder: Path) -> list[str]:
    """Everything that the schema says otherwise than the facts do."""
    model = json.loads((folder / "xapi-datamodel.json").read_text(encoding="utf-8"))
    errors = json.loads((folder / "xapi-errors.json").read_text(encoding="utf-8"))
    return [
        *(line for name, ours in SCHEMA.items() for line in of_class(ours, model.get(name))),
        *of_enums(model),
        *of_errors(errors),
    ]


def of_class(ours: ClassSchema, theirs: dict[str, Any] | None) -> Iterator[str]:
    """A class: the fields, all of them unless it says "partial", and the messages that there are."""
    if theirs is None:
        yield f"{ours.name}: no such class"
        return
    for name in sorted(set(ours.fields) - set(theirs["fields"])):
        yield f"{ours.name}.{name}: no such field"
    missing = sorted(set(theirs["fields"]) - set(ours.fields))
    if missing and not ours.partial:
        yield f"{ours.name}: without {', '.join(missing)}"
    if ours.partial and not missing:
        yield f"{ours.name}: complete, though it says partial"
    for name in ours.fields:
        if name in theirs["fields"]:
            yield from of_field(ours, ours.fields[name], theirs["fields"][name])
    for name, message in ours.messages.items():
        if name in theirs["messages"]:
            yield from of_message(ours, message, theirs["messages"][name])
        else:
            yield f"{ours.name}.{name}: no such message"
    for name, message in theirs["messages"].items():
        if message.get("state") == REMOVED and name not in ours.messages and name.partition("_")[2] not in missing:
            yield f"{ours.name}.{name}: removed, which the schema does not tell"


def of_field(cls: ClassSchema, ours: Field, theirs: dict[str, Any]) -> Iterator[str]:
    """A field's type, qualifier and default."""
    where = f"{cls.name}.{ours.name}"
    if str(ours.type) != theirs["type"]:
        yield f"{where}: type {ours.type}, not {theirs['type']}"
    if ours.qualifier != theirs["qualifier"]:
        yield f"{where}: {ours.qualifier}, not {theirs['qualifier']}"
    default = theirs.get("default")
    expected = None if default is None else NULL if default == "Null" else parse_default(ours.type, default)
    if ours.default != expected:
        yield f"{where}: default {ours.default!r}, not {expected!r}"


def of_message(cls: ClassSchema, ours: Message, theirs: dict[str, Any]) -> Iterator[str]:
    """A message's parameters, result and least role."""
    where = f"{cls.name}.{ours.name}"
    if ours.removed != (theirs.get("state") == REMOVED):
        yield f"{where}: removed is {ours.removed}, but its state is {theirs.get('state')}"
    if ours.removed:
        return
    names = [found["name"] for found in theirs["params"]]
    if ("session_id" in names) != (where not in SESSIONLESS):
        yield f"{where}: a session is {'' if 'session_id' in names else 'not '}needed"
    expected = [
        (found["name"], found["type"], bool(found.get("optional"))) for found in theirs["params"] if found["name"] != "session_id"
    ]
    found = [(parameter.name, str(parameter.type), parameter.optional) for parameter in ours.parameters]
    if found != expected:
        yield f"{where}: parameters {found}, not {expected}"
    if ours.result != parse_type(theirs["result"]):
        yield f"{where}: result {ours.result}, not {theirs['result']}"
    if ours.role != theirs["least_role"]:
        yield f"{where}: role {ours.role}, not {theirs['least_role']}"


def of_enums(model: dict[str, Any]) -> Iterator[str]:
    """The enums' values, in their order."""
    known = {name: values for found in model.values() for name, values in found["enums"].items()}
    for name, values in ENUMS.items():
        if list(values) != known.get(name):
            yield f"enum {name}: {list(values)}, not {known.get(name)}"


def of_errors(errors: dict[str, list[str]]) -> Iterator[str]:
    """The failures' codes and parameters; those that are told otherwise on purpose must be so."""
    for code, names in ERRORS.items():
        if list(names) != errors.get(code):
            yield f"{code}: parameters {list(names)}, not {errors.get(code)}"
    for code, names in UNLISTED.items():
        if list(names) == errors.get(code):
            yield f"{code}: listed just so"


def main() -> int:
    found = differences(Path(sys.argv[1]))
    print("\n".join(found) or "no differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
