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

from nwm_jax.errors import UserError

TOPOLOGIES = ("dense", "ring", "torus")


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
        return field @ weights
    if topology == "ring":
        return _patches(field, weights.shape[:1]) @ weights.reshape(
            -1, weights.shape[-1]
        )
    if topology == "torus":
        return _patches(field, weights.shape[:2]) @ weights.reshape(
            -1, weights.shape[-1]
        )
    raise UserError(f"unknown topology {topology!r}; choose one of {TOPOLOGIES}")


def _patches(field: jax.Array, sizes: tuple[int, ...]) -> jax.Array:
    """The periodic neighbourhood of every cell, side by side on the last axis.

    Patches and one matmul serve any number of channels, and their gradient is again a
    matmul; XLA's own convolution is slow on CPU inside a scan for such small kernels.
    """
    if any(size % 2 == 0 for size in sizes):
        raise UserError(f"kernel sizes must be odd, got {sizes}")
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
