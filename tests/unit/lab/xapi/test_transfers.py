# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports and exports over HTTP: what is answered when, and that only the task tells the truth."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import io
import json
import pathlib
import socket
import ssl
import struct
import typing as t
import urllib.parse

import pytest
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from lab.xapi import vhd
from lab.xapi.ports import ImportFault
from lab.xapi.simulator import Simulator, ask

SIZE = 3 * vhd.BLOCK
DATA = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(64))  # 2 KiB of anything
IO_ERROR = ["VDI_IO_ERROR", "Device I/O errors"]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("pool")) as found:
        yield found


@pytest.fixture
def sim(pool: Simulator) -> t.Iterator[Simulator]:
    """One pool for all, without faults."""
    pool.pool.faults.clear()
    yield pool
    pool.pool.faults.clear()


class Client:
    """A session that lasts as long as the test does."""

    def __init__(self, sim: Simulator, user: str = "root", password: str = "") -> None:
        self.sim = sim
        self.host = sim.pool.master
        self.session = sim.pool.call(self.host, None, "session.login_with_password", [user, password or sim.password, "1.0", "tests"])
        self.task = self.call("task.create", "transfer", "")

    def call(self, method: str, *params: t.Any) -> t.Any:
        return self.sim.pool.call(self.host, self.session, method, list(params))

    def vdi(self, size: int = SIZE, sr: str = "") -> t.Tuple[str, str]:
        """(reference, uuid) of a new one."""
        ref = self.call("VDI.create", {
            "SR": self.call("SR.get_by_uuid", sr or self.sim.pool.world.shared), "virtual_size": size, "type": "user", "sharable": False,
            "read_only": False, "other_config": {}, "name_label": "disk"})
        return ref, self.call("VDI.get_uuid", ref)

    def state(self) -> t.Tuple[str, t.Any]:
        """The task's status, and its result or error."""
        record = self.call("task.get_record", self.task)
        return record["status"], record["error_info"] or record["result"]


@pytest.fixture
def client(sim: Simulator) -> Client:
    return Client(sim)


def ask_for(
    sim: Simulator, method: str, path: str, body: bytes = b"", headers: t.Optional[t.Dict[str, str]] = None, *, host: int = 0, **query: str
) -> t.Tuple[int, t.Dict[str, str], bytes]:
    """Status, headers and all the rest of one request."""
    where = sim.addresses[host].partition("://")[2]
    given = {"Content-Length": str(len(body)), **(headers or {})}
    with socket.create_connection(tuple(where.split(":"))) as connection:  # type: ignore[arg-type]
        lines = ["%s %s?%s HTTP/1.1" % (method, path, urllib.parse.urlencode(query)), "Host: x"]
        lines += ["%s: %s" % item for item in given.items() if item[1]]
        try:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            connection.sendall(body)
        except ConnectionError:
            pass
        found = b""
        try:
            while True:
                data = connection.recv(1 << 20)
                if not data:
                    break
                found += data
        except ConnectionError:
            pass
    head, dummy, rest = found.partition(b"\r\n\r\n")
    first, *others = head.decode().split("\r\n")
    return int(first.split()[1]) if first else 0, {line.split(":")[0].lower(): line.partition(":")[2].strip() for line in others}, rest


def put(client: Client, vdi: str, body: bytes, headers: t.Optional[t.Dict[str, str]] = None, **query: str) -> t.Tuple[int, t.Dict[str, str], bytes]:
    return ask_for(client.sim, "PUT", "/import_raw_vdi", body, headers, session_id=client.session, task_id=client.task, vdi=vdi, **query)


def get(client: Client, vdi: str, **query: str) -> t.Tuple[int, t.Dict[str, str], bytes]:
    return ask_for(client.sim, "GET", "/export_raw_vdi", session_id=client.session, task_id=client.task, vdi=vdi, **query)


def begun(client: Client, vdi: str, *, length: t.Optional[int] = None, query: str = "") -> socket.socket:
    """A connection on which an import was begun, and nothing of the body was sent."""
    connection = socket.create_connection(tuple(client.sim.address.partition("://")[2].split(":")))  # type: ignore[arg-type]
    connection.sendall(("PUT /import_raw_vdi?%ssession_id=%s&task_id=%s&vdi=%s HTTP/1.1\r\n%s\r\n" % (
        query, client.session, client.task, vdi, "" if length is None else "Content-Length: %d\r\n" % length)).encode())
    return connection


