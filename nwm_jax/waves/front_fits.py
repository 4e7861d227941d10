"""What moved: models of the passage times of a front, and its class."""

import numpy as np

from nwm_jax.waves.arrays import blocks

CLASSES = ("plane", "radial", "rotating", "none")

_ENOUGH = 0.5  # of the variance of the passage times
_HALF = 0.5  # a curved model leaves at most this part of what a plane leaves
_GAIN = 0.02  # and explains at least this much more of the variance
_LATTICE = 15  # centres that are tried along each axis
_BEYOND = 0.75  # of the array, how far outside of it sources are looked for
_REFINED = 3
_MOST = 1 << 22  # numbers of one table of passages


def empty(kind: type):
    """Returns fronts that hold no wave."""
    none, two = np.empty(0), np.empty((0, 2))
    whole = np.empty(0, int)
    return kind(
        time=none,
        duration=none,
        cells=whole,
        velocity=two,
        speed=none,
        goodness=none,
        kind=np.empty(0, "<U8"),
        fit=none,
        center=two,
        outward=whole,
        speed_error=none,
        amplitude=none,
        start=none,
    )


def fit(
    kind: type,
    front: np.ndarray,
    site: np.ndarray,
    time: np.ndarray,
    frequency: np.ndarray,
    amplitude: np.ndarray,
    place: np.ndarray,
    least: float,
    independent: float,
):
    """Fits the models to the passages of every front.

    Args:
      kind: `Fronts`.
      front, site, time, frequency, amplitude: [m], of every passage; time in frames,
        frequency in radians per frame.
      place: [N, 2], of the sites.
      least: fronts of fewer sites are left out.
      independent: sites that a smoothing has made one.

    Returns:
      `Fronts` in frames.
    """
    size = np.bincount(front)
    kept = size >= least
    if not kept.any():
        return empty(kind)
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    at = number[front]
    used = at >= 0
    total = int(kept.sum())
    parts = []
    step = max(1, _MOST // len(place))
    order = np.argsort(at[used], kind="stable")
    at = at[used][order]
    columns = [value[used][order] for value in (site, time, frequency, amplitude)]
    for low in range(0, total, step):
        high = min(low + step, total)
        a, b = np.searchsorted(at, [low, high])
        rows = [value[a:b] for value in columns]
        parts.append(_fit(at[a:b] - low, high - low, place, independent, *rows))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return kind(**whole)


def in_units(kind: type, parts: list, fs: float):
    """Joins fronts in frames and returns them in units of time, by their mean times."""
    if not parts:
        return empty(kind)
    whole = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in parts[0]._fields
    }
    for name in ("time", "duration", "start"):
        whole[name] = whole[name] / fs
    for name in ("velocity", "speed", "speed_error"):
        whole[name] = whole[name] * fs
    order = np.argsort(whole["time"], kind="stable")
    return kind(**{name: value[order] for name, value in whole.items()})


