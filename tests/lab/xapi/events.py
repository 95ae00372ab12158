"""event.from: what changed since a token. A token holds the generation of the database when it was given."""

from __future__ import annotations

import re
import time
from typing import Any

from . import values
from .ports import XapiError
from .registry import Call, handles
from .schema import SCHEMA, Type

UNSEEN = {"session", "event"}
LONGEST = 3600.0  # seconds


def parse_token(token: str) -> int:
    """The generation that a token stands for; 0 for the first. Raises EVENT_FROM_TOKEN_PARSE_FAILURE."""
    if not token:
        return 0
    match = re.fullmatch(r"(\d+),(\d+)", token)
    if not match:
        raise XapiError("EVENT_FROM_TOKEN_PARSE_FAILURE", token)
    return int(match[1])


def parse_subscriptions(classes: list[str]) -> list[tuple[str, str]]:
    """(class in lower case or *, reference or "") of each. Raises EVENT_SUBSCRIPTION_PARSE_FAILURE."""
    found = []
    for text in classes:
        match = re.fullmatch(r"(\*|\w+)(?:/(.+))?", text)
        if not match:
            raise XapiError("EVENT_SUBSCRIPTION_PARSE_FAILURE", text)
        found.append((match[1].lower(), match[2] or ""))
    return found


def wanted(subscriptions: list[tuple[str, str]], cls: str, ref: str) -> bool:
    """Whether an object is subscribed to."""
    return cls not in UNSEEN and any(name in ("*", cls.lower()) and only in ("", ref) for name, only in subscriptions)


def changes(call: Call, subscriptions: list[tuple[str, str]], since: int) -> list[dict[str, Any]]:
    """The events after a generation, the oldest first."""
    database = call.pool.database
    found: list[tuple[int, str, str, str]] = []
    for (cls, ref), generation in database.created.items():
        if wanted(subscriptions, cls, ref):
            newest = max(generation, database.modified.get((cls, ref), 0))
            if generation > since:
                found.append((newest, "add", cls, ref))
            elif newest > since:
                found.append((newest, "mod", cls, ref))
    for (cls, ref), generation in database.deleted.items():
        if since and generation > since and wanted(subscriptions, cls, ref):
            found.append((generation, "del", cls, ref))
    return [event(call, *item) for item in sorted(found)]


def event(call: Call, generation: int, operation: str, cls: str, ref: str) -> dict[str, Any]:
    """One event, ready for the wire."""
    found = {
        "id": values.give(Type("int"), generation, call.wire), "timestamp": "0.0",
        "class": cls.lower(), "operation": operation, "ref": ref,
    }
    if operation != "del":
        found["snapshot"] = values.give(Type("record", cls), call.pool.database.record(cls, ref), call.wire)
    return found


@handles("event.from")
def wait(call: Call, classes: list[str], token: str, timeout: float) -> dict[str, Any]:
    """Waits for events, at most `timeout` seconds; then there may be none."""
    subscriptions, since = parse_subscriptions(classes), parse_token(token)
    database = call.pool.database
    deadline = time.monotonic() + min(max(timeout, 0.0), LONGEST)
    while True:
        found = changes(call, subscriptions, since)
        left = deadline - time.monotonic()
        if found or left <= 0:
            break
        database.changed.wait(left)
        call.pool.sessions.check(call.session)
    counts = {
        name.lower(): values.give(Type("int"), len(database.refs(name)), call.wire)
        for name in SCHEMA if name not in UNSEEN and database.refs(name)
    }
    return {"events": found, "valid_ref_counts": counts, "token": f"{database.generation:020d},{0:020d}"}


@handles("event.get_current_id")
def current_id(call: Call) -> int:
    """The generation."""
    return call.pool.database.generation


@handles("event.inject")
def inject(call: Call, cls: str, ref: str) -> str:
    """An event for an object that did not change; the token from which it can be seen."""
    database = call.pool.database
    names = {name.lower(): name for name in SCHEMA if name not in UNSEEN}
    if cls.lower() not in names:
        raise XapiError("HANDLE_INVALID", cls, ref)
    before = database.generation
    database.row(names[cls.lower()], ref)
    database.touch(names[cls.lower()], ref)
    return f"{before:020d},{0:020d}"
