r"""What a cell's own time series says of it: readouts of a recurrence over time.

All but the maximum are linear in the series ``y_1 ... y_T`` and therefore sums that
grow with time, ``s_k = sum over t of B_kt y_t``; nothing of the series has to be kept.

==========  ==========================================================  =============
name        feature                                                     number
==========  ==========================================================  =============
last        ``y_T``                                                     C
mean_time   ``sum over t of y_t / T``                                   C
max_time    ``max over t of y_t``                                       C
fft         ``|sum over t of y_t exp(-2 pi i k t / T)|``, k = 0...T//2  (T//2 + 1) C
linear      ``sum over t of V_kt y_t``, V learned, shared by all cells  (T//2 + 1) C
==========  ==========================================================  =============

(arXiv:2502.06034; the transform has neither a window nor a normalisation.)
"""

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.core.layouts import Layout

READOUTS = ("last", "mean_time", "max_time", "fft", "linear")
_EPSILON = 1e-12


def num_bins(num_steps: int) -> int:
    """K = T//2 + 1, the bins of a real transform of T steps."""
    return num_steps // 2 + 1


def num_features(name: str, num_steps: int, channels: int) -> int:
    """The number of features of a cell, see the table above."""
    return channels * (num_bins(num_steps) if name in ("fft", "linear") else 1)


def fourier_basis(num_steps: int) -> np.ndarray:
    """Real parts, then imaginary parts of the transform: float64 ``[2 K, T]``."""
    k, t = np.arange(num_bins(num_steps))[:, None], np.arange(num_steps)
    # Turns are counted modulo one in whole numbers, so that no digit is lost.
    angle = 2 * np.pi * (k * t % num_steps) / num_steps
    return np.concatenate([np.cos(angle), -np.sin(angle)])


def magnitude(real: jax.Array, imaginary: jax.Array) -> jax.Array:
    """``sqrt(re² + im²)`` whose gradient is 0, not NaN, where it vanishes."""
    square = real * real + imaginary * imaginary
    positive = square > _EPSILON**2
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def start(
    name: str, num_steps: int, like: jax.Array, basis: jax.Array | None = None
) -> jax.Array:
    """What a readout has gathered before the first step.

    Args:
      name: one of `READOUTS`.
      num_steps: T.
      like: a field, whose shape and type count.
      basis: V of "linear", ``[K, T]``.

    Returns:
      ``[rows, *field]``, one row for each sum.
    """
    rows = {"fft": 2 * num_bins(num_steps), "linear": num_bins(num_steps)}.get(name, 1)
    empty = -jnp.inf if name == "max_time" else 0.0
    dtype = like.dtype if basis is None else jnp.promote_types(like.dtype, basis.dtype)
    return jnp.full((rows, *like.shape), empty, dtype)


def add(
    name: str,
    num_steps: int,
    gathered: jax.Array,
    series: jax.Array,
    begin: jax.Array | int,
    basis: jax.Array | None = None,
) -> jax.Array:
    """Adds a stretch of the time series to what was gathered.

    Args:
      name: one of `READOUTS`.
      num_steps: T.
      gathered: of `start` or `add`.
      series: ``y_{t+1} ... y_{t+r}``, ``[r, *field]``.
      begin: t, the steps before the stretch; may be traced.
      basis: V of "linear", ``[K, T]``.

    Returns:
      As `gathered`.
    """
    if name == "last":
        return series[-1:]
    if name == "max_time":
        return jnp.maximum(gathered, series.max(axis=0, keepdims=True))
    if name == "mean_time":
        return gathered + series.sum(axis=0, keepdims=True) / num_steps
    if name == "fft":
        basis = jnp.asarray(fourier_basis(num_steps), series.dtype)
    assert basis is not None  # that of "linear" is given
    rows = jax.lax.dynamic_slice_in_dim(basis, begin, series.shape[0], axis=1)
    flat = rows @ series.reshape(series.shape[0], -1)
    return gathered + flat.reshape(gathered.shape)


def finish(name: str, layout: Layout, gathered: jax.Array) -> jax.Array:
    """The features of every cell, once all steps were added.

    Args:
      name: one of `READOUTS`.
      layout: of the field.
      gathered: of `add`.

    Returns:
      A field whose channels are the features, in the order bin, channel.
    """
    if name == "fft":
        gathered = magnitude(*jnp.split(gathered, 2))
    return layout.gather(gathered)
