r"""A drum: waves on a clamped membrane, whose area can be heard at every point.

    v' = v + dt c² M (Laplacian of u),   u' = M (u + dt v')

on a grid of unit spacing, with M one on the membrane and zero outside: the sheet of
`core.sheet` with fixed weights and without tanh, stiffness and damping. The lowest
frequency f of a membrane of area A is that of its shape: ``A = kappa c² / f²`` with kappa
1/2 for a square, j² / (4 pi) for a disc (j the first zero of the Bessel function J0) and
1/sqrt(3) for an equilateral triangle. Of all shapes the disc has the least kappa.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.core.coupling import couple_planes, laplacian
from nwm_jax.core.equations import oscillate
from nwm_jax.errors import UserError, unknown

#: kappa of the shapes that there are.
KAPPA = {
    "square": 0.5,
    "disc": 2.404825557695773**2 / (4 * math.pi),
    "triangle": 1 / math.sqrt(3),
}
SHAPES = tuple(KAPPA)
_PAD = 8
_LOWEST_BIN = 16


def mask(shape: str, size: int, canvas: int, angle: float = 0.3) -> np.ndarray:
    """A membrane in the middle of a canvas.

    Args:
      shape: one of `SHAPES`.
      size: n, pixels of a square along each axis; R, the radius of a disc or of the
        circle through the corners of a triangle.
      canvas: pixels of the canvas along each axis.
      angle: of a triangle's first corner, in radians.

    Returns:
      bool ``[canvas, canvas]``.

    Raises:
      UserError: unknown shape, or one that leaves no rim on the canvas.
    """
    if shape not in KAPPA:
        raise unknown("shape", shape, SHAPES)
    widest = size if shape == "square" else 2 * size + 1
    if size < 1 or widest + 2 > canvas:
        raise UserError(
            f"a {shape} of size {size} needs a canvas of at least {widest + 2} pixels, "
            f"not {canvas}"
        )
    if shape == "square":
        start = (canvas - size) // 2
        square = np.zeros((canvas, canvas), bool)
        square[start : start + size, start : start + size] = True
        return square
    place = np.arange(canvas) - (canvas - 1) / 2
    row, column = place[:, None], place[None, :]
    if shape == "disc":
        return row**2 + column**2 <= size**2
    phi = angle + (2 * np.arange(3) + 1) * np.pi / 3
    distance = column[..., None] * np.cos(phi) + row[..., None] * np.sin(phi)
    triangle: np.ndarray = (distance <= size * np.cos(np.pi / 3)).all(axis=-1)
    return triangle


def strike(membrane: np.ndarray, width: float = 0.0) -> np.ndarray:
    """The first displacement: a Gaussian bump of height 1 at the centroid.

    Args:
      membrane: bool ``[H, W]``.
      width: its standard deviation in pixels; 0: a quarter of the square root of the
        area, broad enough that the fundamental is heard everywhere.

    Returns:
      float64 ``[H, W]``, zero outside of the membrane.

    Raises:
      UserError: there is no membrane.
    """
    rows, columns = np.nonzero(membrane)
    if not len(rows):
        raise UserError("the membrane has no pixels")
    width = width or math.sqrt(len(rows)) / 4
    row = np.arange(membrane.shape[0])[:, None] - rows.mean()
    column = np.arange(membrane.shape[1]) - columns.mean()
    bump: np.ndarray = membrane * np.exp(-(row**2 + column**2) / (2 * width**2))
    return bump


def vibrate(
    membrane: np.ndarray,
    displacement: np.ndarray,
    *,
    num_steps: int = 2048,
    dt: float = 0.5,
    speed: float = 1.0,
) -> jax.Array:
    """Lets a drum ring from rest.

    Args:
      membrane: bool ``[H, W]``.
      displacement: u before the first step, ``[H, W]``.
      num_steps: T.
      dt: length of a step; stable while ``speed dt < 1 / sqrt(2)``.
      speed: c, pixels per unit of time.

    Returns:
      u after every step, ``[T, H, W]``.

    Raises:
      UserError: an unstable step.
    """
    if not 0 < speed * dt < math.sqrt(0.5):
        raise UserError(
            f"speed * dt = {speed * dt:g} must be above 0 and below 1/sqrt(2) = 0.707: "
            "larger steps are unstable"
        )
    dtype = jnp.result_type(float)
    # One plane with a rim of zeros, so that nothing is felt across the edges.
    m, u = (
        jnp.pad(jnp.asarray(array, dtype), 1)[None, ..., None]
        for array in (membrane, membrane * displacement)
    )
    kernel = jnp.asarray(speed**2 * laplacian(1), dtype)

    def step(
        state: tuple[jax.Array, jax.Array], _: None
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        force = m * couple_planes(state[0], kernel)
        state = oscillate(*state, force, dt, 0.0, 0.0)
        return state, state[0][0, 1:-1, 1:-1, 0]

    return jax.lax.scan(step, (u, jnp.zeros_like(u)), None, length=num_steps)[1]


def spectrum(series: np.ndarray) -> np.ndarray:
    """Magnitudes of the transform of windowed time series, eight times padded.

    Args:
      series: ``[T, ...]``; means over time are removed, the window is Hann's.

    Returns:
      ``[4 T + 1, ...]``; bin b is the frequency ``b / (8 T)`` per step.
    """
    series = np.asarray(series, np.float64)
    length = len(series)
    window = np.hanning(length).reshape(-1, *[1] * (series.ndim - 1))
    return np.abs(
        np.fft.rfft((series - series.mean(axis=0)) * window, _PAD * length, axis=0)
    )


def fundamental(series: np.ndarray, dt: float, threshold: float = 0.05) -> np.ndarray:
    """The lowest frequency that is heard in time series.

    It is the lowest peak of the `spectrum` above a part of the largest, refined by the
    parabola through the logarithms of three bins. (The largest itself is an overtone
    near corners, where the fundamental hardly moves.)

    Args:
      series: ``[T, N]``.
      dt: time between two numbers of a series.
      threshold: that part.

    Returns:
      Frequencies in cycles per unit of time, ``[N]``; NaN of what does not move.
    """
    bins = np.empty(series.shape[1])
    for start in range(0, len(bins), 256):
        part = slice(start, start + 256)
        bins[part] = _lowest_peak(spectrum(series[:, part]), threshold)
    return bins / (_PAD * len(series) * dt)


def _lowest_peak(magnitude: np.ndarray, threshold: float) -> np.ndarray:
    # The lowest bins hold what the window makes of the mean.
    magnitude = magnitude[_LOWEST_BIN - 1 :]
    middle = magnitude[1:-1]
    peak = (middle >= magnitude[:-2]) & (middle > magnitude[2:])
    peak &= middle > threshold * middle.max(axis=0)
    first = peak.argmax(axis=0) + 1
    low, at, high = (
        np.log(np.take_along_axis(magnitude, (first + shift)[None], 0)[0] + 1e-300)
        for shift in (-1, 0, 1)
    )
    bend = low - 2 * at + high
    shift = 0.5 * (low - high) / np.where(bend < 0, bend, -1.0)
    place = first + shift + _LOWEST_BIN - 1
    return np.where(peak.any(axis=0), place, np.nan)


def area(
    frequency: np.ndarray | float, kappa: float, speed: float = 1.0
) -> np.ndarray | float:
    """``kappa c² / f²``: the area of a membrane, from its lowest frequency.

    Args:
      frequency: f, cycles per unit of time.
      kappa: of the shape, see `KAPPA`; the disc's gives the least area that any shape
        of this frequency has (Faber and Krahn).
      speed: c.
    """
    return kappa * speed**2 / np.square(frequency)
