"""Signals of recordings of any length, made piece by piece on disk."""

import collections
import concurrent.futures
import os
import pathlib
import tempfile
from collections.abc import Callable

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves import prepare
from nwm_jax.waves.filters import band_pass, check_band
from nwm_jax.waves.generalized import generalized_signal
from nwm_jax.waves.phase import analytic_signal

#: Samples (frames times channels) up to which a recording is analysed in one piece.
WHOLE = 1 << 24

_PIECE = 1 << 21  # samples
_OVERLAP = 10.0  # periods of the lowest frequency, for each step, at either end


def piecewise_signal(
    data: np.ndarray,
    plan: prepare.Plan,
    *,
    fs: float,
    band: tuple[float, float] | None,
    setting: str = "generalized",
    folder: str | os.PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
    piece: int = _PIECE,
) -> np.ndarray:
    """Returns the signal of `pipeline.wave_signal`, made in overlapping pieces.

    A piece is filtered with 10 periods of the lowest frequency on either side, and
    transformed with 20 of which the outer half fades, so that its inner part is that of
    the whole record to about 1e-4 of a standard deviation. The signal lies in a temporary file, which vanishes with it; in
    memory are a few pieces. Both the pieces and what is read of the signal later are
    independent of the length of the record.

    Args:
      data: [T, H, W] or [T, N], best a memory map.
      plan: what is done before, from `prepare.plan`.
      fs, band, setting: as in `wave_signal`; a band is needed.
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
    import scipy.signal  # slow to import, as in `band_pass`

    low, _ = check_band(band, fs)
    extra = int(np.ceil(_OVERLAP * fs / low))
    step = max(piece // size, 4 * extra)
    step = scipy.fft.next_fast_len(step + 4 * extra) - 4 * extra
    starts = list(range(0, length, step))
    first = prepare.apply(plan, data[:4], fs=fs)
    there = np.isfinite(first).all(axis=0).ravel()
    disk = None if folder is None else pathlib.Path(folder)
    # The file has no name: it vanishes when nothing holds it any more.
    with tempfile.TemporaryFile(dir=disk) as file:
        out = np.memmap(file, np.complex64, "w+", shape=(length, int(there.sum())))

    def filtered(begin: int, end: int) -> np.ndarray:
        """Samples [begin, end) of the filtered record, which goes round in a circle."""
        if begin < 0:
            return np.concatenate([filtered(length + begin, length), filtered(0, end)])
        if end > length:
            return np.concatenate([filtered(begin, length), filtered(0, end - length)])
        low, high = max(begin - extra, 0), min(end + extra, length)
        block = prepare.apply(plan, np.asarray(data[low:high]), fs=fs)
        block = block.reshape(len(block), -1)[:, there]
        block = band_pass(block, band, fs=fs, zero_phase=setting == "generalized")
        return block[begin - low : end - low]

    # The Hilbert transform takes a record as one period, and a piece as a part of it
    # that fades in and out, so smoothly that nothing leaks to frequency 0.
    fade = np.cumsum(scipy.signal.windows.blackmanharris(extra + 1))[:-1, None]
    fade = (fade / fade[-1]).astype(np.float32)

    # Where the circle closes the oscillation breaks off, and a break has a far field:
    # the transform of its sum, cot(pi t / T) / T after t of T samples.
    joint = filtered(-2 * extra, 2 * extra)
    joint[:extra] *= fade
    joint[-extra:] *= fade[::-1]
    jump = joint.sum(axis=0, dtype=np.float64).astype(np.float32)

    def make(start: int) -> tuple[np.ndarray, np.ndarray]:
        """The signal of a piece, and the sum of squares of its channels."""
        stop = min(start + step, length)
        block = filtered(start - 2 * extra, stop + 2 * extra)
        block[:extra] *= fade
        block[-extra:] *= fade[::-1]
        around = len(block)
        signal = analytic_signal(block, remove_mean=False)[extra:-extra]
        t = np.arange(start - extra, stop + extra)
        far = _far_field(t, length)
        for place in (0, length):  # what the piece itself has of a break inside of it
            if start - extra <= place <= stop + extra:
                far -= _far_field(t - place, around)
        signal += 1j * (far[:, None] * jump) - jump / length  # and its mean is none
        inner = signal.real[extra : extra + stop - start]
        squares = np.einsum("tn,tn->n", inner, inner, dtype=np.float64)
        # Epochs do not reach across the ends of the record.
        low = extra if start == 0 else 0
        high = len(signal) - (extra if stop == length else 0)
        if setting == "generalized":
            signal[low:high] = generalized_signal(signal[low:high])
        return signal[extra : extra + stop - start], squares

    squares = np.zeros(out.shape[1])
    with concurrent.futures.ThreadPoolExecutor(_workers()) as pool:
        queue = collections.deque()
        waiting = iter(starts)
        for start in starts:
            while len(queue) <= _workers():
                following = next(waiting, None)
                if following is None:
                    break
                queue.append(pool.submit(make, following))
            signal, more = queue.popleft().result()
            out[start : start + len(signal)] = signal
            squares += more
            if progress is not None:
                progress(start + len(signal), length)
    deviation = np.sqrt(squares / (length - 1))
    scale = (1 / np.where(deviation > 0, deviation, np.nan)).astype(np.float32)
    for start in starts:
        out[start : start + step] *= scale
    return out


def _far_field(t: np.ndarray, length: int) -> np.ndarray:
    """What a sum of 1 at time 0 adds to the transform at time t on such a circle."""
    angle = np.pi * t / length
    near = np.abs(np.sin(angle)) < 1e-12
    return np.where(near, 0, 1 / np.tan(np.where(near, 1, angle)) / length).astype(
        np.float32
    )


def _workers() -> int:
    return max(1, len(os.sched_getaffinity(0)))
