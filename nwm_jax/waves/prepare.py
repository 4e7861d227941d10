"""What is done to a recording before its waves are analysed: masks, bad channels, ..."""

from typing import NamedTuple

import numpy as np
import scipy.ndimage

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import blocks
from nwm_jax.waves.channels import (
    POLICIES,
    auto_mask,
    describe,
    judge,
    some_frames,
)

_NOTCH_QUALITY = 30.0


class Steps(NamedTuple):
    """What to do, in this order.

    Attributes:
      mask: bool [H, W] or None, or "auto".
      dff: the percentile over time that is the baseline F0 of (F - F0) / F0; None: no.
      bad: one of `POLICIES`; None: as "refuse", but clipped channels are only named.
      bin: side of the squares of cells that are averaged; 1: none.
      smooth: standard deviation in cells of a Gaussian over the sheet; 0: none.
      detrend: whether every channel loses its straight line over time.
      notch: a frequency that is taken out, with its multiples; None: none.
    """

    mask: np.ndarray | str | None = None
    dff: float | None = None
    bad: str | None = None
    bin: int = 1
    smooth: float = 0.0
    detrend: bool = False
    notch: float | None = None


class Plan(NamedTuple):
    """What a first pass over a recording found, so that it can be prepared in pieces.

    Attributes:
      steps: what to do.
      gone: bool [...], which channels are left out.
      filled: pairs of a channel and the neighbours whose mean it becomes.
      base: F0 of every channel; None without dF/F.
      notes: lines about masks, bad channels and what became of them.
    """

    steps: Steps
    gone: np.ndarray
    filled: list[tuple[int, np.ndarray]]
    base: np.ndarray | None
    notes: list[str]


def plan(
    data: np.ndarray, steps: Steps, *, positions: np.ndarray | None = None
) -> Plan:
    """Looks over a recording: which channels are left out, filled, or divided by what.

    Args:
      data: real [T, H, W], or [T, N] with `positions`; not changed.
      steps: what to do.
      positions: [N, 2] of the channels of [T, N].

    Returns:
      A `Plan` for `apply`.

    Raises:
      UserError: channels that the policy refuses, a mask that does not fit, a baseline
        that is not positive, a step that the recording does not allow, or nothing left.
    """
    notes: list[str] = []
    if steps.bad is not None and steps.bad not in POLICIES:
        raise UserError(f"--bad={steps.bad} is not known: {', '.join(POLICIES)}")
    sheet_steps = steps.mask is not None or steps.bin != 1 or steps.smooth
    if positions is not None and sheet_steps:
        raise UserError("--mask, --bin and --smooth need a sheet [time, height, width]")
    if steps.bin < 1 or steps.smooth < 0:
        raise UserError(
            f"--bin is at least 1 and --smooth not negative: {steps.bin}, {steps.smooth}"
        )
    if positions is None and steps.bin > min(data.shape[1:]):
        raise UserError(
            f"--bin={steps.bin} is larger than the sheet {data.shape[1]} x "
            f"{data.shape[2]}"
        )
    inside = _mask(data, steps.mask, notes)
    gone, filled = judge(data, inside, steps.bad, positions, notes)
    if gone.all():
        raise UserError(
            "every channel of the recording is left out or NaN: nothing to analyse"
        )
    base = None
    if steps.dff is not None:
        base = _baseline(_fill(some_frames(data), filled), steps.dff, ~gone)
    return Plan(steps, gone, filled, base, notes)


def apply(plan: Plan, data: np.ndarray, *, fs: float) -> np.ndarray:
    """Returns a recording, or a piece of it, that is ready for `wave_signal`.

    Args:
      plan: from `plan`, of the whole recording.
      data: real [T, H, W] or [T, N]; not changed.
      fs: samples per unit of time.

    Returns:
      The same (with `bin` fewer) channels, float, NaN at all times in those that are
      left out.

    Raises:
      UserError: a notch at or above the Nyquist frequency.
    """
    steps = plan.steps
    data = _fill(data, plan.filled)
    if plan.base is not None:
        data = (data.astype(np.float32) - plan.base) / plan.base
    if plan.gone.any():
        data = np.array(data, np.result_type(data.dtype, np.float32))
        data[:, plan.gone] = np.nan
    if steps.bin > 1:
        data = _bin(data, steps.bin)
    if steps.smooth:
        data = _smooth(data, steps.smooth)
    if steps.detrend or steps.notch is not None:
        data = _along_time(data, steps, fs)
    return data


