"""The script with which "scripts/lab down" ends the guests of the lab's libvirt, and nobody else's processes."""

from __future__ import annotations

import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "lab/roles/libvirt/files/end_guests"


@pytest.fixture
def guest() -> t.Iterator[t.Callable[[str], subprocess.Popen[bytes]]]:
    """Starts processes whose command line is like that of QEMU."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> subprocess.Popen[bytes]:
        wait = "import sys; sys.stdin.read()"
        started.append(subprocess.Popen([sys.executable, "-c", wait, "-name", f"guest={name},debug-threads=on"], stdin=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end_guests(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([str(SCRIPT), str(folder)], stderr=subprocess.PIPE)


def test_a_guest_is_ended(tmp_path: Path, guest: t.Callable[[str], subprocess.Popen[bytes]]) -> None:
    process = guest("instance-00000001")
    (tmp_path / "instance-00000001.pid").write_text(str(process.pid))
    script = end_guests(tmp_path)
    process.wait(timeout=60)
    assert script.communicate(timeout=60) == (None, b"")
    assert script.returncode == 0
    assert process.returncode == -15


def test_who_has_the_number_of_a_guest_that_is_gone_is_left_alone(
    tmp_path: Path, guest: t.Callable[[str], subprocess.Popen[bytes]]
) -> None:
    process = guest("instance-00000012")
    for name in ("instance-00000001", "driver"):
        (tmp_path / f"{name}.pid").write_text(str(process.pid))
    script = end_guests(tmp_path)
    assert script.communicate(timeout=60) == (None, b"")
    assert script.returncode == 0
    assert process.poll() is None


def test_nothing_to_end(tmp_path: Path) -> None:
    script = end_guests(tmp_path / "none")
    assert script.communicate(timeout=60) == (None, b"")
    assert script.returncode == 0
