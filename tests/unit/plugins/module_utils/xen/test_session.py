# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import pathlib
import socket
import threading
import typing as t

import pytest

pytest.importorskip("XenAPI")

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput, MissingPackage, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import session
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenDenied, XenFailure, XenNotFound
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool, from_environment, url_of
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import parameters

if t.TYPE_CHECKING:
    from lab.xapi.simulator import Simulator


@pytest.fixture
def xapi(tmp_path: pathlib.Path) -> t.Iterator[Simulator]:
    with simulator(tmp_path) as found:
        yield found


@pytest.fixture
def pool(xapi: Simulator) -> t.Iterator[Pool]:
    with Pool.connect(parameters(xapi)) as found:
        yield found


def methods(xapi: Simulator) -> t.List[str]:
    return [call.method for call in xapi.pool.faults.calls]


# --- options ---


@pytest.mark.parametrize("hostname, url", [
    ("xen1", "https://xen1"), (" xen1.example.com/ ", "https://xen1.example.com"), ("xen1:8443", "https://xen1:8443"), ("10.0.0.1", "https://10.0.0.1"),
    ("fd00::1", "https://[fd00::1]"), ("[fd00::1]:443", "https://[fd00::1]:443"), ("http://xen1", "http://xen1"), ("https://xen1", "https://xen1"),
])
def test_a_bare_host_is_spoken_to_over_tls(hostname: str, url: str) -> None:
    assert url_of(hostname) == url


@pytest.mark.parametrize("hostname", ["", "ftp://xen1", "https://xen1/path", "https://root:secret@xen1", "xen1:port", "https://"])
def test_what_is_no_host(hostname: str) -> None:
    with pytest.raises(InvalidInput, match="hostname") as refused:
        url_of(hostname)
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("options, words", [
    ({"password": "x"}, "hostname.*XENSERVER_HOST"),
    ({"hostname": "xen1"}, "password.*XENSERVER_PASSWORD"),
    ({"hostname": "xen1", "password": "x", "api_timeout": 0}, "api_timeout: 0"),
    ({"hostname": "xen1", "password": "x", "ca_path": "/nowhere"}, "ca_path: .*/nowhere.*No such file"),
])
def test_options_that_lead_nowhere(options: t.Dict[str, t.Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Pool.connect(options)


def test_what_is_no_certificate_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(InvalidInput, match="ca_path: no certificates"):
        Pool.connect({"hostname": "xen1", "password": "x", "ca_path": str(tmp_path / "ca.pem")})


def test_the_environment_gives_what_the_options_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENSERVER_HOST", "xen1")
    monkeypatch.setenv("XENSERVER_USER", "me")
    monkeypatch.setenv("XENSERVER_VALIDATE_CERTS", "no")
    assert from_environment({"username": "you", "password": None, "sr": "x"}) == {"hostname": "xen1", "username": "you", "validate_certs": False, "sr": "x"}
    monkeypatch.setenv("XENSERVER_VALIDATE_CERTS", "perhaps")
    with pytest.raises(InvalidInput, match="perhaps.*XENSERVER_VALIDATE_CERTS"):
        from_environment({})


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "XenAPI", None)
    with pytest.raises(MissingPackage) as missing:
        Pool.connect({"hostname": "xen1", "password": "x"})
    assert missing.value.library == "XenAPI"


# --- one session ---


def test_nobody_is_asked_before_the_first_call_and_one_session_is_enough(xapi: Simulator) -> None:
    with Pool.connect(parameters(xapi)) as pool:
        assert methods(xapi) == []
        assert len(pool.call("pool.get_all")) == 1
        assert pool.call("host.get_all")
        assert pool.session_id.startswith("OpaqueRef:") and pool.address == xapi.address.split("//")[1]
    assert methods(xapi) == ["session.login_with_password", "pool.get_all", "host.get_all", "session.logout"]
    pool.close()
    assert methods(xapi).count("session.logout") == 1


def test_many_threads_share_it(xapi: Simulator, pool: Pool) -> None:
    found: t.List[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(pool.call("host.get_all")))) for dummy in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 8
    assert methods(xapi).count("session.login_with_password") == 1


def test_a_wrong_password_is_told_without_it(xapi: Simulator) -> None:
    with Pool.connect(parameters(xapi, password="wrong-secret")) as pool, pytest.raises(XenDenied, match="root.*password is wrong") as refused:
        pool.call("pool.get_all")
    assert "wrong-secret" not in refused.value.message + str(refused.value.details)
    assert "session.logout" not in methods(xapi)


def test_any_host_of_the_pool_tells_of_its_master(xapi: Simulator) -> None:
    with Pool.connect(parameters(xapi, hostname=xapi.addresses[1])) as pool:
        assert pool.call("pool.get_all")
        assert pool.url == xapi.address


def test_a_new_master_is_followed(xapi: Simulator, pool: Pool) -> None:
    pool.call("pool.get_all")
    xapi.pool.faults.change_master()
    assert pool.call("pool.get_all")
    assert pool.url == xapi.addresses[1]


def test_a_session_that_has_ended_is_followed_by_another(xapi: Simulator, pool: Pool) -> None:
    before = pool.session_id
    xapi.pool.faults.expire_sessions()
    task = pool.create_task("x")
    assert pool.session_id != before
    assert [record["name_label"] for record in xapi.call("task.get_all_records").values()] == ["x"]
    pool.call("task.destroy", task)


def test_logging_out_says_nothing_whatever_happens(xapi: Simulator) -> None:
    pool = Pool.connect(parameters(xapi))
    pool.call("pool.get_all")
    xapi.stop()
    pool.close()


# --- requests ---


