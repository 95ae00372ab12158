"""The life of a machine: started, stopped, rebooted; and what its guest does by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import values
from ..ports import Guest, GuestDisk, GuestEvent, XapiError
from ..registry import Call, handles
from ..schema import EPOCH, NULL
from . import boot, vbd
from .compute import FOR_TEMPLATES, NEED_TOOLS, STATES, cooperative

if TYPE_CHECKING:
    from ..pool import Pool

LACKS = {"clean_shutdown": "VM_LACKS_FEATURE_SHUTDOWN"}


def assert_operation(pool: Pool, ref: str, operation: str) -> None:
    """Raises the reason why an operation is not possible now."""
    vm = pool.database.row("VM", ref)
    if operation in vm["blocked_operations"]:
        raise XapiError("OPERATION_BLOCKED", ref, vm["blocked_operations"][operation] or operation)
    if vm["is_control_domain"]:
        raise XapiError("OPERATION_NOT_ALLOWED", "This operation is not allowed on a control domain")
    if vm["power_state"] not in STATES[operation]:
        expected = ", ".join(state.lower() for state in STATES[operation])
        raise XapiError("VM_BAD_POWER_STATE", ref, expected, vm["power_state"].lower())
    for task, other in vm["current_operations"].items():
        raise XapiError("OTHER_OPERATION_IN_PROGRESS", "VM", ref, other, task)
    if vm["is_a_template"] and operation not in FOR_TEMPLATES:
        raise XapiError("VM_IS_TEMPLATE", ref)
    if operation in NEED_TOOLS and not cooperative(vm):
        raise XapiError(LACKS.get(operation, "VM_LACKS_FEATURE"), ref)


def guest_of(pool: Pool, ref: str) -> Guest:
    """A machine as Guests wants it."""
    vm = pool.database.row("VM", ref)
    disks = []
    for found in pool.database.find("VBD", VM=ref):
        row = pool.database.row("VBD", found)
        if not row["empty"]:
            disks.append(GuestDisk(
                vdi=pool.database.row("VDI", row["VDI"])["uuid"], device=vbd.device_number(row["userdevice"]) or 0,
                bootable=row["bootable"], read_only=row["mode"] == "RO", cd=row["type"] == "CD",
            ))
    vifs = sorted((pool.database.row("VIF", vif) for vif in pool.database.find("VIF", VM=ref)), key=lambda row: int(row["device"]))
    is_hvm = boot.hvm(vm)
    return Guest(
        name=vm["name_label"], disks=tuple(sorted(disks, key=lambda disk: disk.device)), memory=vm["memory_dynamic_max"],
        vcpus=vm["VCPUs_at_startup"], hvm=is_hvm, firmware=boot.firmware(vm) if is_hvm else "bios",
        boot_order=vm["HVM_boot_params"].get("order", "cd"), macs=tuple(row["MAC"] for row in vifs),
    )


# --- states ---


def forget_guest(pool: Pool, ref: str) -> None:
    """What the guest told of itself is not true any more."""
    vm = pool.database.row("VM", ref)
    pool.database.destroy("VM_guest_metrics", vm["guest_metrics"])
    pool.database.set("VM", ref, guest_metrics=NULL)


def begin(pool: Pool, ref: str, host: str, *, paused: bool) -> None:
    """A machine starts on a host: its devices are attached, and its guest runs unless it is to wait."""
    boot.check_disks(pool, ref)
    database = pool.database
    vm = database.row("VM", ref)
    forget_guest(pool, ref)
    domid = 1 + max((row["domid"] for dummy, row in database.items("VM")), default=0)
    database.set("VM", ref, power_state="Paused" if paused else "Running", resident_on=host, domid=domid, domarch="x86_64")
    database.set(
        "VM_metrics", vm["metrics"], start_time=values.now(), last_updated=values.now(), memory_actual=vm["memory_dynamic_max"],
        VCPUs_number=vm["VCPUs_at_startup"], hvm=boot.hvm(vm), current_domain_type="hvm" if boot.hvm(vm) else "pv",
    )
    for found in database.find("VBD", VM=ref):
        if not database.row("VBD", found)["empty"]:
            vbd.attach(pool, found)
    for vif in database.find("VIF", VM=ref):
        database.set("VIF", vif, currently_attached=True)
    database.create("console", VM=ref, protocol="rfb", location=f"https://{pool.address(database.row('host', host)['uuid'])}/console?uuid={vm['uuid']}")
    if not paused:
        run(pool, ref)


def run(pool: Pool, ref: str) -> None:
    """The guest runs. Raises BOOTLOADER_FAILED, FAILED_TO_START_EMULATOR, and then the machine is halted again."""
    try:
        pool.start_guest(ref)
    except OSError as error:
        is_hvm = boot.hvm(pool.database.row("VM", ref))
        end(pool, ref)
        if is_hvm:
            raise XapiError("FAILED_TO_START_EMULATOR", ref, "qemu", str(error)) from error
        raise XapiError("BOOTLOADER_FAILED", ref, str(error)) from error


def end(pool: Pool, ref: str) -> None:
    """A machine is halted."""
    database = pool.database
    pool.stop_guest(ref)
    forget_guest(pool, ref)
    for found in database.find("VBD", VM=ref, currently_attached=True):
        vbd.detach(pool, found)
    for vif in database.find("VIF", VM=ref):
        database.set("VIF", vif, currently_attached=False)
    for console in database.find("console", VM=ref):
        database.destroy("console", console)
    database.set("VM", ref, power_state="Halted", resident_on=NULL, domid=-1, domarch="")
    metrics = database.row("VM", ref)["metrics"]
    database.set("VM_metrics", metrics, memory_actual=0, VCPUs_number=0, last_updated=values.now(), current_domain_type="unspecified")


def restart(pool: Pool, ref: str) -> None:
    """The guest begins anew; the machine stays where it is."""
    pool.stop_guest(ref)
    forget_guest(pool, ref)
    database = pool.database
    database.set("VM", ref, power_state="Running")
    database.set("VM_metrics", database.row("VM", ref)["metrics"], start_time=values.now(), last_updated=values.now())
    run(pool, ref)


# --- what the guest does ---


def reported(pool: Pool, ref: str, event: GuestEvent) -> None:
    """A guest that runs tells something. The pool's lock is held."""
    if event is GuestEvent.BOOTED:
        if pool.faults.tools:
            pool.later(pool.faults.tools_delay, ref, lambda: tools_report(pool, ref))
    elif event is GuestEvent.REBOOTED and pool.database.row("VM", ref)["actions_after_reboot"] == "restart":
        forget_guest(pool, ref)
    else:
        end(pool, ref)


