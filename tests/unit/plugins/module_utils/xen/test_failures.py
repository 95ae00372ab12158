# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import re

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, NoRoom, NotFound
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import BY_CODE, XenDenied, XenFailure, XenInUse, XenNoRoom, failure

FACTS = pathlib.Path(__file__).absolute().parents[6] / "shared" / "facts" / "xapi-errors.json"


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_line_of_the_table(code: str) -> None:
    known = BY_CODE[code]
    assert issubclass(known.kind, XenFailure)
    assert known.words and not known.words[0].isupper() and not known.words.endswith(".")
    found = failure([code, "one", "two", "three", "four"], "XAPI refused VDI.create")
    assert found.__class__ is known.kind and found.code == code and found.details["xapi_error"] == code
    assert found.message.startswith("XAPI refused VDI.create: ") and code in found.message and "{" not in found.message
    assert failure([code], "XAPI refused it").message  # fewer parameters than the words have places for


@pytest.mark.skipif(not FACTS.exists(), reason="XAPI's own list of errors is not at hand")
@pytest.mark.parametrize("code", sorted(set(BY_CODE) - {"VDI_IO_ERROR"}))  # which it raises without having it in its list
def test_xapi_knows_every_code_and_has_the_parameters_that_the_words_use(code: str) -> None:
    # the numbers are the storage manager's
    parameters = json.loads(FACTS.read_text())["SR_BACKEND_FAILURE" if code.startswith("SR_BACKEND_FAILURE") else code]
    used = [int(number) for number in re.findall(r"\{(\d)\}", BY_CODE[code].words + BY_CODE[code].advice)]
    assert max(used, default=-1) < len(parameters)


@pytest.mark.parametrize("code, kinds", [
    ("SR_FULL", (XenNoRoom, NoRoom)), ("VDI_IN_USE", (XenInUse, InUse)), ("HANDLE_INVALID", (NotFound,)), ("RBAC_PERMISSION_DENIED", (XenDenied,)),
])
def test_they_are_what_others_look_for(code: str, kinds: tuple) -> None:  # type: ignore[type-arg]
    for kind in (*kinds, BackendError):
        assert isinstance(failure([code, "x"], "y"), kind)


def test_what_is_not_known_is_told_in_xapis_own_words() -> None:
    found = failure(["SOMETHING_NEW", "a", "", "b"], "XAPI refused it")
    assert found.__class__ is XenFailure and found.params == ["a", "", "b"]
    assert found.message == "XAPI refused it: SOMETHING_NEW [a, b]"
    assert failure([], "XAPI refused it").message == "XAPI refused it: UNKNOWN"


def test_no_session_is_told() -> None:
    secret = "OpaqueRef:0123"
    for description in (["SESSION_INVALID", secret], ["INTERNAL_ERROR", "with %s in it" % secret], ["HANDLE_INVALID", "session", secret]):
        found = failure(description, "XAPI refused it", hide=secret)
        assert secret not in found.message and secret not in str(found.params) + str(found.details)


def test_several_can_be_told_as_one_of_their_kind() -> None:
    """As operations/troubles.py does."""
    first = failure(["VDI_IN_USE", "x"], "y")
    assert type(first)("both", **first.details).details == {"xapi_error": "VDI_IN_USE"}
