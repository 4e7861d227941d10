"""Signals while Python cannot run: what is said, when the process ends, and how."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from nwm_jax.training import signals

ROOT = pathlib.Path(__file__).parents[2]

# A call of C that does not come back, as a compilation or a training step is one.
BUSY = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
PROGRAM = """
import sys, time
from nwm_jax.training import signals
signals.listen()
try:
    print("listening", flush=True)
    {body}
except signals.Ended as ended:
    print("cleaned up", flush=True)
    signals.leave(ended.code)
"""


def start(body, **environment):
    """Starts a program that listens."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout.readline() == "listening\n"
    time.sleep(0.1)
    return process


def ask(process, *numbers):
    """Sends signals; returns the line, its seconds, the rest, and the whole's."""
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2 * (len(numbers) > 1))
    line = process.stdout.readline()
    heard = time.monotonic() - began
    # Not communicate: it would lose what readline has read ahead.
    rest = process.stdout.read()
    process.wait(timeout=60)
    return line, heard, rest, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143)],
)
@pytest.mark.parametrize("body", ["time.sleep(60)", BUSY], ids=["python", "c"])
def test_where_nothing_is_to_be_saved_a_process_ends_soon(body, number, code):
    process = start(body)
    line, heard, rest, took = ask(process, number)
    assert number.name in line and "received" in line
    assert heard < 1 and took < 5
    assert process.returncode == code
    # What can be cleaned up is.
    assert ("cleaned up" in rest) == (body != BUSY)


HELD = """
    with signals.collect() as listener, listener.hold():
        while not listener.asked:
            time.sleep(0.01)
        with signals.saving():
            time.sleep(1.5)
            print("saved", flush=True)
"""


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGTERM,),
        (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGINT),
    ],
)
def test_a_save_is_finished_whatever_else_comes(numbers):
    process = start(HELD)
    line, _, rest, _ = ask(process, *numbers)
    assert "SIGTERM received" in line
    assert rest == "saved\ncleaned up\n"
    assert process.returncode == 143


def test_a_second_ctrl_c_acts_at_once():
    process = start(HELD)
    _, _, rest, took = ask(process, signal.SIGINT, signal.SIGINT)
    assert process.returncode == 130 and "saved" not in rest and took < 1.4


@pytest.mark.parametrize("code", ["0", "7"])
def test_the_exit_code_that_a_scheduler_wants(code):
    process = start("time.sleep(60)", NWM_JAX_PREEMPTED_EXIT=code)
    ask(process, signal.SIGTERM)
    assert process.returncode == int(code)


@pytest.mark.parametrize("text", ["", "256", "-1", "1.5", "zero", "٣", "0" * 5000])
def test_what_is_no_exit_code(text, monkeypatch):
    monkeypatch.setenv("NWM_JAX_PREEMPTED_EXIT", text)
    assert not signals.is_exit_code(text)
    assert signals.exit_code(signal.SIGTERM) == 143


def test_handlers_are_given_back_in_a_program_of_the_user():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    with signals.collect() as listener, listener.hold():
        os.kill(os.getpid(), signal.SIGTERM)
        assert listener.asked == signal.SIGTERM and listener.name == "SIGTERM"
    assert [signal.getsignal(number) for number in numbers] == before
    with signals.collect() as listener:
        assert not listener.asked


def test_every_verb_listens_before_its_slow_imports():
    verbs = [
        path
        for path in (ROOT / "nwm_jax").glob("[!_]*.py")
        if re.search(r"^if __name__ == .__main__.:$", path.read_text(), re.MULTILINE)
    ]
    assert len(verbs) > 5
    for path in verbs:
        first = path.read_text().split('"""', 2)[2].split("\n\n")[:3]
        assert "signals.listen()" in "".join(first), path
