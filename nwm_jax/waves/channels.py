"""Channels that are bad, and where a movie is bright."""

import numpy as np
import scipy.ndimage

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import blocks, spread
from nwm_jax.waves.sites import grid_sites, scattered_sites

POLICIES = ("refuse", "drop", "interpolate")

_RUN = 3  # samples at the extreme value in a row that make a channel clipped
_CLIPPED = 1e-3  # of the samples, at the extreme value, too
_NAMED = 8  # channels that a message names
_MOST_FOR_PERCENTILE = 4096  # frames
_WRONG = {
    "partly NaN": "partly NaN (they hold NaN or infinity at some times)",
    "flat": "flat (constant)",
    "clipped": "clipped (often and repeatedly at their highest or lowest value)",
}


def find_bad(data: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the channels that are not fit to be analysed, by what is wrong.

    Args:
      data: real [T, ...].

    Returns:
      bool [...] each: "missing" (NaN at all times), "partly NaN" (or infinite), "flat"
      (constant) and "clipped" (in at least 0.1 % of the samples, and 3 times in a row,
      at the highest or lowest value of the channel).
    """
    length = len(data)
    flat = data.reshape(length, -1)
    size = flat.shape[1]
    count, low, high = (
        np.zeros(size, int),
        np.full(size, np.inf),
        np.full(size, -np.inf),
    )
    for part in blocks(length, size):
        block = np.asarray(flat[part])
        finite = np.isfinite(block)
        count += finite.sum(axis=0)
        some = block if finite.all() else np.where(finite, block, np.nan)
        low = np.fmin(low, np.fmin.reduce(some, axis=0))
        high = np.fmax(high, np.fmax.reduce(some, axis=0))
    constant = (count > 0) & (low == high)
    clipped = np.zeros(size, bool)
    # The floor of unsigned numbers is darkness, not a limit that was hit.
    for edge in (high,) if data.dtype.kind == "u" else (low, high):
        often, run = np.zeros(size, int), np.zeros(size, bool)
        for part in blocks(length, size):
            start = max(part.start - _RUN + 1, 0)  # a run may begin in the last block
            at = np.asarray(flat[start : part.stop]) == edge
            often += at[part.start - start :].sum(axis=0)
            run |= (at[2:] & at[1:-1] & at[:-2]).any(axis=0)
        clipped |= run & (often >= max(_RUN, _CLIPPED * length))
    found = {
        "missing": count == 0,
        "partly NaN": (count > 0) & (count < length),
        "flat": constant,
        "clipped": clipped & ~constant & (count == length),
    }
    return {name: value.reshape(data.shape[1:]) for name, value in found.items()}


def auto_mask(data: np.ndarray) -> np.ndarray:
    """Returns where a movie is bright: bool [H, W].

    The threshold between bright and dark pixels of the mean image is Otsu's; the
    largest connected part stays and its holes are filled.

    Args:
      data: real [T, H, W].

    Raises:
      UserError: the mean image is even.

    Source: Otsu 1979, doi:10.1109/TSMC.1979.4310076.
    """
    image = np.nan_to_num(np.mean(some_frames(data), axis=0, dtype=np.float64))
    count, edges = np.histogram(image, 256)
    if image.max() <= image.min():
        raise UserError("--mask=auto finds no bright part: the mean image is even")
    middle = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(count)
    total = np.cumsum(count * middle)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = (total / below - (total[-1] - total) / above) ** 2 * below * above
    bright = image > edges[1:][np.nanargmax(apart)]
    label, parts = scipy.ndimage.label(bright)
    sizes = np.bincount(label.ravel(), minlength=parts + 1)[1:]
    return scipy.ndimage.binary_fill_holes(label == 1 + sizes.argmax())


def some_frames(data: np.ndarray) -> np.ndarray:
    """Returns at most 4,096 frames, evenly spread: enough for means and percentiles."""
    return np.asarray(data[spread(len(data), _MOST_FOR_PERCENTILE)])


def judge(data, inside, policy, positions, notes):
    """Which channels are left out, and which are filled from which neighbours."""
    bad = {name: where & inside for name, where in find_bad(data).items()}
    serious = ["partly NaN", "flat"] + (["clipped"] if policy is not None else [])
    if policy in (None, "refuse"):
        for name in serious:
            if bad[name].any():
                raise UserError(
                    f"{describe(bad[name])} {_WRONG[name]}: leave them out with --bad=drop or "
                    "fill them from their neighbours with --bad=interpolate"
                )
        if bad["clipped"].any():
            notes.append(
                f"warning: {describe(bad['clipped'])} clipped; --bad=drop leaves them "
                "out"
            )
        return ~inside | bad["missing"], []
    wrong = bad["missing"]
    for name in serious:
        wrong = wrong | bad[name]
        if bad[name].any():
            done = "left out" if policy == "drop" else "interpolated"
            notes.append(f"{describe(bad[name])} {name}: {done}")
    if policy == "drop":
        return ~inside | wrong, []
    sites = grid_sites(inside) if positions is None else scattered_sites(positions)
    first, second = (sites.index[end] for end in sites.edges.T)
    spoilt, filled = wrong.ravel(), []
    left = spoilt.copy()
    for channel in np.flatnonzero(spoilt):
        near = np.concatenate([second[first == channel], first[second == channel]])
        near = near[~spoilt[near]]
        if len(near) >= 2:
            filled.append((int(channel), near))
            left[channel] = False
    return ~inside | left.reshape(wrong.shape), filled


def describe(where: np.ndarray) -> str:
    """Returns "3 channel(s) (row 1 column 2, ...) are"."""
    places = np.argwhere(where)
    if where.ndim == 2:
        names = [f"row {i}, column {j}" for i, j in places[:_NAMED]]
    else:
        names = [str(i[0]) for i in places[:_NAMED]]
    more = "; ..." if len(places) > _NAMED else ""
    return f"{len(places)} channel(s) ({'; '.join(names)}{more}) are"
