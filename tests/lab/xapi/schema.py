"""What the simulator knows of XAPI's data model: classes, fields, messages, as data. The tables are in schema_*.py.

A table describes a class, line by line:

    class VDI, setters vm-admin             the role that set_X needs; "partial": fields are left out
    standard get_all get_by_uuid            the messages that every class may have
    W  name_label  string  = ""             a field: RW; its type; the default, if it has one
    C  SR          SR ref                   RO/constructor: without a default, create must be given it
    R  VBDs        VBD ref set              RO/runtime
    W  tags        string set  = {}  @role  whose setters need another role
    R  metrics     X ref  removed           its getter answers MESSAGE_REMOVED
    M  resize(vdi: VDI ref, size: int) -> void  @vm-admin    a message; "name?:" may be left out
    removed snapshot_with_quiesce

Types are written as XAPI's reference does, and `map` is (string -> string) map. Getters and setters follow from fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from . import schema_pool, schema_storage, schema_vm
from .schema_enums import ENUMS

NULL = "OpaqueRef:NULL"
EPOCH = "19700101T00:00:00Z"
QUALIFIERS = {"W": "RW", "C": "RO/constructor", "R": "RO/runtime"}
ROLES = ("read-only", "vm-operator", "vm-admin", "vm-power-admin", "pool-operator", "pool-admin")
"""From the least to the most. client-cert, the role of a pool's own machinery, counts as pool-operator here."""

SESSIONLESS = {"session.login_with_password", "session.slave_local_login_with_password"}
SYNCHRONOUS = {"session", "task", "event"}
"""Classes whose messages have no Async counterpart."""


@dataclass(frozen=True)
class Type:
    """A type: `kind` is string, int, float, bool, datetime, void, enum, ref, record, set, map or any."""

    kind: str
    name: str = ""  # of the enum or the class
    key: Type | None = None
    item: Type | None = None

    def __str__(self) -> str:
        if self.kind == "map":
            return f"({self.key} -> {self.item}) map"
        if self.kind == "set":
            return f"{self.item} set"
        if self.kind == "enum":
            return f"enum {self.name}"
        return f"{self.name} {self.kind}" if self.name else self.kind


@dataclass(frozen=True)
class Field:
    """A field of a class. `default` is None where there is none."""

    name: str
    type: Type
    qualifier: str
    default: Any
    role: str
    removed: bool

    @property
    def required(self) -> bool:
        """Whether create must be given it."""
        return self.qualifier != "RO/runtime" and self.default is None

    @property
    def initial(self) -> Any:
        """What an object has that nobody gave it."""
        return empty(self.type) if self.default is None else self.default


@dataclass(frozen=True)
class Parameter:
    """A parameter of a message, without the session."""

    name: str
    type: Type
    optional: bool = False


@dataclass(frozen=True)
class Message:
    """A message. `origin`: standard, getter, setter (these follow from the class and its fields) or own."""

    name: str
    parameters: tuple[Parameter, ...]
    result: Type
    role: str
    origin: str = "own"
    removed: bool = False


@dataclass
class ClassSchema:
    """A class."""

    name: str
    setters: str
    partial: bool
    fields: dict[str, Field] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)


@cache
def parse_type(text: str) -> Type:
    """A type from its notation. Raises ValueError."""
    text = text.strip()
    if text == "map":
        return Type("map", key=Type("string"), item=Type("string"))
    if match := re.fullmatch(r"\((.*?) -> (.*)\) map", text):
        return Type("map", key=parse_type(match[1]), item=parse_type(match[2]))
    if text.endswith(" set"):
        return Type("set", item=parse_type(text[:-4]))
    if match := re.fullmatch(r"enum (\w+)", text):
        ENUMS[match[1]]
        return Type("enum", match[1])
    if match := re.fullmatch(r"(<?\w+>?) (ref|record)", text):
        return Type(match[2], match[1])
    if text == "an event batch":
        return Type("any")
    if text in ("string", "int", "float", "bool", "datetime", "void"):
        return Type(text)
    raise ValueError(f"not a type: {text}")


def empty(kind: Type) -> Any:
    """The value of a field that nobody filled."""
    return {
        "string": "", "int": 0, "float": 0.0, "bool": False, "datetime": EPOCH, "ref": NULL, "enum": "",
    }.get(kind.kind, {} if kind.kind == "map" else [])


