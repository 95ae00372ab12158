"""PUT /import_raw_vdi after the 200: what a client sends becomes the content of a VDI."""

from __future__ import annotations

import struct
from collections.abc import Callable

from . import vhd
from .disks import Disks
from .moving import Meter, io_error
from .ports import Transfer

PIECE = 2 << 20
FRAME = struct.Struct("<QI")  # offset and length, in bytes


def run(
    transfer: Transfer, disks: Disks, read: Callable[[int], bytes], kind: str, *, chunked: bool, length: int | None
) -> None:
    """Raises XapiError, OSError, Cut."""
    transfer.progress(0.0)
    meter = Meter(transfer.fault)

    def metered(size: int) -> bytes:
        data = read(meter.left(size))
        meter.count += len(data)
        return data

    def room(size: int) -> None:
        if transfer.room() < size:
            raise OSError("the SR is full")

    def write(offset: int, data: bytes) -> None:
        disks.write(transfer.vdi, offset, data, room)

    stream = vhd.Forward(metered)
    total = transfer.size if length is None else length
    try:
        if chunked:
            _chunked(stream, transfer, write)
        elif kind == "raw":
            _raw(stream, total, transfer, write)
        elif kind == "vhd":
            if not transfer.zeroed:
                raise OSError("the tool cannot write zeroes")
            vhd.read_stream(stream, total, write, transfer.progress)
        else:
            raise OSError(f"the simulator cannot read {kind}")
        meter.left(1)  # a cut that was to come after the last byte
    except (vhd.Malformed, OSError, struct.error) as error:
        raise io_error() from error


def _raw(stream: vhd.Forward, total: int, transfer: Transfer, write: Callable[[int, bytes], None]) -> None:
    if not total:
        raise vhd.Malformed("nothing to import")
    while stream.position < total:
        transfer.progress(stream.position / total)
        offset = stream.position
        write(offset, stream.take(min(PIECE, total - offset)))


def _chunked(stream: vhd.Forward, transfer: Transfer, write: Callable[[int, bytes], None]) -> None:
    while True:
        offset, length = FRAME.unpack(stream.take(FRAME.size))
        if not offset and not length:
            return
        if length >= 1 << 31:  # a signed number there
            raise vhd.Malformed(f"a frame of {length} bytes")
        while True:
            transfer.progress(min(1.0, offset / transfer.size))
            part = min(PIECE, length)
            write(offset, stream.take(part))
            offset, length = offset + part, length - part
            if not length:
                break
