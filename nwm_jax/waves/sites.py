"""Where the channels of a recording are: positions, neighbours, smoothing over them."""

from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import scipy.spatial

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import blocks, boundary_pair, turn
from nwm_jax.waves.phase import is_silent

_REACH = 2.0  # neighbours are at most this many spacings apart
_MOST_DENSE = 1024  # sites up to which a smoothing is one dense matrix


class Sites(NamedTuple):
    """The N channels that are there.

    Attributes:
      position: [N, 2], (row, column), in cells or the unit of the positions.
      edges: int [E, 2], pairs of neighbours.
      step: [E, 2], the way from the first of a pair to the second; on a torus the short
        one, across the border.
      spacing: median distance of a site to its nearest neighbour.
      index: int [N], where each is among the channels of the array.
      shape: (H, W) of the grid that they lie on; None for positions of any kind.
      cell: side of a cell of that grid, in the unit of the positions.
    """

    position: np.ndarray
    edges: np.ndarray
    step: np.ndarray
    spacing: float
    index: np.ndarray  # type: ignore[assignment]  # hides tuple.index
    shape: tuple[int, int] | None
    cell: float = 1.0

    @property
    def extent(self) -> float:
        """The longer side of the rectangle around all sites."""
        return float(np.ptp(self.position, axis=0).max()) + self.spacing


def scaled(sites: Sites, factor: float) -> Sites:
    """Returns the sites with all lengths multiplied, such as by millimetres per cell."""
    return sites._replace(
        position=sites.position * factor,
        step=sites.step * factor,
        spacing=sites.spacing * factor,
        cell=sites.cell * factor,
    )


def grid_sites(
    present: np.ndarray,
    *,
    boundary: str | tuple[str, str] = "open",
    rings: bool = False,
) -> Sites:
    """Returns the sites of a grid.

    Neighbours are the next cells of a row and of a column; where cells of an open sheet
    are missing, those of a Delaunay triangulation of the others, so that a hole or a
    staggered layout cuts nothing (`scattered_sites`).

    Args:
      present: bool [H, W], which cells have a signal.
      boundary: "periodic", "open" or a pair, as in `waves.phase_gradient`.
      rings: whether only cells of one row are neighbours.

    Returns:
      `Sites`, positions in cells.

    Raises:
      UserError: a mistake in the boundary.
    """
    present = np.asarray(present, bool)
    kinds = boundary_pair(boundary, present.shape)
    position = np.argwhere(present).astype(float)
    index = np.flatnonzero(present)
    if not present.all() and not rings and "periodic" not in kinds and len(index) > 1:
        scattered = scattered_sites(position)
        return scattered._replace(index=index, shape=present.shape)
    number = np.full(present.shape, -1)
    number[present] = np.arange(len(index))
    edges, steps = [np.empty((0, 2), int)], [np.empty((0, 2))]
    for axis, kind in enumerate(kinds):
        if (rings and axis == 0) or present.shape[axis] == 1:
            continue
        other = np.roll(number, -1, axis)
        if kind == "open":
            other[(-1, slice(None)) if axis == 0 else (slice(None), -1)] = -1
        both = (number >= 0) & (other >= 0)
        edges.append(np.stack([number[both], other[both]], axis=1))
        steps.append(np.tile(np.eye(2)[axis], (both.sum(), 1)))
    pairs, step = np.concatenate(edges), np.concatenate(steps)
    return Sites(position, pairs, step, 1.0, index, present.shape)


def scattered_sites(position: np.ndarray) -> Sites:
    """Returns sites at any positions.

    Neighbours are those of a Delaunay triangulation up to 2 spacings apart, and the
    edges of the shortest tree that holds all sites together.

    Args:
      position: [N, 2], (row, column), any unit, N >= 2.

    Returns:
      `Sites`.

    Raises:
      UserError: not [N, 2] finite numbers with N >= 2, or two sites at one place.
    """
    position = np.asarray(position, float)
    if position.ndim != 2 or position.shape[1] != 2 or len(position) < 2:
        raise UserError(
            f"positions must be [sites, 2] of at least 2 sites: {position.shape}"
        )
    if not np.isfinite(position).all():
        raise UserError("positions must be finite: leave sites without a place out")
    nearest, which = scipy.spatial.cKDTree(position).query(position, 2)
    if not nearest[:, 1].min() > 0:
        i = int(nearest[:, 1].argmin())
        raise UserError(f"sites {i} and {which[i, 1]} are at the same place")
    spacing = float(np.median(nearest[:, 1]))
    edges = _triangulate(position)
    step = position[edges[:, 1]] - position[edges[:, 0]]
    length = np.hypot(*step.T)
    tree = scipy.sparse.csgraph.minimum_spanning_tree(
        scipy.sparse.coo_matrix((length, edges.T), (len(position),) * 2)
    ).tocoo()
    needed = set(zip(tree.row.tolist(), tree.col.tolist(), strict=False))
    kept = length <= _REACH * spacing * (1 + 1e-9)
    kept |= np.array([tuple(edge) in needed for edge in edges.tolist()])
    return Sites(
        position, edges[kept], step[kept], spacing, np.arange(len(position)), None
    )


