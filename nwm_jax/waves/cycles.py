"""Speed and wave vector from cross spectra: cycle by cycle, noise averaged out."""

from typing import NamedTuple

import numpy as np
import scipy.sparse

from nwm_jax.waves.arrays import in_threads
from nwm_jax.waves.sites import Sites

_MOST_CYCLES = 1024
_MOST_NUMBERS = 1 << 21  # of products at once
_NEWTON_STEPS = 5
_CANDIDATES = 17
_PLANE = 0.8  # of the variance of the phases, from which one wave is enough,
_ALIKE = 5  # as the mean over so many cycles
_APART = 2  # cycles whose noise is independent


class Cycles(NamedTuple):
    """What n cycles of a recording say about its waves.

    Attributes:
      frame: int [n], the first frame of each.
      frequency: [n], radians per frame.
      wave_number: [n], the median |k| of the neighbourhoods, radians per unit of the
        positions, weighted with the power that neighbours share.
      wave_vector: [n, 2], the mean k (row, column), weighted alike.
      slowness: [n], the median |k| / omega, frames per unit of the positions.
      weight: [n], the power that neighbours share.
      goodness: [n], in [0, 1]: that power over the power that they have.
    """

    frame: np.ndarray
    frequency: np.ndarray
    wave_number: np.ndarray
    wave_vector: np.ndarray
    slowness: np.ndarray
    weight: np.ndarray
    goodness: np.ndarray


def measure_cycles(signal: np.ndarray, sites: Sites) -> Cycles:
    """Fits a local plane wave to the cross spectra of neighbours, cycle by cycle.

    With z_e the sum of a_j conj(a_i) over the frames of a cycle, for every pair e of
    neighbours i, j that are d_e apart, the wave vector of a neighbourhood (Gaussian
    weights w) is

        k = argmax Re sum_e w_e z_e exp(i k . d_e),

    and omega the angle of the same sum over the products of one frame with the next.
    What is independent from site to site has a product of mean 0: noise makes k and
    omega uncertain and moves neither, unlike the angle of a single product. No sum
    depends on how close sites are, so neither does the speed omega / |k|.

    Args:
      signal: complex analytic signal [T, N] of the N sites, T >= 2, no NaN.
      sites: their places.

    Returns:
      `Cycles`, of at most 1,024 cycles evenly spread over the record. Neighbourhoods
      are an eighth of a wavelength wide (standard deviation), at least 1.5 spacings, at
      most an eighth of the array; the whole array is one wherever a single wave explains
      80 % of the variance of their phases.
    """
    bounds, omega = _cycles(signal)
    products, modes = _products(signal, sites, bounds, omega)
    scale = 2.0 * sites.spacing
    for _ in range(2):
        result = _fit(products, sites, scale)
        weight = result["weight"].sum()
        mean = (
            (result["weight"] * result["wave_number"]).sum() / weight if weight else 0
        )
        wide = sites.extent / 8
        scale = np.clip(np.pi / 4 / mean if mean > 0 else wide, 0, wide)
        scale = max(scale, 1.5 * sites.spacing)
    # One fit to all sites is surer than the mean of many, wherever it fits.
    whole = _fit(products, sites, np.inf)
    explained = _explained(modes, whole["wave_vector"], sites)
    plane = _running_mean(explained, _ALIKE) >= _PLANE
    whole = _less_noise(whole, products, sites, plane)
    for name, value in whole.items():
        at = plane.reshape((-1,) + (1,) * (value.ndim - 1))
        result[name] = np.where(at, value, result[name])
    return Cycles(bounds[:, 0], **result)


def _cycles(signal: np.ndarray) -> tuple[np.ndarray, float]:
    """First and last (excluded) frame [n, 2] of cycles of the mean frequency, and it."""
    length = len(signal)
    pairs = np.unique(np.linspace(0, length - 2, min(length - 1, 2048)).astype(int))
    turn = np.vdot(signal[pairs], signal[pairs + 1])
    omega = abs(float(np.angle(turn)))
    period = min(max(2 * np.pi / omega if omega > 0 else length, 2.0), length - 1)
    count = max(1, int((length - 1) / period))
    bounds = np.round(np.arange(count + 1) * period).astype(int)
    bounds = np.stack([bounds[:-1], np.minimum(bounds[1:], length - 1)], axis=1)
    if count > _MOST_CYCLES:
        at = np.floor(np.arange(_MOST_CYCLES) * (count / _MOST_CYCLES)).astype(int)
        bounds = bounds[at]
    return bounds, omega


