"""GET /export_raw_vdi after the 200: the content of a VDI, or how it differs from another."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import vhd
from .disks import BLOCK, Disks
from .moving import Meter, io_error
from .ports import Transfer, XapiError

LARGEST = 2040 << 30


def run(transfer: Transfer, disks: Disks, write: Callable[[bytes], object], kind: str) -> None:
    """Raises XapiError, OSError, Cut."""
    transfer.progress(0.0)
    meter = Meter(transfer.fault)
    if kind == "vhd" and transfer.size > LARGEST:
        raise XapiError("VDI_TOO_LARGE", transfer.vdi_ref, str(LARGEST))
    if kind not in ("raw", "vhd"):
        raise io_error()
    for part in (_vhd if kind == "vhd" else _raw)(transfer, disks):
        transfer.progress(min(1.0, meter.count / transfer.size))
        while part:
            passes = meter.left(len(part))
            write(part[:passes])
            meter.count += passes
            part = part[passes:]
    meter.left(1)


def _vhd(transfer: Transfer, disks: Disks) -> Iterator[bytes]:
    parent = None
    if transfer.base:
        # What the parent is called in dom0, which is not what an export of it calls itself.
        parent = disks.file_uuid(transfer.base), f"/var/run/sr-mount/{transfer.base}.vhd"
    return vhd.write_stream(
        transfer.size, disks.blocks(transfer.vdi, transfer.base),
        lambda offset, length: disks.read(transfer.vdi, offset, length), parent=parent)


def _raw(transfer: Transfer, disks: Disks) -> Iterator[bytes]:
    wanted = set(disks.blocks(transfer.vdi, transfer.base))
    for offset in range(0, transfer.size, BLOCK):
        length = min(BLOCK, transfer.size - offset)
        yield disks.read(transfer.vdi, offset, length) if offset // BLOCK in wanted else bytes(length)
