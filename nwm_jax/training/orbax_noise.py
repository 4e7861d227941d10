"""What Orbax leaves behind: threads of a failed save, log lines, late complaints."""

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any


def settle() -> None:
    """Waits for the threads that Orbax leaves writing when a save has failed."""
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("orbax"):
            thread.join(timeout=60)


def _unraisable(report: Any) -> None:
    # Abandoned tasks of Orbax report to an event loop that is gone.
    if "Event loop is closed" not in str(report.exc_value):
        sys.__unraisablehook__(report)


@contextlib.contextmanager
def root_logger_kept() -> Iterator[None]:
    """Takes the handlers away that absl adds to the root logger at its first line.

    Orbax logs by absl, already while it is imported. A handler that a library leaves
    there would print, or print twice, what the program around it logs.
    """
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        yield
    finally:
        for handler in list(root.handlers):
            if handler not in before:
                root.removeHandler(handler)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps the log lines of Orbax, which are not for users, off the screen."""
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    hook, sys.unraisablehook = sys.unraisablehook, _unraisable
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with root_logger_kept(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
        # Not after an error: the tasks that it leaves behind report later.
        sys.unraisablehook = hook
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
