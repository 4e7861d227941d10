"""Means of the metrics between two rows of the log."""

from typing import Any

import numpy as np


class Tally:
    """Sums of metrics since the last row of the log; part of a checkpoint."""

    def __init__(self, saved: dict[str, Any] | None = None):
        saved = saved or {}
        self.sums: dict[str, float] = dict(saved.get("sums", {}))
        self.count: int = saved.get("count", 0)
        self.seconds: float = saved.get("seconds", 0.0)

    def add(self, metrics: dict[str, np.ndarray], done: int, seconds: float) -> None:
        """Adds the first `done` entries of every metric, in the order of the steps."""
        for name, values in metrics.items():
            for value in values[:done].tolist():
                self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += done
        self.seconds += seconds

    def take(self) -> dict[str, float]:
        """Returns the means and starts again."""
        row = {name: total / self.count for name, total in self.sums.items()}
        row["steps_per_s"] = self.count / max(self.seconds, 1e-9)
        self.sums, self.count, self.seconds = {}, 0, 0.0
        return row
