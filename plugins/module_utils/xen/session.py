# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pool of XenServer or XCP-ng hosts: one session per task, and calls over it.

``XenAPI``, the hosts' own client, says what a call looks like; how it gets there is done here: with a time limit, with
certificates that are verified, to the pool's master, and **never twice**: a request that may have been carried out is
not sent again.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import socket
import ssl
import threading
import traceback
import typing as t
import urllib.parse
import xml.parsers.expat
import xmlrpc.client

from ansible.module_utils.basic import env_fallback
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, MissingPackage, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import tasks
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import failure

try:
    import XenAPI
except ImportError:
    XenAPI = None
    _IMPORT_ERROR: t.Optional[str] = traceback.format_exc()
else:
    _IMPORT_ERROR = None

TIMEOUT = 60
ORIGINATOR = "bootable.volumes"

# The session that ends, or the host that is master no more, answers so *instead* of doing what was asked.
_NOT_DONE = ("SESSION_INVALID", "HOST_IS_SLAVE")


def xen_spec() -> t.Dict[str, t.Any]:
    """The argument spec of the options that lead to a pool; documented in doc_fragments/xen.py."""
    return {
        "hostname": {"type": "str", "aliases": ["host", "pool"], "fallback": (env_fallback, ["XENSERVER_HOST"])},
        "username": {"type": "str", "aliases": ["user", "admin"], "default": "root", "fallback": (env_fallback, ["XENSERVER_USER"])},
        "password": {"type": "str", "aliases": ["pass", "pwd"], "no_log": True, "fallback": (env_fallback, ["XENSERVER_PASSWORD"])},
        "validate_certs": {"type": "bool", "default": True, "fallback": (env_fallback, ["XENSERVER_VALIDATE_CERTS"])},
        "ca_path": {"type": "path"},
        "api_timeout": {"type": "int", "default": TIMEOUT},
    }


