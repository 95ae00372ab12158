# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

pytest.importorskip("XenAPI")

from lab.xapi.ports import ImportFault

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, NotFound, TimedOut
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.xen import raw_vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks, Vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenDenied, XenFailure, XenInUse
from ansible_collections.bootable.volumes.plugins.module_utils.xen.raw_vdi import ChunkedPut, Download, VhdPut
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes import vhds
from ansible_collections.bootable.volumes.tests.unit.fakes.host import FastClock
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import LOCAL, LVM, SHARED, attach, parameters

if t.TYPE_CHECKING:
    from lab.xapi.simulator import Simulator

SIZE = 6 * MIB
WRITES = vhds.scattered(7, SIZE, 6)
DISK = vhds.disk(SIZE, WRITES)
VHD = vhds.vhd(SIZE, WRITES)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def xapi(tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> t.Iterator[Simulator]:
    with simulator(tmp_path, tls=request.param) as found:
        yield found


@pytest.fixture
def pool(xapi: Simulator) -> t.Iterator[Pool]:
    with Pool.connect(parameters(xapi)) as found:
        yield found
        assert found.call("task.get_all") == [], "a task was left"


def disk(pool: Pool, sr: str = SHARED, size: int = SIZE) -> Vdi:
    disks = Disks(pool)
    return disks.create(sr=disks.find_sr(sr).ref, name="v", size=size, other_config={}, deadline=Deadline(20))


def put_vhd(pool: Pool, vdi: Vdi, data: bytes, length: t.Optional[int] = None) -> None:
    put = VhdPut(pool, vdi.ref, length=len(data) if length is None else length, deadline=Deadline(20), what="write the disk v")
    try:
        put.send(data)
        put.finish()
    finally:
        put.abort()


def chunked(pool: Pool, vdi: Vdi, deadline: t.Optional[Deadline] = None) -> ChunkedPut:
    return ChunkedPut(pool, vdi.ref, deadline=deadline or Deadline(20), what="write the disk v")


def download(pool: Pool, vdi: Vdi, format: str = "raw", **more: t.Any) -> Download:
    return Download(pool, vdi.ref, format=format, deadline=Deadline(20), what="read the disk v", **more)


# --- to a host ---


@pytest.mark.parametrize("sr", [SHARED, LOCAL])
def test_a_vhd_arrives_wherever_the_repository_is(xapi: Simulator, pool: Pool, sr: str) -> None:
    vdi = disk(pool, sr)
    put_vhd(pool, vdi, VHD)
    assert xapi.disk_bytes(vdi.uuid) == DISK


@pytest.mark.parametrize("sr", [SHARED, LVM, LOCAL])
def test_stretches_arrive_and_what_lies_between_is_left_alone(xapi: Simulator, pool: Pool, sr: str) -> None:
    vdi = disk(pool, sr)
    put = chunked(pool, vdi)
    put.write(0, b"a" * MIB)
    put.write(3 * MIB, b"b" * (2 * MIB + 512))
    put.write(512, b"")
    put.write(1024, b"c" * 512)
    put.finish()
    put.finish()
    put.write(SIZE - 512, b"d" * 512)
    put.finish()
    content = bytearray(SIZE)
    content[:MIB], content[3 * MIB:5 * MIB + 512], content[1024:1536], content[-512:] = b"a" * MIB, b"b" * (2 * MIB + 512), b"c" * 512, b"d" * 512
    assert xapi.disk_bytes(vdi.uuid) == content


def test_nothing_is_sent_before_there_is_something_to_write(xapi: Simulator, pool: Pool) -> None:
    vdi = disk(pool)
    before = len(xapi.pool.faults.calls)
    put = chunked(pool, vdi)
    put.finish()
    put.abort()
    assert len(xapi.pool.faults.calls) == before


@pytest.mark.parametrize("data, words", [
    (b"x" * 4096, "Device I/O errors"),
    (vhds.vhd(SIZE + 2 * MIB, {SIZE: b"x" * 512}), "Device I/O errors"),
    (VHD[:-512] + bytes(512), "Device I/O errors"),
])
def test_only_the_task_tells_that_a_host_could_not_read_it(pool: Pool, data: bytes, words: str) -> None:
    with pytest.raises(XenFailure, match="XAPI did not write the disk v: .*%s" % words):
        put_vhd(pool, disk(pool), data)


def test_a_failure_after_everything_was_taken_is_a_failure(xapi: Simulator, pool: Pool) -> None:
    vdi = disk(pool)
    xapi.pool.faults.next_import = ImportFault(code="VDI_IO_ERROR", params=("Device I/O errors",), delay=0.3)
    with pytest.raises(XenFailure, match="VDI_IO_ERROR"):
        put_vhd(pool, vdi, VHD)


def test_fewer_bytes_than_were_announced_are_no_reason_to_wait(pool: Pool) -> None:
    with pytest.raises(BackendError, match="100 bytes more than it has"):
        put_vhd(pool, disk(pool), VHD, len(VHD) + 100)


def test_a_host_that_hangs_up_is_asked_why(xapi: Simulator, pool: Pool) -> None:
    vdi = disk(pool, size=40 * MIB)
    xapi.pool.faults.next_import = ImportFault(after=4096)
    put = chunked(pool, vdi)
    with pytest.raises(BackendError, match="XAPI did not write the disk v"):
        for offset in range(0, 40 * MIB, MIB):
            put.write(offset, b"x" * MIB)
        put.finish()
    put.abort()


def test_breaking_off_lets_go_of_the_disk(xapi: Simulator, pool: Pool) -> None:
    vdi = disk(pool)
    put = chunked(pool, vdi)
    put.write(0, b"x" * 512)
    put.abort()
    put.abort()
    Disks(pool).destroy(vdi.ref, deadline=Deadline(20))


def test_time_is_up_while_it_is_sent(pool: Pool) -> None:
    clock = FastClock()
    put = chunked(pool, disk(pool), Deadline(100, clock=clock))
    put.write(0, b"x" * 512)
    clock.sleep(200)
    with pytest.raises(TimedOut, match="waiting for XAPI to write the disk v"):
        put.write(512, b"x" * 512)
    put.abort()


def test_a_disk_in_use_is_told(xapi: Simulator, pool: Pool) -> None:
    vdi = disk(pool)
    machine = attach(xapi, vdi.uuid, "web-1")
    xapi.write_disk(vdi.uuid, 510, b"\x55\xaa")
    xapi.call("VM.start", machine, False, False)
    with pytest.raises(XenInUse, match="XAPI did not write the disk v: the disk is in use"):
        put_vhd(pool, vdi, VHD)
    with pytest.raises(XenInUse, match="XAPI did not read the disk v: the disk is in use"), download(pool, vdi) as found:
        found.read(512)
        found.finish()


def test_what_a_host_refuses_at_once(xapi: Simulator, pool: Pool) -> None:
    vdi = disk(pool)
    with pytest.raises(NotFound, match=r"could not write the disk v: the disk is gone, or the host failed \(HTTP 500"):
        VhdPut(pool, "00000000-0000-0000-0000-000000000000", length=1, deadline=Deadline(20), what="write the disk v")
    with Pool.connect(parameters(xapi, username="operator", password="operator")) as other:
        with pytest.raises(XenDenied, match="may not move disks.*HTTP 403"):
            Download(other, vdi.ref, format="raw", deadline=Deadline(20), what="read it")


def test_the_session_is_in_no_address(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: t.List[str] = []
    ask = raw_vdi._ask
    monkeypatch.setattr(raw_vdi, "_ask", lambda pool, method, url, cookie, length: (asked.append(url), ask(pool, method, url, cookie, length))[1])
    put_vhd(pool, disk(pool, LOCAL), VHD)
    assert len(asked) == 2 and pool.session_id not in "".join(asked)


@pytest.mark.parametrize("url, location, followed", [
    ("https://a/import_raw_vdi?vdi=x", "https://b/import_raw_vdi?vdi=x", "https://b/import_raw_vdi?vdi=x"),
    ("https://a/import_raw_vdi?vdi=x", "http://b/", "https://b/?vdi=x"),
    ("http://a/import_raw_vdi?vdi=x", "http://b/import_raw_vdi?vdi=x", "http://b/import_raw_vdi?vdi=x"),
    ("http://a/import_raw_vdi?vdi=x", "https://b/import_raw_vdi?vdi=x", "https://b/import_raw_vdi?vdi=x"),
    ("https://a/import_raw_vdi?vdi=x", "/import_raw_vdi", "https://a/import_raw_vdi?vdi=x"),
])
def test_a_protected_connection_is_never_followed_by_a_plain_one(url: str, location: str, followed: str) -> None:
    assert raw_vdi._followed(url, location) == followed


# --- from a host ---


@pytest.mark.parametrize("sr", [SHARED, LVM, LOCAL])
def test_a_disk_is_read_to_its_end(xapi: Simulator, pool: Pool, sr: str) -> None:
    vdi = disk(pool, sr)
    xapi.write_disk(vdi.uuid, 0, DISK)
    with download(pool, vdi) as found:
        assert found.read(512) == DISK[:512]
        found.check()
        assert found.read(SIZE) == DISK[512:]
        found.finish()
    with download(pool, vdi, "vhd") as found:
        data = found.read(1 << 30)
        found.finish()
    assert vhds.opened(data).read(0, SIZE) == DISK


def test_a_difference_is_read(xapi: Simulator, pool: Pool) -> None:
    base = disk(pool)
    xapi.write_disk(base.uuid, 0, DISK)
    leaf = Disks(pool).clone(base.ref, deadline=Deadline(20))
    xapi.write_disk(leaf.uuid, 2 * MIB, b"new" * 512)
    with download(pool, leaf, "vhd", base=base.ref) as found:
        delta = vhds.opened(found.read(1 << 30))
        found.finish()
    assert list(delta.order) == [1] and delta.parent is not None


@pytest.mark.parametrize("fault", [ImportFault(after=MIB), ImportFault(after=MIB, code="VDI_IO_ERROR"), ImportFault(code="VDI_IO_ERROR")])
def test_bytes_that_came_without_success_are_not_believed(xapi: Simulator, pool: Pool, fault: ImportFault) -> None:
    vdi = disk(pool)
    xapi.write_disk(vdi.uuid, 0, DISK)
    xapi.pool.faults.next_export = fault
    with download(pool, vdi) as found, pytest.raises(BackendError):
        found.read(SIZE)
        found.finish()


def test_hanging_up_early_lets_go_of_the_disk(xapi: Simulator, pool: Pool) -> None:
    vdi = disk(pool)
    found = download(pool, vdi)
    found.read(512)
    found.close()
    found.close()
    Disks(pool).destroy(vdi.ref, deadline=Deadline(20))
