"""Phase singularities, the waves that rotate about them, and pinwheels."""

from typing import NamedTuple

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_real, as_signal, boundary_pair, turn
from nwm_jax.waves.phase import is_silent


class Singularities(NamedTuple):
    """A list of n phase singularities.

    Attributes:
      index: int [n, d], the leading indices of each (usually [n, 1], the frame).
      position: [n, 2], (row, column) in cells, halfway between cells.
      charge: int [n], the winding number, almost always 1 or -1.
    """

    index: np.ndarray  # type: ignore[assignment]  # hides tuple.index
    position: np.ndarray
    charge: np.ndarray


class RotatingWave(NamedTuple):
    """A fitted rotating wave, one for every leading index of the signal.

    Attributes:
      charge: int [...], -1 or 1: the winding number of the phase about the centre.
      goodness: R [...], in [0, 1].
      center: [..., 2], (row, column) in cells.
    """

    charge: np.ndarray
    goodness: np.ndarray
    center: np.ndarray


def winding_number(
    signal: np.ndarray, *, boundary: str | tuple[str, str] = "periodic"
) -> np.ndarray:
    """Returns how often the phase winds round each square of 2 x 2 cells.

        q = (1 / 2 pi) sum over the four sides of wrap( phase difference ),

    going (i, j), (i, j+1), (i+1, j+1), (i+1, j): from the column axis to the row axis,
    clockwise where row 0 is drawn at the top. A singularity of charge q sits in the
    square. As phase falls along the way of a wave, crests turn clockwise on that
    picture about charge -1 and anticlockwise about +1.

    Args:
      signal: complex analytic signal [..., H, W].
      boundary: "periodic", "open" or a pair, as in `waves.phase_gradient`: whether
        squares across the border count.

    Returns:
      [..., H', W'], H' = H (periodic) or H - 1 (open), element (i, j) between rows i,
      i+1 and columns j, j+1: -1, 0 or 1. NaN where a corner has no phase. On a torus
      the sum over all squares is 0.

    Raises:
      UserError: `signal` is not complex, or a mistake in the boundary.

    Source: the topological charge of a phase map, Iyer & Gray 2001, Annals of
    Biomedical Engineering 29, 47-59.
    """
    signal = as_signal(signal, 2, "[..., height, width]")
    rows, columns = boundary_pair(boundary, signal.shape[-2:])
    signal = np.where(is_silent(signal), signal.dtype.type(np.nan), signal)
    if rows == "periodic":
        signal = np.concatenate([signal, signal[..., :1, :]], axis=-2)
    if columns == "periodic":
        signal = np.concatenate([signal, signal[..., :1]], axis=-1)
    along = turn(signal[..., 1:], signal[..., :-1])
    down = turn(signal[..., 1:, :], signal[..., :-1, :])
    circle = along[..., :-1, :] + down[..., 1:] - along[..., 1:, :] - down[..., :-1]
    return np.round(circle / (2 * np.pi)) + 0.0  # no negative zeros