def parse_default(kind: Type, text: str) -> Any:
    """A default from its notation."""
    if kind.kind == "ref":
        return NULL
    if kind.kind == "string":
        return text.strip('"')
    if kind.kind == "bool":
        return text == "true"
    if kind.kind == "int":
        return int(text)
    if kind.kind == "float":
        return float(text)
    if kind.kind == "map":
        return dict(re.findall(r'"([^"]*)" -> "([^"]*)"', text))
    if kind.kind == "set":
        words = text.strip("{}").split()
        return [int(word) for word in words] if kind.item == Type("int") else words
    return text


def parse_field(line: str, setters: str) -> Field:
    """A field from its line."""
    letter, name, kind, *rest = re.split(r"\s{2,}", line)
    default, role, removed = None, setters, False
    for word in rest:
        if word.startswith("= "):
            default = parse_default(parse_type(kind), word[2:])
        elif word.startswith("@"):
            role = word[1:]
        else:
            removed = word == "removed"
    return Field(name, parse_type(kind), QUALIFIERS[letter], default, role, removed)


def parse_message(line: str) -> Message:
    """A message from its line."""
    match = re.fullmatch(r"M\s+(\w+)\((.*)\) -> (.*?)\s+@([\w-]+)", line)
    if not match:
        raise ValueError(f"not a message: {line}")
    parameters = []
    for name, optional, kind in re.findall(r"(\w+)(\??): (\([^)]*\) map|[^,]+)", match[2]):
        parameters.append(Parameter(name, parse_type(kind), bool(optional)))
    return Message(match[1], tuple(parameters), parse_type(match[3]), match[4])


def standard_message(cls: str, name: str) -> Message:
    """One of the messages that most classes have."""
    ref, uuid, label = Parameter("self", Type("ref", cls)), Parameter("uuid", Type("string")), Parameter("label", Type("string"))
    messages: dict[str, tuple[tuple[Parameter, ...], Type]] = {
        "get_all": ((), Type("set", item=Type("ref", cls))),
        "get_all_records": ((), Type("map", key=Type("ref", cls), item=Type("record", cls))),
        "get_by_uuid": ((uuid,), Type("ref", cls)),
        "get_by_name_label": ((label,), Type("set", item=Type("ref", cls))),
        "get_record": ((ref,), Type("record", cls)),
    }
    parameters, result = messages[name]
    return Message(name, parameters, result, "read-only", "standard")


def field_messages(cls: str, item: Field) -> list[Message]:
    """The getter of a field, and what sets it."""
    self = Parameter("self", Type("ref", cls))
    found = [Message("get_" + item.name, (self,), item.type, "read-only", "getter", item.removed)]
    if item.qualifier != "RW":
        return found
    changes: list[tuple[str, tuple[Parameter, ...]]] = [("set_", (Parameter("value", item.type),))]
    if item.type.kind == "map":
        key, value = Parameter("key", item.type.key or Type("string")), Parameter("value", item.type.item or Type("string"))
        changes += [("add_to_", (key, value)), ("remove_from_", (key,))]
    if item.type.kind == "set":
        changes += [(word, (Parameter("value", item.type.item or Type("string")),)) for word in ("add_", "remove_")]
    return found + [Message(word + item.name, (self, *rest), Type("void"), item.role, "setter") for word, rest in changes]


def parse_class(table: str) -> ClassSchema:
    """A class from its table."""
    first, *lines = table.strip().split("\n")
    match = re.fullmatch(r"class (\w+), setters ([\w-]+)(, partial)?", first)
    if not match:
        raise ValueError(f"not a class: {first}")
    found = ClassSchema(match[1], match[2], bool(match[3]))
    for line in lines:
        word, dummy, rest = line.partition(" ")
        if word in QUALIFIERS:
            item = parse_field(line, found.setters)
            found.fields[item.name] = item
        messages = {
            "standard": lambda rest: [standard_message(found.name, name) for name in rest.split()],
            "M": lambda rest: [parse_message("M " + rest)],
            "removed": lambda rest: [Message(rest, (), Type("void"), "read-only", removed=True)],
        }.get(word, lambda rest: [])(rest)
        found.messages.update({message.name: message for message in messages})
    if found.name != "event":  # its fields are those of what event.from returns: there are no objects
        for item in found.fields.values():
            for message in field_messages(found.name, item):
                found.messages.setdefault(message.name, message)
    return found


SCHEMA: dict[str, ClassSchema] = {
    found.name: found
    for module in (schema_pool, schema_storage, schema_vm)
    for found in map(parse_class, module.TABLES)
}
