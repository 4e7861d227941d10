"""Wave fronts: crests followed from site to site."""

from typing import NamedTuple

import numpy as np
import scipy.sparse.csgraph

from nwm_jax.errors import UserError
from nwm_jax.waves import front_fits
from nwm_jax.waves.arrays import as_signal, spread
from nwm_jax.waves.cycles import headline, measure_cycles
from nwm_jax.waves.sites import Sites, grid_sites, scattered_sites, smoothing

CLASSES = front_fits.CLASSES

_FRAMES = 1024  # for what is measured of the record as a whole
_CLEAR = 0.95  # of the power of neighbours; if they share less, fronts are smoothed
_REACH = 0.45  # of a period: the longest delay between neighbours of one front


class Fronts(NamedTuple):
    """A list of n waves, each one crest, in the order of their mean times.

    Attributes:
      time: [n], mean time of passage, in units of 1/fs.
      duration: [n], from the first passage to the last, in units of 1/fs.
      cells: int [n], how many sites the front passed.
      velocity: [n, 2], (row, column), units of the positions per unit of time, of the
        plane that fits best; NaN for a front that is everywhere at once.
      speed: [n]: of a radial wave the speed away from its source (or towards its sink),
        of all others the length of the velocity.
      goodness: [n], in [0, 1], the part of the variance of the passage times that a
        straight front of constant speed explains; NaN as for the velocity.
      kind: [n], one of `CLASSES`.
      fit: [n], in [0, 1], the part that the model of its class explains; for "none" the
        largest of the three.
      center: [n, 2], (row, column), the source or sink of a radial wave, the centre of
        a rotating one; NaN for others.
      outward: [n], 1 for a source, -1 for a sink; of rotating waves -1 for crests that
        turn clockwise where row 0 is at the top and 1 for the others; 0 for others.
      speed_error: [n], standard error of the speed of a plane wave; NaN for others.
      amplitude: [n], mean |signal| at the passages.
      start: [n], first passage, in units of 1/fs.
    """

    time: np.ndarray
    duration: np.ndarray
    cells: np.ndarray
    velocity: np.ndarray
    speed: np.ndarray
    goodness: np.ndarray
    kind: np.ndarray
    fit: np.ndarray
    center: np.ndarray
    outward: np.ndarray
    speed_error: np.ndarray
    amplitude: np.ndarray
    start: np.ndarray


def find_fronts(
    signal: np.ndarray,
    *,
    fs: float = 1.0,
    phase: float = 0.0,
    min_share: float = 0.1,
    positions: np.ndarray | None = None,
    scale: float | None = None,
) -> Fronts:
    """Finds the crests (or any other phase) of a recording and fits their motion.

    A site is passed when its phase rises through `phase`, at a time interpolated
    between two samples. Passages of two neighbours belong together if each is the
    other's next in time and they are less than 0.45 of a period apart. Fronts grow
    along the tree of those neighbours that agree best, so that none passes a site
    twice; pieces are then joined wherever most links between them say so and they have
    no site in common. The model that explains the passage times best makes the class:

        plane     t(r) = t_0 + s . r            velocity s / |s|^2
        radial    t(r) = t_0 +- |r - c| / v     a source or a sink c
        rotating  t(r) = t_0 +- theta_c(r) / omega   modulo the period
        none      no model explains half of their variance, or a jump at one line
                  explains more of it than a plane: two regions that are active in turn

    A curved model has to leave at most half of what a plane leaves.

    Args:
      signal: complex analytic signal of a narrow band, [T, H, W], or [T, N] with
        `positions`, T >= 2. It is taken as an open sheet: on a torus a front would be
        one helix without an end, and is cut at the border instead.
      fs: samples per unit of time.
      phase: radians; 0 follows crests, pi troughs.
      min_share: fronts that pass a smaller part of the sites that have a phase (or
        fewer than 3) are left out.
      positions: [N, 2], (row, column) of the sites, any unit; None: cells of a grid.
      scale: standard deviation of the Gaussian over which the signal is smoothed before
        passages are read (positions are averaged alike, so that the edges of the array
        bend no front); 0: none. None: an eighth of the wavelength, at most a tenth of
        the array, where neighbours share less than 95 % of their power, else 0.

    Returns:
      `Fronts`.

    Raises:
      UserError: `signal` is not such an array, `fs` is not positive, or `min_share` is
        not in [0, 1].

    Source: passage times and slowness as in the estimation of wave speed from latency
    maps, e.g. Muller, Chavane, Reynolds & Sejnowski 2018, doi:10.1038/nrn.2018.20.
    """
    rank = 3 if positions is None else 2
    signal = as_signal(signal, rank, "[time, height, width]")
    if signal.ndim != rank or len(signal) < 2:
        raise UserError(
            "wave fronts need an array [time, height, width] (or [time, sites] with "
            f"positions) of at least 2 frames and the shape is {signal.shape}"
        )
    if not fs > 0 or not 0 <= min_share <= 1:
        raise UserError(
            f"fs must be positive and min_share in [0, 1]: {fs!r}, {min_share!r}"
        )
    signal, sites = flatten(signal, positions)
    if signal.shape[1] < 3:
        return front_fits.empty(Fronts)
    signal = signal * np.exp(-1j * phase).astype(signal.dtype) if phase else signal
    smooth = front_smoothing(signal, sites) if scale is None else float(scale)
    return fronts_of(signal, sites, fs=fs, scale=smooth, min_share=min_share)


