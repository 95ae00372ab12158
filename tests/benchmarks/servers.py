"""Case (l): servers on volumes of one image, against a loop of openstack.cloud.server."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import Side, compare

COUNT = 5
HALTING = "bench-halting"
NETWORK = "bench-network"

# A disk whose boot sector lets no interrupt in and halts the processor: what a guest does after that is the same on both sides, and no part of the
# comparison. It has a partition, since Glance takes nothing for a disk that has a boot sector and none.
_PARTITION = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\xff\xff\xff", 1, 2047)
HALT = b"\xfa\xf4\xeb\xfd".ljust(446, b"\0") + _PARTITION.ljust(64, b"\0") + b"\x55\xaa"


def boots(work: Path, *, ours: Callable[[dict[str, object]], object], peer: Callable[[dict[str, object]], None],
          openstack: Callable[..., None], published: Callable[[str, str, Path], None], withdrawn: Callable[[str], None], rounds: int) -> bool:
    """Run the case.

    :param ours: One task of ours, with the playbook's variables.
    :param peer: The peer's loop.
    """
    def shown(*arguments: str) -> Any:
        name = Path(sys.executable).parent / "openstack"
        return json.loads(subprocess.run([name, "--os-cloud", "lab-alpha", *arguments, "-f", "json"], capture_output=True, check=True).stdout)

    def reset() -> None:
        names = [str(server["Name"]) for server in shown("server", "list") if str(server["Name"]).startswith("bench-")]
        if names:
            openstack("server", "delete", "--wait", *names)

    reset()
    disk = work / "halt.raw"
    disk.write_bytes(HALT.ljust(1024**2, b"\0"))
    withdrawn(HALTING)
    published(HALTING, "raw", disk)
    disk.unlink()
    if any(network["Name"] == NETWORK for network in shown("network", "list")):
        openstack("network", "delete", NETWORK)
    openstack("network", "create", NETWORK)
    openstack("subnet", "create", "--network", NETWORK, "--subnet-range", "192.0.2.0/24", "--no-dhcp", NETWORK)
    options: dict[str, object] = {"image": HALTING, "servers": COUNT, "network": NETWORK}
    good = compare("(l) %d new servers on volumes of one image" % COUNT,
                   Side("one task", lambda: ours(dict(options, name_pattern="bench-ours-{index}")), reset=reset),
                   [(Side("a loop of openstack.cloud.server", lambda: peer(dict(options, prefix="bench-peer")), reset=reset), 1 / 3)], rounds)
    reset()
    openstack("network", "delete", NETWORK)
    return good
