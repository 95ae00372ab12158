"""Wall time and peak memory of commands, both sides in turn, as ratios of medians."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable


@dataclass
class Side:
    """One side of a comparison.

    :param run: Does the work once.
    :param reset: Called before each run, not timed.
    """

    name: str
    run: Callable[[], None]
    reset: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def compare(title: str, ours: Side, others: list[tuple[Side, float]], rounds: int) -> bool:
    """Run all sides in turn, ``rounds`` times, and print the ratios.

    :param others: Each with the highest ratio ours / theirs that is expected.
    :returns: Whether every ratio is as expected.
    """
    print("\n%s" % title, flush=True)
    sides = [ours] + [side for side, dummy in others]
    for number in range(rounds):
        for side in sides:
            side.reset()
            started = time.monotonic()
            side.run()
            side.seconds.append(time.monotonic() - started)
            print("  round %d of %d  %-42s %8.2f s" % (number + 1, rounds, side.name, side.seconds[-1]), flush=True)
    as_expected = True
    for side, most in others:
        ratio = ours.median / side.median
        as_expected &= ratio <= most
        print("  %.2f s against %.2f s of %s: ratio %.3f (expected at most %.3f) %s" % (
            ours.median, side.median, side.name, ratio, most, "ok" if ratio <= most else "MISSED"), flush=True)
    return as_expected


def run(*command: str | Path, **extra_environment: str) -> None:
    """Run a command quietly; show what it printed when it fails."""
    done = subprocess.run([str(each) for each in command], env=dict(os.environ, **extra_environment),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise SystemExit("%s failed:\n%s" % (" ".join(str(each) for each in command), done.stdout[-4000:]))


class PeakMemory:
    """The most memory that a module and its children held together, in bytes; sampled while a ``with`` runs.

    A module is found by the name that ansible-core gives its payload: AnsiballZ_<module>.py.
    """

    def __init__(self, module: str) -> None:
        self._marker = ("AnsiballZ_%s.py" % module).encode()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.bytes = 0

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.bytes = max(self.bytes, self._now())

    def _now(self) -> int:
        parents: dict[int, int] = {}
        resident: dict[int, int] = {}
        tree = set()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                pid = int(entry.name)
                command = (entry / "cmdline").read_bytes().split(b"\0")
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[pid], resident[pid] = int(stat[1]), int(stat[21]) * os.sysconf("SC_PAGE_SIZE")
            except (OSError, IndexError):
                continue
            if b"python" in command[0] and any(word.endswith(self._marker) for word in command[1:3]):
                tree.add(pid)
        for dummy in range(4):
            tree |= {pid for pid, parent in parents.items() if parent in tree}
        return sum(resident[pid] for pid in tree)