def triangle_winding(signal: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Returns how often the phase winds round each triangle of scattered sites.

    Args:
      signal: complex [..., N].
      positions: [N, 2], (row, column), any unit.

    Returns:
      [..., M] of the M triangles of a Delaunay triangulation, with the sign of
      `winding_number`. NaN where a corner has no phase; M = 0 for sites on one line.

    Raises:
      UserError: `signal` is not complex.

    Source: as `winding_number`.
    """
    signal = as_signal(signal, 1, "[..., sites]")
    corners = triangles(positions)
    signal = np.where(is_silent(signal), signal.dtype.type(np.nan), signal)
    a, b, c = (signal[..., corners[:, k]] for k in range(3))
    circle = turn(b, a) + turn(c, b) + turn(a, c)
    return np.round(circle / (2 * np.pi)) + 0.0


def triangles(positions: np.ndarray) -> np.ndarray:
    """Returns the corners [M, 3] of a Delaunay triangulation, all one way round."""
    import scipy.spatial

    positions = np.asarray(positions, float)
    try:
        corners = scipy.spatial.Delaunay(positions).simplices
    except scipy.spatial.QhullError:  # fewer than 3 sites, or all on one line
        return np.empty((0, 3), int)
    a, b, c = (positions[corners[:, k]] for k in range(3))
    area = (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    area -= (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1])
    corners[area < 0] = corners[area < 0][:, ::-1]  # from columns to rows
    return corners


def find_singularities(
    signal: np.ndarray, *, boundary: str | tuple[str, str] = "periodic"
) -> Singularities:
    """Returns the list of the squares whose winding number is not 0.

    Args:
      signal: complex analytic signal [..., H, W].
      boundary: as in `winding_number`.

    Returns:
      `Singularities`, in the order of their indices; a position of H - 1/2 lies between
      the last row and the first.

    Raises:
      UserError: as `winding_number`.

    Source: as `winding_number`.
    """
    charge = winding_number(signal, boundary=boundary)
    places = np.argwhere(np.nan_to_num(charge))
    return Singularities(
        places[:, :-2],
        places[:, -2:] + 0.5,
        charge[tuple(places.T)].astype(int),
    )


def fit_rotating_wave(
    signal: np.ndarray, centers: np.ndarray | None = None
) -> RotatingWave:
    """Fits phi(r) = phi_0 + q theta(r), theta the angle about a centre, q = 1 or -1.

        R = max over q and the centres of | mean_r exp(i phi(r)) exp(-i q theta(r)) |

    with theta = atan2(row - centre row, column - centre column).

    Args:
      signal: complex analytic signal [..., H, W]; amplitudes do not matter.
      centers: [m, 2], the centres to try, (row, column) in cells (use few: each is one
        projection of the whole signal); None: the centre of the array.

    Returns:
      A `RotatingWave`, crests turning as in `winding_number`: R is 1 for a wave
      that rotates rigidly about one of the centres, 0 for a plane wave of whole
      wavelengths, about 1/sqrt(n) for n random phases. NaN (charge 0) where no cell has
      a phase.

    Raises:
      UserError: `signal` is not complex, or `centers` is not [m, 2].

    Source: the correlation of phase with rotation angle of Muller et al. 2016,
    "Rotating waves during human sleep spindles", doi:10.7554/eLife.17267.
    """
    signal = as_signal(signal, 2, "[..., height, width]")
    lead, (height, width) = signal.shape[:-2], signal.shape[-2:]
    if centers is None:
        centers = np.array([[(height - 1) / 2, (width - 1) / 2]])
    centers = np.asarray(centers, float)
    if centers.ndim != 2 or centers.shape[1] != 2 or not len(centers):
        raise UserError(f"centers must be [m, 2], (row, column): {centers.shape}")
    valid = ~is_silent(signal)
    unit = np.where(valid, signal, 0) / np.where(valid, np.abs(signal), 1)
    row, column = np.indices((height, width))
    row = row.reshape(-1, 1) - centers[:, 0]
    column = column.reshape(-1, 1) - centers[:, 1]
    angle = np.arctan2(row, column)
    # The centre itself has no angle: it counts for nothing.
    template = np.where((row == 0) & (column == 0), 0, np.exp(-1j * angle))
    flat = unit.reshape((*lead, -1))
    fit = np.stack([flat @ template.conj(), flat @ template], axis=-1)  # q = -1, 1
    fit = np.abs(fit).reshape((*lead, -1))
    best = fit.argmax(axis=-1)
    used = valid.reshape((*lead, -1)) @ np.abs(template)
    used = np.take_along_axis(used, best[..., None] // 2, axis=-1)[..., 0]
    goodness = fit.max(axis=-1) / np.where(used > 0, used, np.nan)
    charge = np.where(used > 0, 2 * (best % 2) - 1, 0)
    return RotatingWave(charge, goodness, centers[best // 2])


def pinwheels(
    orientation: np.ndarray,
    *,
    boundary: str | tuple[str, str] = "periodic",
) -> np.ndarray:
    """Returns the pinwheels of an orientation map: its vortices.

        q = (1 / 4 pi) sum over the four sides of wrap( 2 (difference of theta) )

    round each square of 2 x 2 cells, the way round of `winding_number`.

    Args:
      orientation: theta [..., H, W], radians, the same modulo pi; NaN where a cell
        prefers none.
      boundary: as in `winding_number`.

    Returns:
      [..., H', W'] as in `winding_number`: -1/2, 0 or 1/2; NaN where a corner is NaN.

    Raises:
      UserError: `orientation` is not real, or a mistake in the boundary.

    Source: Bonhoeffer & Grinvald 1991, doi:10.1038/353429a0; the pinwheels of Keller &
    Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), Figure 3, found rather than
    outlined by hand.
    """
    orientation = as_real(orientation, "pinwheels")
    return winding_number(np.exp(2j * orientation), boundary=boundary) / 2
