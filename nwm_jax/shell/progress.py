"""The line that shows how far a run is: a live bar on a terminal, lines in a log."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from rich import console, progress

LINE_SECONDS = 10.0
MEMORY_SECONDS = 30.0


class Progress:
    """Shows step/total, metrics, steps/s, frames/s and the time that is left.

    Args:
      total: the last step.
      step: the step that the run starts from.
      units_per_step: frames in one step's batch.
      stream: where to write; None: standard output.
      silent: True in the processes that do not print.
      clock: returns seconds; tests replace it.
    """

    def __init__(
        self,
        total: int,
        step: int = 0,
        units_per_step: float = 0.0,
        *,
        stream: TextIO | None = None,
        silent: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._stream = sys.stdout if stream is None else stream
        self._silent = silent
        self._clock = clock
        self._total, self._step, self._units = total, step, units_per_step
        self._steps = self._seconds = 0.0
        self._last_line = -math.inf
        self._pending = ""
        self._bar: progress.Progress | None = None
        if not silent and self._stream.isatty():
            self._bar = progress.Progress(
                progress.TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
                progress.BarColumn(),
                progress.TextColumn("{task.fields[numbers]}"),
                console=console.Console(file=self._stream),
                refresh_per_second=2,
            )
            self._task = self._bar.add_task("", total=total, completed=step, numbers="")
            self._bar.start()

    def update(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Reports that training is at `step`.

        Args:
          step: the number of updates so far.
          metrics: of the last one, in the order in which they are shown.
          seconds: what the steps since the last update took; pauses for evaluations
            and checkpoints are left out, so that they do not blur the rate.
        """
        if self._silent:
            return
        # A mean that forgets: steps older than half a minute hardly count.
        fade = math.exp(-seconds / MEMORY_SECONDS)
        self._steps = fade * self._steps + (step - self._step)
        self._seconds = fade * self._seconds + seconds
        self._step = step
        rate = self._steps / self._seconds if self._seconds > 0 else 0.0
        numbers = self._numbers(metrics, rate)
        if self._bar:
            self._bar.update(self._task, completed=step, numbers=numbers)
            return
        line = f"step {step}/{self._total}  {numbers}"
        now = self._clock()
        if now - self._last_line >= LINE_SECONDS or step >= self._total:
            self._print(line)
            self._last_line, self._pending = now, ""
        else:
            self._pending = line

    def message(self, text: str) -> None:
        """Prints one line, above the bar if there is one."""
        if self._silent:
            return
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._print(text)

    def close(self) -> None:
        """Prints the last line and restores the terminal."""
        if self._bar:
            self._bar.stop()
            self._bar = None
        elif self._pending:
            self._print(self._pending)
            self._pending = ""

    def _numbers(self, metrics: Mapping[str, float], rate: float) -> str:
        left = (self._total - self._step) / rate if rate > 0 else math.inf
        parts = [f"{name} {value:.4g}" for name, value in metrics.items()]
        parts.append(f"{number(rate)} steps/s")
        if self._units:
            parts.append(f"{number(rate * self._units)} frames/s")
        parts.append(f"ETA {duration(left)}")
        return "  ".join(parts)

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def number(value: float) -> str:
    """Writes a rate in three digits: 0.0312, 4.56, 78.9, 12.3k, 4.56M."""
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if value >= limit:
            return f"{value / (limit if unit == 'M' else 1e3):.3g}{unit}"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Writes a time as 0:00:09, 1:02:03 or 2d 03:04:05; unknown as --:--:--."""
    if not math.isfinite(seconds):
        return "--:--:--"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    clock = f"{minute:02}:{second:02}"
    return f"{days}d {hour:02}:{clock}" if days else f"{hour}:{clock}"
