"""What tests ask the simulator to do wrong, and the log of what it was asked.

In the same process, set the attributes and call the methods; from outside, POST /simulator with
{"do": "fill", "sr": "..."} or {"set": {"tools_delay": 5}}. `calls` and `writes` answer with lists.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .ports import ImportFault, Reset, XapiError
from .schema import SESSIONLESS

if TYPE_CHECKING:
    from .pool import Pool

HARMLESS = ("get_", "assert_", "compute_", "list_")
UNCOUNTED = {"session", "task", "event"}
"""Classes whose messages change nothing that anybody keeps."""

IMPORT, EXPORT = TRANSFERS = ("PUT /import_raw_vdi", "GET /export_raw_vdi")
"""What the log calls the transfers that were let in."""

SETTINGS = ("tools_delay", "ip_delay", "login_delay", "background_delay", "tools", "slow", "reset_before", "reset_after")
"""What `set` may set."""


@dataclass(frozen=True)
class Logged:
    """A call that was made, or a transfer (its VDI being the parameter). `error` is the code of its failure, or empty."""

    host: str
    method: str
    params: tuple[Any, ...]  # without the session, and without passwords
    error: str

    @property
    def write(self) -> bool:
        """Whether such a call changes state, or would have."""
        if self.method in TRANSFERS:
            return self.method == IMPORT
        cls, dummy, name = self.method.removeprefix("Async.").partition(".")
        return cls not in UNCOUNTED and not name.startswith(HARMLESS)


class Faults:
    """The switches. Those that name a method act once for each time it is named."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.next_import: ImportFault | None = None
        self.next_export: ImportFault | None = None
        self.tools_delay = 0.0  # seconds from a guest's boot until its tools report
        self.ip_delay = 0.0  # seconds from then until it has an address
        self.tools = True  # False: guests have no tools
        self.login_delay = 0.0  # seconds before a wrong password is told; XAPI takes 5
        self.background_delay = 0.0  # seconds before work in the background begins
        self.slow: dict[str, float] = {}  # method -> seconds before it is carried out, every time
        self.reset_before: list[str] = []  # the connection is cut and nothing was done
        self.reset_after: list[str] = []  # the connection is cut though it was done
        self.failures: list[tuple[str, XapiError]] = []
        self.hook: Callable[[str], None] | None = None  # called with each method before it is carried out; may raise
        self.full: set[str] = set()  # uuids of SRs
        self.calls: list[Logged] = []

    # --- what tests call ---

    def fail_next(self, method: str, code: str, *params: str) -> None:
        """The next call of a method fails, and nothing is done.

        Of Async.VM.start the call itself; what VM.start says fails the task of the next Async.VM.start, too.
        """
        self.failures.append((method, XapiError(code, *params)))

    def expire_sessions(self) -> None:
        """All sessions are invalid from now on, as after a restart."""
        with self._pool.lock:
            self._pool.sessions.expire()

    def change_master(self, host: str | None = None) -> str:
        """Another host becomes the master, the one named or the next, and knows no sessions. Returns its uuid."""
        with self._pool.lock:
            others = [end.uuid for end in self._pool.hosts() if end.uuid != self._pool.master]
            self._pool.set_master(host or others[0])
            return self._pool.master

    def fill(self, sr: str) -> None:
        """An SR (uuid or name) has no room any more."""
        self.full.add(self._sr(sr))

    def empty(self, sr: str) -> None:
        """It has room again."""
        self.full.discard(self._sr(sr))

    def _sr(self, name: str) -> str:
        with self._pool.lock:
            found = [row["uuid"] for dummy, row in self._pool.database.items("SR") if name in (row["uuid"], row["name_label"])]
        if not found:
            raise ValueError(f"no such SR: {name}")
        return str(found[0])

    def writes(self) -> list[Logged]:
        """The calls that change state."""
        return [call for call in self.calls if call.write]

    def clear(self) -> None:
        """Forgets the log, and all faults that have not happened yet."""
        self.next_import = self.next_export = self.hook = None
        for book in (self.calls, self.failures, self.reset_before, self.reset_after, self.slow, self.full):
            book.clear()

    def command(self, request: dict[str, Any]) -> Any:
        """What POST /simulator asks for. Raises ValueError for what is not known."""
        for name, value in request.get("set", {}).items():
            if name not in SETTINGS:
                raise ValueError(f"no such setting: {name}")
            setattr(self, name, value)
        given = {name: value for name, value in request.items() if name not in ("do", "set")}
        actions: dict[str, Callable[..., Any]] = {
            "fail_next": lambda method, code, params=(): self.fail_next(method, code, *params),
            "fail_import": lambda **fault: setattr(self, "next_import", ImportFault(**_tuples(fault))),
            "fail_export": lambda **fault: setattr(self, "next_export", ImportFault(**_tuples(fault))),
            "expire_sessions": self.expire_sessions,
            "change_master": self.change_master,
            "fill": self.fill,
            "empty": self.empty,
            "clear": self.clear,
            "calls": lambda: [asdict(call) for call in self.calls],
            "writes": lambda: [asdict(call) for call in self.writes()],
        }
        if "do" not in request:
            return None
        if request["do"] not in actions:
            raise ValueError(f"no such action: {request['do']}")
        try:
            return actions[request["do"]](**given)
        except TypeError as error:
            raise ValueError(str(error)) from error

    # --- what the simulator calls ---

    def before(self, method: str) -> None:
        """A call is about to be carried out. Raises XapiError, Reset."""
        time.sleep(self.slow.get(method, 0.0))
        if self.hook:
            self.hook(method)
        if method in self.reset_before:
            self.reset_before.remove(method)
            raise Reset(method)
        self.fail_if_wanted(method)

    def fail_if_wanted(self, method: str) -> None:
        """Raises the failure that a test asked for."""
        for failure in self.failures:
            if failure[0] == method:
                self.failures.remove(failure)
                raise failure[1]

    def log_transfer(self, host: str, method: str, vdi: str) -> None:
        """A transfer was let in."""
        self.calls.append(Logged(host, method, (vdi,), ""))

    def after(self, host: str, method: str, given: list[Any], error: str) -> None:
        """A call was carried out. Raises Reset."""
        params = tuple(given if method in SESSIONLESS else given[1:])
        self.calls.append(Logged(host, method, params[:1] if method in SESSIONLESS else params, error))
        if method in self.reset_after:
            self.reset_after.remove(method)
            raise Reset(method)

    def take_import(self) -> ImportFault | None:
        """The fault of the import that begins."""
        fault, self.next_import = self.next_import, None
        return fault

    def take_export(self) -> ImportFault | None:
        """The fault of the export that begins."""
        fault, self.next_export = self.next_export, None
        return fault


def _tuples(fault: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {**fault, "params": tuple(fault.get("params", ()))}
