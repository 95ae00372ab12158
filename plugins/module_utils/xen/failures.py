# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What XAPI answers when it refuses, in this collection's terms.

XAPI tells a failure as a list: a code, and parameters. The codes that people meet are in a table, with words and advice.
"""

from __future__ import annotations

import typing as t

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InUse, InvalidInput, NoRoom, NotFound


class XenFailure(BackendError):
    """XAPI refused, or a task of it failed.

    :param code: XAPI's code, such as ``VDI_IN_USE``.
    :param params: What came with it.
    """

    def __init__(self, message: str, *, code: str = "", params: t.Sequence[str] = (), **details: t.Any) -> None:
        super().__init__(message, **details)
        self.code = code
        self.params = list(params)
        if code:
            self.details.setdefault("xapi_error", code)


class XenDenied(XenFailure):
    """The user is refused, or may not do what was asked for."""


class XenNotFound(XenFailure, NotFound):
    """XAPI does not know an object."""


class XenInUse(XenFailure, InUse):
    """Something holds the object."""


class XenNoRoom(XenFailure, NoRoom):
    """The storage repository, or a host, has no room."""


class XenInvalid(XenFailure, InvalidInput):
    """XAPI takes a value for a mistake."""


class Known(t.NamedTuple):
    """What is known of a code.

    :param kind: The error that it becomes.
    :param words: What it means; ``{0}`` is its first parameter.
    :param advice: What to do; empty where that goes without saying.
    """

    kind: t.Type[XenFailure]
    words: str
    advice: str = ""


_ROOM = "make room in the storage repository, or name another one with sr"

BY_CODE: t.Mapping[str, Known] = {
    # who asks
    "SESSION_AUTHENTICATION_FAILED": Known(XenDenied, "the user name or the password is wrong", "check username and password"),
    "SESSION_AUTHORIZATION_FAILED": Known(XenDenied, "the user {0} has no role in this pool", "give it one, or use another username"),
    "SESSION_INVALID": Known(XenDenied, "the session has ended", "run the task again"),
    "RBAC_PERMISSION_DENIED": Known(XenDenied, "the user's role does not allow {0}", "use a username with the role vm-admin or higher"),
    "HOST_IS_SLAVE": Known(XenFailure, "the host is not the pool's master", "name the master, {0}, in hostname"),
    "HOST_STILL_BOOTING": Known(XenFailure, "the host is still starting", "run the task again when it is up"),
    "HOST_OFFLINE": Known(XenFailure, "a host that is needed for this is offline"),
    "HOST_NOT_LIVE": Known(XenFailure, "a host that is needed for this is not up"),
    "HOST_DISABLED": Known(XenFailure, "the host is disabled", "enable it, or let another host do it"),
    "LICENCE_RESTRICTION": Known(XenDenied, "the pool's licence does not include {0}"),
    "LICENSE_EXPIRED": Known(XenDenied, "the pool's licence has expired"),
    "FEATURE_RESTRICTED": Known(XenDenied, "the pool's licence does not include this"),
    # room
    "SR_FULL": Known(XenNoRoom, "the storage repository is full: {0} bytes are needed, {1} are there", _ROOM),
    "SR_BACKEND_FAILURE_44": Known(XenNoRoom, "the storage repository has not enough room", _ROOM),
    "SR_SOURCE_SPACE_INSUFFICIENT": Known(XenNoRoom, "the storage repository has not enough room", _ROOM),
    "HOST_NOT_ENOUGH_FREE_MEMORY": Known(XenNoRoom, "no host has enough free memory: {0} bytes are needed, {1} are there", "ask for less memory, or make room"),
    "HOST_NOT_ENOUGH_PCPUS": Known(XenNoRoom, "the host has fewer processors than the {0} that are asked for", "ask for fewer vcpus"),
    # storage
    "SR_HAS_NO_PBDS": Known(XenFailure, "the storage repository is connected to no host", "plug it in (xe pbd-plug), or name another one with sr"),
    "SR_NOT_ATTACHED": Known(XenFailure, "the storage repository is not connected", "plug it in (xe pbd-plug), or name another one with sr"),
    "SR_OPERATION_NOT_SUPPORTED": Known(XenFailure, "the storage repository cannot do this", "name another one with sr"),
    "SR_BACKEND_FAILURE_40": Known(XenFailure, "the storage repository is being scanned", "run the task again"),
    "SR_BACKEND_FAILURE_46": Known(XenFailure, "the disk is not available: {2}"),
    "SR_BACKEND_FAILURE_79": Known(XenInvalid, "the disk's size is not possible: {2}", "a disk has at most 2040 GiB"),
    "SR_BACKEND_FAILURE_453": Known(XenFailure, "the storage manager failed: {2}", "see /var/log/SMlog on the pool's hosts"),
    "VDI_IN_USE": Known(XenInUse, "the disk is in use"),
    "VDI_NOT_AVAILABLE": Known(XenInUse, "the disk is not available now"),
    "VDI_READONLY": Known(XenInvalid, "the disk is read-only"),
    "VDI_MISSING": Known(XenNotFound, "the storage repository has lost the disk"),
    "VDI_NOT_MANAGED": Known(XenInvalid, "the disk is a layer of others and none by itself"),
    "VDI_TOO_LARGE": Known(XenInvalid, "the disk is too large; the limit is {1} bytes"),
    "VDI_TOO_SMALL": Known(XenInvalid, "the disk is too small; the least is {1} bytes"),
    "VDI_IO_ERROR": Known(
        XenFailure, "the disk's bytes could not be moved: {0}",
        "the pool does not tell more: see /var/log/daemon.log and SMlog on its hosts, and whether the storage repository is full"),
    "IMPORT_ERROR_CANNOT_HANDLE_CHUNKED": Known(XenFailure, "this host cannot take a disk in pieces"),
    "DEVICE_ALREADY_EXISTS": Known(XenInUse, "the machine has a device {0} already"),
    "INVALID_DEVICE": Known(XenInvalid, "{0} is no device that the machine can have"),
    "VBD_CDS_MUST_BE_READONLY": Known(XenInvalid, "a CD cannot be written to"),
    "DEVICE_DETACH_REJECTED": Known(XenInUse, "the guest does not let go of the device"),
    # objects and calls
    "HANDLE_INVALID": Known(XenNotFound, "there is no such {0} any more"),
    "UUID_INVALID": Known(XenNotFound, "there is no {0} with the uuid {1}"),
    "MAP_DUPLICATE_KEY": Known(XenInUse, "the key {3} is there already"),
    "INVALID_VALUE": Known(XenInvalid, "{1} is no value for {0}"),
    "VALUE_NOT_SUPPORTED": Known(XenInvalid, "{1} is not supported for {0}: {2}"),
    "FIELD_TYPE_ERROR": Known(XenInvalid, "the value for {0} has the wrong type"),
    "OTHER_OPERATION_IN_PROGRESS": Known(XenInUse, "another operation is at work on the {0}", "run the task again when it is over"),
    "OPERATION_NOT_ALLOWED": Known(XenInvalid, "it is not allowed: {0}"),
    "OPERATION_BLOCKED": Known(XenInUse, "the operation is blocked on this object ({1})", "remove it from blocked_operations"),
    "MESSAGE_METHOD_UNKNOWN": Known(XenFailure, "the pool does not know the call {0}", "it may be too old"),
    "MESSAGE_REMOVED": Known(XenFailure, "the pool does not know this call any more"),
    "TASK_CANCELLED": Known(XenFailure, "somebody cancelled the task"),
    "TOO_MANY_PENDING_TASKS": Known(XenFailure, "the pool has too many tasks to do", "run the task again later"),
    # machines
    "VM_BAD_POWER_STATE": Known(XenInUse, "the machine is {2}, and would have to be {1}"),
    "VM_IS_TEMPLATE": Known(XenInvalid, "it is a template"),
    "PROVISION_ONLY_ALLOWED_ON_TEMPLATE": Known(XenInvalid, "it is no template"),
    "VM_IS_PROTECTED": Known(XenInUse, "high availability protects the machine"),
    "VM_MISSING_PV_DRIVERS": Known(XenFailure, "the guest has no tools", "install them in the guest, or use force"),
    "VM_LACKS_FEATURE": Known(XenFailure, "the guest's tools cannot do this", "install them in the guest, or use force"),
    "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT": Known(XenFailure, "the guest did not answer when it was asked to shut down", "use force"),
    "VM_SHUTDOWN_TIMEOUT": Known(XenFailure, "the guest did not shut down within {1} s", "use force"),
    "VM_HVM_REQUIRED": Known(XenFailure, "the machine needs processors with virtualisation"),
    "VM_REQUIRES_SR": Known(XenFailure, "no host sees both the machine's disks and the storage repository it needs"),
    "VM_REQUIRES_NETWORK": Known(XenFailure, "no host that could run the machine is on the network that it needs"),
    "NO_HOSTS_AVAILABLE": Known(XenNoRoom, "no host can run the machine"),
    "BOOTLOADER_FAILED": Known(XenFailure, "the disk does not boot: {1}", "check that the image is bootable in this boot mode"),
}


def failure(description: t.Sequence[str], refusal: str, *, hide: str = "") -> XenFailure:
    """The error for what XAPI answered.

    :param description: ErrorDescription, or a task's error_info: the code, then its parameters.
    :param refusal: How the message begins: ``XAPI did not create the disk web-1``.
    :param hide: What must not be shown, wherever it stands: the session.
    """
    code, params = (description[0], [str(each) for each in description[1:]]) if description else ("UNKNOWN", [])
    if hide:
        params = [each.replace(hide, "***") for each in params]
    if code == "SESSION_INVALID":
        params = []
    known = BY_CODE.get(code)
    told = "%s [%s]" % (code, ", ".join(each for each in params if each)) if any(params) else code
    if known is None:
        return XenFailure("%s: %s" % (refusal, told), code=code, params=params)
    words = known.words.format(*(params + ["?"] * 4)) + ("; %s" % known.advice.format(*(params + ["?"] * 4)) if known.advice else "")
    return known.kind("%s: %s (%s)" % (refusal, words, told), code=code, params=params)
