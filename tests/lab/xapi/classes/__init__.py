"""The classes: what their messages do. Importing this registers them all."""

from __future__ import annotations

from . import boot, compute, copies, host, limits, network, power, sr, vbd, vdi, vif, vm

__all__ = ["boot", "compute", "copies", "host", "limits", "network", "power", "sr", "vbd", "vdi", "vif", "vm"]