def from_environment(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The options with those that are not given as the environment has them: for who does not get them from Ansible's own hands.

    :raises InvalidInput: a variable makes no sense.
    """
    found = {name: value for name, value in params.items() if value is not None}
    for name, option in xen_spec().items():
        for variable in option.get("fallback", (None, ()))[1]:
            if name not in found and variable in os.environ:
                try:
                    found[name] = boolean(os.environ[variable]) if option["type"] == "bool" else os.environ[variable]
                except TypeError:
                    raise InvalidInput("%s: '%s', from %s, is neither true nor false" % (name, os.environ[variable], variable)) from None
    return found


class Pool:
    """Calls to one pool. Logs in with the first of them; may be used by several threads.

    :param url: ``https://host``, without a path.
    :param context: How TLS connections are made; None for plain ones.
    :param timeout: Seconds for one request.
    """

    def __init__(self, url: str, username: str, password: str, *, context: t.Optional[ssl.SSLContext], timeout: float = TIMEOUT) -> None:
        self._url = url
        self._username = username
        self._password = password
        self.context = context
        self.timeout = timeout
        self._session: t.Optional[str] = None
        self._idle: t.List[_Proxy] = []
        self._lock = threading.RLock()
        self._closed = False

    @classmethod
    def connect(cls, params: t.Mapping[str, t.Any]) -> Pool:
        """The pool that a module's options lead to. Asks nobody yet.

        :raises MissingPackage: XenAPI is not installed on this host.
        :raises InvalidInput: an option is missing, or makes no sense.
        """
        if XenAPI is None:
            raise MissingPackage("XenAPI", _IMPORT_ERROR)
        if not params.get("hostname"):
            raise InvalidInput("hostname: the address of the pool's master is needed, here or in XENSERVER_HOST")
        if params.get("password") is None:
            raise InvalidInput("password: the pool's password is needed, here or in XENSERVER_PASSWORD")
        url = url_of(params["hostname"])
        timeout = TIMEOUT if params.get("api_timeout") is None else params["api_timeout"]
        if timeout < 1:
            raise InvalidInput("api_timeout: %d is below 1" % timeout)
        validate = params.get("validate_certs")
        context = context_of(params.get("ca_path"), validate=validate is None or validate) if url.startswith("https:") else None
        return cls(url, params.get("username") or "root", params["password"], context=context, timeout=timeout)

    # --- who and where ---

    @property
    def address(self) -> str:
        """``host`` or ``host:port`` of the pool's master, as far as it is known."""
        return urllib.parse.urlsplit(self._url).netloc

    @property
    def url(self) -> str:
        """The same with ``https://`` or ``http://`` before it."""
        return self._url

    @property
    def session_id(self) -> str:
        """The session's reference; logs in if there is none. A secret."""
        with self._lock:
            if self._session is None:
                self._log_in()
            return t.cast(str, self._session)

    # --- calls ---

    def call(self, method: str, *args: t.Any) -> t.Any:
        """The answer to one call, such as ``call("VDI.get_record", ref)``; the session is added.

        Numbers of type int have to be given as text, as XAPI has them on the wire; so they come back.

        :raises XenFailure: XAPI refused.
        :raises BackendError: it could not be reached, or did not answer in time. The call may have been carried out.
        """
        return self._call("XAPI refused %s" % method, method, args)

    def read(self, method: str, *args: t.Any, within: t.Optional[Deadline] = None) -> t.Any:
        """``call`` for what writes nothing: asked once more if the connection breaks.

        :param within: Ask again and again, as long as XAPI is silent, for at most two minutes of this.
        """
        clock = within.clock if within else None
        give_up = clock.now() + min(tasks.OUTAGE, within.remaining()) if clock and within else 0.0
        first = True
        while True:
            try:
                return self.call(method, *args)
            except BackendError as error:
                if getattr(error, "code", ""):
                    raise
                if clock is None and not first or clock is not None and clock.now() >= give_up:
                    raise
            if clock and not first:
                clock.sleep(1.0)
            first = False

    def run(self, method: str, *args: t.Any, deadline: Deadline, what: str) -> str:
        """``Async.<method>``, and wait until it is done: for what takes longer than a request may.

        :param what: What it does, to read: ``create the disk web-1``.
        :returns: The result; a reference where the method returns one.
        :raises XenFailure: XAPI refused, or failed.
        :raises TimedOut: it goes on in the pool.
        """
        task = self._call("XAPI did not %s" % what, "Async." + method, args)
        with tasks.destroyed(self, task):
            return tasks.wait(self, task, deadline, what)

    @contextlib.contextmanager
    def task(self, label: str) -> t.Iterator[str]:
        """A new task of XAPI's for a transfer; it is gone at the end of the ``with``."""
        with tasks.destroyed(self, self.create_task(label)) as task:
            yield task

    def create_task(self, label: str) -> str:
        """A new task's reference. The caller destroys it."""
        return t.cast(str, self.call("task.create", label, ORIGINATOR))

    # --- ending ---

    def close(self) -> None:
        """Log out, whatever that says. The next call would log in again."""
        with self._lock:
            if self._session is not None:
                session, self._session = self._session, None
                with contextlib.suppress(VolumesError):
                    self._ask("session.logout", (session,))
            for proxy in self._idle:
                proxy.shut()
            self._idle.clear()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- inside ---

    def _call(self, refusal: str, method: str, args: t.Tuple[t.Any, ...]) -> t.Any:
        session = self.session_id
        answer = self._ask(method, (session,) + args)
        if _code(answer) in _NOT_DONE:
            self._renew(session, answer)
            answer = self._ask(method, (self.session_id,) + args)
        return self._value(answer, refusal)

    def _log_in(self) -> None:
        """Log in to the master, which any host of the pool tells of.

        :raises XenFailure: the user is refused, or the hosts do not agree on who is master.
        """
        for dummy in range(3):
            answer = self._ask("session.login_with_password", (self._username, self._password, "1.0", ORIGINATOR))
            if _code(answer) != "HOST_IS_SLAVE":
                break
            self._turn_to(answer)
        self._session = self._value(answer, "XAPI did not log in %s" % self._username)

    def _renew(self, session: str, answer: t.Mapping[str, t.Any]) -> None:
        """Another session in the place of one that is refused; once, however many threads ask."""
        with self._lock:
            if self._session == session:
                self._session = None
                if _code(answer) == "HOST_IS_SLAVE":
                    self._turn_to(answer)
                self._log_in()

    def _turn_to(self, answer: t.Mapping[str, t.Any]) -> None:
        master = str((list(answer["ErrorDescription"]) + [""])[1])
        scheme = urllib.parse.urlsplit(self._url).scheme
        self._url = url_of("%s://%s" % (scheme, "[%s]" % master if master.count(":") > 1 and "[" not in master else master))

    def _ask(self, method: str, args: t.Tuple[t.Any, ...]) -> t.Mapping[str, t.Any]:
        """One request and its answer, as XAPI wraps it. Sent once.

        :raises BackendError: there is no answer, or it is none of XAPI's.
        """
        proxy = self._take()
        try:
            answer = getattr(proxy.client, method)(*args)
        except xmlrpc.client.ProtocolError as error:
            proxy.shut()
            raise BackendError("%s answered %s with %d %s; is it a XenServer or XCP-ng host?" % (proxy.url, method, error.errcode, error.errmsg)) from None
        except (OSError, http.client.HTTPException) as error:
            proxy.shut()
            raise unreachable(proxy.url, error) from None
        except (xmlrpc.client.Error, xml.parsers.expat.ExpatError, ValueError, TypeError, KeyError, OverflowError) as error:
            proxy.shut()
            raise BackendError("%s: %s cannot be asked, or its answer makes no sense (%s); is it a XenServer or XCP-ng host?"
                               % (proxy.url, method, type(error).__name__)) from None
        except BaseException:
            proxy.shut()
            raise
        self._give_back(proxy)
        if not isinstance(answer, dict) or "Status" not in answer:
            raise BackendError("%s: the answer to %s makes no sense; is it a XenServer or XCP-ng host?" % (proxy.url, method))
        return answer

    def _value(self, answer: t.Mapping[str, t.Any], refusal: str) -> t.Any:
        if answer["Status"] == "Success":
            return answer.get("Value", "")
        raise failure(answer.get("ErrorDescription") or [], refusal, hide=self._session or "")

    def _take(self) -> _Proxy:
        with self._lock:
            while self._idle:
                proxy = self._idle.pop()
                if proxy.url == self._url and not proxy.stale():
                    return proxy
                proxy.shut()
            return _Proxy(self._url, self.context, self.timeout)

    def _give_back(self, proxy: _Proxy) -> None:
        with self._lock:
            self._idle.append(proxy)


class _Transport(xmlrpc.client.Transport):
    """Python's own would send a request again when the connection breaks, and wait for ever."""

    def __init__(self, context: t.Optional[ssl.SSLContext], timeout: float) -> None:
        super().__init__(use_builtin_types=False)
        self._context = context
        self._timeout = timeout
        self.user_agent = ORIGINATOR

    def make_connection(self, host: t.Any) -> http.client.HTTPConnection:
        if self._connection and host == self._connection[0]:
            return t.cast(http.client.HTTPConnection, self._connection[1])
        connection: http.client.HTTPConnection
        if self._context is None:
            connection = http.client.HTTPConnection(host, timeout=self._timeout)
        else:
            connection = http.client.HTTPSConnection(host, timeout=self._timeout, context=self._context)
        self._connection = host, connection
        return connection

    def request(self, host: t.Any, handler: str, request_body: t.Any, verbose: bool = False) -> t.Any:
        return self.single_request(host, handler, request_body, verbose)

    @property
    def socket(self) -> t.Optional[socket.socket]:
        """The open connection's."""
        connection = self._connection[1] if self._connection else None
        return getattr(connection, "sock", None)


class _Proxy:
    """A connection that is kept for the next call."""

    def __init__(self, url: str, context: t.Optional[ssl.SSLContext], timeout: float) -> None:
        self.url = url
        self._transport = _Transport(context, timeout)
        self.client = XenAPI.Session(url + "/", transport=self._transport)

    def stale(self) -> bool:
        """Whether the other side has hung up meanwhile: then there is something to read, its end."""
        sock = self._transport.socket
        return sock is not None and bool(select.select([sock], [], [], 0)[0])

    def shut(self) -> None:
        """Hang up."""
        self._transport.close()


def _code(answer: t.Mapping[str, t.Any]) -> str:
    """The code of a failure; empty for a success."""
    return str((answer.get("ErrorDescription") or [""])[0]) if answer.get("Status") != "Success" else ""


def url_of(hostname: str) -> str:
    """``https://host`` for a bare host; a plain connection has to be asked for in full.

    :raises InvalidInput: it is no host, and no http or https address.
    """
    text = hostname.strip()
    if "://" not in text:
        text = "https://" + ("[%s]" % text if text.count(":") > 1 and "[" not in text else text)
    text = text[:-1] if text.endswith("/") else text
    try:
        parts = urllib.parse.urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and not parts.path and not parts.query and "@" not in parts.netloc
        parts.port  # noqa: B018 - raises when it is no number
    except ValueError:
        good = False
    if not good:
        raise InvalidInput("hostname: give a host such as xen1.example.com, or an address such as https://xen1.example.com, without anything after it")
    return text


def context_of(ca_path: t.Optional[str], *, validate: bool) -> ssl.SSLContext:
    """How TLS connections are made.

    :param ca_path: A file with certificates to trust, in place of the system's.
    :raises InvalidInput: the file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=ca_path or None)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput("ca_path: no certificates can be read from %s: %s" % (ca_path, getattr(error, "strerror", None) or "it has none")) from error
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def unreachable(url: str, error: BaseException) -> BackendError:
    """The error for a connection that could not be made, or broke."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return BackendError(
            "the certificate of %s cannot be verified: %s; name a file with the certificate of its authority in ca_path, "
            "and the host as the certificate does in hostname" % (url, error.verify_message))
    if isinstance(error, socket.timeout):
        return BackendError("%s did not answer in time; check hostname, that it is up, and api_timeout" % url)
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return BackendError("%s cannot be reached, or hung up: %s; check hostname, and that it is up" % (url, words))
