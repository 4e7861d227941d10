"""Wave fronts: crests followed from cell to cell."""

from typing import NamedTuple

import numpy as np
import scipy.ndimage

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_signal


class Fronts(NamedTuple):
    """A list of n wave fronts, in the order of their mean times.

    Attributes:
      time: [n], mean time of passage, in units of 1/fs.
      duration: [n], from the first passage to the last, in units of 1/fs.
      cells: int [n], how many cells the front passed.
      velocity: [n, 2], (row, column), cells per unit of time; NaN for a front that is
        everywhere at once.
      speed: [n], its length.
      goodness: [n], in [0, 1], the part of the variance of the passage times that a
        straight front of constant speed explains; NaN as for the velocity.
    """

    time: np.ndarray
    duration: np.ndarray
    cells: np.ndarray
    velocity: np.ndarray
    speed: np.ndarray
    goodness: np.ndarray


def find_fronts(
    signal: np.ndarray,
    *,
    fs: float = 1.0,
    phase: float = 0.0,
    min_share: float = 0.1,
) -> Fronts:
    """Finds the crests (or any other phase) of a field and fits their motion.

    A cell is passed when its phase rises through `phase`, at a time interpolated
    between two samples. Passages belong to one front if the half cycles around them
    (phases within pi/2 of `phase`) touch in space or time. To the passage times t of
    each front the plane

        t(r) = t_0 + s . r

    is fitted by least squares; the front moves at velocity s / |s|^2.

    Args:
      signal: complex analytic signal [T, H, W] of a narrow band, T >= 2. It is taken as
        an open sheet: on a torus a front would be one helix without an end, and is cut
        at the border instead.
      fs: samples per unit of time.
      phase: radians; 0 follows crests, pi troughs.
      min_share: fronts that pass a smaller part of the cells that have a phase (or
        fewer than 3) are left out.

    Returns:
      `Fronts`. Crests that merge or wind round a singularity are one front, with a
      poor goodness.

    Raises:
      UserError: `signal` is not complex [T, H, W] with at least 2 frames, `fs` is not
        positive, or `min_share` is not in [0, 1].

    Source: passage times and slowness as in the estimation of wave speed from latency
    maps, e.g. Muller, Chavane, Reynolds & Sejnowski 2018, doi:10.1038/nrn.2018.20.
    """
    signal = as_signal(signal, 3, "[time, height, width]")
    if signal.ndim != 3 or len(signal) < 2:
        raise UserError(
            "wave fronts need an array [time, height, width] of at least 2 frames and "
            f"the shape is {signal.shape}"
        )
    if not fs > 0 or not 0 <= min_share <= 1:
        raise UserError(
            f"fs must be positive and min_share in [0, 1]: {fs!r}, {min_share!r}"
        )
    angle = np.angle(signal * np.exp(-1j * phase).astype(signal.dtype))
    label, count = scipy.ndimage.label(np.abs(angle) < np.pi / 2)
    before, after = angle[:-1], angle[1:]
    rising = (before < 0) & (after >= 0) & (after - before < np.pi)
    frame, row, column = np.nonzero(rising)
    early, late = before[rising], after[rising]
    time = (frame - early / (late - early)) / fs
    front = label[frame + 1, row, column]
    # In fast oscillations the sample after the crest may be more than pi/2 beyond it.
    front = np.where(front, front, label[frame, row, column])
    share = min_share * np.isfinite(angle).any(axis=0).sum()
    return _fit(front, time, row, column, count + 1, max(3, share))


def _fit(
    front: np.ndarray,
    time: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    num_labels: int,
    min_cells: float,
) -> Fronts:
    """Fits a plane to the passages of each label; label 0 is none."""
    # A cell that a front passes twice counts once.
    place = row.astype(np.int64) * (column.max(initial=0) + 1) + column
    pairs = np.unique(np.stack([front, place]), axis=1)[0]
    cells = np.bincount(pairs, minlength=num_labels)
    keep = cells >= min_cells
    keep[0] = False
    number = np.cumsum(keep) - 1
    used = keep[front]
    which, n = number[front[used]], int(keep.sum())
    values = np.stack([time[used], row[used], column[used]]).astype(np.float64)
    passages = np.bincount(which, minlength=n)

    def mean(of: np.ndarray) -> np.ndarray:
        return np.bincount(which, of, minlength=n) / np.maximum(passages, 1)

    center = np.stack([mean(value) for value in values])
    values -= center[:, which]
    cov = np.array([[mean(a * b) for a in values] for b in values])  # [3, 3, n]
    space = cov[1:, 1:].transpose(2, 0, 1)
    slowness = (
        np.linalg.pinv(space, rcond=1e-9, hermitian=True) @ cov[0, 1:].T[..., None]
    )
    slowness = slowness[..., 0]
    square = np.sum(slowness**2, axis=1)
    moves = square > 1e-18
    velocity = slowness / np.where(moves, square, np.nan)[:, None]
    explained = np.sum(slowness * cov[0, 1:].T, axis=1)
    goodness = np.clip(explained / np.where(moves, cov[0, 0], np.nan), 0, 1)
    first, last = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(first, which, time[used])
    np.maximum.at(last, which, time[used])
    order = np.argsort(center[0], kind="stable")
    fronts = Fronts(
        center[0], last - first, cells[keep], velocity, np.hypot(*velocity.T), goodness
    )
    return Fronts(*(value[order] for value in fronts))
