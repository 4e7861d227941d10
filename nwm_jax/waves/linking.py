"""Passages of crests, and which of them belong to one front."""

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from nwm_jax.waves.sites import Sites

_REACH = 0.45  # of a period: the longest delay between neighbours of one front


def passages(signal: np.ndarray) -> tuple[np.ndarray, ...]:
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


def best_tree(some: np.ndarray, sites: Sites) -> np.ndarray:
    """The pairs [N - 1, 2] of neighbours that hold all sites together and agree best."""
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
    return np.stack([tree.row, tree.col], axis=1)


def group(
    sites: Sites,
    tree: np.ndarray,
    site: np.ndarray,
    time: np.ndarray,
    frequency: np.ndarray,
) -> np.ndarray:
    """The number of the front of every passage."""
    reach = _REACH * 2 * np.pi / max(float(np.median(frequency)), 1e-6)
    links = _links(tree, site, time, reach)
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
    result = q >= 0
    p, q, back_site = p[result], q[result], np.repeat(i, number)[result]
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
    for name, a, b in zip(involved.tolist(), low, high, strict=False):
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
