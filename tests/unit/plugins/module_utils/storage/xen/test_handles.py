# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("XenAPI")

from lab.xapi.ports import ImportFault

from ansible_collections.bootable.volumes.plugins.module_utils.core.errors import BackendError, InvalidInput
from ansible_collections.bootable.volumes.plugins.module_utils.core.sizes import MIB
from ansible_collections.bootable.volumes.plugins.module_utils.core.waiting import Deadline
from ansible_collections.bootable.volumes.plugins.module_utils.storage.xen.handles import XenHandle
from ansible_collections.bootable.volumes.plugins.module_utils.xen.disks import Disks, Vdi
from ansible_collections.bootable.volumes.plugins.module_utils.xen.failures import XenFailure
from ansible_collections.bootable.volumes.plugins.module_utils.xen.session import Pool
from ansible_collections.bootable.volumes.tests.unit.fakes.disks import raw_disk
from ansible_collections.bootable.volumes.tests.unit.fakes.xapi import simulator
from ansible_collections.bootable.volumes.tests.unit.fakes.xen_storage import parameters

if t.TYPE_CHECKING:
    from lab.xapi.simulator import Simulator

SIZE = 2 * MIB


@pytest.fixture
def xapi(tmp_path: pathlib.Path) -> t.Iterator[Simulator]:
    with simulator(tmp_path) as found:
        yield found


@pytest.fixture
def pool(xapi: Simulator) -> t.Iterator[Pool]:
    with Pool.connect(parameters(xapi)) as found:
        yield found
        assert found.call("task.get_all") == [], "a task was left"


@pytest.fixture
def vdi(pool: Pool) -> Vdi:
    return make(pool)


def make(pool: Pool, size: int = SIZE) -> Vdi:
    disks = Disks(pool)
    return disks.create(sr=disks.find_sr().ref, name="v", size=size, other_config={}, deadline=Deadline(20))


def opened(pool: Pool, vdi: Vdi, **how: t.Any) -> XenHandle:
    return XenHandle(pool, vdi.ref, "v", vdi.size, Deadline(60), **dict({"writable": True}, **how))


def transfers(xapi: Simulator) -> int:
    """How many there have been."""
    return sum(call.method == "task.create" for call in xapi.pool.faults.calls)


def test_pieces_of_sectors_that_follow_each_other_are_one_transfer(xapi: Simulator, pool: Pool, vdi: Vdi) -> None:
    data = raw_disk()[:SIZE]
    with opened(pool, vdi, blank=True) as handle:
        for offset in range(0, SIZE, 100001):
            handle.write(offset, data[offset:offset + 100001])
    assert xapi.disk_bytes(vdi.uuid) == data
    assert transfers(xapi) == 1


def test_the_end_of_an_image_in_the_middle_of_a_sector_of_a_blank_disk_needs_no_reading(xapi: Simulator, pool: Pool, vdi: Vdi) -> None:
    with opened(pool, vdi, blank=True) as handle:
        handle.write(0, b"x" * 1000)
        handle.zero(4096, SIZE - 4096)
    assert xapi.disk_bytes(vdi.uuid) == (b"x" * 1000).ljust(SIZE, b"\0")
    assert transfers(xapi) == 1


def test_what_lies_around_a_write_stays(xapi: Simulator, pool: Pool, vdi: Vdi) -> None:
    data = bytearray(raw_disk()[:SIZE])
    xapi.write_disk(vdi.uuid, 0, bytes(data))
    with opened(pool, vdi) as handle:
        handle.write(700, b"new" * 500)
        handle.zero(SIZE - 700, 100)
        data[700:2200], data[-700:-600] = b"new" * 500, bytes(100)
        assert handle.read(0, SIZE) == data
    assert xapi.disk_bytes(vdi.uuid) == data


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blank=st.booleans(), steps=st.lists(st.tuples(
    st.sampled_from(["write", "zero", "read", "flush"]), st.integers(0, 8000), st.one_of(st.integers(0, 3000), st.sampled_from([512, 1024]))), max_size=12))
def test_it_is_a_disk(xapi: Simulator, pool: Pool, blank: bool, steps: t.List[t.Tuple[str, int, int]]) -> None:
    """Whatever is written in whatever order."""
    vdi = make(pool)
    data = bytearray(SIZE)
    if not blank:
        data[:8192] = raw_disk()[65536:65536 + 8192]
        xapi.write_disk(vdi.uuid, 0, bytes(data[:8192]))
    with opened(pool, vdi, blank=blank) as handle:
        for index, (step, offset, length) in enumerate(steps):
            if step == "write":
                data[offset:offset + length] = bytes([index + 1]) * length
                handle.write(offset, bytes([index + 1]) * length)
            elif step == "zero":
                data[offset:offset + length] = bytes(length)
                handle.zero(offset, length)
            elif step == "read":
                assert handle.read(offset, length) == data[offset:offset + length]
            else:
                handle.flush()
    assert xapi.disk_bytes(vdi.uuid) == data


def test_reading_on_needs_one_transfer_and_going_back_another(xapi: Simulator, pool: Pool, vdi: Vdi) -> None:
    xapi.write_disk(vdi.uuid, 0, raw_disk()[:SIZE])
    with opened(pool, vdi, writable=False) as handle:
        for offset in (0, 1000, 5000, MIB):
            assert handle.read(offset, 100) == raw_disk()[offset:offset + 100]
        assert handle.read(SIZE, 1) == b"" and transfers(xapi) == 1
        assert handle.read(0, 10) == raw_disk()[:10] and transfers(xapi) == 2


def test_what_may_not_be_done(pool: Pool, vdi: Vdi) -> None:
    with opened(pool, vdi, writable=False) as handle:
        with pytest.raises(InvalidInput, match="reading only"):
            handle.write(0, b"x")
    for call in (lambda: handle.read(0, 1), handle.flush, lambda: handle.zero(0, 1)):
        with pytest.raises(InvalidInput, match="not open any more"):
            call()
    handle.close()


def test_what_breaks_off_is_not_finished(xapi: Simulator, pool: Pool, vdi: Vdi) -> None:
    with pytest.raises(ValueError), opened(pool, vdi) as handle:
        handle.write(0, b"x" * 100)
        raise ValueError()
    assert xapi.disk_bytes(vdi.uuid) == bytes(SIZE)


def test_a_host_that_fails_is_believed_when_the_disk_is_flushed(xapi: Simulator, pool: Pool, vdi: Vdi) -> None:
    xapi.pool.faults.next_import = ImportFault(code="VDI_IO_ERROR", params=("Device I/O errors",))
    with pytest.raises(XenFailure, match="write the disk v"), opened(pool, vdi) as handle:
        handle.write(0, b"x" * 512)
        handle.flush()


@pytest.mark.parametrize("fault", [ImportFault(after=MIB), ImportFault(code="VDI_IO_ERROR")])
def test_a_host_that_fails_while_the_disk_is_read(xapi: Simulator, pool: Pool, vdi: Vdi, fault: ImportFault) -> None:
    xapi.pool.faults.next_export = fault
    with pytest.raises(BackendError, match="the disk v|hung up"), opened(pool, vdi, writable=False) as handle:
        handle.read(0, SIZE)