def site_velocity(signal: np.ndarray, sites: Sites) -> np.ndarray:
    """Returns nu = -grad phi at every site, by least squares over its neighbours.

        nu_i = argmin sum_j ( arg(a_j conj(a_i)) + nu . d_ij )^2

    Between the cells of a grid this is the mean of the two one-sided differences:
    unlike the central one it is exact down to waves of 2 cells. Only differences of one
    step enter, so nothing is unwrapped.

    Args:
      signal: complex [T, N], no NaN.
      sites: the N places.

    Returns:
      [T, N, 2], (row, column), radians per unit of the positions. 0 along a direction
      in which a site has no neighbour; NaN where it or they have no phase.
    """
    size = len(sites.position)
    first, second = sites.edges.T
    space = np.zeros((size, 2, 2))
    for i in (first, second):
        np.add.at(space, i, sites.step[:, :, None] * sites.step[:, None, :])
    inverse = np.linalg.pinv(space, rcond=1e-9, hermitian=True)
    rows, columns, values = [], [], []
    for i in (first, second):
        way = np.einsum("eab,eb->ea", inverse[i], sites.step)
        for axis in range(2):
            rows.append(2 * i + axis)
            columns.append(np.arange(len(first)))
            values.append(-way[:, axis])
    matrix = scipy.sparse.csr_matrix(
        (
            np.concatenate(values).astype(signal.real.dtype),
            (np.concatenate(rows), np.concatenate(columns)),
        ),
        (2 * size, len(first)),
    )
    signal = np.where(is_silent(signal), signal.dtype.type(np.nan), signal)
    out = np.empty((len(signal), size, 2), signal.real.dtype)
    for part in blocks(len(signal), 2 * len(first)):
        block = signal[part]
        turned = turn(block[:, second], block[:, first])
        out[part] = (matrix @ turned.T).T.reshape(len(block), size, 2)
    out[~np.isfinite(signal)] = np.nan
    return out


def on_sheet(signal: np.ndarray, sites: Sites) -> np.ndarray:
    """Returns [T, H, W] with the values [T, N] of sites of a grid, NaN elsewhere."""
    assert sites.shape is not None  # sites of a grid
    height, width = sites.shape
    if len(sites.index) == height * width:
        return signal.reshape(-1, height, width)
    sheet = np.full((len(signal), height * width), np.nan, signal.dtype)
    sheet[:, sites.index] = signal
    return sheet.reshape(-1, height, width)


def smoothing(sites: Sites, scale: float):
    """Returns a function that smooths [T, N] over the sites by a Gaussian.

        y_i = sum_j exp(-|r_i - r_j|^2 / (2 scale^2)) x_j / (the same sum of 1)

    Args:
      sites: open, as the distances are not taken across a border.
      scale: the standard deviation, in the unit of the positions; 0: nothing changes.

    Returns:
      The function, for real or complex arrays [T, N].
    """
    if not scale > 0:
        return lambda x: x
    if sites.shape is None or len(sites.index) <= _MOST_DENSE:
        square = scipy.spatial.distance.cdist(sites.position, sites.position) ** 2
        kernel = np.exp(-square / (2 * scale**2))
        kernel /= kernel.sum(axis=0)  # symmetric before: the columns serve as rows
        kernel = kernel.astype(np.float32)
        return lambda x: _product(x, kernel)
    height, width = sites.shape
    rows, columns = (
        np.exp(-(np.subtract.outer(r, r) ** 2) / (2 * scale**2)).astype(np.float32)
        for r in (np.arange(height), np.arange(width))
    )

    def spread(x: np.ndarray) -> np.ndarray:
        full = np.zeros((len(x), height * width), x.dtype)
        full[:, sites.index] = x
        full = _product(full.reshape(-1, width), columns).reshape(-1, height, width)
        full = _product(np.swapaxes(full, 1, 2).reshape(-1, height), rows)
        full = np.swapaxes(full.reshape(-1, width, height), 1, 2)
        return full.reshape(len(x), -1)[:, sites.index]

    weight = spread(np.ones((1, len(sites.index)), np.float32))
    return lambda x: spread(x) / weight


def _product(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Computes x @ kernel for a complex x and a real kernel, without a complex kernel."""
    if not np.iscomplexobj(x):
        return x @ kernel.astype(x.dtype, copy=False)
    kernel = kernel.astype(x.real.dtype, copy=False)
    out = np.empty(x.shape[:-1] + kernel.shape[1:], x.dtype)
    out.real, out.imag = x.real @ kernel, x.imag @ kernel
    return out


def _triangulate(position: np.ndarray) -> np.ndarray:
    """The edges [E, 2] of a Delaunay triangulation; a chain for sites on one line."""
    centred = position - position.mean(axis=0)
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    if len(position) < 4 or size[1] < 1e-6 * size[0]:
        order = np.argsort(centred @ axes[0], kind="stable")
        edges = np.stack([order[:-1], order[1:]], axis=1)
    else:
        corners = scipy.spatial.Delaunay(position).simplices
        edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]]])
        edges = np.concatenate([edges, corners[:, [0, 2]]])
    return np.unique(np.sort(edges, axis=1), axis=0)
