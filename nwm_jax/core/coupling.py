"""How the cells of a field feel their neighbours: all-to-all, on rings, on a torus.

Three topologies share one function, `couple`:

=======  ========================  =======================  ==========================
name     field                     weights                  neighbourhood
=======  ========================  =======================  ==========================
dense    ``[..., N]``              ``[N, M]``               every cell with every cell
ring     ``[..., rings, ring, C]`` ``[k, C, D]``            k cells along the last ring
torus    ``[..., H, W, C]``        ``[k, k, C, D]``         k x k cells, periodic
=======  ========================  =======================  ==========================
"""

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.errors import UserError

TOPOLOGIES = ("dense", "ring", "torus")

# Up to this many numbers in a row, products of whole rows are faster on CPUs than
# patches: a scan of 60 steps and its gradient, 8 to 32 examples, took 1.4 to 2.5 times
# less time for rows of 12 to 96 numbers, and as much at 192.
_SMALL_ROW = 96


def couple(topology: str, field: jax.Array, weights: jax.Array) -> jax.Array:
    """Weighs and sums the neighbours of every cell of a field.

    Dense: ``y_n = sum_m field_m weights_mn``. Ring and torus: the periodic
    cross-correlation ``y_i = sum_j weights_j field_{i + j - k // 2}``, so that the
    middle tap of an odd kernel is the cell itself.

    Args:
      topology: "dense", "ring" or "torus".
      field: see the table above; leading axes are free.
      weights: see the table above; kernel sizes are odd and not larger than the field.

    Returns:
      The field of sums: as `field`, with D channels (M cells) in place of C (N).

    Raises:
      UserError: unknown topology, or an even kernel size.
    """
    if topology == "dense":
        return _product(field, weights)
    if topology == "torus" and field.shape[-2] * field.shape[-1] <= _SMALL_ROW:
        return _couple_rows(field, weights)
    if topology in ("ring", "torus"):
        near = _patches(field, weights.shape[:-2])
        return _product(near, weights.reshape(-1, weights.shape[-1]))
    raise UserError(f"unknown topology {topology!r}; choose one of {TOPOLOGIES}")


def _product(rows: jax.Array, matrix: jax.Array) -> jax.Array:
    # An oscillator integrates over hundreds of steps: no accelerator may round its
    # forces to bfloat16 or TF32 on the way.
    return jnp.matmul(rows, matrix, precision=jax.lax.Precision.HIGHEST)


def _couple_rows(field: jax.Array, weights: jax.Array) -> jax.Array:
    """The coupling of a torus as one product of whole rows with a banded matrix.

    A row is the vector of its W C numbers; the rows that a row feels stand side by side,
    and the matrix ``[k W C, W D]`` holds the kernel once for every column. Most of it is
    zero, but it moves W times fewer, larger pieces than patches do.
    """
    _check_odd(weights.shape[:2])
    width, channels = field.shape[-2:]
    taps = np.arange(weights.shape[1])[:, None, None] - weights.shape[1] // 2
    source, target = np.arange(width)[:, None], np.arange(width)
    # One where column `target` feels column `source` through a tap.
    band = jnp.asarray((target + taps - source) % width == 0, weights.dtype)
    matrix = jnp.einsum("bij,abcd->aicjd", band, weights, precision="highest")
    rows = field.reshape(*field.shape[:-2], 1, width * channels)
    near = _patches(rows, (weights.shape[0], 1))
    sums = _product(near, matrix.reshape(near.shape[-1], -1))
    return sums.reshape(*field.shape[:-1], weights.shape[-1])


def _check_odd(sizes: tuple[int, ...]) -> None:
    """Raises UserError if a kernel has no middle."""
    if any(size % 2 == 0 for size in sizes):
        raise UserError(f"kernel sizes must be odd, got {sizes}")


def _patches(field: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """The periodic neighbourhood of every cell, side by side on the last axis.

    Patches and one matmul serve any number of channels, and their gradient is again a
    matmul; XLA's own convolution is slow on CPU inside a scan for such small kernels.
    """
    _check_odd(sizes)
    channel = field.ndim - 1
    columns = [field]
    for axis, size in zip(range(channel - len(sizes), channel), sizes):
        length = field.shape[axis]
        columns = [
            jax.lax.slice_in_dim(wrapped, tap, tap + length, axis=axis)
            for wrapped in (_wrap(column, axis, size // 2) for column in columns)
            for tap in range(size)
        ]
    return jnp.concatenate(columns, axis=-1)


def _wrap(field: jax.Array, axis: int, amount: int) -> jax.Array:
    """Repeats the last cells before the first and the first after the last."""
    if amount == 0:
        return field
    widths = [(amount, amount) if i == axis else (0, 0) for i in range(field.ndim)]
    return jnp.pad(field, widths, mode="wrap")
