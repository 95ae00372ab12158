# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the clients raise, in this collection's terms and with the service's own words.

The clients are told by the package that defines their exceptions, so that none has to be imported here.
"""

from __future__ import annotations

import contextlib
import html
import re
import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import (
    BackendError, InUse, InvalidInput, NoRoom, NotFound, VolumesError,
)


class Denied(BackendError):
    """The credentials are refused (401), or do not allow what was asked for (403)."""


# What an HTTP status stands for; all others are a BackendError. Cinder says 413 when a quota is used up.
BY_STATUS: t.Mapping[int, t.Type[VolumesError]] = {
    400: InvalidInput,
    401: Denied,
    403: Denied,
    404: NotFound,
    409: InUse,
    413: NoRoom,
}

# What keystoneauth and openstack.config raise before any service is asked, by the name of the class or a base of it.
# The advice names the option; the error's own words precede it.
BY_NAME: t.Mapping[str, t.Tuple[t.Type[VolumesError], str]] = {
    "SSLError": (BackendError, "check ca_cert, client_cert and validate_certs"),
    "DiscoveryFailure": (BackendError, "check auth.auth_url"),
    "ConnectFailure": (BackendError, "check auth.auth_url and that the service is up"),
    "ConnectTimeout": (BackendError, "check auth.auth_url, that the service is up, and api_timeout"),
    "CommunicationError": (BackendError, "check that the service is up"),
    "InvalidEndpoint": (BackendError, "check that the service is up, and api_timeout"),
    "EndpointNotFound": (NotFound, "check region_name and interface, and that the cloud offers this service"),
    "Unauthorized": (Denied, "check auth, or the cloud's entry in clouds.yaml"),
    "MissingAuthMethods": (Denied, "the account wants more than one factor; use an application credential"),
    "MissingRequiredOptions": (InvalidInput, "give cloud, auth or the OS_* variables"),
    "MissingAuthPlugin": (InvalidInput, "give cloud, auth or the OS_* variables"),
    "NoMatchingPlugin": (InvalidInput, "check auth_type"),
    "ConfigException": (InvalidInput, "check cloud, region_name and clouds.yaml"),
    "OptionError": (InvalidInput, "check auth and auth_type"),
}

_CLIENTS = ("keystoneauth1", "cinderclient", "glanceclient", "openstack", "os_client_config", "requests", "urllib3")
# What requests wraps around the one thing that matters: HTTPConnectionPool(…): … (Caused by …("…: [Errno 111] Connection refused"))
_WRAPPED = re.compile(r"HTTPS?ConnectionPool\(.*(?:\[Errno -?\d+\] |\[SSL[^\]]*\] |Caused by \w+\()([^'\")(]+).*$")
_TITLE = re.compile(r"^(HTTP )?\d{3} [A-Z][A-Za-z ]+: ")
_SECRET = re.compile(r"(://[^/@\s:]+:)[^/@\s]+@|((?:password|secret|token)['\"]?\s*[:=]\s*)(['\"]?)[^\s'\",}]+\3", re.IGNORECASE)


@contextlib.contextmanager
def translated(service: str, doing: str) -> t.Iterator[None]:
    """Turn what a client raises inside the ``with`` into a VolumesError; mistakes of our own pass as they are.

    :param service: ``Cinder``, ``Glance``, ``Keystone``.
    :param doing: What was asked of it, as in ``Cinder did not <create volume web-1>: …``.
    """
    try:
        yield
    except VolumesError:
        raise
    except Exception as error:
        ours = translate(error, service, doing)
        if ours is None:
            raise
        raise ours from error


def translate(error: Exception, service: str, doing: str) -> t.Optional[VolumesError]:
    """The VolumesError for what a client raised; None when it was not raised by a client."""
    if type(error).__module__.partition(".")[0] not in _CLIENTS and not isinstance(error, OSError):
        return None
    status = _status_of(error)
    words = _words_of(error)
    if status:
        kind = BY_STATUS.get(status, BackendError)
        if status == 401:
            words += "; check auth, or the cloud's entry in clouds.yaml"
        return kind("%s did not %s: %s (HTTP %d)" % (service, doing, words, status), http_status=status)
    for base in type(error).__mro__:
        if base.__name__ in BY_NAME:
            kind, advice = BY_NAME[base.__name__]
            return kind("%s: could not %s: %s; %s" % (service, doing, words, advice))
    return BackendError("%s: could not %s: %s" % (service, doing, words))


def _status_of(error: Exception) -> t.Optional[int]:
    """The HTTP status that a client's exception stands for: cinderclient and glanceclient call it code, keystoneauth http_status."""
    for attribute in ("http_status", "code", "status_code"):
        status = getattr(error, attribute, None)
        if isinstance(status, int) and 300 <= status < 600:
            return status
    return None


def _words_of(error: Exception) -> str:
    """The service's own words, on one line, without titles and secrets."""
    words = _from_body(error) or getattr(error, "message", None) or getattr(error, "details", None) or str(error)
    line = " ".join(html.unescape(str(words)).split())
    line = _WRAPPED.sub(lambda match: match.group(1).strip(), _TITLE.sub("", line))
    line = _SECRET.sub(lambda match: "%s***%s" % (match.group(1) or match.group(2), "@" if match.group(1) else ""), line)
    return line.rstrip(" .:") or type(error).__name__


def _from_body(error: Exception) -> t.Optional[str]:
    """What a service's JSON says; keystoneauth does not read Cinder's and Glance's shape: ``{"badRequest": {"message": …}}``."""
    response = getattr(error, "response", None)
    if response is None or not type(error).__module__.startswith("keystoneauth1"):
        return None
    try:
        body = response.json()
    except ValueError:
        return None
    for part in body.values() if isinstance(body, dict) else ():
        if isinstance(part, dict) and part.get("message"):
            return str(part["message"])
    return None