def tools_report(pool: Pool, ref: str) -> None:
    """The guest's tools say that they are there."""
    forget_guest(pool, ref)
    metrics = pool.database.create(
        "VM_guest_metrics", PV_drivers_detected=True, PV_drivers_up_to_date=True, live=True, last_updated=values.now(),
        PV_drivers_version={"major": "8", "minor": "4", "micro": "0", "build": "1"}, can_use_hotplug_vbd="yes", can_use_hotplug_vif="yes",
        os_version={"name": "Bootable guest", "distro": "bootable", "major": "1", "minor": "0", "uname": "6.1"},
        other={"feature-shutdown": "1", "feature-reboot": "1"},
    )
    pool.database.set("VM", ref, guest_metrics=metrics)
    pool.later(pool.faults.ip_delay, ref, lambda: addresses_report(pool, ref))


def addresses_report(pool: Pool, ref: str) -> None:
    """They say which addresses the guest has: one for each VIF."""
    vm = pool.database.row("VM", ref)
    networks = {}
    for vif in pool.database.find("VIF", VM=ref):
        row = pool.database.row("VIF", vif)
        octets = [int(part, 16) for part in row["MAC"].split(":")]
        address = f"10.{octets[3]}.{octets[4]}.{1 + octets[5] % 254}"
        networks.update({f"{row['device']}/ip": address, f"{row['device']}/ipv4/0": address})
    pool.database.set("VM_guest_metrics", vm["guest_metrics"], networks=networks, last_updated=values.now())


# --- messages ---


@handles("VM.start")
def start(call: Call, ref: str, paused: bool, force: bool) -> None:
    """On a host of the pool's choice."""
    assert_operation(call.pool, ref, "start")
    begin(call.pool, ref, boot.choose_host(call.pool, ref), paused=paused)


@handles("VM.start_on")
def start_on(call: Call, ref: str, host: str, paused: bool, force: bool) -> None:
    """On a certain host."""
    call.pool.database.row("host", host)
    assert_operation(call.pool, ref, "start_on")
    boot.assert_can_boot_here(call.pool, ref, host)
    begin(call.pool, ref, host, paused=paused)


@handles("VM.unpause")
def unpause(call: Call, ref: str) -> None:
    """What was started paused goes on."""
    assert_operation(call.pool, ref, "unpause")
    call.pool.database.set("VM", ref, power_state="Running")
    run(call.pool, ref)


@handles("VM.clean_shutdown")
def clean_shutdown(call: Call, ref: str) -> None:
    """The guest is asked to end, and does."""
    assert_operation(call.pool, ref, "clean_shutdown")
    end(call.pool, ref)


@handles("VM.hard_shutdown")
def hard_shutdown(call: Call, ref: str) -> None:
    """The guest is ended."""
    assert_operation(call.pool, ref, "hard_shutdown")
    end(call.pool, ref)


@handles("VM.shutdown")
def shutdown(call: Call, ref: str) -> None:
    """In a clean way if the guest can, else hard."""
    assert_operation(call.pool, ref, "shutdown")
    end(call.pool, ref)


@handles("VM.clean_reboot")
def clean_reboot(call: Call, ref: str) -> None:
    """The guest is asked to reboot, and does."""
    assert_operation(call.pool, ref, "clean_reboot")
    restart(call.pool, ref)


@handles("VM.hard_reboot")
def hard_reboot(call: Call, ref: str) -> None:
    """The guest begins anew."""
    assert_operation(call.pool, ref, "hard_reboot")
    restart(call.pool, ref)


@handles("VM.assert_operation_valid")
def assert_operation_valid(call: Call, ref: str, operation: str) -> None:
    """Raises the reason."""
    if operation in STATES:
        assert_operation(call.pool, ref, operation)


def fresh_metrics(pool: Pool) -> str:
    """What a machine has before it ever ran."""
    return pool.database.create("VM_metrics", install_time=EPOCH, start_time=EPOCH, last_updated=values.now())
