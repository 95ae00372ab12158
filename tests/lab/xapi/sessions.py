"""Who may do what: users, their roles, and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import values
from .ports import XapiError
from .registry import Call, handles

if TYPE_CHECKING:
    from .pool import Pool


@dataclass(frozen=True)
class User:
    """Somebody who may log in."""

    password: str
    role: str  # one of schema.ROLES


class Sessions:
    """All sessions of the pool. Every method wants the pool's lock to be held."""

    def __init__(self, pool: Pool, users: dict[str, User]) -> None:
        self._pool = pool
        self.users = users

    def login(self, name: str, password: str, originator: str = "") -> str:
        """A new session. Raises SESSION_AUTHENTICATION_FAILED."""
        user = self.users.get(name)
        if user is None or user.password != password:
            raise XapiError("SESSION_AUTHENTICATION_FAILED", name, "Authentication failure")
        time = values.now()
        return self._pool.database.create(
            "session", auth_user_name=name, originator=originator, is_local_superuser=user.role == "pool-admin",
            this_host=self._pool.database.by_uuid("host", self._pool.master), last_active=time, validation_time=time,
        )

    def check(self, session: str) -> None:
        """Raises SESSION_INVALID."""
        if not self._pool.database.exists("session", session):
            raise XapiError("SESSION_INVALID", session)

    def role(self, session: str) -> str:
        """Of the user whose session it is."""
        return self.users[self._pool.database.row("session", session)["auth_user_name"]].role

    def logout(self, session: str) -> None:
        """Ends a session, if it is there."""
        self._pool.database.destroy("session", session)

    def expire(self) -> None:
        """Ends all sessions."""
        for session in self._pool.database.refs("session"):
            self.logout(session)


@handles("session.login_with_password")
def login(call: Call, name: str, password: str, version: str = "", originator: str = "") -> str:
    """A new session."""
    return call.pool.sessions.login(name, password, originator)


@handles("session.slave_local_login_with_password")
def local_login(call: Call, name: str, password: str) -> str:
    """A session with one host."""
    return call.pool.sessions.login(name, password)


@handles("session.logout", "session.local_logout")
def logout(call: Call) -> None:
    """Ends the session that asks."""
    call.pool.sessions.logout(call.session)
