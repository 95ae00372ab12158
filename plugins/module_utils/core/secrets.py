# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must not be shown: told by the names of options, and by the form of URLs."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import unquote

HIDDEN = "********"

# How the names of options end whose values are secret. Covers what Keystone's plugins take, and every option that Cinder's,
# Glance's and Keystone's own lists declare secret, user names and paths among them, but for URLs: their credentials are found by form.
_SECRET = re.compile(
    r"(pass(word|wd|code|phrase)?|secret(_id)?|token(_id)?|keys?|jwt|(credential|role)_id|swift_store_user|replication_device|netapp_\w+_file)$",
    re.IGNORECASE)

# user:password@ of a URL; up to the last @, because a password may have one in it and a URL several hosts. host:port/ is none.
_CREDENTIALS = re.compile(r"(://[^:@/]*:)(?!\d+/)(.*)(@)", re.DOTALL)

# One of several hosts: rabbit://me:one@first,me:two@second
_EACH = re.compile(r":([^:@/,]+)@")

# What a switch is set to, such as send_service_user_token, hides nothing, and would hide too much.
_NO_SECRETS = frozenset(("", "true", "false", "yes", "no", "on", "off", "none", "null"))


def is_secret(option: str) -> bool:
    """Whether an option's name says that its value must not be shown."""
    return bool(_SECRET.search(option.replace("-", "_")))


def without_secrets(option: str, value: str) -> str:
    """An option's value as it may be shown."""
    if is_secret(option) and value.lower() not in _NO_SECRETS:
        return HIDDEN
    return _CREDENTIALS.sub(r"\1%s\3" % HIDDEN, value)


def secrets_in(params: t.Mapping[str, t.Any]) -> t.Set[str]:
    """What must not be shown of a module's options, beyond those that say so themselves.

    A cloud given as a dict has passwords in it, and so have a service's settings; a URL may have one, too.
    """
    found: t.Set[str] = set()
    for name, value in params.items():
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(each, dict):
                found |= secrets_in(each)
            elif isinstance(each, (str, int, float)) and not isinstance(each, bool):
                found |= _secrets_of(name, str(each))
    return found


def _secrets_of(name: str, value: str) -> t.Set[str]:
    if is_secret(name):
        return set() if value.lower() in _NO_SECRETS else {value}
    found = set()
    match = _CREDENTIALS.search(value)
    if match:
        for password in [match.group(2)] + _EACH.findall(value):
            found |= {password, unquote(password)}
    return found - {""}