def _products(
    signal: np.ndarray, sites: Sites, bounds: np.ndarray, omega: float
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Sums over each cycle, [n, E]: a_j conj(a_i), both with a lag of 1, |a_i a_j|.

    And a exp(-i omega t), [n, N].
    """
    first, second = sites.edges.T
    shape = (len(bounds), len(first))
    together, ahead, behind = (np.empty(shape, np.complex64) for _ in range(3))
    power = np.empty(shape, np.float32)
    modes = np.empty((len(bounds), signal.shape[1]), np.complex64)
    signal = np.asarray(signal)  # memory maps are slow to cut
    longest = int(np.diff(bounds).max(initial=0)) + 1
    turned = np.exp(-1j * omega * np.arange(longest)).astype(signal.dtype)

    def fill(cycles: np.ndarray) -> None:
        for k in cycles:
            block = signal[bounds[k, 0] : bounds[k, 1] + 1]
            i, j = np.take(block, first, axis=1), np.take(block, second, axis=1)
            conj, here = j[:-1].conj(), i[:-1].conj()
            # Products so small are slower by far in a BLAS that starts threads.
            modes[k] = np.einsum("t,tn->n", turned[: len(block)], block)
            together[k] = np.einsum("te,te->e", j[:-1], here)
            ahead[k] = np.einsum("te,te->e", j[1:], here)
            behind[k] = np.einsum("te,te->e", i[1:], conj)
            squares = block[:-1].real ** 2 + block[:-1].imag ** 2
            own = squares.sum(axis=0)
            power[k] = np.sqrt(own[first] * own[second])

    list(in_threads(fill, np.array_split(np.arange(len(bounds)), 8)))
    return (together, ahead, behind, power), modes


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of every value [n] and those about it, fewer at the ends."""
    ones = np.ones(min(width, len(values)))
    total, count = (
        np.convolve(x, ones, "same") for x in (values, np.ones_like(values))
    )
    return total / count


def _less_noise(
    whole: dict[str, np.ndarray],
    products: tuple[np.ndarray, ...],
    sites: Sites,
    plane: np.ndarray,
) -> dict[str, np.ndarray]:
    """One wave of the whole array without what noise adds to its |k|.

    An error of k across the waves makes |k| longer, by its variance / 2 |k|. It is the
    smaller one of two variances, over the cycles in which one wave is enough: a quarter
    of that of the fits to the four quarters of the array, which bent waves and long
    ones make too large, and that from cycle to cycle, to which waves that turn add.
    """
    step, kind, turned = _kinds(sites)
    middle = sites.position[sites.edges[:, 0]] + sites.step / 2
    side = (middle > np.median(sites.position, axis=0)) @ [1, 2]
    rows = side * len(step) + kind
    weights = scipy.sparse.csr_matrix(
        (np.ones(len(rows), np.float32), (rows, np.arange(len(rows)))),
        (4 * len(step), len(rows)),
    )
    z = np.where(turned, products[0].conj(), products[0])
    z = (weights @ z.T).reshape(4, len(step), -1).transpose(2, 0, 1)
    k = whole["wave_vector"]
    quarters = _newton(z, np.repeat(k[:, None], 4, axis=1), step, sites.spacing)
    across = np.stack([-k[:, 1], k[:, 0]], axis=-1)[:, None]
    across = across / np.maximum(np.hypot(*k.T), 1e-12)[:, None, None]
    quarters = np.sum((quarters - k[:, None]) * across, axis=-1).var(axis=1, ddof=1) / 4
    later = np.sum((k[_APART:] - k[:-_APART]) * across[:-_APART, 0], axis=-1) ** 2 / 2
    power = np.where(plane, whole["weight"], 0)
    both = np.minimum(power[_APART:], power[:-_APART])
    if not both.any():
        return whole
    # Medians, because the hill of a quarter may be missed; those of chi^2 with 3 and 1
    # degrees of freedom, over these, are 0.79 and 0.45.
    variance = min(
        _median(quarters[None], power[None])[0] / 0.79,
        _median(later[None], both[None])[0] / 0.45,
    )
    number = whole["wave_number"]
    less = np.sqrt(np.maximum(number**2 - variance, 0))
    less = less / np.where(number > 0, number, 1)
    names = ("wave_number", "slowness")
    return whole | {name: whole[name] * less for name in names}


def _explained(modes: np.ndarray, k: np.ndarray, sites: Sites) -> np.ndarray:
    """The part [n] of the variance of phases over the array that a plane explains.

    With u(r) the mode less its plane, averaged over neighbourhoods so that noise has
    little part in it, the variance of phases is -2 log( |sum u| / sum |u| ).
    """
    weights = _neighbourhood_sites(sites, sites.extent / 6)
    turned = modes * np.exp(1j * (k @ sites.position.T)).astype(modes.dtype)
    left, whole = (_variance(m @ weights) for m in (turned, modes))
    return 1 - left / np.where(whole > 0, whole, np.inf)


def _variance(u: np.ndarray) -> np.ndarray:
    size = np.abs(u).sum(axis=-1)
    agree = np.abs(u.sum(axis=-1)) / np.where(size > 0, size, 1)
    return -2 * np.log(np.clip(agree, 1e-6, 1))


def _neighbourhood_sites(sites: Sites, scale: float) -> np.ndarray:
    """Weights [N, centres] of the sites."""
    way = sites.position[:, None] - _centres(sites, scale)
    square = np.sum(way**2, axis=-1) / (2 * scale**2)
    return np.exp(-square).astype(np.float32)


def _centres(sites: Sites, scale: float) -> np.ndarray:
    """The middles [c, 2] of neighbourhoods, at most 6 x 6; of infinite ones 1."""
    low, high = sites.position.min(axis=0), sites.position.max(axis=0)
    centres = []
    for a, b in zip(low, high, strict=False):
        n = (
            1
            if np.isinf(scale)
            else int(np.clip(np.round((b - a) / 1.5 / scale), 1, 6))
        )
        centres.append(a + (b - a) * (np.arange(n) + 0.5) / n)
    return np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1).reshape(-1, 2)


