"""Values on the wire and inside. XML-RPC carries ints as strings; JSON-RPC as numbers. Nothing else differs."""

from __future__ import annotations

import datetime
import re
import xmlrpc.client
from typing import Any

from .ports import XapiError
from .schema import SCHEMA, Type
from .schema_enums import ENUMS

XML = "xml"
JSON = "json"  # also what Python callers give: ints are ints
DATE = re.compile(r"\d{8}T\d{2}:\d{2}:\d{2}Z?|\d{4}-?\d{2}-?\d{2}T\d{2}:\d{2}:\d{2}Z")


def now() -> str:
    """The time as XAPI writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H:%M:%SZ")


def take(kind: Type, value: Any, name: str, wire: str) -> Any:
    """A parameter or field from the wire. Raises FIELD_TYPE_ERROR with its name if it is of another type."""
    found = _take(kind, value, name, wire)
    if found is None:
        raise XapiError("FIELD_TYPE_ERROR", name)
    return found


def _take(kind: Type, value: Any, name: str, wire: str) -> Any:
    """As take, but None for what does not fit."""
    if kind.kind == "set" and isinstance(value, (list, tuple)):
        return [take(kind.item or kind, item, name, wire) for item in value]
    if kind.kind == "map" and isinstance(value, dict):
        return {take_key(kind.key or kind, key, name): take(kind.item or kind, item, name, wire) for key, item in value.items()}
    if kind.kind in ("string", "ref"):
        return value if isinstance(value, str) else None
    if kind.kind == "bool":
        return value if isinstance(value, bool) else None
    if kind.kind == "int":
        return take_int(value, wire)
    if kind.kind == "float":
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    if kind.kind == "enum" and isinstance(value, str):
        return {word.lower(): word for word in ENUMS[kind.name]}.get(value.lower())
    if kind.kind == "datetime":
        text = value.value if isinstance(value, xmlrpc.client.DateTime) else value
        return text if isinstance(text, str) and DATE.fullmatch(text) else None
    if kind.kind == "record":
        return value if isinstance(value, dict) else None
    return None


def take_int(value: Any, wire: str) -> int | None:
    """A number: a string of digits, which is the only form in XML-RPC."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value):
        return int(value)
    if wire == JSON and isinstance(value, int) and not isinstance(value, bool):
        return value
    return None


def take_key(kind: Type, key: Any, name: str) -> Any:
    """A map's key, which is a string on every wire."""
    return take(kind, str(key), name, XML)


def give(kind: Type, value: Any, wire: str) -> Any:
    """A value for the wire."""
    if kind.kind == "void" or value is None:
        return ""
    if kind.kind == "int":
        return str(value) if wire == XML else value
    if kind.kind == "float":
        return float(value)
    if kind.kind == "datetime":
        return xmlrpc.client.DateTime(value) if wire == XML else value
    if kind.kind == "set":
        return [give(kind.item or kind, item, wire) for item in value]
    if kind.kind == "map":
        return {str(key): give(kind.item or kind, item, wire) for key, item in value.items()}
    if kind.kind == "record":
        fields = SCHEMA[kind.name].fields
        return {name: give(fields[name].type, item, wire) for name, item in value.items()}
    return value


def result_text(kind: Type, value: Any) -> str:
    """What a task's `result` holds: nothing, or the value as XML-RPC would carry it."""
    if kind.kind == "void":
        return ""
    text = xmlrpc.client.dumps((give(kind, value, XML),), methodresponse=True)
    found = re.search(r"<value>.*</value>", text, re.DOTALL)
    return re.sub(r"</?string>|\n", "", found[0]) if found else ""
