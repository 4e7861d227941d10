"""The headline: the speed of a recording's waves, and how sure it is."""

from typing import NamedTuple

import numpy as np
import scipy.special

from nwm_jax.waves.cycles import Cycles

_BOOTSTRAPS = 999
_BLOCK_CYCLES = 4
_FEWEST_BLOCKS = 4
_ENDS = (2, 20)  # cycles that are left out at either end, of at least so many
_FASTEST = 1e-3  # radians per spacing, as in `phase_speed`


class Speed(NamedTuple):
    """The headline: speed, wave number and wave vector of a recording.

    Attributes:
      speed: units of the positions per unit of time; NaN for synchrony.
      interval: (low, high), 95 %; NaN for fewer than 16 cycles.
      wave_number: radians per unit of the positions.
      wave_vector: mean k [2].
      frequency: cycles per unit of time.
      goodness: in [0, 1], the shared part of the power of neighbours.
    """

    speed: float
    interval: tuple[float, float]
    wave_number: float
    wave_vector: np.ndarray
    frequency: float
    goodness: float


def headline(cycles: Cycles, *, fs: float, spacing: float, seed: int = 0) -> Speed:
    """Returns the typical speed of the cycles and how sure it is.

    The median over cycles of the slowness, each cycle weighted with the power that
    neighbours share; its inverse is the speed. Of 20 cycles or more the first two and
    the last two are left out: there filter and Hilbert transform bend the phase. The
    interval is that of 999 block bootstraps over runs of 4 cycles (percentiles 2.5 and
    97.5), so that it holds for cycles that resemble the next, widened by the ratio of
    the quantiles of Student's t for so many blocks and of the normal distribution.

    Args:
      cycles: from `measure_cycles`.
      fs: samples per unit of time.
      spacing: of the sites; slower phases than 1e-3 radians per spacing are synchrony.
      seed: of the bootstrap.

    Returns:
      `Speed`, NaN where nothing is shared.

    Source: the block bootstrap of Kuensch 1989, doi:10.1214/aos/1176347265.
    """
    if len(cycles.frame) >= _ENDS[1]:
        cycles = Cycles(*(value[_ENDS[0] : -_ENDS[0]] for value in cycles))
    used = cycles.weight > 0
    nothing = float("nan")
    if not used.any():
        none = np.full(2, nothing)
        return Speed(nothing, (nothing, nothing), nothing, none, nothing, nothing)
    weight = cycles.weight[used]
    share = weight / weight.sum()

    def median(values: np.ndarray) -> float:
        return float(_weighted_median(values[used], weight[None])[0])

    number, middle = median(cycles.wave_number), median(cycles.slowness)
    moves = number >= _FASTEST / spacing and middle > 0
    interval = (nothing, nothing)
    if moves:
        interval = _interval(cycles.slowness[used], weight, middle, seed)
    return Speed(
        fs / middle if moves else nothing,
        (fs * interval[0], fs * interval[1]),
        number,
        share @ cycles.wave_vector[used],
        median(cycles.frequency) * fs / (2 * np.pi),
        float(share @ cycles.goodness[used]),
    )


def _interval(
    slowness: np.ndarray, weight: np.ndarray, middle: float, seed: int
) -> tuple[float, float]:
    """The interval of 1 / (weighted median of the slowness); NaN for a few cycles."""
    length = len(weight)
    blocks = length // _BLOCK_CYCLES
    if blocks < _FEWEST_BLOCKS:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    starts = generator.integers(0, length, (_BOOTSTRAPS, blocks))
    at = (starts[..., None] + np.arange(_BLOCK_CYCLES)) % length
    at = at.reshape(_BOOTSTRAPS, -1)
    at += length * np.arange(_BOOTSTRAPS)[:, None]
    counts = np.bincount(at.ravel(), minlength=_BOOTSTRAPS * length)
    counts = counts.reshape(_BOOTSTRAPS, length)
    draws = _weighted_median(slowness, counts * weight)
    wider = scipy.special.stdtrit(blocks - 1, 0.975) / scipy.special.ndtri(0.975)
    wider *= np.sqrt(blocks / (blocks - 1))
    low, high = middle + wider * (np.quantile(draws, [0.025, 0.975]) - middle)
    return 1 / high, 1 / low if low > 0 else float("inf")


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted medians of values [n] for every row of weights [m, n]."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[:, order], axis=1)
    half = (total[:, -1:] / 2 <= total).argmax(axis=1)
    return values[order][half]
