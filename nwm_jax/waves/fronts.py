"""Wave fronts: crests followed from site to site."""

from typing import NamedTuple

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves import front_fits, linking
from nwm_jax.waves.arrays import as_signal, in_threads, spread
from nwm_jax.waves.cycles import Cycles, measure_cycles
from nwm_jax.waves.sites import Sites, grid_sites, scattered_sites, smoothing
from nwm_jax.waves.speed import headline

CLASSES = front_fits.CLASSES

_FRAMES = 1024  # for what is measured of the record as a whole
_CLEAR = 0.95  # of the power of neighbours; if they share less, fronts are smoothed
_PIECE = 1 << 21  # numbers of a signal in which fronts are found at once
_OVERLAP = 6.0  # periods


class Fronts(NamedTuple):
    """A list of n waves, each one crest, in the order of their mean times.

    Attributes:
      time: [n], mean time of passage, in units of 1/fs.
      duration: [n], from the first passage to the last, in units of 1/fs.
      cells: int [n], how many sites the front passed.
      velocity: [n, 2], (row, column), units of the positions per unit of time, of the
        plane that fits best; NaN for a front that is everywhere at once.
      speed: [n]: of a radial wave the speed away from its source (or towards its sink),
        of all others the length of the velocity.
      goodness: [n], in [0, 1], the part of the variance of the passage times that a
        straight front of constant speed explains; NaN as for the velocity.
      kind: [n], one of `CLASSES`.
      fit: [n], in [0, 1], the part that the model of its class explains; for "none" the
        largest of the three.
      center: [n, 2], (row, column), the source or sink of a radial wave, the centre of
        a rotating one; NaN for others.
      outward: [n], 1 for a source, -1 for a sink; of rotating waves -1 for crests that
        turn clockwise where row 0 is at the top and 1 for the others; 0 for others.
      speed_error: [n], standard error of the speed of a plane wave; NaN for others.
      amplitude: [n], mean |signal| at the passages.
      start: [n], first passage, in units of 1/fs.
    """

    time: np.ndarray
    duration: np.ndarray
    cells: np.ndarray
    velocity: np.ndarray
    speed: np.ndarray
    goodness: np.ndarray
    kind: np.ndarray
    fit: np.ndarray
    center: np.ndarray
    outward: np.ndarray
    speed_error: np.ndarray
    amplitude: np.ndarray
    start: np.ndarray


def find_fronts(
    signal: np.ndarray,
    *,
    fs: float = 1.0,
    phase: float = 0.0,
    min_share: float = 0.1,
    positions: np.ndarray | None = None,
    scale: float | None = None,
) -> Fronts:
    """Finds the crests (or any other phase) of a recording and fits their motion.

    A site is passed when its phase rises through `phase`, at a time interpolated
    between two samples. Passages of two neighbours belong together if each is the
    other's next in time and they are less than 0.45 of a period apart. Fronts grow
    along the tree of those neighbours that agree best, so that none passes a site
    twice; pieces are then joined wherever most links between them say so and they have
    no site in common. The model that explains the passage times best makes the class:

        plane     t(r) = t_0 + s . r            velocity s / |s|^2
        radial    t(r) = t_0 +- |r - c| / v     a source or a sink c
        rotating  t(r) = t_0 +- theta_c(r) / omega   modulo the period
        none      no model explains half of their variance, or a jump at one line
                  explains more of it than a plane: two regions that are active in turn

    A curved model has to leave at most half of what a plane leaves.

    Args:
      signal: complex analytic signal of a narrow band, [T, H, W], or [T, N] with
        `positions`, T >= 2. It is taken as an open sheet: on a torus a front would be
        one helix without an end, and is cut at the border instead.
      fs: samples per unit of time.
      phase: radians; 0 follows crests, pi troughs.
      min_share: fronts that pass a smaller part of the sites that have a phase (or
        fewer than 3) are left out.
      positions: [N, 2], (row, column) of the sites, any unit; None: cells of a grid.
      scale: standard deviation of the Gaussian over which the signal is smoothed before
        passages are read (positions are averaged alike, so that the edges of the array
        bend no front); 0: none. None: an eighth of the wavelength, at most a tenth of
        the array, where neighbours share less than 95 % of their power, else 0.

    Returns:
      `Fronts`.

    Raises:
      UserError: `signal` is not such an array, `fs` is not positive, or `min_share` is
        not in [0, 1].

    Source: passage times and slowness as in the estimation of wave speed from latency
    maps, e.g. Muller, Chavane, Reynolds & Sejnowski 2018, doi:10.1038/nrn.2018.20.
    """
    rank = 3 if positions is None else 2
    signal = as_signal(signal, rank, "[time, height, width]")
    if signal.ndim != rank or len(signal) < 2:
        raise UserError(
            "wave fronts need an array [time, height, width] (or [time, sites] with "
            f"positions) of at least 2 frames and the shape is {signal.shape}"
        )
    if not fs > 0 or not 0 <= min_share <= 1:
        raise UserError(
            f"fs must be positive and min_share in [0, 1]: {fs!r}, {min_share!r}"
        )
    signal, sites = flatten(signal, positions)
    if signal.shape[1] < 3:
        return front_fits.empty(Fronts)
    signal = signal * np.exp(-1j * phase).astype(signal.dtype) if phase else signal
    if scale is None:
        scale = front_smoothing(measure_cycles(signal, sites), sites)
    return fronts_of(signal, sites, fs=fs, scale=float(scale), min_share=min_share)


