"""What the simulator's two halves know of each other.

Inside: the schema, the RPC, the objects and their life cycles (`pool.Pool`). Outside: HTTP, the bytes of the disks,
and the guests. The outside is handed to the inside as a DiskStore and as Guests; the outside calls the inside through
a Front. All names are uuids unless something is called a ref.

Values are Python's own: str (also references, enums and dates), int, bool, float, list (sets), dict (maps and records);
None stands for "void". What they look like on the wire is the business of `values.py`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

REQUEST_LIMIT = 300 * 1024
"""The longest body of a call, in bytes; a longer one is refused by the HTTP server."""


class XapiError(Exception):
    """A failure as XAPI tells it: a code and its parameters."""

    def __init__(self, code: str, *params: str) -> None:
        super().__init__(code, *params)
        self.code = code
        self.params = list(params)

    @property
    def description(self) -> list[str]:
        """ErrorDescription, or a task's error_info."""
        return [self.code, *self.params]


class Reset(Exception):
    """The call was carried out, and now the connection shall be cut without an answer (a fault that a test asked for)."""


# --- what the inside asks of the outside ---


class DiskStore(Protocol):
    """The bytes of VDIs. Calls come one at a time, under the pool's lock; an OSError becomes the VDI's SR error."""

    def create(self, uuid: str, size: int) -> None:
        """A new disk of zeroes."""

    def destroy(self, uuid: str) -> None:
        """Gone, if it was there; layers that nothing needs any more go, too."""

    def resize(self, uuid: str, size: int) -> None:
        """Larger, the new part reads as zeroes."""

    def layer(self, leaf: str, twin: str | None, base: str) -> None:
        """The leaf's data becomes the disk `base`; the leaf, and the new disk `twin` if there is one, are empty children of it.

        A guest that runs on the leaf goes on to do so: what it has written until now is part of the base.
        """

    def copy(self, source: str, target: str) -> None:
        """`target` is a new disk, in full, with the content of `source`."""

    def allocated(self, uuid: str) -> int:
        """Bytes that this disk itself takes up, without the layers below it."""


@dataclass(frozen=True)
class GuestDisk:
    """A VBD of a machine as its guest sees it."""

    vdi: str
    device: int  # userdevice: 0 is the first
    bootable: bool
    read_only: bool
    cd: bool


@dataclass(frozen=True)
class Guest:
    """What is needed to start a machine."""

    name: str
    disks: tuple[GuestDisk, ...]
    memory: int  # bytes
    vcpus: int
    hvm: bool  # False: PV, boots from the bootable disk only
    firmware: str  # bios or uefi
    boot_order: str  # e.g. "cd": c disk, d CD, n network
    macs: tuple[str, ...]  # by device


class GuestEvent(enum.Enum):
    """What a guest does by itself."""

    BOOTED = "booted"  # its marker appeared: it is up, tools and all
    ENDED = "ended"  # it stopped or could not boot
    REBOOTED = "rebooted"


Report = Callable[[GuestEvent], None]


class Guests(Protocol):
    """Machines that run. Reports may come from any thread, also from within `start`.

    The pool's lock is held during start and stop: neither may wait for a thread that reports.
    """

    def start(self, vm: str, guest: Guest, report: Report) -> None:
        """Starts it and comes back at once. A machine that cannot be started raises OSError."""

    def stop(self, vm: str) -> None:
        """Ended and its disks let go when this returns; no report follows. One that does not run is fine."""

    def running(self, vm: str) -> bool:
        """Whether it has not ended."""


# --- what the outside calls ---


@dataclass(frozen=True)
class ImportFault:
    """What shall go wrong with a transfer."""

    after: int | None = None  # bytes after which the connection is cut
    code: str = ""  # the task fails with this once the body is read
    params: tuple[str, ...] = ()
    delay: float = 0.0  # seconds before the task ends


@dataclass(frozen=True)
class HostEnd:
    """A host as HTTP sees it."""

    uuid: str
    name: str
    master: bool


class Transfer(Protocol):
    """A raw VDI import or export that was let in: the 200 may be sent. End it by finish or fail, whatever happens.

    Until then the VDI is locked (in current_operations, attached to dom0), so that it cannot be destroyed.
    """

    vdi: str  # uuid, the key for the DiskStore
    vdi_ref: str
    size: int  # virtual size in bytes
    base: str | None  # uuid of the VDI to differ from (export)
    task: str  # ref; goes into the `task-id` header
    zeroed: bool  # whether the SR's new disks read as zeroes
    fault: ImportFault | None

    def room(self) -> int:
        """Bytes that the SR can still take. A write that needs more fails."""

    def progress(self, part: float) -> None:
        """0.0 to 1.0. Raises XapiError TASK_CANCELLED if the task was cancelled."""

    def finish(self) -> None:
        """Success: the result of an import is the VDI's reference."""

    def fail(self, code: str, *params: str) -> None:
        """Failure, e.g. VDI_IO_ERROR, "Device I/O errors"."""


class Front(Protocol):
    """`pool.Pool` as the HTTP server sees it. Each of these may raise XapiError."""

    faults: Any  # faults.Faults: attributes to set, and `command(dict) -> value` for POST /simulator

    def hosts(self) -> list[HostEnd]:
        """All hosts, the master first at the start; who is master can change."""

    def set_address(self, host: str, address: str) -> None:
        """Where a host listens, "127.0.0.1:port": HOST_IS_SLAVE and redirects name it."""

    def address(self, host: str) -> str:
        """As set_address set it."""

    def xmlrpc(self, host: str, body: bytes) -> bytes:
        """The answer to an XML-RPC body. Raises Reset (cut the connection) and ValueError (no XML-RPC: 500, as the real one)."""

    def jsonrpc(self, host: str, body: bytes) -> bytes:
        """The answer to a JSON-RPC body (1.0 and 2.0). Raises as xmlrpc does."""

    def call(self, host: str, session: str | None, method: str, params: list[Any]) -> Any:
        """One call, as RPC makes it, without the wire. `session` is None for the few methods that take none."""

    def authorise(self, host: str, *, session: str | None = None, user: str | None = None, password: str | None = None) -> str:
        """The session that an HTTP request acts in, by session_id or else by Basic's user and password.

        Raises SESSION_INVALID, SESSION_AUTHENTICATION_FAILED (401), RBAC_PERMISSION_DENIED (403: it may not move disks).
        """

    def serves(self, host: str, vdi: str) -> str | None:
        """None if `host` has the SR of a VDI (ref or uuid) plugged; else the uuid of one that has.

        Raises UUID_INVALID/HANDLE_INVALID for a VDI that does not exist (500) and SR_HAS_NO_PBDS.
        """

    def start_import(self, host: str, session: str, vdi: str, *, task: str | None = None) -> Transfer:
        """Lets an import in. `vdi` and `task` are refs or uuids; without a task one is made. Raises nothing about the state:

        that the VDI is in use, read-only or unmanaged, comes after the 200 and fails the task at once: then `finish` or the
        first `progress` raises it.
        """

    def start_export(self, host: str, session: str, vdi: str, *, base: str | None = None, task: str | None = None) -> Transfer:
        """The same for an export."""

    def fail_task(self, task: str, error: XapiError) -> None:
        """A transfer was refused, and the task (ref or uuid) that was to tell of it fails."""

    def close(self) -> None:
        """Stops all guests."""