def _fit(
    products: tuple[np.ndarray, ...], sites: Sites, scale: float
) -> dict[str, np.ndarray]:
    """The means over neighbourhoods of what `Cycles` holds of every cycle."""
    together, ahead, behind, power = products
    step, kind, turned = _kinds(sites)
    weights = _neighbourhoods(sites, scale, kind, len(step))
    count = weights.shape[0] // max(len(step), 1)
    # A pair whose step is the negative of its kind's is the same pair from its end.
    flip = turned[None]
    sums = []
    for z, other in ((together, together), (ahead, behind), (behind, ahead)):
        z = np.where(flip, other.conj() if other is z else other, z)
        total = (weights @ z.T).reshape(count, len(step), -1)
        sums.append(np.ascontiguousarray(total.transpose(2, 0, 1)))
    z, ahead, behind = sums
    had = (weights @ power.T).reshape(count, len(step), -1).sum(axis=1).T
    k = _climb(z, step, sites.spacing)
    back = np.exp(1j * (k @ step.T))
    shared = np.maximum((z * back).real.sum(axis=-1), 0)  # [n, centres]
    omega = np.angle((ahead * back + behind * back.conj()).sum(axis=-1))
    omega = np.where(omega > 0, omega, np.nan)  # phases grow; backwards is noise
    number = np.hypot(k[..., 0], k[..., 1])
    shared = np.where(np.isfinite(omega), shared, 0)
    omega = np.nan_to_num(omega, nan=1.0)
    total = shared.sum(axis=-1)
    share = shared / np.where(total > 0, total, 1)[:, None]
    return {
        "frequency": (share * omega).sum(axis=-1),
        "wave_number": _median(number, shared),
        "wave_vector": (share[..., None] * k).sum(axis=1),
        "slowness": _median(number / omega, shared),
        "weight": total / count,
        "goodness": np.clip(total / np.where(had > 0, had, 1).sum(axis=-1), 0, 1),
    }