def _fit(which, n, place, independent, site, time, frequency, amplitude):
    """The fields of `Fronts` in frames, of n fronts whose passages fit in memory."""
    there = np.zeros((n, len(place)), bool)
    there[which, site] = True
    table = np.zeros((n, len(place)))
    table[which, site] = time
    count = there.sum(axis=1)

    def mean(values):
        return np.bincount(which, values, minlength=n) / count

    middle, omega = mean(time), mean(frequency)
    begin = np.searchsorted(which, np.arange(n))  # each has a passage
    first, last = (f.reduceat(time, begin) for f in (np.minimum, np.maximum))
    table = np.where(there, table - middle[:, None], 0)
    spread = np.sum(table**2, axis=1)
    # Roundings of the times are no motion.
    moves = spread > count * (1e-7 * np.maximum(1.0, 1 / omega)) ** 2
    safe = np.where(moves, spread, np.nan)
    slowness, plane, cov = _plane(table, there, count, place, safe)
    square = np.sum(slowness**2, axis=1)
    velocity = slowness / np.where(square > 1e-18, square, np.nan)[:, None]
    left = (1 - plane) * spread / np.maximum(count - 3, 1) * independent
    direction = slowness / np.sqrt(np.where(square > 0, square, 1))[:, None]
    along = np.einsum("na,nab,nb->n", direction, cov, direction)
    along = np.sqrt(np.maximum(left * along, 0))  # standard error of the slowness
    speed = np.hypot(*velocity.T)
    radial, center, away = _radial(table, there, count, place, safe, plane)
    rotating, pivot, turn = _rotating(table, there, count, place, safe, omega)
    kinds = _classes(plane, radial, rotating, _step(table, there, place, slowness))
    is_radial, is_rotating = kinds == "radial", kinds == "rotating"
    centers = np.full((n, 2), np.nan)
    centers[is_radial], centers[is_rotating] = center[is_radial], pivot[is_rotating]
    with np.errstate(divide="ignore"):
        speed = np.where(is_radial, 1 / np.abs(away), speed)
    models = np.stack([plane, radial, rotating])
    best = np.fmax.reduce(models)
    fit = np.where(kinds == "plane", plane, best)
    return {
        "time": middle,
        "duration": last - first,
        "cells": count,
        "velocity": velocity,
        "speed": speed,
        "goodness": plane,
        "kind": kinds,
        "fit": np.where(is_radial, radial, np.where(is_rotating, rotating, fit)),
        "center": centers,
        "outward": np.where(
            is_radial, np.sign(away), np.where(is_rotating, turn, 0)
        ).astype(int),
        "speed_error": np.where(kinds == "plane", along * speed**2, np.nan),
        "amplitude": mean(amplitude),
        "start": first,
    }


def _classes(plane, radial, rotating, step):
    """The class of each front from the explained parts of the variance."""
    plane, radial, rotating = (np.nan_to_num(x) for x in (plane, radial, rotating))
    flat = np.maximum(plane, 0)
    straight = (plane >= _ENOUGH) & (np.nan_to_num(step) < plane)
    # What is better than a plane by roundings is a plane.
    curved = (radial >= _ENOUGH) & (1 - radial < _HALF * (1 - flat))
    curved &= radial - flat > _GAIN
    straighter = np.maximum(flat, np.maximum(radial, 0))
    turning = (rotating >= _ENOUGH) & (1 - rotating < _HALF * (1 - straighter))
    return np.select(
        [turning, curved, straight], ["rotating", "radial", "plane"], "none"
    )


def _plane(table, there, count, place, spread):
    """Slowness [n, 2], explained part [n], and covariance [n, 2, 2] for variance 1."""
    xy = place - place.mean(axis=0)
    mean = there @ xy / count[:, None]
    products = np.stack([xy[:, a] * xy[:, b] for a in range(2) for b in range(2)], 1)
    space = (there @ products).reshape(-1, 2, 2)
    space = space - count[:, None, None] * mean[:, :, None] * mean[:, None, :]
    cross = table @ xy  # the times have mean 0
    inverse = np.linalg.pinv(space, rcond=1e-9, hermitian=True)
    slowness = (inverse @ cross[..., None])[..., 0]
    explained = np.sum(slowness * cross, axis=1) / spread
    return slowness, np.clip(explained, 0, 1), inverse


def _step(table, there, place, slowness):
    """The part of the variance that a jump at a line across the motion explains."""
    along = np.where(there, slowness @ (place - place.mean(axis=0)).T, np.inf)
    order = np.argsort(along, axis=1)
    times = np.take_along_axis(table, order, axis=1)
    total = np.cumsum(times, axis=1)[:, :-1]
    before = np.arange(1, table.shape[1])
    count = there.sum(axis=1)[:, None]
    inside = before < count
    after = np.where(inside, count - before, 1)
    between = np.where(inside, total**2 * (1 / before + 1 / after), 0)
    spread = np.sum(table**2, axis=1)
    return between.max(axis=1, initial=0.0) / np.where(spread > 0, spread, np.nan)


