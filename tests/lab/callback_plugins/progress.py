"""What "scripts/lab up" prints: what takes a while, what changed, what failed; nothing about what was in place."""

from __future__ import annotations

import time
from threading import Timer
from typing import TYPE_CHECKING, Any

from ansible.plugins.callback.default import CallbackModule as Default

if TYPE_CHECKING:
    from ansible.executor.task_result import TaskResult
    from ansible.inventory.host import Host
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

DOCUMENTATION = """
name: progress
type: stdout
short_description: Terse progress with times
description:
  - Tasks are named once they have run for a while, and again when they changed something; the rest is silent.
extends_documentation_fragment: [default_callback, result_format_callback]
"""


PATIENCE = 3.0  # seconds until a task that still runs is named


class CallbackModule(Default):  # type: ignore[misc]
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "progress"

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()
        self.running: dict[tuple[str, str], tuple[float, Timer]] = {}

    def line(self, host: str, task: Task, text: str) -> None:
        name = task.get_name().rpartition(" : ")[2]
        self._display.display(f"  +{time.monotonic() - self.began:3.0f}s  {host}: {name}{text}")

    def finish(self, result: TaskResult) -> float:
        """Seconds that the task took."""
        began, timer = self.running.pop((result._host.get_name(), result._task._uuid), (time.monotonic(), None))
        if timer:
            timer.cancel()
        return time.monotonic() - began

    def v2_playbook_on_play_start(self, play: Play) -> None:
        self._display.display(play.get_name())

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:
        pass

    def v2_playbook_on_handler_task_start(self, task: Task) -> None:
        pass

    def v2_playbook_on_include(self, included_file: Any) -> None:
        pass

    def v2_runner_on_start(self, host: Host, task: Task) -> None:
        timer = Timer(PATIENCE, self.line, (host.name, task, " ..."))
        timer.daemon = True
        timer.start()
        self.running[host.name, task._uuid] = time.monotonic(), timer

    def v2_runner_on_ok(self, result: TaskResult) -> None:
        seconds = self.finish(result)
        if result.is_changed():
            self.line(result._host.get_name(), result._task, f": done in {seconds:.1f} s")

    def v2_runner_on_skipped(self, result: TaskResult) -> None:
        self.finish(result)

    def v2_runner_on_failed(self, result: TaskResult, ignore_errors: bool = False) -> None:
        self.finish(result)
        super().v2_runner_on_failed(result, ignore_errors)

    def v2_runner_item_on_ok(self, result: TaskResult) -> None:
        pass

    def v2_runner_item_on_skipped(self, result: TaskResult) -> None:
        pass

    def v2_playbook_on_stats(self, stats: Any) -> None:
        totals = [stats.summarize(host) for host in stats.processed]
        counts = (f"{key}={sum(total[key] for total in totals)}" for key in ("ok", "changed", "skipped", "failures"))
        self._display.display(" ".join(counts))
