"""The processes of one run: they start with the same config and end together.

JAX's coordination service, which runs in process 0, keeps texts under keys. A process
that ends early leaves its reason there; in every other one a thread waits for it,
since the main thread may wait forever in a collective operation by then.
"""

import atexit
import contextlib
import functools
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jax.errors import JaxRuntimeError

from nwm_jax.errors import UserError
from nwm_jax.training import signals

_END, _CONFIG = "nwm_jax/end", "nwm_jax/config"
_READY, _LEFT, _DONE = "nwm_jax/ready", "nwm_jax/left", "nwm_jax/done"
_POLL_SECONDS = 0.5
# So long a thread lets the main thread print an error of its own.
_OWN_SECONDS = 0.3
# So long a process that ends waits for the others to end too.
_LEAVE_SECONDS = 7.0
# Between the last text of a process and its end.
_GONE_SECONDS = 0.5
# So long a process waits for the config of another one.
CONFIG_SECONDS = 300.0
# What machines may have each to themselves.
_LOCAL = ("data.cache_dir",)


class End(NamedTuple):
    """Why a run of several processes ends.

    Attributes:
      process: the number of the process that ended first.
      line: what it said.
      code: its exit code, which the others take.
      signal: the name of the signal that ended it; "" after an error.
    """

    process: int
    line: str
    code: int
    signal: str = ""

    def __str__(self) -> str:
        return f"process {self.process}: {self.line}"


_end: End | None = None
_known, _over = threading.Event(), threading.Event()
# Taken by the thread that ends this process, never released.
_ending = threading.RLock()


def watch() -> None:
    """Ends this process, from now on, when another one says that it ends."""
    client, number, _ = _service()
    if client is None:
        return
    thread = threading.Thread(
        target=_wait_for_end, args=(client, number), name="nwm_jax-peers", daemon=True
    )
    thread.start()

    def stop() -> None:
        _over.set()
        thread.join(_LEAVE_SECONDS)

    # A thread inside of the client while Python ends would abort the process.
    atexit.register(stop)
    signals.on_end(_publish_signal)


def publish(line: str, code: int, signal: str = "") -> None:
    """Makes the other processes end; the first one that does it counts.

    Args:
      line: why, which they print.
      code: their exit code.
      signal: the name of the signal that is the reason, if it is one.
    """
    client, number, _ = _service()
    if client is not None:
        _set(client, _END, json.dumps(End(number, line, code, signal)))


def _publish_signal(number: int) -> None:
    name = signals.name(number)
    publish(f"{name} received", signals.exit_code(number), name)


def several() -> bool:
    """Returns whether this process has joined others."""
    return _service()[0] is not None


def fail(line: str, code: int, show: Callable[[], None]) -> None:
    """Shows an error and ends a run of several processes; one alone goes on.

    Args:
      line: what is wrong, which the other processes print.
      code: the exit code of all.
      show: prints the error; not called if this process is already ending.
    """
    if not several():
        show()
        return
    _ending.acquire()
    publish(line, code)
    show()
    _leave(code)


def finish() -> None:
    """Waits at the end of a program for the other processes, which may still fail."""
    client, number, total = _service()
    if client is None:
        return
    _set(client, f"{_DONE}/{number}", "")
    for other in range(total):
        # In between Python hears signals.
        while not _came(client, f"{_DONE}/{other}", time.monotonic() + _POLL_SECONDS):
            time.sleep(0.1 * _POLL_SECONDS)


def leave_at_exit(code: int) -> None:
    """Makes the end of this program not wait for processes that are gone.

    What was registered with `atexit` before this call does not run.
    """
    atexit.register(signals.leave_at_once, code)


def wait_for_end(seconds: float = 1.0) -> None:
    """Does not return if another process says within some seconds why it ends.

    The thread that watches prints it and ends this process.
    """
    if _known.wait(seconds):
        time.sleep(60 + 2 * _LEAVE_SECONDS)


