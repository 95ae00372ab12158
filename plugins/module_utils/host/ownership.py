# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Owner, group and mode: as a task asks for them, and as a file has them."""

from __future__ import annotations

import grp
import pwd
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput

# chown(2): leave it as it is
UNCHANGED = -1

_CLAUSE = re.compile(r"([ugoa]*)([=+-])([rwx]*)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


@dataclass(frozen=True)
class Ownership:
    """Who owns a file, and who may use it.

    :param uid: UNCHANGED gives a new file whatever its folder and process give it; so does ``gid``.
    :param mode: The permission bits.
    """

    uid: int
    gid: int
    mode: int

    def as_dict(self) -> t.Dict[str, str]:
        """To be read: names, or numbers where they have none, and the mode in octal; what is UNCHANGED is left out."""
        shown = {"mode": "%04o" % self.mode}
        if self.uid != UNCHANGED:
            shown["owner"] = _name(lambda: pwd.getpwuid(self.uid).pw_name, self.uid)
        if self.gid != UNCHANGED:
            shown["group"] = _name(lambda: grp.getgrgid(self.gid).gr_name, self.gid)
        return shown


@dataclass(frozen=True)
class Asked:
    """What a task says, None where it says nothing.

    :param owner: A name or a number; ``group``, too.
    :param mode: As chmod(1) takes it (``0640``, ``u=rw,g=r,o=``), or a number.
    """

    owner: t.Optional[str] = None
    group: t.Optional[str] = None
    mode: t.Union[str, int, None] = None

    def of(self, found: Ownership) -> Ownership:
        """What a file shall have that has ``found`` now.

        :raises InvalidInput: there is no such user or group, or the mode is none.
        """
        return Ownership(
            found.uid if self.owner is None else _number("owner", self.owner, lambda name: pwd.getpwnam(name).pw_uid),
            found.gid if self.group is None else _number("group", self.group, lambda name: grp.getgrnam(name).gr_gid),
            found.mode if self.mode is None else _mode(self.mode, found.mode),
        )


def _name(look_up: t.Callable[[], str], number: int) -> str:
    try:
        return look_up()
    except KeyError:
        return str(number)


def _number(option: str, name: str, look_up: t.Callable[[str], int]) -> int:
    try:
        return look_up(name)
    except KeyError:
        if name.isdigit():
            return int(name)
        raise InvalidInput("%s: this host knows no %s" % (option, name)) from None


def _mode(asked: t.Union[str, int], found: int) -> int:
    if isinstance(asked, str) and re.fullmatch(r"[0-7]{1,4}", asked):
        return int(asked, 8)
    if isinstance(asked, int) and not isinstance(asked, bool) and 0 <= asked <= 0o777:
        return asked
    clauses = [_CLAUSE.fullmatch(each) for each in str(asked).split(",")]
    for clause in clauses:
        if clause is None:
            raise InvalidInput("mode: %s is none; write it in quotes, such as '0640' or 'u=rw,g=r,o='" % asked)
        who, operator, rights = clause.groups()
        for each in "ugo" if not who or "a" in who else who:
            bits = sum(_BITS[right] for right in set(rights)) << _SHIFT[each]
            kept = 0 if operator == "=" else found & 7 << _SHIFT[each]
            new = kept & ~bits if operator == "-" else kept | bits
            found = found & ~(7 << _SHIFT[each]) | new
    return found
