"""Who carries out which message: functions register themselves, and get the call and its parameters in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pool import Pool


@dataclass(frozen=True)
class Call:
    """A call under way."""

    pool: Pool
    host: str  # uuid of the host that was called
    session: str  # ref; "" for the few that need none
    method: str
    wire: str
    task: str = ""  # ref, for what runs in the background


Handler = Callable[..., Any]
HANDLERS: dict[str, Handler] = {}


def handles(*methods: str) -> Callable[[Handler], Handler]:
    """Registers a function for messages."""

    def register(function: Handler) -> Handler:
        for method in methods:
            HANDLERS[method] = function
        return function

    return register