def flatten(
    signal: np.ndarray, positions: np.ndarray | None = None
) -> tuple[np.ndarray, Sites]:
    """Returns the signal [T, N] of the sites without a NaN, and these.

    Raises:
      UserError: there are not as many positions as channels.
    """
    flat = signal.reshape(len(signal), -1)
    there = np.isfinite(flat.real.sum(axis=0) + flat.imag.sum(axis=0))
    if positions is None:
        sites = grid_sites(there.reshape(signal.shape[1:]))
    else:
        positions = np.asarray(positions, float)
        if positions.shape != (flat.shape[1], 2):
            raise UserError(
                f"{flat.shape[1]} channels need positions [{flat.shape[1]}, 2] and "
                f"have {positions.shape}"
            )
        there &= np.isfinite(positions).all(axis=1)
        index = np.flatnonzero(there)
        if len(index) < 2:
            raise UserError(f"{len(index)} channel(s) with a signal and a position")
        sites = scattered_sites(positions[there])._replace(index=index)
    return (flat if there.all() else flat[:, there]), sites


def front_smoothing(signal: np.ndarray, sites: Sites) -> float:
    """Returns the scale over which fronts of a signal [T, N] are smoothed."""
    found = headline(measure_cycles(signal, sites), fs=1.0, spacing=sites.spacing)
    if not found.goodness < _CLEAR or not found.wave_number > 0:
        return 0.0
    scale = min(np.pi / 4 / found.wave_number, sites.extent / 10)
    return float(scale) if scale >= sites.spacing / 2 else 0.0


def fronts_of(
    signal: np.ndarray,
    sites: Sites,
    *,
    fs: float,
    scale: float,
    min_share: float = 0.1,
) -> Fronts:
    """Finds the fronts of a signal [T, N] of sites, as `find_fronts`."""
    smooth = smoothing(sites, scale)
    signal = smooth(signal)
    place = smooth(sites.position.T).T
    site, time, frequency, amplitude = _passages(signal)
    if not len(time):
        return front_fits.empty(Fronts)
    front = _group(signal, sites, site, time, frequency)
    least = max(3, min_share * len(sites.position))
    independent = max(1.0, 4 * np.pi * (scale / sites.spacing) ** 2)
    return front_fits.fit(
        Fronts, front, site, time, frequency, amplitude, place, least, independent, fs
    )


def _passages(signal: np.ndarray) -> tuple[np.ndarray, ...]:
    """Site, time (frames), frequency (radians a frame), amplitude of all passages.

    They are sorted by site, then by time.
    """
    imag = signal.imag
    frame, site = np.nonzero((imag[:-1] < 0) & (imag[1:] >= 0))
    first, second = signal[frame, site], signal[frame + 1, site]
    before, after = np.angle(first), np.angle(second)
    # Through 0, not through pi: the way that is shorter than half a turn.
    rising = (after - before < np.pi) & (before < 0) & (after >= 0)
    frame, site = frame[rising], site[rising]
    before, after = before[rising], after[rising]
    order = np.lexsort((frame, site))
    step = (after - before).astype(np.float64)[order]
    time = frame[order] - before[order] / step
    return site[order], time, step, np.abs(first[rising])[order].astype(np.float64)


