"""The plane wave that fits a phase map best."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.spatial

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_signal, blocks
from nwm_jax.waves.phase import is_silent

_NEWTON_STEPS = 4


class PlaneWave(NamedTuple):
    """A fitted plane wave, one for every leading index of the signal.

    Attributes:
      wave_vector: k [..., 2], (row, column), radians per cell, in [-pi, pi]; it points
        the way the wave travels.
      phase: phi at the centre of the array [...], radians.
      goodness: R [...], in [0, 1].
    """

    wave_vector: np.ndarray
    phase: np.ndarray
    goodness: np.ndarray


def fit_plane_wave(
    signal: np.ndarray, positions: np.ndarray | None = None
) -> PlaneWave:
    """Fits phi(r) = phi_0 - k . r to the phases of an array of cells.

    The wave vector is the maximum-likelihood one for von Mises noise on the phases,

        k = argmax |S(k)|,    S(k) = sum_r exp(i phi(r)) exp(i k . r),
        R = |S(k)| / n,    phi_0 = arg S(k),

    over the n cells r that have a phase: the peak of a Fourier transform at twice the
    resolution of the array, improved by Newton's method. No phase is unwrapped, and
    missing cells are simply left out.

    Args:
      signal: complex analytic signal [..., H, W], or [..., N] with `positions`;
        amplitudes do not matter.
      positions: [N, 2], (row, column) of scattered sites; wave vectors are then in
        radians per unit of theirs, up to half a turn from a site to the next, and the
        phase is that at the middle of the rectangle around them.

    Returns:
      A `PlaneWave`. R is 1 for a plane wave, sin(1)/1 = 0.84 if phases are off by up to
      1 radian either way; unrelated phases of n cells give about sqrt(log(4 n) / n),
      never 0, because the best k is chosen. NaN where fewer than 3 cells have a phase.

    Raises:
      UserError: `signal` is not complex or has fewer than two axes.

    Source: the circular-linear regression of Fisher, "Statistical Analysis of Circular
    Data", 1993, section 6.4; for waves in cortex Zhang, Watrous, Patel & Jacobs 2018,
    doi:10.1016/j.neuron.2018.05.019.
    """
    rank = 2 if positions is None else 1
    signal = as_signal(signal, rank, "[..., height, width]")
    if not signal.size:
        raise UserError(f"no plane wave in an empty array of shape {signal.shape}")
    lead, shape = signal.shape[:-rank], signal.shape[-rank:]
    place = None if positions is None else _centred(positions, shape[0])
    maps = signal.reshape((-1, *shape))
    wave_vector = np.empty((len(maps), 2))
    total = np.empty(len(maps), complex)
    count = np.empty(len(maps))
    for part in blocks(len(maps), 2 * maps[0].size):
        block = maps[part]
        valid = ~is_silent(block)
        unit = np.where(valid, block, 0) / np.where(valid, np.abs(block), 1)
        count[part] = valid.reshape(len(block), -1).sum(axis=1)
        if place is None:
            start, sizes = _peak(unit), np.array(shape, float)
            moments = _moments
        else:
            start, sizes = _scattered_peak(unit, place)

            def moments(unit, k):
                return _scattered_moments(unit, k, place)

        wave_vector[part], total[part] = _climb(unit, start, moments, sizes)
    few = count < 3
    if place is None:  # a cell is the shortest step: k and k + 2 pi are one wave
        wave_vector = (wave_vector + np.pi) % (2 * np.pi) - np.pi
    wave_vector[few] = np.nan
    goodness = np.where(few, np.nan, np.abs(total) / np.maximum(count, 1))
    return PlaneWave(
        wave_vector.reshape((*lead, 2)),
        np.where(few, np.nan, np.angle(total)).reshape(lead),
        np.minimum(goodness, 1).reshape(lead),
    )


def _peak(unit: np.ndarray) -> np.ndarray:
    """The wave vectors [n, 2] of the peaks of the padded transforms of [n, H, W]."""
    sizes = [
        1 if size == 1 else scipy.fft.next_fast_len(2 * size) for size in unit.shape[1:]
    ]
    # exp(+ i k . r) is what the inverse transform sums.
    height = np.abs(scipy.fft.ifft2(unit, sizes)).reshape(len(unit), -1)
    places = np.unravel_index(height.argmax(axis=1), sizes)
    return np.stack(
        [
            2 * np.pi * scipy.fft.fftfreq(n)[at]
            for n, at in zip(sizes, places, strict=False)
        ],
        axis=1,
    )


def _climb(
    unit: np.ndarray, k: np.ndarray, moments: Callable, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method on log |S|^2; returns the best k of each map and its S."""
    total, gradient, hessian = moments(unit, k)
    for _ in range(_NEWTON_STEPS):
        # Along an axis of one cell nothing changes: any curvature will do there.
        for axis, size in enumerate(sizes):
            if size <= 1:
                hessian[:, axis, axis] = -1
        curved = (hessian[:, 0, 0] < 0) & (np.linalg.det(hessian) > 0)
        step = np.zeros_like(k)
        step[curved] = -np.linalg.solve(hessian[curved], gradient[curved, :, None])[
            ..., 0
        ]
        limit = np.pi / np.maximum(sizes, 1)
        trial = k + np.clip(step, -limit, limit)
        new_total, new_gradient, new_hessian = moments(unit, trial)
        better = np.abs(new_total) > np.abs(total)
        k = np.where(better[:, None], trial, k)
        total = np.where(better, new_total, total)
        gradient = np.where(better[:, None], new_gradient, gradient)
        hessian = np.where(better[:, None, None], new_hessian, hessian)
    return k, total


