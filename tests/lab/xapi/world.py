"""What the simulator begins with: a pool of two hosts, four SRs, networks, drivers and templates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any


from .classes import power
from .schema import EPOCH, NULL

if TYPE_CHECKING:
    from .pool import Pool

GIB = 1 << 30
MIB = 1 << 20
FEATURES = (
    "SR_PROBE", "SR_UPDATE", "VDI_CREATE", "VDI_DELETE", "VDI_ATTACH", "VDI_DETACH", "VDI_CLONE", "VDI_SNAPSHOT", "VDI_RESIZE",
    "VDI_ACTIVATE", "VDI_DEACTIVATE", "VDI_UPDATE", "VDI_MIRROR",
)
TOOLS_ISO = "guest-tools.iso"


@dataclass
class World:
    """The uuids of what was made, and the hosts' sizes."""

    master: str
    slave: str
    shared: str  # thin file SR on both hosts; the pool's default
    lvm: str  # thick SR on both hosts
    local: str  # thin file SR on the second host only
    iso: str
    network: str  # has a way out on both hosts
    private: str  # inside a host
    memory: int = 64 * GIB  # bytes for machines on each host
    cpus: int = 16


def build(pool: Pool) -> World:
    """Makes it all. The pool's lock is held."""
    database = pool.database
    hosts = [host(pool, f"xen{number}", number) for number in (1, 2)]
    first, second = (database.row("host", ref)["uuid"] for ref in hosts)
    pool.master = first
    for kind, label in (("nfs", "NFS VHD"), ("ext", "Local EXT3 VHD"), ("lvmoiscsi", "VHD over iSCSI"), ("iso", "ISO")):
        database.create(
            "SM", type=kind, name_label=label, name_description=f"SR plugin for {kind}", vendor="Simulator", copyright="none", version="1.0",
            required_api_version="1.0", features={} if kind == "iso" else dict.fromkeys(FEATURES, 1),
            capabilities=[] if kind == "iso" else list(FEATURES), driver_filename=f"/opt/xensource/sm/{kind}SR",
            supported_image_formats=[] if kind == "iso" else ["vhd"],
        )
    shared = sr(pool, "Shared storage", "nfs", hosts, size=200 * GIB, shared=True)
    lvm = sr(pool, "LVM storage", "lvmoiscsi", hosts, size=50 * GIB, shared=True)
    local = sr(pool, "Local storage", "ext", hosts[1:], size=100 * GIB, shared=False)
    database.set("SR", lvm, sm_config={"allocation": "thick", "use_vhd": "true"})
    iso = sr(pool, "ISO library", "iso", hosts, size=10 * GIB, shared=True, content="iso")
    database.create(
        "pool", name_label="Simulated pool", name_description="", master=hosts[0], default_SR=shared, crash_dump_SR=shared,
        suspend_image_SR=shared,
    )
    networks = [
        database.create("network", name_label="Pool-wide network associated with eth0", bridge="xenbr0", other_config={}),
        database.create("network", name_label="Private network", bridge="xapi1", other_config={}),
    ]
    database.create(
        "network", name_label="Host internal management network", bridge="xenapi",
        other_config={"is_guest_installer_network": "true", "is_host_internal_management_network": "true"},
    )
    for number, ref in enumerate(hosts, 1):
        database.create(
            "PIF", device="eth0", network=networks[0], host=ref, MAC=f"02:00:00:00:00:{number:02x}", MTU=1500, VLAN=-1, physical=True,
            management=True, currently_attached=True, ip_configuration_mode="Static", IP="127.0.0.1", netmask="255.0.0.0",
        )
    uuid = "uuid"
    disc = database.create(
        "VDI", SR=iso, name_label=TOOLS_ISO, type="user", virtual_size=2 * MIB, read_only=True, sharable=False, managed=True,
        is_tools_iso=True, location=TOOLS_ISO,
    )
    pool.store.create(database.row("VDI", disc)[uuid], 2 * MIB)
    templates(pool)
    return World(
        master=first, slave=second, shared=database.row("SR", shared)[uuid], lvm=database.row("SR", lvm)[uuid],
        local=database.row("SR", local)[uuid], iso=database.row("SR", iso)[uuid],
        network=database.row("network", networks[0])[uuid], private=database.row("network", networks[1])[uuid],
    )