def end(ended: signals.Ended) -> None:
    """Ends this process, and the others of its run, after a signal."""
    if not ended.held:
        _publish_signal(ended.number)
    leave(ended.code)


def leave(code: int) -> None:
    """Ends this process together with the others of its run; does not return.

    JAX's own end would wait minutes for a process that is gone and then abort.

    Args:
      code: the exit code; that of the process that ended first counts.
    """
    _ending.acquire()
    _leave(code)


def check_same(config: Mapping[str, Any]) -> None:
    """Checks that all processes have one config.

    Args:
      config: the field names with points, and their values.

    Raises:
      UserError: another process has another value, in all processes.
    """
    client, number, total = _service()
    if client is None:
        return
    mine = {k: repr(v) for k, v in config.items() if k not in _LOCAL}
    if number:
        client.key_value_set(f"{_CONFIG}/{number}", json.dumps(mine))
    else:
        problem = ""
        for other in range(1, total):
            theirs = json.loads(_get(client, f"{_CONFIG}/{other}", CONFIG_SECONDS))
            changed = [
                f"{field}={theirs.get(field, '(none)')}, not {mine.get(field, '(none)')}"
                for field in sorted(mine.keys() | theirs.keys())
                if mine.get(field) != theirs.get(field)
            ]
            if changed and not problem:
                problem = (
                    f"process {other} has another config than process 0 "
                    f"({'; '.join(changed)}); start all with the same command"
                )
        client.key_value_set(_CONFIG, problem or "same")
    problem = _get(client, _CONFIG, CONFIG_SECONDS)
    if problem != "same":
        raise UserError(problem)


def _service() -> tuple[Any, int, int]:
    """Returns the service's client (None in a run of one), our number, how many."""
    # The one part of JAX that is not public; Orbax uses it too.
    from jax._src import distributed

    state = distributed.global_state
    return state.client, state.process_id, state.num_processes


def _set(client: Any, key: str, text: str) -> None:
    # There may be a text already, or no service any more.
    with contextlib.suppress(JaxRuntimeError):
        client.key_value_set(key, text)


def _get(client: Any, key: str, seconds: float) -> str:
    return client.blocking_key_value_get(key, int(1000 * seconds))


def _published(client: Any) -> End | None:
    """Why a process ended, if one has; there is no such key before."""
    with contextlib.suppress(JaxRuntimeError):
        return End(*json.loads(client.key_value_try_get(_END)))
    return None


def _wait_for_end(client: Any, number: int) -> None:
    global _end
    while not (end := _published(client)):
        if _over.wait(_POLL_SECONDS):
            return
    if end.process == number:
        return
    _end = end
    _known.set()
    time.sleep(_OWN_SECONDS)
    if not _ending.acquire(blocking=False):
        return
    if end.signal:
        signals.say(f"{end}; this process ends too")
    else:
        print(f"error: {end}", file=sys.stderr, flush=True)
    _leave(end.code)


def _leave(code: int) -> None:
    client, number, total = _service()
    if client is None:
        signals.leave(code)
    # Not before a checkpoint is whole.
    with signals.saving():
        if end := _published(client):
            code = end.code
        # A process that goes closes its connections, and what another one computes with
        # it fails, or aborts the other: nobody goes before all are here.
        _set(client, f"{_READY}/{number}", "")
        deadline = time.monotonic() + _LEAVE_SECONDS
        others = [other for other in range(total) if other != number]
        came = all(_came(client, f"{_READY}/{n}", deadline) for n in others)
        if number:
            last = functools.partial(_set, client, f"{_LEFT}/{number}", "")
            signals.leave_at_once(code, last)
        # The service runs here, and its end aborts who is left.
        if came and all(_came(client, f"{_LEFT}/{n}", deadline) for n in others):
            time.sleep(_GONE_SECONDS)
        signals.leave_at_once(code)


def _came(client: Any, key: str, deadline: float) -> bool:
    """Whether there is a text before a deadline."""
    try:
        _get(client, key, max(0.0, deadline - time.monotonic()))
    except JaxRuntimeError:
        return False
    return True
