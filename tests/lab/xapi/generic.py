"""The messages that follow from the schema: get_record, get_by_uuid, get_X, set_X, add_to_X, remove_from_X, add_X, remove_X."""

from __future__ import annotations

from typing import Any

from .ports import XapiError
from .registry import Call
from .schema import Message


def carry_out(call: Call, cls: str, message: Message, parameters: list[Any]) -> Any:
    """Carries out a message that has no function of its own."""
    database = call.pool.database
    if message.origin == "standard":
        return standard(call, cls, message.name, parameters)
    if message.origin == "getter":
        return database.get(cls, parameters[0], message.name.removeprefix("get_"))
    for prefix, change in (("set_", assign), ("add_to_", add_to), ("remove_from_", remove_from), ("add_", add), ("remove_", remove)):
        if message.name.startswith(prefix):
            return change(call, cls, parameters[0], message.name.removeprefix(prefix), *parameters[1:])
    raise XapiError("NOT_IMPLEMENTED", f"{cls}.{message.name}")


def standard(call: Call, cls: str, name: str, parameters: list[Any]) -> Any:
    """get_all, get_all_records, get_by_uuid, get_by_name_label, get_record."""
    database = call.pool.database
    if name == "get_all":
        return database.refs(cls)
    if name == "get_all_records":
        return {ref: database.record(cls, ref) for ref in database.refs(cls)}
    if name == "get_by_uuid":
        return database.by_uuid(cls, parameters[0])
    if name == "get_by_name_label":
        return database.find(cls, name_label=parameters[0])
    return database.record(cls, parameters[0])


def assign(call: Call, cls: str, ref: str, name: str, value: Any) -> None:
    """set_X."""
    call.pool.database.set(cls, ref, **{name: value})


def add_to(call: Call, cls: str, ref: str, name: str, key: str, value: Any) -> None:
    """add_to_X. Raises MAP_DUPLICATE_KEY: it never overwrites."""
    row = call.pool.database.row(cls, ref)
    if key in row[name]:
        raise XapiError("MAP_DUPLICATE_KEY", cls, name, row["uuid"], key)
    assign(call, cls, ref, name, {**row[name], key: value})


def remove_from(call: Call, cls: str, ref: str, name: str, key: str) -> None:
    """remove_from_X. A key that is not there is fine."""
    row = call.pool.database.row(cls, ref)
    assign(call, cls, ref, name, {known: value for known, value in row[name].items() if known != key})


def add(call: Call, cls: str, ref: str, name: str, value: Any) -> None:
    """add_X."""
    row = call.pool.database.row(cls, ref)
    if value not in row[name]:
        assign(call, cls, ref, name, [*row[name], value])


def remove(call: Call, cls: str, ref: str, name: str, value: Any) -> None:
    """remove_X."""
    row = call.pool.database.row(cls, ref)
    assign(call, cls, ref, name, [item for item in row[name] if item != value])
