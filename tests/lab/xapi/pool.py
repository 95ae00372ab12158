"""The pool: everything that is inside the simulator, held together. What HTTP needs of it is ports.Front."""

from __future__ import annotations

import threading
from typing import Any

from . import events, rpc, transfers, values, world
from .classes import compute, power
from .database import Database
from .faults import Faults
from .ports import DiskStore, GuestEvent, Guests, HostEnd, XapiError
from .sessions import Sessions, User
from .tasks import Tasks

REGISTERED = (events,)
"""Imported for the messages they handle."""

USERS = {
    "root": User("xenroot", "pool-admin"),
    "operator": User("operator", "vm-operator"),
    "reader": User("reader", "read-only"),
}


class Pool:
    """Two hosts, their storage, networks and templates; see `world`. Thread-safe: one lock for everything."""

    def __init__(self, store: DiskStore, guests: Guests, *, users: dict[str, User] | None = None) -> None:
        self.lock = threading.RLock()
        self.store = store
        self.guests = guests
        self.database = Database(self.lock)
        self.sessions = Sessions(self, dict(users or USERS))
        self.tasks = Tasks(self)
        self.faults = Faults(self)
        self.master = ""  # uuid of a host
        self.world: world.World
        self._addresses: dict[str, str] = {}
        self._starts: dict[str, int] = {}
        self._timers: set[threading.Timer] = set()
        self._closed = False
        compute.register(self.database)
        with self.lock:
            self.world = world.build(self)

    # --- the Front ---

    def hosts(self) -> list[HostEnd]:
        """All hosts, in the order in which they were made."""
        with self.lock:
            return [HostEnd(row["uuid"], row["name_label"], row["uuid"] == self.master) for dummy, row in self.database.items("host")]

    def set_address(self, host: str, address: str) -> None:
        """Where a host listens."""
        with self.lock:
            self._addresses[host] = address
            self.database.set("host", self.database.by_uuid("host", host), address=address)

    def address(self, host: str) -> str:
        """Where a host listens."""
        return self._addresses.get(host, "")

    def set_master(self, host: str) -> None:
        """Another host becomes the master. It knows no sessions."""
        ref = self.database.by_uuid("host", host)
        self.master = host
        for pool in self.database.refs("pool"):
            self.database.set("pool", pool, master=ref)
        self.sessions.expire()

    def xmlrpc(self, host: str, body: bytes) -> bytes:
        """The answer to an XML-RPC body. Raises ValueError, Reset."""
        return rpc.xmlrpc_answer(self, host, body)

    def jsonrpc(self, host: str, body: bytes) -> bytes:
        """The answer to a JSON-RPC body. Raises ValueError, Reset."""
        return rpc.jsonrpc_answer(self, host, body)

    def call(self, host: str, session: str | None, method: str, params: list[Any]) -> Any:
        """One call, without the wire. Raises XapiError, Reset."""
        return rpc.dispatch(self, host, method, params if session is None else [session, *params], values.JSON)

    def authorise(self, host: str, *, session: str | None = None, user: str | None = None, password: str | None = None) -> str:
        """The session that an HTTP request acts in."""
        with self.lock:
            return transfers.authorise(self, session, user, password)

    def serves(self, host: str, vdi: str) -> str | None:
        """None if a host has the SR of a VDI plugged, else one that has."""
        with self.lock:
            return transfers.serving(self, host, vdi)

    def start_import(self, host: str, session: str, vdi: str, *, task: str | None = None) -> transfers.RawTransfer:
        """Lets an import in."""
        with self.lock:
            return transfers.start(self, host, session, vdi, writes=True, base=None, task=task)

    def start_export(
        self, host: str, session: str, vdi: str, *, base: str | None = None, task: str | None = None
    ) -> transfers.RawTransfer:
        """Lets an export in."""
        with self.lock:
            return transfers.start(self, host, session, vdi, writes=False, base=base, task=task)

    def fail_task(self, task: str, error: XapiError) -> None:
        """A transfer was refused, and the task (ref or uuid) that was to tell of it fails. Raises what a wrong name raises."""
        with self.lock:
            self.tasks.fail(self.database.either("task", task), error)

    def close(self) -> None:
        """Stops all guests."""
        with self.lock:
            self._closed = True
            timers = list(self._timers)
            running = [row["uuid"] for dummy, row in self.database.items("VM") if row["power_state"] == "Running"]
            for timer in timers:
                timer.cancel()
            for uuid in running:
                self.guests.stop(uuid)

    # --- guests ---

    def start_guest(self, vm: str) -> None:
        """Hands a machine (ref) to Guests. Raises OSError."""
        uuid = self.database.row("VM", vm)["uuid"]
        number = self._starts[uuid] = self._starts.get(uuid, 0) + 1

        def report(event: GuestEvent) -> None:
            with self.lock:
                if self._starts.get(uuid) == number and not self._closed:
                    power.reported(self, vm, event)

        self.guests.start(uuid, power.guest_of(self, vm), report)

    def stop_guest(self, vm: str) -> None:
        """Takes it back."""
        uuid = self.database.row("VM", vm)["uuid"]
        self._starts[uuid] = self._starts.get(uuid, 0) + 1
        self.guests.stop(uuid)

    def later(self, seconds: float, vm: str, work: Any) -> None:
        """Calls work() after some seconds, under the lock, unless the machine was stopped or started again by then."""
        uuid = self.database.row("VM", vm)["uuid"]
        number = self._starts.get(uuid)
        if seconds <= 0:
            work()
            return

        def due() -> None:
            with self.lock:
                self._timers.discard(timer)
                if self._starts.get(uuid) == number and not self._closed:
                    work()

        timer = threading.Timer(seconds, due)
        timer.daemon = True
        self._timers.add(timer)
        timer.start()
