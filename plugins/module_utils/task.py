# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all modules share, whatever they manage: options, wiring, and the one place that ends a module."""

from __future__ import annotations

import contextlib
import errno
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import InvalidInput, MissingPackage, VolumesError
from ansible_collections.bootable.volumes.plugins.module_utils.core.events import Event, Listener
from ansible_collections.bootable.volumes.plugins.module_utils.core.job import Job
from ansible_collections.bootable.volumes.plugins.module_utils.core.secrets import secrets_in
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Clock, Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.host.commands import ModuleRunner
from ansible_collections.bootable.volumes.plugins.module_utils.operations.operation import Operation

Spec = t.Dict[str, t.Any]


class LogListener(Listener):
    """Writes progress to the module's log (syslog or the journal of the host): each change of phase, and then every few seconds."""

    PAUSE = 5.0

    def __init__(self, module: AnsibleModule, clock: t.Optional[Clock] = None) -> None:
        self._module = module
        self._clock = clock or Clock()
        self._last: t.Dict[t.Tuple[str, str], float] = {}

    def hear(self, event: Event) -> None:
        now = self._clock.now()
        key = (event.phase, event.subject)
        finished = event.total is not None and event.done >= event.total
        if key in self._last and not finished and now - self._last[key] < self.PAUSE:
            return
        self._last[key] = now
        amount = "" if not event.done and event.total is None else " %d of %s bytes" % (event.done, event.total if event.total is not None else "?")
        self._module.log("%s %s%s" % (event.phase, event.subject, amount))


class Wiring:
    """The world as an operation gets it: options, a job, commands, warnings. Made by ``run``.

    :ivar closing: Whatever has to be closed when the task ends, however it ends, is put in here.
    """

    def __init__(self, module: AnsibleModule) -> None:
        self.closing = contextlib.ExitStack()
        self.params: t.Mapping[str, t.Any] = module.params
        for option in ("timeout", "concurrency"):
            if module.params.get(option) is not None and module.params[option] < 1:
                raise InvalidInput("%s: %d is below 1" % (option, module.params[option]))
        self.job = Job(
            deadline=Deadline(module.params.get("timeout") or 3600),
            listener=LogListener(module),
            at_once=module.params.get("concurrency") or Job.at_once,
            wait=module.params.get("wait", True),
            check=module.check_mode,
        )
        self.runner = ModuleRunner(module)
        self.warn: t.Callable[[str], None] = module.warn


# What the system says of storage that is gone or broken; any other error of the system is a bug of ours.
_OUT_OF_ORDER = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.EREMOTEIO, errno.EROFS, errno.ESTALE, errno.ETIMEDOUT)


def waiting_spec() -> Spec:
    """``wait`` and ``timeout``."""
    return {"wait": {"type": "bool", "default": True}, "timeout": {"type": "int", "default": 3600}}


def compose(*parts: Spec) -> Spec:
    """One argument spec from several parts; a name that stands in two of them is a mistake.

    :raises ValueError: naming it.
    """
    spec: Spec = {}
    for part in parts:
        twice = spec.keys() & part.keys()
        if twice:
            raise ValueError("option given twice: %s" % ", ".join(sorted(twice)))
        spec.update(part)
    return spec


def run(build: t.Callable[[t.Any], Operation], argument_spec: Spec, *, wiring: t.Type[Wiring] = Wiring, **rules: t.Any) -> None:
    """Be the module: read the options, plan, apply unless in check mode, and end.

    :param build: Makes the operation out of the wiring.
    :param wiring: What it is made of.
    :param rules: ``mutually_exclusive``, ``required_if``, ... of AnsibleModule.
    """
    # AnsibleModule logs the options while it is made, before anybody knows what in them is secret; progress is logged later
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True, no_log=True, **rules)
    module.no_log_values.update(secrets_in(module.params))
    module.no_log = False
    try:
        wired = wiring(module)
        with wired.closing:
            operation = build(wired)
            if module.check_mode:
                plan = operation.plan()
                result = operation.preview(plan)
            else:
                with operation.exclusive():
                    plan = operation.plan()
                    result = operation.apply(plan) if plan.changed else operation.preview(plan)
    except MissingPackage as error:
        module.fail_json(msg=missing_required_lib(error.library), exception=error.traceback)
    except VolumesError as error:
        module.fail_json(msg=error.message, **error.details)
    except OSError as error:
        if error.errno not in _OUT_OF_ORDER:
            raise
        module.fail_json(msg="%s: %s; see to what it lies on, such as an NFS server or a disk, and run the task again" % (
            error.filename or "files or devices", error.strerror))
    else:
        if module._diff and plan.changed:
            result["diff"] = plan.diff()
        module.exit_json(changed=plan.changed, plan=plan.summary(), **result)
