"""How the cells of a field feel their neighbours: all-to-all, on rings, on a torus.

The topologies share one function, `couple`:

=======  ========================  =======================  ==========================
name     field                     weights                  neighbourhood
=======  ========================  =======================  ==========================
dense    ``[..., N]``              ``[N, M]``               every cell with every cell
ring     ``[..., rings, ring, C]`` ``[k, C, D]``            k cells along the last ring
local    ``[..., ring, C]``        ``[ring, k, C, D]``      the same, a kernel a place
torus    ``[..., H, W, C]``        ``[k, k, C, D]``         k x k cells, periodic
=======  ========================  =======================  ==========================

On rings and tori neighbouring cells of a row are taken together: a block of q cells is
the vector of its q C numbers, what it hears is a window of k rows of q + k - 1 cells, and
one matrix ``[k (q + k - 1) C, q D]`` holds the kernel once for each of the q cells. The
windows overlap less than those of single cells, so that less memory is moved, and a product
with some dozens of columns is one that CPUs are good at; XLA's own convolution is many
times slower inside of a scan there.

`couple_planes` is the coupling of tori that lie in memory channel by channel.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.errors import UserError, unknown

TOPOLOGIES = ("dense", "ring", "torus")
IMPLEMENTATIONS = ("auto", "xla")

# Up to this many products C D of a kernel, sums of shifted planes are faster on a CPU
# than a matrix product over patches.
_SHIFTED_PRODUCTS = 16

# The numbers of a block for which a scan and its gradient were fastest on two cores, but
# two cells at least: rings with 1 to 27 channels, tori of 8x8 to 16x16 cells with 1, 8 and
# 16, rows of 12 and 23.
_BLOCK = {1: 16, 2: 32}


def couple(
    topology: str, field: jax.Array, weights: jax.Array, implementation: str = "auto"
) -> jax.Array:
    """Weighs and sums the neighbours of every cell of a field.

    Dense: ``y_n = sum_m field_m weights_mn``. Ring and torus: the periodic
    cross-correlation ``y_i = sum_j weights_j field_{i + j - k // 2}``, so that the
    middle tap of an odd kernel is the cell itself.

    Args:
      topology: "dense", "ring", "local" or "torus".
      field: see the table above; leading axes are free.
      weights: see the table above; kernel sizes are odd and not larger than the field.
      implementation: "auto", or "xla" for XLA's convolution, the plain formulation that
        benchmarks compare with; they agree to rounding.

    Returns:
      The field of sums: as `field`, with D channels (M cells) instead of C (N).

    Raises:
      UserError: unknown topology or implementation, or an even kernel size.
    """
    check_implementation(implementation)
    if topology == "dense":
        return product(field, weights)
    if topology == "local":
        return _couple_places(field, weights)
    if topology not in TOPOLOGIES:
        raise UserError(f"unknown topology {topology!r}; choose one of {TOPOLOGIES}")
    sizes = weights.shape[:-2]
    if any(size % 2 == 0 for size in sizes):
        raise UserError(f"kernel sizes must be odd, got {sizes}")
    if implementation == "xla":
        return _convolve(field, weights)
    q = block(field.shape, len(sizes))
    sums = product(windows(field, sizes, q), banded(weights, q))
    return sums.reshape(*field.shape[:-1], weights.shape[-1])


def check_implementation(name: str) -> None:
    """Raises UserError for a name that is not one of `IMPLEMENTATIONS`."""
    if name not in IMPLEMENTATIONS:
        raise unknown("implementation", name, IMPLEMENTATIONS)


def product(rows: jax.Array, weights: jax.Array) -> jax.Array:
    """``rows @ weights`` over the last and the first axis, in full precision.

    An oscillator integrates over hundreds of steps and a wave carries its input as long:
    no accelerator may round what moves them to bfloat16 or TF32 on the way.

    Args:
      rows: ``[..., F]``.
      weights: ``[F, ...]``.
    """
    return jnp.tensordot(rows, weights, 1, precision=jax.lax.Precision.HIGHEST)


def block(shape: tuple[int, ...], rank: int) -> int:
    """How many cells of a row are best taken together: q, a divisor of their number.

    Args:
      shape: of the field, ``(..., W, C)``.
      rank: spatial axes of the kernel: 1 (ring) or 2 (torus).
    """
    cells, channels = shape[-2:]
    wanted = max(2, _BLOCK[rank] // channels)
    divisors = [q for q in range(1, cells + 1) if cells % q == 0]
    return min(divisors, key=lambda q: max(q, wanted) / min(q, wanted))


def windows(field: jax.Array, sizes: tuple[int, ...], q: int) -> jax.Array:
    """What every block of a row hears.

    Args:
      field: ``[..., W, C]`` (ring) or ``[..., H, W, C]`` (torus).
      sizes: of the kernel, ``(k,)`` or ``(k, k)``, odd.
      q: cells of a block, a divisor of W.

    Returns:
      ``[..., W / q, (q + k - 1) C]`` or ``[..., H, W / q, k (q + k - 1) C]``.
    """
    *lead, cells, channels = field.shape
    size = sizes[-1]
    reach = q + size - 1
    pieces = [
        jnp.roll(field, size // 2 - start, axis=-2).reshape(
            *lead, cells // q, q * channels
        )
        for start in range(0, reach, q)
    ]
    near = jnp.concatenate(pieces, axis=-1)[..., : reach * channels]
    if len(sizes) == 1:
        return near
    rows = [jnp.roll(near, sizes[0] // 2 - i, axis=-3) for i in range(sizes[0])]
    return jnp.concatenate(rows, axis=-1)


def banded(kernel: jax.Array, q: int) -> jax.Array:
    """The matrix that takes a window to its block.

    Args:
      kernel: ``[k, C, D]`` or ``[k, k, C, D]``.
      q: cells of a block.

    Returns:
      ``[(q + k - 1) C, q D]`` or ``[k (q + k - 1) C, q D]``.
    """
    size, _, outputs = kernel.shape[-3:]
    heard, cell, tap = np.ogrid[: q + size - 1, :q, :size]
    band = jnp.asarray(heard == cell + tap, kernel.dtype)
    matrix = jnp.einsum("wpj,...jcd->...wcpd", band, kernel, precision="highest")
    return matrix.reshape(-1, q * outputs)


def turned(kernel: jax.Array) -> jax.Array:
    """The kernel that takes cotangents of sums to cotangents of the field.

    Args:
      kernel: ``[k, C, D]`` or ``[k, k, C, D]``.

    Returns:
      ``[k, D, C]`` or ``[k, k, D, C]``, every spatial axis reversed.
    """
    return jnp.flip(kernel, range(kernel.ndim - 2)).swapaxes(-1, -2)


def _convolve(field: jax.Array, kernel: jax.Array) -> jax.Array:
    """A ring's or torus' coupling by XLA's convolution."""
    rank = kernel.ndim - 2
    flat = field.reshape(-1, *field.shape[-rank - 1 :])
    wraps = [(size // 2, size // 2) for size in kernel.shape[:rank]]
    wrapped = jnp.pad(flat, ((0, 0), *wraps, (0, 0)), mode="wrap")
    axes = "HW"[-rank:]
    sums = jax.lax.conv_general_dilated(
        wrapped,
        kernel,
        (1,) * rank,
        "VALID",
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        precision=jax.lax.Precision.HIGHEST,
    )
    return sums.reshape(*field.shape[:-1], kernel.shape[-1])


def _couple_places(field: jax.Array, kernels: jax.Array) -> jax.Array:
    """A ring's coupling by a kernel of its own for every place."""
    size = kernels.shape[1]
    near = [jnp.roll(field, size // 2 - j, axis=-2) for j in range(size)]
    return jnp.einsum(
        "...pjc,pjcd->...pd",
        jnp.stack(near, axis=-2),
        kernels,
        precision=jax.lax.Precision.HIGHEST,
    )


def laplacian(channels: int) -> np.ndarray:
    """Returns the five-point Laplacian as a kernel of a torus, float32.

    Args:
      channels: C.

    Returns:
      ``[3, 3, C, C]``; channels do not mix.
    """
    stencil = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
    return stencil[:, :, None, None] * np.eye(channels, dtype=np.float32)


@jax.custom_vjp
def couple_planes(planes: jax.Array, kernel: jax.Array) -> jax.Array:
    """Computes the coupling of a torus that lies in memory as planes.

    Args:
      planes: ``[C, H, W, N]``, see `core.layouts`.
      kernel: ``[k, k, C, D]``, k odd and at most H and W.

    Returns:
      ``[D, H, W, N]``: what `couple` computes for each of the N fields.
    """
    windows = _plane_windows(planes, kernel)
    channels, outputs = kernel.shape[2:]
    taps = kernel.reshape(-1, channels, outputs)
    if channels * outputs > _SHIFTED_PRODUCTS:
        return dense_planes(jnp.concatenate(windows), taps.reshape(-1, outputs))
    # A Laplacian is what is left of numbers that nearly cancel. Their differences from
    # the middle lose nothing, their sums would lose two digits.
    near = [window - planes for window in windows]
    whole = taps.sum(axis=0)
    return jnp.stack(
        [
            sum(
                whole[c, d] * planes[c]
                + sum(taps[i, c, d] * step[c] for i, step in enumerate(near))
                for c in range(channels)
            )
            for d in range(outputs)
        ]
    )


def _couple_forward(
    planes: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return couple_planes(planes, kernel), (planes, kernel)


def _couple_backward(
    residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    planes, kernel = residuals
    windows = _plane_windows(planes, kernel)
    if math.prod(kernel.shape[2:]) <= _SHIFTED_PRODUCTS:
        # Summed over examples last: what is left of a vector is added once.
        products = [
            [[(plane * g).sum(axis=(0, 1)) for g in gradient] for plane in window]
            for window in windows
        ]
        dkernel = jnp.stack([jnp.stack([jnp.stack(r) for r in p]) for p in products])
        dkernel = dkernel.sum(axis=-1)
    else:
        dkernel = jnp.einsum("phwn,dhwn->pd", jnp.concatenate(windows), gradient)
    return couple_planes(gradient, turned(kernel)), dkernel.reshape(kernel.shape)


couple_planes.defvjp(_couple_forward, _couple_backward)


def dense_planes(planes: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiplies the channels by a matrix ``[C, D]``: ``[C, ...] -> [D, ...]``."""
    # In this order the product comes out as planes, without a transposition.
    flat = jnp.einsum("cd,cp->dp", kernel, planes.reshape(planes.shape[0], -1))
    return flat.reshape(-1, *planes.shape[1:])


def _plane_windows(planes: jax.Array, kernel: jax.Array) -> list[jax.Array]:
    """The field as each tap of the kernel sees it, k k of ``[C, H, W, N]``."""
    rows, columns = planes.shape[1:3]
    pads = [(size // 2, size // 2) for size in kernel.shape[:2]]
    wide = jnp.pad(planes, ((0, 0), *pads, (0, 0)), mode="wrap")
    return [
        wide[:, u : u + rows, v : v + columns]
        for u in range(kernel.shape[0])
        for v in range(kernel.shape[1])
    ]