def _moments(
    unit: np.ndarray, k: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S [n], and the gradient [n, 2] and Hessian [n, 2, 2] of log |S|^2.

    The logarithm of a peak is concave down to its foot, the peak itself is not.
    """
    factors = []
    for axis, size in enumerate(unit.shape[1:]):
        r = np.arange(size) - (size - 1) / 2
        turned = np.exp(1j * k[:, axis, None] * r)
        factors.append(np.stack([turned, 1j * r * turned, -r * r * turned], axis=1))
    m = factors[0] @ unit @ factors[1].transpose(0, 2, 1)  # [n, 3, 3]
    first = np.stack([m[:, 1, 0], m[:, 0, 1]], axis=1)
    second = np.empty((len(unit), 2, 2), complex)
    second[:, 0, 0], second[:, 1, 1] = m[:, 2, 0], m[:, 0, 2]
    second[:, 0, 1] = second[:, 1, 0] = m[:, 1, 1]
    return _of_the_logarithm(m[:, 0, 0], first, second)


def _centred(positions: np.ndarray, count: int) -> np.ndarray:
    positions = np.asarray(positions, float)
    if positions.shape != (count, 2):
        raise UserError(
            f"{count} sites need positions [{count}, 2] and have {positions.shape}"
        )
    return positions - (positions.min(axis=0) + positions.max(axis=0)) / 2


def _scattered_peak(
    unit: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best k [n, 2] of a lattice for maps [n, N], and the sides of the array."""
    nearest = scipy.spatial.cKDTree(place).query(place, 2)[0][:, 1]
    highest = np.pi / np.median(nearest)
    sizes = np.ptp(place, axis=0) + np.median(nearest)
    sides = []
    for size, extent in zip(sizes, np.ptp(place, axis=0), strict=False):
        half = int(np.ceil(highest * size / np.pi)) if extent > 0 else 0
        sides.append(np.arange(-half, half + 1) * (np.pi / size))
    k = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
    best, height = np.zeros(len(unit), int), np.full(len(unit), -1.0)
    step = max(1, (1 << 18) // max(len(unit), len(place)))
    for low in range(0, len(k), step):
        waves = np.exp(1j * (place @ k[low : low + step].T)).astype(unit.dtype)
        part = np.abs(unit @ waves)
        at = part.argmax(axis=1)
        value = part[np.arange(len(unit)), at]
        best = np.where(value > height, low + at, best)
        height = np.maximum(height, value)
    return k[best], np.where(np.ptp(place, axis=0) > 0, sizes, 0)


def _scattered_moments(
    unit: np.ndarray, k: np.ndarray, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `_moments`, for sites at `place` [N, 2]."""
    turned = unit * np.exp(1j * (k @ place.T))
    products = (place[:, :, None] * place[:, None, :]).reshape(len(place), 4)
    return _of_the_logarithm(
        turned.sum(axis=1),
        1j * (turned @ place),
        -(turned @ products).reshape(-1, 2, 2),
    )


def _of_the_logarithm(
    s: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S, and gradient and Hessian of log |S|^2 from the derivatives of S."""
    # d log S = S' / S,  d^2 log S = S'' / S - (S' / S)^2, and log |S|^2 = 2 Re log S.
    safe = np.where(s == 0, 1, s)
    slope = first / safe[:, None]
    bend = second / safe[:, None, None] - slope[:, :, None] * slope[:, None, :]
    return s, 2 * slope.real, 2 * bend.real