def drain(connection: socket.socket) -> None:
    """Until the other side is done."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass


def disk() -> bytes:
    return DATA + bytes(2 * vhd.BLOCK - len(DATA)) + DATA * (vhd.BLOCK // len(DATA))


def as_vhd(data: bytes, blocks: t.Sequence[int] = (0, 2)) -> bytes:
    return b"".join(vhd.write_stream(len(data), blocks, lambda offset, length: data[offset:offset + length]))


# --- imports ---


def test_raw(client: Client) -> None:
    ref, uuid = client.vdi()
    status, headers, rest = put(client, uuid, disk())
    assert (status, headers["task-id"], headers["connection"], rest) == (200, client.task, "close", b"")
    assert "content-length" not in headers
    assert client.state() == ("success", "<value>%s</value>" % ref)
    assert client.sim.disk_bytes(uuid) == disk()


def test_vhd_by_reference(client: Client) -> None:
    ref, uuid = client.vdi()
    put(client, ref, as_vhd(disk()), format="VHD")
    assert client.state()[0] == "success"
    assert client.sim.disk_bytes(uuid) == disk()
    assert int(client.call("VDI.get_physical_utilisation", ref)) == 2 * vhd.BLOCK


def test_the_200_comes_before_the_body(client: Client) -> None:
    dummy, uuid = client.vdi()
    with begun(client, uuid, length=SIZE) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\nConnection: close\r\n")
        assert client.state()[0] == "pending"


def test_a_chain_is_sent_base_first_into_one_vdi(client: Client) -> None:
    dummy, uuid = client.vdi()
    put(client, uuid, as_vhd(disk()), format="vhd")
    newer = b"newer".ljust(SIZE, b"\0")
    client.task = client.call("task.create", "child", "")
    child = bytearray(as_vhd(newer, (0,)))
    child[2560:3072] = b"\x80" + bytes(511)
    put(client, uuid, bytes(child), format="vhd")
    assert client.state()[0] == "success"
    assert client.sim.disk_bytes(uuid) == newer[:512] + disk()[512:]


def test_chunked(client: Client) -> None:
    dummy, uuid = client.vdi()
    frame = struct.Struct("<QI")
    body = frame.pack(10, len(DATA)) + DATA + frame.pack(SIZE - 3, 3) + b"end" + frame.pack(0, 0)
    assert put(client, uuid, body, {"Content-Length": ""}, chunked="")[0] == 200
    assert client.state()[0] == "success"
    wanted = bytearray(SIZE)
    wanted[10:10 + len(DATA)] = DATA
    wanted[-3:] = b"end"
    assert client.sim.disk_bytes(uuid) == wanted


@pytest.mark.parametrize("body", [
    struct.pack("<QI", SIZE - 1, 2) + b"xx" + bytes(12),
    struct.pack("<QI", 0, 1 << 31) + bytes(100),
    struct.pack("<QI", 0, 10) + b"short",
    struct.pack("<QI", 0, 1) + b"x",
])
def test_bad_frames(client: Client, body: bytes) -> None:
    dummy, uuid = client.vdi()
    with begun(client, uuid, query="chunked=1&") as connection:
        connection.sendall(body)
        connection.shutdown(socket.SHUT_WR)
        drain(connection)
    assert client.state() == ("failure", IO_ERROR)


def test_a_failure_after_the_200_is_appended(client: Client) -> None:
    dummy, uuid = client.vdi()
    status, dummy2, rest = put(client, uuid, b"no VHD at all".ljust(4096), format="vhd")
    assert status == 200
    assert rest.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"HTTP/1.1 500" in rest
    assert client.state() == ("failure", IO_ERROR)


def test_raw_longer_than_the_vdi_fails_and_shorter_passes(client: Client) -> None:
    dummy, uuid = client.vdi()
    put(client, uuid, DATA)
    assert client.state()[0] == "success"
    client.task = client.call("task.create", "too long", "")
    put(client, uuid, disk() + b"x")
    assert client.state() == ("failure", IO_ERROR)


def test_a_body_that_ends_early(client: Client) -> None:
    dummy, uuid = client.vdi()
    with begun(client, uuid, length=1000) as connection:
        connection.sendall(b"only this")
        connection.shutdown(socket.SHUT_WR)
        drain(connection)
    assert client.state() == ("failure", IO_ERROR)


def test_a_disk_in_use_fails_only_the_task(client: Client) -> None:
    ref, uuid = client.vdi()
    dummy, other = client.vdi()
    client.sim.pool.start_export(client.host, client.session, other)  # reads: two of these would be fine
    transfer = client.sim.pool.start_import(client.host, client.session, uuid)
    status, dummy2, dummy3 = put(client, uuid, disk())
    assert status == 200
    assert client.state()[0] == "failure"
    assert client.state()[1][0] == "VDI_IN_USE"
    transfer.finish()


def test_a_full_sr_is_noticed_when_written(client: Client) -> None:
    dummy, uuid = client.vdi()
    client.sim.pool.faults.fill(client.sim.pool.world.shared)
    assert put(client, uuid, disk())[0] == 200
    assert client.state() == ("failure", IO_ERROR)


def test_an_sr_that_is_not_known_to_be_zeroed_takes_raw_only(client: Client) -> None:
    dummy, uuid = client.vdi(sr=client.sim.pool.world.lvm)
    put(client, uuid, as_vhd(disk()), format="vhd")
    assert client.state()[0] == "success"
    database = client.sim.pool.database
    with client.sim.pool.lock:
        database.set("SR", database.by_uuid("SR", client.sim.pool.world.lvm), sm_config={})
    client.task = client.call("task.create", "again", "")
    put(client, uuid, as_vhd(disk()), format="vhd")
    assert client.state() == ("failure", IO_ERROR)
    client.task = client.call("task.create", "raw", "")
    put(client, uuid, disk())
    assert client.state()[0] == "success"


@pytest.mark.parametrize("kind", ["tar", "qcow2"])
def test_formats_that_are_known_and_not_served(client: Client, kind: str) -> None:
    dummy, uuid = client.vdi()
    assert put(client, uuid, DATA, format=kind)[0] == 200
    assert client.state() == ("failure", IO_ERROR)


# --- refused before the 200 ---


def test_unknown_format(client: Client) -> None:
    dummy, uuid = client.vdi()
    assert put(client, uuid, DATA, format="vmdk")[0] == 404
    assert client.state() == ("failure", ["INTERNAL_ERROR", "Unknown format vmdk"])


def test_chunked_is_for_raw_alone(client: Client) -> None:
    dummy, uuid = client.vdi()
    assert put(client, uuid, DATA, format="vhd", chunked="false")[0] == 404


def test_no_transfer_encoding(client: Client) -> None:
    dummy, uuid = client.vdi()
    assert put(client, uuid, b"0\r\n\r\n", {"Transfer-Encoding": "chunked", "Content-Length": ""})[0] == 404


def test_no_vdi(client: Client) -> None:
    assert ask_for(client.sim, "PUT", "/import_raw_vdi", DATA, session_id=client.session, task_id=client.task)[0] == 400
    assert client.state() == ("failure", ["VDI_MISSING"])


def test_a_vdi_that_does_not_exist_leaves_the_task_pending(client: Client) -> None:
    assert put(client, "11111111-2222-3333-4444-555555555555", DATA)[0] == 500
    assert client.state()[0] == "pending"
    assert get(client, "OpaqueRef:none")[0] == 500


def test_who_may(client: Client) -> None:
    dummy, uuid = client.vdi()
    bad = {"session_id": "OpaqueRef:none", "vdi": uuid}
    assert ask_for(client.sim, "PUT", "/import_raw_vdi", DATA, **bad)[0] == 401
    assert ask_for(client.sim, "PUT", "/import_raw_vdi", DATA, vdi=uuid)[0] == 401
    reader = Client(client.sim, "reader", "reader")
    assert ask_for(client.sim, "PUT", "/import_raw_vdi", DATA, session_id=reader.session, vdi=uuid, task_id=client.task)[0] == 403
    assert client.state()[1][0] == "RBAC_PERMISSION_DENIED"


def basic(user: str, password: str) -> t.Dict[str, str]:
    return {"Authorization": "Basic %s" % base64.b64encode(("%s:%s" % (user, password)).encode()).decode()}


def test_basic_and_cookies(client: Client) -> None:
    dummy, uuid = client.vdi()
    before = len(client.sim.pool.database.refs("session"))
    assert ask_for(client.sim, "PUT", "/import_raw_vdi", DATA, basic("root", client.sim.password), vdi=uuid)[0] == 200
    assert ask_for(client.sim, "PUT", "/import_raw_vdi", DATA, basic("root", client.sim.password), vdi=uuid, format="x")[0] == 404
    assert ask_for(client.sim, "PUT", "/import_raw_vdi", DATA, basic("root", "wrong"), vdi=uuid)[0] == 401
    assert len(client.sim.pool.database.refs("session")) == before
    cookie = {"Cookie": "session_id=%s; task_id=%s" % (client.session, client.task)}
    assert ask_for(client.sim, "PUT", "/import_raw_vdi", DATA, {**cookie, **basic("root", "wrong")}, vdi=uuid)[0] == 200
    assert client.state()[0] == "success"


def test_paths_and_methods(client: Client) -> None:
    assert ask_for(client.sim, "PUT", "/elsewhere", DATA)[0] == 403
    assert ask_for(client.sim, "GET", "/elsewhere")[0] == 403
    assert ask_for(client.sim, "DELETE", "/import_raw_vdi")[0] == 501


def test_an_sr_of_the_other_host_redirects(client: Client) -> None:
    dummy, uuid = client.vdi(sr=client.sim.pool.world.local)
    status, headers, dummy2 = put(client, uuid, disk())
    query = urllib.parse.urlencode({"session_id": client.session, "task_id": client.task, "vdi": uuid})
    assert (status, headers["location"]) == (302, "%s/import_raw_vdi?%s" % (client.sim.addresses[1], query))
    assert client.state()[0] == "pending"
    assert ask_for(client.sim, "PUT", "/import_raw_vdi", disk(), host=1, session_id=client.session, task_id=client.task, vdi=uuid)[0] == 200
    assert client.state()[0] == "success"
    assert client.sim.disk_bytes(uuid) == disk()


# --- exports ---


def test_export_of_a_whole_disk(client: Client) -> None:
    dummy, uuid = client.vdi()
    client.sim.write_disk(uuid, 0, disk())
    status, headers, body = get(client, uuid)
    assert (status, body) == (200, disk())
    assert "content-length" not in headers
    assert headers["content-type"] == "application/octet-stream"
    assert client.state()[0] == "success"


def test_export_as_vhd_and_its_delta(client: Client) -> None:
    ref, uuid = client.vdi()
    client.sim.write_disk(uuid, 0, disk())
    snapshot = client.call("VDI.snapshot", ref)
    client.sim.write_disk(uuid, 5, b"newer")
    dummy, headers, body = get(client, uuid, format="vhd")
    assert headers["content-type"] == "application/vhd"
    assert headers["content-disposition"] == 'attachment; filename="%s.vhd"' % uuid
    client.task = client.call("task.create", "delta", "")
    dummy2, dummy3, delta = get(client, uuid, format="vhd", base=snapshot)
    assert client.state()[0] == "success"
    found = bytearray(SIZE)

    def write(offset: int, data: bytes) -> None:
        found[offset:offset + len(data)] = data

    for stream, kind in ((body, vhd.DYNAMIC), (delta, vhd.DIFFERENCING)):
        footer, header = vhd.read_stream(vhd.Forward(io.BytesIO(stream).read), len(stream), write)
        assert footer.kind == kind
    assert found == client.sim.disk_bytes(uuid)
    assert header.parent != vhd.parse_footer(body[:512]).uuid  # which is why it has to be relinked
    assert header.parent == client.sim.disks.file_uuid(client.call("VDI.get_uuid", snapshot))
    assert len(delta) < len(body)


def test_too_large_is_told_after_the_200(client: Client) -> None:
    ref, uuid = client.vdi()
    with client.sim.pool.lock:
        client.sim.pool.database.set("VDI", ref, virtual_size=2041 << 30)
    status, dummy, rest = get(client, uuid, format="vhd")
    assert (status, rest[:12]) == (200, b"HTTP/1.1 400")
    assert client.state() == ("failure", ["VDI_TOO_LARGE", ref, str(2040 << 30)])


# --- faults ---


def test_a_connection_that_is_cut(client: Client) -> None:
    dummy, uuid = client.vdi()
    client.sim.pool.faults.next_import = ImportFault(after=3 << 20)
    put(client, uuid, disk())
    assert client.state() == ("failure", IO_ERROR)
    assert client.sim.disk_bytes(uuid)[:2 << 20] == disk()[:2 << 20]
    assert client.sim.disk_bytes(uuid)[4 << 20:] == bytes(2 << 20)
    client.task = client.call("task.create", "export", "")
    client.sim.pool.faults.next_export = ImportFault(after=100)
    assert len(get(client, uuid)[2]) <= 100
    assert client.state() == ("failure", IO_ERROR)


def test_a_task_that_fails_after_all_was_sent(client: Client) -> None:
    dummy, uuid = client.vdi()
    client.sim.pool.faults.next_import = ImportFault(code="SR_BACKEND_FAILURE_40", params=("", "busy", ""))
    assert put(client, uuid, disk())[0] == 200
    assert client.state() == ("failure", ["SR_BACKEND_FAILURE_40", "", "busy", ""])


def test_a_task_that_was_cancelled(client: Client) -> None:
    dummy, uuid = client.vdi()
    with begun(client, uuid, length=SIZE) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        client.call("task.cancel", client.task)
        connection.sendall(disk()[:vhd.BLOCK])
        drain(connection)
    assert client.state()[0] == "cancelled"


# --- calls ---


def test_calls_in_both_languages(sim: Simulator) -> None:
    for path, kind, body in (
        ("/", "text/xml", b"<?xml version='1.0'?><methodCall><methodName>session.login_with_password</methodName><params>"
         b"<param><value><string>root</string></value></param><param><value><string>wrong</string></value></param></params></methodCall>"),
        ("/jsonrpc", "application/json", json.dumps({
            "jsonrpc": "2.0", "id": 1, "method": "session.login_with_password", "params": ["root", "wrong"]}).encode()),
    ):
        status, headers, rest = ask_for(sim, "POST", path, body, {"Connection": "close"})
        assert (status, headers["content-type"]) == (200, kind)
        assert b"SESSION_AUTHENTICATION_FAILED" in rest


@pytest.mark.parametrize("headers, body", [({}, b"no call"), ({"Content-Length": str(300 * 1024 + 1)}, b""), ({"Content-Length": ""}, b"")])
def test_calls_that_are_none(sim: Simulator, headers: t.Dict[str, str], body: bytes) -> None:
    assert ask_for(sim, "POST", "/", body, {**headers, "Connection": "close"})[0] == 500


def test_a_call_that_is_cut_was_carried_out(client: Client) -> None:
    sim = client.sim
    sim.pool.faults.reset_after.append("task.create")
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "task.create", "params": [client.session, "cut", ""]}).encode()
    assert ask_for(sim, "POST", "/jsonrpc", body)[0] == 0
    assert client.call("task.get_by_name_label", "cut")


def test_wishes_over_http(client: Client) -> None:
    dummy, uuid = client.vdi()
    url = client.sim.address + "/simulator"
    ask(url, {"do": "fail_import", "code": "SR_FULL", "params": ["a", "b"]})
    put(client, uuid, disk())
    assert client.state() == ("failure", ["SR_FULL", "a", "b"])
    assert ask(url, {"do": "sha256", "vdi": uuid}) == hashlib.sha256(client.sim.disk_bytes(uuid)).hexdigest()
    assert [call["method"] for call in ask(url, {"do": "writes"})] == ["VDI.create", "PUT /import_raw_vdi"]
    with pytest.raises(ValueError, match="no such action"):
        ask(url, {"do": "nothing"})


# --- TLS ---


def test_tls(tmp_path: pathlib.Path) -> None:
    with simulator(tmp_path, tls=True) as sim:
        client = Client(sim)
        dummy, uuid = client.vdi()
        where = sim.address.partition("://")[2]
        assert sim.address.startswith("https://")
        path = "/import_raw_vdi?session_id=%s&vdi=%s&task_id=%s" % (client.session, uuid, client.task)
        connection = http.client.HTTPSConnection(where, context=ssl.create_default_context(cafile=str(sim.ca_file)))
        connection.request("PUT", path, disk())
        assert connection.getresponse().status == 200
        while client.state()[0] == "pending":
            pass
        assert client.state()[0] == "success"
        connection = http.client.HTTPSConnection(where, context=ssl.create_default_context(cafile=str(sim.ca_file)))
        connection.request("GET", path.replace("import", "export"))
        assert connection.getresponse().read() == disk()
        connection = http.client.HTTPSConnection(where, context=ssl.create_default_context(cafile=str(sim.ca_file)))
        connection.request("PUT", path + "&format=vhd", disk()[:4096])
        assert b"HTTP/1.1 500" in connection.getresponse().read()
        with pytest.raises(ssl.SSLCertVerificationError):
            http.client.HTTPSConnection(where, context=ssl.create_default_context()).request("GET", "/")