def _mask(data, mask, notes) -> np.ndarray:
    shape = data.shape[1:]
    if mask is None:
        return np.ones(shape, bool)
    if isinstance(mask, str):
        mask = auto_mask(data)
    mask = np.asarray(mask, bool)
    if mask.shape != shape:
        raise UserError(f"--mask is {mask.shape} and the recording's sheet is {shape}")
    if not mask.any():
        raise UserError("--mask leaves no channel")
    notes.append(f"mask: {mask.sum()} of {mask.size} channels are inside")
    return mask


def _fill(data, filled):
    """The data with channels replaced by the mean of their neighbours."""
    if not filled:
        return data
    out = np.array(data, np.result_type(data.dtype, np.float32))
    flat = out.reshape(len(out), -1)
    for channel, near in filled:
        flat[:, channel] = flat[:, near].mean(axis=1)
    return out


def _baseline(data, percentile, there):
    """F0: a percentile of every channel over time."""
    if not 0 <= percentile <= 100:
        raise UserError(f"--dff={percentile:g} is a percentile, from 0 to 100")
    base = np.percentile(data, percentile, axis=0)
    if not (base[there] > 0).all():
        raise UserError(
            f"--dff: {describe(~(base > 0) & there)} without a positive baseline: it is "
            "for raw fluorescence"
        )
    return np.where(there, base, 1).astype(np.float32)


def _bin(data, side):
    """Means over squares of cells of what is there; incomplete ones at the far edges."""
    height, width = data.shape[1:]
    starts = np.arange(0, height, side), np.arange(0, width, side)
    there = np.isfinite(data).all(axis=0)

    def total(x):
        return np.add.reduceat(np.add.reduceat(x, starts[0], -2), starts[1], -1)

    count = total(there.astype(np.float32))
    with np.errstate(invalid="ignore"):
        return total(np.where(there, data, 0).astype(np.float32)) / np.where(
            count > 0, count, np.nan
        )


def _smooth(data, scale):
    """A Gaussian over the cells that are there, which it leaves the only ones."""
    there = np.isfinite(data).all(axis=0)
    look = {"sigma": scale, "mode": "constant", "truncate": 3.0}
    weight = scipy.ndimage.gaussian_filter(there.astype(np.float32), **look)
    out = np.empty(data.shape, np.float32)
    for k, frame in enumerate(data):
        filled = np.where(there, frame, 0).astype(np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            out[k] = scipy.ndimage.gaussian_filter(filled, **look) / weight
    out[:, ~there] = np.nan
    return out


def _along_time(data, steps, fs):
    import scipy.signal

    flat = data.reshape(len(data), -1)
    out = np.empty(flat.shape, np.result_type(data.dtype, np.float32))
    filters = []
    if steps.notch is not None:
        if not 0 < steps.notch < fs / 2:
            raise UserError(
                f"--notch={steps.notch:g} must lie between 0 and the Nyquist frequency "
                f"{fs / 2:g}"
            )
        for k in range(1, int(np.ceil(fs / 2 / steps.notch - 1e-9))):
            b, a = scipy.signal.iirnotch(k * steps.notch, _NOTCH_QUALITY * k, fs)
            filters.append(scipy.signal.tf2sos(b, a))
    for part in blocks(flat.shape[1], len(flat)):
        block = np.asarray(flat[:, part], np.float64)
        there = np.isfinite(block).all(axis=0)
        good = block[:, there]
        if steps.detrend:
            good = scipy.signal.detrend(good, axis=0)
        for sos in filters:
            good = scipy.signal.sosfiltfilt(sos, good, axis=0)
        block[:, there] = good
        out[:, part] = block
    return out.reshape(data.shape)