def flatten(
    signal: np.ndarray, positions: np.ndarray | None = None
) -> tuple[np.ndarray, Sites]:
    """Returns the signal [T, N] of the sites without a NaN, and these.

    Raises:
      UserError: there are not as many positions as channels.
    """
    flat = signal.reshape(len(signal), -1)
    there = np.isfinite(flat.real.sum(axis=0) + flat.imag.sum(axis=0))
    if positions is None:
        sites = grid_sites(there.reshape(signal.shape[1:]))
    else:
        positions = np.asarray(positions, float)
        if positions.shape != (flat.shape[1], 2):
            raise UserError(
                f"{flat.shape[1]} channels need positions [{flat.shape[1]}, 2] and "
                f"have {positions.shape}"
            )
        there &= np.isfinite(positions).all(axis=1)
        index = np.flatnonzero(there)
        if len(index) < 2:
            raise UserError(f"{len(index)} channel(s) with a signal and a position")
        sites = scattered_sites(positions[there])._replace(index=index)
    return (flat if there.all() else flat[:, there]), sites


def front_smoothing(cycles: Cycles, sites: Sites) -> float:
    """Returns the scale over which fronts of a signal with such cycles are smoothed."""
    estimate = headline(cycles, fs=1.0, spacing=sites.spacing)
    if not estimate.goodness < _CLEAR or not estimate.wave_number > 0:
        return 0.0
    scale = min(np.pi / 4 / estimate.wave_number, sites.extent / 10)
    return float(scale) if scale >= sites.spacing / 2 else 0.0


def fronts_of(
    signal: np.ndarray,
    sites: Sites,
    *,
    fs: float,
    scale: float,
    min_share: float = 0.1,
) -> Fronts:
    """Finds the fronts of a signal [T, N] of sites, as `find_fronts`."""
    smooth = smoothing(sites, scale)
    place = smooth(sites.position.T).T
    some = smooth(np.asarray(signal[spread(len(signal), _FRAMES)]))
    tree = linking.best_tree(some, sites)
    size, extra = _piece(signal, len(sites.index))

    def of_piece(start: int) -> Fronts:
        low = max(start - extra, 0)
        block = smooth(np.asarray(signal[low : start + size + extra]))
        site, time, frequency, amplitude = linking.passages(block)
        if not len(time):
            return front_fits.empty(Fronts)
        front = linking.group(sites, tree, site, time, frequency)
        least = max(3, min_share * len(sites.position))
        independent = max(1.0, 4 * np.pi * (scale / sites.spacing) ** 2)
        fitted = front_fits.fit(
            Fronts, front, site, time, frequency, amplitude, place, least, independent
        )
        middle = fitted.time + low
        inside = (middle >= start) & (middle < start + size)
        fitted = fitted._replace(time=middle, start=fitted.start + low)
        return Fronts(*(value[inside] for value in fitted))

    parts = in_threads(of_piece, range(0, len(signal), size))
    return front_fits.in_units(Fronts, list(parts), fs)


def _piece(signal: np.ndarray, sites: int) -> tuple[int, int]:
    """Frames of a piece in which fronts are found, and of its overlap at either end."""
    length = len(signal)
    pairs = spread(length - 1, 2 * _FRAMES)
    turn = np.vdot(np.asarray(signal[pairs]), np.asarray(signal[pairs + 1]))
    period = 2 * np.pi / max(abs(float(np.angle(turn))), 2 * np.pi / length)
    extra = int(np.ceil(_OVERLAP * period))
    return max(_PIECE // max(sites, 1), 4 * extra), extra
