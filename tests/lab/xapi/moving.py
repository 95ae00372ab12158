"""What imports and exports have in common."""

from __future__ import annotations

from .ports import ImportFault, XapiError


class Cut(Exception):
    """A test wants the connection to be cut here."""


def io_error() -> XapiError:
    """All that XAPI tells of what its tools complained about."""
    return XapiError("VDI_IO_ERROR", "Device I/O errors")


class Meter:
    """Counts bytes, and cuts where a test wants it."""

    def __init__(self, fault: ImportFault | None) -> None:
        self.count = 0
        self._limit = fault.after if fault else None

    def left(self, wanted: int) -> int:
        """How many bytes of those wanted may pass. Raises Cut when none may."""
        if self._limit is None:
            return wanted
        if self.count >= self._limit:
            raise Cut
        return min(wanted, self._limit - self.count)