def _lattice(place, beyond):
    """Centres [c, 2] over the array and a part of it beyond, and their distances."""
    low, high = place.min(axis=0), place.max(axis=0)
    margin = beyond * (high - low).max()
    sides = [
        np.linspace(a - margin, b + margin, _LATTICE)
        for a, b in zip(low, high, strict=False)
    ]
    centers = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
    return centers, np.array([side[1] - side[0] for side in sides])


def _flat(place):
    """Whether all sites lie on one line: no model has a centre there."""
    size = np.linalg.svd(place - place.mean(axis=0), compute_uv=False)
    return len(place) < 6 or size[1] < 1e-6 * size[0]


def _radial(table, there, count, place, spread, plane):
    """Explained part, centre and slowness away from it of the best circular front.

    Where a plane leaves too little for it to be the class, the centre stays rough.
    """
    n = len(table)
    if _flat(place):
        return np.full(n, np.nan), np.full((n, 2), np.nan), np.full(n, np.nan)

    def explained(rows, centers):
        """[rows, c]: the part explained and the slope, for centres [1 or rows, c, 2]."""
        distance = np.hypot(*np.moveaxis(place - centers[:, :, None], -1, 0))
        inside = there[rows].astype(float)[:, :, None]
        mean = (distance @ inside)[..., 0] / count[rows, None]
        square = (distance**2 @ inside)[..., 0] - count[rows, None] * mean**2
        cross = (distance @ table[rows, :, None])[..., 0]
        slope = cross / np.where(square > 1e-9, square, np.inf)
        return slope * cross / spread[rows, None], slope

    centers, pitch = _lattice(place, _BEYOND)
    rows = np.arange(n)
    part, slope = explained(rows, centers[None])
    best = np.nan_to_num(part, nan=-1).argmax(axis=1)
    part, slope, center = part[rows, best], slope[rows, best], centers[best]
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, 5),) * 2), axis=-1).reshape(-1, 2)
    likely = np.flatnonzero((part > _ENOUGH / 2) & ~(plane > 1 - _GAIN))
    for some in blocks(len(likely), len(grid) * len(place)):
        rows, width = likely[some], pitch.copy()
        for _ in range(_REFINED):
            near = center[rows, None] + grid * width
            fine, slopes = explained(rows, near)
            at = np.arange(len(rows)), fine.argmax(axis=1)
            better = fine[at] > part[rows]
            part[rows] = np.where(better, fine[at], part[rows])
            slope[rows] = np.where(better, slopes[at], slope[rows])
            center[rows] = np.where(better[:, None], near[at], center[rows])
            width = width / 2.5
    # The two coordinates of the centre were chosen too.
    spare = (count - 2) / np.maximum(count - 4, 1)
    return np.clip(1 - (1 - part) * spare, 0, 1), center, slope


def _rotating(table, there, count, place, spread, omega):
    """Explained part, centre and winding number of the best front that turns."""
    n = len(table)
    if _flat(place):
        return np.full(n, np.nan), np.full((n, 2), np.nan), np.zeros(n)
    centers, _ = _lattice(place, -0.1)
    way = place[:, None] - centers
    angle = np.arctan2(way[..., 0], way[..., 1])  # [N, c]
    turned = there * np.exp(1j * table * omega[:, None])
    fits = np.stack([turned @ np.exp(-1j * angle), turned @ np.exp(1j * angle)])
    fits = fits.transpose(1, 0, 2).reshape(n, -1)
    best = np.abs(fits).argmax(axis=1)
    sense, center = 1 - 2 * (best // len(centers)), best % len(centers)
    rest = turned * np.exp(-1j * sense[:, None] * angle[:, center].T)
    rest *= np.exp(-1j * np.angle(fits[np.arange(n), best]))[:, None]
    left = np.sum((np.angle(rest) * there) ** 2, axis=1) / omega**2
    # Modulo the period no times leave more than evenly spread ones.
    most = np.minimum(spread, count * (np.pi / omega) ** 2 / 3)
    spare = (count - 1) / np.maximum(count - 3, 1)
    return np.clip(1 - left / most * spare, 0, 1), centers[center], -sense
