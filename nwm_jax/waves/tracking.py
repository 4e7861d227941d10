"""Following one crest of a wave from frame to frame."""

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_signal, boundary_pair
from nwm_jax.waves.velocity import temporal_frequency, wave_velocity


def track_crest(
    signal: np.ndarray,
    start: tuple[int, int] | None = None,
    *,
    boundary: str | tuple[str, str] = "periodic",
    reach: float = 3.0,
) -> np.ndarray:
    """Follows the place where the phase is that of the start.

    From its place in one frame the crest is expected at p + (omega / |nu|) nu / |nu| in
    the next, with the frequency omega and the velocity nu of that place; taken is the
    cell nearest in phase (a distance of `reach` cells from the expected place counts as
    much as pi).

    Args:
      signal: complex analytic signal [T, H, W], T >= 2.
      start: (row, column) at frame 0; None: of the cells within 0.3 radians of a crest
        (phase 0) the one whose |signal| is largest.
      boundary: of the sheet, as in `waves.phase_gradient`.
      reach: cells.

    Returns:
      int [T, 2], (row, column).

    Raises:
      UserError: not such a signal, a start outside of it, or a mistake in the boundary.

    Source: the star that marks the wave front in Keller & Welling, "Neural Wave
    Machines", ICML 2023 (PMLR 202), figure 4 (placed by hand there).
    """
    signal = as_signal(signal, 3, "[time, height, width]")
    if signal.ndim != 3 or len(signal) < 2:
        raise UserError(
            "following a crest needs [time, height, width] of 2 frames or more and got "
            f"{signal.shape}"
        )
    shape = signal.shape[1:]
    if start is None:
        near = np.abs(np.angle(signal[0])) < 0.3
        strength = np.where(near, np.abs(signal[0]), -1.0)
        row, column = np.unravel_index(np.nanargmax(strength), shape)
        start = int(row), int(column)
    if not all(0 <= place < size for place, size in zip(start, shape, strict=False)):
        raise UserError(f"start {tuple(start)} is not in a sheet of {shape}")
    kinds = boundary_pair(boundary, shape)
    # One-sided, so that waves shorter than 4 cells are followed too.
    velocity = wave_velocity(signal, boundary=boundary, difference="forward")
    omega = temporal_frequency(signal)
    turn = signal[0][tuple(start)]
    places = [np.array(start, int)]
    grid = np.moveaxis(np.indices(shape), 0, -1)
    for frame in range(1, len(signal)):
        here = tuple(places[-1])
        nu = np.nan_to_num(velocity[frame - 1][here].astype(float))
        square = float(nu @ nu)
        step = omega[frame - 1][here] * nu / square if square > 1e-4 else 0 * nu
        length = np.hypot(*step)
        if length > 2 * reach:  # where the field is flat, a crest has no speed
            step = step * (2 * reach / length)
        away = grid - (places[-1] + np.nan_to_num(step))
        for axis, kind in enumerate(kinds):
            if kind == "periodic":
                size = shape[axis]
                away[..., axis] = (away[..., axis] + size / 2) % size - size / 2
        far = np.hypot(away[..., 0], away[..., 1]) / reach * np.pi
        off = np.abs(np.angle(signal[frame] * np.conj(turn)))
        cost = np.where(np.isfinite(off), off + far, np.inf)
        places.append(np.array(np.unravel_index(np.argmin(cost), shape)))
    return np.stack(places)
