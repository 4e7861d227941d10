"""The progress line in a log and on a terminal."""

import io

import pytest

from nwm_jax.shell import progress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def run(seconds_per_step, steps, stream, **options):
    clock = Clock()
    bar = progress.Progress(steps, 0, 8, stream=stream, clock=clock, **options)
    for step in range(1, steps + 1):
        clock.now += seconds_per_step
        bar.update(step, {"loss": 1 / step}, seconds_per_step)
    bar.close()


def test_lines_come_every_ten_seconds_and_at_both_ends():
    stream = io.StringIO()
    run(0.5, 47, stream)
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["1/47", "21/47", "41/47", "47/47"]
    assert lines[1] == "step 21/47  loss 0.04762  2 steps/s  16 frames/s  ETA 0:00:13"


def test_the_last_line_comes_when_a_run_ends_early():
    stream = io.StringIO()
    bar = progress.Progress(100, stream=stream, clock=Clock())
    for step in (1, 2, 3):
        bar.update(step, {"loss": 0.5}, 1.0)
    bar.message("stopped")
    bar.close()
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "step 1/100",
        "stopped",
        "step 3/100",
    ]


def test_other_processes_are_silent():
    stream = io.StringIO()
    bar = progress.Progress(2, stream=stream, silent=True)
    bar.update(1, {"loss": 0.5, "mse": 2e-5}, 1.0)
    bar.message("text")
    bar.close()
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    bar = progress.Progress(10, 4, 8, stream=stream)
    bar.update(5, {"loss": 0.25}, 0.5)
    bar.message("evaluated [4] examples")
    bar.close()
    shown = stream.getvalue()
    assert "evaluated [4] examples" in shown
    assert "step 5/10" in shown and "loss 0.25  2 steps/s  16 frames/s" in shown
    assert "ETA 0:00:02" in shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.03123, "0.0312"),
        (4.561, "4.56"),
        (999.4, "999"),
        (1234.0, "1234"),
        (12345.0, "12.3k"),
        (4_560_000.0, "4.56M"),
    ],
)
def test_numbers(value, text):
    assert progress.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (9, "0:00:09"),
        (3723, "1:02:03"),
        (2 * 86400 + 3 * 3600 + 4 * 60 + 5, "2d 03:04:05"),
        (float("inf"), "--:--:--"),
    ],
)
def test_durations(seconds, text):
    assert progress.duration(seconds) == text
