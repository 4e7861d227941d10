"""Signals of recordings of any length, made piece by piece on disk."""

import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves import prepare
from nwm_jax.waves.arrays import in_threads, temporary_array
from nwm_jax.waves.filters import analytic_band, band_pass, check_band, ringing
from nwm_jax.waves.generalized import interpolate_epochs
from nwm_jax.waves.phase import analytic_signal
from nwm_jax.waves.pipeline import plain_signal

#: Samples (frames times channels) up to which a recording is analysed in one piece.
WHOLE = 1 << 24

_PIECE = 1 << 22  # samples
_OVERLAP = 10.0  # periods of the lowest frequency, at least
_EPOCHS = 4.0  # periods on either side of a piece, for epochs that reach across


def piecewise_signal(
    data: np.ndarray,
    plan: prepare.Plan,
    *,
    fs: float,
    band: tuple[float, float] | None,
    setting: str = "generalized",
    interpolated: bool = True,
    folder: str | os.PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
    piece: int = _PIECE,
) -> np.ndarray:
    """Returns the signal of `pipeline.wave_signal`, made in overlapping pieces.

    Filter and Hilbert transform are one multiplication in the frequency domain, of
    pieces that overlap by as long as the filter rings. Near the ends of the record the
    filter is that of `band_pass`, and the transform takes the record as one period: the
    signal is that of the whole record to about 1e-4 of a standard deviation. It lies in
    a temporary file, which vanishes with it; in memory are a few pieces. Both the
    pieces and what is read of the signal later are independent of the length of the
    record.

    Args:
      data: [T, H, W] or [T, N], best a memory map.
      plan: what is done before, from `prepare.plan`.
      fs, band, setting: as in `wave_signal`; a band is needed.
      interpolated: False: `pipeline.plain_signal` instead.
      folder: of the temporary file; None: that of the system.
      progress: called with (done, total) frames.
      piece: samples (frames times channels) of a piece.

    Returns:
      complex64 memory map [T, N] of the channels that are not left out, in standard
      deviations.

    Raises:
      UserError: no band, or as `wave_signal`.
    """
    length, size = len(data), max(int(np.prod(data.shape[1:])), 1)
    if band is None:
        raise UserError(
            f"{length * size:,} samples are analysed in pieces, which needs a --band: "
            "the Hilbert transform of an unfiltered record depends on all of it"
        )
    low, _ = check_band(band, fs)
    options: dict[str, Any] = {"fs": fs, "zero_phase": setting == "generalized"}
    interpolated = interpolated and setting == "generalized"
    extra = int(np.ceil(max(_OVERLAP * fs / low, ringing(band, **options))))
    there = np.isfinite(prepare.apply(plan, data[:4], fs=fs)).all(axis=0).ravel()
    out = temporary_array((length, int(there.sum())), folder)

    def ready(begin: int, end: int) -> np.ndarray:
        """Frames [begin, end) before the filter, of the channels that are there."""
        block = prepare.apply(plan, np.asarray(data[begin:end]), fs=fs)
        block = block.reshape(len(block), -1)
        return block if there.all() else block[:, there]

    def filtered(begin: int, end: int) -> np.ndarray:
        """Their analytic signal, away from the ends of the record."""
        block = ready(begin - extra, end + extra)
        return analytic_band(block, band, **options)[extra : extra + end - begin]

    if length <= 8 * extra:  # all of it is near the ends
        whole = plain_signal(
            ready(0, length)[:, None], band=band, fs=fs, setting=setting
        )
        out[:] = whole[:, 0]
        if interpolated:
            interpolate_epochs(out)
        return out
    tail = band_pass(ready(length - 2 * extra, length), band, **options)[extra:]
    head = band_pass(ready(0, 2 * extra), band, **options)[:extra]
    before = filtered(length - 4 * extra, length - extra).real
    after = filtered(extra, 4 * extra).real
    joint = _Joint(np.concatenate([before, tail, head, after]), extra, length)
    inner = 2 * extra  # frames at either end that the joint has
    near = int(np.ceil(_EPOCHS * fs / low))

    def make(part: tuple[int, int]) -> np.ndarray:
        """Writes the signal of a piece; returns the sum of squares of its channels."""
        start, stop = part
        left, right = near, near
        if start == 0:
            left, signal = 0, joint.signal[4 * extra : 4 * extra + stop + near]
        elif stop == length:
            right, signal = (
                0,
                joint.signal[4 * extra - (stop - start) - near : 4 * extra],
            )
        else:
            signal = filtered(start - near, stop + near)
            joint.add_far_field(signal, start - near)
        kept = slice(left, len(signal) - right)
        real = signal.real[kept]
        squares = np.einsum("tn,tn->n", real, real, dtype=np.float64)
        if interpolated:
            interpolate_epochs(signal)
        out[start:stop] = signal[kept]
        return squares

    count = -(-(length - 2 * inner) // max(piece // size, 2 * inner))
    bounds = np.linspace(inner, length - inner, count + 1).astype(int).tolist()
    bounds = [0, *bounds, length]
    squares = np.zeros(out.shape[1])
    parts = list(itertools.pairwise(bounds))
    for (_, stop), more in zip(parts, in_threads(make, parts), strict=True):
        squares += more
        if progress is not None:
            progress(stop, length)
    deviation = np.sqrt(squares / (length - 1))
    scale = (1 / np.where(deviation > 0, deviation, np.nan)).astype(np.float32)
    for start, stop in parts:
        out[start:stop] *= scale
    return out


class _Joint:
    """The signal about the place where the record, taken as a circle, closes.

    There the oscillation breaks off, and a break has a far field: the transform of its
    sum, cot(pi t / T) / T after t of T samples, and of its first moment, the derivative.

    Attributes:
      signal: complex [8 n, N], right where 2 n samples and more from its ends.
    """

    def __init__(self, x: np.ndarray, n: int, length: int) -> None:
        """From the filtered record [8 n, N], the joint in its middle."""
        import scipy.signal  # slow to import, as in `band_pass`

        fade = np.cumsum(scipy.signal.windows.blackmanharris(n + 1))[:-1, None]
        fade = (fade / fade[-1]).astype(np.float32)
        near = x[2 * n : 6 * n].copy()
        t = np.arange(-4 * n, 4 * n)
        for block in (x, near):  # so smooth that nothing leaks to frequency 0
            block[:n] *= fade
            block[-n:] *= fade[::-1]
        self._length = length
        self._sum = near.sum(axis=0, dtype=np.float64)
        self._moment = t[2 * n : 6 * n] @ near.astype(np.float64)
        self.signal = analytic_signal(x, remove_mean=False)
        # What a circle of the whole record has, instead of one of 8 n samples.
        circles = _cotangent(t, length) - _cotangent(t, 8 * n)
        self.signal.imag += np.outer(circles, self._sum).astype(np.float32)
        self.signal -= (self._sum / length).astype(np.float32)

    def add_far_field(self, signal: np.ndarray, start: int) -> None:
        """Adds it to a signal far from it, from frame `start` on, less the mean."""
        t = np.arange(start, start + len(signal))
        slope = np.pi / (self._length * np.sin(np.pi * t / self._length)) ** 2
        basis = np.stack([_cotangent(t, self._length), slope], axis=1)
        weights = np.stack([self._sum, self._moment])
        signal.imag += basis.astype(np.float32) @ weights.astype(np.float32)
        signal.real -= (self._sum / self._length).astype(np.float32)


def _cotangent(t: np.ndarray, length: int) -> np.ndarray:
    """What a sum of 1 at time 0 adds to the transform at time t on such a circle."""
    angle = np.pi * t / length
    near = np.abs(np.sin(angle)) < 1e-12
    return np.where(near, 0, 1 / np.tan(np.where(near, 1, angle)) / length)
