"""Case (l): servers on volumes of one image, against a loop of openstack.cloud.server."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from measuring import Side, compare

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from faults.proxy import HOP_BY_HOP, Proxy  # noqa: E402  # it lies beside this folder

COUNT = 5
HALTING = "bench-halting"

# A disk whose boot sector lets no interrupt in and halts the processor: what a guest does after that is the same on both sides, and no part of the
# comparison. It has a partition, since Glance takes nothing for a disk that has a boot sector and none.
_PARTITION = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\xff\xff\xff", 1, 2047)
HALT = b"\xfa\xf4\xeb\xfd".ljust(446, b"\0") + _PARTITION.ljust(64, b"\0") + b"\x55\xaa"


class Networkless(Proxy):
    """Before Nova, for both sides: the lab has no network, and openstack.cloud.server neither asks for a server without one nor keeps one without address."""

    NO_ADDRESS, ADDRESS = b'"addresses": {}', b'"addresses": {"lab": [{"version": 4, "addr": "192.0.2.1", "OS-EXT-IPS:type": "fixed"}]}'

    def _body(self, handler: BaseHTTPRequestHandler) -> bytes | Iterator[bytes] | None:
        body = super()._body(handler)
        return re.sub(rb'("networks": ?)"auto"', rb'\1"none"', body) if isinstance(body, bytes) else body

    def _stream(self, handler: BaseHTTPRequestHandler, answer: HTTPResponse, fault: object) -> None:
        body = answer.read().replace(self.NO_ADDRESS, self.ADDRESS)
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP | {"content-length"}]
        self._answer(handler, answer.status, headers if answer.status == 204 else [*headers, ("Content-Length", str(len(body)))], body)


def boots(work: Path, cloud: dict[str, object], *, ours: Callable[[dict[str, object]], object], peer: Callable[[dict[str, object]], None],
          openstack: Callable[..., None], published: Callable[[str, str, Path], None], withdrawn: Callable[[str], None], rounds: int) -> bool:
    """Run the case.

    :param cloud: As clouds.yaml has it.
    :param ours: One task of ours, with the playbook's variables.
    :param peer: The peer's loop.
    """
    disk = work / "halt.raw"
    disk.write_bytes(HALT.ljust(1024**2, b"\0"))
    withdrawn(HALTING)
    published(HALTING, "raw", disk)
    disk.unlink()

    def shown(*arguments: str) -> Any:
        name = Path(sys.executable).parent / "openstack"
        return json.loads(subprocess.run([name, "--os-cloud", "lab-alpha", *arguments, "-f", "json"], capture_output=True, check=True).stdout)

    def reset() -> None:
        names = [str(server["Name"]) for server in shown("server", "list") if str(server["Name"]).startswith("bench-")]
        if names:
            openstack("server", "delete", "--wait", *names)

    url = next(str(each["url"]) for each in shown("catalog", "show", "compute")["endpoints"] if each["interface"] == "public")
    with Networkless("%s://%s" % urlsplit(url)[:2]) as proxy:
        through = dict(cloud, compute_endpoint_override=proxy.url + urlsplit(url).path)
        options: dict[str, object] = {"image": HALTING, "servers": COUNT, "cloud": through}
        good = compare("(l) %d new servers on volumes of one image" % COUNT,
                       Side("one task", lambda: ours(dict(options, name_pattern="bench-ours-{index}")), reset=reset),
                       [(Side("a loop of openstack.cloud.server", lambda: peer(dict(options, prefix="bench-peer")), reset=reset), 1 / 3)], rounds)
        reset()
    return good
