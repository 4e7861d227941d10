"""Signals that ask a program to end: heard at any moment, answered without a loss.

Python runs signal handlers between two of its own instructions, so never during a
compilation or a training step. Here a thread reads the signals as they come, says so,
and makes sure that the program ends:

- where nothing is to be saved (imports, simulation, compilation, evaluation, figures):
  `Ended` is raised in the main thread, and a few seconds later the process ends even if
  the main thread is still busy;
- inside of `Listener.hold` (training steps): the loop saves first.

More signals change nothing, except that a second Ctrl-C ends the process at once.
The module imports nothing slow, so that a verb listens before its other imports.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

# SIGUSR1 is what clusters send by choice; Windows does not have it.
NUMBERS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1")
    if hasattr(signal, name)
]
# So long the main thread has to clean up where nothing is to be saved.
GRACE_SECONDS = 3.0
EXIT_VARIABLE = "NWM_JAX_PREEMPTED_EXIT"


def name(number: int) -> str:
    """Returns the name of a signal, such as "SIGTERM"."""
    return signal.Signals(number).name


class Ended(SystemExit):
    """The program ends because of a signal; `code` is its exit code.

    Attributes:
      number: the signal.
      held: whether it ends after a save, on which the processes of a run agree.
    """

    code: int

    def __init__(self, number: int, held: bool = False):
        super().__init__(exit_code(number))
        self.number, self.held = number, held


def exit_code(number: int) -> int:
    """Returns the exit code of a program that a signal ended in order.

    Args:
      number: the signal.

    Returns:
      The value of NWM_JAX_PREEMPTED_EXIT if it is set; else 130 after SIGINT and 143
      after SIGTERM and SIGUSR1.
    """
    chosen = os.environ.get(EXIT_VARIABLE, "")
    if is_exit_code(chosen):
        return int(chosen)
    return 130 if number == signal.SIGINT else 143


def is_exit_code(text: str) -> bool:
    """Returns whether a text is a whole number from 0 to 255."""
    return text.isascii() and text.isdecimal() and len(text) < 4 and int(text) < 256


class Listener:
    """Hears the signals of this process; made by `listen` and `collect`.

    Args:
      ends: whether a signal ends the process where nothing is to be saved; else
        signals are only noted.

    Attributes:
      asked: the number of the signal that asked for the end; 0 before.
      ending: whether the process ends because of it, with nothing to be saved.
      on_end: called with that number by the thread that hears it, if the process ends.
    """

    def __init__(self, ends: bool):
        self.ends = ends
        self.asked = 0
        self.on_end: Callable[[int], None] = lambda number: None
        self.ending = False
        self._holding = self._raised = False
        self._said = threading.Lock()

    def start(self) -> None:
        """Installs the handlers; in the main thread, where Python has them."""
        self._said.acquire()
        # Python's C code writes the number of a signal here as it comes.
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._before = {n: signal.signal(n, self._handle) for n in NUMBERS}
        self._fd = signal.set_wakeup_fd(
            self._writer.fileno(), warn_on_full_buffer=False
        )
        self._thread = threading.Thread(
            target=self._watch, name="nwm_jax-signals", daemon=True
        )
        self._thread.start()

    @property
    def name(self) -> str:
        """The name of the signal that asked for the end; "" before."""
        return name(self.asked) if self.asked else ""

    def close(self) -> None:
        """Puts the handlers of before back in place."""
        signal.set_wakeup_fd(self._fd)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._writer.send(bytes(1))
        self._thread.join()
        self._reader.close()
        self._writer.close()

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keeps signals from ending the process: there is something to save.

        Raises:
          Ended: when left in order, if a signal came and the listener ends the process.
        """
        self._end_if_asked()
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        self._end_if_asked(held=True)

    def _end_if_asked(self, held: bool = False) -> None:
        if self.asked and self.ends and not self._holding:
            self.ending = self._raised = True
            # The process must not be gone before the line is there.
            self._said.acquire(timeout=0.5)
            raise Ended(self.asked, held)

    def _handle(self, number: int, frame: object) -> None:
        """Runs in the main thread, as soon as that is at a line of Python."""
        self.asked = self.asked or number
        # Once: what cleans up after it is not interrupted by the next one.
        if not self._raised:
            self._end_if_asked()

    def _watch(self) -> None:
        heard, own = [], 0
        while number := self._reader.recv(1)[0]:
            if number not in NUMBERS:  # another package's handler
                continue
            if number == own:
                own = 0
                continue
            heard.append(number)
            if heard.count(signal.SIGINT) == 2:
                leave_at_once(130)
            if len(heard) == 1:
                self._answer(number)
                self._said.release()
                if self.ending and not self._raised and hasattr(signal, "pthread_kill"):
                    # The kernel may have chosen another thread: wake the main one.
                    own, main = number, threading.main_thread().ident
                    assert main is not None  # it has been started
                    signal.pthread_kill(main, number)

    def _answer(self, number: int) -> None:
        self.asked = self.asked or number
        if self._holding or not self.ends:
            say(f"{name(number)} received: finishes the running steps and saves")
            return
        self.ending = True
        # Armed first: what follows may wait for a full pipe or another machine.
        timer = threading.Timer(GRACE_SECONDS, leave, [exit_code(number)])
        timer.daemon = True
        timer.start()
        say(f"{name(number)} received: ends; nothing has to be saved")
        self.on_end(number)


_active: Listener | None = None
_saving = threading.Lock()


def listen() -> None:
    """Hears signals from now on, for the rest of the process; for verbs."""
    global _active
    _active = Listener(ends=True)
    _active.start()


@contextlib.contextmanager
def collect() -> Iterator[Listener]:
    """Hears signals while training runs, which may be in a program of the user.

    Yields:
      The listener of the verb; else one that only notes signals, of which there are
      none outside of the main thread.
    """
    listener = _active or Listener(ends=False)
    starts = threading.current_thread() is threading.main_thread() and not _active
    if starts:
        listener.start()
    try:
        yield listener
    finally:
        if starts:
            listener.close()


def on_end(function: Callable[[int], None]) -> None:
    """Lets a function know, in another thread, that a signal ends this process.

    Args:
      function: called with the number of the signal.
    """
    if _active:
        _active.on_end = function


def ending() -> int:
    """Returns the number of the signal that ends this process; 0 without one."""
    return _active.asked if _active and _active.ending else 0


@contextlib.contextmanager
def saving() -> Iterator[None]:
    """Makes `leave` wait, in another thread, until a file is written."""
    with _saving:
        yield


def leave(code: int) -> None:
    """Ends the process as soon as no file is being saved; does not return."""
    with _saving:
        leave_at_once(code)


def say(text: str) -> None:
    """Prints a line from any thread; that nobody can read it is no error."""
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)


def leave_at_once(code: int, last: Callable[[], object] = lambda: None) -> None:
    """Ends the process now; does not return.

    Args:
      code: the exit code.
      last: what is done between the last output and the end, within a second.
    """
    # A reader that does not read must not keep the process.
    timer = threading.Timer(1.0, os._exit, [code])
    timer.daemon = True
    timer.start()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            if stream.isatty():
                stream.write("\x1b[?25h")  # the cursor, which a progress bar hides
            stream.flush()
    last()
    os._exit(code)