def host(pool: Pool, name: str, number: int) -> str:
    """A host with its control domain."""
    database = pool.database
    ref = database.create(
        "host", name_label=name, name_description="Simulated host", hostname=name, address="127.0.0.1", enabled=True,
        API_version_major=2, API_version_minor=21, API_version_vendor="XenSource", capabilities=["hvm-3.0-x86_64", "xen-3.0-x86_64"],
        supported_bootloaders=["pygrub", "eliloader"], cpu_info={"cpu_count": "16", "vendor": "Simulator"}, memory_overhead=256 * MIB,
        software_version={"product_brand": "XCP-ng", "product_version": "8.3.0", "platform_version": "3.4.0", "xapi": "26.1"},
        edition="xcp-ng", other_config={}, display="enabled", sched_policy="credit", tls_verification_enabled=True,
    )
    dom0 = machine(
        pool, f"Control domain on host: {name}", is_control_domain=True, power_state="Running", resident_on=ref, domid=0, domarch="x64",
        memory_static_max=GIB, memory_dynamic_max=0, memory_dynamic_min=0, memory_static_min=0, domain_type="pv",
    )
    database.set("host", ref, control_domain=dom0)
    return ref


def sr(pool: Pool, name: str, kind: str, hosts: list[str], *, size: int, shared: bool, content: str = "user") -> str:
    """An SR that is plugged on some hosts."""
    ref = pool.database.create(
        "SR", name_label=name, name_description="", type=kind, physical_size=size, shared=shared, content_type=content, other_config={},
        allowed_operations=[
            "scan", "update", "plug", "unplug", "pbd_create", "pbd_destroy",
            *(() if content == "iso" else ("vdi_create", "vdi_destroy", "vdi_clone", "vdi_snapshot", "vdi_resize")),
        ],
    )
    for found in hosts:
        pool.database.create("PBD", SR=ref, host=found, device_config={}, currently_attached=True)
    return ref


def machine(pool: Pool, name: str, **fields: Any) -> str:
    """A row of the class VM."""
    common: dict[str, Any] = {
        "name_label": name, "metrics": power.fresh_metrics(pool), "affinity": NULL, "domid": -1, "resident_on": NULL,
        "VCPUs_max": 1, "VCPUs_at_startup": 1, "power_state": "Halted", "actions_after_shutdown": "destroy",
        "actions_after_reboot": "restart", "actions_after_crash": "restart", "snapshot_time": EPOCH, "is_a_template": False,
    }
    return pool.database.create("VM", **{**common, **fields})


def disks(size: int, bootable: bool) -> str:
    """What provision reads."""
    return (
        f'<provision><disk device="0" size="{size}" sr="" bootable="{"true" if bootable else "false"}" type="system"/></provision>'
    )


def templates(pool: Pool) -> None:
    """As a new pool has them: for anything, for UEFI, and for PV."""
    platform = {"apic": "true", "acpi": "1", "pae": "true", "nx": "true", "viridian": "false", "vga": "std", "videoram": "8"}

    def template(name: str, memory: int, config: dict[str, str], **fields: Any) -> None:
        machine(
            pool, name, is_a_template=True, is_default_template=True, memory_static_max=memory, memory_dynamic_max=memory,
            memory_dynamic_min=memory, memory_static_min=memory // 2, platform=platform, user_version=1, recommendations="<restrictions/>",
            other_config={"default_template": "true", "linux_template": "true", **config}, reference_label=name.lower().replace(" ", "-"),
            **fields,
        )

    hvm = {"HVM_boot_policy": "BIOS order", "domain_type": "hvm"}
    template(
        "Other install media", 128 * MIB, {"install-methods": "cdrom"}, HVM_boot_params={"order": "cd", "firmware": "bios"}, **hvm,
    )
    template(
        "Debian Bookworm 12", 2 * GIB, {"install-methods": "cdrom,nfs,http,ftp", "disks": disks(10 * GIB, False)},
        HVM_boot_params={"order": "cdn", "firmware": "uefi"}, **hvm,
    )
    template(
        "Windows Server 2022 (64-bit)", 4 * GIB, {"install-methods": "cdrom", "disks": disks(64 * GIB, False)},
        HVM_boot_params={"order": "cdn", "firmware": "uefi"}, **hvm,
    )
    template(
        "Debian Jessie 8.0 (PV)", 512 * MIB, {"install-methods": "http,ftp", "disks": disks(8 * GIB, True)}, HVM_boot_policy="",
        domain_type="pv", PV_bootloader="eliloader", PV_args="-- quiet console=hvc0",
    )
