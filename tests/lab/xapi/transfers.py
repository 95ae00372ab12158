"""Raw VDI imports and exports, as far as the objects are concerned: who may, what is locked, how the task ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from . import storage
from .faults import EXPORT, IMPORT
from .ports import ImportFault, XapiError
from .schema import NULL, ROLES

if TYPE_CHECKING:
    from .pool import Pool

LEAST_ROLE = "vm-admin"
BASIC = "basic authentication"  # originator of the sessions that last for one transfer


def authorise(pool: Pool, session: str | None, user: str | None, password: str | None) -> str:
    """The session that a transfer acts in. Raises SESSION_INVALID, SESSION_AUTHENTICATION_FAILED, RBAC_PERMISSION_DENIED."""
    if session is None and user is None:
        raise XapiError("SESSION_INVALID", "")
    if session is not None:
        pool.sessions.check(session)
    else:
        session = pool.sessions.login(user or "", password or "", BASIC)
    if ROLES.index(pool.sessions.role(session)) < ROLES.index(LEAST_ROLE):
        raise XapiError("RBAC_PERMISSION_DENIED", "http/put_import_raw_vdi", "No permission in user session")
    return session


class RawTransfer:
    """A transfer that was let in; see ports.Transfer."""

    def __init__(
        self, pool: Pool, host: str, session: str, ref: str, *, writes: bool, base: str | None, task: str, fault: ImportFault | None
    ) -> None:
        row = pool.database.row("VDI", ref)
        self._pool, self._host, self._session, self._writes = pool, host, session, writes
        self.vdi, self.vdi_ref, self.size = row["uuid"], ref, row["virtual_size"]
        self.base = pool.database.row("VDI", base)["uuid"] if base else None
        self.task = task
        self.zeroed = storage.zeroed(pool, row["SR"])
        self.fault = fault
        self._vbd = ""
        self._refusal: XapiError | None = None
        pool.tasks.begin(task)
        try:
            self._attach()
        except XapiError as error:
            self._refusal = error

    def _attach(self) -> None:
        """The host's control domain takes the disk, as it does to read or write it."""
        database = self._pool.database
        row = database.row("VDI", self.vdi_ref)
        storage.assert_plugged(self._pool, row["SR"])
        if not row["managed"] and self._writes:
            raise XapiError("VDI_NOT_MANAGED", self.vdi_ref)
        if row["read_only"] and self._writes:
            raise XapiError("VDI_READONLY", self.vdi_ref)
        storage.assert_attachable(self._pool, self.vdi_ref, writes=self._writes)
        dom0 = database.row("host", database.by_uuid("host", self._host))["control_domain"]
        taken = {database.row("VBD", vbd)["userdevice"] for vbd in database.find("VBD", VM=dom0)}
        device = next(str(number) for number in range(256) if str(number) not in taken)
        self._vbd = database.create(
            "VBD", VM=dom0, VDI=self.vdi_ref, userdevice=device, device=f"sm/backend/{self.vdi}", mode="RW" if self._writes else "RO",
            type="Disk", currently_attached=True, unpluggable=True,
        )

    def _detach(self) -> None:
        with self._pool.lock:
            self._pool.database.destroy("VBD", self._vbd)
            storage.refresh(self._pool, self.vdi_ref)
            session = self._session
            if self._pool.database.exists("session", session):
                if self._pool.database.row("session", session)["originator"] == BASIC:
                    self._pool.sessions.logout(session)

    def room(self) -> int:
        """Bytes that the SR can still take."""
        with self._pool.lock:
            return storage.room_for_writes(self._pool, self._pool.database.row("VDI", self.vdi_ref)["SR"])

    def progress(self, part: float) -> None:
        """0.0 to 1.0. Raises XapiError: the task was cancelled, or the VDI could not be had."""
        if self._refusal:
            raise self._refusal
        with self._pool.lock:
            self._pool.tasks.progress(self.task, part)

    def finish(self) -> None:
        """Success, unless a fault was asked for, or the VDI could not be had: then it fails the task, and raises."""
        if self.fault:
            time.sleep(self.fault.delay)
        try:
            self.progress(1.0)
            if self.fault and self.fault.code:
                raise XapiError(self.fault.code, *self.fault.params)
        except XapiError as error:
            self.fail(error.code, *error.params)
            raise
        self._detach()
        with self._pool.lock:
            self._pool.tasks.succeed(self.task, f"<value>{self.vdi_ref}</value>" if self._writes else "")

    def fail(self, code: str, *params: str) -> None:
        """Failure."""
        self._detach()
        with self._pool.lock:
            self._pool.tasks.fail(self.task, XapiError(code, *params))


def start(pool: Pool, host: str, session: str, vdi: str, *, writes: bool, base: str | None, task: str | None) -> RawTransfer:
    """Lets a transfer in. Raises UUID_INVALID, HANDLE_INVALID: then the caller's task stays as it is."""
    ref = pool.database.either("VDI", vdi)
    below = pool.database.either("VDI", base) if base and base != NULL else None
    if task:
        work = pool.database.either("task", task)
    else:
        work = pool.tasks.create("VDI import" if writes else "VDI export", "")
    fault = pool.faults.take_import() if writes else pool.faults.take_export()
    pool.faults.log_transfer(host, IMPORT if writes else EXPORT, pool.database.row("VDI", ref)["uuid"])
    return RawTransfer(pool, host, session, ref, writes=writes, base=below, task=work, fault=fault)


def serving(pool: Pool, host: str, vdi: str) -> str | None:
    """None if a host has the VDI's SR plugged, else one that has. Raises SR_HAS_NO_PBDS and what a wrong name raises."""
    database = pool.database
    sr = database.row("VDI", database.either("VDI", vdi))["SR"]
    hosts = [database.row("host", found)["uuid"] for found in storage.hosts_of(pool, sr)]
    if not hosts:
        raise XapiError("SR_HAS_NO_PBDS", sr)
    return None if host in hosts else hosts[0]