def _median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted medians [n] over the last axis.

    About a source waves go all ways: the neighbourhoods there have a mean that is too
    small, and a median over the array leaves them out.
    """
    order = np.argsort(values, axis=-1)
    total = np.cumsum(np.take_along_axis(weights, order, -1), axis=-1)
    half = (total >= total[:, -1:] / 2).argmax(axis=-1)
    at = np.take_along_axis(order, half[:, None], -1)
    return np.take_along_axis(values, at, -1)[:, 0]


def _kinds(sites: Sites) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Kinds of steps [m, 2], the kind [E] of each pair, and whether it is turned."""
    grain = sites.spacing / 8
    key = np.round(sites.step / grain).astype(int)
    turned = (key[:, 0] < 0) | ((key[:, 0] == 0) & (key[:, 1] < 0))
    key[turned] *= -1
    step = np.where(turned[:, None], -sites.step, sites.step)
    _, kind = np.unique(key, axis=0, return_inverse=True)
    kind = kind.ravel()
    size = np.maximum(np.bincount(kind), 1)
    mean = [np.bincount(kind, step[:, axis]) / size for axis in range(2)]
    return np.stack(mean, axis=1), kind, turned


def _neighbourhoods(
    sites: Sites, scale: float, kind: np.ndarray, kinds: int
) -> scipy.sparse.csr_matrix:
    """Weights [centres * kinds, E] of the pairs, row centre * kinds + kind."""
    middle = sites.position[sites.edges[:, 0]] + sites.step / 2
    centres = _centres(sites, scale)
    rows, columns, values = [], [], []
    for c, centre in enumerate(centres):
        square = np.sum((middle - centre) ** 2, axis=1) / (2 * scale**2)
        near = np.flatnonzero(square < 4.5)
        rows.append(c * kinds + kind[near])
        columns.append(near)
        values.append(np.exp(-square[near]))
        values[-1] /= max(values[-1].sum(), 1e-9)  # a mean: scales can be compared
    weights = np.concatenate(values).astype(np.float32)
    places = np.concatenate(rows), np.concatenate(columns)
    return scipy.sparse.csr_matrix(
        (weights, places), (len(centres) * kinds, len(middle))
    )


def _climb(z: np.ndarray, step: np.ndarray, spacing: float) -> np.ndarray:
    """The k [..., 2] of the largest Re sum_m z_m exp(i k . d_m) of z [..., m]."""
    moves = _moves(step, spacing)
    sides = [
        np.linspace(-1, 1, _CANDIDATES) * (np.pi / spacing) if move else np.zeros(1)
        for move in moves
    ]
    candidates = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
    waves = np.exp(1j * (step @ candidates.T)).astype(np.complex64)
    flat = z.reshape(-1, len(step))
    k = np.empty((len(flat), 2))
    size = max(1, _MOST_NUMBERS // len(candidates))
    for start in range(0, len(flat), size):
        height = (flat[start : start + size] @ waves).real
        k[start : start + size] = candidates[height.argmax(axis=1)]
    return _newton(flat, k, step, spacing).reshape((*z.shape[:-1], 2))


def _newton(
    z: np.ndarray, k: np.ndarray, step: np.ndarray, spacing: float
) -> np.ndarray:
    """The k [..., 2] of the top of the hill about some, as `_climb`."""
    shape, moves = k.shape, _moves(step, spacing)
    flat, k = z.reshape(-1, len(step)), k.reshape(-1, 2).copy()
    outer = step[:, :, None] * step[:, None, :]
    ridge = 1e-9 * spacing**2 * np.eye(2)
    for _ in range(_NEWTON_STEPS):
        turned = flat * np.exp(1j * (k @ step.T))
        gradient = -turned.imag @ step
        # Beyond a quarter of a turn the curvature is wrong: the absolute one is safe.
        curvature = np.tensordot(np.abs(turned.real), outer, axes=(1, 0))
        scale = np.abs(flat).sum(axis=1)[:, None, None]
        curvature += ridge * scale + np.eye(2) * (scale == 0) + _still(moves) * scale
        k += np.linalg.solve(curvature, gradient[..., None])[..., 0]
    return k.reshape(shape)


def _moves(step: np.ndarray, spacing: float) -> np.ndarray:
    """Along which of the two axes pairs move."""
    return np.abs(step).max(axis=0) > 1e-9 * spacing


def _still(moves: np.ndarray) -> np.ndarray:
    """A curvature for an axis along which no pair moves."""
    return np.diag(np.where(moves, 0.0, 1.0))
