"""What the loop shows while it runs; a terminal's progress bar is a `Display` too."""

from collections.abc import Callable, Mapping
from typing import Protocol


class Display(Protocol):
    """Shows how far a run is."""

    def update(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Shows that training is at `step`.

        Args:
          step: the number of updates so far.
          metrics: of the last one, in the order in which they are shown.
          seconds: duration of the steps since the last update, without pauses for
            evaluations and checkpoints.
        """

    def message(self, text: str) -> None:
        """Shows one line."""

    def close(self) -> None:
        """Shows what is pending and releases the terminal."""


# Called with the last step, the step that the run starts from and the frames of one
# step's batch.
MakeDisplay = Callable[[int, int, float], Display]


class Lines:
    """Prints messages alone; an instance stands for one run."""

    def __init__(self, total: int, step: int, units_per_step: float) -> None:
        del total, step, units_per_step

    def update(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Shows nothing."""

    def message(self, text: str) -> None:
        """Prints one line."""
        print(text, flush=True)

    def close(self) -> None:
        """Does nothing."""


class Silent(Lines):
    """Shows nothing; used by all processes except the first."""

    def message(self, text: str) -> None:
        """Shows nothing."""
