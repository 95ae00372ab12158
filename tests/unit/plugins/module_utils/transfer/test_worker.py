# Copyright: The bootable.volumes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import typing as t

import pytest

from ansible_collections.bootable.volumes.plugins.module_utils.transfer.worker import DEPTH, Worker


def test_work_is_done_in_order_in_another_thread() -> None:
    done: t.List[t.Tuple[int, bool]] = []
    worker: Worker[int] = Worker(lambda item: done.append((item, threading.current_thread() is threading.main_thread())))
    for item in range(100):
        worker.put(item)
    worker.finish()
    assert done == [(item, False) for item in range(100)]


def test_an_error_comes_out_and_nobody_waits_for_ever() -> None:
    def fail(item: int) -> None:
        raise KeyError(item)

    worker: Worker[int] = Worker(fail)
    with pytest.raises(KeyError, match="0"):
        for item in range(10 * DEPTH):
            worker.put(item)
        worker.finish()
    worker.stop()
    with pytest.raises(KeyError):
        worker.finish()


def test_few_items_wait() -> None:
    gate = threading.Event()
    worker: Worker[int] = Worker(lambda item: t.cast(None, gate.wait(10)))
    for item in range(DEPTH + 1):
        worker.put(item)
    late = threading.Thread(target=worker.put, args=(0,))
    late.start()
    late.join(0.05)
    assert late.is_alive()
    gate.set()
    late.join()
    worker.finish()
