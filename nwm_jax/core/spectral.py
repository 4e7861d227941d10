"""Fourier transforms of fields on rings and tori, as products with small matrices.

Modes are laid out as `numpy.fft.rfft` does: of the last transformed axis, with n points,
only n // 2 + 1 wave numbers are kept, because fields are real. Up to some hundred points
a product with the matrix of cosines and sines is cheaper than a call of an FFT, runs on
every device, and is differentiated by XLA like any other product.

Rank 0 (a point), 1 (a ring: the last spatial axis) or 2 (a torus: the last two) is the
number of axes that are transformed. Channels are the last axis throughout.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# Longer axes are transformed by FFT.
_LONGEST_PRODUCT = 128


def wave_numbers(size: tuple[int, ...], *, half: bool) -> list[np.ndarray]:
    """Computes the wave number of every mode along each axis, in radians per cell.

    Args:
      size: points of the transformed axes.
      half: keep only the non-negative half of the last axis, as the transforms do.

    Returns:
      One array per axis, shaped to broadcast against the others.
    """
    numbers = [2.0 * np.pi * np.fft.fftfreq(n) for n in size]
    if size and half:
        numbers[-1] = 2.0 * np.pi * np.fft.rfftfreq(size[-1])
    return list(np.ix_(*numbers)) if numbers else []


def to_modes(field: jax.Array, rank: int) -> jax.Array:
    """Computes ``X(k) = sum_r x(r) exp(-i k.r)`` of a real field.

    Args:
      field: ``[..., *space, C]``, real.
      rank: transformed axes, 0 to 2.

    Returns:
      ``[..., *modes, C]``, complex (the field itself for rank 0).
    """
    if rank == 0:
        return field
    last = field.shape[-2]
    if last > _LONGEST_PRODUCT:
        modes = jnp.fft.rfft(field, axis=-2)
    else:
        cosines, sines = _matrices(last, last // 2 + 1, field.dtype)
        modes = jax.lax.complex(_along(field, cosines, -2), _along(field, -sines, -2))
    return _transform_rows(modes, -1) if rank == 2 else modes


def to_field(modes: jax.Array, rank: int, last: int) -> jax.Array:
    """Computes the real field of its modes, the inverse of `to_modes`.

    Args:
      modes: ``[..., *modes, C]``.
      rank: transformed axes, 0 to 2.
      last: points of the last transformed axis, which the modes do not determine.

    Returns:
      ``[..., *space, C]``, real.
    """
    if rank == 0:
        return modes
    if rank == 2:
        modes = _transform_rows(modes, 1)
    if last > _LONGEST_PRODUCT:
        return jnp.fft.irfft(modes, last, axis=-2)
    cosines, sines = _matrices(last, last // 2 + 1, modes.real.dtype)
    # Every wave number but 0 and, of an even ring, the largest stands for its negative.
    weight = np.full(last // 2 + 1, 2.0)
    weight[0] = 1.0
    if last % 2 == 0:
        weight[-1] = 1.0
    weights = jnp.asarray(weight / last, cosines.dtype)[:, None]
    return _along(modes.real, weights * cosines.T, -2) - _along(
        modes.imag, weights * sines.T, -2
    )


def _transform_rows(modes: jax.Array, sign: int) -> jax.Array:
    """Transforms the axis of rows of complex modes; ``sign`` 1 is the inverse."""
    rows = modes.shape[-3]
    if rows > _LONGEST_PRODUCT:
        transform = jnp.fft.ifft if sign == 1 else jnp.fft.fft
        return transform(modes, axis=-3)
    cosines, sines = _matrices(rows, rows, modes.real.dtype)
    sines = sign * sines
    if sign == 1:
        cosines, sines = cosines / rows, sines / rows
    real, imaginary = modes.real, modes.imag
    return jax.lax.complex(
        _along(real, cosines, -3) - _along(imaginary, sines, -3),
        _along(real, sines, -3) + _along(imaginary, cosines, -3),
    )


@functools.cache
def _angles(points: int, numbers: int) -> np.ndarray:
    return (
        2.0
        * np.pi
        * (np.outer(np.arange(points), np.arange(numbers)) % points)
        / points
    )


def _matrices(
    points: int, numbers: int, dtype: jnp.dtype
) -> tuple[jax.Array, jax.Array]:
    angles = _angles(points, numbers)
    return jnp.asarray(np.cos(angles), dtype), jnp.asarray(np.sin(angles), dtype)


def _along(array: jax.Array, matrix: jax.Array, axis: int) -> jax.Array:
    """Multiplies one axis of an array by a matrix ``[before, after]``."""
    spec = {-2: "...wc,wk->...kc", -3: "...hwc,hk->...kwc"}[axis]
    return jnp.einsum(spec, array, matrix, precision=jax.lax.Precision.HIGHEST)