def _group(
    signal: np.ndarray,
    sites: Sites,
    site: np.ndarray,
    time: np.ndarray,
    frequency: np.ndarray,
) -> np.ndarray:
    """The number of the front of every passage."""
    some = signal[spread(len(signal), _FRAMES)]
    strength = np.abs(some)
    some = some / np.where(strength > 0, strength, 1)
    agree = [
        np.einsum("te,te->e", some[:, edges[:, 0]].conj(), some[:, edges[:, 1]]).real
        for edges in np.array_split(sites.edges, max(1, len(sites.edges) // 4096))
    ]
    apart = 1 - np.concatenate(agree) / len(some)
    count = len(sites.position)
    tree = scipy.sparse.csgraph.minimum_spanning_tree(
        scipy.sparse.coo_matrix((apart + 1e-3, sites.edges.T), (count, count))
    ).tocoo()
    reach = _REACH * 2 * np.pi / max(float(np.median(frequency)), 1e-6)
    links = _links(np.stack([tree.row, tree.col], axis=1), site, time, reach)
    piece = _components(len(time), links)
    links = _links(sites.edges, site, time, reach)
    return _join(piece, site, piece[links])


def _links(
    edges: np.ndarray, site: np.ndarray, time: np.ndarray, reach: float
) -> np.ndarray:
    """Pairs of passages [m, 2] of neighbours of which each is the other's next."""
    # One rising key for site and time: sites are further apart than any two times.
    width = float(np.ptp(time)) + 4 * reach + 1
    key = site * width + (time - time.min())
    first = np.searchsorted(site, np.arange(site.max() + 2))
    size = np.diff(first, append=first[-1])
    edges = edges[(edges < len(size)).all(axis=1)]
    i, j = edges.T
    number = size[i]
    p = np.repeat(first[i], number) + _count_up(number)
    other = np.repeat(j, number)
    q = _nearest(key, other, first, size, width, key[p] - site[p] * width)
    found = q >= 0
    p, q, back_site = p[found], q[found], np.repeat(i, number)[found]
    back = _nearest(key, back_site, first, size, width, key[q] - site[q] * width)
    close = (back == p) & (np.abs(time[p] - time[q]) < reach)
    return np.stack([p[close], q[close]], axis=1)


def _nearest(
    key: np.ndarray,
    site: np.ndarray,
    first: np.ndarray,
    size: np.ndarray,
    width: float,
    time: np.ndarray,
) -> np.ndarray:
    """The passage of `site` nearest to `time`; -1 where it has none."""
    after = np.searchsorted(key, site * width + time)
    last = first[site] + size[site] - 1
    after = np.clip(after, first[site], np.maximum(last, first[site]))
    before = np.maximum(after - 1, first[site])
    top = len(key) - 1
    target = site * width + time
    gap = np.abs(key[np.minimum(after, top)] - target)
    nearer = np.abs(key[np.minimum(before, top)] - target) <= gap
    return np.where(size[site] > 0, np.where(nearer, before, after), -1)


def _count_up(sizes: np.ndarray) -> np.ndarray:
    """0, 1, ..., size - 1 for each size, one after another."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _components(count: int, links: np.ndarray) -> np.ndarray:
    graph = scipy.sparse.coo_matrix((np.ones(len(links)), links.T), (count, count))
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def _join(piece: np.ndarray, site: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Joins pieces by the number of links between them, none with a site twice."""
    links = np.sort(links[links[:, 0] != links[:, 1]], axis=1)
    if not len(links):
        return piece
    pairs, votes = np.unique(links, axis=0, return_counts=True)
    members: dict[int, int] = {}  # sites of a piece, as bits
    order = np.argsort(piece, kind="stable")
    involved = np.unique(pairs)
    low = np.searchsorted(piece[order], involved)
    high = np.searchsorted(piece[order], involved, side="right")
    for name, a, b in zip(involved.tolist(), low, high):
        bits = np.zeros(int(site.max()) // 8 + 1, np.uint8)
        at = site[order[a:b]]
        np.bitwise_or.at(bits, at // 8, (1 << (at % 8)).astype(np.uint8))
        members[name] = int.from_bytes(bits.tobytes(), "little")
    parent = np.arange(piece.max() + 1)

    def root(name: int) -> int:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return int(name)

    for k in np.argsort(-votes, kind="stable"):
        a, b = root(pairs[k, 0]), root(pairs[k, 1])
        if a != b and not members[a] & members[b]:
            parent[b] = a
            members[a] |= members.pop(b)
    return np.array([root(name) for name in range(len(parent))])[piece]
