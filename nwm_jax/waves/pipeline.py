"""From a recording to the complex signal from which everything else is read."""

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_field, blocks
from nwm_jax.waves.filters import band_pass, check_band, z_score
from nwm_jax.waves.generalized import generalized_signal
from nwm_jax.waves.phase import analytic_signal

SETTINGS = ("generalized", "original")

# The band of the NWM experiments, in cycles per frame (0.2 to 0.4 of Nyquist).
ORIGINAL_BAND = (0.1, 0.2)


def wave_signal(
    field: np.ndarray,
    *,
    band: tuple[float, float] | None = None,
    fs: float = 1.0,
    setting: str = "generalized",
    order: int = 4,
) -> np.ndarray:
    """Returns the complex signal of every cell of a field.

    "generalized": zero-phase band-pass, z-score over time, analytic signal, epochs of
    negative frequency interpolated (Davis et al. 2020).
    "original": causal band-pass, z-score over time, analytic signal: the pipeline of
    the NWM experiments (there with `ORIGINAL_BAND`), which calls the angle of this
    signal the generalised phase. Its first period or so belongs to the filter.

    Args:
      field: real [T, H, W], any unit.
      band: (low, high) in the unit of `fs`, as in `band_pass`; None: not filtered.
      fs: samples per unit of time.
      setting: "generalized" or "original".
      order: of the band-pass.

    Returns:
      complex64 [T, H, W], in standard deviations of the (filtered) cell. NaN for cells
      that are constant or hold a value that is not finite.

    Raises:
      UserError: not a real [T, H, W] with at least 3 frames, an unknown setting, or a
        mistake in the band (`band_pass`).

    Source: Davis et al. 2020, doi:10.1038/s41586-020-2802-y; Keller & Welling, "Neural
    Wave Machines", ICML 2023 (PMLR 202).
    """
    signal = plain_signal(field, band=band, fs=fs, setting=setting, order=order)
    if setting == "generalized":
        signal = generalized_signal(signal)
    return signal


def plain_signal(
    field: np.ndarray,
    *,
    band: tuple[float, float] | None = None,
    fs: float = 1.0,
    setting: str = "generalized",
    order: int = 4,
) -> np.ndarray:
    """Returns the analytic signal of `wave_signal` before epochs are interpolated.

    Args:
      field, band, fs, setting, order: as in `wave_signal`; the setting chooses the
        filter.

    Returns:
      As `wave_signal`.

    Raises:
      UserError: as `wave_signal`.
    """
    field = as_field(field, "wave_signal")
    if setting not in SETTINGS:
        raise UserError(
            f"setting {setting!r} is not known: use 'generalized' or 'original'"
        )
    if len(field) < 3:
        raise UserError(f"{len(field)} frames: at least 3 are needed for a phase")
    if band is not None:
        check_band(band, fs)
    series = field.reshape(len(field), -1)
    out = np.empty(series.shape, np.complex64)
    for part in blocks(series.shape[1], len(field)):
        block = series[:, part].astype(np.float64)
        # A filter would turn a constant into a transient, and that into a phase.
        block[:, block.max(axis=0) == block.min(axis=0)] = np.nan
        if band is not None:
            zero_phase = setting == "generalized"
            block = band_pass(block, band, fs=fs, order=order, zero_phase=zero_phase)
        out[:, part] = analytic_signal(z_score(block))
    return out.reshape(field.shape)