def test_a_refusal_has_xapis_words(pool: Pool) -> None:
    with pytest.raises(XenNotFound, match=r"XAPI refused VDI.get_record: there is no such VDI any more \(HANDLE_INVALID \[VDI, x\]\)"):
        pool.call("VDI.get_record", "x")
    with pytest.raises(XenFailure, match="does not know the call VDI.nonsense"):
        pool.call("VDI.nonsense")


@pytest.mark.parametrize("when, calls", [("reset_before", 0), ("reset_after", 1)])
def test_a_request_that_may_have_been_carried_out_is_not_sent_again(xapi: Simulator, pool: Pool, when: str, calls: int) -> None:
    pool.call("pool.get_all")
    setattr(xapi.pool.faults, when, ["task.create"])
    with pytest.raises(BackendError, match="hung up"):
        pool.create_task("x")
    assert methods(xapi).count("task.create") == calls
    assert pool.call("pool.get_all")


def test_what_only_looks_is_asked_again(xapi: Simulator, pool: Pool) -> None:
    xapi.pool.faults.reset_after = ["pool.get_all"]
    assert pool.read("pool.get_all")
    xapi.pool.faults.reset_after = ["pool.get_all", "pool.get_all"]
    with pytest.raises(BackendError, match="hung up"):
        pool.read("pool.get_all")
    xapi.pool.faults.reset_after = ["pool.get_all"] * 2
    assert pool.read("pool.get_all", within=Deadline(20))
    with pytest.raises(XenFailure):
        pool.read("VDI.get_record", "x", within=Deadline(20))


def test_a_connection_that_the_host_has_closed_meanwhile_is_not_used(xapi: Simulator, pool: Pool) -> None:
    pool.call("pool.get_all")
    idle, = pool._idle
    sock = t.cast(socket.socket, idle._transport.socket)
    sock.shutdown(socket.SHUT_RDWR)
    assert pool.create_task("x")


@contextlib.contextmanager
def answering(answer: t.Optional[bytes]) -> t.Iterator[str]:
    """A server that gives one answer to everything, or none."""
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, dummy = server.accept()
                with connection:
                    connection.recv(65536)
                    if answer is None:
                        ended.wait(20)
                    else:
                        connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield "http://127.0.0.1:%d" % server.getsockname()[1]
    finally:
        ended.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def xml(value: str) -> bytes:
    body = "<methodResponse><params><param><value>%s</value></param></params></methodResponse>" % value
    return ("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)).encode()


@pytest.mark.parametrize("answer, words", [
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 Not Found; is it a XenServer"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", "makes no sense"),
    (b"SSH-2.0-OpenSSH\r\n", "hung up"),
    (b"", "hung up"),
    (xml("<string>hello</string>"), "makes no sense; is it a XenServer"),
])
def test_who_is_no_host_is_told(answer: bytes, words: str) -> None:
    with answering(answer) as address, pytest.raises(BackendError, match=words):
        Pool.connect({"hostname": address, "password": "x"}).call("pool.get_all")


def test_a_host_that_does_not_answer_in_time_is_told() -> None:
    with answering(None) as address, pytest.raises(BackendError, match="did not answer in time; .*api_timeout"):
        Pool.connect({"hostname": address, "password": "x", "api_timeout": 1}).call("pool.get_all")


# --- TLS ---


def test_certificates_are_verified(tmp_path: pathlib.Path) -> None:
    with simulator(tmp_path, tls=True) as xapi:
        with Pool.connect(parameters(xapi)) as pool:
            assert pool.context is not None and pool.call("pool.get_all")
        with Pool.connect(parameters(xapi, ca_path=None)) as pool, pytest.raises(BackendError, match="certificate of https.* cannot be verified.*ca_path"):
            pool.call("pool.get_all")
        with Pool.connect(parameters(xapi, ca_path=None, validate_certs=False)) as pool:
            assert pool.call("pool.get_all")
        with Pool.connect(parameters(xapi, hostname=xapi.addresses[1])) as pool:
            assert pool.call("pool.get_all") and pool.url == xapi.address


# --- tasks ---


def test_long_work_is_waited_for_and_its_task_is_gone(xapi: Simulator, pool: Pool) -> None:
    sr = pool.call("SR.get_by_name_label", "Shared storage")[0]
    record = {"SR": sr, "virtual_size": "2097152", "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    ref = pool.run("VDI.create", record, deadline=Deadline(20), what="create the disk x")
    assert pool.call("VDI.get_virtual_size", ref) == "2097152"
    assert xapi.call("task.get_all") == []


def test_long_work_that_fails_is_told(xapi: Simulator, pool: Pool) -> None:
    with pytest.raises(XenNotFound, match=r"XAPI did not remove the disk: there is no such VDI any more \(HANDLE_INVALID"):
        pool.run("VDI.destroy", "x", deadline=Deadline(20), what="remove the disk")
    xapi.pool.faults.fail_next("VDI.create", "SR_BACKEND_FAILURE_44", "", "There is insufficient space", "")
    sr = pool.call("SR.get_by_name_label", "Shared storage")[0]
    record = {"SR": sr, "virtual_size": "2097152", "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    with pytest.raises(XenFailure, match="XAPI did not create it: .*insufficient space"):
        pool.run("VDI.create", record, deadline=Deadline(20), what="create it")
    assert xapi.call("task.get_all") == []


def test_long_work_that_is_not_done_in_time_goes_on(xapi: Simulator, pool: Pool) -> None:
    xapi.pool.faults.background_delay = 2.0
    sr = pool.call("SR.get_by_name_label", "Shared storage")[0]
    record = {"SR": sr, "virtual_size": "2097152", "type": "user", "sharable": False, "read_only": False, "other_config": {}}
    with pytest.raises(TimedOut, match="waiting for XAPI to create the disk x"):
        pool.run("VDI.create", record, deadline=Deadline(0.3), what="create the disk x")
